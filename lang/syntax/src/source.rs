//! Source texts, and the spans that point into them.
//!
//! All texts of a run (the script, its imports, the library's modules) share one space of byte offsets: each [`Source`] begins where
//! the one before it ended, plus one. So a [`Span`] is two numbers, and yet always enough to find its file, its text and its
//! line; and one diagnostic may label places in several files. A single source that was made with [`Source::new`]
//! starts at 0, and its spans are offsets into its own text.
//!
//! Where a macro is called, its source is there once more, at other offsets, and says where the call is. So
//! a span of what a call became leads to the macro's line and to the call.

use std::ops::Range;
use std::sync::Arc;

use miette::{MietteError, SourceCode, SourceSpan, SpanContents};

/// A stretch of source text, in bytes: `start` is the first byte, `end` the one after the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub const fn new(start: u32, end: u32) -> Span {
        Span { start, end }
    }

    /// From the start of this span to the end of `other`.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The empty span directly behind this one.
    pub fn after(self) -> Span {
        Span { start: self.end, end: self.end }
    }

    /// The length in bytes.
    pub fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl From<Span> for SourceSpan {
    fn from(span: Span) -> SourceSpan {
        SourceSpan::new((span.start as usize).into(), span.len() as usize)
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// One text with its name. Offsets that its methods take and give are those of spans, not of `text`: they begin at `start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What a user calls it: a path, `stdin`, or `-e`.
    pub name: String,
    pub text: Arc<str>,
    /// The offset of the first byte of `text` in the space of all spans.
    pub start: u32,
    /// The call that brought this copy of a text about.
    pub called_at: Option<Span>,
    /// Where each line of `text` begins.
    pub(crate) lines: Arc<[u32]>,
    /// The parts of very long lines that are shown, as ranges of `text`; see `around.rs`.
    pub(crate) windows: Vec<Range<usize>>,
}

impl Source {
    /// A source whose spans begin at 0.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        let text = text.into();
        let newlines = text.bytes().zip(1..).filter(|(byte, _)| *byte == b'\n');
        let lines = std::iter::once(0).chain(newlines.map(|(_, next)| next)).collect();
        Source { name: name.into(), lines, text: text.into(), start: 0, called_at: None, windows: Vec::new() }
    }

    /// The span of the whole text.
    pub fn span(&self) -> Span {
        Span::new(self.start, self.start + self.text.len() as u32)
    }

    /// True where `span` lies in this source; its end counts as inside.
    pub fn contains(&self, span: Span) -> bool {
        self.start <= span.start && span.end <= self.span().end
    }

    /// The text under a span, or "" where the span is not of this source.
    pub fn slice(&self, span: Span) -> &str {
        if !self.contains(span) {
            return "";
        }
        self.text.get((span.start - self.start) as usize..(span.end - self.start) as usize).unwrap_or("")
    }

    /// The line and the column of an offset; both count from 1, and columns are bytes.
    pub fn line_col(&self, offset: u32) -> (u32, u32) {
        let at = offset.saturating_sub(self.start).min(self.text.len() as u32);
        let line = self.lines.partition_point(|begin| *begin <= at);
        (line as u32, at - self.lines[line - 1] + 1)
    }

    /// The text of a line, without its end; lines count from 1.
    pub fn line(&self, number: u32) -> Option<&str> {
        let begin = *self.lines.get(number.checked_sub(1)? as usize)?;
        self.text.get(begin as usize..)?.lines().next()
    }
}

/// Every source of a run. Diagnostics that carry spans of several sources are rendered against this.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// In the order of their offsets.
    pub(crate) sources: Vec<Arc<Source>>,
}

impl Sources {
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Adds a text and gives it the next free offsets.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        // The gap of one keeps the end of one source apart from the start of the next.
        let start = self.sources.last().map_or(0, |last| last.span().end + 1);
        let source = Arc::new(Source { start, ..Source::new(name, text) });
        self.sources.push(Arc::clone(&source));
        source
    }

    /// Adds the source of a macro once more, for one call of it. Returns how far the offsets of the copy lie behind those of
    /// `definition`; `None` where there are no offsets left.
    pub fn add_call(&mut self, definition: Span, called_at: Span) -> Option<u32> {
        let origin = Arc::clone(self.find(definition)?);
        let start = self.sources.last()?.span().end.checked_add(1)?;
        start.checked_add(origin.text.len() as u32 + 1)?;
        let copy = Source { start, called_at: Some(called_at), ..(*origin).clone() };
        self.sources.push(Arc::new(copy));
        Some(start - origin.start)
    }

    /// The calls of macros that led to a span, the innermost first.
    pub fn calls(&self, span: Span) -> impl Iterator<Item = Span> {
        let called_at = |span| self.find(span).and_then(|source| source.called_at);
        std::iter::successors(called_at(span), move |&span| called_at(span))
    }

    /// The source that holds a span.
    pub fn find(&self, span: Span) -> Option<&Arc<Source>> {
        let next = self.sources.partition_point(|source| source.start <= span.start);
        self.sources[..next].last().filter(|source| source.contains(span))
    }

    /// The text under a span, or "" where there is none.
    pub fn slice(&self, span: Span) -> &str {
        self.find(span).map_or("", |source| source.slice(span))
    }
}

impl SourceCode for Sources {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let start = u32::try_from(span.offset()).map_err(|_| MietteError::OutOfBounds)?;
        let end = u32::try_from(span.offset() + span.len()).map_err(|_| MietteError::OutOfBounds)?;
        let source = self.find(Span::new(start, end)).ok_or(MietteError::OutOfBounds)?;
        source.read_span(span, lines_before, lines_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let source = Source::new("a", "one\ntwo\n");
        assert_eq!(source.line_col(0), (1, 1));
        assert_eq!(source.line_col(3), (1, 4));
        assert_eq!(source.line_col(4), (2, 1));
        assert_eq!(source.line_col(99), (3, 1));
        assert_eq!(source.line(2), Some("two"));
        assert_eq!(source.line(0), None);
    }

    #[test]
    fn a_span_finds_its_source() {
        let mut sources = Sources::new();
        let a = sources.add("a", "abc");
        let b = sources.add("b", "x\nyz");
        assert_eq!(sources.find(a.span()).map(|s| s.name.as_str()), Some("a"));
        assert_eq!(sources.find(a.span().after()).map(|s| s.name.as_str()), Some("a"));
        assert_eq!(sources.find(b.span()).map(|s| s.name.as_str()), Some("b"));
        assert_eq!(sources.find(a.span().to(b.span())), None);
        let z = Span::new(b.span().end - 1, b.span().end);
        assert_eq!(sources.slice(z), "z");
        assert_eq!(b.line_col(z.start), (2, 2));
        let read = sources.read_span(&z.into(), 0, 0).unwrap();
        assert_eq!((read.name(), read.line(), read.column()), (Some("b"), 1, 1));
    }
}
