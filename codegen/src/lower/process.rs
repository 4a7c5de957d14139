//! What the kernel says of the process that runs and of the CPU's mode.

use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::Expr;

use super::Lowering;
use super::memory::size_of;
use crate::insn::{AluOp, Cond, Helper, Size};
use crate::ir::{Operand, Value};
use crate::object::SiteKind;

/// Where `cs` lies in the registers of x86-64. Its lowest two bits are the privilege: 3 for user mode.
const CS: i32 = 17 * 8;

impl Lowering<'_, '_> {
    /// The process or thread by its number in a namespace (device and inode of its file); 0 outside of it.
    pub(super) fn number_inside(&mut self, namespace: &[Expr], is_process: bool) -> Value {
        let device = self.scalar(&namespace[0]);
        let inode = self.scalar(&namespace[1]);
        // `struct bpf_pidns_info`: thread, process.
        let slot = self.b.slot(8);
        let to = self.slot_address(slot);
        self.clear(&to, 8);
        let pointer = self.pointer(&to);
        let args = [Operand::Value(device), Operand::Value(inode), Operand::Value(pointer), Operand::Imm(8)];
        self.b.call(Helper::GetNsCurrentPidTgid, &args);
        self.b.load(Size::W, false, to.base, to.offset + if is_process { 4 } else { 0 })
    }

    pub(super) fn user_mode(&mut self) -> Value {
        let context = self.b.context();
        let cs = self.b.load(Size::D, false, context, CS);
        let privilege = self.b.binary(AluOp::And, cs, Operand::Imm(3));
        // 3 or 0.
        self.b.binary(AluOp::Rsh, privilege, Operand::Imm(1))
    }

    /// Writes a buffer to the memory of the process.
    pub(super) fn write_user(&mut self, to: &Expr, buffer: &Expr, span: Span) -> Value {
        let capacity = buffer.ty.capacity().unwrap_or(0);
        let to = self.scalar(to);
        let from = self.temporary(&buffer.ty);
        self.write(buffer, &from, false);
        let length = self.b.load(size_of(4), false, from.base, from.offset);
        let length = self.at_most(length, capacity);
        let (some, done) = (self.b.block(), self.b.block());
        self.b.branch(Cond::Ne, length, Operand::Imm(0), some, done);
        self.b.switch_sealed(some);
        let source = self.pointer(&from.plus(4));
        let args = [Operand::Value(to), Operand::Value(source), Operand::Value(length)];
        let result = self.b.call(Helper::ProbeWriteUser, &args);
        self.count_site_if(Cond::Ne, result, Operand::Imm(0), (SiteKind::WriteFailed, span), Some(result));
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
        self.b.iconst(0)
    }
}
