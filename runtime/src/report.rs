//! What is said on standard error: every failure and warning of a run, with the script's own lines where there are
//! some. All wording of the runtime's own failures is here.
//!
//! Rendering is miette's: with frames and colours in the binary where the output is a terminal and `NO_COLOR` is not
//! set, plain otherwise. A closed standard error is no reason to fail.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use miette::{Diagnostic, Report, Severity};
use rtscript_codegen::insn::DecodeError;
use rtscript_codegen::object::SiteKind;
use rtscript_lang::expand::Called;
use rtscript_lang::kernel::KernelError;
use rtscript_lang::provider::AttachError;
use rtscript_lang::syntax::source::{Sources, Span};
use thiserror::Error;

use crate::bpf::errno;

/// The exit code where the command line or the script is wrong.
pub const WRONG: u8 = 1;
/// The exit code where the kernel refuses to load or to attach.
pub const REFUSED: u8 = 255;

/// So many errors and warnings of a script are shown; the others are counted.
pub const MOST_SHOWN: usize = 20;

/// Why a run ended before its time: what to say, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub problems: Vec<Problem>,
}

#[derive(Debug)]
pub enum Problem {
    /// One line, without a place in a script.
    Line(String),
    Report(Report),
}

impl Failure {
    /// A failure that one line tells.
    pub fn line(message: impl Into<String>) -> Failure {
        Failure { code: WRONG, problems: vec![Problem::Line(message.into())] }
    }

    /// Everything that is wrong with a script.
    pub fn wrong<E: Diagnostic + Send + Sync + 'static>(errors: Vec<E>, sources: &Sources) -> Failure {
        let more = more(errors.len(), "error");
        let report = |error| Problem::Report(at_calls(error, sources));
        let shown = errors.into_iter().take(MOST_SHOWN).map(report);
        Failure { code: WRONG, problems: shown.chain(more.map(Problem::Line)).collect() }
    }

    /// The kernel does not take what was compiled.
    pub fn refused<E: Diagnostic + Send + Sync + 'static>(error: E, sources: &Sources) -> Failure {
        let report = at_calls(error, sources);
        Failure { code: REFUSED, problems: vec![Problem::Report(report)] }
    }

    /// Output that could not be written. Whoever closed it has enough: that is no failure worth words.
    pub fn unwritten(what: &str, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure { code: 0, problems: Vec::new() },
            _ => Failure::line(format!("cannot write {what}: {error}")),
        }
    }

    pub fn show(&self) {
        for problem in &self.problems {
            match problem {
                Problem::Line(message) => say(format_args!("rtscript: {message}")),
                Problem::Report(report) => say(format_args!("{report:?}")),
            }
        }
    }
}

/// What is said of those that are not shown.
pub fn more(count: usize, what: &str) -> Option<String> {
    match count.saturating_sub(MOST_SHOWN) {
        0 => None,
        1 => Some(format!("there is 1 more {what}")),
        more => Some(format!("there are {more} more {what}s")),
    }
}

/// A line on standard error.
pub fn say(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// A warning that has a place in the script.
pub fn warn<W: Diagnostic + Send + Sync + 'static>(warning: W, sources: &Sources) {
    say(format_args!("{:?}", at_calls(warning, sources)));
}

/// A report that also shows the calls of macros that led to it.
fn at_calls<E: Diagnostic + Send + Sync + 'static>(error: E, sources: &Sources) -> Report {
    Report::new(Called::new(error, sources))
}

/// An attach point that the kernel does not let us attach to.
#[derive(Debug, Error, Diagnostic)]
#[error("there is no file {path}")]
#[diagnostic(
    code("rt::include"),
    help("it is looked for beside the file that includes it, then in the directories of -I and of CPATH")
)]
pub struct MissingInclude {
    pub path: String,
    #[label("included here")]
    pub at: Span,
}

/// A probe that no program of the kernel can be made of.
#[derive(Debug, Error, Diagnostic)]
#[error("this probe is too large for a program of the kernel")]
#[diagnostic(code("rt::too-large"), help("long strings, large values and unrolled loops make it so"))]
pub struct TooLarge {
    #[label("this probe")]
    pub span: Span,
}

