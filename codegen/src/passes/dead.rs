//! Removes instructions and block parameters whose values nothing uses, and lets atomic operations forget theirs. Does not touch anything with an effect.

use cranelift_entity::EntitySet;

use super::clean::remove_parameter;
use super::dominance::Flow;
use crate::ir::{Def, Function, Op, Value};

pub fn remove_dead(function: &mut Function) {
    let flow = Flow::of(function);
    let mut live: EntitySet<Value> = EntitySet::new();
    let mut todo: Vec<Value> = Vec::new();
    for &block in &flow.order {
        let data = &function.blocks[block];
        for &inst in &data.insts {
            let data = &function.insts[inst];
            if !data.op.is_removable() {
                data.op.each_use(|value| todo.push(value));
            }
        }
        data.terminator.each_operand(|value| todo.push(value));
    }
    while let Some(value) = todo.pop() {
        if !live.insert(value) {
            continue;
        }
        match function.values[value] {
            Def::Inst(inst) => function.insts[inst].op.each_use(|used| todo.push(used)),
            Def::Param(block, index) => {
                for &predecessor in &flow.predecessors[block] {
                    let jumps = function.blocks[predecessor].terminator.jumps();
                    todo.extend(
                        jumps.filter(|jump| jump.block == block).map(|jump| jump.args[index as usize]),
                    );
                }
            }
        }
    }
    for &block in &flow.order {
        if block != function.entry {
            for index in (0..function.blocks[block].params.len()).rev() {
                if !live.contains(function.blocks[block].params[index]) {
                    remove_parameter(function, &flow, block, index);
                }
            }
        }
        let insts = std::mem::take(&mut function.blocks[block].insts);
        let kept = insts.into_iter().filter(|&inst| {
            let data = &function.insts[inst];
            !data.op.is_removable() || data.result.is_some_and(|result| live.contains(result))
        });
        function.blocks[block].insts = kept.collect();
        // The form that tells nothing of what was there costs less, and older kernels have it, too.
        for at in 0..function.blocks[block].insts.len() {
            let data = &mut function.insts[function.blocks[block].insts[at]];
            if let Op::AtomicFetch { op, size, base, displacement, value } = data.op
                && data.result.is_some_and(|result| !live.contains(result))
            {
                data.op = Op::Atomic { op, size, base, displacement, value };
                data.result = None;
            }
        }
    }
}
