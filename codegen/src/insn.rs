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

mod encoding;
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
