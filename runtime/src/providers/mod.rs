//! The probe types: one file each, and one line in the table below.
//!
//! To add one, write a file beside these that implements
//! [`Provider`](rtscript_lang::provider::Provider) and [`Attach`], and name it in [`PROVIDERS`].

mod counted;
mod fentry;
mod functions;
mod hardware;
mod interval;
mod iter;
pub mod kprobe;
#[cfg(test)]
mod live_tests;
mod nearest;
mod own;
pub(crate) mod pattern;
mod profile;
mod rawtracepoint;
mod registers;
mod software;
mod special;
#[cfg(test)]
mod tests;
mod tracepoint;
mod trial;
pub mod uprobe;
pub(crate) mod usdt;
mod watchpoint;

use crate::attach::Attach;
pub(crate) use registers::{ARCH, Arch};

/// How many registers functions are given numbers and addresses in.
pub(crate) fn argument_registers(arch: Arch) -> u32 {
    registers::arguments(arch).len() as u32
}

/// In the order in which they are listed.
pub const PROVIDERS: &[&dyn Attach] = &[
    &special::BEGIN,
    &special::END,
    &own::Own,
    &interval::Interval,
    &profile::Profile,
    &software::SOFTWARE,
    &hardware::HARDWARE,
    &watchpoint::Watchpoint,
    &rawtracepoint::RawTracepoint,
    &tracepoint::Tracepoint,
    &kprobe::KPROBE,
    &kprobe::KRETPROBE,
    &fentry::FENTRY,
    &fentry::FEXIT,
    &iter::Iter,
    &uprobe::Uprobe,
    &uprobe::Uretprobe,
    &usdt::Usdt,
    &trial::TEST,
    &trial::BENCH,
];
