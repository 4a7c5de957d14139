//! Gives pure instructions that compute the same one value, where the first dominates the others. Does not merge loads.

use std::collections::hash_map::Entry;

use cranelift_entity::SecondaryMap;
use rustc_hash::FxHashMap;

use super::clean::replace_values;
use super::dominance::Flow;
use crate::ir::{Block, Function, Op, Value};

pub fn number_values(function: &mut Function) {
    let flow = Flow::of(function);
    let tree = flow.tree(&flow.dominators());
    // Of each operation, where it was met last: what was met before and does not dominate that place dominates none behind it.
    let mut known: FxHashMap<Op, (Block, Value)> = FxHashMap::default();
    let mut replaced: SecondaryMap<Value, Option<Value>> = SecondaryMap::new();
    // Down the tree the operands of an instruction are numbered before it (loops lead through parameters).
    for &block in &tree.order {
        let insts = std::mem::take(&mut function.blocks[block].insts);
        let mut kept = Vec::with_capacity(insts.len());
        for inst in insts {
            let data = &mut function.insts[inst];
            data.op.map_uses(|value| replaced[value].unwrap_or(value));
            if let (true, Some(result)) = (data.op.is_pure(), data.result) {
                match known.entry(data.op.clone()) {
                    Entry::Occupied(same) if tree.dominates(same.get().0, block) => {
                        replaced[result] = Some(same.get().1);
                        continue;
                    }
                    Entry::Occupied(mut same) => {
                        same.insert((block, result));
                    }
                    Entry::Vacant(none) => {
                        none.insert((block, result));
                    }
                }
            }
            kept.push(inst);
        }
        function.blocks[block].insts = kept;
    }
    replace_values(function, &replaced);
}
