//! Keeps numbers in slots that are needed over long stretches, for programs that have more of them at once than registers
//! and the stack can hold. A number is stored where it is made, and loaded again for each instruction that reads it; slots may
//! lie in scratch memory, which has room.
//!
//! A parameter of a block gets its number from every block that jumps there:
//!
//! ```text
//!   block1: jump block2(v1, v2)             block1: store slot1, v1; jump block2(v2)
//!   block2(p1, p2): … p1 …                  block2(p2): … load slot1 …
//! ```
//!
//! Where a block has several ways out, the stores stand in a block of their own on the way. All that is read on a way is read
//! before anything is stored there, if it would be overwritten.
//!
//! What the kernel's verifier has to know stays as it is: addresses, and numbers that are added to them or handed to helpers,
//! whose bounds a number from memory would have lost.

use std::collections::BTreeSet;

use cranelift_entity::SecondaryMap;
use rtscript_lang::syntax::source::Span;

use super::dominance::Flow;
use crate::insn::{AluOp, Helper, Size};
use crate::ir::{
    Block, BlockData, Callee, Def, Function, Inst, InstData, Jump, Op, Operand, Place, Slot, SlotData,
    Terminator, Value,
};

/// Of more parameters of one block all are kept in slots.
const MANY: usize = 8;

/// Keeps the numbers in slots whose first and last mention are further apart than so many instructions.
pub fn demote(function: &mut Function, distance: u32) {
    let flow = Flow::of(function);
    let stays = stays(function, &flow);
    let mut slots: SecondaryMap<Value, Option<Slot>> = SecondaryMap::new();
    for value in far(function, &flow, distance).into_iter().filter(|value| !stays[*value]) {
        slots[value] = Some(function.slots.push(SlotData { size: 8, align: 8, place: Place::Anywhere }));
    }
    let params: SecondaryMap<Block, Vec<Option<Slot>>> = params(function, &flow, &slots);
    let mut demotion = Demotion { function, slots, params };
    flow.order.iter().for_each(|&block| demotion.block(block));
    flow.order.iter().for_each(|&block| demotion.drop_params(block));
}

/// The slot of each parameter of each block.
fn params(
    function: &Function,
    flow: &Flow,
    slots: &SecondaryMap<Value, Option<Slot>>,
) -> SecondaryMap<Block, Vec<Option<Slot>>> {
    let mut params: SecondaryMap<Block, Vec<Option<Slot>>> = SecondaryMap::new();
    for &block in &flow.order {
        params[block] = function.blocks[block].params.iter().map(|param| slots[*param]).collect();
    }
    params
}

/// Values whose mentions are far apart, in the order of blocks.
fn far(function: &Function, flow: &Flow, distance: u32) -> Vec<Value> {
    let mut ranges: SecondaryMap<Value, Option<(u32, u32)>> = SecondaryMap::new();
    let mut at = 0;
    for &block in &flow.order {
        let data = &function.blocks[block];
        let mut mention = |value: Value, at: u32| {
            let (first, last) = ranges[value].unwrap_or((at, at));
            ranges[value] = Some((first.min(at), last.max(at)));
        };
        data.params.iter().for_each(|param| mention(*param, at));
        for &inst in &data.insts {
            at += 1;
            function.insts[inst].result.iter().for_each(|result| mention(*result, at));
            function.insts[inst].op.each_use(|value| mention(value, at));
        }
        at += 1;
        each_use(&data.terminator, |value| mention(value, at));
    }
    // Where many are handed on at once, each of them may be mentioned for a short stretch only.
    let is_one_of_many = |value: Value| match function.values[value] {
        Def::Param(block, _) => function.blocks[block].params.len() > MANY,
        Def::Inst(_) => false,
    };
    let is_far = |value: &Value| {
        ranges[*value].is_some_and(|(first, last)| last - first > distance || is_one_of_many(*value))
    };
    function.values.keys().filter(is_far).collect()
}

