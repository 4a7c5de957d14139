//! Random functions in SSA form are allocated and checked; then allocations are damaged, which the check must see.

use super::{Allocation, Move, Place, Source, Step, allocate, check::check};
use crate::insn::{AluOp, AtomicOp, Cond, Imm64, Insn, Operand, Reg, Size, Width};
use crate::machine::{Block, BlockData, Code, Edge, End, Inst, Op, Repeat, Value};
use cranelift_entity::{EntityRef, EntitySet, PrimaryMap};
use proptest::prelude::*;

/// Choices come from a list of random numbers, so that proptest can shrink a function.
struct Choices<'a> {
    numbers: &'a [u32],
    at: usize,
}

impl Choices<'_> {
    /// A number below `n`; 0 when the list is used up.
    fn below(&mut self, n: usize) -> usize {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        number as usize % n
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// A function whose values are used only where their definitions dominate.
fn function(numbers: &[u32]) -> Code<()> {
    let mut choose = Choices { numbers, at: 0 };
    let mut values: PrimaryMap<Value, Option<Repeat<()>>> = PrimaryMap::new();
    // Definitions that can be repeated are available everywhere.
    let mut constants = Vec::new();
    for i in 0..4 {
        let wide = 1 << (20 * i);
        let insn = Insn::LdImm64 { dst: Reg::R0, imm: Imm64::Value(wide) };
        constants.push(values.push(Some(Repeat { op: Op::Insn(insn), tag: () })));
    }
    constants.push(values.push(Some(Repeat { op: Op::FrameAddr(-8), tag: () })));

    let count = 1 + choose.below(10);
    let block = Block::new;
    let mut blocks: PrimaryMap<Block, BlockData<()>> = PrimaryMap::new();
    let mut targets: Vec<Vec<usize>> = Vec::new();
    for i in 0..count {
        let params = (0..choose.below(if i == 0 { 6 } else { 4 })).map(|_| values.push(None)).collect();
        blocks.push(BlockData { params, insts: Vec::new(), end: End::Return(constants[0], ()) });
        // More often forward than back, so that most blocks are reached and most loops are left.
        let mut target = || if choose.below(3) > 0 { i + 1 } else { 1 + choose.below(count) };
        let next = [target(), target()];
        let edges = if i + 1 == count { 0 } else { choose.below(4).min(2) };
        targets.push(next[..edges].iter().map(|t| (*t).min(count - 1)).collect());
    }
    let dominated_by = dominators(&targets);
    for i in 0..count {
        let mut insts = Vec::new();
        for _ in 0..choose.below(12) {
            let mut known = constants.clone();
            known.extend(available(&blocks, &dominated_by[i], i));
            known.extend(insts.iter().filter_map(|inst: &Inst<()>| inst.def));
            insts.push(instruction(&mut choose, &known, &mut values));
        }
        blocks[block(i)].insts = insts;
    }
    // Definitions of all blocks are known only now, and edges may lead backward.
    for i in 0..count {
        let mut known = constants.clone();
        known.extend(available(&blocks, &dominated_by[i], count));
        known.extend(&blocks[block(i)].params);
        known.extend(blocks[block(i)].insts.iter().filter_map(|inst| inst.def));
        let mut edge = |to: usize| Edge {
            to: block(to),
            args: (0..blocks[block(to)].params.len()).map(|_| choose.one_of(&known)).collect(),
        };
        let edges: Vec<Edge> = targets[i].iter().map(|to| edge(*to)).collect();
        blocks[block(i)].end = match edges[..] {
            [] => End::Return(choose.one_of(&known), ()),
            [ref edge] => End::Goto(edge.clone(), ()),
            [ref then, ref otherwise, ..] if choose.below(4) > 0 => {
                let jump =
                    |src| Insn::Jump { width: Width::W64, cond: Cond::Gt, dst: Reg::R0, src, offset: 0 };
                let (jump, uses) = match choose.below(2) {
                    0 => (jump(Operand::Imm(7)), vec![choose.one_of(&known)]),
                    _ => (jump(Operand::Reg(Reg::R0)), vec![choose.one_of(&known), choose.one_of(&known)]),
                };
                End::Branch { jump, uses, then: then.clone(), otherwise: otherwise.clone(), tag: () }
            }
            [ref next, ref exhausted, ..] => {
                End::MayGoto { next: next.clone(), exhausted: exhausted.clone(), tag: () }
            }
        };
    }
    let mut code = Code { blocks, values, entry: block(0), cold: EntitySet::new(), frame: 16 };
    code.split_critical_edges();
    code
}

/// For each block, the blocks that lie on every way to it (itself apart); none where it is not reached.
fn dominators(targets: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let reached_without = |skip: Option<usize>| {
        let mut reached = vec![false; targets.len()];
        let mut todo = if skip == Some(0) { Vec::new() } else { vec![0] };
        while let Some(i) = todo.pop() {
            if !std::mem::replace(&mut reached[i], true) {
                todo.extend(targets[i].iter().filter(|t| skip != Some(**t)));
            }
        }
        reached
    };
    let reached = reached_without(None);
    let mut dominators = vec![Vec::new(); targets.len()];
    for above in 0..targets.len() {
        let without = reached_without(Some(above));
        for below in (0..targets.len()).filter(|b| *b != above && reached[*b] && !without[*b]) {
            dominators[below].push(above);
        }
    }
    dominators
}

/// What the dominators of a block define, and its own parameters.
fn available(blocks: &PrimaryMap<Block, BlockData<()>>, dominators: &[usize], own: usize) -> Vec<Value> {
    let mut known = Vec::new();
    for i in dominators {
        let data = &blocks[Block::new(*i)];
        known.extend(&data.params);
        known.extend(data.insts.iter().filter_map(|inst| inst.def));
    }
    known.extend(blocks.get(Block::new(own)).iter().flat_map(|data| &data.params));
    known
}

fn instruction(
    choose: &mut Choices,
    known: &[Value],
    values: &mut PrimaryMap<Value, Option<Repeat<()>>>,
) -> Inst<()> {
    let (width, dst, base, offset) = (Width::W64, Reg::R0, Reg::R0, 0);
    let src = Operand::Reg(Reg::R0);
    let (insn, operands, defines) = match choose.below(14) {
        0 => (Insn::Alu { width, op: AluOp::Mov, dst, src }, 1, true),
        1 | 2 => (Insn::Alu { width, op: AluOp::Add, dst, src }, 2, true),
        3 | 4 => (Insn::Alu { width, op: AluOp::Sub, dst, src }, 2, true),
        5 => (Insn::Alu { width, op: AluOp::And, dst, src: Operand::Imm(63) }, 1, true),
        6 => (Insn::Neg { width, dst }, 1, true),
        7 => (Insn::Load { size: Size::D, dst, base, offset }, 1, true),
        8 => (Insn::Load { size: Size::D, dst, base: Reg::R10, offset: -16 }, 0, true),
        9 => (Insn::Store { size: Size::D, base, offset, src }, 2, false),
        10 => (Insn::Atomic { width, op: AtomicOp::Add, fetch: true, base, offset, src: dst }, 2, true),
        11 => (Insn::CmpXchg { width, base, offset, src: dst }, 3, true),
        _ => (Insn::CallHelper { number: 1 }, choose.below(6), true),
    };
    let uses = (0..operands).map(|_| choose.one_of(known)).collect();
    let def = defines.then(|| values.push(None));
    Inst { op: Op::Insn(insn), def, uses, tag: () }
}

fn choices() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(any::<u32>(), 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn every_use_finds_its_value(numbers in choices()) {
        let code = function(&numbers);
        let allocation = allocate(&code);
        prop_assert_eq!(check(&code, &allocation), Ok(()));
        prop_assert!(allocation.scratch <= 2);
        prop_assert_eq!(allocate(&code).steps, allocation.steps);
    }

    /// An operand read from a register that holds something else is found.
    #[test]
    fn a_wrong_register_is_found(numbers in choices(), at in any::<usize>()) {
        let code = function(&numbers);
        let mut allocation = allocate(&code);
        let all: Vec<(Block, usize)> = steps(&allocation);
        let reads = |(block, i): &(Block, usize)| match &allocation.steps[*block][*i] {
            Step::Inst { index, uses, .. } => {
                !uses.is_empty() && !code.blocks[*block].insts[*index].commutes()
            }
            Step::End { uses } => !uses.is_empty(),
            Step::Move(_) => false,
        };
        let reading: Vec<(Block, usize)> = all.into_iter().filter(reads).collect();
        prop_assume!(!reading.is_empty());
        let (block, i) = reading[at % reading.len()];
        let (Step::Inst { uses, .. } | Step::End { uses }) = &mut allocation.steps[block][i] else {
            unreachable!()
        };
        // No function puts anything into r10.
        uses[0] = Reg::R10;
        prop_assert!(check(&code, &allocation).is_err());
    }

    /// A store to a slot that is left out is found where the slot is read.
    #[test]
    fn a_missing_store_is_found(numbers in choices()) {
        let code = function(&numbers);
        let mut allocation = allocate(&code);
        let is_store = |step: &Step| matches!(step, Step::Move(Move { to: Place::Slot(_), .. }));
        let is_load =
            |step: &Step| matches!(step, Step::Move(Move { from: Source::At(Place::Slot(_)), .. }));
        // About every third function spills.
        if !allocation.steps.values().flatten().any(is_load) {
            return Ok(());
        }
        for &block in &allocation.order {
            allocation.steps[block].retain(|step| !is_store(step));
        }
        prop_assert!(check(&code, &allocation).is_err());
    }
}

fn steps(allocation: &Allocation) -> Vec<(Block, usize)> {
    let of = |block: &Block| (0..allocation.steps[*block].len()).map(|i| (*block, i)).collect::<Vec<_>>();
    allocation.order.iter().flat_map(of).collect()
}
