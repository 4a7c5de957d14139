//! Carrying out what events ask for, and everything else that a session prints, as text or as lines of JSON.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rtscript_codegen::object::Manifest;
use rtscript_lang::action::Action;
use rtscript_lang::aggregate::Aggregate;
use rtscript_lang::record::Record;
use rtscript_lang::syntax::source::{Sources, Span};
use rtscript_lang::typed::MapId;
use rtscript_lang::types::Type;

use super::event::Event;
use super::maps::{Limits, Listing};
use super::packets::Packets;
use super::printf::printf;
use super::value::{Values, word};
use super::writer::Writer;
use super::{json, number, time, trials};
use crate::report::{SiteWarning, say};
use crate::session::maps::{Element, Maps};
use crate::session::trials::Trial;
use crate::session::{Done, Loss, Output};
use crate::symbols::UserSymbols;

/// The script's maps, as far as actions need them.
pub trait MapStore {
    /// All elements, in no order; of a scalar map one without a key, if it was assigned.
    fn elements(&self, map: MapId) -> io::Result<Vec<Element>>;
    /// The values of one element over the CPUs.
    fn element(&self, map: MapId, key: &[u8]) -> io::Result<Option<Vec<Vec<u8>>>>;
    fn clear(&self, map: MapId) -> io::Result<()>;
    fn zero(&self, map: MapId) -> io::Result<()>;
}

impl MapStore for Maps<'_> {
    fn elements(&self, map: MapId) -> io::Result<Vec<Element>> {
        Maps::elements(self, map)
    }

    fn element(&self, map: MapId, key: &[u8]) -> io::Result<Option<Vec<Vec<u8>>>> {
        Maps::element(self, map, key)
    }

    fn clear(&self, map: MapId) -> io::Result<()> {
        Maps::clear(self, map)
    }

    fn zero(&self, map: MapId) -> io::Result<()> {
        Maps::zero(self, map)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    /// One object a line.
    Json,
}

/// Prints what a session sees.
#[derive(Debug)]
pub struct Printer<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) sources: &'a Sources,
    pub(super) values: Values<'a>,
    pub(super) format: Format,
    /// Nothing is said about what is attached.
    quiet: bool,
    /// Verdicts on tests have colours.
    color: bool,
    /// Warnings of the script are printed.
    pub(super) warnings: bool,
    pub(super) writer: Writer,
    /// Files of `skboutput`.
    pub(super) packets: Packets,
    /// Text that becomes a JSON string. Kept, so that no event allocates.
    text: Vec<u8>,
}