/// What the verifier has to know more of than that it is a number, and constants, which are made again where they are needed.
fn stays(function: &Function, flow: &Flow) -> SecondaryMap<Value, bool> {
    let addresses = addresses(function, flow);
    let mut stays = addresses.clone();
    for &block in &flow.order {
        for &inst in &function.blocks[block].insts {
            let InstData { op, result, .. } = &function.insts[inst];
            match op {
                Op::Binary(_, left, right) => {
                    let mut both = vec![*left];
                    both.extend(value_of(right));
                    if both.iter().any(|value| addresses[*value]) {
                        both.into_iter().for_each(|value| stays[value] = true);
                    }
                }
                // From where is any number.
                Op::Call(
                    Callee::Helper(
                        Helper::ProbeReadKernel
                        | Helper::ProbeReadKernelStr
                        | Helper::ProbeReadUser
                        | Helper::ProbeReadUserStr,
                    ),
                    args,
                ) => args.iter().take(2).filter_map(value_of).for_each(|value| stays[value] = true),
                Op::Call(..) => op.each_use(|value| stays[value] = true),
                Op::Const(_) | Op::FieldOffset(_) | Op::FieldShift(..) => {
                    result.iter().for_each(|result| stays[*result] = true);
                }
                Op::Neg(_)
                | Op::ZeroExtend(..)
                | Op::SignExtend(..)
                | Op::ByteSwap(..)
                | Op::Compare(..)
                | Op::SlotAddr(..)
                | Op::MapRef(_)
                | Op::GlobalAddr(_)
                | Op::CallbackRef(_)
                | Op::ReadonlyCast(_)
                | Op::Load { .. }
                | Op::Store { .. }
                | Op::Atomic { .. }
                | Op::AtomicFetch { .. }
                | Op::CompareExchange { .. } => {}
            }
        }
    }
    // Their bounds may be those of what they are computed from.
    let mut open: Vec<Value> =
        function.values.keys().filter(|value| stays[*value] && !addresses[*value]).collect();
    while let Some(value) = open.pop() {
        let mut from = Vec::new();
        bounds_of(function, flow, value, &mut from);
        for value in from {
            if !std::mem::replace(&mut stays[value], true) {
                open.push(value);
            }
        }
    }
    stays
}

/// The numbers that bound one that is computed from them.
fn bounds_of(function: &Function, flow: &Flow, value: Value, from: &mut Vec<Value>) {
    let inst = match function.values[value] {
        Def::Inst(inst) => inst,
        Def::Param(block, index) => {
            for &before in &flow.predecessors[block] {
                let jumps = function.blocks[before].terminator.jumps().filter(|jump| jump.block == block);
                from.extend(jumps.map(|jump| jump.args[index as usize]));
            }
            return;
        }
    };
    match &function.insts[inst].op {
        Op::Binary(AluOp::And, _, Operand::Imm(mask)) if *mask >= 0 => {}
        op @ (Op::Binary(..) | Op::Neg(_) | Op::ZeroExtend(..) | Op::SignExtend(..) | Op::ByteSwap(..)) => {
            op.each_use(|value| from.push(value))
        }
        Op::Compare(..)
        | Op::Const(_)
        | Op::SlotAddr(..)
        | Op::MapRef(_)
        | Op::GlobalAddr(_)
        | Op::CallbackRef(_)
        | Op::FieldOffset(_)
        | Op::FieldShift(..)
        | Op::ReadonlyCast(_)
        | Op::Load { .. }
        | Op::Store { .. }
        | Op::Atomic { .. }
        | Op::AtomicFetch { .. }
        | Op::CompareExchange { .. }
        | Op::Call(..) => {}
    }
}

