//! Writing whole values into memory: keys, map values, fields of events, variables that are no scalars.

use rtscript_lang::record::Record;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{Expr, ExprKind, Intrinsic};
use rtscript_lang::types::{Space, Stack, StackMode, Structs, Type};

use super::Lowering;
use super::memory::{Address, Memory, size_of};
use crate::insn::{AluOp, Cond, Helper, Size};
use crate::ir::{Op, Operand, Value};
use crate::object::SiteKind;
use crate::target::Loops;

const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;
/// The program itself, `bpf_trace_run2`, and `__bpf_trace_sys_enter` or its like (Linux 6.1 to 6.18).
const DISPATCHER_FRAMES: i32 = 3;
const BPF_F_USER_STACK: i32 = 1 << 8;
const BPF_F_USER_BUILD_ID: i32 = 1 << 11;

impl Lowering<'_, '_> {
    /// Evaluates an expression into our memory: all bytes of its type's layout.
    ///
    /// With `exact`, equal values have equal bytes, so that they can be keys: what follows a string's NUL, and what
    /// lies between the fields of a tuple, is zero.
    pub(super) fn write(&mut self, expr: &Expr, to: &Address, exact: bool) {
        let outer = self.b.at(expr.span);
        self.write_at(expr, to, exact);
        self.b.at(outer);
    }

    fn write_at(&mut self, expr: &Expr, to: &Address, exact: bool) {
        let room = self.structs().layout(&expr.ty).size;
        if expr.ty.is_scalar() {
            let value = self.scalar(expr);
            let size = size_of(u32::from(self.int_of(&expr.ty).size));
            return self.b.store(size, to.base, to.offset, Operand::Value(value));
        }
        match &expr.kind {
            ExprKind::String(text) => self.write_text(text, to, room),
            ExprKind::Tuple(elements) => {
                let types: Vec<Type> = elements.iter().map(|element| element.ty.clone()).collect();
                let record = Record::of(&types, self.structs());
                let used: u32 = types.iter().map(|ty| self.structs().layout(ty).size).sum();
                if used != room {
                    self.clear(to, room);
                }
                for (element, field) in elements.iter().zip(&record.fields) {
                    self.write(element, &to.plus(field.offset), exact);
                }
            }
            ExprKind::Select(cond, then, otherwise) => {
                self.either(cond, |this| this.write(then, to, exact), |this| this.write(otherwise, to, exact))
            }
            ExprKind::Block(statements, value) => {
                self.statements(statements);
                self.write(value, to, exact);
            }
            ExprKind::Map(element) => self.map_bytes(element, &expr.ty, to),
            ExprKind::Cast(inner) if matches!(expr.ty, Type::String(_)) && inner.ty.is_scalar() => {
                self.write_text_of(inner, to, room, expr.span)
            }
            ExprKind::Cast(inner) if inner.ty.is_scalar() => {
                // A number as an array of bytes, of which there may be fewer.
                let value = self.scalar(inner);
                let number = u32::from(self.int_of(&inner.ty).size);
                let size = self.structs().size_in_memory(&expr.ty).min(number);
                self.clear(to, room);
                let mut done = 0;
                while done < size {
                    let bytes = 1 << (size - done).ilog2();
                    let rest = match done {
                        0 => value,
                        _ => self.b.binary(AluOp::Rsh, value, Operand::Imm(8 * done as i32)),
                    };
                    self.b.store(size_of(bytes), to.base, to.offset + done as i32, Operand::Value(rest));
                    done += bytes;
                }
            }
            ExprKind::Cast(inner) => self.write_with_capacity(inner, &expr.ty, to, exact),
            ExprKind::Call(intrinsic, args) => self.write_call(*intrinsic, args, expr, to, exact),
            ExprKind::Local(_)
            | ExprKind::Field(..)
            | ExprKind::Index(..)
            | ExprKind::Deref(_)
            | ExprKind::TupleField(..)
            | ExprKind::Arg(_)
            | ExprKind::Retval => {
                let from = self.place(expr);
                // A structure brings along what follows the NUL of its texts.
                let in_struct = matches!(expr.kind, ExprKind::Field(..) | ExprKind::Index(..));
                match &expr.ty {
                    Type::String(capacity) if exact && in_struct => {
                        // One that fills its array has no NUL there, and gets one where there is room.
                        self.read_text(&from, to, room.min(capacity + 1), room, true, expr.span);
                    }
                    _ => self.write_from(&from, &expr.ty, to, exact, expr.span),
                }
            }
            // Scalars, which were handled above.
            ExprKind::Int(_)
            | ExprKind::Merged(_)
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
            | ExprKind::Step { .. } => {}
        }
    }

