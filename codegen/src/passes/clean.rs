//! Removes what building leaves behind: parameters that are one value on every edge, branches that are decided, blocks
//! that only jump on. Does not look into instructions.

use cranelift_entity::SecondaryMap;

use super::dominance::Flow;
use crate::ir::builder::holds;
use crate::ir::{Block, Def, Function, InstData, Jump, Op, Operand, Terminator, Value};

pub fn clean(function: &mut Function) {
    loop {
        let mut changed = decide_branches(function);
        changed |= unify_parameters(function);
        changed |= skip_empty_blocks(function);
        changed |= merge_blocks(function);
        if !changed {
            return;
        }
    }
}

pub(super) fn constant(function: &Function, value: Value) -> Option<i64> {
    let Def::Inst(inst) = function.values[value] else { return None };
    let Op::Const(constant) = function.insts[inst].op else { return None };
    Some(constant)
}

fn decide_branches(function: &mut Function) -> bool {
    let mut changed = false;
    for block in function.blocks.keys() {
        let Terminator::Branch { cond, left, right, then, otherwise } = &function.blocks[block].terminator
        else {
            continue;
        };
        let right = match right {
            Operand::Imm(imm) => Some(i64::from(*imm)),
            Operand::Value(value) => constant(function, *value),
        };
        let decided = match (constant(function, *left), right) {
            (Some(a), Some(b)) => Some(if holds(*cond, a, b) { then } else { otherwise }),
            (Some(_) | None, Some(_) | None) => (then == otherwise).then_some(then),
        };
        if let Some(jump) = decided.cloned() {
            function.blocks[block].terminator = Terminator::Jump(jump);
            changed = true;
        }
    }
    changed
}

/// Replaces parameters that get the same value, or the same constant, on every edge.
fn unify_parameters(function: &mut Function) -> bool {
    let flow = Flow::of(function);
    let mut replaced: SecondaryMap<Value, Option<Value>> = SecondaryMap::new();
    let mut changed = false;
    for &block in &flow.order {
        if block == function.entry {
            continue;
        }
        for index in (0..function.blocks[block].params.len()).rev() {
            let param = function.blocks[block].params[index];
            let Some(value) = only_argument(function, &flow, &replaced, block, index) else { continue };
            let value = match constant(function, value) {
                // The constant must be there on every edge: it stands at the start of the function.
                Some(number) => constant_at_entry(function, number),
                None => value,
            };
            replaced[param] = Some(value);
            remove_parameter(function, &flow, block, index);
            changed = true;
        }
    }
    if changed {
        replace_values(function, &replaced);
    }
    changed
}

fn only_argument(
    function: &Function,
    flow: &Flow,
    replaced: &SecondaryMap<Value, Option<Value>>,
    block: Block,
    index: usize,
) -> Option<Value> {
    let param = function.blocks[block].params[index];
    let mut only: Option<Value> = None;
    for &predecessor in &flow.predecessors[block] {
        for jump in function.blocks[predecessor].terminator.jumps().filter(|jump| jump.block == block) {
            let arg = resolve(replaced, jump.args[index]);
            if arg == param {
                continue;
            }
            match only {
                None => only = Some(arg),
                Some(known) if known == arg => {}
                Some(known) => {
                    let (a, b) = (constant(function, known), constant(function, arg));
                    if a.is_none() || a != b {
                        return None;
                    }
                }
            }
        }
    }
    only
}

fn resolve(replaced: &SecondaryMap<Value, Option<Value>>, mut value: Value) -> Value {
    while let Some(other) = replaced[value] {
        value = other;
    }
    value
}