impl<'a> Printer<'a> {
    pub fn new(
        manifest: &'a Manifest,
        sources: &'a Sources,
        user_symbols: UserSymbols,
        writer: Writer,
        format: Format,
        quiet: bool,
    ) -> Printer<'a> {
        let values = Values::new(&manifest.structs, &manifest.probe_names, &manifest.config, user_symbols);
        Printer {
            manifest,
            sources,
            values,
            format,
            quiet,
            color: false,
            warnings: true,
            packets: Packets::default(),
            writer,
            text: Vec::new(),
        }
    }

    /// The same printer, with colours where some are meant for a terminal.
    pub fn colored(self, color: bool) -> Printer<'a> {
        Printer { color, ..self }
    }

    /// The same without the script's warnings.
    pub fn without_warnings(self) -> Printer<'a> {
        Printer { warnings: false, ..self }
    }

    /// Does what an event asks for.
    pub fn carry_out(&mut self, event: &[u8], store: &dyn MapStore) -> Done {
        let manifest = self.manifest;
        let Some((id, event)) = Event::new(event) else { return Done::Nothing };
        let Some(action) = manifest.actions.get(id) else { return Done::Nothing };
        let printed = match action {
            Action::Printf { format, args } => {
                self.text_line("printf", |values, out| printf(values, format, args, event, out))
            }
            Action::Print { value } => {
                let Some(field) = value.fields.first() else { return Done::Nothing };
                let bytes = event.field(value, 0);
                match self.format {
                    Format::Text => self.line(|values, out| values.text(&field.ty, bytes, out)),
                    Format::Json => self.record("value", |values, out| values.json(&field.ty, bytes, out)),
                }
            }
            Action::PrintKey { map, key } => {
                let key = self.key_bytes(event, key);
                let values = store.element(*map, &key);
                let element = values.map(|values| Element { key, values: values.unwrap_or_default() });
                self.element(*map, element)
            }
            Action::PrintMap { map, top, div } => {
                let elements = store.elements(*map).map(|elements| self.or_unset(*map, elements));
                self.listing(*map, elements, Limits { top: *top, div: *div })
            }
            Action::Clear { map } => self.done(*map, "cleared", store.clear(*map)),
            Action::Zero { map } => self.done(*map, "set to zero", store.zero(*map)),
            Action::Exit => return Done::Exit,
            Action::Unwatch { address } => return Done::Unwatch(word(event.field(address, 0))),
            Action::Time { format } => self.text_line("time", |_, out| {
                let (seconds, _) = time::now();
                time::strftime(format, seconds, None, out);
            }),
            Action::Message { level, format, args, span } => self.message(*level, *span, format, args, event),
            Action::Cat { format, args } => {
                let path = self.formatted(format, args, event);
                self.cat(&path)
            }
            Action::Packet { path, args } => self.packet(path, args, event),
            Action::System { format, args } => {
                let command = self.formatted(format, args, event);
                self.system(&command)
            }
            Action::Join { separator, args } => match self.format {
                Format::Text => self.line(|values, out| join(values, separator, args, event, out)),
                Format::Json => {
                    self.text_line("join", |values, out| join(values, separator, args, event, out))
                }
            },
        };
        if printed { Done::Printed } else { Done::Nothing }
    }

    /// The key as the kernel knows it. A long string is sent as a tail, and lies in keys with zeros behind it.
    fn key_bytes(&self, event: Event<'_>, record: &Record) -> Vec<u8> {
        let Some(field) = record.fields.first() else { return Vec::new() };
        let size = self.manifest.structs.layout(&field.ty).size as usize;
        let bytes = event.field(record, 0);
        let bytes = if field.tail { self.values.raw(&field.ty, bytes) } else { bytes };
        let mut key = bytes[..bytes.len().min(size)].to_vec();
        key.resize(size, 0);
        key
    }

    /// Prints elements of a map.
    fn listing(&mut self, id: MapId, elements: io::Result<Vec<Element>>, limits: Limits) -> bool {
        let Some(info) = self.manifest.maps.get(id) else { return false };
        let elements = match elements {
            Ok(elements) => elements,
            Err(error) => {
                say(format_args!("rtscript: the map @{} cannot be read: {error}", info.map.name));
                return false;
            }
        };
        let listing = Listing::new(&info.map, &self.values, elements, limits);
        match self.format {
            Format::Text => self.writer.append(|out| listing.text(out)),
            Format::Json => self.writer.append(|out| listing.json(out)),
        }
    }

    /// What is printed of a map where it is asked for: one without a key that is not set reads as zero.
    fn or_unset(&self, id: MapId, elements: Vec<Element>) -> Vec<Element> {
        let Some(info) = self.manifest.maps.get(id) else { return elements };
        if elements.is_empty() && info.map.key.is_none() && !has_lines(&info.map.value) {
            return vec![Element { key: Vec::new(), values: Vec::new() }];
        }
        elements
    }

    /// Prints one element of a map: its value alone, but with its key before a histogram or a series.
    fn element(&mut self, id: MapId, element: io::Result<Element>) -> bool {
        let Some(info) = self.manifest.maps.get(id) else { return false };
        match (element, self.format) {
            (Ok(element), Format::Text) if !has_lines(&info.map.value) => {
                let listing = Listing::new(&info.map, &self.values, vec![element], Limits::NONE);
                self.writer.append(|out| {
                    listing.first_text(out);
                    out.push(b'\n');
                })
            }
            (Ok(element), Format::Json) if !has_lines(&info.map.value) => {
                let listing = Listing::new(&info.map, &self.values, vec![element], Limits::NONE);
                self.writer.append(|out| {
                    out.extend_from_slice(b"{\"type\": \"value\", \"data\": ");
                    listing.first_json(out);
                    out.extend_from_slice(b"}\n");
                })
            }
            (element, Format::Text | Format::Json) => {
                self.listing(id, element.map(|element| vec![element]), Limits::NONE)
            }
        }
    }

    fn done(&self, map: MapId, what: &str, result: io::Result<()>) -> bool {
        if let (Err(error), Some(info)) = (result, self.manifest.maps.get(map)) {
            say(format_args!("rtscript: the map @{} cannot be {what}: {error}", info.map.name));
        }
        false
    }

    /// Text as it is; in JSON a record of this kind that holds it as a string.
    pub(super) fn text_line(&mut self, kind: &str, write: impl FnOnce(&Values<'_>, &mut Vec<u8>)) -> bool {
        match self.format {
            Format::Text => self.writer.append(|out| write(&self.values, out)),
            Format::Json => {
                self.text.clear();
                write(&self.values, &mut self.text);
                let text = std::mem::take(&mut self.text);
                let printed = self.record(kind, |_, out| json::quoted(&text, out));
                self.text = text;
                printed
            }
        }
    }

    /// A line of text.
    fn line(&mut self, write: impl FnOnce(&Values<'_>, &mut Vec<u8>)) -> bool {
        self.writer.append(|out| {
            write(&self.values, out);
            out.push(b'\n');
        })
    }

    /// A line of JSON: `{"type": kind, "data": …}`.
    fn record(&mut self, kind: &str, data: impl FnOnce(&Values<'_>, &mut Vec<u8>)) -> bool {
        self.writer.append(|out| {
            out.extend_from_slice(b"{\"type\": \"");
            out.extend_from_slice(kind.as_bytes());
            out.extend_from_slice(b"\", \"data\": ");
            data(&self.values, out);
            out.extend_from_slice(b"}\n");
        })
    }

    /// The maps, in the order of their names.
    fn print_maps(&mut self, store: &dyn MapStore) {
        let mut maps: Vec<MapId> = self.manifest.maps.keys().collect();
        maps.sort_by_key(|&id| &self.manifest.maps[id].map.name);
        for id in maps {
            self.listing(id, store.elements(id), Limits::NONE);
        }
    }

    /// Everything is over but for the maps.
    pub fn print_end(&mut self, store: &dyn MapStore) {
        match self.format {
            Format::Text => {
                self.writer.append(|out| out.extend_from_slice(b"\n\n"));
            }
            Format::Json => {}
        }
        if self.manifest.config.print_maps_on_exit {
            self.print_maps(store);
        }
    }
}

impl Output for Printer<'_> {
    fn event(&mut self, event: &[u8], maps: &Maps<'_>) -> Done {
        self.carry_out(event, maps)
    }

    fn attached(&mut self, count: usize) {
        if self.quiet {
            return;
        }
        match self.format {
            Format::Text => {
                say(format_args!("Attached {count} {}", if count == 1 { "probe" } else { "probes" }))
            }
            Format::Json => {
                self.writer.append(|out| {
                    out.extend_from_slice(b"{\"type\": \"attached_probes\", \"count\": ");
                    number::unsigned(count as u64, out);
                    out.extend_from_slice(b", \"data\": {\"probes\": ");
                    number::unsigned(count as u64, out);
                    out.extend_from_slice(b"}}\n");
                });
                self.writer.flush();
            }
        }
    }

    fn finish(&mut self, maps: &Maps<'_>) {
        self.print_end(maps);
    }

    fn lost(&mut self, loss: Loss, count: u64) {
        match (self.format, loss) {
            (Format::Text, loss) => say(format_args!("{}", lost_text(loss, count))),
            (Format::Json, loss) => {
                let cause: &[u8] = match loss {
                    Loss::RingFull => b"ring full",
                    Loss::Nested => b"nested event",
                    Loss::MapFull => b"map full",
                    Loss::MapMemory => b"no memory for a map element",
                };
                self.writer.append(|out| {
                    out.extend_from_slice(b"{\"type\": \"lost_events\", \"count\": ");
                    number::unsigned(count, out);
                    out.extend_from_slice(b", \"data\": {\"events\": ");
                    number::unsigned(count, out);
                    out.extend_from_slice(b", \"cause\": \"");
                    out.extend_from_slice(cause);
                    out.extend_from_slice(b"\"}}\n");
                });
            }
        }
    }

    /// As text it is said on standard error, by the session.
    fn warning(&mut self, warning: &SiteWarning) {
        match self.format {
            Format::Text => {}
            Format::Json => {
                self.writer.append(|out| warning_json(warning, self.sources, out));
            }
        }
    }

    fn trial(&mut self, trial: Trial<'_>) {
        let color = self.color;
        self.writer.append(|out| match self.format {
            Format::Text => trials::text(trial, color, out),
            Format::Json => trials::json(trial, out),
        });
    }

    fn flush(&mut self) {
        self.writer.flush();
    }

    fn watched(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.writer.watched()
    }

    fn close(&mut self, patience: Option<Duration>) {
        let dropped = self.writer.close(patience);
        if dropped > 0 {
            say(format_args!("rtscript: nobody reads the output: {dropped} bytes of it were dropped"));
        }
    }

    fn broken(&self) -> Option<&io::Error> {
        self.writer.broken()
    }
}

/// Where a message stands, as members of a JSON object.
pub(super) fn place_json(sources: &Sources, span: Span, out: &mut Vec<u8>) {
    if let Some(source) = sources.find(span) {
        let (line, col) = source.line_col(span.start);
        out.extend_from_slice(b", \"filename\": ");
        json::quoted(source.name.as_bytes(), out);
        out.extend_from_slice(b", \"line\": ");
        number::unsigned(u64::from(line), out);
        out.extend_from_slice(b", \"col\": ");
        number::unsigned(u64::from(col), out);
    }
}

/// Whether a value is printed on lines of its own.
fn has_lines(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Aggregate(Aggregate::Hist { .. } | Aggregate::Lhist { .. } | Aggregate::Tseries { .. })
    )
}

