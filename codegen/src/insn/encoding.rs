//! The bytes of instructions: encoding and decoding.
//!
//! Whatever decodes encodes to the same bytes; bytes that mean nothing, or that say something in a field without a meaning, are an
//! error.

use super::{
    AluOp, AtomicOp, Cond, DecodeError, Imm64, Insn, Narrow, Operand, Reg, Size, Swap, SwapBits, Width,
};

// Instruction classes, the low three bits of the opcode.
const LD: u8 = 0;
const LDX: u8 = 1;
const ST: u8 = 2;
const STX: u8 = 3;
const ALU32: u8 = 4;
const JMP: u8 = 5;
const JMP32: u8 = 6;
const ALU64: u8 = 7;

/// The bit that says that the second operand is a register.
const X: u8 = 0x08;

// Memory modes, the high three bits of the opcode.
const MEM: u8 = 0x60;
const MEMSX: u8 = 0x80;
const ATOMIC: u8 = 0xc0;

const NEG: u8 = 0x80;
const END: u8 = 0xd0;

// The immediates of the atomic operations that are no `AtomicOp`.
const FETCH: i32 = 0x01;
const XCHG: i32 = 0xe1;
const CMPXCHG: i32 = 0xf1;
const LOAD_ACQUIRE: i32 = 0x100;
const STORE_RELEASE: i32 = 0x110;

// The source register of `LdImm64` and of calls says what the immediate means.
const PSEUDO_MAP_FD: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;
const PSEUDO_BTF_ID: u8 = 3;
const PSEUDO_FUNC: u8 = 4;
const PSEUDO_CALL: u8 = 1;
const PSEUDO_KFUNC_CALL: u8 = 2;

/// The fields of one 8-byte slot.
#[derive(Clone, Copy, Default)]
struct Slot {
    opcode: u8,
    dst: u8,
    src: u8,
    offset: i16,
    imm: i32,
}

impl Insn {
    /// How many 8-byte slots the instruction fills.
    pub fn slots(&self) -> usize {
        if matches!(self, Insn::LdImm64 { .. }) { 2 } else { 1 }
    }

