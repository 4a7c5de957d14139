//! From what the parser could not use to an error that a reader can.

use std::convert::Infallible;

use lalrpop_util::ParseError;

use crate::error::{ErrorKind, SyntaxError};
use crate::source::Span;
use crate::token::Token;

/// A place where the parser could not go on.
pub(crate) struct Failure {
    pub(crate) span: Span,
    /// Where the item began that was given up, if one was.
    pub(crate) item: Option<u32>,
    /// The token was made by the driver, which has reported its reason.
    pub(crate) spoken: bool,
    found: Found,
    /// Names of terminals, as in the grammar, in quotes.
    expected: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Found {
    End,
    /// A token whose text says enough.
    Text,
    Keyword,
    Assign,
    AttachPoint,
    /// The empty token behind an item.
    EndOfItem,
    EndOfPredicate,
}

impl Failure {
    pub(crate) fn of(error: &ParseError<u32, Token<'_>, Infallible>, item: Option<u32>) -> Failure {
        let ((start, token, end), expected) = match error {
            ParseError::UnrecognizedToken { token, expected } => (*token, expected.as_slice()),
            ParseError::ExtraToken { token } => (*token, &[][..]),
            ParseError::UnrecognizedEof { location, expected } => {
                return Failure {
                    span: Span::new(*location, *location),
                    item,
                    spoken: false,
                    found: Found::End,
                    expected: expected.clone(),
                };
            }
            ParseError::InvalidToken { location } => ((*location, Token::Error, *location), &[][..]),
            ParseError::User { error } => match *error {},
        };
        let found = match token {
            Token::EndItem => Found::EndOfItem,
            Token::PredicateClose => Found::EndOfPredicate,
            Token::AttachPoint(_) => Found::AttachPoint,
            Token::Assign => Found::Assign,
            token if token.is_keyword() => Found::Keyword,
            _ => Found::Text,
        };
        Failure {
            span: Span::new(start, end),
            item,
            spoken: token == Token::Error,
            found,
            expected: expected.to_vec(),
        }
    }

    /// The parser ran out of tokens.
    pub(crate) fn at_end(&self) -> bool {
        self.found == Found::End
    }

    /// Where the token before this place ended; `ends` are the ends of all tokens, in order.
    pub(crate) fn before(&self, base: u32, ends: &[u32]) -> u32 {
        let count = ends.partition_point(|&end| end <= self.span.start);
        ends[..count].last().copied().unwrap_or(base)
    }

    /// The error; `before` is where the token before it ended.
    pub(crate) fn error(&self, text: &str, base: u32, before: u32) -> SyntaxError {
        let between = &text[(before - base) as usize..(self.span.start - base) as usize];
        if self.expects(";") && !self.expects("while") && self.found != Found::End && between.contains('\n') {
            return SyntaxError::new(ErrorKind::MissingSemicolon, Span::new(before, before));
        }
        let shown = &text[(self.span.start - base) as usize..(self.span.end - base) as usize];
        let found = match self.found {
            Found::End => "end of text".into(),
            Found::EndOfItem => "end of this item".into(),
            Found::EndOfPredicate => "end of the predicate".into(),
            Found::Text | Found::Keyword | Found::Assign | Found::AttachPoint => format!("`{shown}`"),
        };
        let kind = ErrorKind::Unexpected { found, expected: self.alternatives(), help: self.help(shown) };
        // Where the text ends, its last line says more than the empty one behind it.
        let span = match self.found {
            Found::End | Found::EndOfItem => Span::new(before, before),
            Found::Text | Found::Keyword | Found::Assign | Found::AttachPoint | Found::EndOfPredicate => {
                self.span
            }
        };
        SyntaxError::new(kind, span)
    }

    fn expects(&self, terminal: &str) -> bool {
        self.expected.iter().any(|name| name.trim_matches('"') == terminal)
    }

    fn help(&self, shown: &str) -> Option<&'static str> {
        let operator = self.expects("==");
        match self.found {
            Found::Assign if operator => {
                Some("`==` compares; an assignment is a statement, not an expression")
            }
            Found::Keyword if shown == "else" => Some("`else` follows the `}` of an `if`"),
            Found::Keyword if self.expects("identifier") && !self.expects(shown) => {
                Some("this word is a keyword, and cannot be a name here")
            }
            Found::Text | Found::Keyword
                if self.expects("{") && !self.expects("}") && !self.expects("number") =>
            {
                Some("a body stands in braces: `{ … }`")
            }
            Found::AttachPoint if self.expects("{") => {
                Some("several attach points have commas between them, and a predicate stands in `/ … /`")
            }
            Found::End
            | Found::Text
            | Found::Keyword
            | Found::Assign
            | Found::AttachPoint
            | Found::EndOfItem
            | Found::EndOfPredicate => None,
        }
    }

    /// What was expected, in words: a few of them, however many tokens would have been right.
    fn alternatives(&self) -> Vec<String> {
        let mut names: Vec<&str> = self.expected.iter().map(|name| name.trim_matches('"')).collect();
        let mut found: Vec<String> = Vec::new();
        let mut group = |if_any_of: &[&str], says: &str, covers: &[&str]| {
            if if_any_of.iter().any(|name| names.contains(name)) {
                names.retain(|name| !covers.contains(name));
                found.push(says.into());
            }
        };
        group(&["while"], "a statement", &[STATEMENT, VALUE, &["{", ";"]].concat());
        group(&["number"], "an expression", &[VALUE, &["{", "if"]].concat());
        group(&["=="], "an operator", OPERATOR);
        group(&["+="], "an assignment", ASSIGNMENT);
        let rest = names.iter().filter_map(|&name| {
            Some(match name {
                "identifier" => "a name".into(),
                "$x" => "a variable".into(),
                "@x" => "a map".into(),
                "$1" | "$#" => "a parameter".into(),
                "number" => "a number".into(),
                "string" => "a string".into(),
                "attach point" => "an attach point".into(),
                "start of predicate" => "a predicate".into(),
                "end of predicate" => "`/` at the end of the predicate".into(),
                "name of a probe" | "cast" | "error" | "end of item" => return None,
                "start of script" | "start of expression" => return None,
                name => format!("`{name}`"),
            })
        });
        let rest: Vec<String> = rest.collect();
        // The certain ones first.
        rest.into_iter().chain(found).collect()
    }
}

const STATEMENT: &[&str] = &["break", "continue", "for", "if", "let", "return", "unroll", "while"];

const VALUE: &[&str] = &[
    "identifier",
    "$x",
    "@x",
    "$1",
    "$#",
    "number",
    "string",
    "comptime",
    "false",
    "true",
    "offsetof",
    "sizeof",
    "typeinfo",
    "typeof",
    "struct",
    "union",
    "enum",
    "(",
    "cast",
    "-",
    "+",
    "!",
    "~",
    "*",
    "&",
    "++",
    "--",
];

const OPERATOR: &[&str] = &[
    "==", "!=", "<", ">", "<=", ">=", "<<", ">>", "+", "-", "*", "/", "%", "||", "&&", "|", "^", "&", "?",
    ".", "->", "[", "(", "++", "--",
];

const ASSIGNMENT: &[&str] = &["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="];
