//! Expressions: scalars as values, everything else as bytes.

use rtscript_lang::provider::{Place, ProgramKind};
use rtscript_lang::record::Record;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{BinaryOp, CompareOp, Expr, ExprKind, Intrinsic, StepPlace, UnaryOp};
use rtscript_lang::types::{Clock, Space, Type};

use super::memory::{Address, Memory, size_of};
use super::{Lowering, Storage};
use crate::insn::{AluOp, Cond, Helper, Size, SwapBits};
use crate::ir::{Block, Op, Operand, Value};
use crate::object::SiteKind;
use crate::target::ReadForm;

impl Lowering<'_, '_> {
    /// The value of a scalar expression, extended to 64 bits by its type.
    pub(super) fn scalar(&mut self, expr: &Expr) -> Value {
        let outer = self.b.at(expr.span);
        let value = self.scalar_at(expr);
        self.b.at(outer);
        value
    }

    fn scalar_at(&mut self, expr: &Expr) -> Value {
        match &expr.kind {
            ExprKind::Int(value) => self.b.iconst(*value as i64),
            ExprKind::Local(local) => self.local_number(*local),
            ExprKind::AddressOf(place) => self.address_of(place),
            ExprKind::Map(element) => self.map_scalar(element, &expr.ty),
            ExprKind::Merged(element) => self.merged(element, expr.span),
            ExprKind::HasKey(element) => self.has_key(element),
            ExprKind::Find(element, local) => self.find(element, *local, expr.span),
            ExprKind::Delete(element) => self.delete(element, expr.span),
            ExprKind::Len(map) => self.map_len(*map),
            ExprKind::Arg(index) => {
                let place = self.probe.context.args[*index as usize].place;
                self.context_scalar(place, &expr.ty, expr.span)
            }
            ExprKind::Word(index) => {
                let place = self.probe.context.words[*index as usize];
                self.context_scalar(place, &expr.ty, expr.span)
            }
            ExprKind::Retval => match self.probe.context.retval.as_ref().map(|retval| retval.place) {
                Some(place) => self.context_scalar(place, &expr.ty, expr.span),
                None => self.b.iconst(0),
            },
            ExprKind::Unary(op, operand) => {
                let value = self.scalar(operand);
                match op {
                    UnaryOp::Neg => {
                        let zero = self.b.iconst(0);
                        let negated = match self.b.constant(value) {
                            Some(constant) => self.b.iconst(constant.wrapping_neg()),
                            None => self.b.binary(AluOp::Sub, zero, Operand::Value(value)),
                        };
                        self.cut(negated, &expr.ty)
                    }
                    UnaryOp::Not => {
                        let inverted = self.b.binary(AluOp::Xor, value, Operand::Imm(-1));
                        self.cut(inverted, &expr.ty)
                    }
                    UnaryOp::IsZero => {
                        let compared = self.b.to_compare(value);
                        let result = self.b.compare(Cond::Eq, compared, Operand::Imm(0));
                        self.b.to_compare(result)
                    }
                }
            }
            ExprKind::Binary(op, left, right) => {
                let signed = self.int_of(&left.ty).signed;
                let left = self.scalar(left);
                let right = self.scalar(right);
                self.arithmetic(*op, signed, left, right, expr.span)
            }
            ExprKind::Compare(op, left, right) => {
                let signed = self.int_of(&left.ty).signed;
                let left = self.scalar(left);
                let right = self.scalar(right);
                let (left, right) = (self.b.to_compare(left), self.b.to_compare(right));
                let result = self.b.compare(condition(*op, signed), left, Operand::Value(right));
                self.b.to_compare(result)
            }
            ExprKind::Equal(..) | ExprKind::EqualPrefix(..) | ExprKind::And(..) | ExprKind::Or(..) => {
                self.bool_value(expr)
            }
            ExprKind::Select(cond, then, otherwise) => {
                let result = self.b.variable();
                self.either(
                    cond,
                    |this| {
                        let value = this.scalar(then);
                        this.b.set(result, value);
                    },
                    |this| {
                        let value = this.scalar(otherwise);
                        this.b.set(result, value);
                    },
                );
                self.b.get(result)
            }
            ExprKind::Block(statements, value) => {
                self.statements(statements);
                self.scalar(value)
            }
            ExprKind::Cast(inner) => self.cast(inner, &expr.ty),
            ExprKind::Step { place, by, post } => match place {
                StepPlace::Local(local) => {
                    let before = self.local_number(*local);
                    let by = self.b.iconst(*by);
                    let sum = self.b.add(before, Operand::Value(by));
                    let after = self.cut(sum, &self.probe.locals[*local].ty);
                    self.set_local_number(*local, after);
                    if *post { before } else { after }
                }
                StepPlace::Map(element) => {
                    let before = self.step_map(element, *by, expr.span);
                    let by = self.b.iconst(if *post { 0 } else { *by });
                    self.b.add(before, Operand::Value(by))
                }
            },
            ExprKind::Field(base, path) => match path.bits {
                Some(bits) => {
                    let place = self.place(base);
                    let signed = self.int_of(&expr.ty).signed;
                    self.read_bits(&place, path, bits, signed, expr.span)
                }
                None => {
                    let place = self.place(expr);
                    self.read(&place, &expr.ty, expr.span)
                }
            },
            ExprKind::Index(..) | ExprKind::Deref(_) | ExprKind::TupleField(..) => {
                let place = self.place(expr);
                self.read(&place, &expr.ty, expr.span)
            }
            ExprKind::Call(intrinsic, args) => self.intrinsic(*intrinsic, args, &expr.ty, expr.span),
            // No scalars.
            ExprKind::String(_) | ExprKind::Tuple(_) => self.b.iconst(0),
        }
    }

