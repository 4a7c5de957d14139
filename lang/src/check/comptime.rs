//! What is settled while a script is compiled: `comptime`, `if comptime`, `fail`, and questions about types.
//!
//! A value is known if it follows from the script, its parameters and the types alone. Of an `if comptime`, only the branch that is
//! taken is checked; so the other one may be wrong for these types.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::KnownFact;
use super::expressions::text;
use super::numbers::{cast, constant, value_of};
use super::operators::fold;
use crate::builtins::Question;
use crate::typed::{CompareOp, Expr, ExprKind, StmtKind, UnaryOp};
use crate::types::{Int, Space, Type};

/// What becomes of an `if`.
pub(super) enum Branch<'t> {
    /// It is decided when the program runs.
    Open,
    /// This block takes its place, or nothing.
    Taken(Option<&'t ast::Block>),
}

impl Checker<'_> {
    /// `comptime operand`
    pub(super) fn comptime(&mut self, operand: &ast::Expr, span: Span) -> Option<Expr> {
        let value = self.expr(operand)?;
        let Some(value) = known(&value) else {
            self.error(KnownFact::NotKnown { at: operand.span });
            return None;
        };
        Some(Expr { span, ..value })
    }

    /// Decides an `if comptime`.
    pub(super) fn taken<'t>(&mut self, inner: &'t ast::If) -> Option<Branch<'t>> {
        let ast::ExprKind::Comptime(condition) = &inner.condition.kind else { return Some(Branch::Open) };
        let value = self.comptime(condition, inner.condition.span)?;
        let holds = value_of(&self.truth(value)?)? != 0;
        Some(Branch::Taken(if holds { Some(&inner.then) } else { inner.otherwise.as_deref() }))
    }

    /// An `if comptime` as a statement.
    pub(super) fn taken_statement(&mut self, block: Option<&ast::Block>) -> StmtKind {
        StmtKind::Block(block.map(|block| self.block(block)).unwrap_or_default())
    }

    /// `is_ptr(x)` and its like; nothing of `x` is executed.
    pub(super) fn question(&mut self, question: Question, arg: &ast::Expr, span: Span) -> Option<Expr> {
        let (ty, is_literal) = if let ast::ExprKind::Type(ty) = &arg.kind {
            (self.written_type(ty, Space::Kernel)?, false)
        } else {
            (self.expr(arg)?.ty, is_literal(arg))
        };
        let answer = match question {
            Question::Pointer => matches!(ty, Type::Pointer(..)),
            Question::Str => {
                matches!(ty, Type::String(_)) || matches!(&ty, Type::Label(label) if label.is_text())
            }
            Question::Array => matches!(ty, Type::Array(..)),
            Question::Integer => matches!(ty, Type::Int(_)),
            Question::Unsigned => matches!(ty, Type::Int(Int { signed: false, .. })),
            Question::Literal => is_literal,
        };
        Some(constant(u64::from(answer), Type::Bool, span))
    }

    /// `typeinfo(x)`: a record of two names.
    pub(super) fn typeinfo(&mut self, of: &ast::TypeOrExpr, span: Span) -> Option<Expr> {
        let ty = self.type_of(of)?;
        let full = self.type_name(&ty);
        let base = match &ty {
            Type::Void => "void",
            Type::Bool => "bool",
            Type::Int(_) => "int",
            Type::Enum(_) => "enum",
            Type::Pointer(..) => "pointer",
            Type::String(_) => "string",
            Type::Buffer(_) => "buffer",
            Type::Array(..) => "array",
            Type::Struct(_) => "struct",
            Type::Tuple(_) => "tuple",
            Type::Record(_) => "record",
            Type::Stack(_)
            | Type::KernelSymbol
            | Type::UserSymbol
            | Type::Inet
            | Type::Mac
            | Type::Username
            | Type::Timestamp(..)
            | Type::Probe
            | Type::Label(_)
            | Type::Aggregate(_) => &full,
        };
        let fields = [("base_type", base), ("full_type", &full)];
        Some(record(fields.map(|(name, value)| (name, text(value.as_bytes().to_vec(), span))), span))
    }

    /// `fail(format, …)`: reached, it is an error with that text.
    pub(super) fn fail(&mut self, args: &[ast::Expr], span: Span) -> Option<()> {
        let (format, args) = args.split_first()?;
        let format = self.literal_text(format, "the format of `fail`")?;
        let mut values = Vec::new();
        for arg in args {
            let value = self.expr(arg)?;
            let Some(value) = known(&value) else {
                self.error(KnownFact::NotKnown { at: arg.span });
                return None;
            };
            values.push(value);
        }
        self.error(KnownFact::Failed { message: filled(&format, &values), at: span });
        None
    }
}

