//! One eBPF machine instruction: the enum *is* the opcode table of instruction sets v1 to v4.
//!
//! `Insn::encode` gives the kernel's little-endian form (8 bytes, 16 for `LdImm64`), `decode` reads it back, and
//! `Display` writes the syntax of the kernel's own dumps (`bpftool prog dump xlated`, verifier log) without the
//! leading `(opcode)`. Left out: the packet loads of classic BPF, which no tracing program may use, big-endian
//! hosts, and what the kernel of version 6.18 does not know (`gotox`, `callx`).
//!
//! Jump and call offsets count 8-byte slots from the slot after the instruction, as the kernel does; an `LdImm64`
//! fills two slots.
//!
//! ```text
//!  byte 0     1           2 3      4 5 6 7
//!  opcode     src | dst   offset   imm         opcode = operation | source | class, or mode | size | class
//! ```

mod helper;
mod text;
pub use helper::Helper;

/// A machine register. `R0` holds results, `R1`–`R5` arguments, `R6`–`R9` survive calls, `R10` is the frame's top.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

impl Reg {
    pub const ALL: [Reg; 11] = {
        use Reg::*;
        [R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10]
    };

    /// Where a call expects argument `i`, below 5.
    pub fn argument(i: usize) -> Reg {
        Reg::ALL[1..=5][i]
    }

    /// Whether a call leaves the register as it was.
    pub fn survives_call(self) -> bool {
        self >= Reg::R6
    }

    /// The register's number, 0 to 10.
    pub fn number(self) -> u8 {
        self as u8
    }

    fn from_number(n: u8) -> Result<Reg, DecodeError> {
        Reg::ALL.get(n as usize).copied().ok_or(DecodeError::Register(n))
    }
}

/// How many bits an operation works on; a 32-bit result is zero-extended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Width {
    W32,
    W64,
}

/// A memory access of 1, 2, 4 or 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Size {
    B,
    H,
    W,
    D,
}

impl Size {
    pub const ALL: [Size; 4] = [Size::B, Size::H, Size::W, Size::D];

    pub fn bytes(self) -> u32 {
        match self {
            Size::B => 1,
            Size::H => 2,
            Size::W => 4,
            Size::D => 8,
        }
    }

    /// The size of `bytes` bytes, if a single access can have it.
    pub fn of_bytes(bytes: u32) -> Option<Size> {
        Size::ALL.into_iter().find(|s| s.bytes() == bytes)
    }
}

/// What a sign extension starts from: 8, 16 or 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Narrow {
    S8,
    S16,
    S32,
}

impl Narrow {
    pub fn bits(self) -> u32 {
        match self {
            Narrow::S8 => 8,
            Narrow::S16 => 16,
            Narrow::S32 => 32,
        }
    }
}

/// The second operand of most instructions. An immediate is sign-extended to the operation's width.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    Reg(Reg),
    Imm(i32),
}

/// Two-operand arithmetic, `dst = dst op src` (`Mov`: `dst = src`). Division by zero gives 0, modulo by zero
/// leaves `dst`; shift counts are taken modulo the width.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AluOp {
    Add,
    Sub,
    Mul,
    Div,
    Sdiv,
    Mod,
    Smod,
    Or,
    And,
    Xor,
    Lsh,
    Rsh,
    Arsh,
    Mov,
}

impl AluOp {
    pub const ALL: [AluOp; 14] = {
        use AluOp::*;
        [Add, Sub, Mul, Div, Sdiv, Mod, Smod, Or, And, Xor, Lsh, Rsh, Arsh, Mov]
    };

    /// The operation's bits of the opcode, and the offset field that makes division signed.
    fn code(self) -> (u8, i16) {
        match self {
            AluOp::Add => (0x00, 0),
            AluOp::Sub => (0x10, 0),
            AluOp::Mul => (0x20, 0),
            AluOp::Div => (0x30, 0),
            AluOp::Sdiv => (0x30, 1),
            AluOp::Or => (0x40, 0),
            AluOp::And => (0x50, 0),
            AluOp::Lsh => (0x60, 0),
            AluOp::Rsh => (0x70, 0),
            AluOp::Mod => (0x90, 0),
            AluOp::Smod => (0x90, 1),
            AluOp::Xor => (0xa0, 0),
            AluOp::Mov => (0xb0, 0),
            AluOp::Arsh => (0xc0, 0),
        }
    }
}

/// What a byte-order instruction does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Swap {
    /// Host to little-endian: cuts to the width on a little-endian host.
    ToLe,
    /// Host to big-endian: swaps on a little-endian host.
    ToBe,
    /// Swaps always (v4).
    Always,
}

/// The width of a byte-order instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SwapBits {
    B16,
    B32,
    B64,
}

impl SwapBits {
    pub fn bits(self) -> u32 {
        match self {
            SwapBits::B16 => 16,
            SwapBits::B32 => 32,
            SwapBits::B64 => 64,
        }
    }
}

/// The read-modify-write operations that need no old value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AtomicOp {
    Add,
    Or,
    And,
    Xor,
}

