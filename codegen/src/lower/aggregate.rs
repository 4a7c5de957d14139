//! Updating `count()` and its kin in place, and merging them over the CPUs where a script reads one.

use rtscript_lang::aggregate::Aggregate;
use rtscript_lang::record::globals;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{BinaryOp, Element, Expr};
use rtscript_lang::types::Type;

use super::Lowering;
use super::memory::Address;
use crate::insn::{AluOp, AtomicOp, Cond, Helper, Size};
use crate::ir::{Op, Operand, Value};

impl Lowering<'_, '_> {
    pub(super) fn aggregate(
        &mut self,
        element: &Element,
        aggregate: Aggregate,
        value: Option<&Expr>,
        span: Span,
    ) {
        let number = match value {
            Some(value) => self.scalar(value),
            None => self.b.iconst(1),
        };
        let number = self.b.to_compare(number);
        self.with_element(element, span, |this, pointer| match aggregate {
            Aggregate::Count => this.add_to_slot(pointer, 0, None),
            Aggregate::Sum { .. } => this.add_to_slot(pointer, 0, Some(number)),
            Aggregate::Avg { .. } | Aggregate::Stats { .. } => {
                this.add_to_slot(pointer, 0, Some(number));
                this.add_to_slot(pointer, 1, None);
            }
            Aggregate::Min { .. } | Aggregate::Max { .. } => this.keep_best(pointer, aggregate, number),
            Aggregate::Hist { bits } => {
                let bucket = this.log2_bucket(number, bits);
                this.count_bucket(pointer, bucket, aggregate.slots());
            }
            Aggregate::Tseries { keep, signed, interval, intervals } => {
                this.add_to_series(pointer, number, (keep, signed), (interval, intervals));
            }
            Aggregate::Lhist { min, max, step } => {
                this.count_linear(pointer, number, (min, max, step), aggregate.slots());
            }
        });
    }

    /// Adds to a slot, atomically: an interrupt may run the same program on this CPU.
    pub(super) fn add_to_slot(&mut self, pointer: Value, slot: i32, value: Option<Value>) {
        let value = match value {
            Some(value) => value,
            None => self.b.iconst(1),
        };
        self.b.effect(Op::Atomic {
            op: AtomicOp::Add,
            size: Size::D,
            base: pointer,
            displacement: slot * 8,
            value,
        });
    }

    /// `[rank, whether there is one]`. Whoever finds that others came between looking and exchanging tries again with what they
    /// left. That takes an interrupt, or a preemption, between two instructions, on one CPU; where it happens again and again
    /// the run is counted as one that was given up.
    fn keep_best(&mut self, pointer: Value, aggregate: Aggregate, number: Value) {
        let rank = self.rank(aggregate, number);
        self.b.store(Size::D, pointer, 8, Operand::Imm(1));
        let done = self.b.block();
        let mut best = self.b.load(Size::D, false, pointer, 0);
        for _ in 0..TRIES {
            let (better, again) = (self.b.block(), self.b.cold_block());
            self.b.branch(Cond::Gt, rank, Operand::Value(best), better, done);
            self.b.switch_sealed(better);
            let exchange =
                Op::CompareExchange { base: pointer, displacement: 0, expected: best, value: rank };
            let found = self.b.value(exchange);
            self.b.branch(Cond::Eq, found, Operand::Value(best), done, again);
            self.b.switch_sealed(again);
            best = found;
        }
        let counter = self.b.value(Op::GlobalAddr(globals::NO_SCRATCH));
        self.add_to_slot(counter, 0, None);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }

    /// A value as a rank, or a rank as the value: the same bits are flipped.
    fn rank(&mut self, aggregate: Aggregate, value: Value) -> Value {
        match aggregate.rank_mask() {
            None | Some(0) => value,
            Some(mask) => {
                let mask = self.b.iconst(mask as i64);
                self.b.binary(AluOp::Xor, value, Operand::Value(mask))
            }
        }
    }

