//! Names of symbols as their source has them.

use cpp_demangle::{DemangleOptions, Symbol};

/// `core::fmt::write` or `A::get(int) const` of a mangled name of Rust or C++; `None` for all others. The reader for C++ takes
/// the names of types as well, so that a function `v` of C would be called `void`.
pub fn demangled(symbol: &str) -> Option<String> {
    if let Ok(name) = rustc_demangle::try_demangle(symbol) {
        return Some(format!("{name:#}"));
    }
    cpp(symbol)?.demangle().ok()
}

/// The same without parameters, and without the result that the names of templates have.
pub fn demangled_name(symbol: &str) -> Option<String> {
    if let Ok(name) = rustc_demangle::try_demangle(symbol) {
        return Some(format!("{name:#}"));
    }
    let options = DemangleOptions::new().no_params().no_return_type();
    cpp(symbol)?.demangle_with_options(&options).ok()
}

/// The same with parameters, and without the result.
pub fn demangled_call(symbol: &str) -> Option<String> {
    cpp(symbol)?.demangle_with_options(&DemangleOptions::new().no_return_type()).ok()
}

fn cpp(symbol: &str) -> Option<Symbol<&str>> {
    symbol.starts_with("_Z").then(|| Symbol::new(symbol).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_forms() {
        for (symbol, whole, name) in [
            ("_ZN6tracer4callEl", "tracer::call(long)", "tracer::call"),
            ("_ZN1A2twIiEET_S1_", "int A::tw<int>(int)", "A::tw<int>"),
            ("_ZNK1A3getEPKc", "A::get(char const*) const", "A::get"),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write", "core::fmt::write"),
        ] {
            assert_eq!(demangled(symbol).as_deref(), Some(whole), "{symbol}");
            assert_eq!(demangled_name(symbol).as_deref(), Some(name), "{symbol}");
        }
        assert_eq!(demangled_call("_ZN1A2twIiEET_S1_").as_deref(), Some("A::tw<int>(int)"));
    }

    #[test]
    fn names_of_c_stay() {
        for symbol in ["v", "i", "f", "add", "main", "St", "_init", ""] {
            assert_eq!(demangled(symbol), None, "{symbol}");
            assert_eq!(demangled_name(symbol), None, "{symbol}");
        }
    }
}
