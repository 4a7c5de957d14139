//! What can be wrong with asking the machine or the place where a program runs.

use miette::Diagnostic;
use rtscript_syntax::source::Span;
use thiserror::Error;

use super::DidYouMean;

#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum PlaceFact {
    /// A function that the kernel allows elsewhere.
    #[error("`{name}` cannot be used here: {reason}")]
    #[diagnostic(code("rt::not-here"))]
    NotHere {
        name: &'static str,
        reason: &'static str,
        #[label("not in this probe")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
    #[error("there is no cgroup `{path}`")]
    #[diagnostic(code("rt::unknown-cgroup"), help("it is a directory under /sys/fs/cgroup"))]
    UnknownCgroup {
        path: String,
        #[label("no such cgroup")]
        at: Span,
    },
    #[error("`{text}` is no network address")]
    #[diagnostic(code("rt::bad-address"), help("an address is written `127.0.0.1` or `::1`"))]
    BadAddress {
        text: String,
        #[label("neither IPv4 nor IPv6")]
        at: Span,
    },
    #[error("a namespace of processes is `init` or `curr_ns`")]
    #[diagnostic(code("rt::unknown-namespace"))]
    UnknownNamespace {
        #[label("neither of them")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    #[error("there is no register `{name}`")]
    #[diagnostic(code("rt::unknown-register"), help("registers are {names}"))]
    UnknownRegister {
        name: String,
        names: String,
        #[label("no such register")]
        at: Span,
    },
    /// A part of the program's context that is not at a constant place.
    #[error("the context of a probe is read at places that are known when the script is compiled")]
    #[diagnostic(code("rt::context"))]
    Context {
        #[label("known only when the script runs")]
        at: Span,
    },
}
