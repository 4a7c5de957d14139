//! How far away the next use of each value is, at the start and the end of each block. What has a distance is live.
//!
//! Distances count instructions along the shortest way; a way that leaves a loop is `OUT_OF_LOOP` longer, so that
//! what a loop uses stays in registers within it (Braun and Hack, "Register Spilling and Live-Range Splitting for
//! SSA-Form Programs", 2009). The arguments of an edge are used at the end of its block.

use crate::machine::{Block, Code, Value};
use cranelift_entity::{EntitySet, SecondaryMap};
use rustc_hash::FxHashMap;

pub const OUT_OF_LOOP: u32 = 100_000;

/// A definition that can be repeated is not carried further than this: it costs an instruction to have it again, and a
/// program mentions hundreds of them.
const REPEAT_BEYOND: u32 = 64;

pub type Distances = FxHashMap<Value, u32>;

/// The shape of the control flow.
pub struct Flow {
    /// The blocks that the entry reaches, in reverse postorder.
    pub order: Vec<Block>,
    pub preds: SecondaryMap<Block, Vec<Block>>,
    /// Each loop's header, members, and whether a member calls.
    pub loops: Vec<Loop>,
}

pub struct Loop {
    pub header: Block,
    pub members: EntitySet<Block>,
    pub calls: bool,
}

pub struct NextUse {
    /// Of parameters too, which are defined at the start.
    pub entry: SecondaryMap<Block, Distances>,
    pub exit: SecondaryMap<Block, Distances>,
}

impl Flow {
    pub fn of<T>(code: &Code<T>) -> Flow {
        let mut preds: SecondaryMap<Block, Vec<Block>> = SecondaryMap::new();
        let mut postorder = Vec::new();
        let mut seen = EntitySet::new();
        seen.insert(code.entry);
        let mut stack = vec![(code.entry, successors(code, code.entry))];
        while let Some((block, rest)) = stack.last_mut() {
            match rest.pop() {
                Some(next) if seen.insert(next) => {
                    let rest = successors(code, next);
                    stack.push((next, rest));
                }
                Some(_visited) => {}
                None => {
                    postorder.push(*block);
                    stack.pop();
                }
            }
        }
        let order: Vec<Block> = postorder.into_iter().rev().collect();
        let mut position: SecondaryMap<Block, usize> = SecondaryMap::new();
        for (i, &block) in order.iter().enumerate() {
            position[block] = i;
            for edge in code.blocks[block].end.edges() {
                preds[edge.to].push(block);
            }
        }
        let mut loops = Vec::new();
        for &header in &order {
            let backs: Vec<Block> =
                preds[header].iter().copied().filter(|p| position[*p] >= position[header]).collect();
            if backs.is_empty() {
                continue;
            }
            let mut members = EntitySet::new();
            members.insert(header);
            let mut todo = backs;
            while let Some(block) = todo.pop() {
                if members.insert(block) {
                    todo.extend(&preds[block]);
                }
            }
            let calls = order
                .iter()
                .any(|&b| members.contains(b) && code.blocks[b].insts.iter().any(|inst| inst.is_call()));
            loops.push(Loop { header, members, calls });
        }
        Flow { order, preds, loops }
    }

    fn leaves_loop(&self, from: Block, to: Block) -> bool {
        self.loops.iter().any(|l| l.members.contains(from) && !l.members.contains(to))
    }
}

/// In the order that makes the first one come first after the block in reverse postorder.
fn successors<T>(code: &Code<T>, block: Block) -> Vec<Block> {
    code.blocks[block].end.edges().map(|e| e.to).collect()
}

