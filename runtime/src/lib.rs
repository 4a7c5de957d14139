//! runtime

pub mod bpf;
