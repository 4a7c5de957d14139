//! What is shown of lines that are very long: the surroundings of the places that a diagnostic labels.
//!
//! [`Sources::around`] makes a copy of the sources for one diagnostic. In the copy, such a line has *windows*, one for each place or
//! several that are near each other; bytes at the borders of a window are replaced by `…` and blanks, so that all offsets stay as they are.
//! What stands around a place is then read within its window, and no stretch is read that leads from one window into another, which keeps a
//! renderer from putting them together again.

use std::ops::Range;
use std::sync::Arc;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::source::{Source, Sources, Span};

/// Lines with more bytes are shown in part.
const LONGEST: usize = 200;
/// So many bytes are shown in front of a place and behind it.
const AROUND: usize = 60;
/// Of a place that is longer itself only the beginning is shown.
const LONGEST_PLACE: usize = 120;
const ELLIPSIS: &str = "…";

impl Sources {
    /// The sources as they are shown for a diagnostic with these places.
    pub fn around(&self, places: &[Span]) -> Sources {
        let mut shown = self.clone();
        for source in &mut shown.sources {
            let mut windows: Vec<Range<usize>> =
                places.iter().filter_map(|&place| window(source, place)).collect();
            if windows.is_empty() {
                continue;
            }
            windows.sort_by_key(|window| window.start);
            windows.dedup_by(|next, last| {
                let touches = next.start <= last.end;
                if touches {
                    last.end = last.end.max(next.end);
                }
                touches
            });
            let mut text = source.text.to_string();
            for window in &windows {
                let line = line_around(&text, window.start);
                if window.start > line.start {
                    cover(&mut text, window.start);
                }
                if window.end < line.end {
                    let last = floor(&text, window.end - ELLIPSIS.len());
                    cover(&mut text, last);
                }
            }
            *source = Arc::new(Source { text: text.into(), windows, ..(**source).clone() });
        }
        shown
    }

    /// What is labelled of a place: of one that is long, on a long line, the beginning.
    pub fn labelled(&self, place: Span) -> Span {
        let Some(source) = self.find(place) else { return place };
        let local = (place.start - source.start) as usize..(place.end - source.start) as usize;
        let line = line_around(&source.text, local.start);
        if line.len() <= LONGEST || local.end > line.end || local.len() <= LONGEST_PLACE {
            return place;
        }
        let end = floor(&source.text, local.start + LONGEST_PLACE);
        Span::new(place.start, source.start + end as u32)
    }
}

/// What is shown of the line of a place, if that is a long one.
fn window(source: &Source, place: Span) -> Option<Range<usize>> {
    if !source.contains(place) {
        return None;
    }
    let (start, end) = ((place.start - source.start) as usize, (place.end - source.start) as usize);
    let line = line_around(&source.text, start);
    if line.len() <= LONGEST || end > line.end {
        return None;
    }
    let from = floor(&source.text, start.saturating_sub(AROUND)).max(line.start);
    let to = floor(&source.text, (end + AROUND).min(line.end));
    Some(from..to)
}

/// The line that holds an offset, without its end.
fn line_around(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    start..end
}

/// The last boundary of a character that is not behind `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Replaces some characters by an ellipsis and blanks that take the same number of bytes.
fn cover(text: &mut String, at: usize) {
    let mut end = at + ELLIPSIS.len();
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let blanks = " ".repeat(end - at - ELLIPSIS.len());
    text.replace_range(at..end, &format!("{ELLIPSIS}{blanks}"));
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let start = self.start as usize;
        let local = span.offset().checked_sub(start).ok_or(MietteError::OutOfBounds)?;
        let end = local + span.len();
        let contents = |range: Range<usize>, line, column, lines| -> Box<dyn SpanContents<'a> + 'a> {
            let span = SourceSpan::new((range.start + start).into(), range.len());
            let data = &self.text.as_bytes()[range];
            Box::new(MietteSpanContents::new_named(self.name.clone(), data, span, line, column, lines))
        };
        let found =
            self.text.read_span(&SourceSpan::new(local.into(), span.len()), lines_before, lines_after)?;
        let all = found.span().offset()..found.span().offset() + found.span().len();
        if lines_before > 0 || lines_after > 0 {
            let (line, column) = self.line_col(self.start + local as u32);
            if let Some(window) =
                self.windows.iter().find(|window| window.start <= local && end <= window.end)
            {
                let column = column as usize - 1 - (local - window.start);
                return Ok(contents(window.clone(), line as usize - 1, column, 1));
            }
            let lines = line_around(&self.text, local).start..line_around(&self.text, end).end;
            if self.windows.iter().any(|window| lines.start < window.end && window.start < lines.end) {
                return Err(MietteError::OutOfBounds);
            }
            // Lines beside the place that are long say nothing.
            if self.text[all.clone()].lines().any(|line| line.len() > LONGEST) {
                let count = self.text[lines.clone()].lines().count();
                return Ok(contents(lines, line as usize - 1, 0, count));
            }
        }
        Ok(contents(all, found.line(), found.column(), found.line_count()))
    }
}
