//! Gives every slot a place: in the stack frame, or in scratch memory where it is too large, or where a loop writes it:
//! what lies in the stack is part of the state that the kernel's verifier compares, and in a loop it has to be the same
//! (see `ir/builder.rs`). Of scratch memory the verifier knows nothing.
//!
//! Slots that are never needed at the same time share bytes. A slot is needed from the first to the last instruction
//! that mentions it, in the order of blocks, and through the whole of a loop that it reaches into or out of.
//!
//! How a program finds its scratch memory is told in `scratch.rs`.

use cranelift_entity::SecondaryMap;

use super::dominance::Flow;
use super::scratch::{add_scratch, scratch_map};
use crate::ir::{Block, Function, Op, Operand, Place, Role, Slot, Value};
use crate::object::{MapDef, MapRef};

/// Slots of more bytes are not even tried in the frame.
const LARGE: u32 = 128;

/// Where each slot of the frame lies: the distance of its first byte below the frame's top.
pub type Frame = SecondaryMap<Slot, u32>;

pub struct Placed {
    pub frame: Frame,
    /// Bytes of the frame.
    pub size: u32,
    /// The map of the scratch memory, where some is needed.
    pub scratch: Option<MapDef>,
}

/// Places all slots, with at most `budget` bytes of the stack; `scratch` is what the map of the scratch memory will be.
/// Returns nothing where the program needs more scratch memory than `most`, which there can be.
pub fn place_slots(function: &mut Function, scratch: MapRef, budget: u32, most: u32) -> Option<Placed> {
    let Needs { ranges, written_in_loop } = needs(function);
    let used: Vec<Slot> = function.slots.keys().filter(|slot| ranges[*slot].is_some()).collect();
    let (mut small, mut large): (Vec<Slot>, Vec<Slot>) =
        used.into_iter().partition(|slot| match function.slots[*slot].place {
            Place::Anywhere => function.slots[*slot].size <= LARGE && !written_in_loop[*slot],
            Place::Stack => true,
            Place::Outside | Place::Scratch => false,
        });
    let key = 8;
    largest_first(function, &mut small);
    loop {
        let room = if large.is_empty() { budget } else { budget.saturating_sub(key) };
        // The largest of the small ones goes, where there is one that may.
        let goes = (0..small.len())
            .filter(|index| function.slots[small[*index]].place != Place::Stack)
            .max_by_key(|index| function.slots[small[*index]].size);
        if let Some((offsets, size)) = pack(function, &ranges, &small, goes.map_or(u32::MAX, |_| room)) {
            largest_first(function, &mut large);
            let (in_scratch, scratch_size) = pack(function, &ranges, &large, most)?;
            let mut frame = Frame::new();
            for (slot, offset) in offsets {
                // Counted from the top, where the first byte of a slot lies deepest.
                frame[slot] = offset + function.slots[slot].size;
            }
            if large.is_empty() {
                return Some(Placed { frame, size, scratch: None });
            }
            let def = scratch_map(function, scratch_size);
            let key_slot = add_scratch(function, scratch, &def, &in_scratch);
            frame[key_slot] = size + key;
            let scratch = Some(def);
            return Some(Placed { frame, size: size + key, scratch });
        }
        if let Some(index) = goes {
            large.push(small.remove(index));
        }
    }
}

type Range = Option<(u32, u32)>;

struct Needs {
    /// From where to where each slot is needed, as positions of instructions.
    ranges: SecondaryMap<Slot, Range>,
    written_in_loop: SecondaryMap<Slot, bool>,
}