impl AtomicOp {
    pub const ALL: [AtomicOp; 4] = [AtomicOp::Add, AtomicOp::Or, AtomicOp::And, AtomicOp::Xor];

    fn code(self) -> i32 {
        match self {
            AtomicOp::Add => 0x00,
            AtomicOp::Or => 0x40,
            AtomicOp::And => 0x50,
            AtomicOp::Xor => 0xa0,
        }
    }
}

/// The condition of a branch. `Set` is taken if `dst & src` is not 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cond {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Sgt,
    Sge,
    Slt,
    Sle,
    Set,
}

impl Cond {
    pub const ALL: [Cond; 11] = {
        use Cond::*;
        [Eq, Ne, Gt, Ge, Lt, Le, Sgt, Sge, Slt, Sle, Set]
    };

    fn code(self) -> u8 {
        match self {
            Cond::Eq => 0x10,
            Cond::Gt => 0x20,
            Cond::Ge => 0x30,
            Cond::Set => 0x40,
            Cond::Ne => 0x50,
            Cond::Sgt => 0x60,
            Cond::Sge => 0x70,
            Cond::Lt => 0xa0,
            Cond::Le => 0xb0,
            Cond::Slt => 0xc0,
            Cond::Sle => 0xd0,
        }
    }
}

/// What a 16-byte load of a constant means; all but `Value` are resolved by the kernel while loading.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Imm64 {
    Value(u64),
    /// The map behind a file descriptor.
    MapFd(i32),
    /// The address `offset` bytes into the only value of an array map (global data).
    MapValue {
        fd: i32,
        offset: u32,
    },
    /// A subprogram, counted in slots from the slot after this instruction's first (as for a local call).
    Func(i32),
    /// The address of a kernel variable by its BTF id; `module` is the descriptor of its module's BTF, 0 for the kernel's.
    BtfId {
        id: i32,
        module: i32,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Insn {
    Alu {
        width: Width,
        op: AluOp,
        dst: Reg,
        src: Operand,
    },
    Neg {
        width: Width,
        dst: Reg,
    },
    /// `dst` = sign extension of the low bits of `src` (v4). Not from 32 to 32 bits.
    Movsx {
        width: Width,
        from: Narrow,
        dst: Reg,
        src: Reg,
    },
    Swap {
        kind: Swap,
        bits: SwapBits,
        dst: Reg,
    },
    LdImm64 {
        dst: Reg,
        imm: Imm64,
    },
    /// A load, zero-extended.
    Load {
        size: Size,
        dst: Reg,
        base: Reg,
        offset: i16,
    },
    /// A load, sign-extended to 64 bits (v4).
    LoadSigned {
        from: Narrow,
        dst: Reg,
        base: Reg,
        offset: i16,
    },
    Store {
        size: Size,
        base: Reg,
        offset: i16,
        src: Operand,
    },
    /// `*(base + offset) op= src`; with `fetch`, `src` becomes the old value.
    Atomic {
        width: Width,
        op: AtomicOp,
        fetch: bool,
        base: Reg,
        offset: i16,
        src: Reg,
    },
    /// Exchanges `src` and memory.
    Xchg {
        width: Width,
        base: Reg,
        offset: i16,
        src: Reg,
    },
    /// If memory equals r0 it becomes `src`; r0 becomes the old value.
    CmpXchg {
        width: Width,
        base: Reg,
        offset: i16,
        src: Reg,
    },
    LoadAcquire {
        size: Size,
        dst: Reg,
        base: Reg,
        offset: i16,
    },
    StoreRelease {
        size: Size,
        base: Reg,
        offset: i16,
        src: Reg,
    },
    Jump {
        width: Width,
        cond: Cond,
        dst: Reg,
        src: Operand,
        offset: i16,
    },
    Goto {
        offset: i16,
    },
    /// A jump with a 32-bit offset (v4).
    GotoLong {
        offset: i32,
    },
    /// Jumps when the kernel's time budget for the program's loops is used up, else falls through (6.9).
    MayGoto {
        offset: i16,
    },
    CallHelper {
        number: u32,
    },
    /// `module` is an index into the loader's array of module BTF descriptors, 0 for the kernel's own functions.
    CallKfunc {
        btf_id: i32,
        module: i16,
    },
    CallLocal {
        offset: i32,
    },
    Exit,
}

/// Why bytes are no instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the instruction is cut off")]
    Truncated,
    #[error("unknown opcode {0:#04x}")]
    Opcode(u8),
    #[error("no register {0}")]
    Register(u8),
    #[error("opcode {0:#04x} with a field that must be different")]
    Field(u8),
}

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

impl Width {
    pub fn size(self) -> Size {
        if self == Width::W64 { Size::D } else { Size::W }
    }
}

impl Narrow {
    pub fn size(self) -> Size {
        match self {
            Narrow::S8 => Size::B,
            Narrow::S16 => Size::H,
            Narrow::S32 => Size::W,
        }
    }
}

#[cfg(test)]
mod tests;
