//! Actions: what user space does with an event. Each becomes an [`Action`] and a statement that sends it.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::{self, Fact, MapFact};
use super::numbers::cast;
use crate::action::{Action, Level};
use crate::builtins::{Act, Builtin};
use crate::record::Record;
use crate::typed::{Intrinsic, Stmt, StmtKind};
use crate::types::Type;

/// What `time()` prints without a format.
const TIME_FORMAT: &str = "%H:%M:%S\n";
/// The most words that `join` prints, and the most bytes of each.
const JOIN_WORDS: usize = 16;
const JOIN_LENGTH: u32 = 1024;

impl Checker<'_> {
    pub(super) fn act(
        &mut self,
        row: &'static Builtin,
        act: Act,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<Stmt> {
        if act.is_unsafe() && !self.options.allow_unsafe {
            self.error(Fact::Unsafe { name: row.name, at: span });
        }
        if let Some(printed) = self.print_to_reader(row, act, args, span) {
            return printed;
        }
        let kind = match act {
            Act::Printf => self.formatted(row, args, |format, args| Action::Printf { format, args })?,
            Act::Cat => self.formatted(row, args, |format, args| Action::Cat { format, args })?,
            Act::System => self.formatted(row, args, |format, args| Action::System { format, args })?,
            Act::Errorf => self.message(row, Level::Error, args, span)?,
            Act::Warnf => self.message(row, Level::Warning, args, span)?,
            Act::Assert => self.assert(&args[0], &args[1], span)?,
            Act::Debugf => self.debugf(row, args, span)?,
            Act::WriteUser => self.write_user(row, args, span)?,
            Act::Override => self.override_result(row, &args[0], span)?,
            Act::Signal => self.signal(row, Intrinsic::Signal, &args[0], span)?,
            Act::SignalThread => self.signal(row, Intrinsic::SignalThread, &args[0], span)?,
            Act::Fail => {
                self.fail(args, span)?;
                return None;
            }
            Act::Print => self.print(row, args)?,
            Act::Clear => {
                let map = self.whole_map(&args[0], row)?;
                StmtKind::Emit(self.action(Action::Clear { map }), Vec::new())
            }
            Act::Zero => {
                let map = self.whole_map(&args[0], row)?;
                StmtKind::Emit(self.action(Action::Zero { map }), Vec::new())
            }
            Act::Unwatch => {
                let address = self.expr(&args[0])?;
                let address = self.address(address, &error::argument_of(row.name))?;
                let record = Record::event(std::slice::from_ref(&address.ty), &self.structs);
                StmtKind::Emit(self.action(Action::Unwatch { address: record }), vec![address])
            }
            Act::Exit => {
                let code = match args.first() {
                    Some(code) => {
                        let code = self.expr(code)?;
                        Some(cast(self.number(code, "the exit code")?, &Type::I64))
                    }
                    None => None,
                };
                StmtKind::Exit(self.action(Action::Exit), code)
            }
            Act::Time => {
                let format = match args.first() {
                    Some(format) => self.literal_text(format, "the format of `time`")?,
                    None => TIME_FORMAT.to_string(),
                };
                StmtKind::Emit(self.action(Action::Time { format }), Vec::new())
            }
            Act::Join => {
                let argv = self.argv(&args[0]);
                let separator = match args.get(1) {
                    Some(separator) => self.literal_text(separator, "the separator of `join`")?,
                    None => " ".to_string(),
                };
                let word = Type::String(JOIN_LENGTH);
                let record = Record::event(&vec![word; JOIN_WORDS], &self.structs);
                StmtKind::Join(self.action(Action::Join { separator, args: record }), argv?)
            }
        };
        Some(Stmt { kind, span })
    }

    /// `print(value)`, `print(@map[key])`, `print(@map[, top[, div]])`
    fn print(&mut self, row: &'static Builtin, args: &[ast::Expr]) -> Option<StmtKind> {
        let (first, limits) = args.split_first()?;
        let ast::ExprKind::Map { name, key } = &first.kind else {
            if let Some(extra) = limits.first() {
                self.error(MapFact::PrintLimits { value: first.span, at: extra.span });
                return None;
            }
            return self.print_value(first);
        };
        if key.is_none() {
            let map = self.whole_map(first, row)?;
            let mut limit = |index: usize, what: &str, otherwise: i128| match limits.get(index) {
                Some(limit) => {
                    let limit = self.expr(limit)?;
                    let whole = i128::from(i64::MIN)..=i128::from(i64::MAX);
                    self.constant_in(&limit, what, "a number of 64 bits with a sign", whole)
                }
                None => Some(otherwise),
            };
            let top = limit(0, "how many elements are printed", 0);
            let div = limit(1, "the divisor", 1);
            // A number that asks for nothing is as if it were not there.
            let top = u32::try_from(top?.min(u32::MAX.into())).unwrap_or(0);
            let div = if div? == 0 { 1 } else { div? as i64 };
            return Some(StmtKind::Emit(self.action(Action::PrintMap { map, top, div }), Vec::new()));
        }
        if let Some(extra) = limits.first() {
            self.error(MapFact::PrintLimits { value: first.span, at: extra.span });
            return None;
        }
        let map = self.map(name, first.span);
        // A summary that is no number is read when it is printed.
        if let Some(Type::Aggregate(aggregate)) = self.entities.ty(self.entities.maps[map].value)
            && aggregate.sign().is_none()
        {
            let key = self.element(name, key.as_deref(), first.span)?.key?;
            let record = Record::event(std::slice::from_ref(&key.ty), &self.structs);
            return Some(StmtKind::Emit(self.action(Action::PrintKey { map, key: record }), vec![*key]));
        }
        self.print_value(first)
    }

    fn print_value(&mut self, value: &ast::Expr) -> Option<StmtKind> {
        let value = self.expr(value)?;
        let record = Record::event(std::slice::from_ref(&value.ty), &self.structs);
        Some(StmtKind::Emit(self.action(Action::Print { value: record }), vec![value]))
    }
}
