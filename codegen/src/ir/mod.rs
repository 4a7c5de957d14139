//! The intermediate representation: functions in SSA form with block parameters.
//!
//! # What it means
//!
//! A [`Function`] is one eBPF program, or one of its callbacks: code that the kernel calls while the program waits, as
//! for each element of a map. Control flow is a graph of [`Block`]s; a block has parameters (in the place
//! of phi nodes), instructions, and one [`Terminator`], which passes arguments to the blocks that it names. The
//! entry block of a program has exactly one parameter: the pointer to the context; that of a callback has what the
//! kernel passes ([`Role`]). No edge leads to the entry block.
//!
//! Every [`Value`] is 64 bits wide: a number, extended by whoever made it, or a pointer. Aggregates are bytes in
//! [`Slot`]s, in map values, or in records of the ring buffer; they are moved by loads and stores.
//!
//! A slot is memory of the function. Its content is undefined at entry. After the slot pass each lies in the stack
//! frame or in the per-CPU scratch map of the program, and no [`Op::SlotAddr`] of a scratch slot is left.
//!
//! # The contract (checked by `verify.rs`)
//!
//! 1. Every use is dominated by its definition; arguments match parameters in number.
//! 2. A block ends in its terminator; every block is reachable after unreachable ones were removed.
//! 3. Loads, stores and atomics name a base that the kernel's verifier can follow: the context, a slot, a map
//!    value, the globals, a ring record, or the result of [`Op::ReadonlyCast`], plus constants, plus a variable
//!    that was bounded by a mask directly before.
//! 4. The result of a map look-up or of a ring reservation is compared with zero, and every use of it as a base is
//!    dominated by the non-zero side of that comparison. Uses name the very same value.
//! 5. A reserved record is submitted or discarded exactly once on every path.
//! 6. A kernel pointer stays a number until the `ReadonlyCast` or the probe-read helper that reads through it.
//! 7. A call has at most five arguments.
//!
//! # What passes may do
//!
//! [`Op::is_pure`] says which instructions may be removed, merged, and moved along dominance. All others stay, in
//! their order. Spans survive every pass.

use cranelift_entity::{PrimaryMap, entity_impl};
use rtscript_lang::foreign::ForeignFunction;
use rtscript_lang::provider::ProgramKind;
use rtscript_lang::registers;
use rtscript_lang::syntax::source::Span;
use rustc_hash::FxHashMap;

use crate::insn::{AluOp, AtomicOp, Cond, Helper, Narrow, Size, SwapBits};
use crate::object::{Access, AccessId, Manifest, MapDef, MapRef};
use crate::target::Target;

pub mod builder;
mod text;
pub mod verify;

/// All programs of a script, and what they share.
#[derive(Debug)]
pub struct Module {
    pub functions: Vec<Function>,
    pub maps: PrimaryMap<MapRef, MapDef>,
    /// The array map of one element that holds the globals (`rtscript_lang::record::globals`).
    pub globals: MapRef,
    pub accesses: PrimaryMap<AccessId, Access>,
    pub manifest: Manifest,
    pub target: Target,
    /// What [`Callee::Foreign`] counts.
    pub foreign: Vec<ForeignFunction>,
}

/// One program, or one of its callbacks.
#[derive(Clone, Debug)]
pub struct Function {
    /// At most 15 bytes of letters, digits and `_`: the kernel's limit for a program's name.
    pub name: String,
    pub program: ProgramKind,
    pub role: Role,
    /// Whether it calls what may sleep, and must be loaded so.
    pub sleepable: bool,
    /// What [`Op::CallbackRef`] counts, in the program itself and in its callbacks, which have none of their own.
    pub callbacks: Vec<Function>,
    pub blocks: PrimaryMap<Block, BlockData>,
    pub insts: PrimaryMap<Inst, InstData>,
    /// Where each value comes from.
    pub values: PrimaryMap<Value, Def>,
    pub slots: PrimaryMap<Slot, SlotData>,
    pub entry: Block,
    /// The script's probe: the span of instructions that have none of their own.
    pub span: Span,
}

