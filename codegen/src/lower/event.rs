//! Sending events: reserve, fill, submit. The layout is `rtscript_lang::record`'s.
//!
//! A record is submitted without a wakeup, which would cost fifty times the rest of it; only where user space
//! says that it sleeps (`globals::WANT_WAKEUP`) it is woken.
//!
//! Strings of unknown length are first copied into the small form, [`SMALL_STRING`] bytes each, without asking how long
//! they are. Where one does not end within them, the reserved record is dropped, and the packed form is put together in
//! scratch memory and sent with its real length.

use rtscript_lang::action::{Action, ActionId};
use rtscript_lang::provider::ProgramKind;
use rtscript_lang::record::{EVENT_HEADER, Form, Record, SMALL_STRING, globals};
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{Expr, ExprKind, Intrinsic};

use super::memory::{Address, Memory};
use super::user::reads_memory;
use super::{Lowering, PAGE};
use crate::insn::{AluOp, AtomicOp, Cond, Helper, Size};
use crate::ir::{Block, Op, Operand, Value};
use crate::target::ReadForm;

const BPF_RB_NO_WAKEUP: i32 = 1;
const BPF_RB_PROD_POS: i32 = 3;
/// The most words that `join` joins.
const JOIN_WORDS: u32 = 16;

/// A string whose real length is sent.
#[derive(Clone)]
struct Tail {
    from: Address,
    /// The most bytes to send, the NUL included.
    limit: Value,
    capacity: u32,
    /// Where the field with its length lies in the record.
    field: u32,
    span: Span,
}

/// What is evaluated of an argument before a record is reserved: nothing may leave the program between that and the submission.
enum Ready {
    Value(Value),
    Bytes(Address),
    /// It is written in place.
    Not,
}

impl Lowering<'_, '_> {
    pub(super) fn emit(&mut self, id: ActionId, args: &[Expr], span: Span) {
        let action = &self.program.actions[id];
        if action.is_control() {
            return self.emit_control(id);
        }
        let record = action.record().cloned().unwrap_or_else(|| Record::event(&[], self.structs()));
        // User space looks a key up by its bytes.
        let exact = matches!(action, Action::PrintKey { .. });
        // What has effects or needs many registers is evaluated before anything is reserved.
        let ready = self.ready(&record, args);
        let tails = self.tails(&record, args);
        let small = record.size + tails.len() as u32 * SMALL_STRING;
        let pointer = self.reserve(small);
        let (good, lost, done) = (self.b.block(), self.b.cold_block(), self.b.block());
        self.b.branch(Cond::Ne, pointer, Operand::Imm(0), good, lost);
        self.b.switch_sealed(lost);
        self.count_lost();
        self.b.jump(done, &[]);
        self.b.switch_sealed(good);
        self.branch_scope(|this| {
            this.holds_record = true;
            let to = Address::own(pointer, 0);
            this.header(&to, id, Form::Small);
            this.fill(&record, args, &ready, &to, exact);
            let too_long = this.b.cold_block();
            for (index, tail) in tails.iter().enumerate() {
                let room = to.plus(record.size + index as u32 * SMALL_STRING);
                this.short_tail(tail, &room, too_long);
            }
            this.submit(pointer);
            this.b.jump(done, &[]);
            this.holds_record = false;
            if tails.is_empty() {
                this.b.seal(too_long);
            } else {
                this.b.switch_sealed(too_long);
                this.branch_scope(|this| this.send_packed(&record, &tails, pointer, span));
                this.b.jump(done, &[]);
            }
        });
        self.b.switch_sealed(done);
    }

    fn ring(&mut self) -> Value {
        match self.shared.ring {
            Some(ring) => self.b.value(Op::MapRef(ring)),
            None => self.b.iconst(0),
        }
    }

    fn reserve(&mut self, size: u32) -> Value {
        let ring = self.ring();
        let args = [Operand::Value(ring), Operand::Imm(size as i32), Operand::Imm(0)];
        self.b.call(Helper::RingbufReserve, &args)
    }

    fn count_lost(&mut self) {
        let counter = self.b.value(Op::GlobalAddr(globals::LOST_RING_FULL));
        let one = self.b.iconst(1);
        self.b.effect(Op::Atomic {
            op: AtomicOp::Add,
            size: Size::D,
            base: counter,
            displacement: 0,
            value: one,
        });
    }

    fn header(&mut self, to: &Address, id: ActionId, form: Form) {
        // Both halves in one store: the action is the low one.
        let header = self.b.iconst(i64::from(id.as_u32()) | i64::from(form as u32) << 32);
        self.b.store(Size::D, to.base, to.offset, Operand::Value(header));
    }

