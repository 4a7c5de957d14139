//! The contract of the IR, as far as it can be checked without the kernel: structure, dominance, and null checks.
//!
//! It runs in debug builds behind the lowering and behind every pass. What it finds is a bug of ours, so it panics with
//! the function's text. It looks at reachable blocks only: passes leave the others as they are. Left out are what
//! kind of memory a base names, and the bounds of variable offsets: those the kernel's verifier sees.

use cranelift_entity::SecondaryMap;

use super::{Block, Callee, Def, Function, Inst, Op, Operand, Terminator, Value};
use crate::insn::{AluOp, Cond, Helper, Size};
use crate::passes::combine::inverse;
use crate::passes::dominance::{Flow, Tree};

/// Panics if `function` breaks the contract; `stage` names what came before.
pub fn verify(function: &Function, stage: &str) {
    if let Err(wrong) = check(function) {
        panic!("after {stage}: {wrong}\n{function}");
    }
}

/// Says what is wrong.
pub fn check(function: &Function) -> Result<(), String> {
    let flow = Flow::of(function);
    let dominators = flow.dominators();
    let mut verify = Verify {
        function,
        flow: &flow,
        dominators: &dominators,
        tree: flow.tree(&dominators),
        places: SecondaryMap::new(),
    };
    verify.blocks()?;
    for &block in &flow.order {
        verify.uses(block)?;
    }
    Ok(())
}

struct Verify<'a> {
    function: &'a Function,
    flow: &'a Flow,
    dominators: &'a SecondaryMap<Block, Option<Block>>,
    tree: Tree,
    /// Where each value is defined: a block, and behind how many of its instructions.
    places: SecondaryMap<Value, Option<(Block, usize)>>,
}

