//! `tseries()`: a value is kept for each of the last intervals, in a ring that each CPU has for itself.

use rtscript_lang::aggregate::{Keep, series};

use super::Lowering;
use crate::insn::{AluOp, Cond, Helper, Size};
use crate::ir::{Operand, Value};

impl Lowering<'_, '_> {
    pub(super) fn add_to_series(
        &mut self,
        pointer: Value,
        number: Value,
        (keep, signed): (Keep, bool),
        (interval, intervals): (u64, u32),
    ) {
        let now = self.b.call(Helper::KtimeGetBootNs, &[]);
        let length = self.b.iconst(interval as i64);
        let current = self.b.binary(AluOp::Div, now, Operand::Value(length));
        let place = self.b.binary(AluOp::Mod, current, Operand::Imm(intervals as i32));
        // Counted from 1, since 0 stands for a place that was never used.
        let current = self.b.add(current, Operand::Imm(1));
        let (inside, fresh, used, done) = (self.b.block(), self.b.block(), self.b.block(), self.b.block());
        // The comparison shows the verifier that the place exists.
        self.b.branch(Cond::Lt, place, Operand::Imm(intervals as i32), inside, done);
        self.b.switch_sealed(inside);
        let distance = self.b.binary(AluOp::Mul, place, Operand::Imm(series::SLOTS as i32 * 8));
        let entry = self.b.add(pointer, Operand::Value(distance));
        let slot = |slot: i32| slot * 8;
        let kept = self.b.load(Size::D, false, entry, slot(series::INTERVAL));
        self.b.branch(Cond::Eq, kept, Operand::Value(current), used, fresh);

        self.b.switch_sealed(fresh);
        self.b.store(Size::D, entry, slot(series::VALUE), Operand::Value(number));
        self.b.store(Size::D, entry, slot(series::NUMBER), Operand::Imm(1));
        self.b.store(Size::D, entry, slot(series::UPDATED), Operand::Value(now));
        self.b.store(Size::D, entry, slot(series::INTERVAL), Operand::Value(current));
        self.b.jump(done, &[]);

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
            let take = self.b.block();
            let best = self.b.load(Size::D, false, entry, slot(series::VALUE));
            self.b.branch(better, number, Operand::Value(best), take, done);
            self.b.switch_sealed(take);
            self.b.store(Size::D, entry, slot(series::VALUE), Operand::Value(number));
        }
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }
}