/// A value that is known, with all of its operators gone.
pub(super) fn known(expr: &Expr) -> Option<Expr> {
    let span = expr.span;
    let truth = |value: bool| Some(constant(u64::from(value), Type::Bool, span));
    match &expr.kind {
        ExprKind::Int(_) | ExprKind::String(_) => Some(expr.clone()),
        ExprKind::Tuple(parts) => {
            let parts = parts.iter().map(known).collect::<Option<Vec<_>>>()?;
            Some(Expr { kind: ExprKind::Tuple(parts), ty: expr.ty.clone(), span })
        }
        ExprKind::TupleField(object, index) => {
            let ExprKind::Tuple(parts) = known(object)?.kind else { return None };
            parts.into_iter().nth(*index as usize)
        }
        ExprKind::Cast(operand) => {
            let done = cast(known(operand)?, &expr.ty);
            matches!(done.kind, ExprKind::Int(_)).then_some(done)
        }
        ExprKind::Unary(op, operand) => {
            let value = value_of(&known(operand)?)? as u64;
            match op {
                UnaryOp::IsZero => truth(value == 0),
                UnaryOp::Neg => Some(constant(value.wrapping_neg(), expr.ty.clone(), span)),
                UnaryOp::Not => Some(constant(!value, expr.ty.clone(), span)),
            }
        }
        ExprKind::Binary(op, left, right) => {
            let signed = matches!(expr.ty, Type::Int(Int { signed: true, .. }));
            let (left, right) = (value_of(&known(left)?)?, value_of(&known(right)?)?);
            Some(constant(fold(*op, left as u64, right as u64, signed)?, expr.ty.clone(), span))
        }
        ExprKind::Compare(op, left, right) => {
            let (left, right) = (value_of(&known(left)?)?, value_of(&known(right)?)?);
            truth(match op {
                CompareOp::Eq => left == right,
                CompareOp::Ne => left != right,
                CompareOp::Lt => left < right,
                CompareOp::Le => left <= right,
                CompareOp::Gt => left > right,
                CompareOp::Ge => left >= right,
            })
        }
        ExprKind::Equal(equal, left, right) => {
            Some(same(&known(left)?, &known(right)?)? == *equal).and_then(truth)
        }
        ExprKind::And(left, right) => match value_of(&known(left)?)? {
            0 => truth(false),
            _ => truth(value_of(&known(right)?)? != 0),
        },
        ExprKind::Or(left, right) => match value_of(&known(left)?)? {
            0 => truth(value_of(&known(right)?)? != 0),
            _ => truth(true),
        },
        ExprKind::Select(condition, then, otherwise) => {
            known(if value_of(&known(condition)?)? != 0 { then } else { otherwise })
        }
        // What is there only when the script runs.
        ExprKind::Local(_)
        | ExprKind::Map(_)
        | ExprKind::Merged(_)
        | ExprKind::HasKey(_)
        | ExprKind::Find(..)
        | ExprKind::Delete(_)
        | ExprKind::Len(_)
        | ExprKind::Arg(_)
        | ExprKind::Word(_)
        | ExprKind::Retval
        | ExprKind::EqualPrefix(..)
        | ExprKind::Block(..)
        | ExprKind::Step { .. }
        | ExprKind::Field(..)
        | ExprKind::Index(..)
        | ExprKind::Deref(_)
        | ExprKind::AddressOf(_)
        | ExprKind::Call(..) => None,
    }
}

