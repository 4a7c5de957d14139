//! Everything that can be wrong with a text, and all its wording.

use std::fmt;

use miette::{Diagnostic, LabeledSpan};

use crate::source::Span;

/// One error: what is wrong, and where. It carries no text; render it with the source, or all sources, attached.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntaxError {
    pub kind: ErrorKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ErrorKind {
    UnknownCharacter(char),
    OpenString,
    OpenComment,
    CharLiteral,
    Number(NumberFault),
    Float,
    Escape(EscapeFault),
    /// A bracket that is never closed. The span is the end of the text; `open` is the bracket.
    MissingClose {
        open: Span,
        bracket: char,
        /// The first closing brace whose indentation fits another bracket than the one it closes.
        suspect: Option<Span>,
    },
    /// A predicate without its closing `/`. The span is where the body begins.
    MissingSlash {
        open: Span,
    },
    ExtraBrace,
    TooDeep,
    TooLarge,
    Unexpected {
        /// As it is to be shown: a token in backticks, or words.
        found: String,
        expected: Vec<String>,
        help: Option<&'static str>,
    },
    /// The span is empty, at the place where the `;` belongs.
    MissingSemicolon,
    TypeWords(String),
    SecondConfig {
        first: Span,
    },
    LateConfig,
    ConfigValue,
    NotUtf8,
    Directive(String),
    StrayDirective(&'static str),
    OpenConditional,
    Condition,
    DirectiveName(&'static str),
    ErrorDirective(String),
    MacroParams,
}

#[derive(Clone, Debug, PartialEq)]
pub enum NumberFault {
    TooLarge,
    TrailingUnderscore,
    OctalDigit,
    NoDigits,
    Binary,
    Suffix(String),
    SuffixRange { suffix: String, max: u64 },
    Coefficient,
    Exponent,
    Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapeFault {
    Unknown,
    Octal,
    Hex,
}

impl SyntaxError {
    pub(crate) fn new(kind: ErrorKind, span: Span) -> SyntaxError {
        SyntaxError { kind, span }
    }

    /// True if a parser that stumbles over the token behind `before` does so because of this error of the driver.
    pub(crate) fn explains(&self, before: u32) -> bool {
        // From there on, the braces are not what the writer thinks they are.
        if let ErrorKind::MissingClose { suspect: Some(suspect), .. } = self.kind {
            return suspect.start < before;
        }
        let cut_short =
            self.kind == ErrorKind::OpenString && (self.span.start..=self.span.end).contains(&before);
        cut_short || self.span.end == before
    }
}

impl std::error::Error for SyntaxError {}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::UnknownCharacter(c) => write!(f, "unknown character `{}`", c.escape_debug()),
            ErrorKind::OpenString => f.write_str("this string never ends"),
            ErrorKind::OpenComment => f.write_str("this comment never ends"),
            ErrorKind::CharLiteral => f.write_str("there are no character literals"),
            ErrorKind::Number(fault) => fault.fmt(f),
            ErrorKind::Float => f.write_str("there are no floating-point numbers"),
            ErrorKind::Escape(EscapeFault::Unknown) => f.write_str("unknown escape sequence"),
            ErrorKind::Escape(EscapeFault::Octal) => f.write_str("octal escape out of range"),
            ErrorKind::Escape(EscapeFault::Hex) => f.write_str("`\\x` without hexadecimal digits"),
            ErrorKind::MissingClose { bracket, .. } => write!(f, "missing `{}`", closing(*bracket)),
            ErrorKind::MissingSlash { .. } => f.write_str("this predicate never ends"),
            ErrorKind::ExtraBrace => f.write_str("this `}` closes nothing"),
            ErrorKind::TooDeep => f.write_str("this is nested too deeply"),
            ErrorKind::TooLarge => f.write_str("this file is too large"),
            ErrorKind::Unexpected { found, .. } => write!(f, "unexpected {found}"),
            ErrorKind::MissingSemicolon => f.write_str("missing `;`"),
            ErrorKind::TypeWords(words) => write!(f, "`{words}` is not a type"),
            ErrorKind::SecondConfig { .. } => f.write_str("a second `config` block"),
            ErrorKind::LateConfig => f.write_str("`config` comes too late"),
            ErrorKind::ConfigValue => f.write_str("this cannot be the value of a config key"),
            ErrorKind::NotUtf8 => f.write_str("this path is not UTF-8"),
            ErrorKind::Directive(name) => write!(f, "unknown preprocessor directive `#{name}`"),
            ErrorKind::StrayDirective(name) => write!(f, "`#{name}` without an `#if`"),
            ErrorKind::OpenConditional => f.write_str("missing `#endif`"),
            ErrorKind::Condition => f.write_str("this condition cannot be decided"),
            ErrorKind::DirectiveName(name) => write!(f, "`#{name}` needs more on its line"),
            ErrorKind::ErrorDirective(text) => write!(f, "#error {text}"),
            ErrorKind::MacroParams => f.write_str("these are not the parameters of a macro"),
        }
    }
}