    fn ready(&mut self, record: &Record, args: &[Expr]) -> Vec<Ready> {
        let mut ready = Vec::with_capacity(args.len());
        for (field, arg) in record.fields.iter().zip(args) {
            ready.push(if arg.ty.is_scalar() {
                Ready::Value(self.scalar(arg))
            } else if !field.tail && self.may_sleep() && reads_memory(arg) {
                // What may have to wait for memory does so while no record is held.
                Ready::Bytes(self.in_slot(arg))
            } else if field.tail || !arg.has_statements() {
                Ready::Not
            } else {
                Ready::Bytes(self.place(arg))
            });
        }
        ready
    }

    /// Writes the fields that are no tails.
    fn fill(&mut self, record: &Record, args: &[Expr], ready: &[Ready], to: &Address, exact: bool) {
        for ((field, arg), ready) in record.fields.iter().zip(args).zip(ready) {
            let at = to.plus(field.offset);
            match ready {
                Ready::Value(value) => {
                    let size = super::memory::size_of(u32::from(self.int_of(&arg.ty).size));
                    self.b.store(size, at.base, at.offset, Operand::Value(*value));
                }
                Ready::Bytes(from) => self.write_from(from, &arg.ty, &at, exact, arg.span),
                Ready::Not if field.tail => {}
                Ready::Not => self.write(arg, &at, exact),
            }
        }
    }

    fn tails(&mut self, record: &Record, args: &[Expr]) -> Vec<Tail> {
        let mut tails = Vec::new();
        for (field, arg) in record.fields.iter().zip(args).filter(|(field, _)| field.tail) {
            let capacity = arg.ty.capacity().unwrap_or(0);
            let outer = self.b.at(arg.span);
            let (from, limit) = match &arg.kind {
                ExprKind::Call(Intrinsic::Str, str_args) => {
                    let from = self.text_source(&str_args[0]);
                    (from, self.text_limit(str_args.get(1), capacity))
                }
                _ => (self.place(arg), self.b.iconst(i64::from(capacity))),
            };
            self.b.at(outer);
            tails.push(Tail { from, limit, capacity, field: field.offset, span: arg.span });
        }
        tails
    }

    /// Copies a string to the small form, or leaves for `too_long`.
    fn short_tail(&mut self, tail: &Tail, to: &Address, too_long: Block) {
        let whole = self.b.constant(tail.limit).is_some_and(|limit| limit >= i64::from(SMALL_STRING));
        let direct = matches!(self.shared.target.read, ReadForm::Cast)
            && matches!(tail.from.memory, Memory::Kernel | Memory::Either)
            && !self.known.in_context.contains(&tail.from.base)
            && whole;
        if direct {
            return self.short_tail_by_words(tail, to, too_long);
        }
        if !whole {
            // A limit of its own: the packed form obeys it.
            let fits = self.b.block();
            self.b.branch(Cond::Ge, tail.limit, Operand::Imm(SMALL_STRING as i32), fits, too_long);
            self.b.switch_sealed(fits);
        }
        let most = self.b.iconst(i64::from(SMALL_STRING));
        let length = if tail.from.memory == Memory::User && self.probe.context.program == ProgramKind::Iter {
            // It is read while no record is held.
            self.b.iconst(i64::from(SMALL_STRING))
        } else if tail.from.memory == Memory::User && self.can_sleep() {
            self.try_short(&tail.from, to, most, too_long)
        } else {
            self.read_text_into(&tail.from, to, most, tail.span)
        };
        // As many bytes as there is room: it may go on.
        let ends = self.b.block();
        self.b.branch(Cond::Eq, length, Operand::Imm(SMALL_STRING as i32), too_long, ends);
        self.b.switch_sealed(ends);
    }

    /// Copies word by word up to the one with a NUL, after making sure that all lie on one page: a load near the end
    /// of mapped memory would read zero for the whole word.
    fn short_tail_by_words(&mut self, tail: &Tail, to: &Address, too_long: Block) {
        let base = self.pointer(&tail.from);
        if tail.from.memory == Memory::Either {
            let of_kernel = self.b.block();
            let number = self.b.to_compare(base);
            self.b.branch(Cond::Slt, number, Operand::Imm(0), of_kernel, too_long);
            self.b.switch_sealed(of_kernel);
            self.trust(base);
        }
        let on_page = self.b.binary(AluOp::And, base, Operand::Imm(PAGE as i32 - 1));
        let same_page = self.b.block();
        let last = (PAGE - SMALL_STRING) as i32;
        self.b.branch(Cond::Gt, on_page, Operand::Imm(last), too_long, same_page);
        self.b.switch_sealed(same_page);
        let from = Address { memory: Memory::Kernel, base, offset: 0, field: None, align: 8 };
        let ones = self.b.iconst(0x0101_0101_0101_0101);
        let highs = self.b.iconst(0x8080_8080_8080_8080_u64 as i64);
        let ended = self.b.block();
        for offset in (0..SMALL_STRING).step_by(8) {
            let word = self.read_int(&from.plus(offset), Size::D, false, tail.span);
            let at = to.plus(offset);
            self.b.store(Size::D, at.base, at.offset, Operand::Value(word));
            // A byte of the word is zero exactly where this is non-zero.
            let borrowed = self.b.binary(AluOp::Sub, word, Operand::Value(ones));
            let inverted = self.b.binary(AluOp::Xor, word, Operand::Imm(-1));
            let both = self.b.binary(AluOp::And, borrowed, Operand::Value(inverted));
            let next = if offset + 8 < SMALL_STRING { self.b.block() } else { too_long };
            let zero_bytes = self.b.binary(AluOp::And, both, Operand::Value(highs));
            self.b.branch(Cond::Ne, zero_bytes, Operand::Imm(0), ended, next);
            if next != too_long {
                self.b.switch_sealed(next);
            }
        }
        self.b.switch_sealed(ended);
    }

