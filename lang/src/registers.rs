//! Registers in `struct pt_regs`, which is what probes of functions and samples are handed: by name, and by what calls use them
//! for.

use crate::provider::Place;

/// A processor architecture whose registers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Aarch64,
}

/// What this is built for, and so what it traces.
pub const ARCH: Arch = if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 };

/// The names that the kernel has for them, in the order of the structure.
const X86_64: [&str; 21] = [
    "r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di",
    "orig_ax", "ip", "cs", "flags", "sp", "ss",
];

/// `x0` to `x30` stand before them.
const AARCH64: [&str; 3] = ["sp", "pc", "pstate"];
const NUMBERED: u32 = 31;

/// What a function returns, `rax`.
pub const RETURNED: u32 = 80;
const STACK_POINTER: u32 = 152;
/// The registers that hold the first arguments: `rdi`, `rsi`, `rdx`, `rcx`, `r8`, `r9`.
const ARGUMENTS: [u32; 6] = [112, 104, 96, 88, 72, 64];

/// The offset in bytes of a register by its name; also by those that assembler code has for it (`rip`), and `pc` for where
/// the processor is.
pub fn offset(name: &str, arch: Arch) -> Option<u32> {
    let at = |names: &[&str], name: &str| names.iter().position(|known| *known == name);
    let index = match arch {
        Arch::X86_64 => {
            let long = |name: &str| {
                // `rax`, but no `rr8` and no `rcs`.
                let short = name.strip_prefix('r')?;
                at(&["ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "ip"], short).and(at(&X86_64, short))
            };
            let other = match name {
                "pc" => "ip",
                "eflags" | "rflags" => "flags",
                "orig_rax" => "orig_ax",
                name => name,
            };
            at(&X86_64, other).or_else(|| long(name))? as u32
        }
        Arch::Aarch64 => {
            let numbered = name.strip_prefix(['x', 'r']).and_then(|number| {
                let plain = number == "0" || number.starts_with(|c: char| matches!(c, '1'..='9'));
                number.parse().ok().filter(|number| plain && *number < NUMBERED)
            });
            numbered.or_else(|| Some(at(&AARCH64, name)? as u32 + NUMBERED))?
        }
    };
    Some(8 * index)
}

/// All names, as a sentence has them.
pub fn names(arch: Arch) -> String {
    match arch {
        Arch::X86_64 => X86_64.join(", "),
        Arch::Aarch64 => format!("x0 to x{}, {}", NUMBERED - 1, AARCH64.join(", ")),
    }
}

/// Argument `index` at a function's beginning on x86-64: behind the registers the arguments lie on the stack, above the return
/// address.
pub fn argument(index: u32) -> Place {
    match ARGUMENTS.get(index as usize) {
        Some(offset) => Place::Word(*offset),
        None => Place::Indirect { word: STACK_POINTER, offset: 8 * (index - ARGUMENTS.len() as u32 + 1) },
    }
}

/// Whether the kernel keeps a register of x86-64 where it calls a program at a function's beginning without a trap: those of
/// arguments and of the result, and `bp`, `sp` and `ip`. The others then hold nothing (`kprobe_multi` from 6.14 on).
pub fn is_kept_by_calls(offset: u32) -> bool {
    const OTHERS: [&str; 3] = ["bp", "sp", "ip"];
    ARGUMENTS.contains(&offset)
        || offset == RETURNED
        || OTHERS.iter().any(|name| self::offset(name, Arch::X86_64) == Some(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_lie_where_the_kernel_has_them() {
        let at = |name| offset(name, Arch::X86_64);
        assert_eq!((at("r15"), at("bp"), at("rbp"), at("r8")), (Some(0), Some(32), Some(32), Some(72)));
        assert_eq!((at("ax"), at("di"), at("rdi")), (Some(RETURNED), Some(112), Some(112)));
        assert_eq!((at("ip"), at("rip"), at("pc")), (Some(128), Some(128), Some(128)));
        assert_eq!(
            (at("flags"), at("sp"), at("rsp"), at("ss")),
            (Some(144), Some(152), Some(152), Some(160))
        );
        for name in ["", "r", "r7", "r16", "rr8", "rcs", "eax", "al", "IP", "x0"] {
            assert_eq!(at(name), None, "{name}");
        }
        let at = |name| offset(name, Arch::Aarch64);
        assert_eq!((at("x0"), at("r0"), at("x30")), (Some(0), Some(0), Some(240)));
        assert_eq!((at("sp"), at("pc"), at("pstate")), (Some(248), Some(256), Some(264)));
        for name in ["", "x", "x31", "x01", "x+1", "ip", "w0"] {
            assert_eq!(at(name), None, "{name}");
        }
    }

    #[test]
    fn arguments_are_kept_and_others_are_not() {
        let kept = |name| offset(name, Arch::X86_64).map(is_kept_by_calls);
        assert!(
            ["di", "si", "dx", "cx", "r8", "r9", "ax", "sp", "bp", "ip"]
                .map(kept)
                .iter()
                .all(|k| *k == Some(true))
        );
        assert!(
            ["bx", "r12", "r15", "flags", "cs", "ss", "orig_ax"].map(kept).iter().all(|k| *k == Some(false))
        );
    }
}
