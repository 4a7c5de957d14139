//! How a program finds its scratch memory: an element of a per-CPU array map that belongs to the program, or, where it needs more than such an
//! element can hold, of a plain array with elements for each CPU.
//!
//! Most kinds of programs never run twice at once on a CPU: the kernel passes an event over whose program runs there already. They have one
//! element. The programs of uprobes and of iterators have no such guard, and run in processes that may be preempted, or sleep while memory is
//! brought in; the kernel only keeps them on their CPU. So theirs is one of several elements, and a run takes one that is free:
//!
//! ```text
//!   element 0    element 1   …          the first word of an element says whether it is taken
//!   1 | slots    0 | slots              it is changed by one atomic instruction
//! ```
//!
//! It is given back where the program ends, and on every way to where the memory cannot be used any more. Where all are taken the run is
//! given up, and counted.

use cranelift_entity::SecondaryMap;
use rtscript_lang::provider::ProgramKind;
use rtscript_lang::record::globals;
use rtscript_lang::syntax::source::Span;

use super::dominance::Flow;
use crate::insn::{AluOp, AtomicOp, Cond, Helper, Size};
use crate::ir::{
    Block, BlockData, Callee, Def, Function, Inst, InstData, Jump, Op, Operand, Place, Slot, SlotData,
    Terminator, Value,
};
use crate::object::{MapDef, MapKind, MapRef};

/// The largest value of a per-CPU array (`PCPU_MIN_UNIT_SIZE`).
const LARGEST_PER_CPU: u32 = 32 << 10;
/// The most scratch memory of a program that is saved: how many CPUs there will be is not known.
pub const MOST_SAVED: u32 = LARGEST_PER_CPU - TAKEN;
/// The most of a program that runs at once: the kernel takes more, for each CPU, but hardly has it.
pub const MOST_RUNNING: u32 = 16 << 20;
/// Bytes in front of the slots of an element that is taken and given back.
const TAKEN: u32 = 8;
/// How many runs of a program can be under way on one CPU.
const ELEMENTS: u32 = 8;

/// The map of a function whose slots need `size` bytes of scratch memory.
pub fn scratch_map(function: &Function, size: u32) -> MapDef {
    let size = size.next_multiple_of(8);
    let (value_size, max_entries) = if is_shared(function) { (size + TAKEN, ELEMENTS) } else { (size, 1) };
    let kind = if value_size > LARGEST_PER_CPU { MapKind::ArrayByCpu } else { MapKind::PerCpuArray };
    MapDef { name: "scratch".to_string(), kind, key_size: 4, value_size, max_entries }
}

/// Whether several runs of a program may be under way at once on a CPU.
fn is_shared(function: &Function) -> bool {
    matches!(function.program, ProgramKind::Uprobe | ProgramKind::Iter)
}

/// Looks the scratch memory up, and makes the addresses of slots in it relative to that. Returns the slot of the look-up's
/// key.
///
/// The look-up stands where all ways to a use come through, as late as can be: most runs of a program may need no scratch
/// memory. Where it fails the program ends, so it stands where no record of the ring is held.
pub fn add_scratch(function: &mut Function, map: MapRef, def: &MapDef, offsets: &[(Slot, u32)]) -> Slot {
    let key = function.slots.push(SlotData { size: 8, align: 8, place: Place::Stack });
    let (block, index) = place_of_lookup(function, offsets);
    let span =
        function.blocks[block].insts.get(index).map_or(function.span, |inst| function.insts[*inst].span);
    let rest = function.blocks[block].insts.split_off(index);
    let end = Terminator::Return(Operand::Imm(0));
    let ending = std::mem::replace(&mut function.blocks[block].terminator, end);
    let ending_span = std::mem::replace(&mut function.blocks[block].span, span);
    let body = new_block(function, ending_span, function.blocks[block].cold);
    function.blocks[body].insts = rest;
    function.blocks[body].terminator = ending;
    let by_cpu = def.kind == MapKind::ArrayByCpu;
    let elements = Elements { map, key, first: by_cpu.then(|| first_of_cpu(function, def, block, span)) };
    let none = new_block(function, span, true);
    if by_cpu || is_shared(function) {
        count_skipped(function, none, span);
    }
    let (scratch, first) = if is_shared(function) {
        (take(function, &elements, block, (body, none), span), TAKEN)
    } else {
        (look_up(function, &elements, 0, block, (body, none), span), 0)
    };
    for inst in function.insts.values_mut() {
        if let Op::SlotAddr(slot, offset) = inst.op
            && let Some((_, start)) = offsets.iter().find(|(other, _)| *other == slot)
        {
            inst.op = Op::Binary(AluOp::Add, scratch, Operand::Imm((first + start) as i32 + offset));
        }
    }
    if is_shared(function) {
        give_back(function, body, scratch, span);
    }
    key
}

/// The map, the slot of the key, and, where elements belong to CPUs, the number of the first one of this CPU.
struct Elements {
    map: MapRef,
    key: Slot,
    first: Option<Value>,
}

