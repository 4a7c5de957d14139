//! The language: text and facts about a kernel become a typed program.
//!
//! This crate does no I/O. It asks for facts through [`kernel::Kernel`], and for probe types through
//! [`provider::Provider`].

pub mod action;
pub mod aggregate;
pub mod btf;
pub mod builtins;
pub mod check;
pub mod config;
pub mod constants;
pub mod defines;
pub mod expand;
pub mod foreign;
pub mod from_btf;
pub mod kernel;
pub mod layout;
pub mod names;
pub mod operand;
pub mod provider;
pub mod record;
pub mod registers;
mod type_name;
pub mod typed;
pub mod types;

pub use rtscript_syntax as syntax;
