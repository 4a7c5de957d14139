//! From IR to an object: one list of passes.

use std::collections::BTreeSet;

use rtscript_lang::provider::ProgramKind;
use rtscript_lang::syntax::source::{Sources, Span};

use crate::emit::{Emitted, emit, frame_size};
use crate::insn::DecodeError;
use crate::ir::verify::verify;
use crate::ir::{BlockData, Callee, Function, Module, Op, Role, Terminator};
use crate::link::{link, stack_of};
use crate::object::{MapRef, Object, Program, RelocationKind};
use crate::passes::slots::Placed;
use crate::passes::uncalled::called;
use crate::passes::{
    clean, combine, compares, dead, demote, number, outline, repeat, scratch, slots, uncalled,
};
use crate::regalloc::allocate;
use crate::select::select;
use crate::target::Loops;
use crate::task_stack::stay_on_task_stack;

/// A program's stack with those of its callbacks, in bytes; a loop with a budget keeps 16 of them for the kernel's counter.
const STACK: u32 = 512;
const LOOP_COUNTER: u32 = 16;
const STACK_STEP: u32 = 32;
/// What is needed over more instructions than these does not stay in the frame where there is least room.
const FEW: u32 = 6;
/// The most maps of a program (`MAX_USED_MAPS`).
const MOST_MAPS: usize = 64;

/// Why a program cannot be compiled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CompileError {
    /// It has more instructions than jumps can span, or needs more memory than a program can have.
    #[error("this probe is too large for a program of the kernel")]
    TooLarge { span: Span },
    /// It uses more maps than a program can: those of the script, and up to five of its own.
    #[error("this probe uses {found} maps, and a program of the kernel can use {MOST_MAPS}")]
    TooManyMaps { found: usize, span: Span },
    /// What the C compiler made of a function that it calls.
    #[error("a function in C cannot be linked: {error}")]
    Foreign { error: DecodeError, span: Span },
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

/// The passes that make the IR small, and its loops what the kernel can run.
pub fn optimize(function: &mut Function, module: &Module) {
    simplify(function, module);
    if module.target.loops == Loops::Calls && has_loops(function) {
        outline::outline(function);
        simplify(function, module);
    }
}

fn has_loops(function: &Function) -> bool {
    let is_budget = |block: &BlockData| matches!(block.terminator, Terminator::MayGoto { .. });
    function.blocks.values().any(is_budget) || function.callbacks.iter().any(has_loops)
}