/// The words of a `join`. The first that was not sent ends them.
fn join(values: &Values<'_>, separator: &str, args: &Record, event: Event<'_>, out: &mut Vec<u8>) {
    for (index, field) in args.fields.iter().enumerate() {
        let word = event.field(args, index);
        if word.is_empty() {
            return;
        }
        if index > 0 {
            out.extend_from_slice(separator.as_bytes());
        }
        out.extend_from_slice(values.raw(&field.ty, word));
    }
}

/// A warning as a line of JSON: a helper of the kernel that failed, or something else.
/// What is said about what was lost.
fn lost_text(loss: Loss, count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    match loss {
        Loss::RingFull => {
            format!("Lost {count} event{plural}: the ring buffer was full (its size is perf_rb_pages)")
        }
        Loss::Nested if count == 1 => {
            "Skipped 1 event: it came while its program was running on the same CPU".to_owned()
        }
        Loss::Nested => {
            format!("Skipped {count} events: they came while their program was running on the same CPU")
        }
        Loss::MapFull if count == 1 => {
            "Dropped 1 new map element: its map was full (its size is max_map_keys)".to_owned()
        }
        Loss::MapFull => {
            format!("Dropped {count} new map elements: their map was full (its size is max_map_keys)")
        }
        Loss::MapMemory if count == 1 => {
            "Dropped 1 new map element: the kernel had no memory at hand for it".to_owned()
        }
        Loss::MapMemory => {
            format!("Dropped {count} new map elements: the kernel had no memory at hand for them")
        }
    }
}

fn warning_json(warning: &SiteWarning, sources: &Sources, out: &mut Vec<u8>) {
    let helper = warning.helper();
    let kind: &[u8] = if helper.is_some() { b"helper_error" } else { b"runtime_error" };
    out.extend_from_slice(b"{\"type\": \"");
    out.extend_from_slice(kind);
    out.extend_from_slice(b"\", \"msg\": ");
    json::quoted(warning.message().as_bytes(), out);
    if let Some(helper) = helper {
        out.extend_from_slice(b", \"helper\": ");
        json::quoted(helper.as_bytes(), out);
        out.extend_from_slice(b", \"retcode\": ");
        number::signed(i64::from(warning.error), out);
    }
    place_json(sources, warning.span, out);
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
