//! What is printed into the file by whose reading a program is run: by the kernel's own `printf`, which knows less than ours.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::{Fact, PlaceFact, Warning};
use super::format::spec_text;
use super::numbers::cast;
use crate::action::{Amount, Conversion, Format, Piece, Spec};
use crate::builtins::{Act, Builtin, Means, Value};
use crate::provider::ProgramKind;
use crate::typed::{Expr, ExprKind, Intrinsic, Stmt, StmtKind};
use crate::types::{Int, Type};

/// The most values that the kernel formats at once.
const MOST_VALUES: usize = 12;

impl Checker<'_> {
    /// An action where nobody takes events; `None` where they are taken, or where the action sends none.
    pub(super) fn print_to_reader(
        &mut self,
        row: &'static Builtin,
        act: Act,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<Option<Stmt>> {
        let instance = &self.instances[self.walk.instance?];
        if !instance.provider.prints_to_reader(&instance.targets[0]) {
            return None;
        }
        let kind = match act {
            Act::Printf => self.printf_to_reader(row, args, span),
            Act::Debugf | Act::WriteUser | Act::Override | Act::Signal | Act::SignalThread | Act::Fail => {
                return None;
            }
            Act::Cat
            | Act::System
            | Act::Errorf
            | Act::Warnf
            | Act::Assert
            | Act::Print
            | Act::Clear
            | Act::Zero
            | Act::Exit
            | Act::Time
            | Act::Unwatch
            | Act::Join => {
                let reason =
                    "a pinned iterator runs when its file is read, and rtscript is not there any more";
                let help = Some("`printf` prints into the file; without a pin, everything can be done");
                self.error(PlaceFact::NotHere { name: row.name, reason, at: span, help });
                None
            }
        };
        Some(kind.map(|kind| Stmt { kind, span }))
    }

    /// Warns of what is not the object's, but rtscript's own, which reads the iterator.
    pub(super) fn warn_of_reader(&mut self, row: &'static Builtin, at: Span) {
        let Some(instance) = self.walk.instance.map(|index| &self.instances[index]) else { return };
        let is_read_by_us = instance.context.program == ProgramKind::Iter
            && !instance.provider.prints_to_reader(&instance.targets[0]);
        let is_of_reader = matches!(
            row.means,
            Means::Computed(
                Intrinsic::Pid
                    | Intrinsic::Tid
                    | Intrinsic::Uid
                    | Intrinsic::Gid
                    | Intrinsic::Comm
                    | Intrinsic::Cgroup,
                _
            ) | Means::Value(Value::CurrentTask | Value::Username | Value::KernelStack | Value::UserStack)
        );
        if is_read_by_us && is_of_reader {
            self.warn(Warning::OfReader { name: row.name, at });
        }
    }

    fn printf_to_reader(
        &mut self,
        row: &'static Builtin,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<StmtKind> {
        let (format, values) = self.printf(row.name, args)?;
        let calls = self.calls_of(&format, &values, args[0].span)?;
        let statement = |(text, arguments): (String, Vec<Expr>)| {
            let format = super::expressions::text(text.into_bytes(), args[0].span);
            let arguments = std::iter::once(format).chain(arguments).collect();
            let kind = ExprKind::Call(Intrinsic::SeqPrint, arguments);
            Stmt { kind: StmtKind::Expr(Expr { kind, ty: Type::I64, span }), span }
        };
        Some(StmtKind::Block(calls.into_iter().map(statement).collect()))
    }

    /// The calls of the kernel's `printf` that a format becomes.
    fn calls_of(&mut self, format: &Format, values: &[Expr], at: Span) -> Option<Vec<(String, Vec<Expr>)>> {
        let mut calls = Calls(vec![Call::default()]);
        for piece in &format.pieces {
            match piece {
                Piece::Text(plain) if is_plain(plain) => calls.text(&plain.replace('%', "%%")),
                // The kernel's formats are ASCII; its strings are not looked at.
                Piece::Text(other) => {
                    calls.value("%s", super::expressions::text(other.clone().into_bytes(), at));
                }
                Piece::Spec(spec) => match kernel_spec(spec, &values[spec.argument as usize]) {
                    Some((text, value)) => calls.value(&text, value),
                    None => {
                        self.error(Fact::ReaderFormat { spec: spec_text(spec), at: spec.span });
                        return None;
                    }
                },
            }
        }
        Some(calls.0.into_iter().map(|call| (call.format, call.values)).collect())
    }
}

