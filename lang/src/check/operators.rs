//! Operators: what they do to types, and to constants at once.
//!
//! An operation on numbers yields `int64` if one of them is signed, and `uint64` otherwise; literals that are not
//! negative side with the other operand. A subtraction always yields `int64`.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::{PlaceFact, TypeFact, Warning};
use super::folding::{joined_text, literal_tuple, literal_value};
use super::numbers::{cast, constant, literal, signed_literal, value_of};
use crate::typed::{BinaryOp, CompareOp, Expr, ExprKind, UnaryOp};
use crate::types::{Int, Space, Type};

impl Checker<'_> {
    pub(super) fn binary(&mut self, op: ast::BinaryOp, left: Expr, right: Expr, span: Span) -> Option<Expr> {
        let arithmetic = match op {
            ast::BinaryOp::Or => {
                let (left, right) = (self.truth(left), self.truth(right));
                let kind = ExprKind::Or(Box::new(left?), Box::new(right?));
                return Some(Expr { kind, ty: Type::Bool, span });
            }
            ast::BinaryOp::And => {
                let (left, right) = (self.truth(left), self.truth(right));
                let kind = ExprKind::And(Box::new(left?), Box::new(right?));
                return Some(Expr { kind, ty: Type::Bool, span });
            }
            ast::BinaryOp::Eq => return self.equal(op, true, left, right, span),
            ast::BinaryOp::Ne => return self.equal(op, false, left, right, span),
            ast::BinaryOp::Lt => return self.order(op, CompareOp::Lt, left, right, span),
            ast::BinaryOp::Gt => return self.order(op, CompareOp::Gt, left, right, span),
            ast::BinaryOp::Le => return self.order(op, CompareOp::Le, left, right, span),
            ast::BinaryOp::Ge => return self.order(op, CompareOp::Ge, left, right, span),
            ast::BinaryOp::BitOr => BinaryOp::Or,
            ast::BinaryOp::BitXor => BinaryOp::Xor,
            ast::BinaryOp::BitAnd => BinaryOp::And,
            ast::BinaryOp::Shl => BinaryOp::Shl,
            ast::BinaryOp::Shr => BinaryOp::Shr,
            ast::BinaryOp::Add => BinaryOp::Add,
            ast::BinaryOp::Sub => BinaryOp::Sub,
            ast::BinaryOp::Mul => BinaryOp::Mul,
            ast::BinaryOp::Div => BinaryOp::Div,
            ast::BinaryOp::Rem => BinaryOp::Mod,
        };
        match (&left.ty, &right.ty, arithmetic) {
            (Type::Pointer(..), Type::Pointer(..), BinaryOp::Sub) => {
                return self.pointer_difference(op, left, right, span);
            }
            (Type::Pointer(..), _, BinaryOp::Add | BinaryOp::Sub) if self.is_number(&right.ty) => {
                return self.pointer_offset(left, arithmetic, right, span);
            }
            (_, Type::Pointer(..), BinaryOp::Add) if self.is_number(&left.ty) => {
                return self.pointer_offset(right, arithmetic, left, span);
            }
            _ => {}
        }
        if let Some(text) = joined_text(arithmetic, &left, &right, span) {
            return Some(text);
        }
        if !self.is_number(&left.ty) || !self.is_number(&right.ty) {
            return self.bad_operands(op, &left, &right);
        }
        let of_truths = left.ty == Type::Bool && right.ty == Type::Bool;
        let (left, right) = (self.number(left, "an operand")?, self.number(right, "an operand")?);
        let value = self.arithmetic(arithmetic, left, right, span)?;
        // Of two truths these make a third.
        match arithmetic {
            BinaryOp::And | BinaryOp::Or | BinaryOp::Xor if of_truths => Some(cast(value, &Type::Bool)),
            BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Xor
            | BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::Shl
            | BinaryOp::Shr => Some(value),
        }
    }

    fn arithmetic(&mut self, op: BinaryOp, left: Expr, right: Expr, span: Span) -> Option<Expr> {
        let divides = matches!(op, BinaryOp::Div | BinaryOp::Mod);
        if divides && value_of(&right) == Some(0) {
            self.error(TypeFact::DivisionByZero { at: right.span });
            return None;
        }
        if let (Some(a), Some(b)) = (literal_value(&left), literal_value(&right)) {
            return self.fold_literals(op, a, b, span, right.span);
        }
        if matches!(op, BinaryOp::Shl | BinaryOp::Shr)
            && let Some(count) = value_of(&right)
            && !(0..64).contains(&count)
        {
            self.warn(Warning::ShiftCount { count, at: right.span });
        }
        let signed = match op {
            BinaryOp::Sub => true,
            // The number of bits does not decide about the sign.
            BinaryOp::Shl | BinaryOp::Shr => self.is_signed(&left) || self.is_flexible(&left),
            BinaryOp::Add
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Xor => {
                self.is_signed(&left)
                    || self.is_signed(&right)
                    || self.is_flexible(&left) && self.is_flexible(&right)
            }
        };
        // A difference of numbers that have no sign is right in 64 bits either way.
        let int = if signed { Int::I64 } else { Int::U64 };
        let ty = Type::Int(int);
        let (left, right) = (cast(left, &ty), cast(right, &ty));
        if let (ExprKind::Int(a), ExprKind::Int(b)) = (&left.kind, &right.kind) {
            let value = fold(op, *a, *b, int.signed)?;
            return Some(constant(value, ty, span));
        }
        Some(Expr { kind: ExprKind::Binary(op, Box::new(left), Box::new(right)), ty, span })
    }

    pub(super) fn unary(&mut self, op: ast::UnaryOp, operand: Expr, span: Span) -> Option<Expr> {
        match op {
            ast::UnaryOp::Plus => {
                let operand = self.number(operand, "the operand of `+`")?;
                Some(Expr { span, ..operand })
            }
            ast::UnaryOp::Neg => {
                let operand = self.plain_number(operand, "the operand of `-`")?;
                if let Some(value) = literal_value(&operand) {
                    return self.wide_literal("-", -value, span);
                }
                if let ExprKind::Int(value) = operand.kind {
                    return Some(constant((value as i64).wrapping_neg() as u64, Type::I64, span));
                }
                let operand = Box::new(cast(operand, &Type::I64));
                Some(Expr { kind: ExprKind::Unary(UnaryOp::Neg, operand), ty: Type::I64, span })
            }
            ast::UnaryOp::BitNot => {
                let operand = self.plain_number(operand, "the operand of `~`")?;
                // An unsigned number keeps its width, so that no bits come into being.
                let signed = self.is_signed(&operand) || self.is_flexible(&operand);
                let ty = if signed { Type::I64 } else { operand.ty.clone() };
                if let ExprKind::Int(value) = operand.kind {
                    let folded = constant(!value, Type::U64, span);
                    return Some(if is_literal(&operand) {
                        literal(!value, span)
                    } else {
                        cast(folded, &ty)
                    });
                }
                let wide = if signed { Type::I64 } else { Type::U64 };
                let kind = ExprKind::Unary(UnaryOp::Not, Box::new(cast(operand, &wide)));
                Some(cast(Expr { kind, ty: wide, span }, &ty))
            }
            ast::UnaryOp::Not => {
                let operand = self.truth(operand)?;
                if let ExprKind::Int(value) = operand.kind {
                    return Some(constant(u64::from(value == 0), Type::Bool, span));
                }
                let kind = ExprKind::Unary(UnaryOp::IsZero, Box::new(operand));
                Some(Expr { kind, ty: Type::Bool, span })
            }
            ast::UnaryOp::Deref => self.deref(operand, span),
            // It asks for a place, which has no value yet: `addresses.rs`.
            ast::UnaryOp::AddressOf => None,
        }
    }

    /// A number that is no truth: of those, `!` is the opposite.
    fn plain_number(&mut self, operand: Expr, what: &str) -> Option<Expr> {
        if operand.ty == Type::Bool {
            return self.wrong_type(what, "a number", &operand);
        }
        self.number(operand, what)
    }

    fn equal(&mut self, op: ast::BinaryOp, equal: bool, left: Expr, right: Expr, span: Span) -> Option<Expr> {
        let compare = if equal { CompareOp::Eq } else { CompareOp::Ne };
        let whole = |left, right| {
            let kind = ExprKind::Equal(equal, Box::new(left), Box::new(right));
            Some(Expr { kind, ty: Type::Bool, span })
        };
        match (&left.ty, &right.ty) {
            (Type::String(_), Type::String(_)) => whole(left, right),
            (Type::Tuple(_), Type::Tuple(_)) | (Type::Record(_), Type::Record(_)) => {
                let Some(shape) = self.shape(&left).join(&self.shape(&right), &self.structs) else {
                    // Literals of different types are never the same; of other values nobody meant to ask.
                    return match (literal_tuple(&left), literal_tuple(&right)) {
                        (true, true) => Some(constant(u64::from(!equal), Type::Bool, span)),
                        _ => self.bad_operands(op, &left, &right),
                    };
                };
                let ty = shape.ty();
                match (self.convert(left, &ty), self.convert(right, &ty)) {
                    (Ok(left), Ok(right)) => whole(left, right),
                    (Ok(left) | Err(left), Ok(right) | Err(right)) => self.bad_operands(op, &left, &right),
                }
            }
            (Type::Array(..), Type::Array(..))
            | (Type::Struct(_), Type::Struct(_))
            | (Type::Stack(_), Type::Stack(_))
            | (Type::Inet, Type::Inet)
            | (Type::Mac, Type::Mac)
            | (Type::UserSymbol, Type::UserSymbol)
                if left.ty == right.ty =>
            {
                whole(left, right)
            }
            (Type::Probe, Type::Probe) => {
                let (left, right) = (cast(left, &Type::U64), cast(right, &Type::U64));
                compare_of(compare, left, right, span)
            }
            (Type::Label(a), Type::Label(b)) if a == b => {
                let (left, right) = (cast(left, &Type::I64), cast(right, &Type::I64));
                compare_of(compare, left, right, span)
            }
            (Type::Label(_), Type::String(_)) => self.label_is(equal, left, right, span),
            (Type::String(_), Type::Label(_)) => self.label_is(equal, right, left, span),
            (Type::Label(_), Type::Label(_))
            | (Type::Probe, Type::String(_))
            | (Type::String(_), Type::Probe) => match (self.as_text(left), self.as_text(right)) {
                (left @ Expr { ty: Type::String(_), .. }, right @ Expr { ty: Type::String(_), .. }) => {
                    whole(left, right)
                }
                (left, right) => self.bad_operands(op, &left, &right),
            },
            _ => self.order(op, compare, left, right, span),
        }
    }

    /// A comparison of numbers or pointers.
    fn order(
        &mut self,
        op: ast::BinaryOp,
        compare: CompareOp,
        left: Expr,
        right: Expr,
        span: Span,
    ) -> Option<Expr> {
        if let (ExprKind::String(left), ExprKind::String(right)) = (&left.kind, &right.kind) {
            return Some(constant(u64::from(holds(compare, left, right)), Type::Bool, span));
        }
        let is_pointer = |expr: &Expr| matches!(expr.ty, Type::Pointer(..));
        let comparable = |checker: &Self, expr: &Expr| is_pointer(expr) || checker.is_number(&expr.ty);
        if !comparable(self, &left) || !comparable(self, &right) {
            return self.bad_operands(op, &left, &right);
        }
        if is_pointer(&left) || is_pointer(&right) {
            let (left, right) = (self.address(left, "an operand"), self.address(right, "an operand"));
            return compare_of(compare, left?, right?, span);
        }
        let (left, right) = (self.number(left, "an operand")?, self.number(right, "an operand")?);
        if let (Some(a), Some(b)) = (value_of(&left), value_of(&right)) {
            return Some(constant(u64::from(holds(compare, a, b)), Type::Bool, span));
        }
        let ordered = !matches!(compare, CompareOp::Eq | CompareOp::Ne);
        for (signed, unsigned) in [(&left, &right), (&right, &left)] {
            if ordered && self.is_signed(signed) && unsigned.ty == Type::U64 {
                self.warn(Warning::MixedComparison { signed: signed.span, unsigned: unsigned.span });
            }
        }
        let signed = self.is_signed(&left)
            || self.is_signed(&right)
            || self.is_flexible(&left) && self.is_flexible(&right);
        let ty = if signed { Type::I64 } else { Type::U64 };
        compare_of(compare, cast(left, &ty), cast(right, &ty), span)
    }

    pub(super) fn select(
        &mut self,
        condition: Expr,
        then: Expr,
        otherwise: Expr,
        span: Span,
    ) -> Option<Expr> {
        let condition = self.truth(condition)?;
        let ty = self.shape(&then).join(&self.shape(&otherwise), &self.structs).map(|shape| shape.ty());
        let arms =
            ty.as_ref().map(|ty| (self.convert(then.clone(), ty), self.convert(otherwise.clone(), ty)));
        let (Some(ty), Some((Ok(then), Ok(otherwise)))) = (ty, arms) else {
            // Of two different things one may be left.
            match value_of(&condition) {
                Some(0) => return Some(otherwise),
                Some(_) => return Some(then),
                None => {}
            }
            let (left, right) = (self.type_name(&then.ty), self.type_name(&otherwise.ty));
            self.error(TypeFact::Arms { left, right, left_at: then.span, right_at: otherwise.span });
            return None;
        };
        let kind = ExprKind::Select(Box::new(condition), Box::new(then), Box::new(otherwise));
        Some(Expr { kind, ty, span })
    }

    /// `pointer + n`, `pointer - n`: the number counts elements.
    pub(super) fn pointer_offset(
        &mut self,
        pointer: Expr,
        op: BinaryOp,
        count: Expr,
        span: Span,
    ) -> Option<Expr> {
        let size = self.pointee_size(&pointer)?;
        let count = self.number(count, "an offset")?;
        let count = cast(count, &Type::I64);
        if matches!(pointer.ty, Type::Pointer(_, Space::Context)) && value_of(&count).is_none() {
            self.error(PlaceFact::Context { at: count.span });
            return None;
        }
        let bytes = match count.kind {
            ExprKind::Int(value) => {
                constant((value as i64).wrapping_mul(i64::from(size)) as u64, Type::I64, count.span)
            }
            _ if size == 1 => count,
            _ => {
                let at = count.span;
                let size = constant(u64::from(size), Type::I64, at);
                let kind = ExprKind::Binary(BinaryOp::Mul, Box::new(count), Box::new(size));
                Expr { kind, ty: Type::I64, span: at }
            }
        };
        let ty = pointer.ty.clone();
        Some(Expr { kind: ExprKind::Binary(op, Box::new(pointer), Box::new(bytes)), ty, span })
    }

    fn pointer_difference(&mut self, op: ast::BinaryOp, left: Expr, right: Expr, span: Span) -> Option<Expr> {
        if left.ty != right.ty {
            return self.bad_operands(op, &left, &right);
        }
        let size = self.pointee_size(&left)?;
        let (left, right) = (cast(left, &Type::I64), cast(right, &Type::I64));
        let kind = ExprKind::Binary(BinaryOp::Sub, Box::new(left), Box::new(right));
        let bytes = Expr { kind, ty: Type::I64, span };
        let size = constant(u64::from(size), Type::I64, span);
        let kind = ExprKind::Binary(BinaryOp::Div, Box::new(bytes), Box::new(size));
        Some(Expr { kind, ty: Type::I64, span })
    }

    /// The size of what a pointer points at, at least 1.
    pub(super) fn pointee_size(&mut self, pointer: &Expr) -> Option<u32> {
        let Type::Pointer(to, _) = &pointer.ty else { return None };
        let size = self.structs.size_in_memory(to);
        if size == 0 {
            let ty = self.type_name(&pointer.ty);
            self.error(TypeFact::Opaque { ty, at: pointer.span, help: None });
            return None;
        }
        Some(size)
    }

    fn bad_operands(&mut self, op: ast::BinaryOp, left: &Expr, right: &Expr) -> Option<Expr> {
        let (left_type, right_type) = (self.type_name(&left.ty), self.type_name(&right.ty));
        self.error(TypeFact::Operands {
            op: op.symbol(),
            left: left_type,
            right: right_type,
            left_at: left.span,
            right_at: right.span,
        });
        None
    }

    pub(super) fn is_number(&self, ty: &Type) -> bool {
        match ty {
            Type::Int(_)
            | Type::Bool
            | Type::Enum(_)
            | Type::KernelSymbol
            | Type::Timestamp(..)
            | Type::Username => true,
            Type::Void
            | Type::String(_)
            | Type::Buffer(_)
            | Type::Pointer(..)
            | Type::Struct(_)
            | Type::Array(..)
            | Type::Tuple(_)
            | Type::Record(_)
            | Type::Stack(_)
            | Type::UserSymbol
            | Type::Inet
            | Type::Mac
            | Type::Label(_)
            | Type::Probe
            | Type::Aggregate(_) => false,
        }
    }

    /// Whether a number is signed for sure, and no literal that sides with the other operand.
    fn is_signed(&self, expr: &Expr) -> bool {
        matches!(expr.ty, Type::Int(Int { signed: true, .. })) && !self.is_flexible(expr)
    }
}