impl Function {
    /// Whether a probe of a function reads registers that are not kept by calls.
    pub fn reads_other_registers(&self) -> bool {
        let context = self.blocks[self.entry].params.first();
        let is_other = |inst: &InstData| {
            matches!(inst.op, Op::Load { base, displacement, .. }
                if Some(&base) == context && !registers::is_kept_by_calls(displacement as u32))
        };
        match self.program {
            ProgramKind::Kprobe | ProgramKind::Kretprobe => self.insts.values().any(is_other),
            ProgramKind::RawTracepoint
            | ProgramKind::Tracepoint
            | ProgramKind::PerfEvent
            | ProgramKind::Uprobe
            | ProgramKind::Fentry
            | ProgramKind::Fexit
            | ProgramKind::Iter => false,
        }
    }
}

/// Who calls a function, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The kernel, with the context, where the program is attached.
    Program,
    /// `bpf_for_each_map_elem`, with the map, the addresses of a key and of its value, and what the caller gave along. It
    /// returns 0 to go on, 1 to stop.
    EachElement,
    /// `bpf_loop`, with the number of the round and what the caller gave along. It returns the same.
    Round,
}

impl Function {
    /// Of a callback: the value that its caller gave along, which points at what they share.
    pub fn given(&self) -> Option<Value> {
        let params = &self.blocks[self.entry].params;
        match self.role {
            Role::Program => None,
            Role::EachElement => params.get(3).copied(),
            Role::Round => params.get(1).copied(),
        }
    }

    /// Slots become parts of others, where they begin at so many bytes.
    pub fn join_slots(&mut self, parts: &FxHashMap<Slot, (Slot, i32)>) {
        for data in self.insts.values_mut() {
            if let Op::SlotAddr(slot, offset) = data.op
                && let Some((whole, start)) = parts.get(&slot)
            {
                data.op = Op::SlotAddr(*whole, start + offset);
            }
        }
    }
}

