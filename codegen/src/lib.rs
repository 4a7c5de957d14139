//! codegen
pub mod insn;