    /// Appends the instruction's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let slot = |opcode| Slot { opcode, ..Slot::default() };
        let mut second = None;
        let first = match *self {
            Insn::Alu { width, op, dst, src } => {
                let (code, offset) = op.code();
                Slot { dst: dst as u8, offset, ..operand(alu_class(width) | code, src) }
            }
            Insn::Neg { width, dst } => Slot { dst: dst as u8, ..slot(alu_class(width) | NEG) },
            Insn::Movsx { width, from, dst, src } => {
                debug_assert!(width == Width::W64 || from != Narrow::S32, "{self:?} is a plain move");
                let (code, _) = AluOp::Mov.code();
                let offset = from.bits() as i16;
                Slot { dst: dst as u8, src: src as u8, offset, ..slot(alu_class(width) | code | X) }
            }
            Insn::Swap { kind, bits, dst } => {
                let opcode = match kind {
                    Swap::ToLe => ALU32 | END,
                    Swap::ToBe => ALU32 | END | X,
                    Swap::Always => ALU64 | END,
                };
                Slot { dst: dst as u8, imm: bits.bits() as i32, ..slot(opcode) }
            }
            Insn::LdImm64 { dst, imm } => {
                let (src, low, high) = match imm {
                    Imm64::Value(v) => (0, v as u32 as i32, (v >> 32) as u32 as i32),
                    Imm64::MapFd(fd) => (PSEUDO_MAP_FD, fd, 0),
                    Imm64::MapValue { fd, offset } => (PSEUDO_MAP_VALUE, fd, offset as i32),
                    Imm64::Func(offset) => (PSEUDO_FUNC, offset, 0),
                    Imm64::BtfId { id, module } => (PSEUDO_BTF_ID, id, module),
                };
                second = Some(Slot { imm: high, ..Slot::default() });
                Slot { dst: dst as u8, src, imm: low, ..slot(LD | size_code(Size::D)) }
            }
            Insn::Load { size, dst, base, offset } => {
                Slot { dst: dst as u8, src: base as u8, offset, ..slot(LDX | MEM | size_code(size)) }
            }
            Insn::LoadSigned { from, dst, base, offset } => {
                Slot { dst: dst as u8, src: base as u8, offset, ..slot(LDX | MEMSX | size_code(from.size())) }
            }
            Insn::Store { size, base, offset, src } => {
                let (class, src, imm) = match src {
                    Operand::Reg(r) => (STX, r as u8, 0),
                    Operand::Imm(v) => (ST, 0, v),
                };
                Slot { dst: base as u8, src, offset, imm, ..slot(class | MEM | size_code(size)) }
            }
            Insn::Atomic { width, op, fetch, base, offset, src } => {
                let imm = op.code() | if fetch { FETCH } else { 0 };
                atomic(width.size(), imm, base, offset, src)
            }
            Insn::Xchg { width, base, offset, src } => atomic(width.size(), XCHG, base, offset, src),
            Insn::CmpXchg { width, base, offset, src } => atomic(width.size(), CMPXCHG, base, offset, src),
            Insn::LoadAcquire { size, dst, base, offset } => {
                Slot { dst: dst as u8, src: base as u8, ..atomic(size, LOAD_ACQUIRE, dst, offset, base) }
            }
            Insn::StoreRelease { size, base, offset, src } => atomic(size, STORE_RELEASE, base, offset, src),
            Insn::Jump { width, cond, dst, src, offset } => {
                let class = if width == Width::W64 { JMP } else { JMP32 };
                Slot { dst: dst as u8, offset, ..operand(class | cond.code(), src) }
            }
            Insn::Goto { offset } => Slot { offset, ..slot(JMP) },
            Insn::GotoLong { offset } => Slot { imm: offset, ..slot(JMP32) },
            Insn::MayGoto { offset } => Slot { offset, ..slot(JMP | 0xe0) },
            Insn::CallHelper { number } => Slot { imm: number as i32, ..slot(JMP | 0x80) },
            Insn::CallKfunc { btf_id, module } => {
                Slot { src: PSEUDO_KFUNC_CALL, imm: btf_id, offset: module, ..slot(JMP | 0x80) }
            }
            Insn::CallLocal { offset } => Slot { src: PSEUDO_CALL, imm: offset, ..slot(JMP | 0x80) },
            Insn::Exit => slot(JMP | 0x90),
        };
        for slot in [Some(first), second].into_iter().flatten() {
            out.extend([slot.opcode, slot.src << 4 | slot.dst]);
            out.extend(slot.offset.to_le_bytes());
            out.extend(slot.imm.to_le_bytes());
        }
    }

    /// Reads the instruction at the start of `bytes`; `Insn::slots` tells how much of them it took.
    pub fn decode(bytes: &[u8]) -> Result<Insn, DecodeError> {
        let s = Slot::read(bytes)?;
        let reg = Reg::from_number;
        // A field without a meaning must be zero, or decoding and encoding would lose it.
        let plain = |ok: bool, insn| if ok { Ok(insn) } else { Err(DecodeError::Field(s.opcode)) };
        match s.opcode & 0x07 {
            class @ (ALU32 | ALU64) => {
                let width = if class == ALU64 { Width::W64 } else { Width::W32 };
                let dst = reg(s.dst)?;
                match s.opcode & 0xf0 {
                    NEG => {
                        let ok = s.opcode & X == 0 && s.src == 0 && s.offset == 0 && s.imm == 0;
                        plain(ok, Insn::Neg { width, dst })
                    }
                    END => {
                        let bits = match s.imm {
                            16 => SwapBits::B16,
                            32 => SwapBits::B32,
                            64 => SwapBits::B64,
                            _ => return Err(DecodeError::Field(s.opcode)),
                        };
                        let kind = match (width, s.opcode & X != 0) {
                            (Width::W32, false) => Swap::ToLe,
                            (Width::W32, true) => Swap::ToBe,
                            (Width::W64, false) => Swap::Always,
                            (Width::W64, true) => return Err(DecodeError::Opcode(s.opcode)),
                        };
                        plain(s.src == 0 && s.offset == 0, Insn::Swap { kind, bits, dst })
                    }
                    0xb0 if s.offset != 0 => {
                        let from = match s.offset {
                            8 => Narrow::S8,
                            16 => Narrow::S16,
                            32 if width == Width::W64 => Narrow::S32,
                            _ => return Err(DecodeError::Field(s.opcode)),
                        };
                        let insn = Insn::Movsx { width, from, dst, src: reg(s.src)? };
                        plain(s.opcode & X != 0 && s.imm == 0, insn)
                    }
                    code => {
                        let op = AluOp::ALL.into_iter().find(|op| op.code() == (code, s.offset));
                        let op = op.ok_or(DecodeError::Opcode(s.opcode))?;
                        Ok(Insn::Alu { width, op, dst, src: s.operand()? })
                    }
                }
            }
            LD => {
                let dst = reg(s.dst)?;
                let high = Slot::read(bytes.get(8..).unwrap_or_default())?;
                if s.opcode != LD | size_code(Size::D) {
                    return Err(DecodeError::Opcode(s.opcode));
                }
                let imm = match (s.src, high.imm) {
                    (0, _) => Imm64::Value((high.imm as u32 as u64) << 32 | s.imm as u32 as u64),
                    (PSEUDO_MAP_FD, 0) => Imm64::MapFd(s.imm),
                    (PSEUDO_MAP_VALUE, offset) => Imm64::MapValue { fd: s.imm, offset: offset as u32 },
                    (PSEUDO_BTF_ID, module) => Imm64::BtfId { id: s.imm, module },
                    (PSEUDO_FUNC, 0) => Imm64::Func(s.imm),
                    _ => return Err(DecodeError::Field(s.opcode)),
                };
                let rest = (s.offset, high.opcode, high.dst, high.src, high.offset);
                plain(rest == (0, 0, 0, 0, 0), Insn::LdImm64 { dst, imm })
            }
            LDX => {
                let (dst, base, offset, size) = (reg(s.dst)?, reg(s.src)?, s.offset, s.size());
                let insn = match (s.opcode & 0xe0, size) {
                    (MEM, _) => Insn::Load { size, dst, base, offset },
                    (MEMSX, Size::B) => Insn::LoadSigned { from: Narrow::S8, dst, base, offset },
                    (MEMSX, Size::H) => Insn::LoadSigned { from: Narrow::S16, dst, base, offset },
                    (MEMSX, Size::W) => Insn::LoadSigned { from: Narrow::S32, dst, base, offset },
                    _ => return Err(DecodeError::Opcode(s.opcode)),
                };
                plain(s.imm == 0, insn)
            }
            ST => {
                let insn = Insn::Store {
                    size: s.size(),
                    base: reg(s.dst)?,
                    offset: s.offset,
                    src: Operand::Imm(s.imm),
                };
                plain(s.opcode & 0xe0 == MEM && s.src == 0, insn)
            }
            STX => {
                let (base, src, offset, size) = (reg(s.dst)?, reg(s.src)?, s.offset, s.size());
                if s.opcode & 0xe0 == MEM {
                    return plain(s.imm == 0, Insn::Store { size, base, offset, src: Operand::Reg(src) });
                }
                if s.opcode & 0xe0 != ATOMIC {
                    return Err(DecodeError::Opcode(s.opcode));
                }
                match s.imm {
                    LOAD_ACQUIRE => return Ok(Insn::LoadAcquire { size, dst: base, base: src, offset }),
                    STORE_RELEASE => return Ok(Insn::StoreRelease { size, base, offset, src }),
                    _ => {}
                }
                let width = match size {
                    Size::W => Width::W32,
                    Size::D => Width::W64,
                    Size::B | Size::H => return Err(DecodeError::Field(s.opcode)),
                };
                match s.imm {
                    XCHG => Ok(Insn::Xchg { width, base, offset, src }),
                    CMPXCHG => Ok(Insn::CmpXchg { width, base, offset, src }),
                    imm => {
                        let op = AtomicOp::ALL.into_iter().find(|op| op.code() == imm & !FETCH);
                        let op = op.ok_or(DecodeError::Field(s.opcode))?;
                        Ok(Insn::Atomic { width, op, fetch: imm & FETCH != 0, base, offset, src })
                    }
                }
            }
            class => {
                let long = class == JMP32;
                let no_regs = s.dst == 0 && s.src == 0;
                match s.opcode {
                    0x05 => plain(no_regs && s.imm == 0, Insn::Goto { offset: s.offset }),
                    0x06 => plain(no_regs && s.offset == 0, Insn::GotoLong { offset: s.imm }),
                    0xe5 => plain(no_regs && s.imm == 0, Insn::MayGoto { offset: s.offset }),
                    0x95 => plain(no_regs && s.offset == 0 && s.imm == 0, Insn::Exit),
                    0x85 => match s.src {
                        0 => plain(s.dst == 0 && s.offset == 0, Insn::CallHelper { number: s.imm as u32 }),
                        PSEUDO_CALL => plain(s.dst == 0 && s.offset == 0, Insn::CallLocal { offset: s.imm }),
                        PSEUDO_KFUNC_CALL => {
                            plain(s.dst == 0, Insn::CallKfunc { btf_id: s.imm, module: s.offset })
                        }
                        _ => Err(DecodeError::Field(s.opcode)),
                    },
                    opcode => {
                        let cond = Cond::ALL.into_iter().find(|c| c.code() == opcode & 0xf0);
                        let cond = cond.ok_or(DecodeError::Opcode(opcode))?;
                        let width = if long { Width::W32 } else { Width::W64 };
                        Ok(Insn::Jump { width, cond, dst: reg(s.dst)?, src: s.operand()?, offset: s.offset })
                    }
                }
            }
        }
    }
}

