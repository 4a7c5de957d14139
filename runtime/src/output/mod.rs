//! From bytes to text: events, values and maps as people and programs read them.
//!
//! What arrives here was written by a program in the kernel, but it is treated as untrusted: whatever the bytes
//! are, nothing panics, and bytes that are missing read as zero. Text is bytes: a process may have any name, and
//! it is printed as it is. Only JSON has to be UTF-8; there, bytes that are not become U+FFFD.
//!
//! A [`Printer`] carries out events and prints maps (`actions.rs`, `commands.rs`). It finds an event's fields (`event.rs`), writes them
//! by a format (`printf.rs`) or by their type (`value.rs`), or reads maps and writes those (`maps.rs`, `aggregate.rs`,
//! `histogram.rs`, `series.rs`). `writer.rs` alone knows files, pipes and buffering.

mod actions;
mod aggregate;
mod cgroups;
mod commands;
mod event;
mod histogram;
mod json;
mod maps;
mod number;
mod packets;
mod printf;
mod series;
mod symbols;
mod time;
mod trials;
mod users;
mod value;
mod writer;

pub use actions::{Format, MapStore, Printer};
pub use trials::{json as trial_json, text as trial_text};
pub use writer::{Buffering, Writer};
