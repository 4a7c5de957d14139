//! What assembler code calls the registers of a process, which the kernel keeps for programs in `struct pt_regs`; and where
//! functions have their arguments when they are entered (System V for x86-64, AAPCS64).

use rtscript_lang::operand::Operand;
use rtscript_lang::provider::Place;

pub use rtscript_lang::registers::{ARCH, Arch};

/// `rdi`, `rsi`, `rdx`, `rcx`, `r8`, `r9`.
const X86_64_ARGUMENTS: [u32; 6] = [112, 104, 96, 88, 72, 64];
/// `x0` to `x7`.
const AARCH64_ARGUMENTS: [u32; 8] = [0, 8, 16, 24, 32, 40, 48, 56];

/// The registers in which functions are given numbers and addresses.
pub fn arguments(arch: Arch) -> &'static [u32] {
    match arch {
        Arch::X86_64 => &X86_64_ARGUMENTS,
        Arch::Aarch64 => &AARCH64_ARGUMENTS,
    }
}

/// Argument `index` of a function that has numbers and addresses alone, at its first instruction.
pub fn argument(index: u32, arch: Arch) -> Place {
    let registers = arguments(arch);
    match registers.get(index as usize) {
        Some(register) => Place::Word(*register),
        None => on_stack(8 * (index - registers.len() as u32), arch),
    }
}

/// What lies so many bytes into the arguments on the stack, at a function's first instruction.
pub fn on_stack(offset: u32, arch: Arch) -> Place {
    let (stack_pointer, above) = match arch {
        // Under them is the address to return to.
        Arch::X86_64 => (152, 8),
        Arch::Aarch64 => (248, 0),
    };
    let displacement = i64::from(above + offset);
    Place::Operand(Operand {
        base: Some(stack_pointer),
        displacement,
        in_memory: true,
        size: 8,
        ..Operand::default()
    })
}

/// The register that a function returns a number in.
pub fn returned(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 80,
        Arch::Aarch64 => 0,
    }
}

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
    fn arguments_lie_in_registers_and_then_on_the_stack() {
        let named = |names: &[&str], arch| -> Vec<Place> {
            names.iter().map(|name| Place::Word(register(name, arch).unwrap().0)).collect()
        };
        let first = |count, arch| -> Vec<Place> { (0..count).map(|index| argument(index, arch)).collect() };
        let names = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"];
        assert_eq!(first(6, Arch::X86_64), named(&names, Arch::X86_64));
        let names = ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"];
        assert_eq!(first(8, Arch::Aarch64), named(&names, Arch::Aarch64));
        for (arch, index, name, displacement) in [
            (Arch::X86_64, 6, "rsp", 8),
            (Arch::X86_64, 8, "rsp", 24),
            (Arch::Aarch64, 8, "sp", 0),
            (Arch::Aarch64, 9, "sp", 8),
        ] {
            let Place::Operand(operand) = argument(index, arch) else { panic!("{arch:?} {index}") };
            assert_eq!(operand.base, register(name, arch).map(|(word, _)| word));
            assert_eq!((operand.displacement, operand.size, operand.in_memory), (displacement, 8, true));
        }
        assert_eq!(register("rax", Arch::X86_64), Some((returned(Arch::X86_64), 0)));
        assert_eq!(register("x0", Arch::Aarch64), Some((returned(Arch::Aarch64), 0)));
    }

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