/// What the kernel prints as it stands in a format.
fn is_plain(text: &str) -> bool {
    text.chars().all(|char| matches!(char, ' '..='~' | '\t'..='\r'))
}

#[derive(Default)]
struct Call {
    format: String,
    values: Vec<Expr>,
    /// The kernel has room for one string in each call.
    has_text: bool,
    /// It takes letters behind `%ps` for a part of that.
    is_over: bool,
}

struct Calls(Vec<Call>);

impl Calls {
    fn text(&mut self, text: &str) {
        self.call(|call| call.is_over).format.push_str(text);
    }

    fn value(&mut self, format: &str, value: Expr) {
        let is_text = !value.ty.is_scalar();
        let call =
            self.call(|call| call.is_over || call.has_text && is_text || call.values.len() == MOST_VALUES);
        call.format.push_str(format);
        call.values.push(value);
        call.has_text |= is_text;
        call.is_over = format.ends_with("ps");
    }

    /// The last call, or another one where that cannot take more.
    fn call(&mut self, cannot: impl FnOnce(&Call) -> bool) -> &mut Call {
        if self.0.last().is_none_or(cannot) {
            self.0.push(Call::default());
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

/// A conversion as the kernel writes it, and the value as it takes it; `None` where it has no such conversion.
fn kernel_spec(spec: &Spec, value: &Expr) -> Option<(String, Expr)> {
    let width = match (spec.width, spec.precision) {
        (None, None) => String::new(),
        (Some(Amount::Fixed(width)), None) => width.to_string(),
        (Some(Amount::Argument(_)), _) | (_, Some(_)) => return None,
    };
    let hex = matches!(spec.conversion, Conversion::Hex { .. });
    if spec.alternate && (hex || spec.conversion == Conversion::Octal) {
        return None;
    }
    let signed = match (spec.conversion, &value.ty) {
        (Conversion::Signed, _) => true,
        (Conversion::Text, Type::Int(int)) => int.signed,
        (_, _) => false,
    };
    let own = match &value.ty {
        Type::Int(int) => int.size.max(4),
        Type::Bool => 4,
        _ => 8,
    };
    let size = spec.length.unwrap_or(own);
    let number = || {
        let is_pointer = matches!(value.ty, Type::Pointer(..));
        let plain = if is_pointer { cast(value.clone(), &Type::U64) } else { value.clone() };
        cast(cast(plain, &Type::Int(Int { size, signed })), &Type::Int(Int { size: 8, signed }))
    };
    let (conversion, value) = match (spec.conversion, &value.ty) {
        (Conversion::Signed, _) => ("lld", number()),
        (Conversion::Unsigned, _) => ("llu", number()),
        (Conversion::Hex { upper: false }, _) => ("llx", number()),
        (Conversion::Hex { upper: true }, _) => ("llX", number()),
        (Conversion::Char, _) => ("c", number()),
        (Conversion::Text, Type::Int(int)) => (if int.signed { "lld" } else { "llu" }, number()),
        (Conversion::Text, Type::KernelSymbol) => ("ps", cast(value.clone(), &Type::U64)),
        (Conversion::Text, Type::String(_)) => ("s", value.clone()),
        // The prefix stands in front of the blanks.
        (Conversion::Pointer, _) | (Conversion::Text, Type::Pointer(..)) if width.is_empty() => {
            return Some(("0x%llx".to_owned(), number()));
        }
        (
            Conversion::Text
            | Conversion::Pointer
            | Conversion::Octal
            | Conversion::AllocationFlags
            | Conversion::Bytes
            | Conversion::HexBytes
            | Conversion::EscapedBytes,
            _,
        ) => return None,
    };
    let mut text = "%".to_owned();
    for (is_set, flag) in [(spec.left, '-'), (spec.plus, '+'), (spec.space, ' '), (spec.zero, '0')] {
        if is_set {
            text.push(flag);
        }
    }
    Some((text + &width + conversion, value))
}