impl NextUse {
    pub fn of<T>(code: &Code<T>, flow: &Flow) -> NextUse {
        let mut next = NextUse { entry: SecondaryMap::new(), exit: SecondaryMap::new() };
        // The blocks whose successors have changed; without loops one walk finds all.
        let mut stale: EntitySet<Block> = EntitySet::new();
        stale.extend(flow.order.iter().copied());
        while !stale.is_empty() {
            for &block in flow.order.iter().rev() {
                if !stale.remove(block) {
                    continue;
                }
                let exit = next.at_exit(code, flow, block);
                let mut entry = Distances::default();
                let data = &code.blocks[block];
                let len = data.insts.len() as u32;
                for (&value, &distance) in &exit {
                    entry.insert(value, distance.saturating_add(len + 1));
                }
                for &value in data.end.uses() {
                    entry.insert(value, len);
                }
                for (i, inst) in data.insts.iter().enumerate().rev() {
                    if let Some(def) = inst.def {
                        entry.remove(&def);
                    }
                    for &value in &inst.uses {
                        entry.insert(value, i as u32);
                    }
                }
                if entry != next.entry[block] {
                    stale.extend(flow.preds[block].iter().copied());
                }
                next.entry[block] = entry;
                next.exit[block] = exit;
            }
        }
        next
    }

    /// From the block's end: its edges' arguments, and what its successors use.
    fn at_exit<T>(&self, code: &Code<T>, flow: &Flow, block: Block) -> Distances {
        let mut exit = Distances::default();
        for edge in code.blocks[block].end.edges() {
            let extra = if flow.leaves_loop(block, edge.to) { OUT_OF_LOOP } else { 0 };
            for (&value, &distance) in &self.entry[edge.to] {
                let far = code.values[value].is_some() && distance > REPEAT_BEYOND;
                if !far && !code.blocks[edge.to].params.contains(&value) {
                    let d = exit.entry(value).or_insert(u32::MAX);
                    *d = distance.saturating_add(extra).min(*d);
                }
            }
            for (&arg, &param) in edge.args.iter().zip(&code.blocks[edge.to].params) {
                // An argument of a parameter that nothing uses is not used either.
                if self.entry[edge.to].contains_key(&param) {
                    exit.insert(arg, 0);
                }
            }
        }
        exit
    }
}

/// Whether two values are ever live at once.
pub struct Interference {
    /// For each value: the blocks where it is live at the end, and its definition and last use elsewhere.
    ranges: FxHashMap<Value, Vec<(Block, u32, u32)>>,
}

/// The spans of positions, by block, where something is kept in it.
pub type Room = FxHashMap<Block, Vec<(u32, u32)>>;

impl Interference {
    /// The live ranges of `values`, as spans of positions within blocks.
    pub fn of<T>(code: &Code<T>, flow: &Flow, next: &NextUse, values: &EntitySet<Value>) -> Interference {
        let mut ranges: FxHashMap<Value, Vec<(Block, u32, u32)>> = FxHashMap::default();
        for &block in &flow.order {
            let data = &code.blocks[block];
            let len = data.insts.len() as u32 + 2;
            let mut last: FxHashMap<Value, u32> = FxHashMap::default();
            let mut add = |value: Value, from: u32, to: u32| {
                if values.contains(value) {
                    ranges.entry(value).or_default().push((block, from, to));
                }
            };
            for value in next.exit[block].keys() {
                last.insert(*value, len);
            }
            for value in data.end.uses() {
                last.entry(*value).or_insert(len - 1);
            }
            for (i, inst) in data.insts.iter().enumerate().rev() {
                let at = i as u32 + 1;
                if let Some(def) = inst.def {
                    add(def, at, last.remove(&def).unwrap_or(at + 1));
                }
                for value in &inst.uses {
                    last.entry(*value).or_insert(at);
                }
            }
            for param in &data.params {
                last.entry(*param).or_insert(1);
            }
            for (value, to) in last {
                add(value, 0, to);
            }
        }
        Interference { ranges }
    }

    /// Puts a value into the first of several rooms where no other one is live at the same time, or into a new one.
    pub fn place(&self, value: Value, rooms: &mut Vec<Room>) -> usize {
        let ranges = self.ranges.get(&value).map_or(&[][..], Vec::as_slice);
        let is_free = |room: &Room| {
            ranges.iter().all(|(block, from, to)| {
                !room.get(block).is_some_and(|taken| taken.iter().any(|(f, t)| from < t && f < to))
            })
        };
        let index = rooms.iter().position(is_free).unwrap_or_else(|| {
            rooms.push(Room::default());
            rooms.len() - 1
        });
        for &(block, from, to) in ranges {
            rooms[index].entry(block).or_default().push((from, to));
        }
        index
    }
}
