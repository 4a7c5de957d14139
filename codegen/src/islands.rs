//! Distances of jumps. A jump has sixteen bits for it, and the kernel checks them again when it has rewritten the program, where
//! one instruction may have become several. So a jump that leads further than [`NEAR`] goes by way of islands, which lie every
//! [`STEP`] slots where somebody needs them:
//!
//! ```text
//!         if r1 == 0 goto A        the target is far: to the island on the way to it
//!         …
//!         goto over                whoever comes from above passes the island by, where somebody does
//!      A: goto B                   one entry for each target that is reached by it
//!   over: …
//!         goto over
//!      B: goto target
//!   over: …
//! ```
//!
//! Conditional jumps and `may_goto` need no other form for that, and older kernels no other instruction.

use std::collections::BTreeMap;

use crate::emit::Emitted;
use crate::insn::Insn;

/// How far a jump may lead, in slots. The kernel's rewriting may make four times as many of them.
const NEAR: usize = 8000;

/// The slots between two places for islands.
const STEP: usize = NEAR / 2;

/// Fills in the distances of `jumps`, which are pairs of an instruction and the one that it leads to, and adds islands.
/// `None`: a program has so many jumps that islands do not help.
pub fn connect(out: &mut Emitted, jumps: &[(usize, usize)]) -> Option<()> {
    let slots = slots(&out.insns);
    let far = |&&(from, to): &&(usize, usize)| slots[from].abs_diff(slots[to]) > NEAR;
    let mut islands = Islands::new(slots.clone());
    jumps.iter().filter(far).for_each(|&(from, to)| islands.route(from, to));
    let mut links: Vec<(usize, Stop)> = Vec::with_capacity(jumps.len());
    let moved = islands.insert(out, &mut links);
    links.extend(jumps.iter().map(|&(from, to)| (moved[from], islands.next(from, to))));
    let slots = self::slots(&out.insns);
    for (from, stop) in links {
        let to = match stop {
            Stop::Target(to) => moved[to],
            Stop::Island(at, to) => islands.entries[&at][&to],
            Stop::Over(at) => moved[at],
        };
        let distance = slots[to] as i64 - (slots[from] as i64 + 1);
        if let Insn::Jump { offset, .. } | Insn::Goto { offset } | Insn::MayGoto { offset } =
            &mut out.insns[from]
        {
            *offset = i16::try_from(distance).ok()?;
        }
    }
    Some(())
}

/// The slot of each instruction, and the one behind the last.
fn slots(insns: &[Insn]) -> Vec<usize> {
    let mut slots = Vec::with_capacity(insns.len() + 1);
    let mut at = 0;
    for insn in insns {
        slots.push(at);
        at += insn.slots();
    }
    slots.push(at);
    slots
}

/// Where a jump leads at first.
#[derive(Clone, Copy)]
enum Stop {
    /// To this instruction.
    Target(usize),
    /// To the island in front of the first instruction, whose entry leads to the second.
    Island(usize, usize),
    /// Past the island in front of an instruction.
    Over(usize),
}

struct Islands {
    slots: Vec<usize>,
    /// The instructions in front of which an island may lie.
    places: Vec<usize>,
    /// By place and by target, the instruction that jumps there.
    entries: BTreeMap<usize, BTreeMap<usize, usize>>,
}

impl Islands {
    fn new(slots: Vec<usize>) -> Islands {
        let last = slots.last().copied().unwrap_or(0);
        let places = (STEP..last).step_by(STEP).map(|slot| slots.partition_point(|&found| found < slot));
        Islands { places: places.collect(), slots, entries: BTreeMap::new() }
    }

    /// Makes the entries that lead from one instruction to another.
    fn route(&mut self, from: usize, to: usize) {
        let mut at = from;
        while let Stop::Island(island, _) = self.next(at, to) {
            if self.entries.entry(island).or_default().insert(to, 0).is_some() {
                // From here on somebody has made them.
                return;
            }
            at = island;
        }
    }

    /// The first stop on the way: as far as a jump may lead.
    fn next(&self, from: usize, to: usize) -> Stop {
        let (start, target) = (self.slots[from], self.slots[to]);
        let reach = |&&place: &&usize| self.slots[place].abs_diff(start) <= NEAR;
        let island = match start.abs_diff(target) <= NEAR {
            true => None,
            false if target > start => {
                self.places.iter().filter(|&&place| place > from).take_while(reach).last()
            }
            false => self.places.iter().rev().filter(|&&place| place < from).take_while(reach).last(),
        };
        island.map_or(Stop::Target(to), |&island| Stop::Island(island, to))
    }