/// The number of the first element of the CPU. It stays the same: the kernel keeps every program on its CPU.
fn first_of_cpu(function: &mut Function, def: &MapDef, block: Block, span: Span) -> Value {
    let cpu = push(function, block, Op::Call(Callee::Helper(Helper::GetSmpProcessorId), Vec::new()), span);
    let each = Operand::Imm(def.max_entries as i32);
    push(function, block, Op::Binary(AluOp::Mul, cpu, each), span)
}

/// Counts a run that is given up.
fn count_skipped(function: &mut Function, block: Block, span: Span) {
    let counter = push(function, block, Op::GlobalAddr(globals::NO_SCRATCH), span);
    let one = push(function, block, Op::Const(1), span);
    let count = Op::Atomic { op: AtomicOp::Add, size: Size::D, base: counter, displacement: 0, value: one };
    push(function, block, count, span);
}

/// Ends `block` with looking an element up: with its address to the first block, or without one to the second.
fn look_up(
    function: &mut Function,
    elements: &Elements,
    element: u32,
    block: Block,
    (found, missing): (Block, Block),
    span: Span,
) -> Value {
    let at = push(function, block, Op::SlotAddr(elements.key, 0), span);
    let number = match elements.first {
        None => Operand::Imm(element as i32),
        Some(first) => {
            let next = Op::Binary(AluOp::Add, first, Operand::Imm(element as i32));
            Operand::Value(push(function, block, next, span))
        }
    };
    push(function, block, Op::Store { size: Size::D, base: at, displacement: 0, value: number }, span);
    let map = push(function, block, Op::MapRef(elements.map), span);
    let args = vec![Operand::Value(map), Operand::Value(at)];
    let address = push(function, block, Op::Call(Callee::Helper(Helper::MapLookupElem), args), span);
    let args = if function.blocks[found].params.is_empty() { Vec::new() } else { vec![address] };
    function.blocks[block].terminator = Terminator::Branch {
        cond: Cond::Ne,
        left: address,
        right: Operand::Imm(0),
        then: Jump { block: found, args },
        otherwise: Jump { block: missing, args: Vec::new() },
    };
    address
}

/// Tries the elements, from `block` on; `body` gets the first one that is free as its parameter, which is returned.
fn take(
    function: &mut Function,
    elements: &Elements,
    mut block: Block,
    (body, all_taken): (Block, Block),
    span: Span,
) -> Value {
    let scratch = function.values.push(Def::Param(body, 0));
    function.blocks[body].params.push(scratch);
    for element in 0..ELEMENTS {
        let there = new_block(function, span, element > 0);
        let address = look_up(function, elements, element, block, (there, all_taken), span);
        let one = push(function, there, Op::Const(1), span);
        let set =
            Op::AtomicFetch { op: AtomicOp::Or, size: Size::D, base: address, displacement: 0, value: one };
        let before = push(function, there, set, span);
        let next = if element + 1 < ELEMENTS { new_block(function, span, true) } else { all_taken };
        function.blocks[there].terminator = Terminator::Branch {
            cond: Cond::Eq,
            left: before,
            right: Operand::Imm(0),
            then: Jump { block: body, args: vec![address] },
            otherwise: Jump { block: next, args: Vec::new() },
        };
        block = next;
    }
    scratch
}

/// Gives an element back on every way out of the blocks that only `body` leads to: no other block uses it.
fn give_back(function: &mut Function, body: Block, scratch: Value, span: Span) {
    let flow = Flow::of(function);
    let tree = flow.tree(&flow.dominators());
    let is_inside = |block: Block| tree.dominates(body, block);
    let free = || Op::Store { size: Size::D, base: scratch, displacement: 0, value: Operand::Imm(0) };
    for block in flow.order.iter().copied().filter(|block| is_inside(*block)) {
        if let Terminator::Return(_) = function.blocks[block].terminator {
            push(function, block, free(), span);
            continue;
        }
        let mut terminator = function.blocks[block].terminator.clone();
        for jump in terminator.jumps_mut().filter(|jump| !is_inside(jump.block)) {
            let between = new_block(function, span, function.blocks[jump.block].cold);
            push(function, between, free(), span);
            let onwards = std::mem::replace(jump, Jump { block: between, args: Vec::new() });
            function.blocks[between].terminator = Terminator::Jump(onwards);
        }
        function.blocks[block].terminator = terminator;
    }
}

fn new_block(function: &mut Function, span: Span, cold: bool) -> Block {
    function.blocks.push(BlockData {
        params: Vec::new(),
        insts: Vec::new(),
        terminator: Terminator::Return(Operand::Imm(0)),
        span,
        cold,
    })
}

/// Appends an instruction; the value is meant only where it has a result.
fn push(function: &mut Function, block: Block, op: Op, span: Span) -> Value {
    let inst: Inst = function.insts.next_key();
    let has_result = op.has_result();
    let value = if has_result { function.values.push(Def::Inst(inst)) } else { function.values.next_key() };
    function.insts.push(InstData { op, result: has_result.then_some(value), span });
    function.blocks[block].insts.push(inst);
    value
}

