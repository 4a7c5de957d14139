//! The standard library: modules written in the language itself, shipped inside the binary.

/// `(name, source text)` of every module, in the order in which names are looked up.
pub const MODULES: &[(&str, &str)] = &[
    ("stdlib/task.bt", include_str!("../task.bt")),
    ("stdlib/files.bt", include_str!("../files.bt")),
    ("stdlib/memory.bt", include_str!("../memory.bt")),
    ("stdlib/checks.bt", include_str!("../checks.bt")),
    HEADERS,
];

/// What other macros of C are known by: no builtins, and of no interest to those who look for one.
pub const HEADERS: (&str, &str) = ("stdlib/headers.bt", include_str!("../headers.bt"));

/// Whether a module has a macro of this name.
pub fn defines(text: &str, name: &str) -> bool {
    text.match_indices(name)
        .any(|(at, _)| text[..at].ends_with("\nmacro ") && text[at + name.len()..].starts_with('('))
}
