//! Decides which values are in registers at every point, before any register is chosen.
//!
//! Algorithm: Belady's, block by block: where more values are wanted than there are registers, the one whose next use
//! is farthest goes (Braun and Hack, 2009). There are two limits: ten values at any point, and four across a call,
//! since r6 to r9 alone survive it. A value that is wanted again is reloaded before its use; its one store stands at
//! its definition, so its slot is valid wherever the value is. A definition that can be repeated needs no slot.
//!
//! Ensures: at every instruction its uses are in registers (the arguments of calls apart, which may be anywhere) and
//! there is a free register for its definition and for the copy that a two-operand form may need.

use super::live::{Distances, Flow, NextUse};
use crate::machine::{Block, Code, End, Inst, Value};
use cranelift_entity::{EntitySet, SecondaryMap};

/// Registers in all, and those that survive calls.
const ALL: usize = 10;
const ACROSS_CALLS: usize = 4;

pub struct Plan {
    /// What is in a register at the start of each block, and at its end.
    pub entry: SecondaryMap<Block, Vec<Value>>,
    pub exit: SecondaryMap<Block, Vec<Value>>,
    /// For each instruction of a block, and then for its end.
    pub steps: SecondaryMap<Block, Vec<Step>>,
    /// What needs a slot.
    pub spilled: EntitySet<Value>,
    /// What is in a register across a call.
    pub crossing: EntitySet<Value>,
}

/// What changes around an instruction: the set of values in registers before is what it was, without `drop`, with
/// `reload`; after it, with its definition, without `done`.
#[derive(Clone, Default, Debug)]
pub struct Step {
    pub drop: Vec<Value>,
    pub reload: Vec<Value>,
    pub done: Vec<Value>,
}

pub fn spill<T>(code: &Code<T>, flow: &Flow, next: &NextUse) -> Plan {
    let mut plan = Plan {
        entry: SecondaryMap::new(),
        exit: SecondaryMap::new(),
        steps: SecondaryMap::new(),
        spilled: EntitySet::new(),
        crossing: EntitySet::new(),
    };
    let mut processed = EntitySet::new();
    for &block in &flow.order {
        let entry = at_entry(code, flow, next, &plan, &processed, block);
        plan.entry[block] = entry.clone();
        walk(code, next, &mut plan, block, entry);
        processed.insert(block);
    }
    // What an edge must find in memory, or put there.
    for &block in &flow.order {
        for value in next.entry[block].keys() {
            let in_register = plan.entry[block].contains(value);
            let param = code.blocks[block].params.contains(value);
            let everywhere = flow.preds[block].iter().all(|p| plan.exit[*p].contains(value));
            if (!in_register || !(param || everywhere)) && code.values[*value].is_none() {
                plan.spilled.insert(*value);
            }
        }
        for edge in code.blocks[block].end.edges() {
            for (arg, param) in edge.args.iter().zip(&code.blocks[edge.to].params) {
                let wanted = next.entry[edge.to].contains_key(param);
                if wanted && !plan.exit[block].contains(arg) && code.values[*arg].is_none() {
                    plan.spilled.insert(*arg);
                }
            }
        }
    }
    plan
}

/// Chooses what is in registers when the block starts.
fn at_entry<T>(
    code: &Code<T>,
    flow: &Flow,
    next: &NextUse,
    plan: &Plan,
    processed: &EntitySet<Block>,
    block: Block,
) -> Vec<Value> {
    let params = &code.blocks[block].params;
    let distances = &next.entry[block];
    let mut wanted = by_distance(distances);
    if block == code.entry {
        wanted.retain(|v| params.contains(v));
        return wanted;
    }
    let preds = &flow.preds[block];
    let header = flow.loops.iter().find(|l| l.header == block);
    let limit = match header {
        // What lies in a register when a loop starts has to be there again when it starts anew.
        Some(l) if l.calls => ACROSS_CALLS.max(params.len().min(ALL - 1)),
        Some(_) | None => ALL,
    };
    wanted.retain(|v| {
        if params.contains(v) {
            return true;
        }
        if header.is_some() && code.values[*v].is_some() {
            return false;
        }
        let mut known = preds.iter().filter(|p| processed.contains(**p));
        if header.is_some() {
            // Only what the loop itself uses is worth a register in it.
            return distances[v] < super::live::OUT_OF_LOOP && known.any(|p| plan.exit[*p].contains(v));
        }
        if known.clone().all(|p| plan.exit[*p].contains(v)) {
            return true;
        }
        let soon = distances[v] <= code.blocks[block].insts.len() as u32;
        soon && code.values[*v].is_none() && known.any(|p| plan.exit[*p].contains(v))
    });
    wanted.truncate(limit);
    wanted
}

