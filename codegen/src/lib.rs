//! Code generation: a typed program becomes eBPF.
//!
//! `lower` makes IR of a typed program, `compile` makes an [`object::Object`] of IR. This crate does no I/O.

pub mod insn;
pub mod ir;
pub mod lower;
pub mod object;
pub mod target;