    /// Copies a value from where it lies.
    pub(super) fn write_from(&mut self, from: &Address, ty: &Type, to: &Address, exact: bool, span: Span) {
        let layout = self.structs().layout(ty).size;
        let foreign = matches!(from.memory, Memory::Kernel | Memory::User | Memory::Either | Memory::Context);
        let bytes = match ty {
            Type::String(capacity) if foreign => {
                let long = *capacity > rtscript_lang::record::SMALL_STRING;
                if exact || long {
                    return self.read_text(from, to, *capacity, layout, exact, span);
                }
                *capacity
            }
            // No more: a part of a larger value has others behind it.
            _ => self.structs().size_in_memory(ty),
        };
        self.copy(from, to, bytes, layout, span);
        if exact {
            self.clear_padding(ty, to);
        }
    }

    /// Makes zero what lies between the members of a structure, where a copy has brought anything.
    fn clear_padding(&mut self, ty: &Type, at: &Address) {
        if !matches!(ty, Type::Struct(_) | Type::Array(..)) {
            return;
        }
        let mut used = vec![0; self.structs().size_in_memory(ty) as usize];
        cover(self.structs(), ty, 0, &mut used);
        let mut from = 0;
        while from < used.len() {
            let same = used[from..].iter().take_while(|byte| **byte == used[from]).count();
            let there = at.plus(from as u32);
            match used[from] {
                0xff => {}
                0 => self.clear(&there, same as u32),
                mask => {
                    for index in 0..same {
                        let byte = there.plus(index as u32);
                        let value = self.read_int(&byte, Size::B, false, Span::default());
                        let kept = self.b.binary(AluOp::And, value, Operand::Imm(i32::from(mask)));
                        self.b.store(Size::B, byte.base, byte.offset, Operand::Value(kept));
                    }
                }
            }
            from += same;
        }
    }

    /// Reads a string up to its NUL, at most `capacity` bytes with it; the rest stays as it is, or is zero if `exact`.
    pub(super) fn read_text(
        &mut self,
        from: &Address,
        to: &Address,
        capacity: u32,
        room: u32,
        exact: bool,
        span: Span,
    ) {
        if exact {
            self.clear(to, room);
        }
        let length = self.b.iconst(i64::from(capacity));
        self.read_text_into(from, to, length, span);
    }

    /// Reads a string of at most `length` bytes, its NUL included; the result is its length, negative on a failure.
    pub(super) fn read_text_into(
        &mut self,
        from: &Address,
        to: &Address,
        length: Value,
        span: Span,
    ) -> Value {
        let helper = from.memory.string_reader();
        let source = self.pointer(from);
        let target = self.pointer(to);
        let most =
            self.b.constant(length).map_or(self.program.config.text_capacity(), |length| length as u32);
        let result = self.call_reader(helper, target, (Operand::Value(length), most), source);
        self.count_site_if(Cond::Slt, result, Operand::Imm(0), (SiteKind::ReadFailed, span), Some(result));
        result
    }

    /// A string with another capacity than its own.
    fn write_with_capacity(&mut self, inner: &Expr, ty: &Type, to: &Address, exact: bool) {
        let (from, into) = match (&inner.ty, ty) {
            (Type::String(from), Type::String(into)) => (*from, *into),
            _ => return self.write(inner, to, exact || matches!(inner.ty, Type::String(_))),
        };
        let room = self.structs().layout(ty).size;
        let inner_room = self.structs().layout(&inner.ty).size;
        if inner_room <= room {
            self.write(inner, to, exact);
            if exact || from < into {
                self.clear(&to.plus(inner_room), room - inner_room);
            }
            return;
        }
        let place = self.place(inner);
        self.read_text(&place, to, into, room, exact, inner.span);
    }

    fn write_text(&mut self, text: &[u8], to: &Address, room: u32) {
        let mut bytes = text.to_vec();
        bytes.truncate(room as usize);
        bytes.resize(room as usize, 0);
        for (index, word) in bytes.chunks(8).enumerate() {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            let value = self.b.iconst(i64::from_le_bytes(padded));
            let at = to.plus(index as u32 * 8);
            self.b.store(Size::D, at.base, at.offset, Operand::Value(value));
        }
    }