fn needs(function: &Function) -> Needs {
    let flow = Flow::of(function);
    let mut origin: SecondaryMap<Value, Vec<Slot>> = SecondaryMap::new();
    // Addresses flow through arithmetic and parameters; a few rounds find all, also around loops.
    let mut held: SecondaryMap<Slot, Vec<Slot>> = SecondaryMap::new();
    let mut changed = true;
    while changed {
        changed = false;
        for &block in &flow.order {
            for &inst in &function.blocks[block].insts {
                let data = &function.insts[inst];
                if let Op::Store { base, value: Operand::Value(value), .. } = &data.op {
                    for slot in &origin[*base] {
                        changed |= extend(&mut held[*slot], origin[*value].clone());
                    }
                }
                let Some(result) = data.result else { continue };
                let mut from = Vec::new();
                if let Op::SlotAddr(slot, _) = data.op {
                    from.push(slot);
                } else if let Op::Binary(..) = data.op {
                    data.op.each_use(|value| from.extend(&origin[value]));
                }
                changed |= extend(&mut origin[result], from);
            }
            for jump in function.blocks[block].terminator.jumps() {
                for (arg, param) in jump.args.iter().zip(&function.blocks[jump.block].params) {
                    let from = origin[*arg].clone();
                    changed |= extend(&mut origin[*param], from);
                }
            }
        }
    }
    let mut ranges: SecondaryMap<Slot, Range> = SecondaryMap::new();
    let mut starts: SecondaryMap<Block, (u32, u32)> = SecondaryMap::new();
    let mut writes: Vec<(Slot, u32)> = Vec::new();
    let mut at = 0;
    for &block in &flow.order {
        let start = at;
        for &inst in &function.blocks[block].insts {
            at += 1;
            let data = &function.insts[inst];
            // Whoever is given a slot that holds addresses uses what lies there, too.
            let mut mention = |slot: Slot| {
                for &slot in [slot].iter().chain(&held[slot]) {
                    let (first, last) = ranges[slot].unwrap_or((at, at));
                    ranges[slot] = Some((first.min(at), last.max(at)));
                }
            };
            if let Op::SlotAddr(slot, _) = &data.op {
                mention(*slot);
            }
            data.op.each_use(|value| origin[value].iter().for_each(|slot| mention(*slot)));
            match &data.op {
                Op::Store { base, .. }
                | Op::Atomic { base, .. }
                | Op::AtomicFetch { base, .. }
                | Op::CompareExchange { base, .. } => {
                    writes.extend(origin[*base].iter().map(|slot| (*slot, at)));
                }
                // Any argument may be a place for a result.
                Op::Call(..) => {
                    data.op.each_use(|value| writes.extend(origin[value].iter().map(|slot| (*slot, at))))
                }
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
                | Op::Load { .. } => {}
            }
        }
        at += 1;
        let arguments = function.blocks[block].terminator.jumps().flat_map(|jump| &jump.args);
        for slot in arguments.flat_map(|arg| origin[*arg].clone()) {
            let (first, last) = ranges[slot].unwrap_or((at, at));
            ranges[slot] = Some((first.min(at), last.max(at)));
        }
        starts[block] = (start, at);
    }
    // Loops: from the header to the farthest block that jumps back.
    let mut loops = Vec::new();
    for &block in &flow.order {
        for jump in function.blocks[block].terminator.jumps() {
            if flow.position[jump.block] <= flow.position[block] {
                loops.push((starts[jump.block].0, starts[block].1));
            }
        }
    }
    let mut changed = true;
    while changed {
        changed = false;
        for slot in function.slots.keys() {
            let Some((first, last)) = ranges[slot] else { continue };
            for &(start, end) in &loops {
                let overlaps = first <= end && last > start;
                let inside = first > start && last <= end;
                let covers = first <= start && last >= end;
                if overlaps && !inside && !covers {
                    ranges[slot] = Some((first.min(start), last.max(end)));
                    changed = true;
                }
            }
        }
    }
    for (slot, data) in &function.slots {
        // Its address may lie anywhere.
        if data.place == Place::Scratch && ranges[slot].is_some() {
            ranges[slot] = Some((0, u32::MAX));
        }
    }
    let mut written_in_loop = SecondaryMap::new();
    // A callback is walked like the body of a loop.
    let is_round = function.role != Role::Program;
    for (slot, at) in writes {
        if is_round || loops.iter().any(|&(start, end)| start < at && at <= end) {
            written_in_loop[slot] = true;
        }
    }
    Needs { ranges, written_in_loop }
}

fn extend(slots: &mut Vec<Slot>, more: Vec<Slot>) -> bool {
    let before = slots.len();
    for slot in more {
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }
    slots.len() > before
}

fn largest_first(function: &Function, slots: &mut [Slot]) {
    slots.sort_by_key(|slot| (std::cmp::Reverse(function.slots[*slot].size), *slot));
}

/// Offsets at which no two slots that are needed at once overlap, and the bytes that they take; nothing where these
/// would be more than `most`.
fn pack(
    function: &Function,
    ranges: &SecondaryMap<Slot, Range>,
    slots: &[Slot],
    most: u32,
) -> Option<(Vec<(Slot, u32)>, u32)> {
    let mut placed: Vec<(Slot, u32)> = Vec::new();
    let mut whole = 0;
    for &slot in slots {
        let size = function.slots[slot].size;
        let (first, last) = ranges[slot].unwrap_or((0, 0));
        let mut taken: Vec<(u32, u32)> = placed
            .iter()
            .filter(|(other, _)| ranges[*other].is_some_and(|(f, l)| f <= last && first <= l))
            .map(|(other, offset)| (*offset, offset + function.slots[*other].size))
            .collect();
        taken.sort();
        let mut offset = 0;
        for (from, to) in taken {
            if offset + size <= from {
                break;
            }
            offset = offset.max(to);
        }
        placed.push((slot, offset));
        whole = whole.max(offset + size);
        if whole > most {
            return None;
        }
    }
    Some((placed, whole))
}
