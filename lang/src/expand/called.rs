//! A diagnostic about code that came from macros, with the calls that brought it there.

use std::error::Error;
use std::fmt;

use miette::{Diagnostic, LabeledSpan, Severity, SourceCode};
use rtscript_syntax::source::{Sources, Span};

/// The calls that are shown of a long chain: the innermost ones, and the one in the script itself.
const MOST_CALLS: usize = 4;

/// A diagnostic that also labels the calls of macros that led to its places, and that brings its sources along.
#[derive(Debug)]
pub struct Called<E> {
    inner: E,
    calls: Vec<Span>,
    /// As they are shown for this diagnostic.
    sources: Sources,
}

impl<E: Diagnostic> Called<E> {
    pub fn new(inner: E, sources: &Sources) -> Called<E> {
        let mut calls = Vec::new();
        let mut places = Vec::new();
        for label in inner.labels().into_iter().flatten() {
            let span = place(&label);
            places.push(sources.labelled(span));
            let mut chain: Vec<Span> = sources.calls(span).collect();
            if chain.len() > MOST_CALLS {
                chain.drain(MOST_CALLS - 1..chain.len() - 1);
            }
            for call in chain {
                if !calls.contains(&call) {
                    calls.push(call);
                }
            }
        }
        places.extend(calls.iter().map(|&call| sources.labelled(call)));
        Called { inner, calls, sources: sources.around(&places) }
    }
}

fn place(label: &LabeledSpan) -> Span {
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    Span::new(at(label.offset()), at(label.offset() + label.len()))
}

impl<E: Error> Error for Called<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.source()
    }
}

impl<E: fmt::Display> fmt::Display for Called<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<E: Diagnostic> Diagnostic for Called<E> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.inner.code()
    }

    fn severity(&self) -> Option<Severity> {
        self.inner.severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.inner.help()
    }

    fn url<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.inner.url()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.sources)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let own = self.inner.labels()?.map(|label| {
            let span = self.sources.labelled(place(&label));
            let text = label.label().map(str::to_owned);
            if label.primary() {
                LabeledSpan::new_primary_with_span(text, span)
            } else {
                LabeledSpan::new_with_span(text, span)
            }
        });
        let calls = self.calls.iter().map(|&call| {
            LabeledSpan::new_with_span(Some("in this call".to_owned()), self.sources.labelled(call))
        });
        Some(Box::new(own.chain(calls)))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        self.inner.related()
    }

    fn diagnostic_source(&self) -> Option<&dyn Diagnostic> {
        self.inner.diagnostic_source()
    }
}
