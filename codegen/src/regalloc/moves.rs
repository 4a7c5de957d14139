//! Orders moves that happen at once, so that each reads what was there before the first of them.
//!
//! A move whose target no other one still reads can be made at once; what remains when there is none are cycles, and
//! a cycle is opened by putting one of its values into a free register or, without one, into a scratch slot. Stack
//! slots move through a register. Swapping by exclusive-or would need no scratch, but the verifier forbids such
//! arithmetic on pointers, while a spill of 8 aligned bytes keeps a pointer's type.

use super::{Move, Place, Source};
use crate::insn::Reg;
use crate::machine::Value;

/// Slots that are used within one set of moves only.
pub const SCRATCH: [Place; 2] = [Place::Scratch(0), Place::Scratch(1)];

/// Appends to `out` single moves that do what `moves` do at once. Targets differ from each other. `free` are
/// registers that hold nothing of value when all moves that are in no cycle are made; `small` says which definition a slot can be given at once.
pub fn resolve(moves: &[Move], free: &[Reg], small: impl Fn(Value) -> bool, out: &mut Vec<Move>) {
    let (copies, loads): (Vec<Move>, Vec<Move>) = moves.iter().partition(|m| m.from != Source::Again);
    let mut free = free.to_vec();
    let mut pending: Vec<Move> = copies.into_iter().filter(|m| m.from != Source::At(m.to)).collect();
    while !pending.is_empty() {
        let ready = pending.iter().position(|m| !pending.iter().any(|other| other.from == Source::At(m.to)));
        match ready {
            Some(i) => single(pending.remove(i), &free, out),
            None => {
                // Every pending target is read by another move: open the cycle of the first.
                let from = pending[0].from;
                let what = pending[0].what;
                let aside = free.pop().map_or(SCRATCH[0], Place::Reg);
                single(Move { to: aside, from, what }, &free, out);
                for m in &mut pending {
                    if m.from == from {
                        m.from = Source::At(aside);
                    }
                }
            }
        }
    }
    // Repeated definitions read nothing, so they come last.
    for m in loads {
        if matches!(m.to, Place::Reg(_)) || small(m.what) {
            out.push(m);
        } else {
            through_register(m, &free, out);
        }
    }
}

/// Makes one move that may be from slot to slot.
fn single(m: Move, free: &[Reg], out: &mut Vec<Move>) {
    let memory = |p: Place| !matches!(p, Place::Reg(_));
    match m.from {
        Source::At(from) if memory(from) && memory(m.to) => through_register(m, free, out),
        Source::At(_) | Source::Again => out.push(m),
    }
}

/// Uses a free register, or lends one and gives it back.
fn through_register(m: Move, free: &[Reg], out: &mut Vec<Move>) {
    let lent = free.first().copied();
    let reg = Place::Reg(lent.unwrap_or(Reg::R9));
    let aside = Move { to: SCRATCH[1], from: Source::At(reg), what: m.what };
    if lent.is_none() {
        out.push(aside);
    }
    out.push(Move { to: reg, ..m });
    out.push(Move { from: Source::At(reg), ..m });
    if lent.is_none() {
        out.push(Move { to: reg, from: Source::At(SCRATCH[1]), what: m.what });
    }
}
