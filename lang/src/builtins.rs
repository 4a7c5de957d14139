//! The functions and variables that every script knows: one row each.
//!
//! No other file spells their names. The checker asks for the row of a name and matches on what it [`Means`];
//! documentation, completion and "did you mean" read the same rows.

use crate::typed::Intrinsic;
use crate::types::{Clock, Int, Type};

/// A function, or a variable: a function that needs no arguments may be written without parentheses.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    pub name: &'static str,
    /// The parameters as documentation shows them; empty for a variable.
    pub params: &'static str,
    /// The fewest and the most arguments.
    pub arity: (usize, usize),
    /// The result as documentation shows it; empty for actions.
    pub result: &'static str,
    pub means: Means,
    pub doc: &'static str,
}

/// How a use of a builtin is checked and what it becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Means {
    /// Computed when the program runs, without arguments, with a result of this type.
    Computed(Intrinsic, Plain),
    /// Known when the script is compiled.
    Constant(Constant),
    /// A variable or function with rules of its own.
    Value(Value),
    /// Something that is done, and has no result.
    Action(Act),
    /// `@ = count()` and its kin.
    Summary(Summary),
    /// A macro of the library: the stage `expand` replaces its calls.
    Library,
    /// Planned.
    Later,
}

/// The types of computed builtins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plain {
    U32,
    U64,
    /// The name of a task: `string[16]`.
    TaskName,
    /// The name of an attach point.
    Probe,
}

impl Plain {
    pub fn ty(self) -> Type {
        match self {
            Plain::U32 => Type::Int(Int::U32),
            Plain::U64 => Type::Int(Int::U64),
            Plain::TaskName => Type::String(16),
            Plain::Probe => Type::Probe,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    CpuCount,
    ChildPid,
    HasChildPid,
    PidNamespace,
    ProbeType,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Args,
    Retval,
    CurrentTask,
    Nsecs,
    Username,
    Str,
    Buf,
    KernelStack,
    UserStack,
    KernelSymbol,
    UserSymbol,
    KernelAddress,
    UserAddress,
    Ntop,
    Mac,
    ByteSwap,
    StrNCmp,
    StrLen,
    StrStr,
    Context,
    Function,
    UserMode,
    Register,
    CgroupId,
    CgroupPath,
    Pton,
    PerCpuAddress,
    SocketCookie,
    KfuncExist,
    KfuncAllowed,
    SkbOutput,
    StrContains,
    StrConcat,
    StrCap,
    MemCmp,
    ErrorText,
    SignalName,
    SyscallName,
    /// 16 bits between the network's byte order and ours.
    NetworkShort,
    /// 32 bits.
    NetworkLong,
    StrFTime,
    HasKey,
    Find,
    Delete,
    Len,
    KernelPointer,
    UserPointer,
    Config,
    Getopt,
    /// A question about a type, answered when the script is compiled.
    Is(Question),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Question {
    Pointer,
    Str,
    Array,
    Integer,
    Unsigned,
    Literal,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    Printf,
    /// Reached, it is an error of the script.
    Fail,
    Print,
    Clear,
    Zero,
    Exit,
    Time,
    Join,
    Errorf,
    Warnf,
    Assert,
    Debugf,
    Cat,
    System,
    Signal,
    SignalThread,
    WriteUser,
    Override,
    Unwatch,
}

impl Act {
    /// Whether it changes the system, so that `--unsafe` must allow it.
    pub fn is_unsafe(self) -> bool {
        match self {
            Act::System | Act::Signal | Act::SignalThread | Act::WriteUser | Act::Override => true,
            Act::Printf
            | Act::Print
            | Act::Clear
            | Act::Zero
            | Act::Exit
            | Act::Time
            | Act::Join
            | Act::Errorf
            | Act::Warnf
            | Act::Assert
            | Act::Debugf
            | Act::Fail
            | Act::Unwatch
            | Act::Cat => false,
        }
    }
}

/// The functions whose result only a map can hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Summary {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    Stats,
    Hist,
    Lhist,
    Tseries,
}

/// The row of a name.
pub fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|row| row.name == name)
}

/// The row of a function that the checker itself needs to name.
pub fn row(means: Means) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|row| row.means == means)
}

/// What a function of another tracer or of C is called here.
pub fn ours(name: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(foreign, _)| *foreign == name).map(|(_, ours)| *ours)
}