    /// Brings a 64-bit result into the width of its type.
    fn cut(&mut self, value: Value, ty: &Type) -> Value {
        let int = self.int_of(ty);
        self.b.extend(value, size_of(u32::from(int.size)), int.signed)
    }

    fn cast(&mut self, inner: &Expr, to: &Type) -> Value {
        if !inner.ty.is_scalar() {
            // Bytes as a number: `(uint64)$array`.
            let place = self.place(inner);
            return self.read(&place, to, inner.span);
        }
        let value = self.scalar(inner);
        if *to == Type::Bool {
            if inner.ty == Type::Bool {
                return value;
            }
            let compared = self.b.to_compare(value);
            let result = self.b.compare(Cond::Ne, compared, Operand::Imm(0));
            return self.b.to_compare(result);
        }
        let (from, into) = (self.int_of(&inner.ty), self.int_of(to));
        let widens = into.size > from.size && (!from.signed || into.signed) || into.size == 8;
        if widens || from == into {
            return value;
        }
        self.cut(value, to)
    }

    /// Arithmetic of two 64-bit numbers. A division by zero gives 1 and is counted.
    pub(super) fn arithmetic(
        &mut self,
        op: BinaryOp,
        signed: bool,
        left: Value,
        right: Value,
        span: Span,
    ) -> Value {
        let operand = Operand::Value(right);
        let alu = match op {
            BinaryOp::Add => AluOp::Add,
            BinaryOp::Sub => AluOp::Sub,
            BinaryOp::Mul => AluOp::Mul,
            BinaryOp::And => AluOp::And,
            BinaryOp::Or => AluOp::Or,
            BinaryOp::Xor => AluOp::Xor,
            BinaryOp::Shl => AluOp::Lsh,
            BinaryOp::Shr if signed => AluOp::Arsh,
            BinaryOp::Shr => AluOp::Rsh,
            BinaryOp::Div | BinaryOp::Mod => return self.divide(op, signed, left, right, span),
        };
        self.b.binary(alu, left, operand)
    }

