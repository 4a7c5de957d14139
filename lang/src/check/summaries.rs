//! `count()` and its kin: what a map keeps of the numbers that it is given.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::{self, Fact, MapFact, Warning};
use super::numbers::cast;
use crate::aggregate::{Aggregate, Keep, series};
use crate::builtins::{Builtin, Summary};
use crate::config::Unstable;
use crate::typed::Expr;
use crate::types::{Int, Type};

impl Checker<'_> {
    /// `count()` and its kin: what is kept, and the number that is given.
    pub(super) fn summary(
        &mut self,
        row: &'static Builtin,
        summary: Summary,
        args: &[ast::Expr],
        at: Span,
    ) -> Option<(Aggregate, Option<Expr>)> {
        self.arity(row, args, at)?;
        let Some(first) = args.first() else { return Some((Aggregate::Count, None)) };
        let number = self.expr(first)?;
        let number = self.number(number, &error::argument_of(row.name))?;
        let signed = matches!(number.ty, Type::Int(Int { signed: true, .. })) && !self.is_flexible(&number);
        let number = cast(number, if signed { &Type::I64 } else { &Type::U64 });
        let aggregate = match summary {
            Summary::Count => Aggregate::Count,
            Summary::Sum => Aggregate::Sum { signed },
            Summary::Min => Aggregate::Min { signed },
            Summary::Max => Aggregate::Max { signed },
            Summary::Avg => Aggregate::Avg { signed },
            Summary::Stats => Aggregate::Stats { signed },
            Summary::Hist => {
                let bits = match args.get(1) {
                    Some(bits) => {
                        let bits = self.expr(bits)?;
                        self.constant_in(&bits, "the bits of `hist`", "a number from 0 to 5", 0..=5)? as u8
                    }
                    None => 0,
                };
                Aggregate::Hist { bits }
            }
            Summary::Lhist => {
                let most = i128::from(i64::MAX);
                let mut bound = |index: usize, what: &str, least: i128| {
                    let value = self.expr(&args[index])?;
                    let expected = if least == 0 { "a number, at least 0" } else { "a number, at least 1" };
                    Some(self.constant_in(&value, what, expected, least..=most)? as i64)
                };
                let min = bound(1, "the lower end of `lhist`", 0);
                let max = bound(2, "the upper end of `lhist`", 0);
                let step = bound(3, "the step of `lhist`", 1);
                let (min, max, step) = (min?, max?, step?);
                if max <= min || step > max - min || (max - min) / step > 1000 {
                    self.error(Fact::BadConstant {
                        what: "the range of `lhist`".to_string(),
                        expected: "ascending, in 1 to 1000 steps".to_string(),
                        value: format!("{min} to {max} by {step}"),
                        at,
                    });
                    return None;
                }
                Aggregate::Lhist { min, max, step }
            }
            Summary::Tseries => self.series(args, signed, at)?,
        };
        Some((aggregate, Some(number)))
    }

    /// What `tseries` keeps.
    fn series(&mut self, args: &[ast::Expr], signed: bool, at: Span) -> Option<Aggregate> {
        self.unstable(self.config.unstable_tseries, "tseries", "unstable_tseries", at)?;
        let most = i128::from(i64::MAX);
        let interval = self.expr(&args[1]).and_then(|interval| {
            let what = "the interval of `tseries`";
            self.constant_in(&interval, what, "nanoseconds, at least 1", 1..=most)
        });
        let intervals = self.expr(&args[2]).and_then(|intervals| {
            let most = i128::from(series::MOST_INTERVALS);
            let what = "the number of intervals";
            self.constant_in(&intervals, what, "a number from 1 to 1000", 1..=most)
        });
        let keep = match args.get(3) {
            None => Some(Keep::Last),
            Some(argument) => {
                let what = "the aggregation of `tseries`";
                let name = self.literal_text(argument, what)?;
                let keep = match name.as_str() {
                    "sum" => Some(Keep::Sum),
                    "min" => Some(Keep::Min),
                    "max" => Some(Keep::Max),
                    "avg" => Some(Keep::Avg),
                    _ => None,
                };
                if keep.is_none() {
                    self.error(Fact::BadConstant {
                        what: what.to_string(),
                        expected: "\"avg\", \"max\", \"min\" or \"sum\"".to_string(),
                        value: format!("{name:?}"),
                        at: argument.span,
                    });
                }
                keep
            }
        };
        let (interval, intervals) = (interval? as u64, intervals? as u32);
        Some(Aggregate::Tseries { keep: keep?, signed, interval, intervals })
    }

    /// What may still change is used: nothing, a warning, or an error, as its setting says.
    fn unstable(&mut self, setting: Unstable, what: &'static str, key: &'static str, at: Span) -> Option<()> {
        match setting {
            Unstable::Enable => Some(()),
            Unstable::Warn => {
                let said = |known: &Warning| matches!(known, Warning::Unstable { key: of, .. } if *of == key);
                if !self.warnings.iter().any(said) {
                    self.warn(Warning::Unstable { what, key, at });
                }
                Some(())
            }
            Unstable::Error => {
                self.error(MapFact::Unstable { what, key, at });
                None
            }
        }
    }
}
