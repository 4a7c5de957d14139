//! Gives pure instructions that compute the same one value, where the first dominates the others. Does not merge loads.

use cranelift_entity::SecondaryMap;
use rustc_hash::FxHashMap;

use super::clean::replace_values;
use super::dominance::Flow;
use crate::ir::{Block, Function, Op, Value};

pub fn number_values(function: &mut Function) {
    let flow = Flow::of(function);
    let dominators = flow.dominators();
    let mut known: FxHashMap<Op, Vec<(Block, Value)>> = FxHashMap::default();
    let mut replaced: SecondaryMap<Value, Option<Value>> = SecondaryMap::new();
    let dominates = |above: Block, mut block: Block| loop {
        if above == block {
            return true;
        }
        match dominators[block] {
            Some(up) if up != block => block = up,
            Some(_) | None => return false,
        }
    };
    // In reverse postorder the operands of an instruction are numbered before it (loops lead through parameters).
    for &block in &flow.order {
        let insts = std::mem::take(&mut function.blocks[block].insts);
        let mut kept = Vec::with_capacity(insts.len());
        for inst in insts {
            let data = &mut function.insts[inst];
            data.op.map_uses(|value| replaced[value].unwrap_or(value));
            if let (true, Some(result)) = (data.op.is_pure(), data.result) {
                let same = known.entry(data.op.clone()).or_default();
                if let Some((_, first)) = same.iter().rev().find(|(above, _)| dominates(*above, block)) {
                    replaced[result] = Some(*first);
                    continue;
                }
                same.push((block, result));
            }
            kept.push(inst);
        }
        function.blocks[block].insts = kept;
    }
    replace_values(function, &replaced);
}
