//! `#if` and its like, resolved before a script is read.
//!
//! The result has the length of the text: what is not to be seen is replaced by spaces, so every offset stays what it was. Gone are the
//! conditional lines themselves and the branches that were not taken; and of other lines that begin with `#` their
//! comments and the ends of their continued lines, so that each of them is one line behind this. A `#` means this only
//! where it is the first character of a line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::error::{ErrorKind, SyntaxError};
use crate::lexer::word;
use crate::parse::expression;
use crate::source::Span;

/// Names and bodies of macros.
pub type Macros = HashMap<String, String>;

/// Macros that every script may ask for: the types of the kernel are always there.
pub fn given() -> Macros {
    HashMap::from([("BPFTRACE_HAVE_BTF".to_string(), "1".to_string())])
}

/// Reads what `#include` names, as far as conditionals behind it ask for it.
pub trait Headers {
    /// Adds the macros that a header defines to those that are defined in front of it; a header in `<>` is one of the system.
    fn read(&mut self, path: &str, system: bool, macros: &mut Macros);
}

/// There are none.
impl Headers for () {
    fn read(&mut self, _: &str, _: bool, _: &mut Macros) {}
}

/// Resolves all conditionals. `macros` are defined in front of the first line, and afterwards those behind the last one.
pub(crate) fn resolve<'s>(
    text: &'s str,
    base: u32,
    macros: &mut Macros,
    headers: &mut dyn Headers,
    errors: &mut Vec<SyntaxError>,
) -> Cow<'s, str> {
    if !text.contains('#') {
        return Cow::Borrowed(text);
    }
    let mut resolver = Resolver { text, base, macros, headers, open: Vec::new(), blanks: Vec::new(), errors };
    resolver.run();
    let blanks = resolver.blanks;
    if blanks.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut resolved = String::with_capacity(text.len());
    for blank in blanks {
        // A blank may lie inside the one before it.
        let start = blank.range.start.max(resolved.len());
        resolved.push_str(&text[resolved.len()..start]);
        for byte in text[start..blank.range.end.max(start)].bytes() {
            resolved.push(if byte == b'\n' && blank.keeps_lines { '\n' } else { ' ' });
        }
    }
    resolved.push_str(&text[resolved.len()..]);
    Cow::Owned(resolved)
}

struct Resolver<'s, 'e> {
    text: &'s str,
    base: u32,
    /// Those that are defined here.
    macros: &'e mut Macros,
    headers: &'e mut dyn Headers,
    open: Vec<Conditional>,
    /// In the order of the text.
    blanks: Vec<Blank>,
    errors: &'e mut Vec<SyntaxError>,
}

/// An `#if` whose `#endif` is still to come.
struct Conditional {
    span: Span,
    /// What surrounds it is seen.
    outer: bool,
    /// The branch that is being read is seen.
    live: bool,
    /// One of the branches up to here was.
    taken: bool,
}

struct Blank {
    range: Range<usize>,
    keeps_lines: bool,
}

impl Resolver<'_, '_> {
    fn run(&mut self) {
        let bytes = self.text.as_bytes();
        let mut at = if bytes.starts_with(b"#!") { self.line_end(0) } else { 0 };
        let mut fresh = true;
        let mut dead_from = None;
        while at < bytes.len() {
            match bytes[at] {
                b'#' if fresh => {
                    if let Some(start) = dead_from.take() {
                        self.blanks.push(Blank { range: start..at, keeps_lines: true });
                    }
                    at = self.directive(at);
                    if !self.is_live() {
                        dead_from = Some(at);
                    }
                    continue;
                }
                b'\n' => fresh = true,
                b'"' => {
                    fresh = false;
                    at = self.string_end(at);
                    continue;
                }
                b'/' if bytes[at..].starts_with(b"//") => {
                    at = self.line_end(at);
                    continue;
                }
                b'/' if bytes[at..].starts_with(b"/*") => {
                    at = self.comment_end(at).unwrap_or(at + 2);
                    continue;
                }
                byte => fresh = fresh && byte.is_ascii_whitespace(),
            }
            at += 1;
        }
        if let Some(start) = dead_from {
            self.blanks.push(Blank { range: start..bytes.len(), keeps_lines: true });
        }
        for open in &self.open {
            self.errors.push(SyntaxError::new(ErrorKind::OpenConditional, open.span));
        }
    }

