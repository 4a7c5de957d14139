//! `format`: a script in its usual form, with every comment and the author's lines.
//!
//! Lines stay where they were broken; what changes is how far they are indented, the blanks within them, and
//! blocks with more than one statement on a line, whose statements get lines of their own. Several blank lines become one. C definitions,
//! preprocessor lines, and what a conditional takes out stay as they are, letter by letter.
//!
//! It works on the driver's tokens, which know casts and attach points, and on the text between them, where comments are.
//!
//! Assumes nothing about the text. Ensures that the tree of what it returns is the tree of the text, and that formatting again
//! changes nothing.

use crate::conditional;
use crate::error::SyntaxError;
use crate::lexer::Lexer;
use crate::parse::parse;
use crate::source::Source;
use crate::token::Token;

const INDENT: &str = "    ";

/// The formatted text, or why the text is no script.
pub fn format(source: &Source) -> Result<String, Vec<SyntaxError>> {
    // A text of its own, so that offsets are those of the text.
    let source = Source::new(source.name.clone(), &*source.text);
    let tree = parse(&source)?.to_string();
    let formatted = laid_out(&source.text);
    // A text that would say something else is a bug here; then nothing is changed.
    match parse(&Source::new(source.name.clone(), formatted.as_str())) {
        Ok(again) if again.to_string() == tree => Ok(formatted),
        Ok(_) | Err(_) => {
            debug_assert!(false, "formatting changes the meaning: {formatted}");
            Ok(source.text.to_string())
        }
    }
}

/// A token with what stands in front of it.
struct Piece<'s> {
    gap: Vec<Gap<'s>>,
    token: Token<'s>,
    text: &'s str,
    /// It begins an item.
    starts_item: bool,
}

/// What may stand between tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gap<'s> {
    /// So many line ends.
    Lines(usize),
    /// A comment; `//` ones end their line.
    Comment(&'s str),
    /// Lines that stay as they are.
    Raw(&'s str),
}

fn laid_out(text: &str) -> String {
    let resolved = conditional::resolve(text, 0, &mut conditional::given(), &mut (), &mut Vec::new());
    let (pieces, end) = pieces(text, &resolved);
    let breaks_before = open_blocks(&pieces);
    let mut layout = Layout::default();
    for (index, piece) in pieces.iter().enumerate() {
        let breaks = breaks_before[index] || piece.starts_item && index > 0;
        layout.gap(&piece.gap, is_closer(piece.token));
        layout.token(&pieces, index, breaks);
    }
    layout.gap(&end, true);
    layout.finish()
}

/// The tokens of a script, and what stands behind the last one. `resolved` is the text without its directives.
fn pieces<'s>(text: &'s str, resolved: &'s str) -> (Vec<Piece<'s>>, Vec<Gap<'s>>) {
    let mut lexer = Lexer::script(resolved, 0);
    let mut found = Vec::new();
    let mut starts_item = true;
    for item in &mut lexer {
        let Ok((start, token, end)) = item;
        match token {
            Token::StartScript => {}
            Token::EndItem => starts_item = true,
            _ => {
                found.push((start as usize, end as usize, token, starts_item));
                starts_item = false;
            }
        }
    }
    let definitions: Vec<_> = lexer.definitions.iter().map(|definition| definition.span).collect();
    let is_definition =
        |at: usize| definitions.iter().any(|span| (span.start as usize..span.end as usize).contains(&at));
    let mut pieces = Vec::new();
    let mut at = 0;
    for (start, end, token, starts_item) in found {
        let gap = gaps(text, at, start, &is_definition);
        pieces.push(Piece { gap, token, text: &text[start..end], starts_item });
        at = match token {
            // Its `=` is no token.
            Token::ProbeName(_) => end + text[end..].find('=').map_or(0, |length| length + 1),
            _ => end,
        };
    }
    (pieces, gaps(text, at, text.len(), &is_definition))
}

