//! What is said about what must be known when a script is compiled.

use miette::Diagnostic;
use rtscript_syntax::source::Span;
use thiserror::Error;

use super::DidYouMean;

#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum KnownFact {
    #[error("this is not known when the script is compiled")]
    #[diagnostic(
        code("rt::not-known"),
        help("`comptime` takes literals, parameters, settings and questions about types")
    )]
    NotKnown {
        #[label("known only when the program runs")]
        at: Span,
    },
    /// A `fail` that is reached.
    #[error("{message}")]
    #[diagnostic(code("rt::failed"))]
    Failed {
        message: String,
        #[label("the script fails here")]
        at: Span,
    },
    /// `-- --name=value`, and no `getopt` asks for it.
    #[error("the script has no option `--{name}`")]
    #[diagnostic(code("rt::unknown-option"))]
    UnknownOption {
        name: String,
        #[help]
        help: Option<DidYouMean>,
    },
    #[error("the option `--{name}` has another default elsewhere")]
    #[diagnostic(code("rt::other-default"), help("a macro can hold the `getopt` for all places"))]
    OtherDefault {
        name: String,
        #[label("another default here")]
        at: Span,
        #[label("asked for here first")]
        first: Span,
    },
    /// The value of an option is not of the type of its default.
    #[error("the option `--{name}` takes {expected}, and is `{value}`")]
    #[diagnostic(code("rt::bad-option"))]
    BadOption {
        name: String,
        expected: &'static str,
        value: String,
        #[label("asked for here")]
        at: Span,
    },
}