fn simplify(function: &mut Function, module: &Module) {
    function.callbacks.iter_mut().for_each(|callback| simplify(callback, module));
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

/// A program and its callbacks.
fn program(mut function: Function, module: &mut Module) -> Result<Program, CompileError> {
    optimize(&mut function, module);
    uncalled::remove_uncalled(&mut function);
    let callbacks = std::mem::take(&mut function.callbacks);
    let maps = module.maps.clone();
    let mut program = match bodies(&function, &callbacks, Sharing::Equal, module) {
        // What one of them cannot do with may be what another does not need.
        Err(CompileError::TooLarge { .. }) if !callbacks.is_empty() => {
            module.maps = maps;
            bodies(&function, &callbacks, Sharing::Least, module)?
        }
        made => made?,
    };
    if program.kind == ProgramKind::Uprobe {
        stay_on_task_stack(&mut program);
    }
    link(&mut program, &module.foreign)
        .map_err(|error| CompileError::Foreign { error, span: function.span })?;
    let found = maps_of(&program, module.globals);
    if found > MOST_MAPS {
        return Err(CompileError::TooManyMaps { found, span: function.span });
    }
    Ok(program)
}

/// How functions that call one another share the stack.
#[derive(Clone, Copy, PartialEq)]
enum Sharing {
    /// Each gets what those that it calls leave, but for an equal share for each of those that wait for it.
    Equal,
    /// Callbacks take as little as they can.
    Least,
}

/// Compiles a program and its callbacks, which are on the stack at once where they call one another.
fn bodies(
    function: &Function,
    callbacks: &[Function],
    sharing: Sharing,
    module: &mut Module,
) -> Result<Program, CompileError> {
    let calls: Vec<Vec<usize>> = callbacks.iter().map(called).collect();
    let mut waiting = vec![0; callbacks.len()];
    for &callback in &called(function) {
        wait(callback, 1, &calls, &mut waiting);
    }
    let foreign = std::iter::once(function).chain(callbacks).flat_map(foreign_calls);
    let stack = STACK.saturating_sub(stack_of(foreign, &module.foreign, STACK_STEP));
    let share = stack / (waiting.iter().max().unwrap_or(&0) + 1) / STACK_STEP * STACK_STEP;
    // Of each callback, what it and those that it calls take.
    let mut taken: Vec<u32> = Vec::new();
    let below = |calls: &[usize], taken: &[u32]| calls.iter().map(|call| taken[*call]).max().unwrap_or(0);
    let mut made = Vec::new();
    for (index, callback) in callbacks.iter().enumerate() {
        let below = below(&calls[index], &taken);
        let kept = match sharing {
            Sharing::Equal => waiting[index] * share,
            Sharing::Least => 0,
        };
        let (emitted, frame) = body(callback, stack.saturating_sub(below + kept), sharing, module)?;
        taken.push(below + frame.max(1).next_multiple_of(STACK_STEP));
        made.push(emitted.into_callback(callback.name.clone(), callback.role));
    }
    let below = below(&called(function), &taken);
    let (emitted, _) = body(function, stack.saturating_sub(below), Sharing::Equal, module)?;
    let mut program = emitted.into_program(function);
    program.callbacks = made;
    Ok(program)
}

/// How many maps a program and its callbacks use.
fn maps_of(program: &Program, globals: MapRef) -> usize {
    let callbacks = program.callbacks.iter().flat_map(|callback| &callback.relocations);
    let maps = program.relocations.iter().chain(callbacks).filter_map(|relocation| match relocation.kind {
        RelocationKind::Map(map) => Some(map),
        RelocationKind::Global(_) => Some(globals),
        RelocationKind::Callback(_)
        | RelocationKind::Call(_)
        | RelocationKind::Kfunc(_)
        | RelocationKind::Field(..) => None,
    });
    maps.collect::<BTreeSet<_>>().len()
}

/// The functions in C that a function calls.
fn foreign_calls(function: &Function) -> impl Iterator<Item = u32> {
    function.insts.values().filter_map(|inst| match inst.op {
        Op::Call(Callee::Foreign(index), _) => Some(index),
        _ => None,
    })
}

/// Notes how many functions wait for a callback, and for those that it calls.
fn wait(callback: usize, above: u32, calls: &[Vec<usize>], waiting: &mut [u32]) {
    if waiting[callback] < above {
        waiting[callback] = above;
        calls[callback].iter().for_each(|&next| wait(next, above + 1, calls, waiting));
    }
}

/// The code of one function, and how much of the stack it takes.
fn body(
    function: &Function,
    stack: u32,
    sharing: Sharing,
    module: &mut Module,
) -> Result<(Emitted, u32), CompileError> {
    let mut function = function.clone();
    compares::expand_compares(&mut function);
    verified(&function, "expand_compares");
    let counter = if has_loops(&function) { LOOP_COUNTER } else { 0 };
    let stack = stack.saturating_sub(counter);
    // What finds no room in registers and the stack is kept in slots, at first only what is needed over long stretches.
    let distances: &[Option<u32>] = match sharing {
        Sharing::Equal => &[None, Some(200), Some(20), Some(FEW)],
        Sharing::Least => &[Some(FEW)],
    };
    for distance in distances {
        let mut function = function.clone();
        if let Some(distance) = distance {
            demote::demote(&mut function, *distance);
            verified(&function, "demote");
        }
        if let Some((emitted, frame)) = placed(&function, stack, distance.is_some(), module) {
            return Ok((emitted, frame + counter));
        }
    }
    Err(CompileError::TooLarge { span: function.span })
}

/// Slots and registers get their places, and the code its form; with it comes the size of the frame. Nothing where the stack has
/// too little room. Where that was so before, addresses are `repeated`.
fn placed(function: &Function, stack: u32, repeated: bool, module: &mut Module) -> Option<(Emitted, u32)> {
    // Values that find no register need room as well: how much is known only afterwards, and does not change much then.
    // Callbacks are to leave much.
    let for_spills: &[u32] = if function.role == Role::Program { &[96, 192, 384, STACK] } else { &[STACK] };
    let most = if module.target.relocate { scratch::MOST_SAVED } else { scratch::MOST_RUNNING };
    let mut needed = 0;
    for &for_spills in for_spills {
        if for_spills < needed {
            continue;
        }
        let mut placed = function.clone();
        let next = module.maps.next_key();
        let Placed { frame, size, scratch } =
            slots::place_slots(&mut placed, next, stack.saturating_sub(for_spills), most)?;
        // Addresses in scratch memory are sums now.
        combine::combine(&mut placed, &module.accesses);
        if repeated {
            repeat::repeat_addresses(&mut placed);
        }
        dead::remove_dead(&mut placed);
        verified(&placed, "place_slots");
        let code = select(&placed, &module.accesses, &module.target, &frame, size);
        let allocation = allocate(&code);
        let whole = frame_size(&code, &allocation);
        if whole > stack {
            needed = whole - code.frame;
            if needed > stack {
                return None;
            }
            continue;
        }
        let emitted = emit(&code, &allocation)?;
        if let Some(scratch) = scratch {
            module.maps.push(scratch);
        }
        return Some((emitted, whole));
    }
    None
}

fn verified(function: &Function, stage: &str) {
    if cfg!(debug_assertions) {
        verify(function, stage);
    }
}
