//! Functions in C that a script imports. They were compiled to eBPF by a C compiler, and are linked behind each program that
//! calls them.

use rtscript_syntax::source::Span;

use crate::types::Type;

/// The most parameters of a function of eBPF.
pub const MOST_PARAMETERS: usize = 5;

/// A function in C.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignFunction {
    pub name: String,
    /// Numbers, and pointers to what is not said. At most [`MOST_PARAMETERS`].
    pub params: Vec<Type>,
    /// A number, a pointer, or [`Type::Void`].
    pub result: Type,
    /// Of the import.
    pub span: Span,
    /// Instructions of eBPF.
    pub code: Vec<u8>,
    /// The instructions that call others of these functions, by their places in `code` in units of 8 bytes, in
    /// ascending order; and which, by its place among them.
    pub calls: Vec<(u32, u32)>,
    /// Bytes of its own frame.
    pub frame: u32,
}