    /// The flags of a submission: wakes user space only if it sleeps.
    fn wakeup_flags(&mut self) -> Value {
        let want = self.b.value(Op::GlobalAddr(globals::WANT_WAKEUP));
        let wanted = self.b.load(Size::W, false, want, 0);
        let (clear, go_on) = (self.b.cold_block(), self.b.block());
        self.b.branch(Cond::Ne, wanted, Operand::Imm(0), clear, go_on);
        self.b.switch_sealed(clear);
        self.b.store(Size::W, want, 0, Operand::Imm(0));
        self.b.jump(go_on, &[]);
        self.b.switch_sealed(go_on);
        // Not wanted: NO_WAKEUP, which is 1. Wanted (1): FORCE_WAKEUP, which is 2.
        self.b.add(wanted, Operand::Imm(BPF_RB_NO_WAKEUP))
    }

    fn submit(&mut self, pointer: Value) {
        let flags = self.wakeup_flags();
        self.b.call(Helper::RingbufSubmit, &[Operand::Value(pointer), Operand::Value(flags)]);
    }

    /// Sends the packed form. The fields are already in the reserved record, which is dropped.
    fn send_packed(&mut self, record: &Record, tails: &[Tail], reserved: Value, span: Span) {
        let room: u32 = tails.iter().map(|tail| tail.capacity).sum();
        let most = tails.iter().map(|tail| tail.capacity).max().unwrap_or(0);
        let slot = self.b.slot(record.size + room + most);
        // The record is given back before scratch memory is asked for, which may fail.
        let fields = self.b.slot(record.size);
        let fields = self.slot_address(fields);
        self.copy(&Address::own(reserved, 0), &fields, record.size, record.size, span);
        self.b.call(Helper::RingbufDiscard, &[Operand::Value(reserved), Operand::Imm(BPF_RB_NO_WAKEUP)]);
        let scratch = self.slot_address(slot);
        self.copy(&fields, &scratch, record.size, record.size, span);
        self.b.store(Size::W, scratch.base, scratch.offset + 4, Operand::Imm(Form::Packed as i32));
        let mut used = self.b.iconst(0);
        for tail in tails {
            let start = self.pointer(&scratch.plus(record.size));
            // The bound shows the verifier that the text stays inside the scratch memory.
            let bounded = self.at_most(used, room);
            let at = self.b.add(start, Operand::Value(bounded));
            let length = self.read_text_into(&tail.from, &Address::own(at, 0), tail.limit, tail.span);
            let result = self.b.variable();
            self.b.set(result, length);
            let (failed, done) = (self.b.block(), self.b.block());
            self.b.branch(Cond::Slt, length, Operand::Imm(0), failed, done);
            self.b.switch_sealed(failed);
            let zero = self.b.iconst(0);
            self.b.set(result, zero);
            self.b.jump(done, &[]);
            self.b.switch_sealed(done);
            let length = self.b.get(result);
            self.b.store(Size::W, scratch.base, scratch.offset + tail.field as i32, Operand::Value(length));
            used = self.b.add(bounded, Operand::Value(length));
        }
        let size = self.at_most(used, room);
        let size = self.b.add(size, Operand::Imm(record.size as i32));
        self.output(&scratch, size);
    }

    /// Sends bytes of our memory, and counts them as lost where the ring is full.
    fn output(&mut self, from: &Address, size: Value) {
        let flags = self.wakeup_flags();
        let ring = self.ring();
        let pointer = self.pointer(from);
        let args =
            [Operand::Value(ring), Operand::Value(pointer), Operand::Value(size), Operand::Value(flags)];
        let result = self.b.call(Helper::RingbufOutput, &args);
        let (lost, done) = (self.b.cold_block(), self.b.block());
        self.b.branch(Cond::Ne, result, Operand::Imm(0), lost, done);
        self.b.switch_sealed(lost);
        self.count_lost();
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }

    /// An event that must not be lost: where the main ring is full it goes to the reserve ring, behind the main one's
    /// position.
    fn emit_control(&mut self, id: ActionId) {
        let slot = self.b.slot(8 + EVENT_HEADER);
        let whole = self.slot_address(slot);
        let event = whole.plus(8);
        self.header(&event, id, Form::Small);
        let flags = self.wakeup_flags();
        let ring = self.ring();
        let pointer = self.pointer(&event);
        let size = Operand::Imm(EVENT_HEADER as i32);
        let result = self.b.call(
            Helper::RingbufOutput,
            &[Operand::Value(ring), Operand::Value(pointer), size, Operand::Value(flags)],
        );
        let (full, done) = (self.b.cold_block(), self.b.block());
        self.b.branch(Cond::Ne, result, Operand::Imm(0), full, done);
        self.b.switch_sealed(full);
        let ring = self.ring();
        let position =
            self.b.call(Helper::RingbufQuery, &[Operand::Value(ring), Operand::Imm(BPF_RB_PROD_POS)]);
        self.b.store(Size::D, whole.base, whole.offset, Operand::Value(position));
        let reserve = match self.shared.reserve {
            Some(reserve) => self.b.value(Op::MapRef(reserve)),
            None => ring,
        };
        let pointer = self.pointer(&whole);
        let size = Operand::Imm(8 + EVENT_HEADER as i32);
        let args = [Operand::Value(reserve), Operand::Value(pointer), size, Operand::Imm(0)];
        let result = self.b.call(Helper::RingbufOutput, &args);
        let lost = self.b.block();
        self.b.branch(Cond::Ne, result, Operand::Imm(0), lost, done);
        self.b.switch_sealed(lost);
        self.count_lost();
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }

    /// `exit(code)`: the code and the flag lie in the globals, so that they arrive even if no event does.
    pub(super) fn exit(&mut self, id: ActionId, code: Option<&Expr>) {
        let code = match code {
            Some(code) => self.scalar(code),
            None => self.b.iconst(0),
        };
        let base = self.b.value(Op::GlobalAddr(0));
        self.b.store(Size::D, base, globals::EXIT_CODE as i32, Operand::Value(code));
        self.b.store(Size::W, base, globals::EXITING as i32, Operand::Imm(1));
        self.emit_control(id);
        self.leave(Operand::Imm(0));
    }

    /// `join(argv)`: reads the pointers, and packs as many words as there are.
    pub(super) fn join(&mut self, id: ActionId, argv: &Expr, span: Span) {
        let Action::Join { args: record, .. } = &self.program.actions[id] else {
            return;
        };
        let record = record.clone();
        let memory = Memory::of_pointer(&argv.ty);
        let base = self.scalar(argv);
        let words = (record.fields.len() as u32).min(JOIN_WORDS);
        let capacity = record.fields.iter().filter_map(|field| field.ty.capacity()).max().unwrap_or(0);
        let room = words * capacity;
        let slot = self.b.slot(record.size + room + capacity);
        let scratch = self.slot_address(slot);
        self.clear(&scratch, record.size);
        self.header(&scratch, id, Form::Packed);
        let start = self.pointer(&scratch.plus(record.size));
        let used = self.b.variable();
        let zero = self.b.iconst(0);
        self.b.set(used, zero);
        let complete = self.b.block();
        for (index, field) in record.fields.iter().take(words as usize).enumerate() {
            let at = Address { memory, base, offset: index as i32 * 8, field: None, align: 8 };
            let word = self.read_int(&at, Size::D, false, span);
            let more = self.b.block();
            self.b.branch(Cond::Eq, word, Operand::Imm(0), complete, more);
            self.b.switch_sealed(more);
            let so_far = self.b.get(used);
            let bounded = self.at_most(so_far, room);
            let to = self.b.add(start, Operand::Value(bounded));
            let from = Address { memory, base: word, offset: 0, field: None, align: 8 };
            let most = self.b.iconst(i64::from(capacity));
            let length = self.read_text_into(&from, &Address::own(to, 0), most, span);
            let fine = self.b.block();
            self.b.branch(Cond::Sle, length, Operand::Imm(0), complete, fine);
            self.b.switch_sealed(fine);
            self.b.store(Size::W, scratch.base, scratch.offset + field.offset as i32, Operand::Value(length));
            let sum = self.b.add(bounded, Operand::Value(length));
            self.b.set(used, sum);
        }
        self.b.jump(complete, &[]);
        self.b.switch_sealed(complete);
        let used = self.b.get(used);
        let size = self.at_most(used, room);
        let size = self.b.add(size, Operand::Imm(record.size as i32));
        self.output(&scratch, size);
    }
}