    /// Puts the islands into the code. Gives back where each instruction is now, and adds the islands' own jumps to `links`.
    fn insert(&mut self, out: &mut Emitted, links: &mut Vec<(usize, Stop)>) -> Vec<usize> {
        let old = std::mem::take(&mut out.insns);
        let mut moved = Vec::with_capacity(old.len() + 1);
        let mut entries = std::mem::take(&mut self.entries);
        for (index, insn) in old.into_iter().enumerate() {
            if let Some(island) = entries.get_mut(&index) {
                // The kernel takes no instruction that is never reached.
                if !matches!(out.insns.last(), Some(Insn::Goto { .. } | Insn::Exit)) {
                    links.push((out.insns.len(), Stop::Over(index)));
                    out.insns.push(Insn::Goto { offset: 0 });
                }
                for (&to, entry) in island {
                    *entry = out.insns.len();
                    links.push((*entry, self.next(index, to)));
                    out.insns.push(Insn::Goto { offset: 0 });
                }
            }
            moved.push(out.insns.len());
            out.insns.push(insn);
        }
        moved.push(out.insns.len());
        self.entries = entries;
        out.relocations
            .iter_mut()
            .for_each(|relocation| relocation.insn = moved[relocation.insn as usize] as u32);
        out.lines.iter_mut().for_each(|line| line.insn = moved[line.insn as usize] as u32);
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insn::{AluOp, Cond, Operand, Reg, Width};

    /// As many instructions that add their number, with jumps in place of some; `exit` is the last.
    fn code(count: usize, jumps: &[(usize, usize)]) -> Emitted {
        let add = |index: usize| Insn::Alu {
            width: Width::W64,
            op: AluOp::Add,
            dst: Reg::R0,
            src: Operand::Imm(index as i32),
        };
        let mut insns: Vec<Insn> = (0..count).map(add).collect();
        jumps.iter().for_each(|&(from, _)| insns[from] = Insn::Goto { offset: 0 });
        insns.push(Insn::Exit);
        Emitted { insns, ..Emitted::default() }
    }

    /// The numbers that are added from an instruction on, until a jump leads back or the program ends.
    fn walk(out: &Emitted, most: usize) -> Vec<i32> {
        let mut added = Vec::new();
        let mut at = 0;
        while added.len() < most {
            match out.insns[at] {
                Insn::Goto { offset } => at = (at as i64 + 1 + i64::from(offset)) as usize,
                Insn::Alu { src: Operand::Imm(number), .. } => {
                    added.push(number);
                    at += 1;
                }
                _ => break,
            }
        }
        added
    }

    #[test]
    fn near_jumps_need_no_island() {
        let jumps = [(0, 5), (6, 2)];
        let mut out = code(10, &jumps);
        connect(&mut out, &jumps).unwrap();
        assert_eq!(out.insns.len(), 11);
        assert_eq!(walk(&out, 7), [5, 2, 3, 4, 5, 2, 3]);
    }

    #[test]
    fn far_jumps_go_by_islands() {
        let jumps = [(0, 99_000), (99_001, 10), (11, 99_002), (2, 99_000)];
        let mut out = code(100_000, &jumps);
        connect(&mut out, &jumps).unwrap();
        let mut expected = vec![99_000, 10];
        expected.extend(99_002..100_000);
        assert_eq!(walk(&out, 100_000), expected);
        for insn in &out.insns {
            if let Insn::Goto { offset } = insn {
                assert!(offset.unsigned_abs() as usize <= NEAR + 100);
            }
        }
    }

    #[test]
    fn islands_are_passed_by() {
        let jumps = [(50_000, 3), (1, 60_000)];
        let mut out = code(60_000, &jumps);
        connect(&mut out, &jumps).unwrap();
        // The first jump that is met leads to the end.
        assert_eq!(walk(&out, 100_000), [0]);
        let jumps = [(50_000, 3)];
        let mut out = code(60_000, &jumps);
        connect(&mut out, &jumps).unwrap();
        let expected: Vec<i32> = (0..50_000).chain(3..103).collect();
        assert_eq!(walk(&out, 50_100), expected);
    }

    #[test]
    fn every_instruction_is_reached() {
        let jumps = [(0, STEP), (STEP - 1, 59_000), (2 * STEP, 59_500)];
        let mut out = code(60_000, &jumps);
        let (width, cond, src) = (Width::W64, Cond::Eq, Operand::Imm(0));
        out.insns[0] = Insn::Jump { width, cond, dst: Reg::R0, src, offset: 0 };
        out.insns[2 * STEP] = out.insns[0];
        connect(&mut out, &jumps).unwrap();
        let mut reached = vec![false; out.insns.len()];
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut reached[at], true) {
                continue;
            }
            let to = |offset: i16| (at as i64 + 1 + i64::from(offset)) as usize;
            match out.insns[at] {
                Insn::Goto { offset } => open.push(to(offset)),
                Insn::Jump { offset, .. } => open.extend([to(offset), at + 1]),
                Insn::Exit => {}
                _ => open.push(at + 1),
            }
        }
        assert_eq!(reached.iter().position(|reached| !reached), None);
    }
}
