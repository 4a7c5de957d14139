//! Programs that the kernel runs for each object that an iterator goes over.

use rtscript_lang::provider::{Place, ProgramKind};
use rtscript_lang::record::globals;
use rtscript_lang::typed::{Expr, ExprKind, Intrinsic};

use super::memory::Memory;
use super::{Lowering, PAGE};
use crate::insn::{AluOp, Cond, Helper, Size};
use crate::ir::{Op, Operand, Value};

/// What a program returns so that its reader gets `EAGAIN`, and the next reader the same object again (5.8).
const AGAIN: i32 = 1;
const BPF_RB_AVAIL_DATA: i32 = 0;
const EFAULT: i64 = 14;
/// The kernel formats strings of no more bytes, the NUL included.
const LONGEST_TEXT: u32 = 512;

impl Lowering<'_, '_> {
    /// Before anything is done for an object: where half of the ring is full, or the script has ended, the program leaves, and is
    /// run for the same object when somebody reads on. So an iteration of any length loses nothing.
    pub(super) fn wait_for_room(&mut self) {
        let is_read_by_us = self.probe.context.program == ProgramKind::Iter && !self.probe.prints_to_reader;
        let Some(ring) = self.shared.ring.filter(|_| is_read_by_us) else { return };
        let half = (self.shared.maps[ring].max_entries / 2) as i32;
        let (query, go_on, later) = (self.b.block(), self.b.block(), self.b.cold_block());
        let globals = self.b.value(Op::GlobalAddr(globals::EXITING));
        let exiting = self.b.load(Size::W, false, globals, 0);
        self.b.branch(Cond::Eq, exiting, Operand::Imm(0), query, later);
        self.b.switch_sealed(query);
        let ring = self.b.value(Op::MapRef(ring));
        let used =
            self.b.call(Helper::RingbufQuery, &[Operand::Value(ring), Operand::Imm(BPF_RB_AVAIL_DATA)]);
        self.b.branch(Cond::Le, used, Operand::Imm(half), go_on, later);
        self.b.switch_sealed(later);
        self.b.ret(Operand::Imm(AGAIN));
        self.b.switch_sealed(go_on);
    }

    /// A word of an iterator's context, as a number. The verifier follows the pointers there, and before they are held against null it
    /// lets nothing be added to them; negated, they are numbers to it, as all other pointers of the kernel are here.
    pub(super) fn of_iteration(&mut self, word: Value, size: Size) -> Value {
        if self.probe.context.program != ProgramKind::Iter || size != Size::D {
            return word;
        }
        let negated = self.b.value(Op::Neg(word));
        let number = self.b.value(Op::Neg(negated));
        // The program runs for an object.
        self.trust(number);
        number
    }

    /// Where the task whose memory can be read lies in the context. While mappings are gone over the kernel holds the lock that it would have to
    /// take (as of 6.18).
    pub(super) fn task_of_iteration(&self) -> Option<u32> {
        let args = &self.probe.context.args;
        let task = args.iter().find(|arg| arg.name == "task")?;
        if args.iter().any(|arg| arg.name == "vma") {
            return None;
        }
        let Place::Word(offset) = task.place else { return None };
        Some(offset)
    }

