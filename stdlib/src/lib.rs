//! The standard library: modules written in the language itself, shipped inside the binary.

/// `(name, source text)` of every module, in the order in which names are looked up.
pub const MODULES: &[(&str, &str)] = &[
    ("stdlib/task.bt", include_str!("../task.bt")),
    ("stdlib/files.bt", include_str!("../files.bt")),
    ("stdlib/memory.bt", include_str!("../memory.bt")),
    ("stdlib/checks.bt", include_str!("../checks.bt")),
];