/// Walks through a block with `set` in registers, and notes what has to change on the way.
fn walk<T>(code: &Code<T>, next: &NextUse, plan: &mut Plan, block: Block, mut set: Vec<Value>) {
    let data = &code.blocks[block];
    let mut uses = Positions::of(code, next, block);
    let mut steps = Vec::with_capacity(data.insts.len() + 1);
    for (i, inst) in data.insts.iter().enumerate() {
        let mut step = Step::default();
        uses.advance(i);
        // Arguments of calls are moved where they must be from wherever they are.
        let free = |j: usize| inst.fixed_use(j).is_none();
        let needed: Vec<Value> =
            inst.uses.iter().enumerate().filter(|(j, _)| free(*j)).map(|(_, v)| *v).collect();
        let extra = usize::from(needs_copy(inst, &uses));
        make_room(&mut set, &needed, ALL - extra, &uses, &mut step.drop);
        for value in needed {
            if !set.contains(&value) {
                set.push(value);
                step.reload.push(value);
            }
        }
        set.retain(|v| {
            let dead = uses.after(*v).is_none();
            let lost = inst.is_call() && code.values[*v].is_some();
            if dead || lost {
                step.done.push(*v);
            }
            !(dead || lost)
        });
        if inst.is_call() {
            make_room(&mut set, &[], ACROSS_CALLS, &uses, &mut step.done);
            for value in &set {
                plan.crossing.insert(*value);
            }
        }
        for (j, value) in inst.uses.iter().enumerate() {
            let anywhere = !free(j) && !set.contains(value) && !step.done.contains(value);
            if anywhere && code.values[*value].is_none() {
                plan.spilled.insert(*value);
            }
        }
        if let Some(def) = inst.def {
            let mut gone = Vec::new();
            make_room(&mut set, &[], ALL - 1, &uses, &mut gone);
            for value in gone {
                // What the instruction reads can go only after it.
                if inst.uses.contains(&value) { step.done.push(value) } else { step.drop.push(value) }
            }
            if uses.after(def).is_some() { set.push(def) } else { step.done.push(def) }
        }
        note_spills(code, plan, &step, &uses);
        steps.push(step);
    }
    let mut step = Step::default();
    uses.advance(data.insts.len());
    if let End::Branch { uses: needed, .. } = &data.end {
        make_room(&mut set, needed, ALL, &uses, &mut step.drop);
        for value in needed {
            if !set.contains(value) {
                set.push(*value);
                step.reload.push(*value);
            }
        }
    }
    if let End::Return(value, _) = &data.end
        && !set.contains(value)
        && code.values[*value].is_none()
    {
        plan.spilled.insert(*value);
    }
    note_spills(code, plan, &step, &uses);
    steps.push(step);
    set.retain(|v| next.exit[block].contains_key(v));
    plan.exit[block] = set;
    plan.steps[block] = steps;
}

/// Whether the two-operand form destroys a value that is used later, or a fixed register takes a copy.
fn needs_copy<T>(inst: &Inst<T>, uses: &Positions) -> bool {
    match inst.tied() {
        Some(tied) => uses.after(inst.uses[tied]).is_some(),
        None => inst.fixed_def().is_some() && !inst.is_call(),
    }
}

/// Evicts the values whose next use is farthest until `set` and `needed` together fit in `limit` registers.
fn make_room(set: &mut Vec<Value>, needed: &[Value], limit: usize, uses: &Positions, gone: &mut Vec<Value>) {
    let mut new: Vec<Value> = needed.iter().copied().filter(|v| !set.contains(v)).collect();
    new.sort();
    new.dedup();
    while set.len() + new.len() > limit {
        let victim = (0..set.len())
            .filter(|i| !needed.contains(&set[*i]))
            .max_by_key(|i| (uses.after(set[*i]).unwrap_or(u32::MAX), set[*i]))
            .expect("an instruction has fewer operands than there are registers");
        gone.push(set.remove(victim));
    }
}

fn note_spills<T>(code: &Code<T>, plan: &mut Plan, step: &Step, uses: &Positions) {
    let still_live = |v: &&Value| uses.after(**v).is_some();
    for value in step.reload.iter().chain(step.drop.iter().chain(&step.done).filter(still_live)) {
        if code.values[*value].is_none() {
            plan.spilled.insert(*value);
        }
    }
}

/// Where in a block each value is used, seen from an instruction that moves forward.
struct Positions<'a> {
    /// Ascending positions; the block's end counts as one.
    local: rustc_hash::FxHashMap<Value, Vec<u32>>,
    exit: &'a Distances,
    len: u32,
    at: u32,
}

impl<'a> Positions<'a> {
    fn of<T>(code: &Code<T>, next: &'a NextUse, block: Block) -> Positions<'a> {
        let data = &code.blocks[block];
        let mut local: rustc_hash::FxHashMap<Value, Vec<u32>> = Default::default();
        for (i, inst) in data.insts.iter().enumerate() {
            for value in &inst.uses {
                local.entry(*value).or_default().push(i as u32);
            }
        }
        let len = data.insts.len() as u32;
        for value in data.end.uses() {
            local.entry(*value).or_default().push(len);
        }
        Positions { local, exit: &next.exit[block], len, at: 0 }
    }

    fn advance(&mut self, at: usize) {
        self.at = at as u32;
    }

    /// How far away the next use after the current instruction is.
    fn after(&self, value: Value) -> Option<u32> {
        let local = self.local.get(&value).and_then(|uses| {
            let i = uses.partition_point(|p| *p <= self.at);
            uses.get(i).map(|p| p - self.at)
        });
        local.or_else(|| self.exit.get(&value).map(|d| d.saturating_add(self.len + 1 - self.at)))
    }
}

fn by_distance(distances: &Distances) -> Vec<Value> {
    let mut values: Vec<Value> = distances.keys().copied().collect();
    values.sort_by_key(|v| (distances[v], *v));
    values
}