impl Role {
    /// How many parameters the entry block has.
    pub fn params(self) -> usize {
        match self {
            Role::Program => 1,
            Role::EachElement => 4,
            Role::Round => 2,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block(u32);
entity_impl!(Block, "block");

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inst(u32);
entity_impl!(Inst, "inst");

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(u32);
entity_impl!(Value, "v");

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);
entity_impl!(Slot, "slot");

#[derive(Clone, Debug)]
pub struct BlockData {
    pub params: Vec<Value>,
    pub insts: Vec<Inst>,
    pub terminator: Terminator,
    /// The span of the terminator.
    pub span: Span,
    /// Rarely run: it is laid out behind all others.
    pub cold: bool,
}

#[derive(Clone, Debug)]
pub struct InstData {
    pub op: Op,
    /// `None` for instructions without a result.
    pub result: Option<Value>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Def {
    Inst(Inst),
    Param(Block, u32),
}

/// Bytes of memory that belong to the function.
#[derive(Clone, Copy, Debug)]
pub struct SlotData {
    /// A multiple of 8.
    pub size: u32,
    /// Always 8 today; kept so that the frame's layout need not assume it.
    pub align: u32,
    pub place: Place,
}

/// Where a slot may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Anywhere,
    /// In the stack frame: the kernel asks for it, or pointers are kept there, which it follows nowhere else.
    Stack,
    /// In scratch memory. Callbacks read and write it while they are called with a slot that holds its address: what lies in
    /// the stack would be part of the state that the verifier compares for each call.
    Outside,
    /// In scratch memory, for itself as long as the function runs.
    Scratch,
}

/// A value, or a constant that fits an instruction (it is sign-extended to 64 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    Value(Value),
    Imm(i32),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Const(i64),
    /// 64-bit arithmetic; never `Mov`. Division by zero gives 0, modulo by zero its left side.
    Binary(AluOp, Value, Operand),
    Neg(Value),
    /// The low bits, zero-extended; `size` is less than 8 bytes.
    ZeroExtend(Size, Value),
    /// The low bits, sign-extended.
    SignExtend(Narrow, Value),
    /// The low bits with their bytes in the other order, zero-extended.
    ByteSwap(SwapBits, Value),
    /// 1 if the comparison holds, otherwise 0. A branch on such a value is fused with it.
    Compare(Cond, Value, Operand),
    /// The address of a slot, plus so many bytes.
    SlotAddr(Slot, i32),
    /// A reference to a map, as the map helpers want it.
    MapRef(MapRef),
    /// The address of the globals, plus so many bytes.
    GlobalAddr(u32),
    /// A callback of the program, as the helper that calls it wants it.
    CallbackRef(u32),
    /// The byte offset of a member, relocated for the kernel that it is loaded into.
    FieldOffset(AccessId),
    /// How far a bit-field's eight-byte value is shifted left, then right, to isolate it; relocated.
    FieldShift(AccessId, Shift),
    /// A kernel address as memory that may be read directly: a fault reads as zero (6.17 and later). Written as a
    /// call, which the kernel turns into a move; so it clobbers like a call, but is pure.
    ReadonlyCast(Value),
    /// Memory at `base + displacement` (+ the offset of `field`, whose value on this kernel `displacement` already
    /// includes), zero-extended, or sign-extended where `signed`.
    Load {
        size: Size,
        signed: bool,
        base: Value,
        displacement: i32,
        field: Option<AccessId>,
    },
    Store {
        size: Size,
        base: Value,
        displacement: i32,
        value: Operand,
    },
    /// Atomic read-modify-write without a result, of 4 or 8 bytes.
    Atomic {
        op: AtomicOp,
        size: Size,
        base: Value,
        displacement: i32,
        value: Value,
    },
    /// The same; its result is the value that was there before.
    AtomicFetch {
        op: AtomicOp,
        size: Size,
        base: Value,
        displacement: i32,
        value: Value,
    },
    /// Atomically: where 8 bytes hold `expected`, `value` takes its place. The result is what was there before.
    CompareExchange {
        base: Value,
        displacement: i32,
        expected: Value,
        value: Value,
    },
    /// A helper of the kernel. It always has a result, which may be left unused.
    Call(Callee, Vec<Operand>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shift {
    Left,
    Right,
}

/// A block with arguments for its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    pub block: Block,
    pub args: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminator {
    Jump(Jump),
    Branch {
        cond: Cond,
        left: Value,
        right: Operand,
        then: Jump,
        otherwise: Jump,
    },
    /// The kernel's bounded loop: goes on with `body`, or with `exit` once its budget is used up (6.9 and later).
    MayGoto {
        body: Jump,
        exit: Jump,
    },
    Return(Operand),
}

/// What a program calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Callee {
    Helper(Helper),
    /// A function in C, by its place in [`Module::foreign`].
    Foreign(u32),
}

impl Op {
    /// Whether it has no effect and depends on nothing but its operands.
    pub fn is_pure(&self) -> bool {
        match self {
            Op::Const(_)
            | Op::Binary(..)
            | Op::Neg(_)
            | Op::ZeroExtend(..)
            | Op::SignExtend(..)
            | Op::ByteSwap(..)
            | Op::Compare(..)
            | Op::SlotAddr(..)
            | Op::MapRef(_)
            | Op::GlobalAddr(_)
            | Op::CallbackRef(_)
            | Op::FieldOffset(_)
            | Op::FieldShift(..)
            | Op::ReadonlyCast(_) => true,
            Op::Load { .. }
            | Op::Store { .. }
            | Op::Atomic { .. }
            | Op::AtomicFetch { .. }
            | Op::CompareExchange { .. }
            | Op::Call(..) => false,
        }
    }

    /// Whether it may be dropped where its result is unused. Loads may; helpers may not.
    pub fn is_removable(&self) -> bool {
        self.is_pure() || matches!(self, Op::Load { .. })
    }

    /// Whether it has a result.
    pub fn has_result(&self) -> bool {
        !matches!(self, Op::Store { .. } | Op::Atomic { .. })
    }

    /// Calls `f` with every value that it reads.
    pub fn each_use(&self, mut f: impl FnMut(Value)) {
        let mut operand = |operand: &Operand| {
            if let Operand::Value(value) = operand {
                f(*value);
            }
        };
        match self {
            Op::Const(_)
            | Op::SlotAddr(..)
            | Op::MapRef(_)
            | Op::GlobalAddr(_)
            | Op::CallbackRef(_)
            | Op::FieldOffset(_)
            | Op::FieldShift(..) => {}
            Op::Binary(_, left, right) | Op::Compare(_, left, right) => {
                operand(&Operand::Value(*left));
                operand(right);
            }
            Op::Neg(value)
            | Op::ZeroExtend(_, value)
            | Op::SignExtend(_, value)
            | Op::ByteSwap(_, value)
            | Op::ReadonlyCast(value) => operand(&Operand::Value(*value)),
            Op::Load { base, .. } => operand(&Operand::Value(*base)),
            Op::Store { base, value, .. } => {
                operand(&Operand::Value(*base));
                operand(value);
            }
            Op::Atomic { base, value, .. } | Op::AtomicFetch { base, value, .. } => {
                operand(&Operand::Value(*base));
                operand(&Operand::Value(*value));
            }
            Op::CompareExchange { base, expected, value, .. } => {
                [base, expected, value].into_iter().for_each(|value| operand(&Operand::Value(*value)));
            }
            Op::Call(_, args) => args.iter().for_each(operand),
        }
    }

    /// Replaces every value that it reads by what `f` says.
    pub fn map_uses(&mut self, mut f: impl FnMut(Value) -> Value) {
        let mut operand = |operand: &mut Operand| {
            if let Operand::Value(value) = operand {
                *value = f(*value);
            }
        };
        let mut value = |value: &mut Value| {
            let mut wrapped = Operand::Value(*value);
            operand(&mut wrapped);
            if let Operand::Value(mapped) = wrapped {
                *value = mapped;
            }
        };
        match self {
            Op::Const(_)
            | Op::SlotAddr(..)
            | Op::MapRef(_)
            | Op::GlobalAddr(_)
            | Op::CallbackRef(_)
            | Op::FieldOffset(_)
            | Op::FieldShift(..) => {}
            Op::Binary(_, left, right) | Op::Compare(_, left, right) => {
                value(left);
                operand(right);
            }
            Op::Neg(of)
            | Op::ZeroExtend(_, of)
            | Op::SignExtend(_, of)
            | Op::ByteSwap(_, of)
            | Op::ReadonlyCast(of) => value(of),
            Op::Load { base, .. } => value(base),
            Op::Store { base, value: stored, .. } => {
                value(base);
                operand(stored);
            }
            Op::Atomic { base, value: by, .. } | Op::AtomicFetch { base, value: by, .. } => {
                value(base);
                value(by);
            }
            Op::CompareExchange { base, expected, value: by, .. } => {
                [base, expected, by].into_iter().for_each(value);
            }
            Op::Call(_, args) => args.iter_mut().for_each(operand),
        }
    }
}

impl Terminator {
    /// The blocks that may come next, with their arguments.
    pub fn jumps(&self) -> impl Iterator<Item = &Jump> {
        let (first, second) = match self {
            Terminator::Jump(jump) => (Some(jump), None),
            Terminator::Branch { then, otherwise, .. } => (Some(then), Some(otherwise)),
            Terminator::MayGoto { body, exit } => (Some(body), Some(exit)),
            Terminator::Return(_) => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Calls `f` with every value that it reads by itself.
    pub fn each_operand(&self, mut f: impl FnMut(Value)) {
        match self {
            Terminator::Branch { left, right, .. } => {
                f(*left);
                if let Operand::Value(right) = right {
                    f(*right);
                }
            }
            Terminator::Return(Operand::Value(value)) => f(*value),
            Terminator::Return(Operand::Imm(_)) | Terminator::Jump(_) | Terminator::MayGoto { .. } => {}
        }
    }

    pub fn jumps_mut(&mut self) -> impl Iterator<Item = &mut Jump> {
        let (first, second) = match self {
            Terminator::Jump(jump) => (Some(jump), None),
            Terminator::Branch { then, otherwise, .. } => (Some(then), Some(otherwise)),
            Terminator::MayGoto { body, exit } => (Some(body), Some(exit)),
            Terminator::Return(_) => (None, None),
        };
        first.into_iter().chain(second)
    }
}
