//! What assembler code calls the registers of a process, which the kernel keeps for programs in `struct pt_regs`.

pub use rtscript_lang::registers::{ARCH, Arch};

/// The offset of the word of a register, by its name in assembler code; and at which bit the name's part of it begins. A part is as wide
/// as who asks for it says.
pub fn register(name: &str, arch: Arch) -> Option<(u32, u8)> {
    match arch {
        Arch::X86_64 => x86_64(name),
        Arch::Aarch64 => Some((aarch64(name)?, 0)),
    }
}

fn x86_64(name: &str) -> Option<(u32, u8)> {
    // The registers with numbers, and what their halves, quarters and lowest bytes end in.
    if let Some(number) = name.strip_prefix('r')
        && number.starts_with(|c: char| c.is_ascii_digit())
    {
        let offset = match number.trim_end_matches(['d', 'w', 'b']) {
            digits if number.len() > digits.len() + 1 => return None,
            "8" => 72,
            "9" => 64,
            "10" => 56,
            "11" => 48,
            "12" => 24,
            "13" => 16,
            "14" => 8,
            "15" => 0,
            _ => return None,
        };
        return Some((offset, 0));
    }
    let (offset, shift) = match name {
        "rax" | "eax" | "ax" | "al" => (80, 0),
        "rbx" | "ebx" | "bx" | "bl" => (40, 0),
        "rcx" | "ecx" | "cx" | "cl" => (88, 0),
        "rdx" | "edx" | "dx" | "dl" => (96, 0),
        "ah" => (80, 8),
        "bh" => (40, 8),
        "ch" => (88, 8),
        "dh" => (96, 8),
        "rsi" | "esi" | "si" | "sil" => (104, 0),
        "rdi" | "edi" | "di" | "dil" => (112, 0),
        "rbp" | "ebp" | "bp" | "bpl" => (32, 0),
        "rsp" | "esp" | "sp" | "spl" => (152, 0),
        "rip" | "eip" | "ip" => (128, 0),
        _ => return None,
    };
    Some((offset, shift))
}

/// `x0` to `x30` stand first, then `sp` and `pc`. Halves are `w0` to `w30`.
fn aarch64(name: &str) -> Option<u32> {
    match name {
        "sp" => return Some(248),
        "pc" => return Some(256),
        _ => {}
    }
    let number = name.strip_prefix(['x', 'w'])?;
    let plain = number == "0" || number.starts_with(|c: char| matches!(c, '1'..='9'));
    number.parse().ok().filter(|&number: &u32| plain && number <= 30).map(|number| 8 * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_register_share_its_word() {
        for names in [["r8", "r8d", "r8w", "r8b"], ["rax", "eax", "ax", "al"], ["rsi", "esi", "si", "sil"]] {
            assert!(
                names.iter().all(|name| register(name, Arch::X86_64) == register(names[0], Arch::X86_64))
            );
        }
        assert_eq!(register("r15", Arch::X86_64), Some((0, 0)));
        assert_eq!(register("dh", Arch::X86_64), Some((96, 8)));
        assert_eq!(register("w7", Arch::Aarch64), Some((56, 0)));
        for name in ["", "r", "r7", "r16", "r8dw", "xmm0", "st", "fs"] {
            assert_eq!(register(name, Arch::X86_64), None, "{name}");
        }
        for name in ["x31", "x", "x+1", "x01", "d0"] {
            assert_eq!(register(name, Arch::Aarch64), None, "{name}");
        }
    }
}