/// A probe that uses more maps than a program can.
#[derive(Debug, Error, Diagnostic)]
#[error("this probe uses {found} maps, with rtscript's own, and a program of the kernel can use 64")]
#[diagnostic(code("rt::too-many-maps"), help("one map whose key says what is meant can stand for many"))]
pub struct TooManyMaps {
    pub found: usize,
    #[label("this probe")]
    pub span: Span,
}

/// What clang made of a function is more than a program can be made of.
#[derive(Debug, Error, Diagnostic)]
#[error("a function in C that this probe calls cannot be linked: {error}")]
#[diagnostic(code("rt::import"))]
pub struct NotLinked {
    pub error: DecodeError,
    #[label("this probe")]
    pub span: Span,
}

/// An `import` that is not followed.
#[derive(Debug, Error, Diagnostic)]
#[error("{message}")]
#[diagnostic(code("rt::import"))]
pub struct ImportRefused {
    pub message: String,
    #[label("imported here")]
    pub span: Span,
    #[help]
    pub help: Option<String>,
}

#[derive(Debug, Error, Diagnostic)]
#[error("cannot attach to {target}: {error}")]
#[diagnostic(code("rt::attach"))]
pub struct AttachRefused {
    pub target: String,
    pub error: io::Error,
    #[label("this probe")]
    pub span: Span,
    #[help]
    pub help: Option<String>,
}

impl AttachRefused {
    pub fn new(target: &str, error: io::Error, span: Span) -> AttachRefused {
        let help = match errno(&error) {
            Some(libc::EPERM | libc::EACCES) => {
                Some("this kernel forbids it, although the process has the capabilities to trace")
            }
            Some(libc::ENOENT) => {
                Some("this kernel has no such event; the one the script was checked for had")
            }
            Some(libc::EMFILE) => {
                Some("each attach point takes a descriptor: raise the limit (ulimit -n) or attach to less")
            }
            Some(_) | None => None,
        };
        AttachRefused { target: target.to_owned(), error, span, help: help.map(str::to_owned) }
    }
}

/// An iterator that cannot be pinned.
#[derive(Debug, Error, Diagnostic)]
#[error("cannot pin to {}: {error}", path.display())]
#[diagnostic(code("rt::pin"))]
pub struct PinRefused {
    pub path: PathBuf,
    pub error: io::Error,
    #[label("this probe")]
    pub span: Span,
    #[help]
    pub help: Option<&'static str>,
}

impl PinRefused {
    pub fn new(path: PathBuf, error: io::Error, span: Span) -> PinRefused {
        let help = match errno(&error) {
            Some(libc::EEXIST) => Some("something has this name: remove it, or take another one"),
            Some(libc::EPERM) => {
                Some("there is no BPF file system: `mount -t bpf bpf /sys/fs/bpf` makes one")
            }
            Some(libc::ENOENT) => Some("there is no such directory"),
            Some(_) | None => None,
        };
        PinRefused { path, error, span, help }
    }
}

/// Matches of a wildcard that could not be attached to, while others could.
#[derive(Debug, Error)]
#[error("{count} of {all} matches could not be attached to; the first is {first}: {error}")]
pub struct SomeRefused {
    pub count: usize,
    pub all: usize,
    pub first: String,
    pub error: io::Error,
    pub span: Span,
}

impl Diagnostic for SomeRefused {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new("rt::attach"))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Warning)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        label("this probe", self.span)
    }
}

/// Something that went wrong while the script ran, at one place of it.
#[derive(Debug)]
pub struct SiteWarning {
    pub kind: SiteKind,
    pub count: u32,
    /// The last error number that the kernel gave, where it gave one.
    pub error: i32,
    pub span: Span,
}

