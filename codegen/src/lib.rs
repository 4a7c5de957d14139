//! Code generation: a typed program becomes eBPF.
//!
//! `lower` makes IR of a typed program, `compile` makes an [`object::Object`] of IR. This crate does no I/O.

pub mod compile;
mod emit;
pub mod insn;
pub mod ir;
mod islands;
mod link;
pub mod lower;
mod machine;
pub mod object;
pub mod passes;
mod regalloc;
mod select;
pub mod session;
pub mod target;
mod task_stack;
