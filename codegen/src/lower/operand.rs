//! Values of the probed process: registers, its memory, constants.

use rtscript_lang::operand::Operand;
use rtscript_lang::syntax::source::Span;

use super::Lowering;
use super::memory::{Address, Memory, size_of};
use crate::insn::{AluOp, Cond, Helper, Size};
use crate::ir::{self, Value};

impl Lowering<'_, '_> {
    /// An operand's value, extended to 64 bits by its own size and sign.
    pub(super) fn operand(&mut self, operand: &Operand, span: Span) -> Value {
        let context = self.b.context();
        let mut sum = operand.base.map(|word| self.b.load(Size::D, false, context, word as i32));
        if let Some((word, scale)) = operand.index {
            let index = self.b.load(Size::D, false, context, word as i32);
            let by = ir::Operand::Imm(scale.trailing_zeros() as i32);
            let scaled = if scale == 1 { index } else { self.b.binary(AluOp::Lsh, index, by) };
            sum = Some(match sum {
                Some(base) => self.b.add(base, ir::Operand::Value(scaled)),
                None => scaled,
            });
        }
        let number = match sum {
            Some(sum) if operand.displacement == 0 => sum,
            Some(sum) => {
                let displacement = self.b.iconst(operand.displacement);
                self.b.add(sum, ir::Operand::Value(displacement))
            }
            None => self.b.iconst(operand.displacement),
        };
        let size = size_of(u32::from(operand.size));
        if operand.in_memory {
            let at = Address { memory: Memory::User, base: number, offset: 0, field: None, align: 8 };
            return self.read_int(&at, size, operand.signed, span);
        }
        let part = match operand.shift {
            0 => number,
            shift => self.b.binary(AluOp::Rsh, number, ir::Operand::Imm(i32::from(shift))),
        };
        self.b.extend(part, size, operand.signed)
    }

    /// The operand of the site that the program runs at, which the upper half of the cookie tells.
    pub(super) fn operand_by_site(&mut self, operands: &[Operand], span: Span) -> Value {
        let Some((last, others)) = operands.split_last() else { return self.b.iconst(0) };
        let context = self.b.context();
        let cookie = self.b.call(Helper::GetAttachCookie, &[ir::Operand::Value(context)]);
        let site = self.b.binary(AluOp::Rsh, cookie, ir::Operand::Imm(32));
        let result = self.b.variable();
        let done = self.b.block();
        for (number, operand) in (0..).zip(others) {
            let (here, elsewhere) = (self.b.block(), self.b.block());
            let compared = self.b.to_compare(site);
            self.b.branch(Cond::Eq, compared, ir::Operand::Imm(number), here, elsewhere);
            self.b.switch_sealed(here);
            let value = self.branch_scope(|this| this.operand(operand, span));
            self.b.set(result, value);
            self.b.jump(done, &[]);
            self.b.switch_sealed(elsewhere);
        }
        let value = self.branch_scope(|this| this.operand(last, span));
        self.b.set(result, value);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
        self.b.get(result)
    }
}