/// Splits what stands between two tokens.
fn gaps<'s>(text: &'s str, start: usize, end: usize, is_definition: &dyn Fn(usize) -> bool) -> Vec<Gap<'s>> {
    let bytes = text.as_bytes();
    let mut found: Vec<(Gap<'s>, usize, usize)> = Vec::new();
    let mut at = start;
    while at < end {
        let from = at;
        match bytes[at] {
            b'\n' => {
                at += 1;
                match found.last_mut() {
                    Some((Gap::Lines(lines), _, to)) => {
                        *lines += 1;
                        *to = at;
                    }
                    Some(_) | None => found.push((Gap::Lines(1), from, at)),
                }
            }
            byte if byte.is_ascii_whitespace() => at += 1,
            b'/' if text[at..end].starts_with("//") && !is_definition(at) => {
                at = line_end(text, at, end);
                found.push((Gap::Comment(text[from..at].trim_end()), from, at));
            }
            b'/' if text[at..end].starts_with("/*") && !is_definition(at) => {
                at = comment_end(text, at, end);
                found.push((Gap::Comment(&text[from..at]), from, at));
            }
            // Stray semicolons between items say nothing.
            b';' if !is_definition(at) => at += 1,
            _ if let Some(word) = qualifier(&text[at..end]) => {
                at += word.len();
                found.push((Gap::Comment(word), from, at));
            }
            _ => {
                at = raw_end(text, at, end);
                found.push((Gap::Raw(&text[from..at]), from, at));
            }
        }
    }
    // What lies between the first raw line and the last is left alone too, apart from a shebang.
    let is_raw = |(gap, from, _): &(Gap<'s>, usize, usize)| {
        matches!(gap, Gap::Raw(_)) && !(*from == 0 && text.starts_with("#!"))
    };
    if let Some(first) = found.iter().position(is_raw)
        && let Some(last) = found.iter().rposition(is_raw)
    {
        let (mut from, to) = (found[first].1, found[last].2);
        let line = text[..from].rfind('\n').map_or(0, |end| end + 1);
        if line >= start && text[line..from].bytes().all(|byte| byte.is_ascii_whitespace()) {
            from = line;
        }
        found.splice(first..=last, [(Gap::Raw(text[from..to].trim_end()), from, to)]);
    }
    found.into_iter().map(|(gap, ..)| gap).collect()
}

