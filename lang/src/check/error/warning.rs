//! What is legal and probably not meant.

use miette::Diagnostic;
use rtscript_syntax::source::Span;
use thiserror::Error;

use super::{DidYouMean, start_of};

/// What is legal and probably not meant.
#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum Warning {
    /// Signed and unsigned 64-bit values in one place.
    #[error("{what} holds signed and unsigned values, and is `int64`")]
    #[diagnostic(
        code("rt::sign"),
        severity(warning),
        help("a cast, such as `(uint64)`, says which is meant")
    )]
    MixedSigns {
        what: String,
        #[label("unsigned values above 2^63 are read as negative")]
        at: Span,
    },
    #[error("a signed and an unsigned number are compared as signed ones")]
    #[diagnostic(
        code("rt::sign"),
        severity(warning),
        help("a cast, such as `(uint64)`, says which is meant")
    )]
    MixedComparison {
        #[label("this is signed")]
        signed: Span,
        #[label("this is not")]
        unsigned: Span,
    },
    /// A value that is wider than the variable's annotated type.
    #[error("`{from}` is cut to `{to}`")]
    #[diagnostic(code("rt::narrowing"), severity(warning), help("a cast, `({to})`, says that this is meant"))]
    Narrowing {
        from: String,
        to: String,
        #[label("this is `{from}`")]
        at: Span,
    },
    /// A variable that is read where the block has ended that assigns to it first.
    #[error("`${name}` outlives its block")]
    #[diagnostic(
        code("rt::outlives"),
        severity(warning),
        help("`let ${name};` in front of the block says that this is meant")
    )]
    Outlives {
        name: String,
        #[label("assigned in this block")]
        at: Span,
        #[label("read behind it")]
        read: Span,
    },
    /// An attach point that does not exist, with `missing_probes = warn`.
    #[error("`{text}` does not exist, and is left out")]
    #[diagnostic(code("rt::missing-probe"), severity(warning))]
    MissingProbe {
        text: String,
        #[label("no match")]
        at: Span,
    },
    /// A map that is read and that nothing assigns.
    #[error("nothing is ever stored in `@{name}`")]
    #[diagnostic(code("rt::unknown-map"), severity(warning))]
    NeverStored {
        name: String,
        #[label("always 0")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    /// In an iterator, something of the process that reads it.
    #[error("in an iterator `{name}` is of the process that reads it")]
    #[diagnostic(
        code("rt::reader"),
        severity(warning),
        help("the object is a member of `ctx`: `ctx.task.tgid`, `ctx.task.comm`")
    )]
    OfReader {
        name: &'static str,
        #[label("of rtscript itself")]
        at: Span,
    },
    /// `cpid` where `-c` started nothing.
    #[error("there is no command, so `cpid` is 0")]
    #[diagnostic(code("rt::no-child"), severity(warning), help("`-c` starts one, and `has_cpid` tells"))]
    NoChild {
        #[label("0")]
        at: Span,
    },
    #[error("the value of this expression is not used")]
    #[diagnostic(code("rt::unused"), severity(warning), help("`_ = …` says that this is meant"))]
    Unused {
        #[label("has no effect")]
        at: Span,
    },
    #[error("`{what}` may still change")]
    #[diagnostic(
        code("rt::unstable"),
        severity(warning),
        help("config = {{ {key} = enable }} says that this is known")
    )]
    Unstable {
        what: &'static str,
        key: &'static str,
        #[label("used here")]
        at: Span,
    },
    #[error("`debugf` is for debugging: it writes to a buffer that the whole system shares")]
    #[diagnostic(
        code("rt::debug"),
        severity(warning),
        help("read it in /sys/kernel/tracing/trace_pipe; `printf` is faster, and prints here")
    )]
    Debug {
        #[label("goes to the kernel's trace pipe")]
        at: Span,
    },
    #[error("a shift by {count} takes the lowest 6 bits of it, which are {}", count & 63)]
    #[diagnostic(code("rt::shift-count"), severity(warning))]
    ShiftCount {
        count: i128,
        #[label("a number from 0 to 63 is meant")]
        at: Span,
    },
    #[error("statements after this one are never reached")]
    #[diagnostic(code("rt::unreachable"), severity(warning))]
    Unreachable {
        #[label("never reached")]
        at: Span,
    },
}

impl Warning {
    pub fn start(&self) -> usize {
        start_of(self)
    }
}
