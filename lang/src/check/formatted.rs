//! Actions that take a format as `printf` does, and signals.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::{self, Fact, Warning};
use super::nearest::nearest;
use super::numbers::{cast, constant, value_of};
use crate::action::{Action, Conversion, Format, Level, Piece, Spec};
use crate::builtins::Builtin;
use crate::names;
use crate::record::Record;
use crate::typed::{Expr, ExprKind, Intrinsic, Stmt, StmtKind, UnaryOp};
use crate::types::{Int, Type};

/// The highest number of a signal.
const SIGNALS: i128 = 64;
/// The most arguments that the kernel prints to its trace pipe at once.
const TRACE_ARGUMENTS: usize = 3;

impl Checker<'_> {
    /// An action whose event holds the arguments of a format.
    pub(super) fn formatted(
        &mut self,
        row: &'static Builtin,
        args: &[ast::Expr],
        action: impl FnOnce(Format, Record) -> Action,
    ) -> Option<StmtKind> {
        let (format, values) = self.printf(row.name, args)?;
        let types: Vec<Type> = values.iter().map(|value| value.ty.clone()).collect();
        let record = Record::event(&types, &self.structs);
        Some(StmtKind::Emit(self.action(action(format, record)), values))
    }

    /// `errorf` and `warnf`.
    pub(super) fn message(
        &mut self,
        row: &'static Builtin,
        level: Level,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<StmtKind> {
        self.formatted(row, args, |format, args| Action::Message { level, format, args, span })
    }

    /// `assert(condition, message)`: where the condition is false, an error and the end of tracing.
    pub(super) fn assert(
        &mut self,
        condition: &ast::Expr,
        message: &ast::Expr,
        span: Span,
    ) -> Option<StmtKind> {
        let (condition, message) = (self.expr(condition), self.expr(message));
        let (condition, message) = (self.truth(condition?)?, message?);
        if !matches!(message.ty, Type::String(_)) {
            return self.wrong_type("the message of `assert`", "a string", &message);
        }
        let format = Format { pieces: vec![Piece::Spec(text_of(0))] };
        let args = Record::event(std::slice::from_ref(&message.ty), &self.structs);
        let action = self.action(Action::Message { level: Level::Error, format, args, span });
        let exit = self.action(Action::Exit);
        let failed = vec![
            Stmt { kind: StmtKind::Emit(action, vec![message]), span },
            Stmt { kind: StmtKind::Exit(exit, Some(constant(1, Type::I64, span))), span },
        ];
        let fails = ExprKind::Unary(UnaryOp::IsZero, Box::new(condition));
        Some(StmtKind::If(Expr { kind: fails, ty: Type::Bool, span }, failed, Vec::new()))
    }

    /// `debugf`: the kernel formats, so the format is rewritten for its own `printf`.
    pub(super) fn debugf(
        &mut self,
        row: &'static Builtin,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<StmtKind> {
        self.warn(Warning::Debug { at: span });
        let (format, values) = self.printf(row.name, args)?;
        if let Some(extra) = values.get(TRACE_ARGUMENTS) {
            self.error(Fact::TooManyArguments {
                found: values.len(),
                limit: TRACE_ARGUMENTS,
                at: extra.span,
            });
            return None;
        }
        let mut text = String::new();
        for piece in &format.pieces {
            match piece {
                Piece::Text(plain) => text.push_str(&plain.replace('%', "%%")),
                Piece::Spec(spec) => {
                    let value = &values[spec.argument as usize];
                    let Some(conversion) = trace_conversion(spec, value) else {
                        let spec_text = super::format::spec_text(spec);
                        self.error(Fact::TraceFormat { spec: spec_text, at: spec.span });
                        return None;
                    };
                    text.push_str(conversion);
                }
            }
        }
        let format = super::expressions::text(text.into_bytes(), args[0].span);
        let arguments = std::iter::once(format).chain(values).collect();
        let kind = ExprKind::Call(Intrinsic::TracePrint, arguments);
        Some(StmtKind::Expr(Expr { kind, ty: Type::I64, span }))
    }

    /// `signal(10)`, `signal("KILL")`, `signal(SIGKILL)`
    pub(super) fn signal(
        &mut self,
        row: &'static Builtin,
        intrinsic: Intrinsic,
        arg: &ast::Expr,
        span: Span,
    ) -> Option<StmtKind> {
        let signal = self.expr(arg)?;
        let number = match &signal.kind {
            ExprKind::String(name) => {
                let name = String::from_utf8_lossy(name).to_ascii_uppercase();
                let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
                match names::signal_by_name(&name) {
                    Some(number) => constant(number as u64, Type::U32, arg.span),
                    None => {
                        let help = nearest(&name, names::SIGNALS.iter().map(|(_, known)| *known));
                        self.error(Fact::UnknownSignal { name, at: arg.span, help });
                        return None;
                    }
                }
            }
            _ => {
                if value_of(&signal).is_some() {
                    let expected = "a number from 1 to 64, or a name";
                    self.constant_in(&signal, &error::argument_of(row.name), expected, 1..=SIGNALS)?;
                }
                cast(self.number(signal, &error::argument_of(row.name))?, &Type::Int(Int::U32))
            }
        };
        let kind = ExprKind::Call(intrinsic, vec![number]);
        Some(StmtKind::Expr(Expr { kind, ty: Type::I64, span }))
    }
}

/// `%s` of an argument.
fn text_of(argument: u32) -> Spec {
    Spec {
        left: false,
        plus: false,
        space: false,
        alternate: false,
        zero: false,
        width: None,
        precision: None,
        length: None,
        conversion: Conversion::Text,
        argument,
        span: Span::default(),
    }
}

/// How the kernel's own format prints the value; `None` where it cannot.
fn trace_conversion(spec: &Spec, value: &Expr) -> Option<&'static str> {
    let flags = spec.left || spec.plus || spec.space || spec.alternate || spec.zero;
    if flags || spec.width.is_some() || spec.precision.is_some() {
        return None;
    }
    let wide = match spec.length {
        Some(bytes) => bytes == 8,
        None => matches!(&value.ty, Type::Int(Int { size: 8, .. }) | Type::Pointer(..)),
    };
    match (spec.conversion, wide) {
        (Conversion::Signed, false) => Some("%d"),
        (Conversion::Signed, true) => Some("%lld"),
        (Conversion::Unsigned, false) => Some("%u"),
        (Conversion::Unsigned, true) => Some("%llu"),
        (Conversion::Hex { upper: false }, false) => Some("%x"),
        (Conversion::Hex { upper: false }, true) => Some("%llx"),
        (Conversion::Pointer, _) => Some("0x%llx"),
        (Conversion::Text, _) => matches!(value.ty, Type::String(_)).then_some("%s"),
        (
            Conversion::Hex { upper: true }
            | Conversion::Octal
            | Conversion::Char
            | Conversion::AllocationFlags
            | Conversion::Bytes
            | Conversion::HexBytes
            | Conversion::EscapedBytes,
            _,
        ) => None,
    }
}
