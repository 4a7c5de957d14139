//! From text to syntax tree.
//!
//! Nothing here knows what a script means, and nothing here does I/O. Only this crate sees tokens.

pub mod ast;
pub mod source;
