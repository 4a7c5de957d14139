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
            Act::Debugf | Act::WriteUser | Act::Signal | Act::SignalThread | Act::Fail => return None,
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
        let calls = self.calls_of(&format, &values)?;
        let statement = |(text, arguments): (String, Vec<Expr>)| {
            let format = super::expressions::text(text.into_bytes(), args[0].span);
            let arguments = std::iter::once(format).chain(arguments).collect();
            let kind = ExprKind::Call(Intrinsic::SeqPrint, arguments);
            Stmt { kind: StmtKind::Expr(Expr { kind, ty: Type::I64, span }), span }
        };
        Some(StmtKind::Block(calls.into_iter().map(statement).collect()))
    }

    /// The calls of the kernel's `printf` that a format becomes. The kernel has room for one string in each.
    fn calls_of(&mut self, format: &Format, values: &[Expr]) -> Option<Vec<(String, Vec<Expr>)>> {
        let mut calls = vec![(String::new(), Vec::new())];
        let mut is_full = false;
        for piece in &format.pieces {
            let (text, value) = match piece {
                Piece::Text(plain) => (plain.replace('%', "%%"), None),
                Piece::Spec(spec) => {
                    let Some((text, value)) = kernel_spec(spec, &values[spec.argument as usize]) else {
                        self.error(Fact::ReaderFormat { spec: spec_text(spec), at: spec.span });
                        return None;
                    };
                    (text, Some(value))
                }
            };
            let is_text = value.as_ref().is_some_and(|value| !value.ty.is_scalar());
            let count = calls.last().map_or(0, |(_, values)| values.len());
            if is_full && is_text || value.is_some() && count == MOST_VALUES {
                calls.push((String::new(), Vec::new()));
                is_full = false;
            }
            is_full |= is_text;
            if let Some((all, values)) = calls.last_mut() {
                all.push_str(&text);
                values.extend(value);
            }
        }
        Some(calls)
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
        let plain = match &value.ty {
            Type::Pointer(..) => cast(value.clone(), &Type::U64),
            _ => value.clone(),
        };
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