/// What may be an address that the verifier follows.
fn addresses(function: &Function, flow: &Flow) -> SecondaryMap<Value, bool> {
    let mut addresses: SecondaryMap<Value, bool> = SecondaryMap::new();
    function.blocks[function.entry].params.iter().for_each(|param| addresses[*param] = true);
    let mut changed = true;
    while changed {
        changed = false;
        for &block in &flow.order {
            for &inst in &function.blocks[block].insts {
                let InstData { op, result: Some(result), .. } = &function.insts[inst] else { continue };
                let is_address = match op {
                    Op::SlotAddr(..)
                    | Op::MapRef(_)
                    | Op::GlobalAddr(_)
                    | Op::CallbackRef(_)
                    | Op::ReadonlyCast(_) => true,
                    Op::Call(Callee::Helper(helper), _) => !returns_number(*helper),
                    Op::Call(Callee::Foreign(_), _) => true,
                    Op::Binary(_, left, right) => {
                        addresses[*left] || value_of(right).is_some_and(|right| addresses[right])
                    }
                    // Pointers that are kept in the stack, in that of the caller as well.
                    Op::Load { base, .. } => {
                        addresses_of_stack(function, *base) || Some(*base) == function.given()
                    }
                    Op::Const(_)
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
                changed |= is_address && !std::mem::replace(&mut addresses[*result], true);
            }
            for jump in function.blocks[block].terminator.jumps() {
                for (arg, param) in jump.args.iter().zip(&function.blocks[jump.block].params) {
                    changed |= addresses[*arg] && !std::mem::replace(&mut addresses[*param], true);
                }
            }
        }
    }
    addresses
}

/// Helpers whose result is surely no address.
fn returns_number(helper: Helper) -> bool {
    matches!(
        helper,
        Helper::KtimeGetNs
            | Helper::KtimeGetBootNs
            | Helper::GetPrandomU32
            | Helper::GetSmpProcessorId
            | Helper::GetCurrentPidTgid
            | Helper::GetCurrentUidGid
            | Helper::GetCurrentTask
            | Helper::GetCurrentCgroupId
            | Helper::GetNumaNodeId
            | Helper::Jiffies64
    )
}

fn addresses_of_stack(function: &Function, base: Value) -> bool {
    let Def::Inst(inst) = function.values[base] else { return false };
    match function.insts[inst].op {
        Op::SlotAddr(slot, _) => function.slots[slot].place == Place::Stack,
        _ => false,
    }
}

fn value_of(operand: &Operand) -> Option<Value> {
    match operand {
        Operand::Value(value) => Some(*value),
        Operand::Imm(_) => None,
    }
}

/// Calls `f` with every value that a terminator reads, arguments included.
fn each_use(terminator: &Terminator, mut f: impl FnMut(Value)) {
    if let Terminator::Branch { left, right, .. } = terminator {
        f(*left);
        value_of(right).into_iter().for_each(&mut f);
    }
    if let Terminator::Return(Operand::Value(value)) = terminator {
        f(*value);
    }
    terminator.jumps().for_each(|jump| jump.args.iter().for_each(|arg| f(*arg)));
}

struct Demotion<'a> {
    function: &'a mut Function,
    slots: SecondaryMap<Value, Option<Slot>>,
    params: SecondaryMap<Block, Vec<Option<Slot>>>,
}

