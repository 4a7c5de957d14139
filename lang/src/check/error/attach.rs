//! What can be wrong with an attach point.

use miette::Diagnostic;
use rtscript_syntax::source::Span;
use thiserror::Error;

use super::DidYouMean;

#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum AttachFact {
    #[error("there is no probe type `{name}`")]
    #[diagnostic(code("rt::unknown-probe-type"))]
    UnknownProvider {
        name: String,
        #[label("unknown probe type")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    #[error("`{text}` is not written as this probe type wants it")]
    #[diagnostic(code("rt::attach-form"), help("write `{expected}`"))]
    Form {
        text: String,
        expected: String,
        #[label("expected `{expected}`")]
        at: Span,
    },
    #[error("there is no {what} `{name}`")]
    #[diagnostic(code("rt::unknown-probe"))]
    Unknown {
        what: String,
        name: String,
        #[label("no such {what}")]
        at: Span,
        #[help]
        help: Option<DidYouMean>,
    },
    #[error("nothing matches `{text}`")]
    #[diagnostic(code("rt::no-match"))]
    NoMatch {
        text: String,
        #[label("no match")]
        at: Span,
    },
    #[error("`{text}` cannot be traced: {reason}")]
    #[diagnostic(code("rt::unsupported"))]
    Unsupported {
        text: String,
        reason: String,
        #[label("this one")]
        at: Span,
    },
    #[error("the script has {found} attach points, and no more than {limit} are allowed")]
    #[diagnostic(code("rt::too-many-probes"), help("`config = {{ max_probes = {found} }}` allows them"))]
    TooManyProbes {
        found: usize,
        limit: u32,
        #[label("too many with this one")]
        at: Span,
    },
}
