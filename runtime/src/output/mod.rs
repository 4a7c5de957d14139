//! From bytes to text: events, values and maps as people and programs read them.
//!
//! What arrives here was written by a program in the kernel, but it is treated as untrusted: whatever the bytes
//! are, nothing panics, and bytes that are missing read as zero. Text is bytes: a process may have any name, and
//! it is printed as it is. Only JSON has to be UTF-8; there, bytes that are not become U+FFFD.

pub mod event;
mod json;
mod number;
pub mod printf;
mod symbols;
mod time;
mod users;
pub mod value;