const FOREIGN: &[(&str, &str)] = &[
    ("substr", "str(pointer, length)"),
    ("strcat", "str_concat"),
    ("strjoin", "str_concat"),
    ("strcpy", "str"),
    ("strcmp", "=="),
    ("strpos", "strstr"),
    ("contains", "strcontains"),
    ("copyin", "buf"),
    ("copyinstr", "str"),
    ("stringof", "str"),
    ("kstr", "str(kptr(pointer))"),
    ("ustr", "str(uptr(pointer))"),
    ("user_string", "str"),
    ("kernel_string", "str"),
    ("quantize", "hist"),
    ("lquantize", "lhist"),
    ("hist_log", "hist"),
    ("hist_linear", "lhist"),
    ("trace", "print"),
    ("puts", "print"),
    ("println", "print"),
    ("stack", "kstack"),
    ("backtrace", "kstack"),
    ("inet_ntop", "ntop"),
    ("inet_ntoa", "ntop"),
    ("foreach", "for ($kv : @map)"),
    ("getpid", "pid"),
    ("execname", "comm"),
    ("timestamp", "nsecs"),
    ("walltimestamp", "nsecs(tai)"),
    ("current", "curtask"),
    ("cgroup_id", "cgroup"),
    ("gettimeofday_ns", "nsecs"),
    ("ktime_get_ns", "nsecs"),
];