fn constant_at_entry(function: &mut Function, number: i64) -> Value {
    let entry = function.entry;
    for &inst in &function.blocks[entry].insts {
        if let (Op::Const(known), Some(value)) = (&function.insts[inst].op, function.insts[inst].result)
            && *known == number
        {
            // Anything at the entry is above every other block, and inside it constants come first.
            if function.blocks[entry].insts.first() == Some(&inst) {
                return value;
            }
        }
    }
    let inst = function.insts.next_key();
    let value = function.values.push(Def::Inst(inst));
    function.insts.push(InstData { op: Op::Const(number), result: Some(value), span: function.span });
    function.blocks[entry].insts.insert(0, inst);
    value
}

pub(super) fn remove_parameter(function: &mut Function, flow: &Flow, block: Block, index: usize) {
    function.blocks[block].params.remove(index);
    for later in index..function.blocks[block].params.len() {
        let param = function.blocks[block].params[later];
        function.values[param] = Def::Param(block, later as u32);
    }
    let mut predecessors = flow.predecessors[block].clone();
    predecessors.sort();
    predecessors.dedup();
    for predecessor in predecessors {
        for jump in function.blocks[predecessor].terminator.jumps_mut().filter(|jump| jump.block == block) {
            jump.args.remove(index);
        }
    }
}

/// Replaces every use of the values by what they are replaced by.
pub(super) fn replace_values(function: &mut Function, replaced: &SecondaryMap<Value, Option<Value>>) {
    let new = |value: Value| resolve(replaced, value);
    for inst in function.insts.values_mut() {
        inst.op.map_uses(new);
    }
    for block in function.blocks.values_mut() {
        map_terminator(&mut block.terminator, new);
    }
}

pub(super) fn map_terminator(terminator: &mut Terminator, new: impl Fn(Value) -> Value) {
    if let Terminator::Branch { left, right, .. } = terminator {
        *left = new(*left);
        if let Operand::Value(right) = right {
            *right = new(*right);
        }
    }
    if let Terminator::Return(Operand::Value(value)) = terminator {
        *value = new(*value);
    }
    for jump in terminator.jumps_mut() {
        for arg in &mut jump.args {
            *arg = new(*arg);
        }
    }
}

/// Lets jumps to a block that only jumps on go to its target.
fn skip_empty_blocks(function: &mut Function) -> bool {
    let mut changed = false;
    for block in function.blocks.keys() {
        let jumps: Vec<Jump> = function.blocks[block].terminator.jumps().cloned().collect();
        for (number, jump) in jumps.into_iter().enumerate() {
            let target = &function.blocks[jump.block];
            if jump.block == block || !target.insts.is_empty() || !target.params.is_empty() {
                continue;
            }
            let Terminator::Jump(next) = &target.terminator else { continue };
            if next.block == jump.block {
                continue;
            }
            let next = next.clone();
            if let Some(jump) = function.blocks[block].terminator.jumps_mut().nth(number) {
                *jump = next;
                changed = true;
            }
        }
    }
    changed
}

/// Puts a block behind its only predecessor into it, where that one only jumps there.
fn merge_blocks(function: &mut Function) -> bool {
    let flow = Flow::of(function);
    let mut changed = false;
    let mut replaced: SecondaryMap<Value, Option<Value>> = SecondaryMap::new();
    // From the end, so that a chain of blocks is taken in one go.
    for &block in flow.order.iter().rev() {
        let Terminator::Jump(jump) = &function.blocks[block].terminator else { continue };
        let target = jump.block;
        if target == block || target == function.entry || flow.predecessors[target].len() != 1 {
            continue;
        }
        let args = jump.args.clone();
        let params = std::mem::take(&mut function.blocks[target].params);
        for (param, arg) in params.into_iter().zip(args) {
            replaced[param] = Some(arg);
        }
        let insts = std::mem::take(&mut function.blocks[target].insts);
        function.blocks[block].insts.extend(insts);
        let end =
            std::mem::replace(&mut function.blocks[target].terminator, Terminator::Return(Operand::Imm(0)));
        function.blocks[block].terminator = end;
        function.blocks[block].span = function.blocks[target].span;
        changed = true;
    }
    if changed {
        replace_values(function, &replaced);
    }
    changed
}
