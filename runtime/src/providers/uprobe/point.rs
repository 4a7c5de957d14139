//! What stands behind `uprobe:` in a script.

use std::borrow::Cow;

use rtscript_lang::provider::AttachError;
use rtscript_lang::syntax::literal::plain;

use crate::providers::pattern::{is_wildcard, matches};
use crate::symbols::names;

const FORM: &str =
    "FILE:FUNCTION, FILE:FUNCTION+OFFSET, FILE:0xADDRESS, FILE:cpp:\"NAME\" or FILE@SOURCE:LINE";

/// A file, or a pattern of files, and a place in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Point {
    pub file: String,
    pub at: At,
}

#[derive(Debug, PartialEq, Eq)]
pub enum At {
    /// By a symbol, or a pattern of symbols.
    Function {
        name: String,
        offset: u64,
    },
    /// As the file has it.
    Address(u64),
    /// By the name that a function has in C++ or Rust.
    Source(String),
    Line {
        file: String,
        line: u64,
        column: Option<u64>,
    },
}

impl Point {
    pub fn parse(point: &str) -> Result<Point, AttachError> {
        parse(point.trim()).ok_or(AttachError::Form { expected: FORM })
    }
}

impl At {
    pub fn is_wildcard(&self) -> bool {
        match self {
            At::Function { name, .. } | At::Source(name) => is_wildcard(name),
            At::Address(_) | At::Line { .. } => false,
        }
    }
}

fn parse(point: &str) -> Option<Point> {
    let (file, rest) = first_part(point)?;
    // Of `app@main.c:42` the last `@` is meant; a path may have others.
    if let Some((program, source)) = file.rsplit_once('@')
        && rest.starts_with(|c: char| c.is_ascii_digit())
        && !program.is_empty()
        && !source.is_empty()
    {
        let (line, column) = match rest.split_once(':') {
            Some((line, column)) => (line, Some(column.parse().ok()?)),
            None => (rest, None),
        };
        let at = At::Line { file: source.to_owned(), line: line.parse().ok()?, column };
        return Some(Point { file: program.to_owned(), at });
    }
    let at = match rest.strip_prefix("cpp:") {
        Some(name) => At::Source(unquoted(name).into_owned()),
        None => place(&unquoted(rest))?,
    };
    let is_empty = match &at {
        At::Function { name, .. } | At::Source(name) => name.is_empty(),
        At::Address(_) | At::Line { .. } => false,
    };
    (!file.is_empty() && !is_empty).then_some(Point { file, at })
}

/// What stands before the first colon, which may be quoted; and what stands behind it.
fn first_part(point: &str) -> Option<(String, &str)> {
    match point.strip_prefix('"') {
        Some(quoted) => {
            let (file, rest) = quoted.split_once('"')?;
            Some((file.to_owned(), rest.strip_prefix(':')?))
        }
        None => point.split_once(':').map(|(file, rest)| (file.to_owned(), rest)),
    }
}

fn place(text: &str) -> Option<At> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return plain(text).map(At::Address);
    }
    // Patterns and names of Rust may have a plus nowhere, operators of C++ are mangled.
    match text.rsplit_once('+') {
        Some((name, offset)) => Some(At::Function { name: name.to_owned(), offset: plain(offset)? }),
        None if text.contains(':') => None,
        None => Some(At::Function { name: text.to_owned(), offset: 0 }),
    }
}

fn unquoted(text: &str) -> Cow<'_, str> {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.into(),
        None => text.into(),
    }
}

/// Whether a symbol is that of a function with this name in its source. Without parameters all are meant that have the name.
pub fn is_named(symbol: &str, name: &str) -> bool {
    let is = |text: &str| if is_wildcard(name) { matches(name, text) } else { name == text };
    // Most names are not mangled, and most that are, are not meant.
    [names::demangled_name, names::demangled_call, names::demangled]
        .iter()
        .any(|form| form(symbol).is_some_and(|text| is(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, offset: u64) -> At {
        At::Function { name: name.to_owned(), offset }
    }

    fn line(line: u64, column: Option<u64>) -> At {
        At::Line { file: "src/a.c".to_owned(), line, column }
    }

    #[test]
    fn forms() {
        for (text, file, at) in [
            ("/bin/bash:readline", "/bin/bash", function("readline", 0)),
            ("libc:mem*", "libc", function("mem*", 0)),
            ("a:f+8", "a", function("f", 8)),
            ("a:f+0x10", "a", function("f", 16)),
            ("a:0x1000", "a", At::Address(0x1000)),
            ("a:4096", "a", At::Address(4096)),
            ("\"/a b\":f", "/a b", function("f", 0)),
            ("a:\"f\"", "a", function("f", 0)),
            ("a:cpp:\"b::c(int)\"", "a", At::Source("b::c(int)".to_owned())),
            ("a:cpp:f", "a", At::Source("f".to_owned())),
            ("/x@y/a@src/a.c:42", "/x@y/a", line(42, None)),
            ("a@src/a.c:42:7", "a", line(42, Some(7))),
        ] {
            let expected = Point { file: file.to_owned(), at };
            assert_eq!(Point::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["", "f", ":f", "a:", "a:f+", "a:f+x", "a:0y", "a:b:c", "a@b.c:x", "\"a:f", "a:cpp:"] {
            assert!(
                matches!(
                    Point::parse(text),
                    Err(AttachError::Form { .. }) | Ok(Point { at: At::Function { .. }, .. })
                ) && parse(text).is_none_or(|point| point.file == "a@b.c"),
                "{text}"
            );
        }
    }

    #[test]
    fn names_of_other_languages() {
        for name in ["tracer::call(long)", "tracer::call", "tracer::*", "*call*"] {
            assert!(is_named("_ZN6tracer4callEl", name), "{name}");
        }
        for name in ["tracer::call(int)", "call", "tracer"] {
            assert!(!is_named("_ZN6tracer4callEl", name), "{name}");
        }
        for name in ["A::tw<int>", "A::tw<int>(int)", "int A::tw<int>(int)", "A::tw*"] {
            assert!(is_named("_ZN1A2twIiEET_S1_", name), "{name}");
        }
        assert!(is_named("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"));
        assert!(!is_named("malloc", "malloc"));
    }
}