    fn divide(&mut self, op: BinaryOp, signed: bool, left: Value, right: Value, span: Span) -> Value {
        if self.b.constant(right).is_some_and(|divisor| divisor != 0) {
            return self.quotient(op, signed, left, right);
        }
        let result = self.b.variable();
        let (by_zero, fine, done) = (self.b.block(), self.b.block(), self.b.block());
        let divisor = self.b.to_compare(right);
        self.b.branch(Cond::Eq, divisor, Operand::Imm(0), by_zero, fine);
        self.b.switch_sealed(by_zero);
        self.count_site(SiteKind::DivideByZero, span, None);
        let one = self.b.iconst(1);
        self.b.set(result, one);
        self.b.jump(done, &[]);
        self.b.switch_sealed(fine);
        let quotient = self.quotient(op, signed, left, right);
        self.b.set(result, quotient);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
        self.b.get(result)
    }

    /// Signed division by magnitudes, where the instruction set has no signed one: the sign of a quotient is that
    /// of both sides together, and the sign of a remainder that of the left.
    fn quotient(&mut self, op: BinaryOp, signed: bool, left: Value, right: Value) -> Value {
        let is_div = op == BinaryOp::Div;
        if !signed || self.shared.target.isa_v4 {
            let alu = match (is_div, signed) {
                (true, false) => AluOp::Div,
                (true, true) => AluOp::Sdiv,
                (false, false) => AluOp::Mod,
                (false, true) => AluOp::Smod,
            };
            return self.b.binary(alu, left, Operand::Value(right));
        }
        let (left_sign, left_size) = self.magnitude(left);
        let (right_sign, right_size) = self.magnitude(right);
        let alu = if is_div { AluOp::Div } else { AluOp::Mod };
        let size = self.b.binary(alu, left_size, Operand::Value(right_size));
        let sign =
            if is_div { self.b.binary(AluOp::Xor, left_sign, Operand::Value(right_sign)) } else { left_sign };
        let flipped = self.b.binary(AluOp::Xor, size, Operand::Value(sign));
        self.b.binary(AluOp::Sub, flipped, Operand::Value(sign))
    }

    /// The sign (0 or -1) and the absolute value.
    fn magnitude(&mut self, value: Value) -> (Value, Value) {
        let sign = self.b.binary(AluOp::Arsh, value, Operand::Imm(63));
        let flipped = self.b.binary(AluOp::Xor, value, Operand::Value(sign));
        (sign, self.b.binary(AluOp::Sub, flipped, Operand::Value(sign)))
    }

    // Conditions.

    /// Branches on whether an expression is non-zero.
    pub(super) fn condition(&mut self, expr: &Expr, then: Block, otherwise: Block) {
        let outer = self.b.at(expr.span);
        match &expr.kind {
            ExprKind::And(left, right) => {
                let middle = self.b.block();
                self.condition(left, middle, otherwise);
                self.b.switch_sealed(middle);
                self.branch_scope(|this| this.condition(right, then, otherwise));
            }
            ExprKind::Or(left, right) => {
                let middle = self.b.block();
                self.condition(left, then, middle);
                self.b.switch_sealed(middle);
                self.branch_scope(|this| this.condition(right, then, otherwise));
            }
            ExprKind::Unary(UnaryOp::IsZero, operand) if operand.ty.is_scalar() => {
                self.condition(operand, otherwise, then);
            }
            ExprKind::Compare(op, left, right) => {
                let signed = self.int_of(&left.ty).signed;
                let left = self.scalar(left);
                let right = self.scalar(right);
                let (left, right) = (self.b.to_compare(left), self.b.to_compare(right));
                self.b.branch(condition(*op, signed), left, Operand::Value(right), then, otherwise);
            }
            ExprKind::Cast(inner) if expr.ty == Type::Bool && inner.ty.is_scalar() => {
                self.condition(inner, then, otherwise);
            }
            ExprKind::Equal(wanted, left, right) => {
                let (same, different) = if *wanted { (then, otherwise) } else { (otherwise, then) };
                self.equal(left, right, same, different);
            }
            ExprKind::EqualPrefix(left, right, length) => {
                // It is 0 for equal text, like C's.
                self.equal_text(left, right, Some(*length), otherwise, then);
            }
            ExprKind::Block(statements, value) => {
                self.statements(statements);
                self.condition(value, then, otherwise);
            }
            _ => {
                let value = self.scalar(expr);
                let value = self.b.to_compare(value);
                self.b.branch(Cond::Ne, value, Operand::Imm(0), then, otherwise);
            }
        }
        self.b.at(outer);
    }

