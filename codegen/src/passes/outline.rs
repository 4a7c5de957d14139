//! Makes loops into callbacks, for kernels that have no `may_goto` but the helper `bpf_loop` (5.17 to 6.8): the body of
//! each loop with a budget becomes a function that the kernel calls for each round.
//!
//! What a round reads and writes lies in memory of the function that loops:
//!
//! ```text
//!   in its stack frame, given to the callback     in scratch memory
//!   0    the address of the scratch memory        0    0, or which of its exits the loop was left by
//!   8    each pointer that the body uses          8    each number that the body uses, that goes from
//!                                                      round to round, or that is used behind the loop
//! ```
//!
//! Pointers can only be kept in the stack, where the verifier follows them. Numbers are kept in scratch memory, of which
//! it knows nothing: in the stack each round would be a new state to it.
//!
//! All loops of a function share one budget of rounds, like those with `may_goto`: an inner loop is called for as many
//! rounds as are left, and an outer one ends once none are.
//!
//! Inner loops come first, and a callback only calls those that stand before it. Assumes that loops are entered by their
//! header alone, and that no pointer but one that can be computed anew goes from round to round, or out of a loop.

use cranelift_entity::EntitySet;
use rtscript_lang::syntax::source::Span;
use rustc_hash::FxHashMap;

use super::clean::map_terminator;
use super::dominance::Flow;
use crate::insn::{AluOp, Cond, Helper, Size};
use crate::ir::{
    Block, BlockData, Callee, Def, Function, InstData, Jump, Op, Operand, Place, Role, Slot, SlotData,
    Terminator, Value,
};

pub(super) mod crossing;

use crossing::{Crossing, pointers};

/// How many rounds all loops of a function have (the most that `bpf_loop` takes).
const BUDGET: i32 = 1 << 23;

const EXIT: i32 = 0;
const NUMBERS: i32 = 8;
const SHARED: i32 = 0;
const POINTERS: i32 = 8;

/// Makes all loops with a budget of a program and of its callbacks into callbacks.
pub fn outline(program: &mut Function) {
    let stem = program.name.split('_').next().unwrap_or_default().to_string();
    let mut made = Made { stem, callbacks: Vec::new() };
    let mut moved = Vec::new();
    for mut callback in std::mem::take(&mut program.callbacks) {
        renumber(&mut callback, &moved);
        made.loops(&mut callback);
        moved.push(made.callbacks.len() as u32);
        made.callbacks.push(callback);
    }
    renumber(program, &moved);
    made.loops(program);
    program.callbacks = made.callbacks;
}

/// The callbacks have moved: says where they are now.
fn renumber(function: &mut Function, moved: &[u32]) {
    for data in function.insts.values_mut() {
        if let Op::CallbackRef(index) = &mut data.op {
            *index = moved.get(*index as usize).copied().unwrap_or(*index);
        }
    }
}

struct Made {
    /// What callbacks are named after.
    stem: String,
    callbacks: Vec<Function>,
}

impl Made {
    fn loops(&mut self, function: &mut Function) {
        end_empty_loops(function);
        let mut budget = None;
        while let Some(found) = innermost(function) {
            let budget = *budget.get_or_insert_with(|| push_slot(function, 8, Place::Outside));
            let name = format!("{}_loop_{}", self.stem, self.callbacks.len());
            let callback = one_loop(function, &found, budget, self.callbacks.len() as u32, name);
            self.callbacks.push(callback);
        }
    }
}

/// A loop whose body always leaves it is none, and needs no budget.
fn end_empty_loops(function: &mut Function) {
    let flow = Flow::of(function);
    for &block in flow.order.iter().filter(|block| !is_header(&flow, **block)) {
        if let Terminator::MayGoto { body, .. } = &function.blocks[block].terminator {
            function.blocks[block].terminator = Terminator::Jump(body.clone());
        }
    }
}

fn is_header(flow: &Flow, block: Block) -> bool {
    flow.predecessors[block].iter().any(|from| flow.position[*from] >= flow.position[block])
}

/// A loop, as it was found.
pub(super) struct Loop {
    header: Block,
    body: EntitySet<Block>,
    outermost: bool,
}

