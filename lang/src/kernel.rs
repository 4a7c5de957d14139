//! Facts about a kernel, asked for when they are needed.
//!
//! The language does no I/O: the runtime answers for the running kernel, and tests for one made of files.

mod fixture;
mod format;

use crate::btf::Btf;
use crate::provider::ProgramKind;

pub use fixture::FixtureKernel;

/// A kernel that scripts are checked against.
pub trait Kernel {
    /// The types of the kernel proper, `vmlinux`.
    fn btf(&self) -> Result<&Btf, KernelError> {
        self.module_btf(0)
    }

    /// The names of what has BTF of its own: `vmlinux` first, then the loaded modules.
    fn modules(&self) -> Result<&[String], KernelError>;

    /// The types of a module by its position in `modules`; a module's own BTF finds those of `vmlinux` too.
    fn module_btf(&self, module: u16) -> Result<&Btf, KernelError>;

    /// The layout of a tracepoint's record.
    fn tracepoint_format(&self, category: &str, event: &str) -> Result<TracepointFormat, KernelError>;

    /// All tracepoints as `(category, event)`, in the kernel's order.
    fn tracepoints(&self) -> Result<Vec<(String, String)>, KernelError>;

    /// The functions that can be traced, as `(module, function)`, in the kernel's order; `vmlinux` is the kernel itself. A name
    /// may be there more than once.
    fn traceable_functions(&self) -> Result<&[(String, String)], KernelError>;

    /// The address of a kernel symbol; `None` if there is no such symbol.
    fn symbol_address(&self, name: &str) -> Result<Option<u64>, KernelError>;

    /// The process of `-p`, where attach points may depend on it.
    fn process(&self) -> Option<u32> {
        None
    }

    /// Directories with debug information of programs; empty: where distributions put it.
    fn debug_dirs(&self) -> &[String] {
        &[]
    }

    /// The id of the cgroup whose directory this is; `None` if there is no such cgroup.
    fn cgroup_id(&self, path: &str) -> Option<u64> {
        let _ = path;
        None
    }

    /// The namespace of processes that this process lives in, by the device and the inode of its file; `None` for the
    /// initial one.
    fn pid_namespace(&self) -> Option<(u64, u64)> {
        None
    }

    /// Whether programs of this kind may call the kfunc.
    fn allows_kfunc(&self, name: &str, program: ProgramKind) -> bool {
        let _ = (name, program);
        false
    }

    /// Whether programs may write the memory of processes.
    fn allows_write_user(&self) -> bool {
        false
    }

    /// The functions of the BPF programs that run, as far as types describe them.
    fn bpf_functions(&self) -> Result<&[BpfFunction], KernelError> {
        Ok(&[])
    }

    /// Whether kprobes may replace what functions return.
    fn allows_override(&self) -> bool {
        false
    }

    /// `HZ`: how often the kernel's timer ticks in a second; `None` where that is not known.
    fn ticks_per_second(&self) -> Option<u32> {
        None
    }

    fn cpu_count(&self) -> u32;

    fn features(&self) -> &Features;
}

/// From this position on `Kernel::module_btf` has the types of BPF programs.
pub const FIRST_PROGRAM: u16 = 0x8000;

/// A function of a BPF program that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpfFunction {
    /// The program's number in the kernel.
    pub program: u32,
    pub name: String,
    /// Whose types describe it: a position for `Kernel::module_btf`.
    pub types: u16,
    /// Its BTF id there.
    pub id: u32,
}

/// The record of a tracepoint, as its `format` file describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TracepointFormat {
    pub id: u32,
    /// Without the common fields at the start of every record.
    pub fields: Vec<TracepointField>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointField {
    /// The type as C writes it, without the name: `char`, `const char *`, `pid_t`.
    pub ty: String,
    pub name: String,
    /// For `char comm[16]`: 16.
    pub array: Option<u32>,
    pub offset: u32,
    pub size: u32,
    pub signed: bool,
    pub location: FieldLocation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldLocation {
    /// In the record itself.
    Inline,
    /// `__data_loc`: a `u32` with the offset in the record and the length.
    DataLoc,
    /// `__rel_loc`: the same, the offset counted from behind the `u32`.
    RelLoc,
}

/// What a kernel's BPF offers, as far as the compiler chooses by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// The kfunc `bpf_rdonly_cast` takes any address as plain memory (6.17 and later; from 6.2 on it asks for a structure).
    /// Its id is looked up when a program that calls it is loaded.
    pub rdonly_cast: bool,
    /// The instruction `may_goto` (6.9 and later).
    pub may_goto: bool,
    /// The helper `bpf_loop` (5.17 and later).
    pub bpf_loop: bool,
    /// The instructions of ISA v4: signed division, sign-extending loads and moves (6.6 and later).
    pub isa_v4: bool,
    /// The helper `bpf_for_each_map_elem` (5.13 and later).
    pub for_each: bool,
    /// The helper `bpf_map_lookup_percpu_elem` (5.19 and later).
    pub percpu_lookup: bool,
    /// Programs of uprobes may sleep, whatever maps they use (6.1 and later).
    pub sleepable: bool,
    /// Raw tracepoints tell a program which of its attach points has fired (6.10 and later).
    pub raw_cookies: bool,
    /// Perf events and kprobes do (5.15 and later).
    pub perf_cookies: bool,
    /// Probes of functions that BTF describes do (5.19 and later).
    pub tracing_cookies: bool,
    /// The helper `bpf_get_func_ip` (5.15 and later).
    pub func_ip: bool,
    /// That helper knows the function that returns in a uretprobe (6.6 and later).
    pub uretprobe_func_ip: bool,
}

impl Features {
    /// Whether loops may have many rounds, without the verifier walking each of them.
    pub fn has_loops(&self) -> bool {
        self.may_goto || self.bpf_loop
    }

    /// Whether one program of this kind can serve several attach points and tell them apart.
    pub fn tells_attach_points_apart(&self, kind: ProgramKind) -> bool {
        match kind {
            ProgramKind::RawTracepoint => self.raw_cookies,
            ProgramKind::Tracepoint
            | ProgramKind::PerfEvent
            | ProgramKind::Kprobe
            | ProgramKind::Kretprobe
            | ProgramKind::Uprobe => self.perf_cookies,
            ProgramKind::Fentry | ProgramKind::Fexit => self.tracing_cookies,
            ProgramKind::Iter => false,
        }
    }
}

/// Why a fact could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// The kernel was built without it, or it is not there: says what is missing.
    Missing { what: String },
    /// It is there and must not be read: says what, and what would help.
    Denied { what: String, help: String },
    /// It is there and makes no sense.
    Malformed { what: String, reason: String },
}