    /// A condition as 0 or 1.
    fn bool_value(&mut self, expr: &Expr) -> Value {
        let result = self.b.variable();
        let (yes, no, done) = (self.b.block(), self.b.block(), self.b.block());
        self.branch_scope(|this| this.condition(expr, yes, no));
        for (block, value) in [(yes, 1), (no, 0)] {
            self.b.switch_sealed(block);
            let value = self.b.iconst(value);
            self.b.set(result, value);
            self.b.jump(done, &[]);
        }
        self.b.switch_sealed(done);
        self.b.get(result)
    }

    /// Lowers one of two things.
    pub(super) fn either(
        &mut self,
        cond: &Expr,
        then: impl FnOnce(&mut Self),
        otherwise: impl FnOnce(&mut Self),
    ) {
        let (yes, no, done) = (self.b.block(), self.b.block(), self.b.block());
        self.branch_scope(|this| {
            this.condition(cond, yes, no);
            this.b.switch_sealed(yes);
            this.branch_scope(then);
            this.b.jump(done, &[]);
            this.b.switch_sealed(no);
            this.branch_scope(otherwise);
            this.b.jump(done, &[]);
        });
        self.b.switch_sealed(done);
    }

    // Places.

    /// Where the bytes of an expression are. What is not memory yet is put into a slot.
    pub(super) fn place(&mut self, expr: &Expr) -> Address {
        let outer = self.b.at(expr.span);
        let place = self.place_at(expr);
        self.b.at(outer);
        place
    }

    fn place_at(&mut self, expr: &Expr) -> Address {
        match &expr.kind {
            ExprKind::Local(local) => match self.locals[*local] {
                Some(storage @ (Storage::Bytes(_) | Storage::Outside(_))) => self.bytes_address(storage),
                Some(Storage::Scalar(_)) | None => self.in_slot(expr),
            },
            ExprKind::Field(base, path) => {
                let base = self.place(base);
                self.member(&base, path)
            }
            ExprKind::Index(base, index) => self.index(base, index, &expr.ty),
            ExprKind::Deref(pointer) => {
                let base = self.scalar(pointer);
                let memory = match &pointer.ty {
                    Type::Pointer(_, Space::User) => Memory::User,
                    Type::Pointer(_, Space::Context) => Memory::Context,
                    _ => Memory::Kernel,
                };
                Address { memory, base, offset: 0, field: None, align: 8 }
            }
            ExprKind::TupleField(base, index) => {
                let types: Vec<Type> = match &base.ty {
                    Type::Tuple(types) => types.clone(),
                    Type::Record(fields) => fields.iter().map(|(_, ty)| ty.clone()).collect(),
                    _ => Vec::new(),
                };
                let place = self.place(base);
                let record = Record::of(&types, self.structs());
                record.fields.get(*index as usize).map_or(place.clone(), |field| place.plus(field.offset))
            }
            ExprKind::Arg(index) => {
                let place = self.probe.context.args[*index as usize].place;
                self.context_place(place, expr)
            }
            ExprKind::Retval => match self.probe.context.retval.as_ref().map(|retval| retval.place) {
                Some(place) => self.context_place(place, expr),
                None => self.in_slot(expr),
            },
            ExprKind::Cast(inner) if !inner.ty.is_scalar() && !expr.ty.is_scalar() => {
                // A longer capacity needs room of its own; a shorter one is a prefix.
                match (&inner.ty, &expr.ty) {
                    (Type::String(from), Type::String(to)) if to > from => self.in_slot(expr),
                    // What follows the NUL of a text is part of an array.
                    (Type::String(_), Type::Array(..)) => self.in_slot(expr),
                    _ => self.place(inner),
                }
            }
            ExprKind::Block(statements, value) => {
                self.statements(statements);
                self.place(value)
            }
            ExprKind::Int(_)
            | ExprKind::String(_)
            | ExprKind::Map(_)
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
            | ExprKind::Select(..)
            | ExprKind::Cast(_)
            | ExprKind::Step { .. }
            | ExprKind::AddressOf(_)
            | ExprKind::Tuple(_)
            | ExprKind::Call(..) => self.in_slot(expr),
        }
    }