/// A loop that has no other in it: the one whose header comes last.
fn innermost(function: &Function) -> Option<Loop> {
    let flow = Flow::of(function);
    let mut loops = flow.order.iter().rev().filter(|block| {
        is_header(&flow, **block) && matches!(function.blocks[**block].terminator, Terminator::MayGoto { .. })
    });
    let header = *loops.next()?;
    let body = natural_loop(&flow, header);
    let outermost = !loops.any(|outer| natural_loop(&flow, *outer).contains(header));
    Some(Loop { header, body, outermost })
}

/// The blocks from which the header is reached again without leaving it.
fn natural_loop(flow: &Flow, header: Block) -> EntitySet<Block> {
    let mut body = EntitySet::new();
    body.insert(header);
    let is_back = |from: &&Block| flow.position[**from] >= flow.position[header];
    let mut todo: Vec<Block> = flow.predecessors[header].iter().filter(is_back).copied().collect();
    while let Some(block) = todo.pop() {
        if body.insert(block) {
            todo.extend(&flow.predecessors[block]);
        }
    }
    body
}

/// Takes a loop out of `function`, and returns the function that is called for each of its rounds, as callback `number`.
fn one_loop(function: &mut Function, found: &Loop, budget: Slot, number: u32, name: String) -> Function {
    let mut crossing = Crossing::of(function, found);
    if crossing.nests && !crossing.slots.contains(&budget) {
        crossing.slots.push(budget);
    }
    join(function, &mut crossing, budget);
    let layout = Layout::of(function, found, &crossing);
    let (callback, exits) = round(function, found, &crossing, &layout, budget, name);
    call(function, found, &crossing, &layout, (budget, number), exits);
    callback
}

/// Makes the slots that cross one, so that its address is all that has to lie in the frame.
fn join(function: &mut Function, crossing: &mut Crossing, budget: Slot) {
    let may_join = |slot: &Slot| *slot != budget && function.slots[*slot].place != Place::Stack;
    let (parts, mut others): (Vec<Slot>, Vec<Slot>) = crossing.slots.iter().partition(|slot| may_join(slot));
    if parts.len() < 2 {
        return;
    }
    let whole = push_slot(function, 0, Place::Outside);
    let mut starts = FxHashMap::default();
    for part in parts {
        let part_data = function.slots[part];
        let data = &mut function.slots[whole];
        let start = data.size;
        data.size += part_data.size.next_multiple_of(8);
        if part_data.place == Place::Scratch {
            data.place = part_data.place;
        }
        starts.insert(part, (whole, start as i32));
    }
    function.join_slots(&starts);
    others.push(whole);
    crossing.slots = others;
}

/// Where what crosses lies.
struct Layout {
    /// In scratch memory.
    numbers: Vec<(Value, i32)>,
    /// In the frame.
    pointers: Vec<(Value, i32)>,
    slots: Vec<(Slot, i32)>,
}

impl Layout {
    fn of(function: &Function, found: &Loop, crossing: &Crossing) -> Layout {
        let pointers = pointers(function);
        let (inward_pointers, inward_numbers): (Vec<Value>, Vec<Value>) =
            crossing.into.iter().partition(|value| pointers.contains(**value));
        let header = &function.blocks[found.header].params;
        let outward = crossing.out.iter().filter(|value| !header.contains(value));
        let numbers = inward_numbers.iter().chain(header).chain(outward).copied();
        let numbers = numbers.zip((NUMBERS..).step_by(8)).collect();
        let mut offsets = (POINTERS..).step_by(8);
        let pointers = inward_pointers.into_iter().zip(offsets.by_ref()).collect();
        let slots = crossing.slots.iter().copied().zip(offsets).collect();
        Layout { numbers, pointers, slots }
    }

    fn number(&self, value: Value) -> Option<i32> {
        self.numbers.iter().find(|(other, _)| *other == value).map(|(_, offset)| *offset)
    }

    fn shared_size(&self) -> u32 {
        NUMBERS as u32 + 8 * self.numbers.len() as u32
    }

    fn given_size(&self) -> u32 {
        POINTERS as u32 + 8 * (self.pointers.len() + self.slots.len()) as u32
    }
}

/// The end of a block that is being written.
struct End<'a> {
    function: &'a mut Function,
    block: Block,
    span: Span,
}

