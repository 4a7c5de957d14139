//! Operations on literals: done at once, and exactly. What 64 bits do not hold is an error, and not something else.

use rtscript_syntax::source::Span;

use super::Checker;
use super::error::TypeFact;
use super::numbers::{literal, signed_literal, value_of};
use super::operators::is_literal;
use crate::typed::{BinaryOp, Expr, ExprKind};
use crate::types::Type;

/// The number that a literal means; `None` for what is no literal.
pub(super) fn literal_value(expr: &Expr) -> Option<i128> {
    if is_literal(expr) { value_of(expr) } else { None }
}

/// Whether it is a tuple of literals.
pub(super) fn literal_tuple(expr: &Expr) -> bool {
    let part = |part: &Expr| match &part.kind {
        ExprKind::String(_) => true,
        ExprKind::Tuple(_) => literal_tuple(part),
        _ => is_literal(part) || part.ty == Type::Bool && value_of(part).is_some(),
    };
    matches!(&expr.kind, ExprKind::Tuple(parts) if parts.iter().all(part))
        && matches!(expr.ty, Type::Tuple(_))
}

impl Checker<'_> {
    /// `a op b`, where `b` is not zero if it divides.
    pub(super) fn fold_literals(
        &mut self,
        op: BinaryOp,
        a: i128,
        b: i128,
        span: Span,
        right: Span,
    ) -> Option<Expr> {
        let value = match op {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            // Both have at most 64 bits and a sign, so that the product has at most 128.
            BinaryOp::Mul => a.checked_mul(b).unwrap_or(i128::MAX),
            BinaryOp::Div => a / b,
            BinaryOp::Mod => a % b,
            BinaryOp::And => a & b,
            BinaryOp::Or => a | b,
            BinaryOp::Xor => a ^ b,
            BinaryOp::Shl | BinaryOp::Shr if !(0..64).contains(&b) => {
                self.error(TypeFact::ShiftCount { count: b, at: right });
                return None;
            }
            // What is shifted out at the top is meant to be.
            BinaryOp::Shl if a < 0 => i128::from((a as i64) << b),
            BinaryOp::Shl => i128::from((a as u64) << b),
            BinaryOp::Shr => a >> b,
        };
        self.wide_literal(op.symbol(), value, span)
    }

    /// A literal that an operation yields.
    pub(super) fn wide_literal(&mut self, op: &'static str, value: i128, span: Span) -> Option<Expr> {
        if let Ok(value) = i64::try_from(value) {
            return Some(signed_literal(value, span));
        }
        let Ok(value) = u64::try_from(value) else {
            self.error(TypeFact::Overflow { op, at: span });
            return None;
        };
        Some(literal(value, span))
    }
}

/// `"a" + "b"`, `"abc" + 1` (what is behind the first byte) and `1 + "abc"` of literals.
pub(super) fn joined_text(op: BinaryOp, left: &Expr, right: &Expr, span: Span) -> Option<Expr> {
    let bytes = match (op, &left.kind, &right.kind) {
        (BinaryOp::Add, ExprKind::String(left), ExprKind::String(right)) => [&left[..], right].concat(),
        (BinaryOp::Add, ExprKind::String(text), ExprKind::Int(_)) => behind(text, right)?,
        (BinaryOp::Add, ExprKind::Int(_), ExprKind::String(text)) => behind(text, left)?,
        _ => return None,
    };
    let ty = Type::String(u32::try_from(bytes.len() + 1).ok()?);
    Some(Expr { kind: ExprKind::String(bytes), ty, span })
}

/// What is left of a text behind its first bytes.
fn behind(text: &[u8], skipped: &Expr) -> Option<Vec<u8>> {
    let skipped = usize::try_from(literal_value(skipped)?).ok()?;
    Some(text.get(skipped..).unwrap_or_default().to_vec())
}
