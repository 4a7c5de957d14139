//! What can be wrong with C definitions and macros.

use miette::Diagnostic;
use rtscript_syntax::source::Span;
use thiserror::Error;

use super::words;

#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum CFact {
    /// A macro that is more, or less, than an expression.
    #[error("the macro `{name}` is no expression")]
    #[diagnostic(code("rt::macro-body"), help("a macro can stand for an expression or for a type"))]
    NoExpression {
        name: String,
        #[label("used here")]
        at: Span,
        #[label("what it stands for cannot be read as one expression")]
        defined: Span,
    },

    #[error("the macro `{name}` takes {expected}")]
    #[diagnostic(code("rt::macro-arguments"))]
    Arguments {
        name: String,
        expected: String,
        #[label("{expected} expected")]
        at: Span,
        #[label("defined here")]
        defined: Span,
    },

    /// Macros that double and double again, or that stand in each other.
    #[error("the macros of this script stand for too much")]
    #[diagnostic(
        code("rt::macro-size"),
        help("up to 64 macros may stand in each other, and names may be replaced 100000 times in all")
    )]
    MacroSize {
        name: String,
        #[label("`{name}` is not replaced any more")]
        at: Span,
        #[label("defined here")]
        defined: Span,
    },

    #[error("the macro `{name}` leads back to itself")]
    #[diagnostic(code("rt::macro-cycle"))]
    Cycle {
        name: String,
        #[label("stands for nothing in the end")]
        at: Span,
        #[label("defined here")]
        defined: Span,
    },

    #[error("{what} is defined twice")]
    #[diagnostic(code("rt::defined-twice"))]
    Redefined {
        what: String,
        #[label("again")]
        at: Span,
        #[label("first here")]
        first: Span,
    },

    #[error("the enumerator `{name}` is there twice")]
    #[diagnostic(code("rt::defined-twice"))]
    EnumeratorTwice {
        name: String,
        #[label("again")]
        at: Span,
    },

    /// A type whose size is not known, where a value of it is wanted.
    #[error("nothing says how large `{ty}` is")]
    #[diagnostic(code("rt::incomplete"), help("define it further up, or use a pointer to it"))]
    Incomplete {
        ty: String,
        #[label("it is only declared")]
        at: Span,
    },

    #[error("`{ty}` would hold itself")]
    #[diagnostic(code("rt::holds-itself"), help("a member may be a pointer to it: `{ty} *`"))]
    HoldsItself {
        ty: String,
        #[label("is a part of itself")]
        at: Span,
    },

    #[error("a bit-field of `{ty}` cannot be {width} wide")]
    #[diagnostic(code("rt::bad-width"))]
    BadWidth {
        ty: String,
        width: i128,
        #[label("not as many bits as its type has")]
        at: Span,
    },

    #[error("`{from}` cannot become `{to}`: it has {} instead of {wants}", words::counted(*has, "byte"))]
    #[diagnostic(code("rt::cast-size"))]
    CastSize {
        from: String,
        to: String,
        has: u32,
        wants: u32,
        #[label("{}", words::counted(*has, "byte"))]
        at: Span,
    },

    #[error("this has no address")]
    #[diagnostic(code("rt::no-address"))]
    NoAddress {
        #[label("neither a variable, a map, nor memory of what is traced")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },

    #[error("a type of more than 256 MiB")]
    #[diagnostic(code("rt::too-large"))]
    TooLarge {
        #[label("too large")]
        at: Span,
    },
}

/// What stands behind the name of a macro.
pub fn macro_arguments(params: Option<usize>) -> String {
    match params {
        None => "no arguments".to_string(),
        Some(1) => "one argument in brackets".to_string(),
        Some(count) => format!("{count} arguments in brackets"),
    }
}
