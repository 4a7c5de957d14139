//! What a script is told by name: `getopt`, and its settings as the record `config`.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::comptime::{known, record};
use super::error::KnownFact;
use super::expressions::{Number, number_of, text};
use super::nearest::nearest;
use super::numbers::{constant, literal, signed_literal};
use super::{Checker, Parameter};
use crate::config::MissingProbes;
use crate::typed::{Expr, ExprKind};
use crate::types::{StackMode, Type};

impl Checker<'_> {
    /// `getopt(name[, default[, description]])`: what follows `--name=` on the command line, in the type of the default.
    pub(super) fn getopt(&mut self, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let name = self.literal_text(args.first()?, "the name of an option")?;
        let default = match args.get(1) {
            Some(default) => {
                let value = self.expr(default)?;
                let Some(value) = known(&value) else {
                    self.error(KnownFact::NotKnown { at: default.span });
                    return None;
                };
                value
            }
            None => constant(0, Type::Bool, span),
        };
        let description = match args.get(2) {
            Some(description) => self.literal_text(description, "the description of an option")?,
            None => String::new(),
        };
        let given = self.options.named.iter().rev().find(|(given, _)| *given == name);
        let given = given.map(|(_, value)| value.clone());
        let (expected, shown, value) = match (&default.kind, &default.ty) {
            (ExprKind::Int(default), Type::Bool) => {
                let value = match given.as_ref().map(Option::as_deref) {
                    None => Some(*default != 0),
                    Some(None | Some("true" | "1")) => Some(true),
                    Some(Some("false" | "0")) => Some(false),
                    Some(Some(_)) => None,
                };
                let value = value.map(|value| constant(u64::from(value), Type::Bool, span));
                ("true or false", (*default != 0).to_string(), value)
            }
            (ExprKind::Int(number), Type::Int(_)) => {
                let value = match &given {
                    None => Some(default.clone()),
                    Some(value) => match value.as_deref().and_then(number_of) {
                        Some(Number::Positive(value)) => Some(literal(value, span)),
                        Some(Number::Negative(value)) => Some(signed_literal(value, span)),
                        None => None,
                    },
                };
                let shown =
                    if default.ty == Type::U64 { number.to_string() } else { (*number as i64).to_string() };
                ("a number", shown, value)
            }
            (ExprKind::String(bytes), _) => {
                let value = match &given {
                    None => Some(default.clone()),
                    Some(value) => value.as_ref().map(|value| text(value.as_bytes().to_vec(), span)),
                };
                ("a text", String::from_utf8_lossy(bytes).into_owned(), value)
            }
            _ => {
                let what = "the default of an option";
                return self.wrong_type(what, "a number, a text, true or false", &default);
            }
        };
        if !self.quiet {
            match self.parameters.iter().find(|known| known.name == name) {
                Some(known) if known.default != shown || known.expected != expected => {
                    let first = known.at;
                    self.error(KnownFact::OtherDefault { name, at: span, first });
                    return None;
                }
                Some(_) => {}
                None => {
                    let name = name.clone();
                    self.parameters.push(Parameter { name, at: span, expected, default: shown, description });
                }
            }
        }
        let Some(value) = value else {
            let value = given.flatten().unwrap_or_default();
            self.error(KnownFact::BadOption { name, expected, value, at: span });
            return None;
        };
        Some(Expr { span, ..value })
    }

    /// Reports the options that no `getopt` asks for.
    pub(super) fn refuse_unknown_options(&mut self) {
        for (name, _) in &self.options.named {
            if name != "help" && !self.parameters.iter().any(|known| known.name == *name) {
                let help = nearest(name, self.parameters.iter().map(|known| known.name.as_str()));
                self.error(KnownFact::UnknownOption { name: name.clone(), help });
            }
        }
    }

    /// `config`: every setting with its value.
    pub(super) fn settings(&self, span: Span) -> Expr {
        let config = &self.config;
        let number = |value: u32| constant(u64::from(value), Type::U64, span);
        let truth = |value: bool| constant(u64::from(value), Type::Bool, span);
        let word = |value: &str| text(value.as_bytes().to_vec(), span);
        let fields = [
            ("max_strlen", number(config.max_strlen)),
            ("max_map_keys", number(config.max_map_keys)),
            ("max_probes", number(config.max_probes)),
            ("max_bpf_progs", number(config.max_bpf_progs)),
            // 0 where it is chosen by need.
            ("perf_rb_pages", number(config.perf_rb_pages.unwrap_or(0))),
            ("log_size", number(config.log_size)),
            ("max_cat_bytes", number(config.max_cat_bytes)),
            ("print_maps_on_exit", truth(config.print_maps_on_exit)),
            ("cache_user_symbols", truth(config.cache_user_symbols)),
            ("cpp_demangle", truth(config.demangle)),
            ("show_debug_info", truth(config.show_debug_info)),
            ("str_trunc_trailer", word(&config.str_trunc_trailer)),
            ("license", word(&config.license)),
            (
                "missing_probes",
                word(match config.missing_probes {
                    MissingProbes::Error => "error",
                    MissingProbes::Warn => "warn",
                    MissingProbes::Ignore => "ignore",
                }),
            ),
            (
                "stack_mode",
                word(match self.stack_mode {
                    StackMode::Symbols => "bpftrace",
                    StackMode::Perf => "perf",
                    StackMode::Raw => "raw",
                    StackMode::BuildId => "build_id",
                }),
            ),
        ];
        record(fields, span)
    }
}