impl End<'_> {
    fn effect(&mut self, op: Op) {
        let inst = self.function.insts.push(InstData { op, result: None, span: self.span });
        self.function.blocks[self.block].insts.push(inst);
    }

    fn value(&mut self, op: Op) -> Value {
        let value = self.function.values.push(Def::Param(self.block, 0));
        self.define(value, op);
        value
    }

    /// Makes a value the result of this instruction.
    fn define(&mut self, value: Value, op: Op) {
        let inst = self.function.insts.push(InstData { op, result: Some(value), span: self.span });
        self.function.values[value] = Def::Inst(inst);
        self.function.blocks[self.block].insts.push(inst);
    }

    fn load(&mut self, base: Value, displacement: i32) -> Value {
        self.value(load(base, displacement))
    }

    fn store(&mut self, base: Value, displacement: i32, value: Operand) {
        self.effect(Op::Store { size: Size::D, base, displacement, value });
    }

    fn finish(self, terminator: Terminator) {
        self.function.blocks[self.block].terminator = terminator;
    }
}

fn load(base: Value, displacement: i32) -> Op {
    Op::Load { size: Size::D, signed: false, base, displacement, field: None }
}

fn push_slot(function: &mut Function, size: u32, place: Place) -> Slot {
    function.slots.push(SlotData { size, align: 8, place })
}

fn push_block(function: &mut Function, span: Span) -> Block {
    let terminator = Terminator::Return(Operand::Imm(0));
    function.blocks.push(BlockData { params: Vec::new(), insts: Vec::new(), terminator, span, cold: false })
}

fn to(block: Block) -> Jump {
    Jump { block, args: Vec::new() }
}

/// Makes the callback: a copy of the function of which only the loop is left. Returns the jumps that leave the loop, too:
/// the first of them by exit 1.
fn round(
    function: &Function,
    found: &Loop,
    crossing: &Crossing,
    layout: &Layout,
    budget: Slot,
    name: String,
) -> (Function, Vec<Jump>) {
    let flow = Flow::of(function);
    let dominators = flow.dominators();
    let mut callback = Function { name, role: Role::Round, callbacks: Vec::new(), ..function.clone() };
    for block in function.blocks.keys().filter(|block| !found.body.contains(*block)) {
        callback.blocks[block] = empty(&function.blocks[block]);
    }
    let span = function.blocks[found.header].span;
    let entry = push_block(&mut callback, span);
    callback.entry = entry;
    callback.span = span;
    let params: Vec<Value> = (0..2).map(|index| callback.values.push(Def::Param(entry, index))).collect();
    let given = params[1];
    callback.blocks[entry].params = params;
    let header_params = std::mem::take(&mut callback.blocks[found.header].params);

    // What crosses is loaded in each block that uses it, but for what is compared: that tells the verifier its range.
    let compared = compared(&callback);
    let mut loads = Loads::default();
    let shared = callback.values.push(Def::Param(entry, 0));
    loads.insert(shared, (given, SHARED));
    loads.extend(layout.pointers.iter().map(|&(value, offset)| (value, (given, offset))));
    let mut slots = Vec::new();
    for &(slot, offset) in &layout.slots {
        let address = callback.values.push(Def::Param(entry, 0));
        loads.insert(address, (given, offset));
        slots.push((slot, address));
    }
    let mut end = End { function: &mut callback, block: entry, span };
    for &(value, offset) in &layout.numbers {
        if crossing.inside[value].is_some() && !header_params.contains(&value) {
            continue;
        }
        if compared.contains(value) {
            end.define(value, load(shared, offset));
        } else {
            loads.insert(value, (shared, offset));
        }
    }
    end.function.blocks[entry].insts.extend(&crossing.repeated_inside);
    end.finish(Terminator::Jump(to(found.header)));
    for data in callback.insts.values_mut() {
        if let Op::SlotAddr(slot, offset) = data.op
            && let Some((_, address)) = slots.iter().find(|(shared, _)| *shared == slot)
        {
            data.op = Op::Binary(AluOp::Add, *address, Operand::Imm(offset));
        }
    }

    if let Terminator::MayGoto { body, .. } = &function.blocks[found.header].terminator {
        let body = body.clone();
        let mut end = End { function: &mut callback, block: found.header, span };
        let budget = slots.iter().find(|(slot, _)| *slot == budget && crossing.nests);
        match budget {
            Some((_, address)) => {
                let left = end.load(*address, 0);
                let cut = push_block(end.function, span);
                End { function: &mut *end.function, block: cut, span }
                    .finish(Terminator::Return(Operand::Imm(1)));
                let (cond, right) = (Cond::Eq, Operand::Imm(0));
                end.finish(Terminator::Branch { cond, left, right, then: to(cut), otherwise: body });
            }
            None => end.finish(Terminator::Jump(body)),
        }
    }
    let mut exits: Vec<Jump> = Vec::new();
    for &block in flow.order.iter().filter(|block| found.body.contains(**block)) {
        let span = function.blocks[block].span;
        let jumps: Vec<Jump> = callback.blocks[block].terminator.jumps().cloned().collect();
        for (index, jump) in jumps.into_iter().enumerate() {
            let goes_on = jump.block == found.header;
            // Blocks that were added here are no part of the function.
            let is_new = !function.blocks.is_valid(jump.block);
            if is_new || !goes_on && found.body.contains(jump.block) {
                continue;
            }
            let edge = push_block(&mut callback, span);
            let mut end = End { function: &mut callback, block: edge, span };
            if goes_on {
                // All of them are read before any is overwritten.
                let held = |arg: &Value| header_params.contains(arg).then(|| layout.number(*arg)).flatten();
                let args: Vec<Value> =
                    (jump.args.iter()).map(|arg| held(arg).map_or(*arg, |at| end.load(shared, at))).collect();
                for ((param, old), arg) in header_params.iter().zip(&jump.args).zip(&args) {
                    if let Some(offset) = layout.number(*param).filter(|_| param != old) {
                        end.store(shared, offset, Operand::Value(*arg));
                    }
                }
                end.finish(Terminator::Return(Operand::Imm(0)));
            } else {
                for &value in crossing.out.iter().filter(|value| !header_params.contains(value)) {
                    let is_known = crossing.inside[value]
                        .is_some_and(|from| from == block || flow.meet(&dominators, from, block) == from);
                    if let Some(offset) = layout.number(value).filter(|_| is_known) {
                        end.store(shared, offset, Operand::Value(value));
                    }
                }
                let known = exits.iter().position(|exit| *exit == jump);
                let exit = known.unwrap_or(exits.len());
                if known.is_none() {
                    exits.push(jump);
                }
                end.store(shared, EXIT, Operand::Imm(exit as i32 + 1));
                end.finish(Terminator::Return(Operand::Imm(1)));
            }
            if let Some(jump) = callback.blocks[block].terminator.jumps_mut().nth(index) {
                *jump = to(edge);
            }
        }
    }
    insert_loads(&mut callback, &loads);
    (callback, exits)
}

