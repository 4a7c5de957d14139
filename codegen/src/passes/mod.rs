//! Passes over the IR. Each is a function whose first sentence says what it does; `compile.rs` lists them in order.

pub mod clean;
pub mod combine;
pub mod compares;
pub mod dead;
pub mod demote;
pub mod dominance;
pub mod number;
pub mod outline;
pub mod repeat;
pub mod scratch;
pub mod slots;
pub mod uncalled;
