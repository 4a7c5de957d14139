//! Where a function is given its parameters, by the calling conventions of System V for x86-64 and of AAPCS64.
//!
//! What the source says of the types decides. Where it leaves open how a value is handed over (a structure with floating-point members may be split
//! between kinds of registers), that parameter and those behind it have no known place.

use crate::providers::Arch;

/// Where a parameter lies at a function's first instruction, if it is one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// In the register of this number among those for arguments.
    Register(u32),
    /// So many bytes into the arguments on the stack.
    Stack(u32),
}

/// What matters of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A number, an address, or another value of one word.
    Word,
    /// A floating-point number of so many bytes.
    Float(u32),
    /// A structure of so many bytes without floating-point members.
    Structure(u32),
    Unclear,
}

/// What is taken by the parameters so far.
pub struct Hands {
    arch: Arch,
    registers: u32,
    vectors: u32,
    stack: u32,
    unclear: bool,
}

const VECTORS: u32 = 8;
/// No sound function has so many bytes of arguments on the stack.
const FAR: u32 = 1 << 20;

impl Hands {
    /// For a function whose result is of this class.
    pub fn new(arch: Arch, result: Option<Class>) -> Hands {
        // x86-64 hands over the address for a large result before everything else, aarch64 in a register of its own.
        let large = matches!(result, Some(Class::Structure(size)) if size > 16);
        let registers = u32::from(large && arch == Arch::X86_64);
        let unclear = result == Some(Class::Unclear);
        Hands { arch, registers, vectors: 0, stack: 0, unclear }
    }

    /// The place of the next parameter, which is `None` where it is not one word.
    pub fn next(&mut self, class: Class) -> Option<Handed> {
        self.unclear |= class == Class::Unclear || self.stack > FAR;
        if self.unclear {
            return None;
        }
        match class {
            Class::Word => Some(self.words(1)),
            Class::Float(16) if self.arch == Arch::X86_64 => {
                self.stack = self.stack.next_multiple_of(16) + 16;
                None
            }
            Class::Float(_) => {
                if self.vectors < VECTORS {
                    self.vectors += 1;
                } else {
                    self.stack += 8;
                }
                None
            }
            Class::Structure(0) => None,
            Class::Structure(size) if size > 16 => {
                match self.arch {
                    Arch::X86_64 => self.stack += size.next_multiple_of(8),
                    // Its address is handed over.
                    Arch::Aarch64 => drop(self.words(1)),
                }
                None
            }
            Class::Structure(size) => {
                self.words(size.div_ceil(8));
                None
            }
            Class::Unclear => None,
        }
    }

    /// All of them in registers, or all on the stack.
    fn words(&mut self, count: u32) -> Handed {
        let most = crate::providers::argument_registers(self.arch);
        if self.registers + count <= most {
            self.registers += count;
            return Handed::Register(self.registers - count);
        }
        // On aarch64 no later one comes into a register that is left.
        if self.arch == Arch::Aarch64 {
            self.registers = most;
        }
        self.stack += 8 * count;
        Handed::Stack(self.stack - 8 * count)
    }
}

#[cfg(test)]
mod tests {
    use super::Class::*;
    use super::Handed::*;
    use super::*;

    fn places(arch: Arch, result: Option<Class>, classes: &[Class]) -> Vec<Option<Handed>> {
        let mut hands = Hands::new(arch, result);
        classes.iter().map(|class| hands.next(*class)).collect()
    }

    #[test]
    fn registers_come_first() {
        let six: Vec<_> = (0..6).map(|index| Some(Register(index))).collect();
        let found = places(Arch::X86_64, None, &[Word; 8]);
        assert_eq!(found[..6], six);
        assert_eq!(found[6..], [Some(Stack(0)), Some(Stack(8))]);
        assert_eq!(places(Arch::Aarch64, None, &[Word; 9])[7..], [Some(Register(7)), Some(Stack(0))]);
    }

    #[test]
    fn other_values_take_room() {
        let found = places(
            Arch::X86_64,
            Some(Structure(24)),
            &[Word, Float(8), Structure(8), Structure(40), Word, Float(16), Word, Structure(16), Word, Word],
        );
        let expected = [
            Some(Register(1)),
            None,
            None,
            None,
            Some(Register(3)),
            None,
            Some(Register(4)),
            None,
            Some(Register(5)),
            // Behind 40 bytes, 16 that begin at a multiple of 16, and 16.
            Some(Stack(80)),
        ];
        assert_eq!(found, expected);
        let found = places(Arch::Aarch64, Some(Structure(24)), &[Word, Structure(40), Word]);
        assert_eq!(found, [Some(Register(0)), None, Some(Register(2))]);
    }

    #[test]
    fn a_structure_is_not_split() {
        let classes = [Word, Word, Word, Word, Word, Structure(16), Word, Word];
        assert_eq!(places(Arch::X86_64, None, &classes)[5..], [None, Some(Register(5)), Some(Stack(16))]);
        let classes = [Word, Word, Word, Word, Word, Word, Word, Structure(16), Word];
        assert_eq!(places(Arch::Aarch64, None, &classes)[7..], [None, Some(Stack(16))]);
    }

    #[test]
    fn what_is_not_clear_stays_so() {
        assert_eq!(places(Arch::X86_64, None, &[Word, Unclear, Word]), [Some(Register(0)), None, None]);
        assert_eq!(places(Arch::X86_64, Some(Unclear), &[Word]), [None]);
    }
}
