//! A function of machine instructions over values: what instruction selection makes and register allocation reads.
//!
//! It is in SSA form with block parameters. An instruction is an `Insn` whose registers are placeholders: `def` and
//! `uses` name the values that belong there, in the order of `Inst::fill`. Only `R10` in a template is meant: a load
//! or store through it addresses the frame. No edge leads from a block with several successors to a block with
//! several predecessors, so that every edge has one place for its moves; no edge leads to the entry block.

use crate::insn::{AluOp, Imm64, Insn, Operand, Reg};
use cranelift_entity::{EntitySet, PrimaryMap, SecondaryMap, entity_impl};

/// A virtual register: defined once, by an instruction or as a block's parameter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(u32);
entity_impl!(Value, "v");

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block(u32);
entity_impl!(Block, "b");

/// A function. `T` is what each instruction carries to the end: its span and its relocation.
#[derive(Clone, Debug)]
pub struct Code<T> {
    pub blocks: PrimaryMap<Block, BlockData<T>>,
    /// Each value and, if its definition can be repeated anywhere instead of spilling, that definition.
    pub values: PrimaryMap<Value, Option<Repeat<T>>>,
    pub entry: Block,
    /// What is laid out behind everything else, since it rarely runs.
    pub cold: EntitySet<Block>,
    /// Bytes of the frame in use, a multiple of 8; spills lie below.
    pub frame: u32,
}

/// A definition without operands: a constant, the address of a slot, a reference to a map.
#[derive(Clone, PartialEq, Debug)]
pub struct Repeat<T> {
    pub op: Op,
    pub tag: T,
}

