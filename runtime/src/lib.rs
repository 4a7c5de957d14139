//! runtime

pub mod bpf;
pub mod kernel;