    fn in_slot(&mut self, expr: &Expr) -> Address {
        let to = self.temporary(&expr.ty);
        self.write(expr, &to, true);
        to
    }

    /// An element of an array. A variable index into memory of ours is checked, since the verifier wants it bounded.
    fn index(&mut self, base: &Expr, index: &Expr, element: &Type) -> Address {
        let place = self.place(base);
        let index = self.scalar(index);
        let size = self.structs().size_in_memory(element);
        let count = match &base.ty {
            Type::Array(_, count) => *count,
            Type::String(capacity) => *capacity,
            _ => 0,
        };
        if self.b.constant(index).is_some() || matches!(place.memory, Memory::Kernel | Memory::User) {
            if let Some(constant) = self.b.constant(index)
                && !(0..i64::from(count)).contains(&constant)
                && place.memory == Memory::Own
            {
                let zero = self.temporary(element);
                self.clear(&zero, 8);
                return zero;
            }
            return self.element(&place, index, size);
        }
        // Copied to a zeroed slot of its own where the index is good.
        let value = self.temporary(element);
        self.clear_value(&value, element);
        let index = self.b.to_compare(index);
        let (good, done) = (self.b.block(), self.b.block());
        self.b.branch(Cond::Lt, index, Operand::Imm(count as i32), good, done);
        self.b.switch_sealed(good);
        let at = self.element(&place, index, size);
        if element.is_scalar() {
            let int = self.int_of(element);
            let loaded = self.read_int(&at, size_of(u32::from(int.size)), int.signed, base.span);
            self.b.store(size_of(u32::from(int.size)), value.base, value.offset, Operand::Value(loaded));
        } else {
            self.copy(&at, &value, size, size, base.span);
        }
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
        value
    }

    // The context.

    pub(super) fn context_scalar(&mut self, place: Place, ty: &Type, span: Span) -> Value {
        let context = self.b.context();
        match place {
            Place::Word(offset) => {
                let word = self.b.load(Size::D, false, context, offset as i32);
                self.cut(word, ty)
            }
            Place::Bytes(_) | Place::DataLoc(_) | Place::RelLoc(_) => {
                let at = self.context_address(place);
                self.read(&at, ty, span)
            }
            Place::Indirect { word, offset } => {
                let base = self.b.load(Size::D, false, context, word as i32);
                self.trust(base);
                let at =
                    Address { memory: Memory::Kernel, base, offset: offset as i32, field: None, align: 8 };
                let value = self.read_int(&at, Size::D, false, span);
                self.cut(value, ty)
            }
            Place::Operand(operand) => {
                let value = self.operand(&operand, span);
                self.cut(value, ty)
            }
            Place::BySite(operands) => {
                let value = self.operand_by_site(operands, span);
                self.cut(value, ty)
            }
            // Not accepted by the checker.
            Place::Unreadable => self.b.iconst(0),
        }
    }

    fn context_place(&mut self, place: Place, expr: &Expr) -> Address {
        match place {
            Place::Bytes(_) | Place::DataLoc(_) | Place::RelLoc(_) => self.context_address(place),
            Place::Word(_)
            | Place::Indirect { .. }
            | Place::Operand(_)
            | Place::BySite(_)
            | Place::Unreadable => self.in_slot(expr),
        }
    }

