//! runtime

pub mod attach;
pub mod bpf;
pub mod kernel;
pub mod providers;
pub mod session;