    fn write_call(&mut self, intrinsic: Intrinsic, args: &[Expr], expr: &Expr, to: &Address, exact: bool) {
        let room = self.structs().layout(&expr.ty).size;
        match intrinsic {
            Intrinsic::Comm => match self.comm_place() {
                Some(place) => self.copy(&place, to, 16, room, expr.span),
                None => {
                    let target = self.pointer(to);
                    self.b.call(Helper::GetCurrentComm, &[Operand::Value(target), Operand::Imm(16)]);
                }
            },
            Intrinsic::Str => {
                let capacity = expr.ty.capacity().unwrap_or(room);
                let from = self.text_source(&args[0]);
                if exact {
                    self.clear(to, room);
                }
                let length = self.text_limit(args.get(1), capacity);
                self.read_text_into(&from, to, length, expr.span);
            }
            Intrinsic::Concat => {
                let capacity = expr.ty.capacity().unwrap_or(room);
                self.concat(&args[0], &args[1], to, capacity, exact);
            }
            Intrinsic::Buf => self.write_buffer(args, expr, to),
            Intrinsic::Stack => {
                if let Type::Stack(stack) = &expr.ty {
                    self.write_stack(*stack, to, room);
                }
            }
            Intrinsic::Ntop => self.write_address(None, &args[0], to),
            Intrinsic::NtopFamily => self.write_address(Some(&args[0]), &args[1], to),
            Intrinsic::UserSymbol => {
                let address = self.scalar(&args[0]);
                self.b.store(Size::D, to.base, to.offset, Operand::Value(address));
                let pid = self.pid_tgid();
                let pid = self.b.binary(AluOp::Rsh, pid, Operand::Imm(32));
                self.b.store(Size::D, to.base, to.offset + 8, Operand::Value(pid));
            }
            Intrinsic::Mac => {
                let from = self.place(&args[0]);
                self.copy(&from, to, 6, room, expr.span);
            }
            // Scalars.
            Intrinsic::Pid
            | Intrinsic::Tid
            | Intrinsic::Uid
            | Intrinsic::Gid
            | Intrinsic::Cpu
            | Intrinsic::Nsecs(_)
            | Intrinsic::Elapsed
            | Intrinsic::Curtask
            | Intrinsic::Rand
            | Intrinsic::Probe
            | Intrinsic::Cgroup
            | Intrinsic::Jiffies
            | Intrinsic::Numaid
            | Intrinsic::ByteSwap
            | Intrinsic::StrLen
            | Intrinsic::StackLen
            | Intrinsic::ProbeAddress
            | Intrinsic::PidInside
            | Intrinsic::TidInside
            | Intrinsic::Context
            | Intrinsic::UserMode
            | Intrinsic::Register(_)
            | Intrinsic::Override
            | Intrinsic::WriteUser
            | Intrinsic::Find
            | Intrinsic::CompareBytes
            | Intrinsic::Signal
            | Intrinsic::SignalThread
            | Intrinsic::TracePrint
            | Intrinsic::SeqPrint
            | Intrinsic::Foreign(_) => {}
        }
    }

    /// Where a string that `str` is given lies.
    pub(super) fn text_source(&mut self, pointer: &Expr) -> Address {
        if !pointer.ty.is_scalar() {
            return self.place(pointer);
        }
        let memory = match Memory::of_pointer(&pointer.ty) {
            Memory::Own | Memory::Context | Memory::Kernel => Memory::Kernel,
            memory @ (Memory::User | Memory::Either) => memory,
        };
        let base = self.scalar(pointer);
        Address { memory, base, offset: 0, field: None, align: 8 }
    }

    /// How many bytes `str` may read, its NUL included: at most the capacity.
    pub(super) fn text_limit(&mut self, length: Option<&Expr>, capacity: u32) -> Value {
        let Some(length) = length else {
            return self.b.iconst(i64::from(capacity));
        };
        let wanted = self.scalar(length);
        let with_nul = self.b.add(wanted, Operand::Imm(1));
        self.at_most(with_nul, capacity)
    }