#[derive(Clone, Debug)]
pub struct BlockData<T> {
    /// Of the entry block: what the caller passes, in r1 to r5.
    pub params: Vec<Value>,
    pub insts: Vec<Inst<T>>,
    pub end: End<T>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Inst<T> {
    pub op: Op,
    pub def: Option<Value>,
    pub uses: Vec<Value>,
    pub tag: T,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Op {
    Insn(Insn),
    /// The address that many bytes above the frame's top (so below zero).
    FrameAddr(i32),
}

/// How a block ends.
#[derive(Clone, Debug)]
pub enum End<T> {
    Goto(Edge, T),
    /// `jump` is an `Insn::Jump` (whose offset does not matter yet).
    Branch {
        jump: Insn,
        uses: Vec<Value>,
        then: Edge,
        otherwise: Edge,
        tag: T,
    },
    /// Goes on to `next`, or to `exhausted` when the kernel's budget for loops is used up.
    MayGoto {
        next: Edge,
        exhausted: Edge,
        tag: T,
    },
    /// Returns the value in r0.
    Return(Value, T),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Edge {
    pub to: Block,
    pub args: Vec<Value>,
}

impl<T: Copy> Code<T> {
    /// Puts an empty block on every edge from a block with several successors to one with several predecessors.
    pub fn split_critical_edges(&mut self) {
        let mut predecessors: SecondaryMap<Block, u32> = SecondaryMap::new();
        for edge in self.blocks.values().flat_map(|block| block.end.edges()) {
            predecessors[edge.to] += 1;
        }
        for block in self.blocks.keys().collect::<Vec<_>>() {
            let mut end = self.blocks[block].end.clone();
            let tag = *end.tag();
            let mut split = |edge: &mut Edge| {
                if predecessors[edge.to] > 1 {
                    let end = End::Goto(edge.clone(), tag);
                    let to = self.blocks.push(BlockData { params: Vec::new(), insts: Vec::new(), end });
                    if self.cold.contains(edge.to) || self.cold.contains(block) {
                        self.cold.insert(to);
                    }
                    *edge = Edge { to, args: Vec::new() };
                }
            };
            match &mut end {
                End::Branch { then, otherwise, .. } => {
                    split(then);
                    split(otherwise);
                }
                End::MayGoto { next, exhausted, .. } => {
                    split(next);
                    split(exhausted);
                }
                End::Goto(..) | End::Return(..) => {}
            }
            self.blocks[block].end = end;
        }
    }
}

impl<T> End<T> {
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        let (a, b) = match self {
            End::Goto(edge, _) => (Some(edge), None),
            End::Branch { then, otherwise, .. } => (Some(then), Some(otherwise)),
            End::MayGoto { next, exhausted, .. } => (Some(next), Some(exhausted)),
            End::Return(..) => (None, None),
        };
        a.into_iter().chain(b)
    }

    /// What the ending itself reads; the arguments of edges apart.
    pub fn uses(&self) -> &[Value] {
        match self {
            End::Goto(..) | End::MayGoto { .. } => &[],
            End::Branch { uses, .. } => uses,
            End::Return(value, _) => std::slice::from_ref(value),
        }
    }

    pub fn tag(&self) -> &T {
        match self {
            End::Goto(_, tag) | End::Return(_, tag) => tag,
            End::Branch { tag, .. } | End::MayGoto { tag, .. } => tag,
        }
    }
}

impl<T> Inst<T> {
    /// Which use must be in the register of the definition: that of a two-operand form.
    pub fn tied(&self) -> Option<usize> {
        let Op::Insn(insn) = self.op else { return None };
        let in_place = match insn {
            Insn::Alu { op, .. } => op != AluOp::Mov,
            insn => matches!(insn, Insn::Neg { .. } | Insn::Swap { .. }),
        };
        let exchanges = matches!(insn, Insn::Atomic { fetch: true, .. } | Insn::Xchg { .. });
        if in_place {
            Some(0)
        } else if exchanges {
            Some(self.uses.len() - 1)
        } else {
            None
        }
    }

    /// The register that use `i` must be in.
    pub fn fixed_use(&self, i: usize) -> Option<Reg> {
        if self.is_call() {
            return Some(Reg::argument(i));
        }
        let expected = matches!(self.op, Op::Insn(Insn::CmpXchg { .. })) && i + 2 == self.uses.len();
        expected.then_some(Reg::R0)
    }

    /// The register that the definition comes in.
    pub fn fixed_def(&self) -> Option<Reg> {
        (self.is_call() || matches!(self.op, Op::Insn(Insn::CmpXchg { .. }))).then_some(Reg::R0)
    }

    /// Whether r0 to r5 lose what they held.
    pub fn is_call(&self) -> bool {
        let Op::Insn(insn) = self.op else { return false };
        matches!(insn, Insn::CallHelper { .. } | Insn::CallKfunc { .. } | Insn::CallLocal { .. })
    }

    /// Whether the first two uses may change places.
    pub fn commutes(&self) -> bool {
        use AluOp::{Add, And, Mul, Or, Xor};
        matches!(self.op, Op::Insn(Insn::Alu { op: Add | Mul | Or | And | Xor, src: Operand::Reg(_), .. }))
    }
}

impl Op {
    /// The constant, if a move or a store can carry it as its immediate.
    pub fn small_constant(&self) -> Option<i32> {
        if let Op::Insn(Insn::LdImm64 { imm: Imm64::Value(v), .. }) = *self {
            i32::try_from(v as i64).ok()
        } else {
            None
        }
    }
}

/// The template with its registers filled in. `def` is ignored where the instruction defines nothing, or defines
/// what a tied use names already.
pub fn fill(insn: Insn, def: Option<Reg>, uses: &[Reg]) -> Insn {
    let d = def.unwrap_or(Reg::R0);
    // A base of R10 is meant; any other stands for the first use.
    let based = |base| if base == Reg::R10 { (base, uses) } else { (uses[0], &uses[1..]) };
    match insn {
        Insn::Alu { width, op: AluOp::Mov, src, .. } => {
            let src = match src {
                Operand::Reg(Reg::R10) | Operand::Imm(_) => src,
                Operand::Reg(_) => Operand::Reg(uses[0]),
            };
            Insn::Alu { width, op: AluOp::Mov, dst: d, src }
        }
        Insn::Alu { width, op, src, .. } => {
            let src = match src {
                Operand::Reg(_) => Operand::Reg(uses[1]),
                Operand::Imm(_) => src,
            };
            Insn::Alu { width, op, dst: uses[0], src }
        }
        Insn::Neg { width, .. } => Insn::Neg { width, dst: uses[0] },
        Insn::Movsx { width, from, .. } => Insn::Movsx { width, from, dst: d, src: uses[0] },
        Insn::Swap { kind, bits, .. } => Insn::Swap { kind, bits, dst: uses[0] },
        Insn::LdImm64 { imm, .. } => Insn::LdImm64 { dst: d, imm },
        Insn::Load { size, base, offset, .. } => Insn::Load { size, dst: d, base: based(base).0, offset },
        Insn::LoadSigned { from, base, offset, .. } => {
            Insn::LoadSigned { from, dst: d, base: based(base).0, offset }
        }
        Insn::LoadAcquire { size, base, offset, .. } => {
            Insn::LoadAcquire { size, dst: d, base: based(base).0, offset }
        }
        Insn::Store { size, base, offset, src } => {
            let (base, rest) = based(base);
            let src = match src {
                Operand::Reg(_) => Operand::Reg(rest[0]),
                Operand::Imm(_) => src,
            };
            Insn::Store { size, base, offset, src }
        }
        Insn::StoreRelease { size, base, offset, .. } => {
            let (base, rest) = based(base);
            Insn::StoreRelease { size, base, offset, src: rest[0] }
        }
        Insn::Atomic { width, op, fetch, base, offset, .. } => {
            let (base, rest) = based(base);
            Insn::Atomic { width, op, fetch, base, offset, src: rest[0] }
        }
        Insn::Xchg { width, base, offset, .. } => {
            let (base, rest) = based(base);
            Insn::Xchg { width, base, offset, src: rest[0] }
        }
        Insn::CmpXchg { width, base, offset, .. } => {
            let (base, rest) = based(base);
            Insn::CmpXchg { width, base, offset, src: rest[1] }
        }
        Insn::Jump { width, cond, src, offset, .. } => {
            let src = match src {
                Operand::Reg(_) => Operand::Reg(uses[1]),
                Operand::Imm(_) => src,
            };
            Insn::Jump { width, cond, dst: uses[0], src, offset }
        }
        Insn::Goto { .. }
        | Insn::GotoLong { .. }
        | Insn::MayGoto { .. }
        | Insn::CallHelper { .. }
        | Insn::CallKfunc { .. }
        | Insn::CallLocal { .. }
        | Insn::Exit => insn,
    }
}
