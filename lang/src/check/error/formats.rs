//! What can be wrong with a format.

use miette::Diagnostic;
use rtscript_syntax::source::Span;
use thiserror::Error;

use super::words;

#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum FormatFact {
    #[error("the format wants {}, and got {found}", words::arguments(*expected))]
    #[diagnostic(code("rt::format-count"))]
    Missing {
        expected: usize,
        found: usize,
        #[label("`{spec}` has no argument")]
        at: Span,
        spec: String,
    },
    #[error("the format wants {}, and got {found}", words::arguments(*expected))]
    #[diagnostic(code("rt::format-count"))]
    Extra {
        expected: usize,
        found: usize,
        #[label("nothing in the format prints this")]
        at: Span,
    },
    #[error("`{spec}` prints {expected}, and its argument is `{found}`")]
    #[diagnostic(code("rt::format-type"))]
    Type {
        spec: String,
        expected: &'static str,
        found: String,
        #[label("prints {expected}")]
        at: Span,
        #[label("this is `{found}`")]
        argument: Span,
        #[help]
        help: Option<&'static str>,
    },
    #[error("`{spec}` is no format: {reason}")]
    #[diagnostic(code("rt::bad-format"))]
    BadFormat {
        spec: String,
        reason: &'static str,
        #[label("{reason}")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
}