    /// The smaller of a number and a bound, both unsigned, in a form whose bound the verifier sees.
    pub(super) fn at_most(&mut self, value: Value, most: u32) -> Value {
        if let Some(constant) = self.b.constant(value) {
            return self.b.iconst((constant as u64).min(u64::from(most)) as i64);
        }
        let value = self.b.to_compare(value);
        let result = self.b.variable();
        let (big, small, done) = (self.b.block(), self.b.block(), self.b.block());
        self.b.branch(Cond::Gt, value, Operand::Imm(most as i32), big, small);
        self.b.switch_sealed(big);
        let bound = self.b.iconst(i64::from(most));
        self.b.set_known(result, bound);
        self.b.jump(done, &[]);
        self.b.switch_sealed(small);
        self.b.set_known(result, value);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
        self.b.get(result)
    }

    /// `{ u32 length, bytes }`.
    fn write_buffer(&mut self, args: &[Expr], expr: &Expr, to: &Address) {
        let capacity = expr.ty.capacity().unwrap_or(0);
        let from = self.text_source(&args[0]);
        let length = match args.get(1) {
            Some(length) => {
                let wanted = self.scalar(length);
                self.at_most(wanted, capacity)
            }
            None => self.b.iconst(i64::from(capacity)),
        };
        self.b.store(Size::W, to.base, to.offset, Operand::Value(length));
        let helper = from.memory.reader();
        let source = self.pointer(&from);
        let target = self.pointer(&to.plus(4));
        let result = self.call_reader(helper, target, (Operand::Value(length), capacity), source);
        let site = (SiteKind::ReadFailed, expr.span);
        self.count_site_if(Cond::Ne, result, Operand::Imm(0), site, Some(result));
    }

    fn write_stack(&mut self, stack: Stack, to: &Address, room: u32) {
        let flags = match (stack.space, stack.mode) {
            (Space::User, StackMode::BuildId) => BPF_F_USER_STACK | BPF_F_USER_BUILD_ID,
            (Space::User, StackMode::Symbols | StackMode::Perf | StackMode::Raw) => BPF_F_USER_STACK,
            // A dispatched tracepoint is to look like any other: its stack begins behind what called the program.
            (Space::Kernel | Space::Either | Space::Context, _) if self.probe.dispatch.is_some() => {
                DISPATCHER_FRAMES
            }
            (Space::Kernel | Space::Either | Space::Context, _) => 0,
        };
        let mut to = to.clone();
        let mut room = room;
        if stack.space == Space::User {
            let pid = self.pid_tgid();
            let pid = self.b.binary(AluOp::Rsh, pid, Operand::Imm(32));
            self.b.store(Size::D, to.base, to.offset, Operand::Value(pid));
            to = to.plus(stack.header());
            room -= stack.header();
        }
        let context = self.b.context();
        let target = self.pointer(&to);
        let args =
            [Operand::Value(context), Operand::Value(target), Operand::Imm(room as i32), Operand::Imm(flags)];
        let length = self.b.call(Helper::GetStack, &args);
        // On an error the memory may be as it was; an empty stack begins with zero.
        let (failed, done) = (self.b.block(), self.b.block());
        self.b.branch(Cond::Slt, length, Operand::Imm(0), failed, done);
        self.b.switch_sealed(failed);
        self.clear(&to, room);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
    }

    /// The number of frames before the first zero.
    pub(super) fn stack_length(&mut self, stack: &Expr, _span: Span) -> Value {
        let Type::Stack(kind) = stack.ty else { return self.b.iconst(0) };
        let place = self.place(stack).plus(kind.header());
        let count = self.b.variable();
        let zero = self.b.iconst(0);
        self.b.set(count, zero);
        // A build id is preceded by a status that is not zero where there is a frame.
        let size = if kind.mode == StackMode::BuildId { Size::W } else { Size::D };
        self.counted_loop(kind.frames, |this, index, after| {
            let at = this.element(&place, index, kind.frame_size());
            let frame = this.read_int(&at, size, false, stack.span);
            let go_on = this.b.block();
            this.b.branch(Cond::Eq, frame, Operand::Imm(0), after, go_on);
            this.b.switch_sealed(go_on);
            let next = this.b.add(index, Operand::Imm(1));
            this.b.set(count, next);
        });
        self.b.get(count)
    }

