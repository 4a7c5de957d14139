//! The driver between a text and the parser: it knows where in a script it is, and so decides what no grammar can.
//!
//! - Outside of code, words are attach points, up to a `,`, a `{` or the `/` of a predicate. A `/` belongs to the attach point if it
//!   is part of a path (`uprobe:/bin/bash:readline`).
//! - A predicate ends at the first `/` that stands in front of a `{`.
//! - `(` opens a cast if it reads `(type)`, and the type is certain or an operand follows: `(x) y` casts, `(x) - y` subtracts.
//! - Behind `.` and `->` a keyword is a name.
//!
//! C definitions and preprocessor lines are taken out on the way and kept in `definitions`. Brackets are counted: those still
//! open at the end are reported and closed, and what is nested deeper than [`MAX_DEPTH`] ends the text, so that
//! nothing that walks the tree needs to fear for its stack. Behind every item comes an [`Token::EndItem`].

use logos::Logos;

use crate::ast::CDef;
use crate::cast::opens_type;
use crate::cdef;
use crate::error::{ErrorKind, SyntaxError};
use crate::source::Span;
use crate::token::Token;

/// `PATH_MAX`, in bytes.
const LONGEST_PATH: usize = 4096;

/// No tree is deeper: brackets and operators that can stand on one path from its root.
pub(crate) const MAX_DEPTH: u32 = 256;

pub(crate) struct Lexer<'s> {
    /// The text, whose offsets count from `base`.
    text: &'s str,
    base: u32,
    /// A whole script, not one expression.
    script: bool,
    mode: Mode,
    /// Where the next token begins, outside of code.
    at: usize,
    /// Inside code and predicates.
    inner: logos::Lexer<'s, Token<'s>>,
    previous: Token<'s>,
    first: Option<Token<'s>>,
    /// The last token of an item is out.
    item_ends: bool,
    /// The item declares a map.
    declares: bool,
    open: Vec<Open>,
    depth: u32,
    /// The depth in front of the last block, for its `else`.
    last_block: u32,
    /// The last `if` whose block has not begun: how many brackets are open around it, and the depth there. Its condition does not
    /// make the block deeper.
    branch: Option<(usize, u32)>,
    suspect: Option<Span>,
    pub(crate) definitions: Vec<CDef>,
    pub(crate) errors: Vec<SyntaxError>,
    /// Where each token ended, in order.
    pub(crate) ends: Vec<u32>,
    /// The end of the text was announced as an error, so a parser that stumbles over it adds nothing.
    pub(crate) cut: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Between items.
    Item,
    /// In front of a body; `predicate` once it is read.
    Points {
        predicate: bool,
    },
    /// The offset of its opening `/`.
    Predicate {
        open: usize,
    },
    Code,
    End,
}

struct Open {
    bracket: char,
    at: usize,
    /// The depth around it.
    depth: u32,
}

