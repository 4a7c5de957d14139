//! `tseries()`: a value is kept for each of the last intervals, in a ring that each CPU has for itself.

use rtscript_lang::aggregate::{Keep, series};
use rtscript_lang::record::globals;

use super::Lowering;
use super::aggregate::TRIES;
use crate::insn::{AluOp, Cond, Helper, Size};
use crate::ir::{Op, Operand, Value};

impl Lowering<'_, '_> {
    pub(super) fn add_to_series(
        &mut self,
        pointer: Value,
        number: Value,
        (keep, signed): (Keep, bool),
        (interval, intervals): (u64, u32),
    ) {
        let now = self.b.call(Helper::KtimeGetBootNs, &[]);
        let ahead = self.b.value(Op::GlobalAddr(globals::TIME_OF_DAY));
        let ahead = self.b.load(Size::D, false, ahead, 0);
        let time = self.b.add(now, Operand::Value(ahead));
        let length = self.b.iconst(interval as i64);
        let current = self.b.binary(AluOp::Div, time, Operand::Value(length));
        let place = self.b.binary(AluOp::Mod, current, Operand::Imm(intervals as i32));
        // Counted from 1, since 0 stands for a place that was never used.
        let current = self.b.add(current, Operand::Imm(1));
        let (inside, old, used, done) = (self.b.block(), self.b.block(), self.b.block(), self.b.block());
        let (fresh, taken, lost) = (self.b.block(), self.b.cold_block(), self.b.cold_block());
        // The comparison shows the verifier that the place exists.
        self.b.branch(Cond::Lt, place, Operand::Imm(intervals as i32), inside, done);
        self.b.switch_sealed(inside);
        let distance = self.b.binary(AluOp::Mul, place, Operand::Imm(series::SLOTS as i32 * 8));
        let entry = self.b.add(pointer, Operand::Value(distance));
        let slot = |slot: i32| slot * 8;
        let kept = self.b.load(Size::D, false, entry, slot(series::INTERVAL));
        self.b.branch(Cond::Eq, kept, Operand::Value(current), used, old);

        // An interrupt may come at any place of this. One that begins the interval first has finished when this goes on; one that
        // comes while the interval is begun has nowhere to put its value, and counts as a run that was given up.
        self.b.switch_sealed(old);
        let mark = self.b.iconst(series::FRESH);
        let exchange = Op::CompareExchange {
            base: entry,
            displacement: slot(series::INTERVAL),
            expected: kept,
            value: mark,
        };
        let found = self.b.value(exchange);
        // Of a mark that was there already it must not look as if it had been exchanged.
        let beginning = self.b.compare(Cond::Eq, found, Operand::Value(mark));
        let other = self.b.binary(AluOp::Xor, found, Operand::Value(kept));
        let other = self.b.binary(AluOp::Or, other, Operand::Value(beginning));
        self.b.branch(Cond::Eq, other, Operand::Imm(0), fresh, taken);
        self.b.switch_sealed(fresh);
        self.b.store(Size::D, entry, slot(series::VALUE), Operand::Value(number));
        self.b.store(Size::D, entry, slot(series::NUMBER), Operand::Imm(1));
        self.b.store(Size::D, entry, slot(series::UPDATED), Operand::Value(now));
        self.b.store(Size::D, entry, slot(series::INTERVAL), Operand::Value(current));
        self.b.jump(done, &[]);
        self.b.switch_sealed(taken);
        self.b.branch(Cond::Eq, found, Operand::Value(current), used, lost);

        self.b.switch_sealed(used);
        self.b.store(Size::D, entry, slot(series::UPDATED), Operand::Value(now));
        let better = match (keep, signed) {
            (Keep::Last, _) => {
                self.b.store(Size::D, entry, slot(series::VALUE), Operand::Value(number));
                None
            }
            (Keep::Sum | Keep::Avg, _) => {
                self.add_to_slot(entry, series::VALUE, Some(number));
                self.add_to_slot(entry, series::NUMBER, None);
                None
            }
            (Keep::Min, true) => Some(Cond::Slt),
            (Keep::Min, false) => Some(Cond::Lt),
            (Keep::Max, true) => Some(Cond::Sgt),
            (Keep::Max, false) => Some(Cond::Gt),
        };
        if let Some(better) = better {
            let mut best = self.b.load(Size::D, false, entry, slot(series::VALUE));
            for _ in 0..TRIES {
                let (take, again) = (self.b.block(), self.b.cold_block());
                self.b.branch(better, number, Operand::Value(best), take, done);
                self.b.switch_sealed(take);
                let displacement = slot(series::VALUE);
                let exchange =
                    Op::CompareExchange { base: entry, displacement, expected: best, value: number };
                let found = self.b.value(exchange);
                self.b.branch(Cond::Eq, found, Operand::Value(best), done, again);
                self.b.switch_sealed(again);
                best = found;
            }
            self.b.jump(lost, &[]);
        } else {
            self.b.jump(done, &[]);
        }
        self.b.switch_sealed(lost);
        let counter = self.b.value(Op::GlobalAddr(globals::NO_SCRATCH));
        self.add_to_slot(counter, 0, None);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }
}
