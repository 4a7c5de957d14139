//! Emission: allocated code becomes a list of instructions with relocations and lines.
//!
//! Blocks are laid out in the allocator's order; a jump to the block that follows is left out, and a branch whose taken
//! side follows is turned round.

use cranelift_entity::SecondaryMap;

use crate::insn::{AluOp, Imm64, Insn, Operand, Reg, Size, Width};
use crate::ir::{Function, Role};
use crate::islands::connect;
use crate::machine::{Block, Code, End, Op, fill};
use crate::object::{Callback, Line, Program, Relocation};
use crate::passes::combine::inverse;
use crate::regalloc::{Allocation, Move, Place, Source, Step};
use crate::select::Tag;

/// Instructions, relocations and lines of one program. `None`: a jump is too far for its instruction.
pub fn emit(code: &Code<Tag>, allocation: &Allocation) -> Option<Emitted> {
    let mut emit =
        Emit { code, allocation, out: Emitted::default(), starts: SecondaryMap::new(), jumps: Vec::new() };
    let order = emit.layout();
    for (index, &block) in order.iter().enumerate() {
        emit.starts[block] = Some(emit.out.insns.len());
        emit.block(block, order.get(index + 1).copied());
    }
    let mut jumps = Vec::with_capacity(emit.jumps.len());
    for &(from, to) in &emit.jumps {
        jumps.push((from, emit.starts[to]?));
    }
    connect(&mut emit.out, &jumps)?;
    Some(emit.out)
}

/// What `Program` is made of.
#[derive(Debug, Default)]
pub struct Emitted {
    pub insns: Vec<Insn>,
    pub relocations: Vec<Relocation>,
    pub lines: Vec<Line>,
}

impl Emitted {
    pub fn into_program(self, function: &Function) -> Program {
        Program {
            name: function.name.clone(),
            kind: function.program,
            sleepable: function.sleepable,
            insns: self.insns,
            relocations: self.relocations,
            lines: self.lines,
            callbacks: Vec::new(),
        }
    }

    pub fn into_callback(self, name: String, role: Role) -> Callback {
        Callback {
            name,
            role: Some(role),
            insns: self.insns,
            relocations: self.relocations,
            lines: self.lines,
        }
    }
}

/// Bytes of the stack that an allocation needs in all.
pub fn frame_size(code: &Code<Tag>, allocation: &Allocation) -> u32 {
    code.frame + 8 * (allocation.slots + allocation.scratch)
}

struct Emit<'a> {
    code: &'a Code<Tag>,
    allocation: &'a Allocation,
    out: Emitted,
    /// The index of each block's first instruction.
    starts: SecondaryMap<Block, Option<usize>>,
    /// Instructions whose jump leads to a block.
    jumps: Vec<(usize, Block)>,
}