    fn is_live(&self) -> bool {
        self.open.last().is_none_or(|open| open.live)
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |length| at + length)
    }

    fn comment_end(&self, at: usize) -> Option<usize> {
        self.text[at + 2..].find("*/").map(|length| at + length + 4)
    }

    /// The end of the string that begins at `at`: behind its quote, or at the end of the line.
    fn string_end(&self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut end = at + 1;
        while end < bytes.len() && bytes[end] != b'\n' {
            match bytes[end] {
                b'"' => return end + 1,
                b'\\' if bytes.get(end + 1).is_some_and(|&byte| byte != b'\n') => end += 2,
                _ => end += 1,
            }
        }
        end.min(bytes.len())
    }

    /// Reads the line that begins with the `#` at `start`, and returns where it ends.
    fn directive(&mut self, start: usize) -> usize {
        let (end, joined) = self.logical_line(start);
        // The line as it is without comments and continuations, of the same length.
        let mut line = String::with_capacity(end - start);
        for blank in &joined {
            line.push_str(&self.text[start + line.len()..blank.start]);
            line.extend(std::iter::repeat_n(' ', blank.len()));
        }
        line.push_str(&self.text[start + line.len()..end]);

        let behind = line[1..].trim_start();
        let name = word(behind);
        let rest = &behind[name.len()..];
        let rest_at = line.len() - rest.len();
        let span = Span::new(self.base + start as u32, self.base + (start + line.trim_end().len()) as u32);
        let live = self.is_live();
        match name {
            "if" | "ifdef" | "ifndef" => {
                let condition = live && self.condition(name, &line, rest_at, start, span);
                self.open.push(Conditional { span, outer: live, live: condition, taken: condition });
            }
            "elif" => {
                let undecided = self.open.last().is_some_and(|open| open.outer && !open.taken);
                let condition = undecided && self.condition("elif", &line, rest_at, start, span);
                match self.open.last_mut() {
                    Some(open) => {
                        open.live = condition;
                        open.taken |= condition;
                    }
                    None => self.errors.push(SyntaxError::new(ErrorKind::StrayDirective("elif"), span)),
                }
            }
            "else" => match self.open.last_mut() {
                Some(open) => {
                    open.live = open.outer && !open.taken;
                    open.taken = true;
                }
                None => self.errors.push(SyntaxError::new(ErrorKind::StrayDirective("else"), span)),
            },
            "endif" => {
                let closed = self.open.pop().is_some();
                if !closed {
                    self.errors.push(SyntaxError::new(ErrorKind::StrayDirective("endif"), span));
                }
            }
            _ if live => {
                let rest = rest.trim_start();
                let defined = word(rest);
                match name {
                    "define" => {
                        let body = rest[defined.len()..].trim();
                        self.macros.insert(defined.into(), body.into());
                    }
                    "undef" => {
                        self.macros.remove(defined);
                    }
                    "include" => {
                        let end = if rest.starts_with('<') { '>' } else { '"' };
                        if let Some((path, _)) = rest.get(1..).and_then(|path| path.split_once(end)) {
                            self.headers.read(path, end == '>', self.macros);
                        }
                    }
                    _ => {}
                }
                self.blanks.extend(joined.into_iter().map(|range| Blank { range, keeps_lines: false }));
                return end;
            }
            _ => {}
        }
        self.blanks.push(Blank { range: start..end, keeps_lines: true });
        end
    }

    /// Where the line at `start` ends, counting lines that are continued with `\`, and the stretches in it that are no text: those
    /// continuations, and comments.
    fn logical_line(&self, start: usize) -> (usize, Vec<Range<usize>>) {
        let bytes = self.text.as_bytes();
        let mut joined = Vec::new();
        let mut at = start;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let skipped = if rest.starts_with(b"\\\n") {
                at + 2
            } else if rest.starts_with(b"\\\r\n") {
                at + 3
            } else if rest.starts_with(b"//") {
                self.line_end(at)
            } else if rest.starts_with(b"/*")
                && let Some(end) = self.comment_end(at)
            {
                end
            } else if rest[0] == b'\n' {
                break;
            } else {
                at = if rest[0] == b'"' { self.string_end(at) } else { at + 1 };
                continue;
            };
            joined.push(at..skipped);
            at = skipped;
        }
        (at, joined)
    }

    /// Whether the condition of a line holds. `rest_at` is where it begins in `line`, which begins at `start`.
    fn condition(&mut self, name: &str, line: &str, rest_at: usize, start: usize, span: Span) -> bool {
        let rest = &line[rest_at..];
        if name == "ifdef" || name == "ifndef" {
            let asked = word(rest.trim_start());
            if asked.is_empty() {
                let name = if name == "ifdef" { "ifdef" } else { "ifndef" };
                self.errors.push(SyntaxError::new(ErrorKind::DirectiveName(name), span));
            }
            return self.macros.contains_key(asked) == (name == "ifdef");
        }
        let line = self.without_defined(line, rest_at);
        let at = line.len() - line[rest_at..].trim_start().len();
        let mut ignored = Vec::new();
        let value = expression(&line, at, self.base + start as u32, &mut ignored)
            .and_then(|condition| self.value(&condition, 0));
        if value.is_none() {
            let condition = Span::new(self.base + (start + at) as u32, span.end);
            self.errors.push(SyntaxError::new(ErrorKind::Condition, condition));
        }
        value.is_some_and(|value| value != 0)
    }

    /// The line with `1` or `0` for each `defined(NAME)` and `defined NAME`, of the same length.
    fn without_defined(&self, line: &str, from: usize) -> String {
        let mut result = line[..from].to_string();
        while result.len() < line.len() {
            let rest = &line[result.len()..];
            let name = word(rest);
            if name == "defined" {
                let behind = rest[name.len()..].trim_start();
                let asked = behind.strip_prefix('(').unwrap_or(behind).trim_start();
                let asked_name = word(asked);
                let mut end = asked[asked_name.len()..].trim_start();
                if behind.starts_with('(') {
                    end = end.strip_prefix(')').unwrap_or(end);
                }
                let length = rest.len() - end.len();
                let value = if self.macros.contains_key(asked_name) { "1" } else { "0" };
                result.push_str(value);
                result.extend(std::iter::repeat_n(' ', length - 1));
            } else if name.is_empty() {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                result.push_str(&rest[..length]);
            } else {
                result.push_str(name);
            }
        }
        result
    }

    /// The value of a condition, or `None` if it cannot be known.
    fn value(&self, expr: &Expr, depth: u32) -> Option<i128> {
        match &expr.kind {
            ExprKind::Int { value, .. } => Some(i128::from(*value)),
            ExprKind::Bool(value) => Some(i128::from(*value)),
            ExprKind::Ident(name) => {
                // A macro may lead to others, or to itself.
                if depth > 16 {
                    return None;
                }
                let body = self.macros.get(name)?;
                let body = expression(body, 0, 0, &mut Vec::new())?;
                self.value(&body, depth + 1)
            }
            ExprKind::Call { name, args } if name.name == "KERNEL_VERSION" => {
                let [major, minor, patch] = args.as_slice() else { return None };
                let patch = self.value(patch, depth)?.min(255);
                Some((self.value(major, depth)? << 16) + (self.value(minor, depth)? << 8) + patch)
            }
            ExprKind::Unary { op, operand } => {
                let value = self.value(operand, depth)?;
                match op {
                    UnaryOp::Neg => value.checked_neg(),
                    UnaryOp::Plus => Some(value),
                    UnaryOp::Not => Some(i128::from(value == 0)),
                    UnaryOp::BitNot => Some(!value),
                    UnaryOp::Deref | UnaryOp::AddressOf => None,
                }
            }
            ExprKind::Ternary { condition, then, otherwise } => {
                let chosen = if self.value(condition, depth)? != 0 { then } else { otherwise };
                self.value(chosen, depth)
            }
            ExprKind::Binary { op, left, right } => {
                let left = self.value(left, depth)?;
                // What does not matter need not be known: `defined(X) && X > 3`.
                if *op == BinaryOp::And && left == 0 || *op == BinaryOp::Or && left != 0 {
                    return Some(i128::from(left != 0));
                }
                binary(*op, left, self.value(right, depth)?)
            }
            ExprKind::String(_)
            | ExprKind::Variable(_)
            | ExprKind::Map { .. }
            | ExprKind::Positional(_)
            | ExprKind::PositionalCount
            | ExprKind::Step { .. }
            | ExprKind::Elvis { .. }
            | ExprKind::Cast { .. }
            | ExprKind::Call { .. }
            | ExprKind::Field { .. }
            | ExprKind::TupleIndex { .. }
            | ExprKind::Index { .. }
            | ExprKind::Tuple(_)
            | ExprKind::Record(_)
            | ExprKind::Block(_)
            | ExprKind::If(_)
            | ExprKind::Comptime(_)
            | ExprKind::Sizeof(_)
            | ExprKind::Offsetof { .. }
            | ExprKind::Typeinfo(_)
            | ExprKind::Type(_) => None,
        }
    }
}

