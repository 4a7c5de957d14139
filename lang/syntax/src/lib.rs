//! From text to syntax tree.
//!
//! Nothing here knows what a script means, and nothing here does I/O. Only this crate sees tokens.

mod around;
pub mod ast;
mod cast;
mod cdef;
mod conditional;
pub mod error;
mod failure;
mod format;
mod header;
mod lexer;
pub mod literal;
mod parse;
pub mod parts;
mod print;
pub mod source;
mod token;
mod type_name;

pub use conditional::{Headers, Macros, given};
pub use error::SyntaxError;
pub use format::format;
pub use header::{Header, parse_header, parse_header_with};
pub use parse::{parse, parse_with};

// Generated: not ours to lint.
#[allow(clippy::all, unused)]
mod grammar {
    include!(concat!(env!("OUT_DIR"), "/grammar.rs"));
}