impl Demotion<'_> {
    fn block(&mut self, block: Block) {
        let span = self.function.blocks[block].span;
        for inst in std::mem::take(&mut self.function.blocks[block].insts) {
            let span = self.function.insts[inst].span;
            let mut op = self.function.insts[inst].op.clone();
            let mut read: Vec<(Value, Value)> = Vec::new();
            op.map_uses(|value| self.read(block, value, span, &mut read));
            self.function.insts[inst].op = op;
            self.function.blocks[block].insts.push(inst);
            if let Some((result, slot)) =
                self.function.insts[inst].result.and_then(|result| Some((result, self.slots[result]?)))
            {
                self.store(block, slot, result, span);
            }
        }
        let mut terminator = self.function.blocks[block].terminator.clone();
        let mut read = Vec::new();
        match &mut terminator {
            Terminator::Branch { left, right, .. } => {
                *left = self.read(block, *left, span, &mut read);
                if let Operand::Value(right) = right {
                    *right = self.read(block, *right, span, &mut read);
                }
            }
            Terminator::Return(Operand::Value(value)) => *value = self.read(block, *value, span, &mut read),
            Terminator::Return(Operand::Imm(_)) | Terminator::Jump(_) | Terminator::MayGoto { .. } => {}
        }
        if let Terminator::Jump(jump) = &mut terminator {
            self.pass(block, jump, span);
        } else {
            for jump in terminator.jumps_mut() {
                let into_slots = self.params[jump.block].iter().any(Option::is_some);
                let from_slots = jump.args.iter().any(|arg| self.slots[*arg].is_some());
                if !into_slots && !from_slots {
                    continue;
                }
                let way = self.function.blocks.push(BlockData {
                    params: Vec::new(),
                    insts: Vec::new(),
                    terminator: Terminator::Return(Operand::Imm(0)),
                    span,
                    cold: self.function.blocks[jump.block].cold,
                });
                let mut passed = jump.clone();
                self.pass(way, &mut passed, span);
                self.function.blocks[way].terminator = Terminator::Jump(passed);
                *jump = Jump { block: way, args: Vec::new() };
            }
        }
        self.function.blocks[block].terminator = terminator;
    }

    /// Hands the arguments of a jump over at the end of a block: those of parameters that are kept in slots by stores.
    fn pass(&mut self, block: Block, jump: &mut Jump, span: Span) {
        let params = self.params[jump.block].clone();
        let overwritten: BTreeSet<Slot> = params.iter().flatten().copied().collect();
        let args: Vec<(Value, Option<Slot>)> = jump.args.iter().copied().zip(params).collect();
        let mut read = Vec::new();
        let mut stays = Vec::new();
        for (arg, slot) in &args {
            let from = self.slots[*arg];
            if slot.is_none() || from.is_some_and(|from| Some(from) != *slot && overwritten.contains(&from)) {
                let value = self.read(block, *arg, span, &mut read);
                if slot.is_none() {
                    stays.push(value);
                }
            }
        }
        for (arg, slot) in args {
            let Some(slot) = slot else { continue };
            if self.slots[arg] != Some(slot) {
                // Each is read for itself, unless it had to be read before.
                let known = read.iter().find(|(value, _)| *value == arg).map(|(_, loaded)| *loaded);
                let value = known.unwrap_or_else(|| self.read(block, arg, span, &mut Vec::new()));
                self.store(block, slot, value, span);
            }
        }
        jump.args = stays;
    }

    /// The value itself, or its load at the end of the block as it is; `read` are those that were loaded.
    fn read(&mut self, block: Block, value: Value, span: Span, read: &mut Vec<(Value, Value)>) -> Value {
        let Some(slot) = self.slots[value] else { return value };
        if let Some((_, loaded)) = read.iter().find(|(known, _)| *known == value) {
            return *loaded;
        }
        let base = self.push(block, Op::SlotAddr(slot, 0), span);
        let op = Op::Load { size: Size::D, signed: false, base, displacement: 0, field: None };
        let loaded = self.push(block, op, span);
        read.push((value, loaded));
        loaded
    }

    fn store(&mut self, block: Block, slot: Slot, value: Value, span: Span) {
        let base = self.push(block, Op::SlotAddr(slot, 0), span);
        let op = Op::Store { size: Size::D, base, displacement: 0, value: Operand::Value(value) };
        let inst = self.function.insts.push(InstData { op, result: None, span });
        self.function.blocks[block].insts.push(inst);
    }

    fn push(&mut self, block: Block, op: Op, span: Span) -> Value {
        let inst: Inst = self.function.insts.next_key();
        let result = self.function.values.push(Def::Inst(inst));
        self.function.insts.push(InstData { op, result: Some(result), span });
        self.function.blocks[block].insts.push(inst);
        result
    }

    fn drop_params(&mut self, block: Block) {
        let slots = &self.slots;
        self.function.blocks[block].params.retain(|param| slots[*param].is_none());
        for (index, param) in self.function.blocks[block].params.iter().enumerate() {
            self.function.values[*param] = Def::Param(block, index as u32);
        }
    }
}