    fn context_address(&mut self, place: Place) -> Address {
        let context = self.b.context();
        match place {
            Place::DataLoc(offset) | Place::RelLoc(offset) => {
                let word = self.b.load(Size::W, false, context, offset as i32);
                let distance = self.b.binary(AluOp::And, word, Operand::Imm(0xffff));
                let from = match place {
                    Place::RelLoc(offset) => offset as i32 + 4,
                    Place::DataLoc(_)
                    | Place::Bytes(_)
                    | Place::Word(_)
                    | Place::Indirect { .. }
                    | Place::Operand(_)
                    | Place::BySite(_)
                    | Place::Unreadable => 0,
                };
                let base = self.b.add(context, Operand::Value(distance));
                let base = self.b.add(base, Operand::Imm(from));
                self.trust(base);
                self.known.in_context.insert(base);
                Address { memory: Memory::Kernel, base, offset: 0, field: None, align: 8 }
            }
            Place::Bytes(offset) | Place::Word(offset) => Address {
                memory: Memory::Context,
                base: context,
                offset: offset as i32,
                field: None,
                align: 8,
            },
            Place::Indirect { .. } | Place::Operand(_) | Place::BySite(_) | Place::Unreadable => {
                Address { memory: Memory::Context, base: context, offset: 0, field: None, align: 8 }
            }
        }
    }

    // Intrinsics whose result is a scalar.

    fn intrinsic(&mut self, intrinsic: Intrinsic, args: &[Expr], ty: &Type, span: Span) -> Value {
        match intrinsic {
            Intrinsic::Pid => {
                let both = self.pid_tgid();
                self.b.binary(AluOp::Rsh, both, Operand::Imm(32))
            }
            Intrinsic::Tid => {
                let both = self.pid_tgid();
                self.b.extend(both, Size::W, false)
            }
            Intrinsic::Uid => {
                let both = self.uid_gid();
                self.b.extend(both, Size::W, false)
            }
            Intrinsic::Gid => {
                let both = self.uid_gid();
                self.b.binary(AluOp::Rsh, both, Operand::Imm(32))
            }
            Intrinsic::Cpu => self.b.call(Helper::GetSmpProcessorId, &[]),
            Intrinsic::Nsecs(clock) => self.b.call(
                match clock {
                    Clock::Boot => Helper::KtimeGetBootNs,
                    Clock::Monotonic => Helper::KtimeGetNs,
                    Clock::Tai => Helper::KtimeGetTaiNs,
                },
                &[],
            ),
            Intrinsic::Elapsed => {
                let now = self.b.call(Helper::KtimeGetBootNs, &[]);
                let start = self.b.value(Op::GlobalAddr(rtscript_lang::record::globals::START));
                let start = self.b.load(Size::D, false, start, 0);
                self.b.binary(AluOp::Sub, now, Operand::Value(start))
            }
            Intrinsic::Curtask => self.current_task(),
            Intrinsic::Rand => {
                let random = self.b.call(Helper::GetPrandomU32, &[]);
                self.b.extend(random, Size::W, false)
            }
            Intrinsic::Probe => match &self.probe.targets[..] {
                [target] => {
                    let index = self.program.probe_names.iter().position(|name| *name == target.name);
                    self.b.iconst(index.unwrap_or(0) as i64)
                }
                _ if let Some(dispatch) = &self.probe.dispatch => {
                    let entry = self.table_entry(dispatch);
                    self.b.add(entry, Operand::Imm(-1))
                }
                _ => {
                    let context = self.b.context();
                    let cookie = self.b.call(Helper::GetAttachCookie, &[Operand::Value(context)]);
                    // The upper half may tell the site.
                    let has_sites = self.probe.context.program == ProgramKind::Uprobe;
                    if has_sites { self.b.extend(cookie, Size::W, false) } else { cookie }
                }
            },
            Intrinsic::Cgroup => self.b.call(Helper::GetCurrentCgroupId, &[]),
            Intrinsic::Jiffies => self.b.call(Helper::Jiffies64, &[]),
            Intrinsic::Numaid => self.b.call(Helper::GetNumaNodeId, &[]),
            Intrinsic::ByteSwap => {
                let value = self.scalar(&args[0]);
                let bits = match self.int_of(ty).size {
                    2 => SwapBits::B16,
                    4 => SwapBits::B32,
                    8 => SwapBits::B64,
                    _ => return value,
                };
                let swapped = self.b.value(Op::ByteSwap(bits, value));
                self.cut(swapped, ty)
            }
            Intrinsic::StrLen => self.text_length(&args[0]),
            Intrinsic::StackLen => self.stack_length(&args[0], span),
            Intrinsic::ProbeAddress => {
                let context = self.b.context();
                self.b.call(Helper::GetFuncIp, &[Operand::Value(context)])
            }
            Intrinsic::Find => self.find_text(&args[0], &args[1]),
            Intrinsic::CompareBytes => self.compare_bytes(&args[0], &args[1]),
            Intrinsic::PidInside => self.number_inside(args, true),
            Intrinsic::TidInside => self.number_inside(args, false),
            Intrinsic::Context => self.b.context(),
            Intrinsic::UserMode => self.user_mode(),
            Intrinsic::WriteUser => self.write_user(&args[0], &args[1], span),
            Intrinsic::Signal => self.signal(Helper::SendSignal, &args[0], span),
            Intrinsic::SignalThread => self.signal(Helper::SendSignalThread, &args[0], span),
            Intrinsic::TracePrint => self.trace_print(args),
            // No scalars.
            Intrinsic::Comm
            | Intrinsic::Str
            | Intrinsic::Concat
            | Intrinsic::Buf
            | Intrinsic::Stack
            | Intrinsic::Ntop
            | Intrinsic::NtopFamily
            | Intrinsic::UserSymbol
            | Intrinsic::Mac => self.b.iconst(0),
        }
    }

