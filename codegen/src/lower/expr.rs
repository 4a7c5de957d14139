//! Expressions: scalars as values, everything else as bytes.

use rtscript_lang::record::Record;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{BinaryOp, CompareOp, Expr, ExprKind, StepPlace, UnaryOp};
use rtscript_lang::types::{Label, Type};

use super::memory::{Address, Memory, size_of};
use super::{Lowering, Storage};
use crate::insn::{AluOp, Cond};
use crate::ir::{Block, Operand, Value};
use crate::object::SiteKind;

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
            // An error may be negative, as functions of the kernel return it.
            ExprKind::Cast(inner) if expr.ty == Type::Label(Label::Error) && inner.ty.is_scalar() => {
                let number = self.cast(inner, &expr.ty);
                let sign = self.b.binary(AluOp::Arsh, number, Operand::Imm(63));
                let flipped = self.b.binary(AluOp::Xor, number, Operand::Value(sign));
                self.b.binary(AluOp::Sub, flipped, Operand::Value(sign))
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
    pub(super) fn cut(&mut self, value: Value, ty: &Type) -> Value {
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
                Some(storage @ (Storage::Bytes(_) | Storage::Outside { .. })) => self.bytes_address(storage),
                Some(Storage::Scalar(_)) | None => self.in_slot(expr),
            },
            ExprKind::Field(base, path) => {
                let base = self.place(base);
                self.member(&base, path)
            }
            ExprKind::Index(base, index) => self.index(base, index, &expr.ty),
            ExprKind::Deref(pointer) => {
                let base = self.scalar(pointer);
                let memory = Memory::of_pointer(&pointer.ty);
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

    pub(super) fn in_slot(&mut self, expr: &Expr) -> Address {
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
        if self.b.constant(index).is_some()
            || matches!(place.memory, Memory::Kernel | Memory::User | Memory::Either)
        {
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
