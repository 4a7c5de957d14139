//! Files that a script includes: C definitions and macros, and whatever else C has, which is passed over.

use crate::ast::CDef;
use crate::cdef;
use crate::conditional::{self, Headers, Macros};
use crate::error::SyntaxError;
use crate::lexer::word;
use crate::source::Source;

/// What was found in a header, and what could not be read in it.
#[derive(Debug, Default)]
pub struct Header {
    pub definitions: Vec<CDef>,
    pub errors: Vec<SyntaxError>,
}

/// Reads a header. Functions and variables in it are passed over.
pub fn parse_header(source: &Source) -> Header {
    parse_header_with(source, &mut conditional::given(), &mut ())
}

/// Reads a header in front of which `macros` are defined; afterwards they are those behind it.
pub fn parse_header_with(source: &Source, macros: &mut Macros, headers: &mut dyn Headers) -> Header {
    let mut header = Header::default();
    let Header { definitions, errors } = &mut header;
    let text = conditional::resolve(&source.text, source.start, macros, headers, errors);
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let blank = rest.len() - rest.trim_start().len();
        if blank > 0 {
            at += blank;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |length| length + 2);
        } else if rest.starts_with('#') {
            let end = at + rest.find('\n').unwrap_or(rest.len());
            let (definition, undefined) = cdef::directive(&text, at..end, source.start, errors);
            definitions.extend(definition);
            if let Some(name) = undefined {
                definitions.retain(|definition| !cdef::defines(definition, name));
            }
            at = end;
        } else if is_alone(rest) {
            at += word(rest).len();
        } else {
            let end = match word(rest) {
                "struct" | "union" | "enum" | "typedef" => {
                    cdef::declaration(&text, at, source.start, definitions, errors)
                }
                _ => cdef::skip(&text, at),
            };
            at = end.max(at + rest.chars().next().map_or(1, char::len_utf8));
        }
    }
    header
}

/// A word that is all of its line: a macro, such as headers have around their declarations, and not the start of one.
fn is_alone(rest: &str) -> bool {
    let name = word(rest);
    let line = rest.lines().next().unwrap_or("");
    let is_c = matches!(name, "struct" | "union" | "enum" | "typedef" | "static" | "extern" | "inline");
    !name.is_empty() && !is_c && line[name.len()..].trim().is_empty()
}