/// `arg0`, `arg1`, …: the number of the word.
pub fn word_index(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("arg")?;
    let plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// The clock that `nsecs(clock)` names.
pub fn clock(name: &str) -> Option<Clock> {
    match name {
        "boot" => Some(Clock::Boot),
        "monotonic" => Some(Clock::Monotonic),
        "tai" | "sw_tai" => Some(Clock::Tai),
        _ => None,
    }
}

/// The names that `clock` knows, for diagnostics.
pub const CLOCKS: &str = "boot, monotonic, tai or sw_tai";

impl Builtin {
    /// As documentation shows it: `str(pointer[, length])`.
    pub fn signature(&self) -> String {
        if self.params.is_empty() && self.arity.1 == 0 {
            self.name.to_string()
        } else {
            format!("{}({})", self.name, self.params)
        }
    }
}

const fn variable(name: &'static str, result: &'static str, means: Means, doc: &'static str) -> Builtin {
    Builtin { name, params: "", arity: (0, 0), result, means, doc }
}

const fn function(
    name: &'static str,
    params: &'static str,
    arity: (usize, usize),
    result: &'static str,
    means: Means,
    doc: &'static str,
) -> Builtin {
    Builtin { name, params, arity, result, means, doc }
}

/// What is said of it is the help for whoever calls it.
const fn later(name: &'static str, doc: &'static str) -> Builtin {
    Builtin { name, params: "", arity: (0, MANY), result: "", means: Means::Later, doc }
}

/// The forms of a macro stand in the library's own text.
const fn library(
    name: &'static str,
    params: &'static str,
    arity: (usize, usize),
    result: &'static str,
    doc: &'static str,
) -> Builtin {
    Builtin { name, params, arity, result, means: Means::Library, doc }
}

const MANY: usize = usize::MAX;

/// All of them, by topic.
#[rustfmt::skip]
pub static BUILTINS: &[Builtin] = &[
    // What the probe hands over.
    variable("args", "record", Means::Value(Value::Args), "The arguments of the probe, by name: `args.pid`."),
    variable("retval", "", Means::Value(Value::Retval), "What the traced function returned."),
    variable("func", "ksym or usym", Means::Value(Value::Function), "The function that is probed."),
    variable("ctx", "pointer", Means::Value(Value::Context), "What the kernel hands to the program, as it lies there."),
    function("reg", "\"name\"", (1, 1), "uint64", Means::Value(Value::Register), "A register where the probe is."),
    variable("usermode", "uint8", Means::Value(Value::UserMode), "1 where the CPU was in user mode."),
    variable("probe", "probe", Means::Computed(Intrinsic::Probe, Plain::Probe), "The full name of the attach point that fired."),
    variable("probetype", "string", Means::Constant(Constant::ProbeType), "The type of the probe that fired."),

    // Who runs.
    function("pid", "[namespace]", (0, 1), "uint32", Means::Computed(Intrinsic::Pid, Plain::U32), "The process id (in C: tgid)."),
    function("tid", "[namespace]", (0, 1), "uint32", Means::Computed(Intrinsic::Tid, Plain::U32), "The thread id."),
    variable("pid_namespace", "uint32", Means::Constant(Constant::PidNamespace), "The inode of the namespace that `pid` counts in; 0 for the initial one."),
    variable("uid", "uint32", Means::Computed(Intrinsic::Uid, Plain::U32), "The user id."),
    variable("gid", "uint32", Means::Computed(Intrinsic::Gid, Plain::U32), "The group id."),
    variable("username", "username", Means::Value(Value::Username), "The name of the user."),
    function("comm", "[task or number]", (0, 1), "string[16]", Means::Computed(Intrinsic::Comm, Plain::TaskName), "The name of the running thread."),
    variable("curtask", "struct task_struct *", Means::Value(Value::CurrentTask), "The running task."),
    variable("cgroup", "uint64", Means::Computed(Intrinsic::Cgroup, Plain::U64), "The id of the task's cgroup."),
    function("cgroupid", "\"path\"", (1, 1), "uint64", Means::Value(Value::CgroupId), "The id of the cgroup of a directory."),
    function("cgroup_path", "id[, \"pattern\"]", (1, 2), "cgroup_path", Means::Value(Value::CgroupPath), "The path of a cgroup, in the hierarchies whose names match."),
    variable("cpu", "uint32", Means::Computed(Intrinsic::Cpu, Plain::U32), "The CPU that the program runs on."),
    variable("numaid", "uint32", Means::Computed(Intrinsic::Numaid, Plain::U32), "The NUMA node of that CPU."),
    variable("ncpus", "uint64", Means::Constant(Constant::CpuCount), "The number of CPUs."),
    variable("cpid", "uint32", Means::Constant(Constant::ChildPid), "The process id of the command that `-c` started."),
    variable("has_cpid", "bool", Means::Constant(Constant::HasChildPid), "Whether `-c` started a command."),

    // Time and chance.
    function("nsecs", "[clock]", (0, 1), "uint64", Means::Value(Value::Nsecs), "Nanoseconds since boot, or of the clock `monotonic` or `tai`."),
    variable("elapsed", "uint64", Means::Computed(Intrinsic::Elapsed, Plain::U64), "Nanoseconds since tracing began."),
    variable("jiffies", "uint64", Means::Computed(Intrinsic::Jiffies, Plain::U64), "The kernel's tick counter."),
    variable("rand", "uint32", Means::Computed(Intrinsic::Rand, Plain::U32), "A random number."),
    function("strftime", "format, nanoseconds", (2, 2), "timestamp", Means::Value(Value::StrFTime), "A time stamp that prints as the format says."),

    // Memory and text.
    function("str", "pointer[, length]", (1, 2), "string", Means::Value(Value::Str), "The text that the pointer points at, up to its NUL."),
    function("buf", "pointer[, length]", (1, 2), "buffer", Means::Value(Value::Buf), "The bytes that the pointer points at, or of an array."),
    function("kptr", "pointer", (1, 1), "pointer", Means::Value(Value::KernelPointer), "The pointer as one into kernel memory."),
    function("uptr", "pointer", (1, 1), "pointer", Means::Value(Value::UserPointer), "The pointer as one into user memory."),
    function("strncmp", "a, b, length", (3, 3), "uint64", Means::Value(Value::StrNCmp), "0 if so many bytes are the same, up to the NUL."),
    function("strlen", "text", (1, 1), "uint64", Means::Value(Value::StrLen), "The length without the NUL."),
    function("strcontains", "text, part", (2, 2), "bool", Means::Value(Value::StrContains), "Whether a text is part of another."),
    function("strstr", "text, part", (2, 2), "int64", Means::Value(Value::StrStr), "Where a text is part of another, or -1."),
    function("str_concat", "a, b", (2, 2), "string", Means::Value(Value::StrConcat), "Two texts behind one another."),
    function("strcap", "text", (1, 1), "uint64", Means::Value(Value::StrCap), "The capacity of a string, the NUL included."),
    function("memcmp", "a, b, length", (3, 3), "int64", Means::Value(Value::MemCmp), "Compares bytes: less than, equal to or greater than 0."),
    function("strerror", "number", (1, 1), "string", Means::Value(Value::ErrorText), "The text of an error number."),
    function("signal_name", "number", (1, 1), "string", Means::Value(Value::SignalName), "The name of a signal."),
    function("syscall_name", "number", (1, 1), "string", Means::Value(Value::SyscallName), "The name of a system call."),
    function("htons", "number", (1, 1), "uint16", Means::Value(Value::NetworkShort), "A 16-bit number in network order."),
    function("htonl", "number", (1, 1), "uint32", Means::Value(Value::NetworkLong), "A 32-bit number in network order."),
    function("pton", "\"address\"", (1, 1), "bytes", Means::Value(Value::Pton), "The bytes of an IPv4 or IPv6 address."),
    function("bswap", "number", (1, 1), "number", Means::Value(Value::ByteSwap), "The number with its bytes in reverse order."),
    function("ntop", "[family, ]address", (1, 2), "inet", Means::Value(Value::Ntop), "An IPv4 or IPv6 address that prints as text."),
    function("macaddr", "address", (1, 1), "mac", Means::Value(Value::Mac), "A hardware address that prints as text."),

    // Symbols and stacks.
    function("kstack", "[mode, ][frames]", (0, 2), "stack", Means::Value(Value::KernelStack), "The kernel stack."),
    function("ustack", "[mode, ][frames]", (0, 2), "stack", Means::Value(Value::UserStack), "The user stack."),
    function("ksym", "address", (1, 1), "ksym", Means::Value(Value::KernelSymbol), "The kernel symbol at the address."),
    function("usym", "address", (1, 1), "usym", Means::Value(Value::UserSymbol), "The user symbol at the address."),
    function("percpu_kaddr", "\"symbol\"[, cpu]", (1, 2), "uint64", Means::Value(Value::PerCpuAddress), "The address of a per-CPU variable; 0 where there is no such CPU."),
    function("kfunc_exist", "\"name\"", (1, 1), "bool", Means::Value(Value::KfuncExist), "Whether the kernel has this kfunc."),
    function("kfunc_allowed", "\"name\"", (1, 1), "bool", Means::Value(Value::KfuncAllowed), "Whether the probe may call this kfunc."),
    function("kaddr", "\"symbol\"", (1, 1), "uint64", Means::Value(Value::KernelAddress), "The address of the kernel symbol."),
    function("uaddr", "\"symbol\"", (1, 1), "pointer", Means::Value(Value::UserAddress), "The address of a symbol of the program that the uprobe is in."),

    // Maps.
    function("count", "", (0, 0), "", Means::Summary(Summary::Count), "Counts how often it is called."),
    function("sum", "number", (1, 1), "", Means::Summary(Summary::Sum), "Adds up."),
    function("min", "number", (1, 1), "", Means::Summary(Summary::Min), "Keeps the smallest."),
    function("max", "number", (1, 1), "", Means::Summary(Summary::Max), "Keeps the largest."),
    function("avg", "number", (1, 1), "", Means::Summary(Summary::Avg), "Keeps the average."),
    function("stats", "number", (1, 1), "", Means::Summary(Summary::Stats), "Keeps count, average and total."),
    function("hist", "number[, bits]", (1, 2), "", Means::Summary(Summary::Hist), "A histogram by powers of two, each split in 2^bits."),
    function("lhist", "number, min, max, step", (4, 4), "", Means::Summary(Summary::Lhist), "A histogram with steps of equal size."),
    function("tseries", "number, interval_ns, intervals[, aggregation]", (3, 4), "", Means::Summary(Summary::Tseries), "The values of the last intervals."),
    function("delete", "@map[, key]", (1, 2), "bool", Means::Value(Value::Delete), "Removes an element, and says whether it was there."),
    function("has_key", "@map, key", (2, 2), "bool", Means::Value(Value::HasKey), "Whether the map has the key."),
    function("find", "@map, key, $variable", (3, 3), "bool", Means::Value(Value::Find), "Whether the map has the key; the variable then gets its value."),
    function("len", "@map or stack", (1, 1), "uint64", Means::Value(Value::Len), "The number of elements or frames."),
    function("clear", "@map", (1, 1), "", Means::Action(Act::Clear), "Removes all elements."),
    function("zero", "@map", (1, 1), "", Means::Action(Act::Zero), "Sets all values to 0 and keeps the keys."),

    // Output.
    function("printf", "format, ...", (1, MANY), "", Means::Action(Act::Printf), "Prints by a format."),
    function("print", "value or @map[, top[, div]]", (1, 3), "", Means::Action(Act::Print), "Prints a value or a map."),
    function("time", "[format]", (0, 1), "", Means::Action(Act::Time), "Prints the time of day."),
    function("join", "argv[, separator]", (1, 2), "", Means::Action(Act::Join), "Prints an array of strings in one line."),
    function("exit", "[code]", (0, 1), "", Means::Action(Act::Exit), "Ends tracing."),
    function("errorf", "format, ...", (1, MANY), "", Means::Action(Act::Errorf), "Prints an error with its place in the script."),
    function("warnf", "format, ...", (1, MANY), "", Means::Action(Act::Warnf), "Prints a warning with its place in the script."),
    function("assert", "condition, message", (2, 2), "", Means::Action(Act::Assert), "Prints the message as an error and ends tracing with code 1 if the condition is false."),
    function("debugf", "format, ...", (1, MANY), "", Means::Action(Act::Debugf), "Prints to the kernel's trace pipe."),
    function("cat", "format, ...", (1, MANY), "", Means::Action(Act::Cat), "Prints a file."),

    // Networks.
    function("socket_cookie", "socket", (1, 1), "uint64", Means::Value(Value::SocketCookie), "The number that the kernel gave the socket."),
    function("skboutput", "\"file\", packet, length, offset", (4, 4), "uint32", Means::Value(Value::SkbOutput), "Appends a packet to a pcap file."),

    // What changes the system.
    function("system", "format, ...", (1, MANY), "", Means::Action(Act::System), "Lets a shell run a command, and prints its output."),
    function("signal", "signal", (1, 1), "", Means::Action(Act::Signal), "Sends a signal to the running process."),
    function("signal_thread", "signal", (1, 1), "", Means::Action(Act::SignalThread), "Sends a signal to the running thread."),
    function("override", "number", (1, 1), "", Means::Action(Act::Override), "The probed function does not run, and returns the number."),

    // Settled when the script is compiled.
    variable("config", "record", Means::Value(Value::Config), "The settings: `config.max_strlen`."),
    function("getopt", "\"name\"[, default[, \"description\"]]", (1, 3), "", Means::Value(Value::Getopt), "What follows `-- --name=` on the command line."),
    function("is_ptr", "value or type", (1, 1), "bool", Means::Value(Value::Is(Question::Pointer)), "Whether it is a pointer."),
    function("is_str", "value or type", (1, 1), "bool", Means::Value(Value::Is(Question::Str)), "Whether it is a string."),
    function("is_array", "value or type", (1, 1), "bool", Means::Value(Value::Is(Question::Array)), "Whether it is an array."),
    function("is_integer", "value or type", (1, 1), "bool", Means::Value(Value::Is(Question::Integer)), "Whether it is an integer."),
    function("is_unsigned_integer", "value or type", (1, 1), "bool", Means::Value(Value::Is(Question::Unsigned)), "Whether it is an integer without a sign."),
    function("is_literal", "value", (1, 1), "bool", Means::Value(Value::Is(Question::Literal)), "Whether it is written as a literal."),
    function("fail", "format, ...", (1, MANY), "", Means::Action(Act::Fail), "An error of the script, if it is reached."),

    // Macros of the library.
    library("static_assert", "condition, message", (2, 2), "", "Fails to compile if the condition is false."),
    library("assert_str", "value", (1, 1), "", "Fails to compile if the value is no string."),
    library("default_str_length", "", (0, 0), "uint64", "The capacity of strings of unknown length."),
    library("ppid", "[task]", (0, 1), "uint32", "The parent's process id."),
    library("pcomm", "[task]", (0, 1), "string", "The parent's name."),
    library("leader_tid", "[task]", (0, 1), "uint32", "The thread id of the thread group's leader."),
    library("leader_comm", "[task]", (0, 1), "string", "The name of the thread group's leader."),
    library("path", "pointer[, size]", (1, 2), "string", "The path of a `struct path`."),
    library("is_err", "pointer", (1, 1), "bool", "Whether a pointer of the kernel is an error number."),
    library("container_of", "pointer, type, member", (3, 3), "pointer", "The structure that a member belongs to."),
    library("ntohs", "number", (1, 1), "uint16", "A 16-bit number of the network in the CPU's order."),
    library("ntohl", "number", (1, 1), "uint32", "A 32-bit number of the network in the CPU's order."),

    function("write_user", "to, from, length", (3, 3), "", Means::Action(Act::WriteUser), "Writes memory of the process."),

    function("unwatch", "address", (1, 1), "", Means::Action(Act::Unwatch), "Removes the watchpoints of an address."),

    // Planned.
    later("dw_ustack", "it is to unwind the user stack by DWARF; `ustack` follows frame pointers, which programs have that are compiled with -fno-omit-frame-pointer"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (index, row) in BUILTINS.iter().enumerate() {
            assert!(!BUILTINS[..index].iter().any(|other| other.name == row.name), "{}", row.name);
        }
    }

    #[test]
    fn words_are_numbered() {
        assert_eq!(word_index("arg0"), Some(0));
        assert_eq!(word_index("arg12"), Some(12));
        for name in ["arg", "args", "arg01", "arg+1", "arg99999999999"] {
            assert_eq!(word_index(name), None, "{name}");
        }
    }
}