impl Emit<'_> {
    /// The blocks that have instructions, those that rarely run behind the others.
    fn layout(&self) -> Vec<Block> {
        let order = self.allocation.order.iter().copied();
        let written = order.filter(|&block| block == self.code.entry || self.destination(block) == block);
        let (hot, cold): (Vec<Block>, Vec<Block>) =
            written.partition(|block| !self.code.cold.contains(*block));
        hot.into_iter().chain(cold).collect()
    }

    /// Where a jump to a block ends up: behind blocks that only jump on.
    fn destination(&self, mut block: Block) -> Block {
        // A loop of such blocks has no destination; it is left as it is.
        for _ in 0..self.allocation.order.len() {
            let [Step::End { .. }] = self.allocation.steps[block][..] else { break };
            let End::Goto(edge, _) = &self.code.blocks[block].end else { break };
            block = edge.to;
        }
        block
    }

    fn push(&mut self, insn: Insn, tag: &Tag) {
        let index = self.out.insns.len() as u32;
        if self.out.lines.last().is_none_or(|line| line.span != tag.span) {
            self.out.lines.push(Line { insn: index, span: tag.span });
        }
        if let Some(kind) = tag.relocation {
            self.out.relocations.push(Relocation { insn: index, kind });
        }
        self.out.insns.push(insn);
    }

    fn push_jump(&mut self, insn: Insn, to: Block, tag: &Tag) {
        self.jumps.push((self.out.insns.len(), to));
        self.push(insn, tag);
    }

    fn block(&mut self, block: Block, next: Option<Block>) {
        let data = &self.code.blocks[block];
        for (position, step) in self.allocation.steps[block].iter().enumerate() {
            // Moves belong to what they are made for.
            match step {
                Step::Inst { index, def, uses } => {
                    let inst = &data.insts[*index];
                    let Op::Insn(template) = inst.op else { continue };
                    self.push(fill(template, *def, uses), &inst.tag);
                }
                Step::Move(action) => {
                    let later = self.allocation.steps[block][position..].iter().find_map(|step| match step {
                        Step::Inst { index, .. } => Some(data.insts[*index].tag),
                        Step::End { .. } => Some(*data.end.tag()),
                        Step::Move(_) => None,
                    });
                    let tag = Tag { relocation: None, ..later.unwrap_or(*data.end.tag()) };
                    self.action(action, &tag);
                }
                Step::End { uses } => self.end(&data.end, uses, next),
            }
        }
    }

    fn end(&mut self, end: &End<Tag>, uses: &[Reg], next: Option<Block>) {
        match end {
            End::Goto(edge, tag) => self.goto(edge.to, next, tag),
            End::Branch { jump, then, otherwise, tag, .. } => {
                let filled = fill(*jump, None, uses);
                let (taken, other) = (self.destination(then.to), self.destination(otherwise.to));
                if Some(taken) == next
                    && let Insn::Jump { width, cond, dst, src, offset } = filled
                    && let Some(cond) = inverse(cond)
                {
                    self.push_jump(Insn::Jump { width, cond, dst, src, offset }, other, tag);
                    return;
                }
                self.push_jump(filled, taken, tag);
                self.goto(other, next, tag);
            }
            End::MayGoto { next: go_on, exhausted, tag } => {
                self.push_jump(Insn::MayGoto { offset: 0 }, self.destination(exhausted.to), tag);
                self.goto(go_on.to, next, tag);
            }
            End::Return(_, tag) => self.push(Insn::Exit, tag),
        }
    }

    fn goto(&mut self, to: Block, next: Option<Block>, tag: &Tag) {
        let to = self.destination(to);
        if Some(to) != next {
            self.push_jump(Insn::Goto { offset: 0 }, to, tag);
        }
    }

    /// The offset of a spill slot from the frame's top.
    fn place(&self, place: Place) -> i16 {
        let index = match place {
            Place::Slot(slot) => slot,
            Place::Scratch(slot) => self.allocation.slots + slot,
            Place::Reg(_) => 0,
        };
        -((self.code.frame + 8 * (index + 1)) as i16)
    }

    fn action(&mut self, action: &Move, tag: &Tag) {
        match (action.to, action.from) {
            (Place::Reg(dst), Source::At(Place::Reg(src))) => {
                self.push(mov(dst, Operand::Reg(src)), tag);
            }
            (Place::Reg(dst), Source::At(from)) => {
                let offset = self.place(from);
                self.push(Insn::Load { size: Size::D, dst, base: Reg::R10, offset }, tag);
            }
            (to, Source::At(Place::Reg(src))) => {
                let offset = self.place(to);
                self.push(Insn::Store { size: Size::D, base: Reg::R10, offset, src: Operand::Reg(src) }, tag);
            }
            (Place::Reg(dst), Source::Again) => {
                let Some(repeat) = &self.code.values[action.what] else { return };
                let tag = Tag { relocation: repeat.tag.relocation, ..*tag };
                match repeat.op {
                    Op::FrameAddr(offset) => {
                        self.push(mov(dst, Operand::Reg(Reg::R10)), &tag);
                        let src = Operand::Imm(offset);
                        self.push(Insn::Alu { width: Width::W64, op: AluOp::Add, dst, src }, &tag);
                    }
                    Op::Insn(Insn::LdImm64 { imm, .. }) => match (imm, repeat.op.small_constant()) {
                        (Imm64::Value(_), Some(small)) => self.push(mov(dst, Operand::Imm(small)), &tag),
                        (_, _) => self.push(Insn::LdImm64 { dst, imm }, &tag),
                    },
                    Op::Insn(insn) => self.push(fill(insn, Some(dst), &[]), &tag),
                }
            }
            (to, Source::Again) => {
                let constant =
                    self.code.values[action.what].as_ref().and_then(|repeat| repeat.op.small_constant());
                let offset = self.place(to);
                let src = Operand::Imm(constant.unwrap_or(0));
                self.push(Insn::Store { size: Size::D, base: Reg::R10, offset, src }, tag);
            }
            // The allocator moves from slot to slot through a register.
            (_, Source::At(_)) => {}
        }
    }
}

fn mov(dst: Reg, src: Operand) -> Insn {
    Insn::Alu { width: Width::W64, op: AluOp::Mov, dst, src }
}
