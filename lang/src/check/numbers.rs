//! Numbers, casts and constants: the small pieces that trees are built of.

use rtscript_syntax::source::Span;

use super::Checker;
use super::blocks::in_block;
use super::error::{Fact, TypeFact};
use super::shape::{Shape, smallest, smallest_signed};
use crate::typed::{Expr, ExprKind};
use crate::types::{Int, Space, Type};

/// A literal of the smallest signed type that holds it.
pub(super) fn literal(value: u64, span: Span) -> Expr {
    Expr { kind: ExprKind::Int(value), ty: Type::Int(smallest(value)), span }
}

pub(super) fn signed_literal(value: i64, span: Span) -> Expr {
    Expr { kind: ExprKind::Int(value as u64), ty: Type::Int(smallest_signed(value)), span }
}

/// A constant of a type.
pub(super) fn constant(value: u64, ty: Type, span: Span) -> Expr {
    Expr { kind: ExprKind::Int(value), ty, span }
}

/// A constant as the number that it means.
pub(super) fn value_of(expr: &Expr) -> Option<i128> {
    match (&expr.kind, &expr.ty) {
        (ExprKind::Int(value), Type::Int(Int { signed: true, .. })) => Some(i128::from(*value as i64)),
        (ExprKind::Int(value), _) => Some(i128::from(*value)),
        _ => None,
    }
}

/// Cuts a number to a type, and extends it to 64 bits by the type's sign.
pub(super) fn cut(value: u64, int: Int) -> u64 {
    let unused = 64 - 8 * u32::from(int.size);
    if int.signed { (((value << unused) as i64) >> unused) as u64 } else { (value << unused) >> unused }
}

/// The expression as another scalar type.
pub(super) fn cast(expr: Expr, ty: &Type) -> Expr {
    if expr.ty == *ty {
        return expr;
    }
    let span = expr.span;
    if let ExprKind::Int(value) = expr.kind {
        match ty {
            Type::Int(int) => return constant(cut(value, *int), ty.clone(), span),
            Type::Bool => return constant(u64::from(value != 0), Type::Bool, span),
            Type::Pointer(..) => return constant(value, ty.clone(), span),
            _ => {}
        }
    }
    Expr { kind: ExprKind::Cast(Box::new(expr)), ty: ty.clone(), span }
}

