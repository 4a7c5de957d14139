//! From IR to an object: one list of passes.

use rtscript_lang::syntax::source::{Sources, Span};

use crate::emit::{Emitted, emit, frame_size};
use crate::ir::verify::verify;
use crate::ir::{Function, Module, Op, Terminator};
use crate::object::{Object, Program};
use crate::passes::slots::Placed;
use crate::passes::{clean, combine, compares, dead, number, slots};
use crate::regalloc::allocate;
use crate::select::select;

/// A program's stack with those of its callbacks, in bytes; a loop with a budget keeps 16 of them for the kernel's counter.
const STACK: u32 = 512;
const LOOP_COUNTER: u32 = 16;
const STACK_STEP: u32 = 32;

/// Why a program cannot be compiled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CompileError {
    /// It has more instructions than jumps can span, or needs more memory than a program can have.
    #[error("this probe is too large for a program of the kernel")]
    TooLarge { span: Span },
}

/// Compiles every function of a module.
pub fn compile(mut module: Module, sources: Sources) -> Result<Object, CompileError> {
    let functions = std::mem::take(&mut module.functions);
    let programs =
        functions.into_iter().map(|function| program(function, &mut module)).collect::<Result<_, _>>()?;
    Ok(Object {
        programs,
        maps: module.maps,
        globals: module.globals,
        accesses: module.accesses,
        manifest: module.manifest,
        sources,
    })
}

/// The passes that make the IR small.
pub fn optimize(function: &mut Function, module: &Module) {
    function.callbacks.iter_mut().for_each(|callback| optimize(callback, module));
    verified(function, "lower");
    clean::clean(function);
    verified(function, "clean");
    number::number_values(function);
    verified(function, "number_values");
    combine::combine(function, &module.accesses);
    verified(function, "combine");
    dead::remove_dead(function);
    clean::clean(function);
    dead::remove_dead(function);
    verified(function, "remove_dead");
}

/// A program and its callbacks. All of them may be on the stack at once, one called by the other, so each callback gets an
/// equal share of it, in the steps that the kernel counts in, and the program what is left.
fn program(mut function: Function, module: &mut Module) -> Result<Program, CompileError> {
    optimize(&mut function, module);
    let callbacks = std::mem::take(&mut function.callbacks);
    let depth = call_depth(&function, &callbacks);
    let share = STACK / (depth + 1) / STACK_STEP * STACK_STEP;
    let mut program = body(&function, STACK - depth * share, module)?.into_program(&function);
    for callback in callbacks {
        program.callbacks.push(body(&callback, share, module)?.into_callback(callback.name));
    }
    Ok(program)
}

/// How many callbacks may be running at once.
fn call_depth(function: &Function, callbacks: &[Function]) -> u32 {
    let called = function.blocks.values().flat_map(|block| &block.insts).filter_map(|inst| {
        match function.insts[*inst].op {
            Op::CallbackRef(index) => callbacks.get(index as usize),
            _ => None,
        }
    });
    called.map(|callback| 1 + call_depth(callback, callbacks)).max().unwrap_or(0)
}

fn body(function: &Function, stack: u32, module: &mut Module) -> Result<Emitted, CompileError> {
    let mut function = function.clone();
    compares::expand_compares(&mut function);
    verified(&function, "expand_compares");
    let loops = function.blocks.values().any(|block| matches!(block.terminator, Terminator::MayGoto { .. }));
    let stack = if loops { stack - LOOP_COUNTER } else { stack };
    // Values that find no register need room as well: how much is known only afterwards.
    for for_spills in [96, 192, 384, STACK] {
        let mut placed = function.clone();
        let next = module.maps.next_key();
        let Some(Placed { frame, size, scratch }) =
            slots::place_slots(&mut placed, next, stack.saturating_sub(for_spills))
        else {
            break;
        };
        // Addresses in scratch memory are sums now.
        combine::combine(&mut placed, &module.accesses);
        dead::remove_dead(&mut placed);
        verified(&placed, "place_slots");
        let code = select(&placed, &module.accesses, &module.target, &frame, size);
        let allocation = allocate(&code);
        if frame_size(&code, &allocation) > stack {
            continue;
        }
        let Some(emitted) = emit(&code, &allocation) else { break };
        if let Some(scratch) = scratch {
            module.maps.push(scratch);
        }
        return Ok(emitted);
    }
    Err(CompileError::TooLarge { span: function.span })
}

fn verified(function: &Function, stage: &str) {
    if cfg!(debug_assertions) {
        verify(function, stage);
    }
}