impl Slot {
    fn read(bytes: &[u8]) -> Result<Slot, DecodeError> {
        let Some(&[opcode, regs, o0, o1, i0, i1, i2, i3]) = bytes.first_chunk::<8>() else {
            return Err(DecodeError::Truncated);
        };
        Ok(Slot {
            opcode,
            dst: regs & 0x0f,
            src: regs >> 4,
            offset: i16::from_le_bytes([o0, o1]),
            imm: i32::from_le_bytes([i0, i1, i2, i3]),
        })
    }

    fn size(self) -> Size {
        match self.opcode & 0x18 {
            0x10 => Size::B,
            0x08 => Size::H,
            0x00 => Size::W,
            _ => Size::D,
        }
    }

    /// The second operand of an arithmetic or jump instruction; the field that it does not use must be zero.
    fn operand(self) -> Result<Operand, DecodeError> {
        match (self.opcode & X != 0, self.src, self.imm) {
            (true, src, 0) => Ok(Operand::Reg(Reg::from_number(src)?)),
            (false, 0, imm) => Ok(Operand::Imm(imm)),
            _ => Err(DecodeError::Field(self.opcode)),
        }
    }
}

fn alu_class(width: Width) -> u8 {
    if width == Width::W64 { ALU64 } else { ALU32 }
}

fn size_code(size: Size) -> u8 {
    match size {
        Size::W => 0x00,
        Size::H => 0x08,
        Size::B => 0x10,
        Size::D => 0x18,
    }
}

fn operand(opcode: u8, src: Operand) -> Slot {
    match src {
        Operand::Reg(r) => Slot { opcode: opcode | X, src: r as u8, ..Slot::default() },
        Operand::Imm(imm) => Slot { opcode, imm, ..Slot::default() },
    }
}

fn atomic(size: Size, imm: i32, base: Reg, offset: i16, src: Reg) -> Slot {
    Slot { opcode: STX | ATOMIC | size_code(size), dst: base as u8, src: src as u8, offset, imm }
}
