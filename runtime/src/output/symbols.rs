//! Names of kernel addresses, from `/proc/kallsyms`.
//!
//! The file has some 100 000 lines and takes the kernel tens of milliseconds to write, so it is read once, when
//! the first symbol is printed: by then our own programs are loaded, and have lines in it too. Kept are a sorted
//! array of addresses and one block of names, about 5 MB.
//!
//! Left out are symbols that are no address of the kernel (per-CPU offsets, absolute numbers).

use std::cell::OnceCell;
use std::fs::File;
use std::io::{BufRead, BufReader};

use super::number;

/// Addresses below belong to user space, on every 64-bit architecture.
const KERNEL: u64 = 1 << 63;
/// No symbol is as large: what lies further behind one (a hole, or memory that was allocated) is none of its.
const FARTHEST: u64 = 16 << 20;

/// The symbols of the running kernel.
#[derive(Debug, Default)]
pub struct KernelSymbols {
    table: OnceCell<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Address and start of the name, ascending by address.
    symbols: Vec<(u64, u32)>,
    /// Names, each ended by a NUL and followed by the module's, which is empty for the kernel proper and ends in a NUL too.
    names: Vec<u8>,
}

/// A symbol of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSymbol<'t> {
    pub name: &'t [u8],
    /// The module that it belongs to (`bpf` for programs); empty for the kernel proper.
    pub module: &'t [u8],
    /// The distance of the address from its start.
    pub offset: u64,
}

impl KernelSymbols {
    /// The symbol that `address` belongs to. `None` if there is none, or where the kernel hides its addresses
    /// (`kptr_restrict`).
    pub fn find(&self, address: u64) -> Option<KernelSymbol<'_>> {
        let table = self.table.get_or_init(|| match File::open("/proc/kallsyms") {
            Ok(file) => read(BufReader::with_capacity(1 << 16, file)),
            Err(_) => Table::default(),
        });
        // The first of those that share the nearest address below.
        let below = table.symbols.partition_point(|&(start, _)| start <= address);
        let start = table.symbols[..below].last()?.0;
        let first = table.symbols[..below].partition_point(|&(other, _)| other < start);
        let mut names = table.names[table.symbols[first].1 as usize..].split(|&byte| byte == 0);
        let (name, module) = (names.next()?, names.next()?);
        let offset = address - start;
        (offset < FARTHEST).then_some(KernelSymbol { name, module, offset })
    }

    /// Appends the name alone, or the address as `0x…`.
    pub fn name(&self, address: u64, out: &mut Vec<u8>) {
        match self.find(address) {
            Some(symbol) => out.extend_from_slice(symbol.name),
            None => number::unnamed(address, out),
        }
    }

    /// Appends `name+offset`, or the address as `0x…`; and, where that is asked for, the symbol's module as ` (module)`.
    pub fn name_and_offset(&self, address: u64, with_module: bool, out: &mut Vec<u8>) {
        match self.find(address) {
            Some(symbol) => {
                out.extend_from_slice(symbol.name);
                out.push(b'+');
                number::unsigned(symbol.offset, out);
                if with_module && !symbol.module.is_empty() {
                    out.extend_from_slice(b" (");
                    out.extend_from_slice(symbol.module);
                    out.push(b')');
                }
            }
            None => number::address(address, out),
        }
    }

    #[cfg(test)]
    pub fn of(kallsyms: &[u8]) -> KernelSymbols {
        KernelSymbols { table: OnceCell::from(read(kallsyms)) }
    }
}

/// Reads lines such as `ffffffff81000000 T _text` and `ffffffffc0000000 t init_module\t[loop]`. What cannot be
/// read, or understood, is left out.
fn read(mut file: impl BufRead) -> Table {
    let mut table = Table::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        match file.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let mut words = line.split(u8::is_ascii_whitespace);
        let (Some(address), Some(name)) = (words.next(), words.nth(1)) else { continue };
        let Some(address) = parse_hex(address) else { continue };
        let Ok(start) = u32::try_from(table.names.len()) else { break };
        if address >= KERNEL && !name.is_empty() && !name.contains(&0) {
            table.symbols.push((address, start));
            let module = words.next().unwrap_or_default();
            let module =
                module.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")).unwrap_or_default();
            table.names.extend_from_slice(name);
            table.names.push(0);
            table.names.extend_from_slice(module);
            table.names.push(0);
        }
    }
    table.symbols.sort_by_key(|&(address, _)| address);
    table.symbols.shrink_to_fit();
    table.names.shrink_to_fit();
    table
}

fn parse_hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &[u8] = b"0000000000000000 A fixed_percpu_data
ffffffff81000200 T second
ffffffff81000000 T _text
ffffffff81000000 T first
not a line
ffffffffc0000000 t module_function\t[loop]
";

    #[test]
    fn the_nearest_symbol_below() {
        let symbols = KernelSymbols::of(KALLSYMS);
        let symbol = |name: &'static str, module: &'static str, offset| {
            Some(KernelSymbol { name: name.as_bytes(), module: module.as_bytes(), offset })
        };
        assert_eq!(symbols.find(0xffffffff81000000), symbol("_text", "", 0));
        assert_eq!(symbols.find(0xffffffff810001ff), symbol("_text", "", 511));
        assert_eq!(symbols.find(0xffffffff81000200), symbol("second", "", 0));
        assert_eq!(symbols.find(0xffffffffc0000010), symbol("module_function", "loop", 16));
        assert_eq!(symbols.find(0xffffffff80ffffff), None);
        assert_eq!(symbols.find(0xffffffffb0000000), None);
        assert_eq!(symbols.find(0), None);
        assert_eq!(KernelSymbols::of(b"").find(u64::MAX), None);
    }

    #[test]
    fn as_text() {
        let symbols = KernelSymbols::of(KALLSYMS);
        let mut out = vec![];
        symbols.name(0xffffffff81000210, &mut out);
        out.push(b' ');
        symbols.name_and_offset(0xffffffff81000210, true, &mut out);
        for with_module in [true, false] {
            out.push(b' ');
            symbols.name_and_offset(0xffffffffc0000001, with_module, &mut out);
        }
        out.push(b' ');
        symbols.name(0x1234, &mut out);
        assert_eq!(out, &b"second second+16 module_function+1 (loop) module_function+1 0x1234"[..]);
    }

    #[test]
    fn the_running_kernel_has_symbols_or_hides_them() {
        let symbols = KernelSymbols::default();
        symbols.find(0);
        let Some(table) = symbols.table.get() else { panic!("it was not read") };
        assert!(table.symbols.is_sorted_by_key(|&(address, _)| address));
    }
}