fn binary(op: BinaryOp, left: i128, right: i128) -> Option<i128> {
    let shift = u32::try_from(right).ok().filter(|&count| count < 64);
    match op {
        BinaryOp::Or => Some(i128::from(left != 0 || right != 0)),
        BinaryOp::And => Some(i128::from(left != 0 && right != 0)),
        BinaryOp::BitOr => Some(left | right),
        BinaryOp::BitXor => Some(left ^ right),
        BinaryOp::BitAnd => Some(left & right),
        BinaryOp::Eq => Some(i128::from(left == right)),
        BinaryOp::Ne => Some(i128::from(left != right)),
        BinaryOp::Lt => Some(i128::from(left < right)),
        BinaryOp::Gt => Some(i128::from(left > right)),
        BinaryOp::Le => Some(i128::from(left <= right)),
        BinaryOp::Ge => Some(i128::from(left >= right)),
        BinaryOp::Shl => left.checked_shl(shift?),
        BinaryOp::Shr => left.checked_shr(shift?),
        BinaryOp::Add => left.checked_add(right),
        BinaryOp::Sub => left.checked_sub(right),
        BinaryOp::Mul => left.checked_mul(right),
        BinaryOp::Div => left.checked_div(right),
        BinaryOp::Rem => left.checked_rem(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> (String, Vec<ErrorKind>) {
        let mut errors = Vec::new();
        let mut macros = given();
        macros.insert("LINUX_VERSION_CODE".into(), "0x60c00".into());
        let resolved = resolve(text, 0, &mut macros, &mut (), &mut errors).into_owned();
        assert_eq!(resolved.len(), text.len(), "{text}");
        (resolved, errors.into_iter().map(|error| error.kind).collect())
    }

    /// Which of the words `yes` and `no` are left.
    fn seen(text: &str) -> Vec<String> {
        let (resolved, errors) = resolved(text);
        assert_eq!(errors, [], "{text}");
        resolved.split_whitespace().filter(|word| ["yes", "no"].contains(word)).map(String::from).collect()
    }

    #[test]
    fn conditions() {
        for condition in [
            "#ifdef BPFTRACE_HAVE_BTF",
            "#ifndef OTHER",
            "#if 1",
            "#if defined(BPFTRACE_HAVE_BTF) && !defined OTHER",
            "#if !defined ( OTHER ) || UNKNOWN > 3",
            "#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(6,13,0)",
            "#define N (2 + 1)\n#if N == 3",
            "#define A B\n#define B 7\n#if A - 7 ? 0 : 1",
            "#define A 1\n#undef A\n#ifndef A",
            "#if 0\nno\n#elif 1",
            "#if 0\n#if 1\nno\n#else\nno\n#endif\n#else",
            "#if 1 /* a comment\n over lines */ && 1 // and this",
            "#if 1 \\\n && (1 << 3) == 8",
            "  #  if 1",
            "/* x */ #if 1",
        ] {
            assert_eq!(seen(&format!("{condition}\nyes\n#else\nno\n#endif\n")), ["yes"], "{condition}");
        }
    }

    #[test]
    fn only_lines_count() {
        let text = "a #if 0\n\"#if 0\n// #if 0\n/*\n#if 0\n*/ $#\n";
        assert_eq!(resolve(text, 0, &mut given(), &mut (), &mut Vec::new()), text);
        assert_eq!(seen("#!/usr/bin/env x\n#if 0\n\"no\n#endif\nyes"), ["yes"]);
    }

    #[test]
    fn definitions_become_one_line() {
        let (text, errors) = resolved("#define X 1 \\\n + 2 /* a\nb */ + \"/*\"\nyes\n");
        assert_eq!(errors, []);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines, [vec!["#define", "X", "1", "+", "2", "+", "\"/*\""], vec!["yes"]]);
    }

    #[test]
    fn what_cannot_be_decided_is_an_error() {
        for condition in ["UNKNOWN", "1 +", "\"a\"", "1 / 0", "f(1)", "", "1 << 99"] {
            let (_, errors) = resolved(&format!("#if {condition}\n#endif\n"));
            assert_eq!(errors, [ErrorKind::Condition], "{condition}");
        }
        let (_, errors) = resolved("#define A A\n#if A\n#endif\n");
        assert_eq!(errors, [ErrorKind::Condition]);
    }
}
