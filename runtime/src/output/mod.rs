//! From bytes to text: events, values and maps as people and programs read them.
//!
//! What arrives here was written by a program in the kernel, but it is treated as untrusted: whatever the bytes
//! are, nothing panics, and bytes that are missing read as zero. Text is bytes: a process may have any name, and
//! it is printed as it is. Only JSON has to be UTF-8; there, bytes that are not become U+FFFD.
//!
//! A [`Printer`] carries out events and prints maps. It finds an event's fields (`event.rs`), writes them by a format
//! (`printf.rs`) or by their type (`value.rs`), or reads maps and writes those (`maps.rs`, `aggregate.rs`,
//! `histogram.rs`). `writer.rs` alone knows files, pipes and buffering.

mod aggregate;
mod event;
mod histogram;
mod json;
mod maps;
mod number;
mod printf;
mod symbols;
mod time;
mod users;
mod value;
mod writer;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rtscript_codegen::object::Manifest;
use rtscript_lang::action::Action;
use rtscript_lang::record::Record;
use rtscript_lang::syntax::source::Sources;
use rtscript_lang::typed::MapId;

use crate::report::{SiteWarning, say};
use crate::session::maps::{Element, Maps};
use crate::session::{Loss, Output};
use event::Event;
use maps::Selection;
use value::Names;

pub use writer::{Buffering, Writer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    /// One object a line.
    Json,
}

/// Prints what a script sends.
#[derive(Debug)]
pub struct Printer<'a> {
    manifest: &'a Manifest,
    sources: &'a Sources,
    names: Names<'a>,
    writer: Writer,
    format: Format,
    quiet: bool,
}

impl<'a> Printer<'a> {
    pub fn new(
        manifest: &'a Manifest,
        sources: &'a Sources,
        writer: Writer,
        format: Format,
        quiet: bool,
    ) -> Printer<'a> {
        Printer { manifest, sources, names: Names::new(manifest), writer, format, quiet }
    }

    /// Appends what `write` does: as it is, or as the text of a JSON record of this type.
    fn print(&mut self, kind: &str, write: impl FnOnce(&Names<'_>, &mut Vec<u8>)) {
        let out = &mut self.writer.buffer;
        match self.format {
            Format::Text => write(&self.names, out),
            Format::Json => {
                record(kind, out);
                let start = out.len();
                write(&self.names, out);
                json::quote_from(out, start);
                out.extend_from_slice(b"}\n");
            }
        }
    }

    fn print_value(&mut self, value: &Record, event: &Event<'_>) {
        let Some(field) = value.fields.first() else { return };
        let bytes = event.field(value, 0);
        let out = &mut self.writer.buffer;
        match self.format {
            Format::Text => {
                self.names.text(&field.ty, bytes, out);
                out.push(b'\n');
            }
            Format::Json => {
                record("value", out);
                self.names.json(&field.ty, bytes, out);
                out.extend_from_slice(b"}\n");
            }
        }
    }

    fn print_elements(&mut self, id: MapId, elements: io::Result<Vec<Element>>, selection: Selection) {
        let Some(info) = self.manifest.maps.get(id) else { return };
        match elements {
            Ok(elements) => {
                let write = match self.format {
                    Format::Text => maps::text,
                    Format::Json => maps::json,
                };
                write(info, elements, selection, &self.names, &mut self.writer.buffer);
            }
            Err(error) => say(format_args!("rtscript: cannot read the map @{}: {error}", info.map.name)),
        }
    }

    fn changed(&self, id: MapId, result: io::Result<()>) {
        if let (Err(error), Some(info)) = (result, self.manifest.maps.get(id)) {
            say(format_args!("rtscript: cannot change the map @{}: {error}", info.map.name));
        }
    }
}

