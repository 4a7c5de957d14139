//! Walks an allocated function with symbolic values: every place holds the set of values that it equals on all ways.
//!
//! It knows nothing of how the allocation was made. It finds a use whose register does not hold its value, a value
//! expected in r0 to r5 after a call, a two-operand form that destroys another register than its definition's, and
//! moves that no instruction can make.

use super::{Allocation, Move, Place, Source, Step};
use crate::insn::Reg;
use crate::machine::{Block, Code, Edge, End, Op, Value};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

type State = FxHashMap<Place, BTreeSet<Value>>;

/// Says where `allocation` is wrong.
pub fn check<T>(code: &Code<T>, allocation: &Allocation) -> Result<(), String> {
    let mut entry: FxHashMap<Block, State> = FxHashMap::default();
    let params = code.blocks[code.entry].params.iter().enumerate();
    let start = params.map(|(i, p)| (Place::Reg(Reg::argument(i)), BTreeSet::from([*p]))).collect();
    entry.insert(code.entry, start);
    let aliases = aliases(code, allocation);
    let mut changed = true;
    // Sets only shrink, so this ends; the last round looks at the final ones.
    while changed {
        changed = false;
        for &block in &allocation.order {
            let Some(state) = entry.get(&block) else { continue };
            let Ok(exit) = walk(code, allocation, &aliases, block, state.clone()) else { continue };
            for edge in code.blocks[block].end.edges() {
                let params = &code.blocks[edge.to].params;
                let mut state = exit.clone();
                for values in state.values_mut() {
                    let named: Vec<Value> = edge
                        .args
                        .iter()
                        .zip(params)
                        .filter(|(a, _)| values.contains(a))
                        .map(|(_, p)| *p)
                        .collect();
                    values.retain(|v| !params.contains(v));
                    values.extend(named);
                }
                // Moves at the start of the target are walked with the names of its parameters.
                match entry.get_mut(&edge.to) {
                    None => {
                        entry.insert(edge.to, state);
                        changed = true;
                    }
                    Some(known) => {
                        for (place, values) in known {
                            let before = values.len();
                            let other = state.get(place);
                            values.retain(|v| other.is_some_and(|o| o.contains(v)));
                            changed |= values.len() != before;
                        }
                    }
                }
            }
        }
    }
    for &block in &allocation.order {
        let state = entry.get(&block).ok_or_else(|| format!("{block} is never entered"))?;
        walk(code, allocation, &aliases, block, state.clone())?;
    }
    Ok(())
}

/// The parameters that are just other names: of blocks that are entered by one edge, with its arguments.
fn aliases<T>(code: &Code<T>, allocation: &Allocation) -> FxHashMap<Value, Vec<Value>> {
    let mut edges: FxHashMap<Block, Vec<&Edge>> = FxHashMap::default();
    for &block in &allocation.order {
        for edge in code.blocks[block].end.edges() {
            edges.entry(edge.to).or_default().push(edge);
        }
    }
    let mut aliases: FxHashMap<Value, Vec<Value>> = FxHashMap::default();
    for (block, edges) in edges {
        let [edge] = edges[..] else { continue };
        for (arg, param) in edge.args.iter().zip(&code.blocks[block].params) {
            aliases.entry(*arg).or_default().push(*param);
        }
    }
    aliases
}

/// The state at the block's end, or what is wrong on the way.
fn walk<T>(
    code: &Code<T>,
    allocation: &Allocation,
    aliases: &FxHashMap<Value, Vec<Value>>,
    block: Block,
    mut state: State,
) -> Result<State, String> {
    let data = &code.blocks[block];
    let mut expected = 0;
    for step in &allocation.steps[block] {
        match step {
            Step::Move(m) => apply(code, aliases, m, &mut state).map_err(|e| format!("{block}: {e}"))?,
            Step::Inst { index, def, uses } => {
                let here = format!("{block}, instruction {index}");
                if *index != expected {
                    return Err(format!("{here}: out of order"));
                }
                expected += 1;
                let inst = &data.insts[*index];
                let commuted: Vec<Value> = inst.uses.iter().rev().copied().collect();
                if let Err(wrong) = holds(&state, &inst.uses, uses)
                    && !(inst.commutes() && holds(&state, &commuted, uses).is_ok())
                {
                    return Err(format!("{here}: {wrong}"));
                }
                for (i, reg) in uses.iter().enumerate() {
                    if inst.fixed_use(i).is_some_and(|fixed| fixed != *reg) {
                        return Err(format!("{here}: operand {i} in {reg}"));
                    }
                }
                if inst.is_call() {
                    state.retain(|place, _| !matches!(place, Place::Reg(r) if !r.survives_call()));
                }
                let Some(value) = inst.def else { continue };
                let reg = def.ok_or_else(|| format!("{here}: no register for {value}"))?;
                if inst.fixed_def().is_some_and(|fixed| fixed != reg)
                    || inst.tied().is_some_and(|tied| uses[tied] != reg)
                {
                    return Err(format!("{here}: {value} in {reg}"));
                }
                for values in state.values_mut() {
                    values.remove(&value);
                }
                state.insert(Place::Reg(reg), BTreeSet::from([value]));
            }
            Step::End { uses } => {
                holds(&state, data.end.uses(), uses).map_err(|e| format!("{block}, end: {e}"))?;
                if matches!(data.end, End::Return(..)) && uses != &[Reg::R0] {
                    return Err(format!("{block}: returns {uses:?}"));
                }
            }
        }
    }
    if expected != data.insts.len() || !matches!(allocation.steps[block].last(), Some(Step::End { .. })) {
        return Err(format!("{block}: instructions are missing"));
    }
    Ok(state)
}

fn holds(state: &State, values: &[Value], regs: &[Reg]) -> Result<(), String> {
    if values.len() != regs.len() {
        return Err(format!("{} operands for {}", regs.len(), values.len()));
    }
    for (value, reg) in values.iter().zip(regs) {
        if !state.get(&Place::Reg(*reg)).is_some_and(|held| held.contains(value)) {
            return Err(format!("{value} is not in {reg}"));
        }
    }
    Ok(())
}

fn apply<T>(
    code: &Code<T>,
    aliases: &FxHashMap<Value, Vec<Value>>,
    m: &Move,
    state: &mut State,
) -> Result<(), String> {
    let to_memory = !matches!(m.to, Place::Reg(_));
    let held = match m.from {
        Source::At(from) if to_memory && !matches!(from, Place::Reg(_)) => {
            return Err(format!("{from:?} to {:?} in one move", m.to));
        }
        Source::At(from) => state.get(&from).cloned().unwrap_or_default(),
        Source::Again => {
            let repeat = code.values[m.what].as_ref().ok_or(format!("{} cannot be repeated", m.what))?;
            if to_memory && Op::small_constant(&repeat.op).is_none() {
                return Err(format!("{} stored without a register", m.what));
            }
            let others = aliases.get(&m.what).into_iter().flatten();
            others.chain([&m.what]).copied().collect()
        }
    };
    state.insert(m.to, held);
    Ok(())
}
