//! Functions of text and bytes that search, join, measure and compare, and numbers that print as names.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::{self, Fact};
use super::numbers::{cast, constant, value_of};
use crate::builtins::Builtin;
use crate::names;
use crate::typed::{CompareOp, Expr, ExprKind, Intrinsic};
use crate::types::{Int, Label, Type};

impl Checker<'_> {
    /// `strstr(text, part)`: where the part begins, or -1.
    pub(super) fn strstr(&mut self, row: &'static Builtin, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let (text, part) = (self.text_argument(row, &args[0]), self.text_argument(row, &args[1]));
        let (text, part) = (text?, part?);
        if let (ExprKind::String(text), ExprKind::String(part)) = (&text.kind, &part.kind) {
            let at = (0..=text.len()).find(|&at| text[at..].starts_with(part));
            return Some(constant(at.map_or(u64::MAX, |at| at as u64), Type::I64, span));
        }
        if !matches!(part.kind, ExprKind::String(_)) && !self.kernel.features().has_loops() {
            // A loop within a loop is walked round by round by the verifiers before.
            self.error(Fact::NotConstant { what: error::argument_of(row.name), at: part.span });
            return None;
        }
        Some(Expr { kind: ExprKind::Call(Intrinsic::Find, vec![text, part]), ty: Type::I64, span })
    }

    /// `strcontains(text, part)`
    pub(super) fn strcontains(
        &mut self,
        row: &'static Builtin,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<Expr> {
        let at = self.strstr(row, args, span)?;
        if let Some(at) = value_of(&at) {
            return Some(constant(u64::from(at >= 0), Type::Bool, span));
        }
        let none = constant(0, Type::I64, span);
        let kind = ExprKind::Compare(CompareOp::Ge, Box::new(at), Box::new(none));
        Some(Expr { kind, ty: Type::Bool, span })
    }

    /// `str_concat(a, b)`: one behind the other, with room for both up to `max_strlen`.
    pub(super) fn str_concat(
        &mut self,
        row: &'static Builtin,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<Expr> {
        let (left, right) = (self.text_argument(row, &args[0]), self.text_argument(row, &args[1]));
        let (left, right) = (left?, right?);
        if let (ExprKind::String(left), ExprKind::String(right)) = (&left.kind, &right.kind) {
            return Some(super::expressions::text([&left[..], right].concat(), span));
        }
        let room = capacity(&left) + capacity(&right) - 1;
        let longest = self.config.text_capacity().max(capacity(&left)).max(capacity(&right));
        let kind = ExprKind::Call(Intrinsic::Concat, vec![left, right]);
        Some(Expr { kind, ty: Type::String(room.min(longest)), span })
    }

    /// `strcap(text)`: how many bytes there is room for, the NUL included.
    pub(super) fn strcap(&mut self, row: &'static Builtin, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let text = self.text_argument(row, &args[0])?;
        Some(constant(u64::from(capacity(&text)), Type::U64, span))
    }

    /// `memcmp(a, b, length)`: less than, equal to or greater than 0.
    pub(super) fn memcmp(&mut self, row: &'static Builtin, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let (left, right, length) = (self.expr(&args[0]), self.expr(&args[1]), self.expr(&args[2]));
        let (left, right) = (self.memory(left?, row.name), self.memory(right?, row.name));
        let length = self.number(length?, "the length of `memcmp`")?;
        let (left, right) = (left?, right?);
        let most = [&left, &right].into_iter().filter_map(|side| self.bytes_of(&side.ty)).min();
        let most = most.unwrap_or(self.config.max_strlen);
        let most = match value_of(&length) {
            Some(length) if length > i128::from(most) || length < 0 => {
                self.error(Fact::BadConstant {
                    what: "the length of `memcmp`".to_string(),
                    expected: format!("a number from 0 to {most}"),
                    value: length.to_string(),
                    at: args[2].span,
                });
                return None;
            }
            Some(0) => return Some(constant(0, Type::I64, span)),
            Some(length) => length as u32,
            None => most,
        };
        // Both sides are copied as buffers of so many bytes.
        let length = cast(length, &Type::U64);
        let buffer = |side: Expr| {
            let at = side.span;
            let kind = ExprKind::Call(Intrinsic::Buf, vec![side, length.clone()]);
            Expr { kind, ty: Type::Buffer(most), span: at }
        };
        let kind = ExprKind::Call(Intrinsic::CompareBytes, vec![buffer(left), buffer(right)]);
        Some(Expr { kind, ty: Type::I64, span })
    }

    /// `strerror(number)` and its kin: the number, with a type that prints it.
    pub(super) fn label(
        &mut self,
        row: &'static Builtin,
        label: Label,
        number: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let number = self.expr(number)?;
        let number = self.number(number, &error::argument_of(row.name))?;
        Some(Expr { span, ..cast(cast(number, &Type::I64), &Type::Label(label)) })
    }

    /// A number that stands for a text, or the name of a probe, as that text; anything else as it is.
    pub(super) fn as_text(&self, expr: Expr) -> Expr {
        let span = expr.span;
        let capacity = match &expr.ty {
            Type::Label(label) if label.is_text() => names::TEXT,
            Type::Probe => {
                let targets = self.instances.iter().flat_map(|instance| &instance.targets);
                targets.map(|target| target.name.len() as u32).max().unwrap_or(0) + 1
            }
            _ => return expr,
        };
        if let (Type::Label(label), ExprKind::Cast(number)) = (&expr.ty, &expr.kind)
            && let Some(known) = value_of(number).and_then(|number| names::text_of(label, number as i64))
        {
            return super::expressions::text(known.into_bytes(), span);
        }
        Expr { kind: ExprKind::Cast(Box::new(expr)), ty: Type::String(capacity), span }
    }

    /// Whether a number stands for this text. A literal is looked up here, once and for all.
    pub(super) fn label_is(&mut self, equal: bool, number: Expr, text: Expr, span: Span) -> Option<Expr> {
        let Type::Label(label) = &number.ty else { return None };
        if matches!(label, Label::Cgroup(_)) {
            return self.wrong_type("what is compared with text", "known when the script runs", &number);
        }
        let ExprKind::String(bytes) = &text.kind else {
            let kind = ExprKind::Equal(equal, Box::new(self.as_text(number)), Box::new(text));
            return Some(Expr { kind, ty: Type::Bool, span });
        };
        let wanted = std::str::from_utf8(bytes).ok().and_then(|text| names::number_of(label, text));
        let Some(wanted) = wanted else {
            return Some(constant(u64::from(!equal), Type::Bool, span));
        };
        let number = cast(number, &Type::I64);
        let wanted = constant(wanted as u64, Type::I64, text.span);
        let compare = if equal { CompareOp::Eq } else { CompareOp::Ne };
        let kind = ExprKind::Compare(compare, Box::new(number), Box::new(wanted));
        Some(Expr { kind, ty: Type::Bool, span })
    }

    /// `ntohs(number)` and its kin: the other byte order, in so many bytes.
    pub(super) fn network_order(
        &mut self,
        row: &'static Builtin,
        size: u8,
        number: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let number = self.expr(number)?;
        let number = self.number(number, &error::argument_of(row.name))?;
        let ty = Type::Int(Int { size, signed: false });
        let number = cast(number, &ty);
        if let ExprKind::Int(value) = number.kind {
            let swapped = value.swap_bytes() >> (64 - 8 * u32::from(size));
            return Some(constant(swapped, ty, span));
        }
        Some(Expr { kind: ExprKind::Call(Intrinsic::ByteSwap, vec![number]), ty, span })
    }

    /// An argument that is text, or the address of text.
    pub(super) fn text_argument(&mut self, row: &'static Builtin, arg: &ast::Expr) -> Option<Expr> {
        let value = self.expr(arg)?;
        let value = self.as_text(value);
        if matches!(value.ty, Type::Pointer(..)) {
            let ty = Type::String(self.config.text_capacity());
            let span = value.span;
            return Some(Expr { kind: ExprKind::Call(Intrinsic::Str, vec![value]), ty, span });
        }
        if !matches!(value.ty, Type::String(_)) {
            return self.wrong_type(&error::argument_of(row.name), "a string", &value);
        }
        Some(value)
    }

    /// The bytes of a text or of an array.
    pub(super) fn bytes_of(&self, ty: &Type) -> Option<u32> {
        matches!(ty, Type::String(_) | Type::Array(..)).then(|| self.structs.size_in_memory(ty))
    }
}

fn capacity(text: &Expr) -> u32 {
    text.ty.capacity().map_or(1, |capacity| capacity.max(1))
}
