//! Text in, syntax tree out.
//!
//! Assumes nothing about the text. Ensures that it never panics, that every node has a span, and that no tree is deeper than a walk
//! over it can bear. Finds several errors in one run, in the order of the text.

use std::convert::Infallible;

use lalrpop_util::{ErrorRecovery, ParseError};

use crate::ast::*;
use crate::conditional;
use crate::error::{Error, ErrorKind, NumberFault};
use crate::grammar::StartParser;
use crate::lexer::Lexer;
use crate::literal;
use crate::source::{Source, Span};
use crate::token::Token;
use crate::type_name;

/// Macros that every script may ask for: the types of the kernel are always there.
const GIVEN: &[(&str, u64)] = &[("BPFTRACE_HAVE_BTF", 1)];

/// Parses a script, an import or a module of the library.
pub fn parse(source: &Source) -> Result<Script, Vec<Error>> {
    parse_given(source, &[])
}

/// Parses with further macros for `#ifdef` and `#if`, besides `BPFTRACE_HAVE_BTF`.
pub fn parse_given(source: &Source, given: &[(&str, u64)]) -> Result<Script, Vec<Error>> {
    // Offsets are 32 bits, and several sources share them.
    if source.text.len() > 1 << 30 {
        return Err(vec![Error::new(ErrorKind::TooLarge, Span::new(source.start, source.start))]);
    }
    let mut errors = Vec::new();
    let text = conditional::resolve(&source.text, source.start, &[GIVEN, given].concat(), &mut errors);
    let mut lexer = Lexer::script(&text, source.start);
    let (parsed, found) = run(&mut lexer, &text, source.start);
    errors.append(&mut lexer.errors);
    errors.extend(found);
    // Stable, so errors at one place keep their order.
    errors.sort_by_key(|error| error.span.start);
    match parsed {
        Some(Parsed::Script(mut script)) if errors.is_empty() => {
            script.definitions = lexer.definitions;
            Ok(script)
        }
        _ => Err(errors),
    }
}

/// Parses the expression that is all of `text` from `at` on; offsets count from `base`.
pub(crate) fn expression(text: &str, at: usize, base: u32, errors: &mut Vec<Error>) -> Option<Expr> {
    let mut lexer = Lexer::expression(text, at, base);
    let (parsed, found) = run(&mut lexer, text, base);
    let good = lexer.errors.is_empty() && found.is_empty();
    errors.append(&mut lexer.errors);
    errors.extend(found);
    match parsed {
        Some(Parsed::Expr(expr)) if good => Some(expr),
        Some(Parsed::Expr(_) | Parsed::Script(_)) | None => None,
    }
}

fn run(lexer: &mut Lexer<'_>, text: &str, base: u32) -> (Option<Parsed>, Vec<Error>) {
    let mut context = Context { errors: Vec::new(), failures: Vec::new() };
    let parsed = StartParser::new().parse(&mut context, &mut *lexer);
    let mut failures = context.failures;
    let parsed = match parsed {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            failures.push(Failure::of(&error, false));
            None
        }
    };
    let mut errors = context.errors;
    let mut item = None;
    for failure in failures {
        // An item in which something was wrong already may leave the parser confused at its end.
        if failure.item && item.is_some_and(|before| before >= failure.from) {
            continue;
        }
        item = Some(failure.span.start);
        // The driver has spoken about these.
        let spoken = failure.spoken || (lexer.cut && failure.span.start as usize >= base as usize + text.len());
        if !spoken {
            errors.push(failure.error(text, base));
        }
    }
    (parsed, errors)
}

/// What the grammar yields.
pub(crate) enum Parsed {
    Script(Script),
    Expr(Expr),
}

/// One item as the grammar sees it.
pub(crate) enum Piece {
    Item(Item),
    Config(Config),
    Import(Import),
    Nothing,
}

/// What the grammar's actions share.
pub(crate) struct Context {
    errors: Vec<Error>,
    failures: Vec<Failure>,
}
