//! Which functions can be traced: the function tracer's list, a file in its place, or what BTF and the symbols have in common.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rtscript_lang::btf::Btf;
use rtscript_lang::kernel::KernelError;

use super::tracefs::Tracefs;
use super::{symbols, unreadable};

const VMLINUX: &str = "vmlinux";
/// What stands in the list where the linker has dropped a function.
const DROPPED: &str = "__ftrace_invalid_address__";

/// Pairs of module and function, in the list's order.
pub fn traceable(
    given: Option<&Path>,
    tracefs: Result<&Tracefs, KernelError>,
    btf: Result<&Btf, KernelError>,
) -> Result<Vec<(String, String)>, KernelError> {
    if let Some(path) = given {
        let what = "the list of functions";
        let text = fs::read_to_string(path).map_err(|error| unreadable(&error, path, what))?;
        return Ok(parse(&text));
    }
    match tracefs.and_then(Tracefs::functions) {
        Ok(text) => Ok(parse(&text)),
        // Without root, or without the function tracer. Names of symbols can be read by everybody.
        Err(error) => {
            let Ok(btf) = btf else { return Err(error) };
            let known: HashSet<&str> = btf.functions().map(|(_, function)| function.name).collect();
            symbols::functions(|name| known.contains(name))
        }
    }
}

/// Lines of `NAME` or `NAME [MODULE]`.
fn parse(text: &str) -> Vec<(String, String)> {
    let pairs = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next().filter(|name| !name.starts_with(DROPPED))?;
        let module = words.next().map_or(VMLINUX, |word| word.trim_matches(['[', ']']));
        Some((module.to_owned(), name.to_owned()))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_functions_and_modules() {
        let found = parse("vfs_read\n__ftrace_invalid_address___64\n\next4_sync_file [ext4]\n");
        let pair = |module: &str, name: &str| (module.to_owned(), name.to_owned());
        assert_eq!(found, [pair("vmlinux", "vfs_read"), pair("ext4", "ext4_sync_file")]);
    }

    #[test]
    fn a_file_takes_the_place_of_the_kernels_list() {
        let none = KernelError::Missing { what: "tracefs".to_owned() };
        let missing = traceable(Some(Path::new("/nowhere")), Err(none.clone()), Err(none));
        assert!(matches!(missing, Err(KernelError::Missing { .. })), "{missing:?}");
    }
}
