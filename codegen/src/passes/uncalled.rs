//! Leaves out callbacks that nobody calls: the loop that they are the body of cannot be reached. The verifier counts functions from
//! where they are called, and refuses a program whose debug information names others.

use super::dominance::Flow;
use crate::ir::{Function, Op};

/// The callbacks that are left keep their order: those that a callback calls stand before it.
pub fn remove_uncalled(function: &mut Function) {
    let mut is_called = vec![false; function.callbacks.len()];
    let mut waiting = called(function);
    while let Some(index) = waiting.pop() {
        if !std::mem::replace(&mut is_called[index], true) {
            waiting.extend(called(&function.callbacks[index]));
        }
    }
    let mut number = 0;
    let numbers: Vec<u32> = is_called
        .iter()
        .map(|is_called| {
            number += u32::from(*is_called);
            number.saturating_sub(1)
        })
        .collect();
    let mut index = 0;
    function.callbacks.retain(|_| {
        index += 1;
        is_called[index - 1]
    });
    renumber(function, &numbers);
    function.callbacks.iter_mut().for_each(|callback| renumber(callback, &numbers));
}

/// The callbacks that a function calls from where it can get to.
pub fn called(function: &Function) -> Vec<usize> {
    let order = Flow::of(function).order;
    let insts = order.iter().flat_map(|block| &function.blocks[*block].insts);
    let calls = insts.filter_map(|inst| match function.insts[*inst].op {
        Op::CallbackRef(index) => Some(index as usize),
        _ => None,
    });
    calls.collect()
}

fn renumber(function: &mut Function, numbers: &[u32]) {
    for data in function.insts.values_mut() {
        if let Op::CallbackRef(index) = &mut data.op {
            *index = numbers[*index as usize];
        }
    }
}