/// What conditions compare.
fn compared(function: &Function) -> EntitySet<Value> {
    let mut compared = EntitySet::new();
    for block in function.blocks.values() {
        block.terminator.each_operand(|value| {
            compared.insert(value);
        });
        for inst in &block.insts {
            if let op @ Op::Compare(..) = &function.insts[*inst].op {
                op.each_use(|value| {
                    compared.insert(value);
                });
            }
        }
    }
    compared
}

/// Values that lie in memory while a round runs: at an address, plus so many bytes.
type Loads = FxHashMap<Value, (Value, i32)>;

/// Loads values in each block that uses them, before the first use. So none of them needs a register for long: of the stack,
/// callbacks have little.
fn insert_loads(function: &mut Function, loads: &Loads) {
    for block in Flow::of(function).order {
        let mut end = End { span: function.blocks[block].span, function: &mut *function, block };
        let mut loaded = FxHashMap::default();
        for inst in std::mem::take(&mut end.function.blocks[block].insts) {
            let mut used = Vec::new();
            end.function.insts[inst].op.each_use(|value| used.push(value));
            used.into_iter().for_each(|value| load_once(&mut end, loads, &mut loaded, value));
            end.function.insts[inst].op.map_uses(|value| *loaded.get(&value).unwrap_or(&value));
            end.function.blocks[block].insts.push(inst);
        }
        let mut terminator = end.function.blocks[block].terminator.clone();
        let mut used: Vec<Value> = terminator.jumps().flat_map(|jump| jump.args.iter().copied()).collect();
        terminator.each_operand(|value| used.push(value));
        used.into_iter().for_each(|value| load_once(&mut end, loads, &mut loaded, value));
        map_terminator(&mut terminator, |value| *loaded.get(&value).unwrap_or(&value));
        end.finish(terminator);
    }
}

