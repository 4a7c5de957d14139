//! Computes addresses anew where they are used, for programs that have more of them at once than registers and the stack can
//! hold. Numbers can be kept in slots (`demote.rs`), but an address has to stay where the verifier follows it. Many of
//! them, though, are a constant away from another one, or lie in what a callback was given:
//!
//! ```text
//!   v1 = scratch + 40; … 300 instructions … call(v1)      →      … call(scratch + 40)
//! ```
//!
//! Then only few are needed for long: the context, what was given, scratch memory, and what was looked up.

use cranelift_entity::EntitySet;
use rtscript_lang::syntax::source::Span;
use rustc_hash::FxHashMap;

use super::clean::map_terminator;
use super::dominance::Flow;
use super::outline::crossing::pointers;
use crate::insn::AluOp;
use crate::ir::{Block, Def, Function, Inst, InstData, Op, Operand, Value};

/// An address that was computed is used again by so many instructions.
const NEAR: usize = 12;

/// Computes addresses anew that are used in other blocks, or far behind. What is left over is dead.
pub fn repeat_addresses(function: &mut Function) {
    let pointers = pointers(function);
    for block in Flow::of(function).order {
        let insts = std::mem::take(&mut function.blocks[block].insts);
        let mut terminator = function.blocks[block].terminator.clone();
        let span = function.blocks[block].span;
        let mut repeat =
            Repeat { function: &mut *function, pointers: &pointers, block, made: FxHashMap::default() };
        for inst in insts {
            let span = repeat.function.insts[inst].span;
            let mut op = repeat.function.insts[inst].op.clone();
            op.map_uses(|value| repeat.near(value, span));
            repeat.function.insts[inst].op = op;
            repeat.push(inst);
        }
        let mut used: Vec<Value> = terminator.jumps().flat_map(|jump| jump.args.iter().copied()).collect();
        terminator.each_operand(|value| used.push(value));
        let near: FxHashMap<Value, Value> =
            used.into_iter().map(|value| (value, repeat.near(value, span))).collect();
        map_terminator(&mut terminator, |value| *near.get(&value).unwrap_or(&value));
        function.blocks[block].terminator = terminator;
    }
}

/// A block that is being written.
struct Repeat<'a> {
    function: &'a mut Function,
    pointers: &'a EntitySet<Value>,
    block: Block,
    /// What was computed here of each address, and where.
    made: FxHashMap<Value, (Value, usize)>,
}

impl Repeat<'_> {
    fn push(&mut self, inst: Inst) {
        let insts = &mut self.function.blocks[self.block].insts;
        insts.push(inst);
        let at = insts.len();
        if let Some(result) = self.function.insts[inst].result {
            self.made.insert(result, (result, at));
        }
    }

    /// The same address, computed a short way before this place.
    fn near(&mut self, value: Value, span: Span) -> Value {
        let Def::Inst(inst) = self.function.values[value] else { return value };
        let op = self.function.insts[inst].op.clone();
        let can_repeat = match &op {
            // Nobody writes there while the callback runs.
            Op::Load { base, .. } => Some(*base) == self.function.given(),
            Op::Binary(AluOp::Add, base, Operand::Imm(_)) => self.pointers.contains(*base),
            Op::Binary(..)
            | Op::Const(_)
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
            | Op::ReadonlyCast(_)
            | Op::Store { .. }
            | Op::Atomic { .. }
            | Op::AtomicFetch { .. }
            | Op::CompareExchange { .. }
            | Op::Call(..) => false,
        };
        if !can_repeat {
            return value;
        }
        let here = self.function.blocks[self.block].insts.len();
        if let Some(&(made, at)) = self.made.get(&value)
            && here - at < NEAR
        {
            return made;
        }
        let mut op = op;
        op.map_uses(|base| self.near(base, span));
        let result = self.function.values.push(Def::Inst(self.function.insts.next_key()));
        let inst = self.function.insts.push(InstData { op, result: Some(result), span });
        self.function.blocks[self.block].insts.push(inst);
        let at = self.function.blocks[self.block].insts.len();
        self.made.insert(value, (result, at));
        result
    }
}
