//! Expected text with holes for what differs from run to run.
//!
//! | hole | stands for |
//! |---|---|
//! | `{{number}}` | a decimal number, with or without a sign |
//! | `{{hex}}` | `0x` and hexadecimal digits |
//! | `{{any}}` | anything in one line, nothing too |
//! | `{{lines}}` | any number of whole lines, none too; it stands on a line of its own |
//!
//! A hole with a name, `{{number:pid}}`, stands for the same text wherever the name comes again.

use std::collections::HashMap;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Number,
    Hex,
    Any,
    Lines,
}

#[derive(Debug)]
enum Piece<'a> {
    Text(&'a str),
    Hole(Kind, Option<&'a str>),
}

/// Whether a text is what was expected.
pub fn matches(expected: &str, found: &str) -> bool {
    rest_matches(&pieces(expected), found, &mut HashMap::new())
}

/// Cuts an expectation at its holes. A brace pair that is no hole is text.
fn pieces(mut text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("{{").map(|at| from + at) {
        let hole = text[at + 2..].split_once("}}").and_then(|(inside, rest)| {
            let (kind, name) = match inside.split_once(':') {
                Some((kind, name)) => (kind, Some(name)),
                None => (inside, None),
            };
            let kind = match kind {
                "number" => Kind::Number,
                "hex" => Kind::Hex,
                "any" => Kind::Any,
                "lines" => Kind::Lines,
                _ => return None,
            };
            Some((kind, name, rest))
        });
        let Some((kind, name, rest)) = hole else {
            from = at + 2;
            continue;
        };
        pieces.push(Piece::Text(&text[..at]));
        pieces.push(Piece::Hole(kind, name));
        // Its own line goes with it.
        text = if kind == Kind::Lines { rest.strip_prefix('\n').unwrap_or(rest) } else { rest };
        from = 0;
    }
    pieces.push(Piece::Text(text));
    pieces
}

fn rest_matches<'a>(pieces: &[Piece<'a>], text: &str, bound: &mut HashMap<&'a str, String>) -> bool {
    match pieces {
        [] => text.is_empty(),
        [Piece::Text(expected), rest @ ..] => {
            text.strip_prefix(expected).is_some_and(|text| rest_matches(rest, text, bound))
        }
        [Piece::Hole(kind, name), rest @ ..] => {
            if let Some(value) = name.and_then(|name| bound.get(name).cloned()) {
                return text.strip_prefix(&value).is_some_and(|text| rest_matches(rest, text, bound));
            }
            for end in ends(*kind, text) {
                if let Some(name) = name {
                    bound.insert(name, text[..end].to_owned());
                }
                if rest_matches(rest, &text[end..], bound) {
                    return true;
                }
            }
            if let Some(name) = name {
                bound.remove(name);
            }
            false
        }
    }
}

/// Where what a hole stands for may end.
fn ends(kind: Kind, text: &str) -> Vec<usize> {
    let digits = |from: usize, is: fn(&char) -> bool| from + text[from..].chars().take_while(is).count();
    match kind {
        Kind::Number => {
            let first = usize::from(text.starts_with('-'));
            let end = digits(first, char::is_ascii_digit);
            if end > first { vec![end] } else { Vec::new() }
        }
        Kind::Hex => match text.strip_prefix("0x") {
            Some(_) => {
                let end = digits(2, char::is_ascii_hexdigit);
                if end > 2 { vec![end] } else { Vec::new() }
            }
            None => Vec::new(),
        },
        Kind::Any => {
            let line = text.split('\n').next().unwrap_or("");
            line.char_indices().map(|(at, _)| at).chain([line.len()]).collect()
        }
        Kind::Lines => [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect(),
    }
}