impl SiteWarning {
    /// What went wrong, without how often.
    pub fn message(&self) -> &'static str {
        match self.kind {
            SiteKind::ReadFailed => "memory could not be read; the value was taken as 0",
            SiteKind::MapFull if self.is_full() => "the map is full: a new element was not stored",
            SiteKind::MapFull => "the kernel had no memory at hand for a new element of the map",
            SiteKind::LookupMissing => "there was no such element; the value was taken as 0",
            SiteKind::DeleteMissing => "there was no such element to delete",
            SiteKind::DivideByZero => "division or modulo by 0; the result was taken as 1",
            SiteKind::LoopCut => "the loop was cut: it reached the kernel's limit",
            SiteKind::SignalFailed => "the kernel did not send the signal",
            SiteKind::WriteFailed => "the memory of the process could not be written",
        }
    }

    /// Whether a map had no room, and not the kernel no memory that a program may take at that moment.
    pub fn is_full(&self) -> bool {
        self.kind == SiteKind::MapFull && self.error != -libc::ENOMEM
    }

    /// The kernel's helper that failed, where one did.
    pub fn helper(&self) -> Option<&'static str> {
        match self.kind {
            SiteKind::ReadFailed => Some("probe_read"),
            SiteKind::MapFull => Some("map_update_elem"),
            SiteKind::LookupMissing => Some("map_lookup_elem"),
            SiteKind::DeleteMissing => Some("map_delete_elem"),
            SiteKind::SignalFailed => Some("send_signal"),
            SiteKind::WriteFailed => Some("probe_write_user"),
            SiteKind::DivideByZero | SiteKind::LoopCut => None,
        }
    }
}

impl fmt::Display for SiteWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        match self.count {
            0 | 1 => Ok(()),
            count => write!(f, " ({count} times)"),
        }
    }
}

impl std::error::Error for SiteWarning {}

impl Diagnostic for SiteWarning {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(match self.kind {
            SiteKind::ReadFailed => "rt::read-failed",
            SiteKind::MapFull if self.is_full() => "rt::map-full",
            SiteKind::MapFull => "rt::map-memory",
            SiteKind::LookupMissing => "rt::lookup-missing",
            SiteKind::DeleteMissing => "rt::delete-missing",
            SiteKind::DivideByZero => "rt::divide-by-zero",
            SiteKind::LoopCut => "rt::loop-cut",
            SiteKind::SignalFailed => "rt::signal-failed",
            SiteKind::WriteFailed => "rt::write-failed",
        }))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Warning)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        label("here", self.span)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        match self.kind {
            SiteKind::MapFull if self.is_full() => {
                Some(Box::new("give it more room: config = { max_map_keys = … }, or let @name = hash(…)"))
            }
            SiteKind::ReadFailed if self.error == -libc::ERANGE => {
                Some(Box::new("the address is not one of the kernel's memory"))
            }
            SiteKind::ReadFailed if self.error == -libc::EFAULT => {
                Some(Box::new("there is no memory at that address, or it is not in RAM"))
            }
            SiteKind::MapFull
            | SiteKind::ReadFailed
            | SiteKind::LookupMissing
            | SiteKind::DeleteMissing
            | SiteKind::DivideByZero
            | SiteKind::SignalFailed
            | SiteKind::WriteFailed
            | SiteKind::LoopCut => None,
        }
    }
}

fn label(text: &str, span: Span) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan>>> {
    let label = miette::LabeledSpan::new_with_span(Some(text.to_owned()), span);
    Some(Box::new(std::iter::once(label)))
}

/// Why attach points cannot be listed, as one line.
pub fn list_failure(error: &AttachError) -> String {
    match error {
        AttachError::Form { expected } => format!("an attach point of this type is {expected}"),
        AttachError::Unknown { what, name, .. } => format!("there is no {what} {name}"),
        AttachError::NoMatch => "nothing matches".to_owned(),
        AttachError::Unsupported { reason } => reason.clone(),
        AttachError::Kernel(KernelError::Missing { what }) => format!("{what} is missing"),
        AttachError::Kernel(KernelError::Denied { what, help }) => {
            format!("{what} cannot be read: {help}")
        }
        AttachError::Kernel(KernelError::Malformed { what, reason }) => {
            format!("{what} makes no sense: {reason}")
        }
    }
}