fn load_once(end: &mut End<'_>, loads: &Loads, loaded: &mut FxHashMap<Value, Value>, value: Value) {
    let Some(&(base, displacement)) = loads.get(&value).filter(|_| !loaded.contains_key(&value)) else {
        return;
    };
    load_once(end, loads, loaded, base);
    let made = end.load(*loaded.get(&base).unwrap_or(&base), displacement);
    loaded.insert(value, made);
}

/// Puts the call into the place of the loop.
fn call(
    function: &mut Function,
    found: &Loop,
    crossing: &Crossing,
    layout: &Layout,
    (budget, number): (Slot, u32),
    exits: Vec<Jump>,
) {
    let header = found.header;
    let Terminator::MayGoto { exit: cut, .. } = function.blocks[header].terminator.clone() else { return };
    let span = function.blocks[header].span;
    for block in function.blocks.keys() {
        if found.body.contains(block) {
            let params = std::mem::take(&mut function.blocks[block].params);
            function.blocks[block] = empty(&function.blocks[block]);
            function.blocks[block].params = params;
        }
    }
    // They hold what goes into the first round; behind the loop stands what came out of the last.
    let params = std::mem::take(&mut function.blocks[header].params);
    let first: Vec<Value> =
        (0..).zip(&params).map(|(index, _)| function.values.push(Def::Param(header, index))).collect();
    function.blocks[header].params = first.clone();

    let shared = push_slot(function, layout.shared_size(), Place::Outside);
    let given = push_slot(function, layout.given_size(), Place::Stack);
    for &(slot, _) in &layout.slots {
        if function.slots[slot].place == Place::Anywhere {
            function.slots[slot].place = Place::Outside;
        }
    }
    let mut end = End { function, block: header, span };
    let shared = end.value(Op::SlotAddr(shared, 0));
    let given = end.value(Op::SlotAddr(given, 0));
    let budget = end.value(Op::SlotAddr(budget, 0));
    end.store(shared, EXIT, Operand::Imm(0));
    for &(value, offset) in &layout.numbers {
        match params.iter().position(|param| *param == value) {
            Some(index) => end.store(shared, offset, Operand::Value(first[index])),
            None if crossing.inside[value].is_none() => end.store(shared, offset, Operand::Value(value)),
            None => {}
        }
    }
    end.store(given, SHARED, Operand::Value(shared));
    for &(value, offset) in &layout.pointers {
        end.store(given, offset, Operand::Value(value));
    }
    for &(slot, offset) in &layout.slots {
        let address = end.value(Op::SlotAddr(slot, 0));
        end.store(given, offset, Operand::Value(address));
    }
    if found.outermost {
        end.store(budget, 0, Operand::Imm(BUDGET));
    }
    let callback = end.value(Op::CallbackRef(number));
    let most = end.load(budget, 0);
    let args = [Operand::Value(most), Operand::Value(callback), Operand::Value(given), Operand::Imm(0)];
    let rounds = end.value(Op::Call(Callee::Helper(Helper::Loop), args.to_vec()));
    let left = end.load(budget, 0);
    let left = end.value(Op::Binary(AluOp::Sub, left, Operand::Value(rounds)));
    end.store(budget, 0, Operand::Value(left));
    let exit = end.load(shared, EXIT);
    for &value in params.iter().chain(crossing.out.iter().filter(|value| !params.contains(value))) {
        if let Some(offset) = layout.number(value) {
            end.define(value, load(shared, offset));
        }
    }
    end.function.blocks[header].insts.extend(&crossing.repeated_behind);
    let mut targets = (0..).zip(std::iter::once(cut).chain(exits)).peekable();
    while let Some((index, target)) = targets.next() {
        if targets.peek().is_none() {
            return end.finish(Terminator::Jump(target));
        }
        let next = push_block(end.function, span);
        let right = Operand::Imm(index);
        let terminator =
            Terminator::Branch { cond: Cond::Eq, left: exit, right, then: target, otherwise: to(next) };
        let End { function, block, .. } = end;
        function.blocks[block].terminator = terminator;
        end = End { function, block: next, span };
    }
}

/// A block that nothing leads to any more.
fn empty(block: &BlockData) -> BlockData {
    BlockData {
        params: Vec::new(),
        insts: Vec::new(),
        terminator: Terminator::Return(Operand::Imm(0)),
        span: block.span,
        cold: block.cold,
    }
}
