//! Text in, syntax tree out.
//!
//! Assumes nothing about the text. Ensures that it never panics, that every node has a span, and that no tree is deeper than a walk
//! over it can bear. Finds several errors in one run, in the order of the text.

use std::convert::Infallible;

use lalrpop_util::ErrorRecovery;

use crate::ast::*;
use crate::conditional::{self, Headers, Macros};
use crate::error::{ErrorKind, NumberFault, SyntaxError};
use crate::failure::Failure;
use crate::grammar::StartParser;
use crate::lexer::Lexer;
use crate::literal;
use crate::source::{Source, Span};
use crate::token::Token;
use crate::type_name;

/// What the parser reports in one run at most; nobody reads further.
const MAX_ERRORS: usize = 100;

/// Parses a script, an import or a module of the library.
pub fn parse(source: &Source) -> Result<Script, Vec<SyntaxError>> {
    parse_with(source, &mut conditional::given(), &mut ())
}

/// Parses a script whose conditionals may ask for macros that are given, and for those of headers that it includes.
pub fn parse_with(
    source: &Source,
    macros: &mut Macros,
    headers: &mut dyn Headers,
) -> Result<Script, Vec<SyntaxError>> {
    // Offsets are 32 bits, and several sources share them.
    if source.text.len() > 1 << 30 {
        return Err(vec![SyntaxError::new(ErrorKind::TooLarge, Span::new(source.start, source.start))]);
    }
    let mut errors = Vec::new();
    let text = conditional::resolve(&source.text, source.start, macros, headers, &mut errors);
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
pub(crate) fn expression(text: &str, at: usize, base: u32, errors: &mut Vec<SyntaxError>) -> Option<Expr> {
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

fn run(lexer: &mut Lexer<'_>, text: &str, base: u32) -> (Option<Parsed>, Vec<SyntaxError>) {
    let mut context = Context { errors: Vec::new(), failures: Vec::new() };
    let parsed = StartParser::new().parse(&mut context, &mut *lexer);
    let mut failures = context.failures;
    let parsed = match parsed {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            failures.push(Failure::of(&error, None));
            None
        }
    };
    let mut errors = context.errors;
    let end = base + text.len() as u32;
    let mut last = None;
    for failure in failures {
        // An item in which something was wrong already may leave the parser confused at its end.
        if failure.item.is_some_and(|start| last.is_some_and(|last| last >= start)) {
            continue;
        }
        last = Some(failure.span.start);
        // The driver has spoken about these.
        let spoken = failure.spoken || lexer.cut && (failure.at_end() || failure.span.start >= end);
        let before = failure.before(base, &lexer.ends);
        if !spoken && errors.len() < MAX_ERRORS && !lexer.errors.iter().any(|error| error.explains(before)) {
            errors.push(failure.error(text, base, before));
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
    errors: Vec<SyntaxError>,
    failures: Vec<Failure>,
}

type Recovery<'s> = ErrorRecovery<u32, Token<'s>, Infallible>;

impl Context {
    /// A place inside an item where the parser went on.
    pub(crate) fn error(&mut self, recovery: Recovery<'_>) {
        self.failures.push(Failure::of(&recovery.error, None));
    }

    /// An item, from `start` on, that was given up.
    pub(crate) fn item_error(&mut self, recovery: Recovery<'_>, start: u32) {
        self.failures.push(Failure::of(&recovery.error, Some(start)));
    }

    pub(crate) fn add(&mut self, script: &mut Script, piece: Piece) {
        match piece {
            Piece::Item(item) => script.items.push(item),
            Piece::Import(import) => script.imports.push(import),
            Piece::Config(config) => match &script.config {
                Some(first) => {
                    self.errors
                        .push(SyntaxError::new(ErrorKind::SecondConfig { first: first.span }, config.span));
                }
                None => {
                    if !script.items.is_empty() {
                        self.errors.push(SyntaxError::new(ErrorKind::LateConfig, config.span));
                    }
                    script.config = Some(config);
                }
            },
            Piece::Nothing => {}
        }
    }

    pub(crate) fn config_value(&mut self, value: Expr) -> Expr {
        let literal = matches!(
            value.kind,
            ExprKind::Int { .. } | ExprKind::String(_) | ExprKind::Bool(_) | ExprKind::Ident(_)
        );
        if !literal {
            self.errors.push(SyntaxError::new(ErrorKind::ConfigValue, value.span));
        }
        value
    }

    pub(crate) fn int(&mut self, text: &str, start: u32, end: u32) -> (u64, IntSuffix) {
        literal::int(text).unwrap_or_else(|fault| {
            self.errors.push(SyntaxError::new(ErrorKind::Number(fault), Span::new(start, end)));
            (0, IntSuffix::None)
        })
    }

    pub(crate) fn string(&mut self, token: &str, start: u32) -> Vec<u8> {
        literal::string(token, start, &mut self.errors)
    }

    pub(crate) fn path(&mut self, token: &str, start: u32, end: u32) -> String {
        String::from_utf8(self.string(token, start)).unwrap_or_else(|_| {
            self.errors.push(SyntaxError::new(ErrorKind::NotUtf8, Span::new(start, end)));
            String::new()
        })
    }

    /// The number of a `$1`.
    pub(crate) fn positional(&mut self, text: &str, start: u32, end: u32) -> u32 {
        let fault = match text[1..].parse() {
            Ok(0) => NumberFault::Position,
            Ok(index) => return index,
            Err(_) => NumberFault::TooLarge,
        };
        self.errors.push(SyntaxError::new(ErrorKind::Number(fault), Span::new(start, end)));
        1
    }

    /// The number behind the dot of `object.0`.
    pub(crate) fn tuple_index(&mut self, object: &Expr, text: &str, start: u32, end: u32) -> u32 {
        if let ExprKind::Int { .. } = object.kind {
            self.errors.push(SyntaxError::new(ErrorKind::Float, Span::new(object.span.start, end)));
            return 0;
        }
        let (value, _) = self.int(text, start, end);
        u32::try_from(value).unwrap_or_else(|_| {
            let fault = ErrorKind::Number(NumberFault::TooLarge);
            self.errors.push(SyntaxError::new(fault, Span::new(start, end)));
            0
        })
    }

    pub(crate) fn named_type(&mut self, words: &[&str], start: u32, end: u32) -> TypeExpr {
        let span = Span::new(start, end);
        let name = type_name::spell(words).unwrap_or_else(|| {
            self.errors.push(SyntaxError::new(ErrorKind::TypeWords(words.join(" ")), span));
            String::new()
        });
        TypeExpr { kind: TypeExprKind::Named(name), span }
    }
}

pub(crate) fn ident(name: &str, start: u32, end: u32) -> Ident {
    Ident { name: name.into(), span: Span::new(start, end) }
}

pub(crate) fn expr(start: u32, end: u32, kind: ExprKind) -> Expr {
    Expr { kind, span: Span::new(start, end) }
}

pub(crate) fn stmt(start: u32, end: u32, kind: StmtKind) -> Stmt {
    Stmt { kind, span: Span::new(start, end) }
}