/// Where the look-up stands: a block, and the index of the instruction that it comes before.
fn place_of_lookup(function: &Function, offsets: &[(Slot, u32)]) -> (Block, usize) {
    let flow = Flow::of(function);
    let dominators = flow.dominators();
    let in_scratch = |slot: Slot| offsets.iter().any(|(other, _)| *other == slot);
    let uses_scratch =
        |inst: &Inst| matches!(function.insts[*inst].op, Op::SlotAddr(slot, _) if in_scratch(slot));
    let users =
        flow.order.iter().copied().filter(|block| function.blocks[*block].insts.iter().any(uses_scratch));
    let Some(mut block) = users.reduce(|a, b| flow.meet(&dominators, a, b)) else {
        return (function.entry, 0);
    };
    let held = records_held(function, &flow);
    let in_loop = |block: Block| {
        flow.order.iter().any(|&from| {
            let jumps = function.blocks[from].terminator.jumps();
            jumps.into_iter().any(|jump| {
                flow.position[jump.block] <= flow.position[from]
                    && flow.position[jump.block] <= flow.position[block]
                    && flow.position[block] <= flow.position[from]
            })
        })
    };
    loop {
        let insts = &function.blocks[block].insts;
        let index = insts.iter().position(uses_scratch).unwrap_or(insts.len());
        let holds = insts[..index].iter().fold(held[block], |held, inst| after(function, *inst, held));
        if block == function.entry || !holds && !in_loop(block) {
            return (block, if block == function.entry && holds { 0 } else { index });
        }
        match dominators[block] {
            Some(up) => block = up,
            None => return (function.entry, 0),
        }
    }
}

/// Whether a record of the ring may be held at the start of each block.
fn records_held(function: &Function, flow: &Flow) -> SecondaryMap<Block, bool> {
    let mut held: SecondaryMap<Block, bool> = SecondaryMap::new();
    let mut changed = true;
    while changed {
        changed = false;
        for &block in &flow.order {
            let insts = &function.blocks[block].insts;
            let holds = insts.iter().fold(held[block], |held, inst| after(function, *inst, held));
            for jump in function.blocks[block].terminator.jumps() {
                if holds && !held[jump.block] {
                    held[jump.block] = true;
                    changed = true;
                }
            }
        }
    }
    held
}

/// Whether a record is held after an instruction.
fn after(function: &Function, inst: Inst, held: bool) -> bool {
    if let Op::Call(Callee::Helper(helper), _) = function.insts[inst].op {
        let ends = matches!(helper, Helper::RingbufSubmit | Helper::RingbufDiscard);
        helper == Helper::RingbufReserve || held && !ends
    } else {
        held
    }
}

#[cfg(test)]
mod tests {
    use rtscript_lang::provider::ProgramKind;

    use super::*;
    use crate::ir::Role;
    use crate::ir::builder::Builder;
    use crate::ir::verify::verify;
    use crate::passes::slots::place_slots;

    /// `if (first argument) { large slot } return` and, in one of the ways, a return of its own.
    fn function(program: ProgramKind) -> Function {
        let mut b = Builder::new("f".to_string(), program, Role::Program, Span::new(0, 1));
        let context = b.context();
        let word = b.load(Size::D, false, context, 0);
        let (uses, leaves, done) = (b.block(), b.block(), b.block());
        b.branch(Cond::Ne, word, Operand::Imm(0), uses, done);
        b.switch_sealed(uses);
        let slot = b.slot(1024);
        let at = b.value(Op::SlotAddr(slot, 0));
        b.store(Size::D, at, 8, Operand::Imm(1));
        b.branch(Cond::Eq, word, Operand::Imm(1), leaves, done);
        b.switch_sealed(leaves);
        b.ret(Operand::Imm(0));
        b.switch_sealed(done);
        b.finish()
    }

    fn count(function: &Function, is: impl Fn(&Op) -> bool) -> usize {
        function
            .blocks
            .values()
            .flat_map(|block| &block.insts)
            .filter(|inst| is(&function.insts[**inst].op))
            .count()
    }

    fn places(mut function: Function) -> (Function, MapDef) {
        let map =
            place_slots(&mut function, MapRef::from_u32(0), 400, MOST_RUNNING).unwrap().scratch.unwrap();
        verify(&function, "scratch");
        (function, map)
    }

    #[test]
    fn what_is_taken_is_given_back_on_every_way() {
        let (function, map) = places(function(ProgramKind::Uprobe));
        assert_eq!((map.value_size, map.max_entries), (1024 + TAKEN, ELEMENTS));
        assert_eq!(count(&function, |op| matches!(op, Op::AtomicFetch { .. })), ELEMENTS as usize);
        // One where the program leaves, one on the way to the end that all share.
        let frees = |op: &Op| matches!(op, Op::Store { displacement: 0, value: Operand::Imm(0), .. });
        let keys = 1;
        assert_eq!(count(&function, frees), 2 + keys);
    }

    #[test]
    fn who_is_never_interrupted_by_itself_takes_nothing() {
        let (function, map) = places(function(ProgramKind::RawTracepoint));
        assert_eq!((map.value_size, map.max_entries), (1024, 1));
        assert_eq!(count(&function, |op| matches!(op, Op::AtomicFetch { .. })), 0);
    }
}
