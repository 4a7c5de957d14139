//! What a probe type is to the language: names, attach points, and what a body can see, all as data.
//!
//! A provider lives in `runtime/src/providers/`, one file each, and is registered by one line there. The
//! language and the code generator know none of them by name: all that the generator needs to read an
//! argument is its [`Place`].

use rtscript_syntax::source::Span;

use crate::kernel::{Kernel, KernelError};
use crate::operand::Operand;
use crate::types::{Structs, Type};

/// A probe type.
pub trait Provider: Sync {
    /// The full name first, then the short and the old ones.
    fn names(&self) -> &'static [&'static str];

    /// Whether `name` means this provider, in any case; but `u` and `U` differ, as all names of one letter do.
    fn is_named(&self, name: &str) -> bool {
        self.names().iter().any(|known| *known == name || known.len() > 1 && known.eq_ignore_ascii_case(name))
    }

    /// One line for help and documentation.
    fn doc(&self) -> &'static str;

    /// Everything that an attach point stands for, with wildcards expanded, in the kernel's order. `point` is
    /// the text behind the provider's name and its colon (empty if there is none).
    fn expand(&self, point: &str, kernel: &dyn Kernel) -> Result<Expansion, AttachError>;

    /// What a body attached to `target` can see.
    fn context(
        &self,
        target: &Target,
        kernel: &dyn Kernel,
        structs: &mut Structs,
    ) -> Result<Context, AttachError>;

    /// The same for a body that uses neither `args` nor `retval`, where that is found faster.
    fn context_without_types(
        &self,
        target: &Target,
        kernel: &dyn Kernel,
        structs: &mut Structs,
    ) -> Result<Context, AttachError> {
        self.context(target, kernel, structs)
    }

    /// Where the target shares its event with others: how to tell it from them. Such an event is attached to once
    /// for each body, and does not fire for system calls of 32-bit programs.
    fn dispatch(&self, _: &Target) -> Option<Dispatch> {
        None
    }

    /// Whether it has the places of another type once more, so that it is listed only where it is asked for by name.
    fn is_the_end(&self) -> bool {
        false
    }

    /// Whether its places are in files of the machine, of which there are too many to list them unasked.
    fn is_in_files(&self) -> bool {
        false
    }

    /// The full names that match `pattern` (as in `expand`, but finding nothing is no error).
    fn list(&self, pattern: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError>;

    /// The typed arguments as C declarations, one line each, for `-lv`.
    fn describe(&self, target: &Target, kernel: &dyn Kernel) -> Result<Vec<String>, AttachError>;

    /// Where a symbol of the program or library that `target` is in lies; `None` if it has no such symbol, or none at all.
    fn user_address(&self, _target: &Target, _name: &str) -> Result<Option<UserAddress>, AttachError> {
        Ok(None)
    }

    /// The kernel's structure that `ctx` points at, where each target has its own. Such a context is never shared.
    fn context_struct(&self, _: &Target) -> Option<String> {
        None
    }

    /// Whether the programs of `target` print into the file by whose reading they are run: nobody takes their events.
    fn prints_to_reader(&self, _: &Target) -> bool {
        false
    }

    /// Whether its programs run where a function returns, far from where it began.
    fn is_at_return(&self) -> bool {
        false
    }

    /// What `probetype` is in its probes.
    fn probe_type(&self) -> &'static str {
        self.names()[0]
    }

    /// When programs of this provider run relative to attaching.
    fn phase(&self) -> Phase {
        Phase::Attached
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Once, before anything is attached.
    Begin,
    /// Whenever the kernel runs them, while attached.
    Attached,
    /// While attached, whenever the tracer itself gets the signal.
    Signal,
    /// Once, after everything is detached.
    End,
    /// Once, where tests are asked for, and nothing is attached.
    Test,
    /// Many times, where benchmarks are asked for, and nothing is attached.
    Bench,
}

/// The targets of one attach point.
#[derive(Clone, Debug)]
pub struct Expansion {
    pub targets: Vec<Target>,
    /// Whether the attach point has a wildcard: then one program may serve all targets.
    pub wildcard: bool,
}

/// One thing to attach to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The provider's full name: `Provider::names()[0]`.
    pub provider: &'static str,
    /// The full name, as `probe` prints it and `-l` lists it: `tracepoint:task:task_rename`.
    pub name: String,
}