/// Whether a comparison of things that are known holds.
fn holds<T: Ord>(compare: CompareOp, a: T, b: T) -> bool {
    match compare {
        CompareOp::Eq => a == b,
        CompareOp::Ne => a != b,
        CompareOp::Lt => a < b,
        CompareOp::Le => a <= b,
        CompareOp::Gt => a > b,
        CompareOp::Ge => a >= b,
    }
}

fn compare_of(op: CompareOp, left: Expr, right: Expr, span: Span) -> Option<Expr> {
    Some(Expr { kind: ExprKind::Compare(op, Box::new(left), Box::new(right)), ty: Type::Bool, span })
}

/// A constant of the smallest type that holds it, as literals are.
pub(super) fn is_literal(expr: &Expr) -> bool {
    let ExprKind::Int(value) = expr.kind else { return false };
    let as_literal = if expr.ty == Type::U64 {
        literal(value, expr.span)
    } else {
        signed_literal(value as i64, expr.span)
    };
    expr.ty == as_literal.ty
}

/// What the operation yields in 64 bits; `None` for a division by zero.
pub(super) fn fold(op: BinaryOp, a: u64, b: u64, signed: bool) -> Option<u64> {
    let (sa, sb) = (a as i64, b as i64);
    Some(match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::Div | BinaryOp::Mod if b == 0 => return None,
        BinaryOp::Div if signed => sa.wrapping_div(sb) as u64,
        BinaryOp::Div => a / b,
        BinaryOp::Mod if signed => sa.wrapping_rem(sb) as u64,
        BinaryOp::Mod => a % b,
        BinaryOp::And => a & b,
        BinaryOp::Or => a | b,
        BinaryOp::Xor => a ^ b,
        BinaryOp::Shl => a.wrapping_shl(b as u32),
        BinaryOp::Shr if signed => sa.wrapping_shr(b as u32) as u64,
        BinaryOp::Shr => a.wrapping_shr(b as u32),
    })
}
