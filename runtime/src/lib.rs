//! runtime

pub mod attach;
pub mod bpf;
pub mod child;
pub mod cli;
pub mod kernel;
pub mod providers;
pub mod signals;
