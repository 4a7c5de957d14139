//! Instruction selection: IR becomes machine instructions over values.
//!
//! Constants, addresses in the frame, and references to maps and globals become no instructions: the allocator repeats
//! them where they are used. Splits critical edges, since the moves of an edge need a place of their own.

use cranelift_entity::{EntitySet, PrimaryMap, SecondaryMap};
use rtscript_lang::syntax::source::Span;

use crate::insn::{AluOp, Imm64, Insn, Operand as Source, Reg, Size, Swap, Width};
use crate::ir::{self, Callee, Function, Op, Operand, Shift, Terminator};
use crate::machine::{self, BlockData, Code, Edge, End, Inst, Repeat};
use crate::object::{Access, AccessId, FieldInfo, Kfunc, RelocationKind};
use crate::passes::dominance::Flow;
use crate::passes::slots::Frame;
use crate::target::Target;

/// What an instruction carries to the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tag {
    pub span: Span,
    pub relocation: Option<RelocationKind>,
}

/// Selects instructions for a function whose slots lie as `frame` says, in `frame_size` bytes.
pub fn select(
    function: &Function,
    accesses: &PrimaryMap<AccessId, Access>,
    target: &Target,
    frame: &Frame,
    frame_size: u32,
) -> Code<Tag> {
    let flow = Flow::of(function);
    let mut code = Code {
        blocks: PrimaryMap::new(),
        values: PrimaryMap::new(),
        entry: machine::Block::from_u32(0),
        cold: EntitySet::new(),
        frame: frame_size,
    };
    let mut blocks = SecondaryMap::new();
    for &block in &flow.order {
        let placeholder = code.values.push(None);
        let tag = Tag { span: function.blocks[block].span, relocation: None };
        let made = code.blocks.push(BlockData {
            params: Vec::new(),
            insts: Vec::new(),
            end: End::Return(placeholder, tag),
        });
        if function.blocks[block].cold {
            code.cold.insert(made);
        }
        blocks[block] = Some(made);
    }
    let mut select = Select {
        function,
        accesses,
        target,
        frame,
        code,
        values: SecondaryMap::new(),
        blocks,
        current: Vec::new(),
    };
    if let Some(entry) = select.blocks[function.entry] {
        select.code.entry = entry;
    }
    for &block in &flow.order {
        let params = function.blocks[block].params.iter().map(|param| select.value(*param)).collect();
        if let Some(to) = select.blocks[block] {
            select.code.blocks[to].params = params;
        }
    }
    for &block in &flow.order {
        select.block(block);
    }
    select.code.split_critical_edges();
    select.code
}

struct Select<'a> {
    function: &'a Function,
    accesses: &'a PrimaryMap<AccessId, Access>,
    target: &'a Target,
    frame: &'a Frame,
    code: Code<Tag>,
    values: SecondaryMap<ir::Value, Option<machine::Value>>,
    blocks: SecondaryMap<ir::Block, Option<machine::Block>>,
    /// The instructions of the block that is being made.
    current: Vec<Inst<Tag>>,
}