impl Output for Printer<'_> {
    fn event(&mut self, event: &[u8], maps: &Maps<'_>) -> bool {
        let manifest = self.manifest;
        let Some(event) = Event::new(event) else { return false };
        let Some(action) = manifest.actions.get(event.action) else { return false };
        match action {
            Action::Printf { format, args } => {
                self.print("printf", |names, out| printf::printf(format, args, &event, names, out));
            }
            Action::Print { value } => self.print_value(value, &event),
            Action::PrintElement { map, element } => {
                let size = self.manifest.structs.layout(&element.fields[0].ty).size as usize;
                let key = event.field(element, 0);
                let element = Element {
                    key: key[..key.len().min(size)].to_vec(),
                    values: vec![event.field(element, 1).to_vec()],
                };
                self.print_elements(*map, Ok(vec![element]), Selection::ALL);
            }
            Action::PrintKey { map, key } => {
                let key = event.field(key, 0);
                let element = maps.element(*map, key).map(|values| {
                    values.map(|values| Element { key: key.to_vec(), values }).into_iter().collect()
                });
                self.print_elements(*map, element, Selection::ALL);
            }
            Action::PrintMap { map, top, div } => {
                self.print_elements(*map, maps.elements(*map), Selection { top: *top, div: *div });
            }
            Action::Clear { map } => {
                self.changed(*map, maps.clear(*map));
                return false;
            }
            Action::Zero { map } => {
                self.changed(*map, maps.zero(*map));
                return false;
            }
            Action::Exit => return false,
            Action::Time { format } => {
                let (seconds, _) = time::now();
                self.print("time", |_, out| time::strftime(format, seconds, None, out));
            }
            Action::Join { separator, args } => {
                let is_json = self.format == Format::Json;
                self.print("join", |_, out| {
                    let words = (0..args.fields.len())
                        .take_while(|index| event.packed_length(args, *index) != Some(0))
                        .map(|index| value::until_nul(u32::MAX, event.field(args, index)));
                    for (index, word) in words.enumerate() {
                        if index > 0 {
                            out.extend_from_slice(separator.as_bytes());
                        }
                        out.extend_from_slice(word);
                    }
                    if !is_json {
                        out.push(b'\n');
                    }
                });
            }
        }
        self.writer.printed();
        true
    }

    fn attached(&mut self, count: usize) {
        match self.format {
            Format::Text if self.quiet => {}
            Format::Text => {
                let s = if count == 1 { "" } else { "s" };
                say(format_args!("Attached {count} probe{s}"));
            }
            Format::Json => {
                let line = format!(
                    "{{\"type\": \"attached_probes\", \"count\": {count}, \"data\": {{\"probes\": {count}}}}}\n"
                );
                self.writer.buffer.extend_from_slice(line.as_bytes());
                self.writer.flush();
            }
        }
    }

    fn finish(&mut self, maps: &Maps<'_>) {
        if self.format == Format::Text {
            self.writer.buffer.extend_from_slice(b"\n\n");
        }
        if !self.manifest.config.print_maps_on_exit {
            return;
        }
        let mut ids: Vec<MapId> = self.manifest.maps.keys().collect();
        ids.sort_by_key(|id| &self.manifest.maps[*id].map.name);
        for id in ids {
            self.print_elements(id, maps.elements(id), Selection::ALL);
        }
    }

    fn lost(&mut self, loss: Loss, count: u64) {
        match self.format {
            Format::Text => match loss {
                Loss::RingFull => {
                    say(format_args!(
                        "Lost {count} events: the ring buffer was full (its size is perf_rb_pages)"
                    ));
                }
                Loss::Nested => say(format_args!(
                    "Skipped {count} events: they came while their program was running on the same CPU"
                )),
                Loss::MapFull => say(format_args!(
                    "Dropped {count} new map elements: their map was full (its size is max_map_keys)"
                )),
            },
            Format::Json => {
                let cause = match loss {
                    Loss::RingFull => "ring full",
                    Loss::Nested => "nested event",
                    Loss::MapFull => "map full",
                };
                let line = format!(
                    "{{\"type\": \"lost_events\", \"count\": {count}, \
                     \"data\": {{\"events\": {count}, \"cause\": \"{cause}\"}}}}\n"
                );
                self.writer.buffer.extend_from_slice(line.as_bytes());
            }
        }
    }

    fn warning(&mut self, warning: &SiteWarning) {
        if self.format == Format::Text {
            return;
        }
        let out = &mut self.writer.buffer;
        let kind = if warning.helper().is_some() { "helper_error" } else { "runtime_error" };
        out.extend_from_slice(format!("{{\"type\": \"{kind}\", \"msg\": ").as_bytes());
        json::quoted(warning.message().as_bytes(), out);
        if let Some(helper) = warning.helper() {
            out.extend_from_slice(
                format!(", \"helper\": \"{helper}\", \"retcode\": {}", warning.error).as_bytes(),
            );
        }
        if let Some(source) = self.sources.find(warning.span) {
            let (line, col) = source.line_col(warning.span.start);
            out.extend_from_slice(b", \"filename\": ");
            json::quoted(source.name.as_bytes(), out);
            out.extend_from_slice(format!(", \"line\": {line}, \"col\": {col}").as_bytes());
        }
        out.extend_from_slice(b"}\n");
    }

    fn flush(&mut self) {
        self.writer.flush();
    }

    fn close(&mut self, patience: Option<Duration>) {
        let dropped = self.writer.close(patience);
        if dropped > 0 {
            say(format_args!("rtscript: nobody reads the output: {dropped} bytes of it were dropped"));
        }
    }

    fn watched(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.writer.watched()
    }

    fn broken(&self) -> Option<&io::Error> {
        self.writer.broken()
    }
}

/// The start of a JSON record, up to its data.
fn record(kind: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\": \"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\", \"data\": ");
}