impl<'s> Lexer<'s> {
    /// The tokens of a script.
    pub(crate) fn script(text: &'s str, base: u32) -> Lexer<'s> {
        let shebang = if text.starts_with("#!") { text.find('\n').unwrap_or(text.len()) } else { 0 };
        let first = Some(Token::StartScript);
        Lexer { script: true, at: shebang, mode: Mode::Item, first, ..Lexer::new(text, base) }
    }

    /// The tokens of one expression, which is all of `text` from `at` on.
    pub(crate) fn expression(text: &'s str, at: usize, base: u32) -> Lexer<'s> {
        let mut lexer = Lexer::new(text, base);
        lexer.inner.bump(at);
        lexer
    }

    fn new(text: &'s str, base: u32) -> Lexer<'s> {
        Lexer {
            text,
            base,
            script: false,
            mode: Mode::Code,
            at: 0,
            inner: Token::lexer(text),
            previous: Token::StartExpr,
            first: Some(Token::StartExpr),
            item_ends: false,
            declares: false,
            open: Vec::new(),
            depth: 0,
            last_block: 0,
            branch: None,
            suspect: None,
            definitions: Vec::new(),
            errors: Vec::new(),
            ends: Vec::new(),
            cut: false,
        }
    }

    fn token(&mut self) -> Option<(usize, Token<'s>, usize)> {
        if let Some(first) = self.first.take() {
            return Some((self.at, first, self.at));
        }
        if self.item_ends {
            self.item_ends = false;
            return Some((self.at, Token::EndItem, self.at));
        }
        match self.mode {
            Mode::Item => self.item(),
            Mode::Points { predicate } => self.points(predicate),
            Mode::Predicate { .. } | Mode::Code => self.code(),
            Mode::End => None,
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.base + start as u32, self.base + end as u32)
    }

    fn error(&mut self, kind: ErrorKind, start: usize, end: usize) {
        self.errors.push(SyntaxError::new(kind, self.span(start, end)));
    }

    /// Skips white space and comments outside of code.
    fn skip_trivia(&mut self) {
        match trivia_end(self.text, self.at) {
            Ok(at) => self.at = at,
            Err(open) => {
                self.error(ErrorKind::OpenComment, open, open + 2);
                self.cut = true;
                self.at = self.text.len();
            }
        }
    }

    fn enter_code(&mut self, at: usize) {
        self.mode = Mode::Code;
        self.inner = Token::lexer(self.text);
        self.inner.bump(at);
        self.depth = 0;
    }

    /// The first token of an item.
    fn item(&mut self) -> Option<(usize, Token<'s>, usize)> {
        loop {
            self.skip_trivia();
            let rest = &self.text[self.at..];
            match rest.as_bytes().first()? {
                b';' => self.at += 1,
                b'}' => {
                    self.error(ErrorKind::ExtraBrace, self.at, self.at + 1);
                    self.at += 1;
                }
                b'#' => {
                    let end = self.at + rest.find('\n').unwrap_or(rest.len());
                    let (definition, undefined) =
                        cdef::directive(self.text, self.at..end, self.base, &mut self.errors);
                    self.definitions.extend(definition);
                    if let Some(name) = undefined {
                        self.definitions.retain(|definition| !cdef::defines(definition, name));
                    }
                    self.at = end;
                }
                _ => {
                    let word = word(rest);
                    let behind = rest[word.len()..].trim_start();
                    let keyword = match word {
                        "struct" | "union" | "enum" | "typedef" if !behind.starts_with(':') => {
                            let end = cdef::declaration(
                                self.text,
                                self.at,
                                self.base,
                                &mut self.definitions,
                                &mut self.errors,
                            );
                            self.at = end.max(self.at + word.len());
                            continue;
                        }
                        "config" => config_body(behind).then_some(Token::Config),
                        "import" => behind.starts_with('"').then_some(Token::Import),
                        "let" => behind.starts_with(['@', '$']).then_some(Token::Let),
                        "macro" => starts_name(behind).then_some(Token::Macro),
                        "fn" => starts_name(behind).then_some(Token::Fn),
                        _ => None,
                    };
                    let Some(keyword) = keyword else {
                        self.mode = Mode::Points { predicate: false };
                        return self.points(false);
                    };
                    let start = self.at;
                    self.declares = keyword == Token::Let;
                    self.enter_code(start + word.len());
                    return Some((start, keyword, start + word.len()));
                }
            }
        }
    }

    /// A token between the start of a probe and its body.
    fn points(&mut self, predicate: bool) -> Option<(usize, Token<'s>, usize)> {
        self.declares = false;
        self.skip_trivia();
        let start = self.at;
        let rest = &self.text[start..];
        let one = |token| Some((start, token, start + 1));
        match rest.as_bytes().first()? {
            b',' => {
                self.at += 1;
                one(Token::Comma)
            }
            b'/' if !predicate => {
                self.enter_code(start + 1);
                self.mode = Mode::Predicate { open: start };
                one(Token::PredicateOpen)
            }
            b'{' => {
                self.enter_code(start);
                self.code()
            }
            b'}' | b';' => {
                self.at += 1;
                self.mode = Mode::Item;
                self.item_ends = true;
                one(if rest.starts_with('}') { Token::RBrace } else { Token::Semicolon })
            }
            _ => {
                let first = !matches!(self.previous, Token::Comma | Token::ProbeName(_));
                if first && let Some(length) = probe_name(rest) {
                    self.at += length;
                    let name = word(rest);
                    return Some((start, Token::ProbeName(name), start + name.len()));
                }
                let length = attach_point(rest);
                self.at += length;
                Some((start, Token::AttachPoint(&rest[..length]), start + length))
            }
        }
    }

    /// A token of code or of a predicate.
    fn code(&mut self) -> Option<(usize, Token<'s>, usize)> {
        let named = matches!(self.previous, Token::Dot | Token::Arrow);
        let mut token = loop {
            match self.inner.next() {
                // Qualifiers change nothing here.
                Some(Ok(Token::Ident("const" | "volatile"))) if !named => {}
                Some(found) => break found.unwrap_or(Token::Error),
                None => return self.finish(),
            }
        };
        let range = self.inner.span();
        let (start, mut end) = (range.start, range.end);
        match token {
            Token::Error => {
                // logos gives up at the first byte that fits nothing; the whole character is what a reader sees.
                let c = self.text[start..].chars().next().unwrap_or(' ');
                self.error(ErrorKind::UnknownCharacter(c), start, start + c.len_utf8());
            }
            Token::OpenString => {
                self.error(ErrorKind::OpenString, start, end);
                token = Token::String("\"\"");
                // What ends the line was hardly meant to be in the string.
                let inside = self.text[start + 1..end].trim_end_matches([' ', '\t', ')', ';', '}']);
                end = start + 1 + inside.len();
                self.inner = Token::lexer(self.text);
                self.inner.bump(end);
            }
            Token::Char => {
                self.error(ErrorKind::CharLiteral, start, end);
                token = Token::Int("0");
            }
            Token::OpenComment => {
                self.error(ErrorKind::OpenComment, start, end);
                self.cut = true;
                self.inner.bump(self.text.len() - end);
                return self.finish();
            }
            _ if named && token.is_keyword() => {
                token = Token::Ident(&self.text[start..end]);
            }
            Token::LParen if opens_type(self.previous, self.inner.clone()) => token = Token::CastOpen,
            Token::Slash => {
                if let Mode::Predicate { .. } = self.mode
                    && trivia_end(self.text, end).is_ok_and(|at| self.text[at..].starts_with('{'))
                {
                    self.at = end;
                    self.open.clear();
                    self.mode = Mode::Points { predicate: true };
                    return Some((start, Token::PredicateClose, end));
                }
            }
            Token::LBrace => {
                if let Mode::Predicate { open } = self.mode
                    && self.open.is_empty()
                {
                    let open = self.span(open, open + 1);
                    self.error(ErrorKind::MissingSlash { open }, start, end);
                    self.at = start;
                    self.mode = Mode::Points { predicate: true };
                    return Some((start, Token::PredicateClose, start));
                }
            }
            _ => {}
        }
        if !self.count(token, start) {
            self.error(ErrorKind::TooDeep, start, end);
            self.cut = true;
            self.mode = Mode::End;
            return None;
        }
        if self.script && self.mode == Mode::Code && self.ends_item(token, end) {
            self.open.clear();
            self.at = end;
            self.mode = Mode::Item;
            self.item_ends = true;
        }
        Some((start, token, end))
    }

    /// Whether an item's last token is `token`, which ends at `end`.
    fn ends_item(&self, token: Token<'s>, end: usize) -> bool {
        let no_semicolon = || !trivia_end(self.text, end).is_ok_and(|at| self.text[at..].starts_with(';'));
        match token {
            Token::RBrace | Token::Semicolon => !self.open.iter().any(|open| open.bracket == '{'),
            // The `;` behind an import or the declaration of a map may be missing.
            Token::String(_) if self.previous == Token::Import => no_semicolon(),
            Token::RParen if self.declares && self.open.is_empty() => no_semicolon(),
            _ => false,
        }
    }

    /// Keeps account of brackets and depth; false if the depth exceeds its limit.
    fn count(&mut self, token: Token<'s>, at: usize) -> bool {
        let bracket = match token {
            Token::LBrace => '{',
            Token::LParen | Token::CastOpen => '(',
            Token::LBracket => '[',
            Token::RBrace => {
                self.close('{', at);
                return true;
            }
            Token::RParen => {
                self.close('(', at);
                return true;
            }
            Token::RBracket => {
                self.close('[', at);
                return true;
            }
            Token::Semicolon | Token::Comma => {
                self.depth = self.base_depth();
                return true;
            }
            Token::Else => {
                self.depth = self.last_block + 1;
                return self.depth < MAX_DEPTH;
            }
            Token::Ident(_)
            | Token::Variable(_)
            | Token::Map(_)
            | Token::Positional(_)
            | Token::PositionalCount
            | Token::Int(_)
            | Token::String(_) => return true,
            Token::If => {
                self.branch = Some((self.open.len(), self.depth));
                self.depth += 1;
                return self.depth < MAX_DEPTH;
            }
            // Everything else may be an operator.
            _ => {
                self.depth += 1;
                return self.depth < MAX_DEPTH;
            }
        };
        if let Some((open, depth)) = self.branch
            && bracket == '{'
            && open == self.open.len()
        {
            self.depth = depth;
            self.branch = None;
        }
        self.open.push(Open { bracket, at, depth: self.depth });
        self.depth += 1;
        self.depth < MAX_DEPTH
    }

    /// The depth of what stands directly in the innermost open bracket.
    fn base_depth(&self) -> u32 {
        self.open.last().map_or(0, |open| open.depth + 1)
    }

    fn close(&mut self, bracket: char, at: usize) {
        // A brace also closes what was left open inside it; the others close nothing beyond a brace.
        let found = self
            .open
            .iter()
            .rposition(|open| open.bracket == bracket || (open.bracket == '{' && bracket != '{'))
            .filter(|&index| self.open[index].bracket == bracket);
        let Some(found) = found else { return };
        let depth = self.open[found].depth;
        if bracket == '{' {
            self.suspect = self.suspect.or_else(|| {
                let fits = indentation(self.text, at)? == indentation_of_line(self.text, self.open[found].at);
                (!fits).then(|| self.span(at, at + 1))
            });
        }
        self.open.truncate(found);
        if bracket == '{' {
            self.last_block = depth;
            self.depth = self.base_depth();
        } else {
            self.depth = depth + 1;
        }
    }

    /// The end of the text inside code: closes one bracket a call.
    fn finish(&mut self) -> Option<(usize, Token<'s>, usize)> {
        let end = self.text.len();
        self.at = end;
        if let Some(open) = self.open.pop() {
            if !self.cut {
                self.cut = true;
                let kind = ErrorKind::MissingClose {
                    open: self.span(open.at, open.at + 1),
                    bracket: open.bracket,
                    suspect: self.suspect.take().filter(|span| (span.start - self.base) as usize > open.at),
                };
                let last = self.text.trim_end().len();
                self.error(kind, last, last);
            }
            let token = match open.bracket {
                '(' => Token::RParen,
                '[' => Token::RBracket,
                _ => Token::RBrace,
            };
            return Some((end, token, end));
        }
        if let Mode::Predicate { open } = self.mode {
            if !self.cut {
                let span = self.span(open, open + 1);
                self.error(ErrorKind::MissingSlash { open: span }, end, end);
            }
            self.cut = true;
            self.mode = Mode::End;
            return None;
        }
        self.mode = Mode::End;
        self.script.then_some((end, Token::EndItem, end))
    }
}

impl<'s> Iterator for Lexer<'s> {
    type Item = Result<(u32, Token<'s>, u32), std::convert::Infallible>;

    fn next(&mut self) -> Option<Self::Item> {
        let (start, token, end) = self.token()?;
        let (start, end) = (self.base + start as u32, self.base + end as u32);
        self.previous = token;
        self.ends.push(end);
        Some(Ok((start, token, end)))
    }
}

/// Where the white space and the comments at `at` end, or where a comment that never ends begins.
pub(crate) fn trivia_end(text: &str, mut at: usize) -> Result<usize, usize> {
    loop {
        let rest = text[at..].trim_start();
        at = text.len() - rest.len();
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(comment) = rest.strip_prefix("/*") {
            at += comment.find("*/").ok_or(at)? + 4;
        } else {
            return Ok(at);
        }
    }
}

/// The identifier that a text starts with, or "".
pub(crate) fn word(text: &str) -> &str {
    let end = text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &text[..end] }
}

fn starts_name(text: &str) -> bool {
    text.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
}

/// What follows the word `config` if that is a block, and not a probe's name.
fn config_body(behind: &str) -> bool {
    behind.strip_prefix('=').is_some_and(|rest| {
        trivia_end(rest, 0).is_ok_and(|at| rest[at..].starts_with('{') || rest[at..].is_empty())
    })
}

/// The length of `name =` in front of an attach point.
fn probe_name(text: &str) -> Option<usize> {
    let name = word(text);
    let behind = text[name.len()..].trim_start();
    let named = !name.is_empty() && behind.starts_with('=') && !behind.starts_with("==");
    named.then(|| text.len() - behind.len() + 1)
}

/// The length of the attach point that a text starts with; at least one byte.
fn attach_point(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut segment = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = bytes[at + 1..].iter().position(|&byte| byte == b'"' || byte == b'\n');
                at += end.map_or(bytes.len() - at, |end| end + 2);
                continue;
            }
            b':' => segment = at + 1,
            b'/' => {
                let path = &text[segment..at];
                let is_path = path.is_empty() && segment > 0
                    || path.starts_with(['/', '.', '"'])
                    || path_goes_on(&text[at + 1..]);
                if !is_path {
                    break;
                }
            }
            b',' | b'{' | b'}' | b';' => break,
            byte if byte.is_ascii_whitespace() => break,
            _ => {}
        }
        at += 1;
    }
    // A character is never cut: all the bytes that end an attach point are ASCII.
    at.clamp(text.chars().next().map_or(0, char::len_utf8), bytes.len())
}

/// True if the text behind a `/` reads as the rest of a path: up to a `:`, without a space.
fn path_goes_on(rest: &str) -> bool {
    // Each `/` looks ahead; no path is longer.
    let mut path = rest.bytes().take(LONGEST_PATH);
    let end = path.position(|byte| !byte.is_ascii_alphanumeric() && !b"_.+-*$/".contains(&byte));
    end.is_some_and(|end| end > 0 && rest.as_bytes()[end] == b':')
}

/// The indentation of the line on which `at` is the first character.
fn indentation(text: &str, at: usize) -> Option<&str> {
    let line = &text[text[..at].rfind('\n').map_or(0, |newline| newline + 1)..at];
    line.trim().is_empty().then_some(line)
}

fn indentation_of_line(text: &str, at: usize) -> &str {
    let line = &text[text[..at].rfind('\n').map_or(0, |newline| newline + 1)..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}