impl Verify<'_> {
    /// Checks what needs no dominance, and finds the definitions.
    fn blocks(&mut self) -> Result<(), String> {
        let function = self.function;
        if function.blocks[function.entry].params.len() != function.role.params() {
            return Err("the entry block has not the parameters of its role".to_string());
        }
        for &block in &self.flow.order {
            let data = &function.blocks[block];
            for (index, &param) in data.params.iter().enumerate() {
                self.define(param, Def::Param(block, index as u32), (block, 0))?;
            }
            for (index, &inst) in data.insts.iter().enumerate() {
                let data = &function.insts[inst];
                if data.op.has_result() != data.result.is_some() {
                    return Err(format!("{block}: {} with a wrong number of results", data.op));
                }
                if let Some(result) = data.result {
                    self.define(result, Def::Inst(inst), (block, index + 1))?;
                }
                form(&data.op).map_err(|wrong| format!("{block}: {}: {wrong}", data.op))?;
            }
            for jump in data.terminator.jumps() {
                let params = function.blocks[jump.block].params.len();
                if jump.args.len() != params {
                    let args = jump.args.len();
                    return Err(format!(
                        "{block}: {args} arguments for {params} parameters of {}",
                        jump.block
                    ));
                }
                if jump.block == function.entry {
                    return Err(format!("{block}: a jump to the entry block"));
                }
            }
        }
        Ok(())
    }

    fn define(&mut self, value: Value, def: Def, place: (Block, usize)) -> Result<(), String> {
        if self.function.values[value] != def || self.places[value].is_some() {
            return Err(format!("{}: {value} is not defined here, or not only here", place.0));
        }
        self.places[value] = Some(place);
        Ok(())
    }

    fn uses(&self, block: Block) -> Result<(), String> {
        let data = &self.function.blocks[block];
        for (index, &inst) in data.insts.iter().enumerate() {
            let mut undefined = None;
            let op = &self.function.insts[inst].op;
            op.each_use(|value| {
                if !self.is_defined(value, (block, index)) {
                    undefined = Some(value);
                }
            });
            if let Some(value) = undefined {
                return Err(format!("{block}: {op}: the definition of {value} does not dominate"));
            }
            self.is_not_null(block, inst)?;
        }
        let mut used: Vec<Value> =
            data.terminator.jumps().flat_map(|jump| jump.args.iter().copied()).collect();
        data.terminator.each_operand(|value| used.push(value));
        match used.into_iter().find(|value| !self.is_defined(*value, (block, data.insts.len()))) {
            Some(value) => Err(format!("{block}: at its end, the definition of {value} does not dominate")),
            None => Ok(()),
        }
    }

    fn is_defined(&self, value: Value, (block, index): (Block, usize)) -> bool {
        self.places[value].is_some_and(|(from, position)| {
            if from == block { position <= index } else { self.tree.dominates(from, block) }
        })
    }

    /// Whether the base of an access, if a call may have returned null for it, was compared with zero before.
    fn is_not_null(&self, block: Block, inst: Inst) -> Result<(), String> {
        let op = &self.function.insts[inst].op;
        let mut base = match op {
            Op::Load { base, .. }
            | Op::Store { base, .. }
            | Op::Atomic { base, .. }
            | Op::AtomicFetch { base, .. }
            | Op::CompareExchange { base, .. } => *base,
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
            | Op::ReadonlyCast(_)
            | Op::Call(..) => return Ok(()),
        };
        while let Some(Op::Binary(AluOp::Add, left, _)) = self.op_of(base) {
            base = *left;
        }
        let Some(Op::Call(Callee::Helper(Helper::MapLookupElem | Helper::RingbufReserve), _)) =
            self.op_of(base)
        else {
            return Ok(());
        };
        let mut here = block;
        loop {
            if self.entered_with(here, base) {
                return Ok(());
            }
            match self.dominators[here] {
                Some(up) if up != here => here = up,
                Some(_) | None => return Err(format!("{block}: {op}: {base} may be null")),
            }
        }
    }

    /// Whether the only edge into a block is taken when `pointer` is not null.
    fn entered_with(&self, block: Block, pointer: Value) -> bool {
        let [from] = self.flow.predecessors[block][..] else { return false };
        let Terminator::Branch { cond, left, right: Operand::Imm(0), then, otherwise } =
            &self.function.blocks[from].terminator
        else {
            return false;
        };
        let edge = |not_zero: Cond| match not_zero {
            Cond::Ne => then.block == block,
            Cond::Eq => otherwise.block == block,
            Cond::Gt
            | Cond::Ge
            | Cond::Lt
            | Cond::Le
            | Cond::Sgt
            | Cond::Sge
            | Cond::Slt
            | Cond::Sle
            | Cond::Set => false,
        };
        match self.op_of(*left) {
            _ if *left == pointer => edge(*cond),
            // Not fused yet: the branch is on the result of the comparison.
            Some(Op::Compare(Cond::Ne, compared, Operand::Imm(0))) if *compared == pointer => edge(*cond),
            Some(Op::Compare(Cond::Eq, compared, Operand::Imm(0))) if *compared == pointer => {
                inverse(*cond).is_some_and(edge)
            }
            Some(_) | None => false,
        }
    }

    fn op_of(&self, value: Value) -> Option<&Op> {
        match self.function.values[value] {
            Def::Inst(inst) => Some(&self.function.insts[inst].op),
            Def::Param(..) => None,
        }
    }
}

/// Checks what an instruction may look like by itself.
fn form(op: &Op) -> Result<(), &'static str> {
    let holds = match op {
        Op::Binary(alu, ..) => *alu != AluOp::Mov,
        Op::ZeroExtend(size, _) => *size != Size::D,
        Op::Atomic { size, .. } | Op::AtomicFetch { size, .. } => matches!(size, Size::W | Size::D),
        Op::Call(_, args) => args.len() <= 5,
        Op::Const(_)
        | Op::Neg(_)
        | Op::CompareExchange { .. }
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
        | Op::Load { .. }
        | Op::Store { .. } => true,
    };
    if holds { Ok(()) } else { Err("not a form that exists") }
}
