//! From IR to an object: one list of passes.

use rtscript_lang::syntax::source::{Sources, Span};

use crate::emit::{emit, frame_size};
use crate::ir::verify::verify;
use crate::ir::{Function, Module, Terminator};
use crate::object::{Object, Program};
use crate::passes::{clean, combine, compares, dead, number, slots};
use crate::regalloc::allocate;
use crate::select::select;

/// A program's stack, in bytes; a loop with a budget keeps 16 of them for the kernel's counter.
const STACK: u32 = 512;
const LOOP_COUNTER: u32 = 16;

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

fn program(mut function: Function, module: &mut Module) -> Result<Program, CompileError> {
    optimize(&mut function, module);
    compares::expand_compares(&mut function);
    verified(&function, "expand_compares");
    let loops = function.blocks.values().any(|block| matches!(block.terminator, Terminator::MayGoto { .. }));
    let stack = if loops { STACK - LOOP_COUNTER } else { STACK };
    // Values that find no register need room as well: how much is known only afterwards.
    for for_spills in [96, 192, 384, STACK] {
        let mut placed = function.clone();
        let mut maps = module.maps.clone();
        let Some((frame, size)) =
            slots::place_slots(&mut placed, &mut maps, stack.saturating_sub(for_spills))
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
        module.maps = maps;
        return Ok(emitted.into_program(function.name, function.program));
    }
    Err(CompileError::TooLarge { span: function.span })
}

fn verified(function: &Function, stage: &str) {
    if cfg!(debug_assertions) {
        verify(function, stage);
    }
}
