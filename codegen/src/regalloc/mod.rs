//! Registers for a function of machine instructions.
//!
//! `spill` decides first which values are in registers where, so that `assign`, which then chooses the registers,
//! cannot fail. It walks the blocks once; where two ways meet, moves at their edges make up for different choices, and
//! hints make these rare. The moves that calls and edges need happen at once and are put in order by `moves`.
//! `check` walks the result with symbolic values.
//!
//! Assumes: a verified `Code`. Ensures: no value in r0 to r5 across a call; every use finds its value; spills are
//! 8 aligned bytes, so the verifier keeps the type of a spilled pointer; at most two scratch slots for moves.

mod assign;
pub mod check;
mod live;
mod moves;
mod spill;
#[cfg(test)]
mod tests;

use crate::insn::Reg;
use crate::machine::{Block, Code, Value};
use cranelift_entity::SecondaryMap;

/// A function with registers: for each block, what happens in it.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// The blocks that are reached, in reverse postorder.
    pub order: Vec<Block>,
    pub steps: SecondaryMap<Block, Vec<Step>>,
    /// How many 8-byte slots spilled values take; scratch slots come after them.
    pub slots: u32,
    /// How many scratch slots the moves use, at most 2.
    pub scratch: u32,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// The block's instruction number `index`.
    Inst {
        index: usize,
        def: Option<Reg>,
        uses: Vec<Reg>,
    },
    Move(Move),
    /// The block's end, always the last step.
    End {
        uses: Vec<Reg>,
    },
}

/// Puts the value `what` into `to`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Move {
    pub to: Place,
    pub from: Source,
    pub what: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Place {
    Reg(Reg),
    /// The spill slot of that number.
    Slot(u32),
    /// A slot that moves use among themselves.
    Scratch(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    At(Place),
    /// By repeating the value's definition.
    Again,
}

/// Chooses registers for `code`.
pub fn allocate<T>(code: &Code<T>) -> Allocation {
    let flow = live::Flow::of(code);
    let next = live::NextUse::of(code, &flow);
    let plan = spill::spill(code, &flow, &next);
    let allocation = assign::assign(code, flow, &next, &plan);
    if cfg!(debug_assertions)
        && let Err(wrong) = check::check(code, &allocation)
    {
        panic!("register allocation: {wrong}");
    }
    allocation
}