    /// The bucket of `Aggregate::Hist`, by arithmetic alone: comparisons would double the paths that the kernel's
    /// verifier walks at each step. `(limit - v) >> 63` is 1 for `v > limit` as long as both are below 2^63.
    fn log2_bucket(&mut self, number: Value, bits: u8) -> Value {
        let imm = Operand::Imm;
        let mut rest = number;
        let mut log = self.b.iconst(0);
        for power in [32u32, 16, 8, 4, 2, 1] {
            let above = if power == 32 {
                let high = self.b.binary(AluOp::Rsh, rest, imm(32));
                let zero = self.b.iconst(0);
                self.b.binary(AluOp::Sub, zero, Operand::Value(high))
            } else {
                let limit = self.b.iconst((1i64 << power) - 1);
                self.b.binary(AluOp::Sub, limit, Operand::Value(rest))
            };
            let bit = self.b.binary(AluOp::Rsh, above, imm(63));
            let step = self.b.binary(AluOp::Lsh, bit, imm(power.ilog2() as i32));
            rest = self.b.binary(AluOp::Rsh, rest, Operand::Value(step));
            log = self.b.binary(AluOp::Or, log, Operand::Value(step));
        }
        // shift = max(log - bits, 0)
        let shift = self.b.binary(AluOp::Sub, log, imm(i32::from(bits)));
        let sign = self.b.binary(AluOp::Arsh, shift, imm(63));
        let keep = self.b.binary(AluOp::Xor, sign, imm(-1));
        let shift = self.b.binary(AluOp::And, shift, Operand::Value(keep));
        let mantissa = self.b.binary(AluOp::Rsh, number, Operand::Value(shift));
        let base = self.b.binary(AluOp::Lsh, shift, imm(i32::from(bits)));
        let bucket = self.b.add(base, Operand::Value(mantissa));
        let bucket = self.b.add(bucket, imm(1));
        // Negative numbers go to bucket 0, whatever the sign of their type: a failure that a function returns is one of them.
        let sign = self.b.binary(AluOp::Arsh, number, imm(63));
        let keep = self.b.binary(AluOp::Xor, sign, imm(-1));
        self.b.binary(AluOp::And, bucket, Operand::Value(keep))
    }

    /// Counts in a bucket; the comparison shows the verifier that it exists.
    fn count_bucket(&mut self, pointer: Value, bucket: Value, buckets: u32) {
        let (inside, done) = (self.b.block(), self.b.block());
        self.b.branch(Cond::Lt, bucket, Operand::Imm(buckets as i32), inside, done);
        self.b.switch_sealed(inside);
        let offset = self.b.binary(AluOp::Lsh, bucket, Operand::Imm(3));
        let slot = self.b.add(pointer, Operand::Value(offset));
        self.add_to_slot(slot, 0, None);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }

    fn count_linear(&mut self, pointer: Value, number: Value, range: (i64, i64, i64), buckets: u32) {
        let (min, max, step) = range;
        let (not_below, inside, below, above) =
            (self.b.block(), self.b.block(), self.b.block(), self.b.block());
        let done = self.b.block();
        let low = self.b.iconst(min);
        self.b.branch(Cond::Slt, number, Operand::Value(low), below, not_below);
        self.b.switch_sealed(below);
        self.add_to_slot(pointer, 0, None);
        self.b.jump(done, &[]);
        self.b.switch_sealed(not_below);
        let high = self.b.iconst(max);
        self.b.branch(Cond::Sge, number, Operand::Value(high), above, inside);
        self.b.switch_sealed(above);
        self.add_to_slot(pointer, buckets as i32 - 1, None);
        self.b.jump(done, &[]);
        self.b.switch_sealed(inside);
        let distance = self.b.binary(AluOp::Sub, number, Operand::Value(low));
        let step = self.b.iconst(step);
        let index = self.b.binary(AluOp::Div, distance, Operand::Value(step));
        let bucket = self.b.add(index, Operand::Imm(1));
        self.count_bucket(pointer, bucket, buckets);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }

    /// The value of an aggregate over all CPUs, as a number.
    pub(super) fn merged(&mut self, element: &Element, span: Span) -> Value {
        let key = self.key(element);
        self.merged_at(key, span)
    }

