//! What changes the system: signals, and the kernel's trace pipe.

use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{Expr, ExprKind};

use super::Lowering;
use crate::insn::{Cond, Helper};
use crate::ir::{Operand, Value};
use crate::object::SiteKind;

impl Lowering<'_, '_> {
    /// Sends a signal to the running process or thread; that the kernel did not take it is counted.
    pub(super) fn signal(&mut self, helper: Helper, number: &Expr, span: Span) -> Value {
        let number = self.scalar(number);
        let result = self.b.call(helper, &[Operand::Value(number)]);
        let site = (SiteKind::SignalFailed, span);
        self.count_site_if(Cond::Ne, result, Operand::Imm(0), site, Some(result));
        result
    }

    /// Prints to the kernel's trace pipe: the format and up to three numbers, or addresses of strings.
    pub(super) fn trace_print(&mut self, args: &[Expr]) -> Value {
        let Some((format, values)) = args.split_first() else { return self.b.iconst(0) };
        let place = self.place(format);
        let size = match &format.kind {
            ExprKind::String(text) => text.len() as i32 + 1,
            _ => 1,
        };
        let mut operands = vec![Operand::Value(self.pointer(&place)), Operand::Imm(size)];
        for value in values {
            let value = if value.ty.is_scalar() {
                self.scalar(value)
            } else {
                let place = self.place(value);
                self.pointer(&place)
            };
            operands.push(Operand::Value(value));
        }
        self.b.call(Helper::TracePrintk, &operands)
    }
}
