//! What a loop and the rest of its function use of each other: values, and memory. Only looks.

use cranelift_entity::{EntitySet, SecondaryMap};

use super::Loop;
use crate::insn::{AluOp, Helper};
use crate::ir::{Block, Callee, Def, Function, Inst, Op, Operand, Slot, Value};
use crate::passes::dominance::Flow;

/// What a loop and the rest of the function use of each other.
#[derive(Default)]
pub struct Crossing {
    /// Values from outside that the loop uses.
    pub into: Vec<Value>,
    /// Instructions from outside that the loop repeats, in an order in which they can stand.
    pub repeated_inside: Vec<Inst>,
    /// Values of the loop that are used behind it.
    pub out: Vec<Value>,
    /// Instructions of the loop that are repeated behind it.
    pub repeated_behind: Vec<Inst>,
    /// Slots that both mention.
    pub slots: Vec<Slot>,
    /// Where each value of the loop is defined.
    pub inside: SecondaryMap<Value, Option<Block>>,
    /// Whether it had another loop in it.
    pub nests: bool,
}

impl Crossing {
    pub fn of(function: &Function, found: &Loop) -> Crossing {
        let flow = Flow::of(function);
        let mut crossing = Crossing::default();
        for &block in flow.order.iter().filter(|block| found.body.contains(**block)) {
            let data = &function.blocks[block];
            let results = data.insts.iter().filter_map(|inst| function.insts[*inst].result);
            for value in data.params.iter().copied().chain(results) {
                crossing.inside[value] = Some(block);
            }
        }
        let pointers = pointers(function);
        let mut met: EntitySet<Value> = EntitySet::new();
        let mut mentioned: SecondaryMap<Slot, (bool, bool)> = SecondaryMap::new();
        for &block in &flow.order {
            let inside = found.body.contains(block);
            let data = &function.blocks[block];
            let mut used = Vec::new();
            for inst in &data.insts {
                let op = &function.insts[*inst].op;
                op.each_use(|value| used.push((value, inside)));
                mention(&mut mentioned, op, inside);
                crossing.nests |= inside && matches!(op, Op::Call(Callee::Helper(Helper::Loop), _));
            }
            data.terminator.each_operand(|value| used.push((value, inside)));
            for jump in data.terminator.jumps() {
                // What a jump out of the loop passes on, the function itself passes on.
                let here = inside && found.body.contains(jump.block);
                used.extend(jump.args.iter().map(|arg| (*arg, here)));
            }
            for (value, inside) in used {
                crossing.meet(function, &pointers, &mut met, value, inside);
            }
        }
        for (insts, inside) in [(&crossing.repeated_inside, true), (&crossing.repeated_behind, false)] {
            for inst in insts {
                mention(&mut mentioned, &function.insts[*inst].op, inside);
            }
        }
        crossing.slots = function.slots.keys().filter(|slot| mentioned[*slot] == (true, true)).collect();
        crossing
    }

    /// A value is used inside of the loop, or outside.
    fn meet(
        &mut self,
        function: &Function,
        pointers: &EntitySet<Value>,
        met: &mut EntitySet<Value>,
        value: Value,
        inside: bool,
    ) {
        // It crosses in one direction at most.
        if self.inside[value].is_some() == inside || !met.insert(value) {
            return;
        }
        if let Def::Inst(inst) = function.values[value] {
            let op = &function.insts[inst].op;
            let repeats = match op {
                Op::Const(_)
                | Op::SlotAddr(..)
                | Op::MapRef(_)
                | Op::GlobalAddr(_)
                | Op::CallbackRef(_)
                | Op::FieldOffset(_)
                | Op::FieldShift(..)
                // The bound is established anew.
                | Op::Binary(AluOp::And, _, Operand::Imm(_)) => true,
                // A pointer cannot lie in scratch memory.
                Op::Binary(..) => !inside && pointers.contains(value),
                Op::Neg(_)
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
                | Op::Call(..) => false,
            };
            if repeats {
                op.each_use(|used| self.meet(function, pointers, met, used, inside));
                let repeated = if inside { &mut self.repeated_inside } else { &mut self.repeated_behind };
                return repeated.push(inst);
            }
        }
        if inside { self.into.push(value) } else { self.out.push(value) }
    }
}

fn mention(mentioned: &mut SecondaryMap<Slot, (bool, bool)>, op: &Op, inside: bool) {
    if let Op::SlotAddr(slot, _) = op {
        let (within, without) = &mut mentioned[*slot];
        *(if inside { within } else { without }) = true;
    }
}

/// The values that are pointers to the verifier.
pub fn pointers(function: &Function) -> EntitySet<Value> {
    let mut pointers: EntitySet<Value> = EntitySet::new();
    // What a callback is given along holds pointers, too.
    let given = function.given();
    pointers.extend(function.blocks[function.entry].params.iter().copied());
    let flow = Flow::of(function);
    let mut found = 0;
    while found < pointers.keys().count() {
        found = pointers.keys().count();
        for &block in &flow.order {
            for inst in &function.blocks[block].insts {
                let data = &function.insts[*inst];
                let Some(result) = data.result else { continue };
                let is_pointer = match &data.op {
                    Op::SlotAddr(..) | Op::MapRef(_) | Op::GlobalAddr(_) | Op::CallbackRef(_) => true,
                    Op::ReadonlyCast(_) => true,
                    Op::Binary(AluOp::Add | AluOp::Sub, left, right) => {
                        let right = matches!(right, Operand::Value(right) if pointers.contains(*right));
                        pointers.contains(*left) != right
                    }
                    Op::Load { base, .. } => Some(*base) == given,
                    Op::Call(Callee::Helper(helper), _) => matches!(
                        helper,
                        Helper::MapLookupElem
                            | Helper::MapLookupPercpuElem
                            | Helper::RingbufReserve
                            | Helper::GetCurrentTaskBtf
                            | Helper::TaskPtRegs
                            | Helper::PerCpuPtr
                            | Helper::ThisCpuPtr
                            | Helper::TaskStorageGet
                    ),
                    // It returns a number, or a pointer that the verifier does not follow.
                    Op::Call(Callee::Foreign(_), _)
                    | Op::Const(_)
                    | Op::Binary(..)
                    | Op::Neg(_)
                    | Op::ZeroExtend(..)
                    | Op::SignExtend(..)
                    | Op::ByteSwap(..)
                    | Op::Compare(..)
                    | Op::FieldOffset(_)
                    | Op::FieldShift(..)
                    | Op::Store { .. }
                    | Op::Atomic { .. }
                    | Op::AtomicFetch { .. }
                    | Op::CompareExchange { .. } => false,
                };
                if is_pointer {
                    pointers.insert(result);
                }
            }
            for jump in function.blocks[block].terminator.jumps() {
                for (arg, param) in jump.args.iter().zip(&function.blocks[jump.block].params) {
                    if pointers.contains(*arg) {
                        pointers.insert(*param);
                    }
                }
            }
        }
    }
    pointers
}
