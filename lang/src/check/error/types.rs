//! What can be wrong with the types of values, and with what is done to them.

use miette::Diagnostic;
use rtscript_syntax::source::Span;
use thiserror::Error;

use super::words;

#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum TypeFact {
    /// Two uses of one variable, key or value that no type suits.
    #[error("{what} holds `{was}`, and cannot hold `{is}`")]
    #[diagnostic(code("rt::type-conflict"))]
    TypeConflict {
        what: String,
        is: String,
        was: String,
        #[label("`{is}` here")]
        at: Span,
        #[label("first used as `{was}` here")]
        first: Option<Span>,
    },
    /// Of a variable or map, nothing says what it holds.
    #[error("nothing says which type {what} has")]
    #[diagnostic(code("rt::no-type"))]
    Untyped {
        what: String,
        #[label("it depends on itself alone")]
        at: Span,
    },
    #[error("{value} is outside the range of `{ty}`")]
    #[diagnostic(code("rt::out-of-range"))]
    OutOfRange {
        value: i128,
        ty: String,
        #[label("does not fit into `{ty}`")]
        at: Span,
    },
    #[error("`{op}` cannot be applied to `{left}` and `{right}`")]
    #[diagnostic(code("rt::operands"))]
    Operands {
        op: &'static str,
        left: String,
        right: String,
        #[label("this is `{left}`")]
        left_at: Span,
        #[label("this is `{right}`")]
        right_at: Span,
    },
    #[error("`{op}` cannot be applied to `{ty}`")]
    #[diagnostic(code("rt::operand"))]
    Operand {
        op: &'static str,
        ty: String,
        #[label("this is `{ty}`")]
        at: Span,
    },
    #[error("{what} must be {expected}, and this is `{found}`")]
    #[diagnostic(code("rt::wrong-type"))]
    WrongType {
        what: String,
        expected: &'static str,
        found: String,
        #[label("this is `{found}`")]
        at: Span,
    },
    #[error("the two arms of `?:` are `{left}` and `{right}`")]
    #[diagnostic(code("rt::arms"))]
    Arms {
        left: String,
        right: String,
        #[label("this is `{left}`")]
        left_at: Span,
        #[label("this is `{right}`")]
        right_at: Span,
    },
    #[error("`{from}` cannot be cast to `{to}`")]
    #[diagnostic(code("rt::bad-cast"))]
    BadCast {
        from: String,
        to: String,
        #[label("this is `{from}`")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
    /// `.` of something without members.
    #[error("`{ty}` has no fields")]
    #[diagnostic(code("rt::no-fields"))]
    NoFields {
        ty: String,
        #[label("this is `{ty}`")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
    #[error("`{ty}` is no pointer")]
    #[diagnostic(code("rt::no-pointer"))]
    NoPointer {
        ty: String,
        #[label("this is `{ty}`")]
        at: Span,
    },
    /// `[i]` of something without elements.
    #[error("`{ty}` has no elements")]
    #[diagnostic(code("rt::no-elements"))]
    NoElements {
        ty: String,
        #[label("this is `{ty}`")]
        at: Span,
    },
    #[error("this tuple has {}, and no number {index}", words::counted(*count as u64, "element"))]
    #[diagnostic(code("rt::tuple-index"))]
    TupleIndex {
        index: u32,
        count: usize,
        #[label("elements count from 0")]
        at: Span,
    },
    #[error("this array has {}, and no number {index}", words::counted(*count, "element"))]
    #[diagnostic(code("rt::array-index"))]
    ArrayIndex {
        index: i128,
        count: u32,
        #[label("elements count from 0")]
        at: Span,
    },
    /// What is behind the pointer is not known, or has no size.
    #[error("nothing is known about what `{ty}` points at")]
    #[diagnostic(code("rt::opaque"))]
    Opaque {
        ty: String,
        #[label("this is `{ty}`")]
        at: Span,
        #[help]
        help: Option<&'static str>,
    },
    #[error("what `{op}` yields here does not fit into 64 bits")]
    #[diagnostic(code("rt::overflow"))]
    Overflow {
        op: &'static str,
        #[label("from -2^63 to 2^64 - 1")]
        at: Span,
    },
    #[error("a number of 64 bits cannot be shifted by {count}")]
    #[diagnostic(code("rt::shift-count"))]
    ShiftCount {
        count: i128,
        #[label("from 0 to 63")]
        at: Span,
    },
    #[error("division by zero")]
    #[diagnostic(code("rt::division-by-zero"))]
    DivisionByZero {
        #[label("this is always 0")]
        at: Span,
    },
}