impl fmt::Display for NumberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberFault::TooLarge => f.write_str("this number does not fit in 64 bits"),
            NumberFault::TrailingUnderscore => f.write_str("a number cannot end in `_`"),
            NumberFault::OctalDigit => f.write_str("an octal number has digits from 0 to 7 alone"),
            NumberFault::NoDigits => f.write_str("`0x` without digits"),
            NumberFault::Binary => f.write_str("there are no binary numbers"),
            NumberFault::Suffix(suffix) => write!(f, "unknown suffix `{suffix}` of a number"),
            NumberFault::SuffixRange { suffix, .. } => {
                write!(f, "this number is out of range for its suffix `{suffix}`")
            }
            NumberFault::Coefficient => f.write_str("the coefficient must be a digit from 1 to 9"),
            NumberFault::Exponent => f.write_str("the exponent must be a number"),
            NumberFault::Position => f.write_str("positional parameters count from 1"),
        }
    }
}

impl Diagnostic for SyntaxError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(match &self.kind {
            ErrorKind::UnknownCharacter(_) => "rt::unknown-character",
            ErrorKind::OpenString => "rt::open-string",
            ErrorKind::OpenComment => "rt::open-comment",
            ErrorKind::CharLiteral => "rt::char-literal",
            ErrorKind::Number(_) | ErrorKind::Float => "rt::bad-number",
            ErrorKind::Escape(_) => "rt::bad-escape",
            ErrorKind::MissingClose { .. } => "rt::missing-close",
            ErrorKind::MissingSlash { .. } => "rt::open-predicate",
            ErrorKind::ExtraBrace => "rt::extra-brace",
            ErrorKind::TooDeep => "rt::too-deep",
            ErrorKind::TooLarge => "rt::too-large",
            ErrorKind::Unexpected { .. } => "rt::syntax",
            ErrorKind::MissingSemicolon => "rt::missing-semicolon",
            ErrorKind::TypeWords(_) => "rt::bad-type",
            ErrorKind::SecondConfig { .. } | ErrorKind::LateConfig => "rt::misplaced-config",
            ErrorKind::ConfigValue => "rt::bad-config-value",
            ErrorKind::NotUtf8 => "rt::bad-path",
            ErrorKind::Directive(_)
            | ErrorKind::StrayDirective(_)
            | ErrorKind::OpenConditional
            | ErrorKind::Condition
            | ErrorKind::DirectiveName(_)
            | ErrorKind::ErrorDirective(_)
            | ErrorKind::MacroParams => "rt::preprocessor",
        }))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help: Option<String> = match &self.kind {
            ErrorKind::UnknownCharacter('#') => {
                Some("preprocessor lines such as `#define` stand in front of the probes".into())
            }
            ErrorKind::UnknownCharacter('“' | '”' | '„' | '‘' | '’') => {
                Some("strings have straight quotes: `\"`".into())
            }
            ErrorKind::UnknownCharacter(_) => None,
            ErrorKind::OpenString => {
                Some("close it with `\"` on the same line; a line break inside is written `\\n`".into())
            }
            ErrorKind::OpenComment => Some("close it with `*/`".into()),
            ErrorKind::CharLiteral => {
                Some("use a string, or the character's code: `65` with `%c` prints `A`".into())
            }
            ErrorKind::Number(fault) => match fault {
                NumberFault::TooLarge => Some(format!("the largest number is {}", u64::MAX)),
                NumberFault::OctalDigit => Some("without the leading 0 the number is decimal".into()),
                NumberFault::Binary => Some("write it in hexadecimal: `0x…`".into()),
                NumberFault::Suffix(_) => Some("integers may end in `u`, `l`, `ul`, `ll`, `ull`, durations in `ns`, `us`, `ms`, `s`, `m`, `h`, `d`; a name cannot start with a digit".into()),
                NumberFault::SuffixRange { max, .. } => Some(format!("the largest is {max}")),
                NumberFault::Coefficient | NumberFault::Exponent => Some("scientific numbers look like `5e6`, and are integers".into()),
                NumberFault::TrailingUnderscore | NumberFault::NoDigits => None,
                NumberFault::Position => Some("the first one is `$1`; `$#` is their number".into()),
            },
            ErrorKind::Float => {
                Some("count in a smaller unit: microseconds instead of milliseconds, say".into())
            }
            ErrorKind::Escape(EscapeFault::Unknown) => {
                Some("known are `\\n`, `\\t`, `\\r`, `\\\"`, `\\\\`, `\\033` (octal) and `\\x1b`".into())
            }
            ErrorKind::Escape(EscapeFault::Octal) => Some("the largest is `\\377`".into()),
            ErrorKind::Escape(EscapeFault::Hex) => Some("write one or two digits: `\\x1b`".into()),
            ErrorKind::MissingClose { .. } => None,
            ErrorKind::MissingSlash { .. } => Some("close it with `/` in front of the `{`".into()),
            ErrorKind::ExtraBrace => Some("remove it, or look for a missing `{` above".into()),
            ErrorKind::TooDeep => Some("keep parts of it in variables".into()),
            ErrorKind::TooLarge => Some("at most 1 GiB".into()),
            ErrorKind::Unexpected { help, .. } => help.map(String::from),
            ErrorKind::MissingSemicolon => None,
            ErrorKind::TypeWords(_) => {
                Some("only C's own types have several words, as in `unsigned long`".into())
            }
            ErrorKind::SecondConfig { .. } => Some("put all keys into one block".into()),
            ErrorKind::LateConfig => Some("it stands in front of all probes, macros and maps".into()),
            ErrorKind::ConfigValue => {
                Some("values are strings, integers, `true`, `false` or bare names".into())
            }
            ErrorKind::NotUtf8 => None,
            ErrorKind::Directive(_) => Some("known are `#include`, `#define`, `#undef`, `#if`, `#ifdef`, `#ifndef`, `#elif`, `#else`, `#endif` and `#error`".into()),
            ErrorKind::StrayDirective(_) => None,
            ErrorKind::OpenConditional => None,
            ErrorKind::Condition => Some("only numbers, `defined(NAME)`, names that were defined as numbers, and operators can be used".into()),
            ErrorKind::DirectiveName(name) => Some(match *name {
                "include" => "`#include <path>` or `#include \"path\"`".into(),
                other => format!("`#{other} NAME`"),
            }),
            ErrorKind::ErrorDirective(_) => None,
            ErrorKind::MacroParams => Some("`#define NAME(a, b) …`".into()),
        };
        help.map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let here = match &self.kind {
            ErrorKind::UnknownCharacter(_) => "not part of the language".into(),
            ErrorKind::OpenString | ErrorKind::OpenComment => "starts here".into(),
            ErrorKind::CharLiteral | ErrorKind::Float => "not part of the language".into(),
            ErrorKind::Number(_) => "this number".into(),
            ErrorKind::Escape(_) => "this escape".into(),
            ErrorKind::MissingClose { bracket, .. } => {
                format!("the text ends without its `{}`", closing(*bracket))
            }
            ErrorKind::MissingSlash { .. } => "the body begins here".into(),
            ErrorKind::ExtraBrace => "no `{` is open here".into(),
            ErrorKind::TooDeep => "the limit is reached here".into(),
            ErrorKind::TooLarge => "this file".into(),
            ErrorKind::Unexpected { expected, .. } if expected.is_empty() => "not here".into(),
            ErrorKind::Unexpected { expected, .. } => format!("expected {}", alternatives(expected)),
            ErrorKind::MissingSemicolon => "a statement ends here".into(),
            ErrorKind::TypeWords(_) => "this type".into(),
            ErrorKind::SecondConfig { .. } => "again here".into(),
            ErrorKind::LateConfig => "this block".into(),
            ErrorKind::ConfigValue => "this value".into(),
            ErrorKind::NotUtf8 => "this path".into(),
            ErrorKind::Directive(_) => "this directive".into(),
            ErrorKind::StrayDirective(_) => "belongs to nothing".into(),
            ErrorKind::OpenConditional => "this one is still open at the end".into(),
            ErrorKind::Condition => "this condition".into(),
            ErrorKind::DirectiveName(_) => "this line".into(),
            ErrorKind::ErrorDirective(_) => "says the script".into(),
            ErrorKind::MacroParams => "these parameters".into(),
        };
        let mut labels = vec![LabeledSpan::new_primary_with_span(Some(here), self.span)];
        let mut also = |text: &str, span: Span| {
            labels.push(LabeledSpan::new_with_span(Some(text.into()), span));
        };
        match &self.kind {
            ErrorKind::MissingClose { open, bracket, suspect } => {
                also(&format!("this `{bracket}` is not closed"), *open);
                if let Some(suspect) = suspect {
                    also("perhaps before this, which is indented differently", *suspect);
                }
            }
            ErrorKind::MissingSlash { open } => also("the predicate begins here", *open),
            ErrorKind::SecondConfig { first } => also("the first one is here", *first),
            ErrorKind::UnknownCharacter(_)
            | ErrorKind::OpenString
            | ErrorKind::OpenComment
            | ErrorKind::CharLiteral
            | ErrorKind::Number(_)
            | ErrorKind::Float
            | ErrorKind::Escape(_)
            | ErrorKind::ExtraBrace
            | ErrorKind::TooDeep
            | ErrorKind::TooLarge
            | ErrorKind::Unexpected { .. }
            | ErrorKind::MissingSemicolon
            | ErrorKind::TypeWords(_)
            | ErrorKind::LateConfig
            | ErrorKind::ConfigValue
            | ErrorKind::NotUtf8
            | ErrorKind::Directive(_)
            | ErrorKind::StrayDirective(_)
            | ErrorKind::OpenConditional
            | ErrorKind::Condition
            | ErrorKind::DirectiveName(_)
            | ErrorKind::ErrorDirective(_)
            | ErrorKind::MacroParams => {}
        }
        Some(Box::new(labels.into_iter()))
    }
}

fn closing(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