    /// Reads user memory, as the helper does: that of the task whose turn it is (5.18), and not that of the reader. Where it cannot be read the
    /// result is negative; that is always so where there is no task, or where nothing may sleep.
    pub(super) fn read_of_task(
        &mut self,
        helper: Helper,
        target: Value,
        (length, most): (Operand, u32),
        source: Value,
    ) -> Value {
        let fail = [Operand::Value(target), length, Operand::Imm(0)];
        let Some(offset) = self.task_of_iteration().filter(|_| self.may_sleep()) else {
            self.b.call(Helper::ProbeReadKernel, &fail);
            return self.b.iconst(-EFAULT);
        };
        self.sleeps = true;
        let result = self.b.variable();
        let context = self.b.context();
        // As the verifier knows it.
        let task = self.b.load(Size::D, false, context, offset as i32);
        let (there, read) = (self.b.block(), self.b.block());
        let (failed, done) = (self.b.cold_block(), self.b.block());
        self.b.branch(Cond::Ne, task, Operand::Imm(0), there, failed);
        self.b.switch_sealed(there);
        let copy = |this: &mut Self, to: Value, length: Operand| {
            let args =
                [Operand::Value(to), length, Operand::Value(source), Operand::Value(task), Operand::Imm(0)];
            this.b.call(Helper::CopyFromUserTask, &args)
        };
        if helper == Helper::ProbeReadUserStr {
            // There is a call for bytes alone. The text may end before memory does, so if not all bytes are there, those of its first page are.
            let room = self.b.slot(most);
            let room = self.slot_address(room).base;
            let all = copy(self, room, Operand::Imm(most as i32));
            let part = self.b.cold_block();
            self.b.branch(Cond::Slt, all, Operand::Imm(0), part, read);
            self.b.switch_sealed(part);
            let on_page = self.b.binary(AluOp::And, source, Operand::Imm(PAGE as i32 - 1));
            let page = self.b.iconst(i64::from(PAGE));
            let rest = self.b.binary(AluOp::Sub, page, Operand::Value(on_page));
            let rest = self.at_most(rest, most);
            let some = copy(self, room, Operand::Value(rest));
            self.b.branch(Cond::Slt, some, Operand::Imm(0), failed, read);
            self.b.switch_sealed(read);
            let args = [Operand::Value(target), length, Operand::Value(room)];
            let copied = self.b.call(Helper::ProbeReadKernelStr, &args);
            self.b.set(result, copied);
        } else {
            let copied = copy(self, target, length);
            self.b.branch(Cond::Slt, copied, Operand::Imm(0), failed, read);
            self.b.switch_sealed(read);
            self.b.set(result, copied);
        }
        self.b.jump(done, &[]);
        self.b.switch_sealed(failed);
        // It leaves zeros.
        self.b.call(Helper::ProbeReadKernel, &fail);
        let error = self.b.iconst(-EFAULT);
        self.b.set(result, error);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
        self.b.get(result)
    }

    /// Prints into the file that is being read.
    pub(super) fn seq_print(&mut self, args: &[Expr]) -> Value {
        let Some((format, values)) = args.split_first() else { return self.b.iconst(0) };
        let words: Vec<Value> = values
            .iter()
            .map(|value| if value.ty.is_scalar() { self.scalar(value) } else { self.kernel_text(value) })
            .collect();
        let size = match &format.kind {
            ExprKind::String(text) => text.len() as i32 + 1,
            _ => 1,
        };
        let format = self.place(format);
        let format = self.pointer(&format);
        let data = self.b.slot((words.len() as u32 * 8).max(8));
        let data = self.slot_address(data);
        for (index, word) in (0..).zip(&words) {
            let at = data.plus(index * 8);
            self.b.store(Size::D, at.base, at.offset, Operand::Value(*word));
        }
        let data = if words.is_empty() { Operand::Imm(0) } else { Operand::Value(self.pointer(&data)) };
        // The iteration's own structure is the context's first member, and the file that one's; both as the verifier knows them.
        let context = self.b.context();
        let meta = self.b.load(Size::D, false, context, 0);
        let file = self.b.load(Size::D, false, meta, 0);
        let args = [
            Operand::Value(file),
            Operand::Value(format),
            Operand::Imm(size),
            data,
            Operand::Imm(words.len() as i32 * 8),
        ];
        self.b.call(Helper::SeqPrintf, &args)
    }

    /// The address of text that ends in a NUL: where it lies, if the kernel reads it there as well as we do.
    fn kernel_text(&mut self, text: &Expr) -> Value {
        let capacity = text.ty.capacity().unwrap_or(0);
        if let ExprKind::Call(Intrinsic::Str, args) = &text.kind
            && args.len() == 1
            && capacity >= LONGEST_TEXT
        {
            let from = self.text_source(&args[0]);
            if from.memory == Memory::Kernel && !self.is_in_context(from.base) {
                return self.pointer(&from);
            }
        }
        let slot = self.b.slot(capacity + 1);
        let to = self.slot_address(slot);
        self.write(text, &to, true);
        self.clear(&to.plus(capacity), 1);
        self.pointer(&to)
    }
}
