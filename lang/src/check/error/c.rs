//! What can be wrong with C definitions and macros.

use miette::Diagnostic;
use rtscript_syntax::source::Span;
use thiserror::Error;

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

    #[error("the macro `{name}` leads back to itself")]
    #[diagnostic(code("rt::macro-cycle"))]
    Cycle {
        name: String,
        #[label("stands for nothing in the end")]
        at: Span,
        #[label("defined here")]
        defined: Span,
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
