//! Addresses of kernel symbols, from `/proc/kallsyms`.
//!
//! The file is read in pieces and forgotten: it has 6 MB and is needed by the few scripts that name a symbol.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use rtscript_lang::kernel::KernelError;

use super::unreadable;

const PATH: &str = "/proc/kallsyms";
const WHAT: &str = "the addresses of kernel symbols";

/// The address of the first symbol with this name.
pub fn address_of(name: &str) -> Result<Option<u64>, KernelError> {
    let file = File::open(PATH).map_err(|error| unreadable(&error, Path::new(PATH), WHAT))?;
    find(BufReader::with_capacity(1 << 16, file), name)
}

/// The functions among the symbols whose names are wanted, as `(module, name)`; `vmlinux` is the kernel itself.
pub fn functions(is_wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>, KernelError> {
    let text = std::fs::read_to_string(PATH).map_err(|error| unreadable(&error, Path::new(PATH), WHAT))?;
    let found = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (kind, name) = (words.next()?, words.next()?);
        let module = words.next().map_or("vmlinux", |word| word.trim_matches(['[', ']']));
        (matches!(kind, "t" | "T") && is_wanted(name)).then(|| (module.to_owned(), name.to_owned()))
    });
    Ok(found.collect())
}

/// Looks through lines of `address type name [module]`.
fn find(mut lines: impl BufRead, name: &str) -> Result<Option<u64>, KernelError> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let length =
            lines.read_until(b'\n', &mut line).map_err(|error| unreadable(&error, Path::new(PATH), WHAT))?;
        if length == 0 {
            return Ok(None);
        }
        let mut words = line.split(u8::is_ascii_whitespace);
        let (Some(address), Some(_kind), Some(symbol)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if symbol != name.as_bytes() {
            continue;
        }
        let address = str::from_utf8(address).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok());
        return match address {
            // The kernel shows zeroes to those who may not see addresses. Symbols that are counted from the start
            // of a CPU's area are small and not zero, but for the first of them.
            Some(0) => Err(KernelError::Denied {
                what: WHAT.to_owned(),
                help: "run it as root, or lower /proc/sys/kernel/kptr_restrict".to_owned(),
            }),
            address => Ok(address),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"ffffffff81000000 T _text\n0000000000000000 t hidden\nffffffffc0001000 t f\t[mod]\n";

    #[test]
    fn symbols_are_found_by_their_whole_name() {
        assert_eq!(find(TEXT, "_text"), Ok(Some(0xffff_ffff_8100_0000)));
        assert_eq!(find(TEXT, "f"), Ok(Some(0xffff_ffff_c000_1000)));
        assert_eq!(find(TEXT, "tex"), Ok(None));
        assert!(matches!(find(TEXT, "hidden"), Err(KernelError::Denied { .. })));
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        assert_eq!(find(&b"\nx\nzz t odd\n\xff\xff t f"[..], "nothing"), Ok(None));
        assert_eq!(find(&b"zz t odd\n"[..], "odd"), Ok(None));
    }
}