impl Target {
    /// The part of the name behind the provider and its colon.
    pub fn point(&self) -> &str {
        self.name.split_once(':').map_or("", |(_, point)| point)
    }
}

/// Why an attach point is wrong.
#[derive(Clone, Debug)]
pub enum AttachError {
    /// It is not of the provider's form; says which form is.
    Form { expected: &'static str },
    /// There is no such thing to attach to; with the nearest names that exist.
    Unknown { what: String, name: String, nearest: Vec<String> },
    /// A wildcard matches nothing.
    NoMatch,
    /// This kernel does not offer it; says why.
    Unsupported { reason: String },
    /// A fact of the kernel could not be had.
    Kernel(KernelError),
}

impl From<KernelError> for AttachError {
    fn from(error: KernelError) -> Self {
        AttachError::Kernel(error)
    }
}

/// Where a symbol lies in a process, and its size in bytes (0 where that is not known).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAddress {
    /// So far behind the probe's own address: the file lies elsewhere in each process.
    FromProbe {
        distance: i64,
        size: u64,
    },
    Fixed {
        address: u64,
        size: u64,
    },
}

/// One event of the kernel that stands for many targets: a number that comes with it says which of them it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dispatch {
    /// Where the number is; a `u64`.
    pub place: Place,
    /// The number of this target.
    pub number: u32,
}

/// What a body can see.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    pub program: ProgramKind,
    /// The arguments by name: `args.name`.
    pub args: Vec<Arg>,
    /// `arg0`, `arg1`, …: where each lies; all have the type `int64`.
    pub words: Vec<Place>,
    pub retval: Option<Arg>,
    /// The space of an integer that is cast to a pointer.
    pub space: crate::types::Space,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    pub name: String,
    pub ty: Type,
    pub place: Place,
}

/// Where an argument lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The `u64` at this byte offset of the context holds the value, cut to the argument's type.
    Word(u32),
    /// The argument's own bytes lie at this offset of the context. A string is that many bytes.
    Bytes(u32),
    /// The `u32` at this offset of the context says where the bytes lie: offset in the context (low half) and
    /// length (high half). The kernel's `__data_loc`.
    DataLoc(u32),
    /// Like `DataLoc`, but the offset counts from behind the `u32` itself. The kernel's `__rel_loc`.
    RelLoc(u32),
    /// The context's word at `word` is the address of a structure in kernel memory, and the value is the `u64` at
    /// `offset` of it: registers in a `pt_regs`.
    Indirect { word: u32, offset: u32 },
    /// A value of the process that the program runs in.
    Operand(Operand),
    /// The same, elsewhere at each of the sites that the program is attached to: the upper half of the attachment's cookie is the
    /// number of the site's operand.
    BySite(&'static [Operand]),
    /// What the traced function returned, which the kernel is asked for (5.17 and later): for it may take another number of arguments
    /// than its types say.
    Returned,
    /// It is there, and cannot be had: a floating-point register.
    Unreadable,
}

/// The kernel's program type; it decides how a program is loaded and what its section is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProgramKind {
    RawTracepoint,
    Tracepoint,
    PerfEvent,
    /// The context is the registers.
    Uprobe,
    /// At a function's beginning or within it; the context is the registers.
    Kprobe,
    /// At a function's end.
    Kretprobe,
    /// At the beginning of a function that BTF describes; the context is its arguments.
    Fentry,
    /// At its end; behind the arguments is what it returns.
    Fexit,
    /// For each object of a kind, while somebody reads the iterator, and once more behind the last one. The context is a
    /// structure, `bpf_iter__NAME`; its first member is the iteration's, and its last pointer is null where there is no object.
    Iter,
}

impl ProgramKind {
    /// Whether it runs on behalf of whichever process is current, so that `-p` is a condition on it.
    pub fn belongs_to_a_process(self) -> bool {
        match self {
            ProgramKind::RawTracepoint
            | ProgramKind::Tracepoint
            | ProgramKind::Kprobe
            | ProgramKind::Kretprobe
            | ProgramKind::Fentry
            | ProgramKind::Fexit => true,
            // They are told where they are attached.
            ProgramKind::PerfEvent | ProgramKind::Uprobe | ProgramKind::Iter => false,
        }
    }
}

/// A block's attach point as the script has it, for diagnostics.
#[derive(Clone, Debug)]
pub struct AttachPoint {
    pub text: String,
    pub span: Span,
}