/// A word of C that means nothing here, and is no token.
fn qualifier(text: &str) -> Option<&'static str> {
    ["const", "volatile"].into_iter().find(|word| {
        text.strip_prefix(word)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

fn line_end(text: &str, at: usize, end: usize) -> usize {
    text[at..end].find('\n').map_or(end, |length| at + length)
}

fn comment_end(text: &str, at: usize, end: usize) -> usize {
    text[at + 2..end].find("*/").map_or(end, |length| at + 2 + length + 2)
}

/// The end of a line that is no token's: its comments and continued lines belong to it.
fn raw_end(text: &str, mut at: usize, end: usize) -> usize {
    let bytes = text.as_bytes();
    let mut quoted = false;
    while at < end {
        match bytes[at] {
            b'\n' => return at,
            b'\\' => at += 2,
            b'"' => {
                quoted = !quoted;
                at += 1;
            }
            b'/' if !quoted && text[at..end].starts_with("/*") => at = comment_end(text, at, end),
            b'/' if !quoted && text[at..end].starts_with("//") => return line_end(text, at, end),
            _ => at += 1,
        }
    }
    end
}

/// In front of which tokens lines must be broken, whatever the author did: in blocks that take more than one line.
fn open_blocks(pieces: &[Piece<'_>]) -> Vec<bool> {
    let mut breaks_before = vec![false; pieces.len()];
    /// A bracket that is open.
    struct Bracket {
        is_block: bool,
        /// The places where its statements begin, apart from the first.
        statements: Vec<usize>,
        first: usize,
        broken: bool,
    }
    let mut stack: Vec<Bracket> = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let line_ends = piece.gap.iter().any(|gap| match gap {
            Gap::Lines(_) | Gap::Raw(_) => true,
            Gap::Comment(comment) => comment.starts_with("//"),
        });
        if line_ends && let Some(top) = stack.last_mut() {
            top.broken = true;
        }
        let previous = index.checked_sub(1).map(|previous| pieces[previous].token);
        if is_closer(piece.token) {
            if let Some(done) = stack.pop() {
                let broken = done.broken || !done.statements.is_empty();
                if done.is_block && broken && index > done.first {
                    breaks_before[done.first] = true;
                    breaks_before[index] = true;
                    done.statements.iter().for_each(|&at| breaks_before[at] = true);
                }
                if broken && let Some(outer) = stack.last_mut() {
                    outer.broken = true;
                }
            }
            continue;
        }
        if let Some(top) = stack.last_mut()
            && top.is_block
            && index > top.first
        {
            let starts = match previous {
                Some(Token::Semicolon) => piece.token != Token::Semicolon,
                Some(Token::RBrace) => !continues(piece.token),
                Some(_) | None => false,
            };
            if starts {
                top.statements.push(index);
            }
        }
        match piece.token {
            Token::LBrace | Token::LParen | Token::CastOpen | Token::LBracket => stack.push(Bracket {
                is_block: piece.token == Token::LBrace,
                statements: Vec::new(),
                first: index + 1,
                broken: false,
            }),
            _ => {}
        }
    }
    breaks_before
}

/// What goes on behind a block instead of beginning a statement.
fn continues(token: Token<'_>) -> bool {
    matches!(token, Token::Else | Token::Semicolon | Token::Comma | Token::RParen | Token::RBracket)
}

fn is_closer(token: Token<'_>) -> bool {
    matches!(token, Token::RBrace | Token::RParen | Token::RBracket)
}

/// The text that is made.
#[derive(Default)]
struct Layout<'s> {
    out: String,
    /// Line ends that the text still owes.
    lines: usize,
    /// Open brackets, with how far what they hold is indented, and whether they are casts.
    open: Vec<(usize, Token<'s>)>,
    /// How far the line that is being written is indented.
    indent: usize,
    /// The last token closed a cast.
    behind_cast: bool,
    /// The last operator had no left operand.
    behind_unary: bool,
    /// Nothing but an opening bracket was written since.
    behind_opener: bool,
    /// The last thing was a comment.
    behind_comment: bool,
    started: bool,
}

impl<'s> Layout<'s> {
    fn gap(&mut self, gap: &[Gap<'_>], before_closer: bool) {
        for (index, part) in gap.iter().enumerate() {
            let last = index + 1 == gap.len();
            match part {
                Gap::Lines(lines) => {
                    let most = if self.behind_opener || last && before_closer { 1 } else { 2 };
                    self.lines = self.lines.max((*lines).min(most));
                }
                Gap::Comment(comment) => {
                    let inner = self.open.last().map_or(0, |(inner, _)| *inner);
                    let in_block = self.open.last().is_none_or(|(_, token)| *token == Token::LBrace);
                    self.start(inner, in_block || !self.behind_opener);
                    self.comment(comment, inner);
                    if comment.starts_with("//") {
                        self.lines = 1;
                    }
                    self.behind_opener = false;
                    self.behind_comment = true;
                }
                Gap::Raw(raw) => {
                    if self.started {
                        self.lines = self.lines.max(1);
                    }
                    self.end_lines();
                    for (index, line) in raw.lines().enumerate() {
                        if index > 0 {
                            self.out.push('\n');
                        }
                        self.out.push_str(line.trim_end());
                    }
                    self.started = true;
                    self.lines = 1;
                    self.behind_opener = false;
                    self.behind_comment = true;
                }
            }
        }
    }

    /// A comment; the lines of a block that begin with a `*` are kept under one another.
    fn comment(&mut self, comment: &str, indent: usize) {
        for (index, line) in comment.lines().enumerate() {
            if index == 0 {
                self.out.push_str(line.trim_end());
                continue;
            }
            self.out.push('\n');
            let inner = line.trim();
            if inner.starts_with('*') {
                self.out.push_str(&INDENT.repeat(indent));
                self.out.push(' ');
                self.out.push_str(inner);
            } else {
                self.out.push_str(line.trim_end());
            }
        }
    }

    fn token(&mut self, pieces: &[Piece<'s>], index: usize, breaks: bool) {
        let Piece { token, text, starts_item, .. } = pieces[index];
        let previous = index.checked_sub(1).map(|previous| pieces[previous].token);
        if breaks {
            self.lines = self.lines.max(1);
        }
        // An empty block needs no line.
        if token == Token::RBrace && self.behind_opener && previous == Some(Token::LBrace) {
            self.lines = 0;
        }
        let mut closed = None;
        if is_closer(token) {
            closed = self.open.pop();
        }
        let inner = self.open.last().map_or(0, |(inner, _)| *inner);
        let indent = match &closed {
            Some((inside, _)) => inside.saturating_sub(1),
            None => {
                let in_block = self.open.last().is_none_or(|(_, token)| *token == Token::LBrace);
                let begins = starts_item
                    || matches!(previous, None | Some(Token::Semicolon | Token::LBrace | Token::RBrace))
                    || matches!(
                        token,
                        Token::LBrace | Token::Else | Token::PredicateOpen | Token::AttachPoint(_)
                    );
                inner + usize::from(in_block && !begins)
            }
        };
        let is_unary = is_operator(token) && !self.ends_operand(previous);
        let space = self.space_before(pieces, index, previous, token, is_unary);
        self.start(indent, space);
        self.out.push_str(text);
        self.behind_comment = false;
        self.behind_opener = false;
        self.behind_unary = is_unary;
        self.behind_cast = matches!(closed, Some((_, Token::CastOpen)));
        match token {
            Token::LBrace | Token::LParen | Token::CastOpen | Token::LBracket => {
                // The parentheses of `sizeof` around a type are no cast.
                let operator = matches!(
                    previous,
                    Some(Token::Sizeof | Token::Offsetof | Token::Typeof | Token::Typeinfo)
                );
                // A body is indented once, wherever its brace is.
                let indent = if self.open.is_empty() && token == Token::LBrace { 0 } else { self.indent };
                self.open.push((indent + 1, if operator { Token::LParen } else { token }));
                self.behind_opener = true;
            }
            // A probe's name is written without its `=`.
            Token::ProbeName(_) => self.out.push('='),
            _ => {}
        }
        self.started = true;
    }

    /// Ends the lines that are owed, or puts a blank.
    fn start(&mut self, indent: usize, space: bool) {
        if self.lines > 0 && self.started {
            self.end_lines();
            self.out.push_str(&INDENT.repeat(indent));
            self.indent = indent;
        } else if space && self.started {
            self.out.push(' ');
        }
        self.lines = 0;
        self.started = true;
    }

    fn end_lines(&mut self) {
        if self.started {
            for _ in 0..self.lines {
                self.out.push('\n');
            }
        }
        self.lines = 0;
    }

    fn finish(mut self) -> String {
        if self.started {
            self.out.push('\n');
        }
        self.out
    }

    /// Whether a token is the end of an operand, so that an operator behind it has two.
    fn ends_operand(&self, token: Option<Token<'_>>) -> bool {
        !self.behind_cast
            && matches!(
                token,
                Some(
                    Token::Ident(_)
                        | Token::Variable(_)
                        | Token::Map(_)
                        | Token::Positional(_)
                        | Token::PositionalCount
                        | Token::Int(_)
                        | Token::String(_)
                        | Token::True
                        | Token::False
                        | Token::RParen
                        | Token::RBracket
                )
            )
            || !self.behind_unary && matches!(token, Some(Token::PlusPlus | Token::MinusMinus))
    }

    fn space_before(
        &self,
        pieces: &[Piece<'s>],
        index: usize,
        previous: Option<Token<'s>>,
        token: Token<'s>,
        is_unary: bool,
    ) -> bool {
        let Some(previous) = previous else { return false };
        if self.behind_comment {
            return !matches!(token, Token::Comma | Token::Semicolon);
        }
        let before = pieces[index - 1].text;
        let text = pieces[index].text;
        // Two that would become one, or a comment.
        let merges = matches!(
            (before.as_bytes().last(), text.as_bytes().first()),
            (Some(b'-'), Some(b'-' | b'>'))
                | (Some(b'+'), Some(b'+'))
                | (Some(b'&'), Some(b'&'))
                | (Some(b'/'), Some(b'*' | b'/'))
                | (Some(b'*'), Some(b'/' | b'='))
        );
        if merges {
            return true;
        }
        if self.behind_unary || self.behind_cast {
            return false;
        }
        match (previous, token) {
            (_, Token::Comma | Token::Semicolon | Token::RParen | Token::RBracket | Token::LBracket) => false,
            (Token::LBrace, Token::RBrace) => false,
            (_, Token::Dot | Token::Arrow | Token::DotDot) => false,
            (
                Token::LParen
                | Token::CastOpen
                | Token::LBracket
                | Token::Dot
                | Token::Arrow
                | Token::DotDot
                | Token::ProbeName(_),
                _,
            ) => false,
            // `?:`
            (Token::Question, Token::Colon) => false,
            (_, Token::PlusPlus | Token::MinusMinus) if !is_unary => false,
            (
                Token::Ident(_) | Token::Sizeof | Token::Offsetof | Token::Typeof | Token::Typeinfo,
                Token::LParen | Token::CastOpen,
            ) => false,
            // The stars of a type stand together.
            (Token::Star, Token::Star) => false,
            _ => true,
        }
    }
}

/// Operators that may have one operand.
fn is_operator(token: Token<'_>) -> bool {
    matches!(
        token,
        Token::Plus
            | Token::Minus
            | Token::Star
            | Token::And
            | Token::Not
            | Token::Tilde
            | Token::PlusPlus
            | Token::MinusMinus
    )
}
