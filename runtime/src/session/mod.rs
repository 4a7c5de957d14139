//! Running a loaded script: from `begin` to the maps that are printed at the end.

pub mod child;
pub mod events;
pub mod globals;
pub mod maps;
pub mod probes;
pub mod signals;