    /// The same of the element with this key.
    pub(super) fn merged_at(&mut self, key: super::map::Key, span: Span) -> Value {
        let Type::Aggregate(aggregate) = self.program.maps[key.map].value else {
            return self.b.iconst(0);
        };
        let (first, second) = (self.b.variable(), self.b.variable());
        let zero = self.b.iconst(0);
        self.b.set(first, zero);
        self.b.set(second, zero);
        // The helper gives null for a CPU that cannot be, which ends the loop.
        self.counted_loop(MOST_CPUS, |this, cpu, after| {
            let pointer = this.lookup_on_cpu(key, cpu);
            let there = this.b.block();
            this.b.branch(Cond::Ne, pointer, Operand::Imm(0), there, after);
            this.b.switch_sealed(there);
            let value = this.read_int(&Address::own(pointer, 0), Size::D, false, span);
            match aggregate {
                Aggregate::Count | Aggregate::Sum { .. } => this.accumulate(first, value),
                Aggregate::Avg { .. } | Aggregate::Stats { .. } => {
                    this.accumulate(first, value);
                    let number = this.read_int(&Address::own(pointer, 8), Size::D, false, span);
                    this.accumulate(second, number);
                }
                Aggregate::Min { .. } | Aggregate::Max { .. } => {
                    let set = this.read_int(&Address::own(pointer, 8), Size::D, false, span);
                    this.take_better(first, second, value, set);
                }
                Aggregate::Hist { .. } | Aggregate::Lhist { .. } | Aggregate::Tseries { .. } => {}
            }
        });
        match aggregate {
            Aggregate::Avg { signed } | Aggregate::Stats { signed } => {
                let (total, number) = (self.b.get(first), self.b.get(second));
                // Of nothing, the average is zero.
                let empty = self.b.compare(Cond::Eq, number, Operand::Imm(0));
                let number = self.b.add(number, Operand::Value(empty));
                self.arithmetic(BinaryOp::Div, signed, total, number, span)
            }
            Aggregate::Min { .. } | Aggregate::Max { .. } => {
                let (best, have) = (self.b.get(first), self.b.get(second));
                let best = self.rank(aggregate, best);
                // Of nothing, it is zero.
                let zero = self.b.iconst(0);
                let keep = self.b.binary(AluOp::Sub, zero, Operand::Value(have));
                self.b.binary(AluOp::And, best, Operand::Value(keep))
            }
            Aggregate::Count
            | Aggregate::Sum { .. }
            | Aggregate::Hist { .. }
            | Aggregate::Lhist { .. }
            | Aggregate::Tseries { .. } => self.b.get(first),
        }
    }

    fn accumulate(&mut self, variable: crate::ir::builder::Variable, value: Value) {
        let before = self.b.get(variable);
        let sum = self.b.add(before, Operand::Value(value));
        self.b.set(variable, sum);
    }

    /// Takes a rank if it is better, and notes whether there is one.
    fn take_better(
        &mut self,
        best: crate::ir::builder::Variable,
        have: crate::ir::builder::Variable,
        rank: Value,
        set: Value,
    ) {
        let had = self.b.get(have);
        let has = self.b.binary(AluOp::Or, had, Operand::Value(set));
        self.b.set(have, has);
        let (take, done) = (self.b.block(), self.b.block());
        let current = self.b.get(best);
        let current = self.b.to_compare(current);
        self.b.branch(Cond::Gt, rank, Operand::Value(current), take, done);
        self.b.switch_sealed(take);
        self.b.set(best, rank);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }

    fn lookup_on_cpu(&mut self, key: super::map::Key, cpu: Value) -> Value {
        let (map, address) = self.map_and_key(key);
        let args = [Operand::Value(map), Operand::Value(address), Operand::Value(cpu)];
        self.b.call(Helper::MapLookupPercpuElem, &args)
    }
}

/// How often a run looks again for the best value.
pub(super) const TRIES: usize = 4;
/// More CPUs than a kernel can be built for.
const MOST_CPUS: u32 = 8192;