/// Whether a constant fits into a type as it is.
pub(super) fn fits(value: i128, int: Int) -> bool {
    let bits = 8 * u32::from(int.size);
    let (least, most) = if int.signed {
        (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
    } else {
        (0, (1i128 << bits) - 1)
    };
    (least..=most).contains(&value)
}

/// The elements of a tuple or a record as expressions.
fn parts_of(expr: Expr, types: impl Iterator<Item = Type>) -> Vec<Expr> {
    let span = expr.span;
    match expr.kind {
        ExprKind::Tuple(parts) => parts,
        _ => types
            .zip(0..)
            .map(|(ty, index)| {
                let kind = ExprKind::TupleField(Box::new(expr.clone()), index);
                Expr { kind, ty, span }
            })
            .collect(),
    }
}

impl Checker<'_> {
    /// Whether its value is a literal that is not negative, or one of several, so that its sign is open.
    pub(super) fn is_flexible(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Int(value) => expr.ty == Type::Int(smallest(*value)) && (*value as i64) >= 0,
            ExprKind::Local(local) => {
                self.local_entity(*local).is_some_and(|entity| self.entities.is_flexible(entity))
            }
            ExprKind::Map(element) => self.entities.is_flexible(self.entities.maps[element.map].value),
            ExprKind::Select(_, then, otherwise) => self.is_flexible(then) && self.is_flexible(otherwise),
            ExprKind::Block(_, value) => self.is_flexible(value),
            _ => false,
        }
    }

    /// What the expression contributes to an entity that it is assigned to.
    pub(super) fn shape(&self, expr: &Expr) -> Shape {
        match &expr.kind {
            ExprKind::Int(value) if self.is_flexible(expr) => Shape::literal(*value),
            ExprKind::Tuple(parts) if matches!(expr.ty, Type::Tuple(_)) => {
                Shape::Tuple(parts.iter().map(|part| self.shape(part)).collect())
            }
            ExprKind::Tuple(parts) => match &expr.ty {
                Type::Record(fields) => {
                    let names = fields.iter().map(|(name, _)| name.clone());
                    Shape::Record(names.zip(parts.iter().map(|part| self.shape(part))).collect())
                }
                ty => Shape::of_type(ty),
            },
            ExprKind::Local(local) if self.is_flexible(expr) => self
                .local_entity(*local)
                .and_then(|entity| self.entities.get(entity).shape.clone())
                .unwrap_or_else(|| Shape::of_type(&expr.ty)),
            ExprKind::Map(element) if self.is_flexible(expr) => {
                let entity = self.entities.maps[element.map].value;
                self.entities.get(entity).shape.clone().unwrap_or_else(|| Shape::of_type(&expr.ty))
            }
            ExprKind::Select(_, then, otherwise) if self.is_flexible(expr) => {
                let (then, otherwise) = (self.shape(then), self.shape(otherwise));
                then.join(&otherwise, &self.structs).unwrap_or(then)
            }
            ExprKind::Block(_, value) => self.shape(value),
            _ => Shape::of_type(&expr.ty),
        }
    }

    /// The expression as a number: an integer as it is, and what is one underneath.
    pub(super) fn number(&mut self, expr: Expr, what: &str) -> Option<Expr> {
        let as_int = |int| Some(cast(expr.clone(), &Type::Int(int)));
        match &expr.ty {
            Type::Int(_) => Some(expr),
            Type::Bool => as_int(Int::U8),
            Type::Enum(id) => as_int(self.structs.enums[*id].int),
            Type::KernelSymbol | Type::Timestamp(..) => as_int(Int::U64),
            Type::Username => as_int(Int::U32),
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
            | Type::Aggregate(_) => {
                let found = self.type_name(&expr.ty);
                self.error(TypeFact::WrongType {
                    what: what.to_string(),
                    expected: "a number",
                    found,
                    at: expr.span,
                });
                None
            }
        }
    }

    /// A number or a pointer as 64 bits without a sign.
    pub(super) fn address(&mut self, expr: Expr, what: &str) -> Option<Expr> {
        let is_pointer = matches!(expr.ty, Type::Pointer(..));
        let expr = if is_pointer { expr } else { self.number(expr, what)? };
        Some(cast(expr, &Type::U64))
    }

    /// The expression as a condition: whether it is not zero.
    pub(super) fn truth(&mut self, expr: Expr) -> Option<Expr> {
        // A text that is known holds if it is not empty.
        if let ExprKind::String(bytes) = &expr.kind {
            return Some(constant(u64::from(!bytes.is_empty()), Type::Bool, expr.span));
        }
        let is_truth = matches!(expr.ty, Type::Pointer(..) | Type::Bool);
        let expr = if is_truth { expr } else { self.number(expr, "a condition")? };
        Some(cast(expr, &Type::Bool))
    }

    /// The expression as a value of the type, where no information but width is lost; the expression itself where
    /// that cannot be.
    pub(super) fn convert(&self, expr: Expr, ty: &Type) -> Result<Expr, Expr> {
        if expr.ty == *ty {
            return Ok(expr);
        }
        // What stands in front of a value is evaluated once, so the conversion goes to the value.
        match expr.kind {
            ExprKind::Block(statements, value) => {
                let span = expr.span;
                return match self.convert(*value, ty) {
                    Ok(value) => Ok(in_block(statements, value, span)),
                    Err(value) => Err(in_block(statements, value, span)),
                };
            }
            ExprKind::Select(condition, then, otherwise) if !ty.is_scalar() => {
                let arms = (self.convert(*then, ty), self.convert(*otherwise, ty));
                let (fits, then, otherwise) = match arms {
                    (Ok(then), Ok(otherwise)) => (true, then, otherwise),
                    (Ok(then) | Err(then), Ok(otherwise) | Err(otherwise)) => (false, then, otherwise),
                };
                let ty = if fits { ty.clone() } else { expr.ty };
                let kind = ExprKind::Select(condition, Box::new(then), Box::new(otherwise));
                let expr = Expr { kind, ty, span: expr.span };
                return if fits { Ok(expr) } else { Err(expr) };
            }
            _ => {}
        }
        match (&expr.ty, ty) {
            (Type::Int(_) | Type::Bool | Type::Enum(_), Type::Int(_)) => Ok(cast(expr, ty)),
            (Type::String(_), Type::String(_)) | (Type::Buffer(_), Type::Buffer(_)) => {
                let span = expr.span;
                if matches!(expr.kind, ExprKind::String(_)) {
                    return Ok(Expr { ty: ty.clone(), ..expr });
                }
                Ok(Expr { kind: ExprKind::Cast(Box::new(expr)), ty: ty.clone(), span })
            }
            (Type::Label(label), Type::String(_)) if label.is_text() => self.convert(self.as_text(expr), ty),
            (Type::Int(_), Type::Pointer(..)) if value_of(&expr) == Some(0) => Ok(cast(expr, ty)),
            // A variable that only ever holds NULL is a number to begin with.
            (Type::Pointer(_, from), Type::Pointer(_, to))
                if from == to || *to == Space::Either && *from != Space::Context =>
            {
                Ok(cast(expr, ty))
            }
            (Type::Tuple(from), Type::Tuple(to)) if from.len() == to.len() => {
                let (span, from) = (expr.span, from.clone());
                let parts = parts_of(expr, from.into_iter());
                let parts = parts.into_iter().zip(to).map(|(part, to)| self.convert(part, to));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                Ok(Expr { kind: ExprKind::Tuple(parts), ty: ty.clone(), span })
            }
            (Type::Record(from), Type::Record(to)) if from.len() == to.len() => {
                let (span, from) = (expr.span, from.clone());
                let place = |(name, _): &(String, Type)| from.iter().position(|(known, _)| known == name);
                let Some(order) = to.iter().map(place).collect::<Option<Vec<usize>>>() else {
                    return Err(expr);
                };
                // The parts are evaluated in the order of the type, which nobody can tell unless they do something.
                let in_order = order.iter().enumerate().all(|(index, place)| index == *place);
                if !in_order && expr.has_effect() {
                    return Err(expr);
                }
                let parts = parts_of(expr, from.iter().map(|(_, ty)| ty.clone()));
                let part =
                    |(place, (_, to)): (usize, &(String, Type))| self.convert(parts[place].clone(), to);
                let parts = order.into_iter().zip(to).map(part).collect::<Result<Vec<_>, _>>()?;
                Ok(Expr { kind: ExprKind::Tuple(parts), ty: ty.clone(), span })
            }
            _ => Err(expr),
        }
    }

    /// A constant that must lie in a range.
    pub(super) fn constant_in(
        &mut self,
        expr: &Expr,
        what: &str,
        expected: &str,
        range: std::ops::RangeInclusive<i128>,
    ) -> Option<i128> {
        let Some(value) = value_of(expr) else {
            let (what, at) = (what.to_string(), expr.span);
            self.error(if let ExprKind::String(text) = &expr.kind {
                let value = format!("\"{}\"", String::from_utf8_lossy(text).escape_debug());
                Fact::BadConstant { what, expected: expected.to_string(), value, at }
            } else {
                Fact::NotConstant { what, at }
            });
            return None;
        };
        if range.contains(&value) {
            return Some(value);
        }
        self.error(Fact::BadConstant {
            what: what.to_string(),
            expected: expected.to_string(),
            value: value.to_string(),
            at: expr.span,
        });
        None
    }
}
