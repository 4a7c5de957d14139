//! The arguments of a probe, as the assembler was told them.
//!
//! Each is `SIZE@OPERAND`, where a negative size is that of a signed number, and an `f` behind it means a floating-point one. The operand
//! is written as the processor's assembler has it:
//!
//! ```text
//! x86-64    $5   %eax   %ah   8(%rbp)   (%rax,%rcx,4)   -16(,%rcx,8)
//! aarch64   5    w3     [sp, 16]        [x0, x1, lsl 3]
//! ```
//!
//! What cannot be had is `None`: floating-point registers, segments, and names of symbols, which are told apart by the linker alone.

use rtscript_lang::operand::Operand;

use super::super::registers::{Arch, register};

/// The operands of a probe, in their order.
pub fn operands(arguments: &str, arch: Arch) -> Vec<Option<Operand>> {
    split(arguments).into_iter().map(|argument| operand(argument, arch)).collect()
}

/// Blanks separate arguments, and stand inside of brackets too.
fn split(arguments: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, c) in arguments.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ' ' if depth <= 0 => {
                parts.push(&arguments[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&arguments[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

fn operand(argument: &str, arch: Arch) -> Option<Operand> {
    // Without a size it is a word.
    let (size, text) = argument.split_once('@').unwrap_or(("8", argument));
    let size: i8 = size.parse().ok()?;
    let whole = Operand { size: size.unsigned_abs(), signed: size < 0, ..Operand::default() };
    if !matches!(whole.size, 1 | 2 | 4 | 8) {
        return None;
    }
    match arch {
        Arch::X86_64 => x86_64(text, whole),
        Arch::Aarch64 => aarch64(text, whole),
    }
}

fn x86_64(text: &str, whole: Operand) -> Option<Operand> {
    if let Some(number) = text.strip_prefix('$') {
        return Some(Operand { displacement: integer(number)?, ..whole });
    }
    if let Some(name) = text.strip_prefix('%') {
        let (base, shift) = register(name, Arch::X86_64)?;
        return Some(Operand { base: Some(base), shift, ..whole });
    }
    let (displacement, inner) = text.strip_suffix(')')?.split_once('(')?;
    let displacement = if displacement.is_empty() { 0 } else { integer(displacement)? };
    let mut parts = inner.split(',').map(str::trim);
    let whole_register = |text: &str| {
        let (word, shift) = register(text.strip_prefix('%')?, Arch::X86_64)?;
        // Addresses are made of whole registers, and no other is named where one could be relative to it.
        let is_whole = shift == 0 && text.starts_with("%r") && !text.ends_with(['d', 'w', 'b']);
        (is_whole && text != "%rip").then_some(word)
    };
    let base = match parts.next()? {
        "" => None,
        name => Some(whole_register(name)?),
    };
    let index = match parts.next() {
        None => None,
        Some(name) => {
            Some((whole_register(name)?, parts.next().map_or(Some(1), |scale| scale.parse().ok())?))
        }
    };
    let good = parts.next().is_none() && index.is_none_or(|(_, scale)| matches!(scale, 1 | 2 | 4 | 8));
    good.then_some(Operand { base, index, displacement, in_memory: true, ..whole })
}

fn aarch64(text: &str, whole: Operand) -> Option<Operand> {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let mut parts = inner.split(',').map(str::trim);
        let base = Some(register(parts.next()?, Arch::Aarch64)?.0);
        let memory = Operand { base, in_memory: true, ..whole };
        let Some(second) = parts.next() else { return Some(memory) };
        let shift = match parts.next() {
            None => 0,
            Some(text) => text.strip_prefix("lsl")?.trim().trim_start_matches('#').parse::<u8>().ok()?,
        };
        if parts.next().is_some() || shift > 3 {
            return None;
        }
        return Some(match register(second, Arch::Aarch64) {
            Some((word, _)) if second.starts_with('x') => {
                Operand { index: Some((word, 1 << shift)), ..memory }
            }
            Some(_) => return None,
            None => Operand { displacement: integer(second.trim_start_matches('#'))?, ..memory },
        });
    }
    if let Some((base, shift)) = register(text, Arch::Aarch64) {
        return Some(Operand { base: Some(base), shift, ..whole });
    }
    Some(Operand { displacement: integer(text.trim_start_matches('#'))?, ..whole })
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    let number = number as i64;
    Some(if negative { number.wrapping_neg() } else { number })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str, arch: Arch) -> Option<Operand> {
        let all = operands(text, arch);
        assert_eq!(all.len(), 1, "{text}");
        all[0]
    }

    #[test]
    fn x86_64_forms() {
        let of = |text| one(text, Arch::X86_64);
        let word = Operand { size: 8, ..Operand::default() };
        assert_eq!(of("8@%rbx"), Some(Operand { base: Some(40), ..word }));
        assert_eq!(of("-4@%eax"), Some(Operand { base: Some(80), size: 4, signed: true, ..word }));
        assert_eq!(of("1@%ah"), Some(Operand { base: Some(80), size: 1, shift: 8, ..word }));
        assert_eq!(of("2@%r15w"), Some(Operand { base: Some(0), size: 2, ..word }));
        assert_eq!(of("-4@$-5"), Some(Operand { displacement: -5, size: 4, signed: true, ..word }));
        assert_eq!(of("8@$0xffffffffffffffff"), Some(Operand { displacement: -1, ..word }));
        let memory = Operand { in_memory: true, ..word };
        assert_eq!(of("8@112(%rsp)"), Some(Operand { base: Some(152), displacement: 112, ..memory }));
        assert_eq!(of("8@(%rax)"), Some(Operand { base: Some(80), ..memory }));
        let scaled = Operand { base: Some(80), index: Some((88, 8)), displacement: -20, ..memory };
        assert_eq!(of("8@-20(%rax,%rcx,8)"), Some(scaled));
        assert_eq!(of("8@-20(%rax, %rcx)"), Some(Operand { index: Some((88, 1)), ..scaled }));
        assert_eq!(of("8@-20(,%rcx,8)"), Some(Operand { base: None, ..scaled }));
        assert_eq!(of("%rdi"), Some(Operand { base: Some(112), ..word }));
        for text in [
            "8f@%xmm0",
            "8@%xmm0",
            "16@%rax",
            "3@%rax",
            "8@%fs:8(%rax)",
            "8@name(%rip)",
            "8@8(%rip)",
            "8@name",
            "8@(%eax)",
            "8@(%rax,%rcx,3)",
            "8@(%rax,%rcx,8,1)",
            "x@%rax",
            "8@",
            "8@$",
            "8@%",
            "8@)(",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(operands("8@%rbx  -4@4(%rsp) 8@%xmm1", Arch::X86_64).len(), 3);
        assert!(operands("", Arch::X86_64).is_empty());
    }

    #[test]
    fn aarch64_forms() {
        let of = |text| one(text, Arch::Aarch64);
        let word = Operand { size: 8, ..Operand::default() };
        assert_eq!(of("8@x3"), Some(Operand { base: Some(24), ..word }));
        assert_eq!(of("-4@w30"), Some(Operand { base: Some(240), size: 4, signed: true, ..word }));
        assert_eq!(of("4@5"), Some(Operand { displacement: 5, size: 4, ..word }));
        assert_eq!(of("-4@-5"), Some(Operand { displacement: -5, size: 4, signed: true, ..word }));
        let memory = Operand { in_memory: true, ..word };
        assert_eq!(of("8@[sp, 16]"), Some(Operand { base: Some(248), displacement: 16, ..memory }));
        assert_eq!(of("8@[x1]"), Some(Operand { base: Some(8), ..memory }));
        assert_eq!(of("8@[x1, x2, lsl 3]"), Some(Operand { base: Some(8), index: Some((16, 8)), ..memory }));
        for text in ["8@d0", "4f@s1", "8@[x1, w2, sxtw]", "8@[x1, x2, lsl 4]", "8@x31", "8@[", "8@[]", "8@v0"]
        {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(operands("8@[sp, 16] -4@w0", Arch::Aarch64).len(), 2);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-0-9@$%a-z()\\[\\], é]{0,20}") {
            operands(&text, Arch::X86_64);
            operands(&text, Arch::Aarch64);
        }
    }
}