    /// `{ u64 family, u8 bytes[16] }` of an address in network order.
    fn write_address(&mut self, family: Option<&Expr>, address: &Expr, to: &Address) {
        self.clear(to, 24);
        if address.ty.is_scalar() && !matches!(address.ty, Type::Pointer(..)) {
            let family = match family {
                Some(family) => self.scalar(family),
                None => self.b.iconst(i64::from(AF_INET)),
            };
            let value = self.scalar(address);
            self.b.store(Size::D, to.base, to.offset, Operand::Value(family));
            return self.b.store(Size::W, to.base, to.offset + 8, Operand::Value(value));
        }
        let from = match &address.ty {
            Type::Pointer(..) => self.text_source(address),
            _ => self.place(address),
        };
        let bytes = match &address.ty {
            Type::Array(_, bytes) | Type::String(bytes) => (*bytes).min(16),
            Type::Struct(id) => self.structs().structs[*id].size.min(16),
            _ => 16,
        };
        let target = to.plus(8);
        match family {
            None => {
                let family = if bytes <= 4 { AF_INET } else { AF_INET6 };
                self.b.store(Size::D, to.base, to.offset, Operand::Imm(family));
                self.copy(&from, &target, bytes, bytes, address.span);
            }
            Some(family) => {
                let family = self.scalar(family);
                self.b.store(Size::D, to.base, to.offset, Operand::Value(family));
                let (short, long, done) = (self.b.block(), self.b.block(), self.b.block());
                self.b.branch(Cond::Eq, family, Operand::Imm(AF_INET), short, long);
                for (block, bytes) in [(short, bytes.min(4)), (long, bytes)] {
                    self.b.switch_sealed(block);
                    self.branch_scope(|this| this.copy(&from, &target, bytes, bytes, address.span));
                    self.b.jump(done, &[]);
                }
                self.b.switch_sealed(done);
            }
        }
    }

    /// A loop of at most `rounds` rounds; `body` gets the index and the block behind the loop.
    pub(super) fn counted_loop(
        &mut self,
        rounds: u32,
        body: impl FnOnce(&mut Self, Value, crate::ir::Block),
    ) {
        let index = self.b.variable();
        let zero = self.b.iconst(0);
        let forgets = self.shared.target.loops != Loops::Walked;
        if forgets {
            self.b.enter_loop();
        }
        self.b.set(index, zero);
        let (head, inside, after) = (self.b.block(), self.b.block(), self.b.block());
        self.b.jump(head, &[]);
        self.b.switch(head);
        let here = if forgets {
            let bounded = self.b.block();
            self.b.may_goto(bounded, after);
            self.b.switch_sealed(bounded);
            self.b.get(index)
        } else {
            self.b.get(index)
        };
        self.b.branch(Cond::Lt, here, Operand::Imm(rounds as i32), inside, after);
        self.b.switch_sealed(inside);
        self.branch_scope(|this| body(this, here, after));
        let next = self.b.value(Op::Binary(AluOp::Add, here, Operand::Imm(1)));
        self.b.set(index, next);
        self.b.jump(head, &[]);
        self.b.seal(head);
        if forgets {
            self.b.leave_loop();
        }
        self.b.switch_sealed(after);
    }
}

/// Sets the bits of `used` that hold something of a value which begins at `offset` bits.
fn cover(structs: &Structs, ty: &Type, offset: usize, used: &mut [u8]) {
    let bits = match ty {
        Type::Struct(id) => match structs.structs[*id].fields.as_deref() {
            Some(fields) if !fields.is_empty() => {
                for field in fields {
                    let start = offset + field.offset_bits as usize;
                    match field.bits {
                        Some(width) => mark(used, start, usize::from(width)),
                        None => cover(structs, &field.ty, start, used),
                    }
                }
                return;
            }
            Some(_) | None => 8 * structs.size_in_memory(ty),
        },
        Type::Array(element, count) => {
            let size = 8 * structs.size_in_memory(element) as usize;
            for index in 0..*count as usize {
                cover(structs, element, offset + index * size, used);
            }
            return;
        }
        Type::Void
        | Type::Bool
        | Type::Int(_)
        | Type::Enum(_)
        | Type::String(_)
        | Type::Buffer(_)
        | Type::Pointer(..)
        | Type::Tuple(_)
        | Type::Record(_)
        | Type::Label(_)
        | Type::Stack(_)
        | Type::KernelSymbol
        | Type::UserSymbol
        | Type::Inet
        | Type::Mac
        | Type::Timestamp(..)
        | Type::Username
        | Type::Probe
        | Type::Aggregate(_) => 8 * structs.size_in_memory(ty),
    };
    mark(used, offset, bits as usize);
}

fn mark(used: &mut [u8], start: usize, bits: usize) {
    for bit in start..start + bits {
        if let Some(byte) = used.get_mut(bit / 8) {
            *byte |= 1 << (bit % 8);
        }
    }
}