impl Select<'_> {
    fn block(&mut self, block: ir::Block) {
        let data = &self.function.blocks[block];
        for &inst in &data.insts {
            self.inst(inst);
        }
        let tag = Tag { span: data.span, relocation: None };
        let end = match &data.terminator {
            Terminator::Jump(jump) => End::Goto(self.edge(jump), tag),
            Terminator::Branch { cond, left, right, then, otherwise } => {
                let mut uses = vec![self.value(*left)];
                let src = self.source(*right, &mut uses);
                let jump = Insn::Jump { width: Width::W64, cond: *cond, dst: Reg::R0, src, offset: 0 };
                let (then, otherwise) = (self.edge(then), self.edge(otherwise));
                End::Branch { jump, uses, then, otherwise, tag }
            }
            Terminator::MayGoto { body, exit } => {
                End::MayGoto { next: self.edge(body), exhausted: self.edge(exit), tag }
            }
            Terminator::Return(operand) => {
                let value = match operand {
                    Operand::Value(value) => self.value(*value),
                    Operand::Imm(imm) => self.constant(i64::from(*imm), tag),
                };
                End::Return(value, tag)
            }
        };
        if let Some(to) = self.blocks[block] {
            self.code.blocks[to].insts = std::mem::take(&mut self.current);
            self.code.blocks[to].end = end;
        }
    }

    fn edge(&mut self, jump: &ir::Jump) -> Edge {
        let args = jump.args.iter().map(|arg| self.value(*arg)).collect();
        Edge { to: self.blocks[jump.block].unwrap_or(self.code.entry), args }
    }

    /// The machine's value; one that is made of nothing else can be repeated.
    fn value(&mut self, value: ir::Value) -> machine::Value {
        if let Some(known) = self.values[value] {
            return known;
        }
        let repeat = match self.function.values[value] {
            ir::Def::Inst(inst) => {
                let data = &self.function.insts[inst];
                self.repeat(&data.op, data.span)
            }
            ir::Def::Param(..) => None,
        };
        let made = self.code.values.push(repeat);
        self.values[value] = Some(made);
        made
    }

    fn repeat(&self, op: &Op, span: Span) -> Option<Repeat<Tag>> {
        let plain = Tag { span, relocation: None };
        let load = |imm, relocation| {
            let op = machine::Op::Insn(Insn::LdImm64 { dst: Reg::R0, imm });
            Some(Repeat { op, tag: Tag { span, relocation } })
        };
        match op {
            Op::Const(number) => load(Imm64::Value(*number as u64), None),
            Op::SlotAddr(slot, offset) => {
                let below = offset - self.frame[*slot] as i32;
                Some(Repeat { op: machine::Op::FrameAddr(below), tag: plain })
            }
            Op::MapRef(map) => load(Imm64::MapFd(0), Some(RelocationKind::Map(*map))),
            Op::GlobalAddr(offset) => {
                load(Imm64::MapValue { fd: 0, offset: *offset }, Some(RelocationKind::Global(*offset)))
            }
            Op::CallbackRef(index) => load(Imm64::Func(0), Some(RelocationKind::Callback(*index))),
            Op::FieldOffset(access) => {
                let (number, relocation) = self.field(*access, FieldInfo::ByteOffset);
                load(Imm64::Value(number), Some(relocation))
            }
            Op::FieldShift(access, shift) => {
                let info = match shift {
                    Shift::Left => FieldInfo::ShiftLeft,
                    Shift::Right => FieldInfo::ShiftRight,
                };
                let (number, relocation) = self.field(*access, info);
                load(Imm64::Value(number), Some(relocation))
            }
            Op::Binary(..)
            | Op::Neg(_)
            | Op::ZeroExtend(..)
            | Op::SignExtend(..)
            | Op::ByteSwap(..)
            | Op::Compare(..)
            | Op::ReadonlyCast(_)
            | Op::Load { .. }
            | Op::Store { .. }
            | Op::Atomic { .. }
            | Op::AtomicFetch { .. }
            | Op::CompareExchange { .. }
            | Op::Call(..) => None,
        }
    }

    /// A fact about a member on the kernel that is compiled for, and its relocation.
    fn field(&self, access: AccessId, info: FieldInfo) -> (u64, RelocationKind) {
        let of = &self.accesses[access];
        let number = match info {
            FieldInfo::ByteOffset => u64::from(of.offset),
            FieldInfo::ShiftLeft => of.shifts.map_or(0, |(left, _)| u64::from(left)),
            FieldInfo::ShiftRight => of.shifts.map_or(0, |(_, right)| u64::from(right)),
        };
        (number, RelocationKind::Field(access, info))
    }

    fn constant(&mut self, number: i64, tag: Tag) -> machine::Value {
        let op = machine::Op::Insn(Insn::LdImm64 { dst: Reg::R0, imm: Imm64::Value(number as u64) });
        self.code.values.push(Some(Repeat { op, tag }))
    }

    /// The second operand; a register's value is added to `uses`.
    fn source(&mut self, operand: Operand, uses: &mut Vec<machine::Value>) -> Source {
        match operand {
            Operand::Imm(imm) => Source::Imm(imm),
            Operand::Value(value) => {
                uses.push(self.value(value));
                Source::Reg(Reg::R0)
            }
        }
    }

    fn push(&mut self, insn: Insn, def: Option<machine::Value>, uses: Vec<machine::Value>, tag: Tag) {
        self.current.push(Inst { op: machine::Op::Insn(insn), def, uses, tag });
    }

    /// The register and offset of a memory operand: the frame's own register where the base is a slot. Where the
    /// displacement is too large for an offset the address is computed before, and takes over the relocation.
    fn base(
        &mut self,
        base: ir::Value,
        displacement: i32,
        tag: &mut Tag,
        uses: &mut Vec<machine::Value>,
    ) -> (Reg, i16) {
        let value = self.value(base);
        if let Some(Repeat { op: machine::Op::FrameAddr(below), .. }) = &self.code.values[value]
            && let Ok(offset) = i16::try_from(below + displacement)
        {
            return (Reg::R10, offset);
        }
        if let Ok(offset) = i16::try_from(displacement) {
            uses.push(value);
            return (Reg::R0, offset);
        }
        let address = self.code.values.push(None);
        let src = Source::Imm(displacement);
        let add = Insn::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R0, src };
        self.push(add, Some(address), vec![value], *tag);
        tag.relocation = None;
        uses.push(address);
        (Reg::R0, 0)
    }

    fn inst(&mut self, inst: ir::Inst) {
        let data = &self.function.insts[inst];
        let mut tag = Tag { span: data.span, relocation: None };
        if self.repeat(&data.op, data.span).is_some() {
            return;
        }
        let def = data.result.map(|result| self.value(result));
        match &data.op {
            Op::Binary(op, left, right) => {
                let mut uses = vec![self.value(*left)];
                let src = match right {
                    Operand::Value(value) => match self.field_of(*value) {
                        // The member's offset is this instruction's own immediate.
                        Some((number, relocation)) => {
                            tag.relocation = Some(relocation);
                            Source::Imm(number)
                        }
                        None => self.source(*right, &mut uses),
                    },
                    // The kernel's verifier refuses what the machine would take modulo 64.
                    Operand::Imm(imm) if is_shift(*op) => Source::Imm(imm & 63),
                    // It refuses a zero it can see as well; one in a register gives the result that is wanted.
                    Operand::Imm(0) if is_division(*op) => {
                        uses.push(self.constant(0, tag));
                        Source::Reg(Reg::R0)
                    }
                    Operand::Imm(imm) => Source::Imm(*imm),
                };
                self.push(Insn::Alu { width: Width::W64, op: *op, dst: Reg::R0, src }, def, uses, tag);
            }
            Op::Neg(value) => {
                let uses = vec![self.value(*value)];
                self.push(Insn::Neg { width: Width::W64, dst: Reg::R0 }, def, uses, tag);
            }
            Op::ZeroExtend(size, value) => {
                let uses = vec![self.value(*value)];
                let insn = match size {
                    Size::W | Size::D => Insn::Alu {
                        width: Width::W32,
                        op: AluOp::Mov,
                        dst: Reg::R0,
                        src: Source::Reg(Reg::R0),
                    },
                    Size::B | Size::H => {
                        let mask = if *size == Size::B { 0xff } else { 0xffff };
                        Insn::Alu { width: Width::W64, op: AluOp::And, dst: Reg::R0, src: Source::Imm(mask) }
                    }
                };
                self.push(insn, def, uses, tag);
            }
            Op::SignExtend(narrow, value) => {
                let value = self.value(*value);
                if self.target.isa_v4 {
                    let insn = Insn::Movsx { width: Width::W64, from: *narrow, dst: Reg::R0, src: Reg::R0 };
                    return self.push(insn, def, vec![value], tag);
                }
                let shift = Source::Imm(64 - narrow.bits() as i32);
                let high = self.code.values.push(None);
                let alu = |op| Insn::Alu { width: Width::W64, op, dst: Reg::R0, src: shift };
                self.push(alu(AluOp::Lsh), Some(high), vec![value], tag);
                self.push(alu(AluOp::Arsh), def, vec![high], tag);
            }
            Op::ByteSwap(bits, value) => {
                let uses = vec![self.value(*value)];
                self.push(Insn::Swap { kind: Swap::ToBe, bits: *bits, dst: Reg::R0 }, def, uses, tag);
            }
            Op::ReadonlyCast(pointer) => {
                let zero = self.constant(0, tag);
                let uses = vec![self.value(*pointer), zero];
                let tag = Tag { relocation: Some(RelocationKind::Kfunc(Kfunc::ReadonlyCast)), ..tag };
                self.push(Insn::CallKfunc { btf_id: 0, module: 0 }, def, uses, tag);
            }
            Op::Load { size, signed, base, displacement, field } => {
                let mut uses = Vec::new();
                tag.relocation = field.map(|access| RelocationKind::Field(access, FieldInfo::ByteOffset));
                let (base, offset) = self.base(*base, *displacement, &mut tag, &mut uses);
                let insn = match narrow(*size).filter(|_| *signed) {
                    Some(from) => Insn::LoadSigned { from, dst: Reg::R0, base, offset },
                    None => Insn::Load { size: *size, dst: Reg::R0, base, offset },
                };
                self.push(insn, def, uses, tag);
            }
            Op::Store { size, base, displacement, value } => {
                let mut uses = Vec::new();
                let (base, offset) = self.base(*base, *displacement, &mut tag, &mut uses);
                let src = self.source(*value, &mut uses);
                self.push(Insn::Store { size: *size, base, offset, src }, None, uses, tag);
            }
            Op::Atomic { op, size, base, displacement, value }
            | Op::AtomicFetch { op, size, base, displacement, value } => {
                let fetch = matches!(data.op, Op::AtomicFetch { .. });
                let width = if *size == Size::W { Width::W32 } else { Width::W64 };
                let mut uses = Vec::new();
                let (base, offset) = self.base(*base, *displacement, &mut tag, &mut uses);
                uses.push(self.value(*value));
                let insn = Insn::Atomic { width, op: *op, fetch, base, offset, src: Reg::R0 };
                self.push(insn, def, uses, tag);
            }
            Op::CompareExchange { base, displacement, expected, value } => {
                let mut uses = Vec::new();
                let (base, offset) = self.base(*base, *displacement, &mut tag, &mut uses);
                uses.extend([self.value(*expected), self.value(*value)]);
                let insn = Insn::CmpXchg { width: Width::W64, base, offset, src: Reg::R0 };
                self.push(insn, def, uses, tag);
            }
            Op::Call(callee, args) => {
                let uses = args
                    .iter()
                    .map(|arg| match arg {
                        Operand::Value(value) => self.value(*value),
                        Operand::Imm(imm) => self.constant(i64::from(*imm), tag),
                    })
                    .collect();
                let insn = match callee {
                    Callee::Helper(helper) => Insn::CallHelper { number: helper.number() },
                    Callee::Foreign(index) => {
                        tag.relocation = Some(RelocationKind::Call(*index));
                        Insn::CallLocal { offset: 0 }
                    }
                };
                self.push(insn, def, uses, tag);
            }
            // Made into branches before, or repeated where they are used.
            Op::Compare(..)
            | Op::Const(_)
            | Op::SlotAddr(..)
            | Op::MapRef(_)
            | Op::GlobalAddr(_)
            | Op::CallbackRef(_)
            | Op::FieldOffset(_)
            | Op::FieldShift(..) => {}
        }
    }

    /// The fact about a member that a value is, as an immediate.
    fn field_of(&self, value: ir::Value) -> Option<(i32, RelocationKind)> {
        let ir::Def::Inst(inst) = self.function.values[value] else { return None };
        let data = &self.function.insts[inst];
        let repeat = self.repeat(&data.op, data.span)?;
        let relocation = repeat.tag.relocation.filter(|kind| matches!(kind, RelocationKind::Field(..)))?;
        Some((repeat.op.small_constant()?, relocation))
    }
}

fn is_shift(op: AluOp) -> bool {
    matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh)
}

fn is_division(op: AluOp) -> bool {
    matches!(op, AluOp::Div | AluOp::Sdiv | AluOp::Mod | AluOp::Smod)
}

fn narrow(size: Size) -> Option<crate::insn::Narrow> {
    match size {
        Size::B => Some(crate::insn::Narrow::S8),
        Size::H => Some(crate::insn::Narrow::S16),
        Size::W => Some(crate::insn::Narrow::S32),
        Size::D => None,
    }
}
