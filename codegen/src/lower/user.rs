//! Memory of the probed process that need not be resident: pages of a file that nobody has touched yet, or that were written
//! out to swap.
//!
//! The helpers that read a process's memory fail where they would have to wait for it. A program of a uprobe may be loaded as
//! one that sleeps; then a read that fails brings in the pages, a byte of each, and is done once more. So memory that is there
//! costs nothing but a comparison. Nothing sleeps while it holds a record of the ring, for which all others would have to
//! wait, nor in a callback, which the kernel calls under a lock of its own.

use rtscript_lang::provider::ProgramKind;
use rtscript_lang::typed::{Expr, ExprKind, Intrinsic};

use super::memory::Address;
use super::{Lowering, PAGE};
use crate::insn::{AluOp, Cond, Helper};
use crate::ir::{Block, Operand, Value};

impl Lowering<'_, '_> {
    /// Whether what is lowered now may sleep.
    pub(super) fn may_sleep(&self) -> bool {
        self.can_sleep() && !self.holds_record
    }

    /// The same, if no record were held.
    pub(super) fn can_sleep(&self) -> bool {
        let kind = match self.probe.context.program {
            ProgramKind::Uprobe => true,
            ProgramKind::Iter => self.task_of_iteration().is_some(),
            ProgramKind::RawTracepoint
            | ProgramKind::Tracepoint
            | ProgramKind::PerfEvent
            | ProgramKind::Kprobe
            | ProgramKind::Kretprobe
            | ProgramKind::Fentry
            | ProgramKind::Fexit => false,
        };
        self.shared.target.sleepable && kind && self.round.is_none()
    }

    /// Calls a helper that reads `length` bytes, of which there are at most so many, and gives what it returns.
    pub(super) fn call_reader(
        &mut self,
        helper: Helper,
        target: Value,
        (length, most): (Operand, u32),
        source: Value,
    ) -> Value {
        let is_user = matches!(helper, Helper::ProbeReadUser | Helper::ProbeReadUserStr);
        if is_user && self.probe.context.program == ProgramKind::Iter {
            return self.read_of_task(helper, target, (length, most), source);
        }
        let args = [Operand::Value(target), length, Operand::Value(source)];
        let result = self.b.call(helper, &args);
        if !is_user || !self.may_sleep() {
            return result;
        }
        self.sleeps = true;
        let final_result = self.b.variable();
        self.b.set(final_result, result);
        let (again, done) = (self.b.cold_block(), self.b.block());
        self.b.branch(Cond::Slt, result, Operand::Imm(0), again, done);
        self.b.switch_sealed(again);
        self.bring_in(source, most);
        let result = self.b.call(helper, &args);
        self.b.set(final_result, result);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
        self.b.get(final_result)
    }

    /// Reads a byte of each page that so many bytes may lie on. A page that there is not, behind the end of a short string, does
    /// no harm.
    fn bring_in(&mut self, source: Value, bytes: u32) {
        let byte = self.b.slot(8);
        let byte = self.slot_address(byte).base;
        let inner = (0..bytes.saturating_sub(1)).step_by(PAGE as usize);
        for distance in inner.chain([bytes.saturating_sub(1)]) {
            let at = self.b.binary(AluOp::Add, source, Operand::Imm(distance as i32));
            self.b.call(Helper::CopyFromUser, &[Operand::Value(byte), Operand::Imm(1), Operand::Value(at)]);
        }
    }

    /// Reads a short string into a record that is held, and leaves for `otherwise` where it cannot be read at once.
    pub(super) fn try_short(
        &mut self,
        from: &Address,
        to: &Address,
        length: Value,
        otherwise: Block,
    ) -> Value {
        let (target, source) = (self.pointer(to), self.pointer(from));
        let args = [Operand::Value(target), Operand::Value(length), Operand::Value(source)];
        let result = self.b.call(Helper::ProbeReadUserStr, &args);
        let read = self.b.block();
        self.b.branch(Cond::Slt, result, Operand::Imm(0), otherwise, read);
        self.b.switch_sealed(read);
        result
    }
}

/// Whether an expression may read memory that is not ours.
pub(super) fn reads_memory(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Int(_)
        | ExprKind::String(_)
        | ExprKind::Local(_)
        | ExprKind::Map(_)
        | ExprKind::Merged(_)
        | ExprKind::Call(Intrinsic::Stack | Intrinsic::Comm, _) => false,
        ExprKind::Tuple(_)
        | ExprKind::Select(..)
        | ExprKind::Block(..)
        | ExprKind::Cast(_)
        | ExprKind::Call(..)
        | ExprKind::Field(..)
        | ExprKind::Index(..)
        | ExprKind::Deref(_)
        | ExprKind::TupleField(..)
        | ExprKind::Arg(_)
        | ExprKind::Retval
        | ExprKind::HasKey(_)
        | ExprKind::Find(..)
        | ExprKind::Delete(_)
        | ExprKind::Len(_)
        | ExprKind::Word(_)
        | ExprKind::Unary(..)
        | ExprKind::Binary(..)
        | ExprKind::Compare(..)
        | ExprKind::Equal(..)
        | ExprKind::EqualPrefix(..)
        | ExprKind::And(..)
        | ExprKind::Or(..)
        | ExprKind::AddressOf(_)
        | ExprKind::Step { .. } => true,
    }
}
