//! What is at a place of the code: whether the kernel can put a probe there, and where a call of a function ends up.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use iced_x86::{Decoder, DecoderOptions};

use crate::elf::Elf;
use crate::providers::registers::{ARCH, Arch};

/// Whether the kernel may put a probe where these bytes are the code: it refuses instructions of x86-64 with the prefixes `lock`, `cs`,
/// `ds`, `es` and `ss`, and those of AVX (6.18). What it refuses besides is found when it is asked; that takes long where it is one of thousands.
pub fn can_be_probed(code: &[u8]) -> bool {
    match ARCH {
        Arch::X86_64 => {
            let is_prefix = |byte: &&u8| {
                matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3)
            };
            // `notrack` of an indirect jump is the prefix of `ds`.
            let mut prefixes = code.iter().take(14).take_while(is_prefix);
            let is_refused = prefixes.any(|byte| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0xf0));
            !is_refused && !matches!(code.iter().find(|byte| !is_prefix(byte)), Some(0x62 | 0xc4 | 0xc5))
        }
        Arch::Aarch64 => true,
    }
}

/// Where the instruction begins that has its middle at `offset`, and where the next one does, counted from the beginning of a function
/// with this code; `None` where an instruction begins at `offset`, or where it cannot be told.
pub fn around(code: &[u8], offset: u64) -> Option<(u64, u64)> {
    match ARCH {
        Arch::X86_64 => {
            let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
            while decoder.can_decode() && decoder.ip() < offset {
                let start = decoder.ip();
                if decoder.decode().is_invalid() {
                    return None;
                }
                if decoder.ip() > offset {
                    return Some((start, decoder.ip()));
                }
            }
            None
        }
        Arch::Aarch64 => (!offset.is_multiple_of(4)).then(|| (offset & !3, (offset | 3) + 1)),
    }
}

/// The function that calls of `name` end up in, where the symbol is one that chooses when a program starts: the choice
/// depends on the processor alone, so it is the one that was made for us. `None` where we do not use that library.
pub fn chosen(elf: &Elf, name: &str) -> Option<u64> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name ends in a NUL; the address is not used as one.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) } as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        // `7f00-7f01 r-xp 00001000 fd:01 1234   /usr/lib/libc.so.6`
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        if !(start..end).contains(&address) {
            return None;
        }
        let offset = u64::from_str_radix(rest.split(' ').nth(1)?, 16).ok()?;
        let file = std::fs::metadata(Path::new(&line[line.find('/')?..])).ok()?;
        let is_it = (file.dev(), file.ino()) == elf.identity();
        is_it.then(|| elf.code().address(address - start + offset))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_instructions_cannot_be_probed() {
        if ARCH != Arch::X86_64 {
            return;
        }
        for code in [
            &[0xf0, 0xff, 0x0f][..],
            &[0x66, 0x2e, 0x0f, 0x1f, 0x84],
            &[0xf2, 0x3e],
            &[0xc5, 0xf9, 0x6e, 0xc6],
            &[0x62, 0xf1],
        ] {
            assert!(!can_be_probed(code), "{code:x?}");
        }
        for code in [&[0xf3, 0x0f, 0x1e, 0xfa][..], &[0x55], &[0x48, 0xf0], &[]] {
            assert!(can_be_probed(code), "{code:x?}");
        }
    }

    #[test]
    fn places_within_instructions_are_found() {
        if ARCH != Arch::X86_64 {
            return;
        }
        // movzbl %sil,%eax; add %edi,%eax; vzeroupper; ret
        let code = [0x40, 0x0f, 0xb6, 0xc6, 0x01, 0xf8, 0xc5, 0xf8, 0x77, 0xc3];
        for (offset, expected) in
            [(3, Some((0, 4))), (4, None), (5, Some((4, 6))), (7, Some((6, 9))), (9, None), (10, None)]
        {
            assert_eq!(around(&code, offset), expected, "{offset}");
        }
        // What is no code cannot be told.
        assert_eq!(around(&[0x06, 0x06, 0x06], 2), None);
    }

    #[test]
    fn a_choice_is_one_of_the_functions_of_the_library() {
        let libc = super::super::files::find("libc", None);
        let Some(elf) = libc.first().and_then(|path| Elf::open(path).ok()) else { return };
        let Some(address) = chosen(&elf, "memcpy") else { return println!("skipped: libc is not shared") };
        assert_ne!(elf.symbol("memcpy").map(|symbol| symbol.address), Some(address));
        assert!(!elf.code().at(address).is_empty());
        assert_eq!(chosen(&elf, "no_such_function"), None);
    }
}