    pub(super) fn pid_tgid(&mut self) -> Value {
        if let Some(known) = self.known.pid_tgid {
            return known;
        }
        let value = self.b.call(Helper::GetCurrentPidTgid, &[]);
        self.known.pid_tgid = Some(value);
        value
    }

    fn uid_gid(&mut self) -> Value {
        if let Some(known) = self.known.uid_gid {
            return known;
        }
        let value = self.b.call(Helper::GetCurrentUidGid, &[]);
        self.known.uid_gid = Some(value);
        value
    }

    pub(super) fn current_task(&mut self) -> Value {
        if let Some(known) = self.known.current_task {
            return known;
        }
        let task = self.b.call(Helper::GetCurrentTask, &[]);
        self.trust(task);
        self.known.current_task = Some(task);
        task
    }

    /// Where the current task's name lies, if it can be read directly.
    pub(super) fn comm_place(&mut self) -> Option<Address> {
        if self.shared.target.read == ReadForm::Probe {
            return None;
        }
        let (root, index, offset) = self.task_member("comm")?;
        let path = rtscript_lang::typed::FieldPath { steps: vec![(root, index)], offset, bits: None };
        let base = self.current_task();
        Some(self.member(&Address { memory: Memory::Kernel, base, offset: 0, field: None, align: 8 }, &path))
    }
}

/// The branch condition of a comparison.
fn condition(op: CompareOp, signed: bool) -> Cond {
    match (op, signed) {
        (CompareOp::Eq, _) => Cond::Eq,
        (CompareOp::Ne, _) => Cond::Ne,
        (CompareOp::Lt, false) => Cond::Lt,
        (CompareOp::Le, false) => Cond::Le,
        (CompareOp::Gt, false) => Cond::Gt,
        (CompareOp::Ge, false) => Cond::Ge,
        (CompareOp::Lt, true) => Cond::Slt,
        (CompareOp::Le, true) => Cond::Sle,
        (CompareOp::Gt, true) => Cond::Sgt,
        (CompareOp::Ge, true) => Cond::Sge,
    }
}