/// Whether two known values are equal.
fn same(left: &Expr, right: &Expr) -> Option<bool> {
    match (&left.kind, &right.kind) {
        (ExprKind::String(left), ExprKind::String(right)) => Some(left == right),
        (ExprKind::Int(_), ExprKind::Int(_)) => Some(value_of(left)? == value_of(right)?),
        (ExprKind::Tuple(left), ExprKind::Tuple(right)) => {
            let mut all = true;
            for (left, right) in left.iter().zip(right) {
                all &= same(left, right)?;
            }
            Some(all)
        }
        _ => None,
    }
}

/// A record of values.
pub(super) fn record<'n>(fields: impl IntoIterator<Item = (&'n str, Expr)>, span: Span) -> Expr {
    let (types, parts) =
        fields.into_iter().map(|(name, value)| ((name.to_owned(), value.ty.clone()), value)).unzip();
    Expr { kind: ExprKind::Tuple(parts), ty: Type::Record(types), span }
}

/// An element of a tuple or a record: the value itself, where it stands there.
pub(super) fn element_of(object: Expr, index: u32, ty: Type, span: Span) -> Expr {
    if let ExprKind::Tuple(parts) = &object.kind
        && !object.has_effect()
        && let Some(part) = parts.get(index as usize)
    {
        return Expr { span, ..part.clone() };
    }
    Expr { kind: ExprKind::TupleField(Box::new(object), index), ty, span }
}

fn is_literal(arg: &ast::Expr) -> bool {
    match &arg.kind {
        ast::ExprKind::Int { .. }
        | ast::ExprKind::String(_)
        | ast::ExprKind::Bool(_)
        | ast::ExprKind::Positional(_)
        | ast::ExprKind::PositionalCount => true,
        ast::ExprKind::Unary { op, operand } => match op {
            ast::UnaryOp::Neg | ast::UnaryOp::Plus => is_literal(operand),
            ast::UnaryOp::Not | ast::UnaryOp::BitNot | ast::UnaryOp::Deref | ast::UnaryOp::AddressOf => false,
        },
        ast::ExprKind::Ident(_)
        | ast::ExprKind::Variable(_)
        | ast::ExprKind::Map { .. }
        | ast::ExprKind::Step { .. }
        | ast::ExprKind::Binary { .. }
        | ast::ExprKind::Ternary { .. }
        | ast::ExprKind::Elvis { .. }
        | ast::ExprKind::Cast { .. }
        | ast::ExprKind::Call { .. }
        | ast::ExprKind::Field { .. }
        | ast::ExprKind::TupleIndex { .. }
        | ast::ExprKind::Index { .. }
        | ast::ExprKind::Tuple(_)
        | ast::ExprKind::Record(_)
        | ast::ExprKind::Block(_)
        | ast::ExprKind::If(_)
        | ast::ExprKind::Comptime(_)
        | ast::ExprKind::Sizeof(_)
        | ast::ExprKind::Offsetof { .. }
        | ast::ExprKind::Typeinfo(_)
        | ast::ExprKind::Type(_) => false,
    }
}

/// A format with known values in it. Only the letter of a conversion counts.
fn filled(format: &str, values: &[Expr]) -> String {
    let mut message = String::new();
    let mut values = values.iter();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            message.push(c);
            continue;
        }
        let Some(letter) =
            rest.by_ref().find(|c| c.is_ascii_alphabetic() && !"hlLjzt".contains(*c) || *c == '%')
        else {
            break;
        };
        if letter == '%' {
            message.push('%');
        } else if let Some(value) = values.next() {
            message.push_str(&shown(value, letter));
        }
    }
    message
}

fn shown(value: &Expr, letter: char) -> String {
    match (&value.kind, value_of(value)) {
        (ExprKind::String(bytes), _) => String::from_utf8_lossy(bytes).into_owned(),
        (_, Some(number)) if matches!(letter, 'x' | 'p') => format!("{number:#x}"),
        (_, Some(number)) if value.ty == Type::Bool => (number != 0).to_string(),
        (_, Some(number)) => number.to_string(),
        (_, None) => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_filled() {
        let span = Span::default();
        let values = [
            text(b"x".to_vec(), span),
            constant(-5i64 as u64, Type::I64, span),
            constant(1, Type::Bool, span),
        ];
        assert_eq!(filled("%s is %5lld, %d%% of %s", &values), "x is -5, true% of ");
        assert_eq!(filled("%", &values), "");
    }
}
