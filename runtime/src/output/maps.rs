//! Maps as text and as JSON: sorted, in the layouts of the language.

use rtscript_codegen::object::MapInfo;
use rtscript_lang::aggregate::Aggregate;
use rtscript_lang::record::Record;
use rtscript_lang::types::Type;
use std::cmp::Ordering;

use super::aggregate::{Merged, Number};
use super::value::{Names, number_of, until_nul};
use super::{histogram, json, number};
use crate::session::maps::Element;

/// An element that is ready to be printed.
struct Entry {
    key: Vec<u8>,
    value: Value,
}

enum Value {
    Plain(Vec<u8>),
    Merged(Merged),
}

/// What `print(@m, top, div)` asks for; a `top` of 0 prints everything.
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    pub top: u32,
    pub div: u64,
}

impl Selection {
    pub const ALL: Selection = Selection { top: 0, div: 1 };
}

/// Appends a map; nothing where it is empty.
pub fn text(
    info: &MapInfo,
    elements: Vec<Element>,
    selection: Selection,
    names: &Names<'_>,
    out: &mut Vec<u8>,
) {
    for entry in sorted(info, elements, selection, names) {
        out.push(b'@');
        out.extend_from_slice(info.map.name.as_bytes());
        match &info.map.key {
            None => {}
            Some(Type::Tuple(types)) => {
                out.push(b'[');
                names.sequence(types, &entry.key, out);
                out.push(b']');
            }
            Some(key) => {
                out.push(b'[');
                names.text(key, &entry.key, out);
                out.push(b']');
            }
        }
        match (&entry.value, &info.map.value) {
            (Value::Merged(Merged::Buckets(counts)), Type::Aggregate(aggregate)) => {
                out.extend_from_slice(b":\n");
                histogram::lines(aggregate, counts, divisor(aggregate, selection), out);
            }
            (value, ty) => {
                out.extend_from_slice(b": ");
                value_text(value, ty, selection.div, names, out);
            }
        }
        out.push(b'\n');
    }
}

/// Appends a map as one line of JSON; nothing where it is empty.
pub fn json(
    info: &MapInfo,
    elements: Vec<Element>,
    selection: Selection,
    names: &Names<'_>,
    out: &mut Vec<u8>,
) {
    let entries = sorted(info, elements, selection, names);
    if entries.is_empty() {
        return;
    }
    out.extend_from_slice(b"{\"type\": \"");
    out.extend_from_slice(match &info.map.value {
        Type::Aggregate(Aggregate::Hist { .. } | Aggregate::Lhist { .. }) => b"hist",
        Type::Aggregate(Aggregate::Stats { .. }) => b"stats",
        _ => b"map",
    });
    out.extend_from_slice(b"\", \"data\": {\"@");
    // A name is made of letters, digits and `_`.
    out.extend_from_slice(info.map.name.as_bytes());
    out.extend_from_slice(b"\": ");
    let is_keyed = info.map.key.is_some();
    if is_keyed {
        out.push(b'{');
    }
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        if let Some(key) = &info.map.key {
            let start = out.len();
            json_key(key, &entry.key, names, out);
            json::quote_from(out, start);
            out.extend_from_slice(b": ");
        }
        value_json(&entry.value, &info.map.value, selection, names, out);
    }
    if is_keyed {
        out.push(b'}');
    }
    out.extend_from_slice(b"}}\n");
}

/// Several keys are one string, with commas and no blanks between them.
fn json_key(key: &Type, bytes: &[u8], names: &Names<'_>, out: &mut Vec<u8>) {
    match key {
        Type::Tuple(types) => {
            for (index, field) in Record::of(types, &names.manifest.structs).fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json_key(&field.ty, bytes.get(field.offset as usize..).unwrap_or_default(), names, out);
            }
        }
        _ => names.text(key, bytes, out),
    }
}

fn value_text(value: &Value, ty: &Type, div: u64, names: &Names<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Plain(bytes) => match (ty, number_of(ty, bytes, names.manifest)) {
            (Type::Int(_), Some((value, int))) if div > 1 => {
                let value = if int.signed { Number::Signed(value) } else { Number::Unsigned(value as u64) };
                number_text(value.divided_by(div), out);
            }
            _ => names.text(ty, bytes, out),
        },
        Value::Merged(Merged::Number(value)) => number_text(value.divided_by(div), out),
        Value::Merged(Merged::Average { total, count }) => {
            number_text(total.divided_by(*count).divided_by(div), out);
        }
        Value::Merged(Merged::Stats { total, count }) => {
            out.extend_from_slice(b"{ .count = ");
            number::unsigned(*count, out);
            out.extend_from_slice(b", .average = ");
            number_text(total.divided_by(*count).divided_by(div), out);
            out.extend_from_slice(b", .total = ");
            number_text(total.divided_by(div), out);
            out.extend_from_slice(b" }");
        }
        // Lines of their own.
        Value::Merged(Merged::Buckets(_)) => {}
    }
}

fn value_json(value: &Value, ty: &Type, selection: Selection, names: &Names<'_>, out: &mut Vec<u8>) {
    let div = selection.div;
    match (value, ty) {
        (Value::Plain(bytes), ty) => match (ty, number_of(ty, bytes, names.manifest)) {
            (Type::Int(_), Some((value, int))) if div > 1 => {
                let value = if int.signed { Number::Signed(value) } else { Number::Unsigned(value as u64) };
                number_json(value.divided_by(div), out);
            }
            _ => names.json(ty, bytes, out),
        },
        (Value::Merged(Merged::Number(value)), _) => number_json(value.divided_by(div), out),
        (Value::Merged(Merged::Average { total, count }), _) => {
            number_json(total.divided_by(*count).divided_by(div), out);
        }
        (Value::Merged(Merged::Stats { total, count }), _) => {
            out.extend_from_slice(b"{\"count\": ");
            json::unsigned(*count, out);
            out.extend_from_slice(b", \"average\": ");
            number_json(total.divided_by(*count).divided_by(div), out);
            out.extend_from_slice(b", \"total\": ");
            number_json(total.divided_by(div), out);
            out.push(b'}');
        }
        (Value::Merged(Merged::Buckets(counts)), Type::Aggregate(aggregate)) => {
            histogram::json(aggregate, counts, divisor(aggregate, selection), out);
        }
        (Value::Merged(Merged::Buckets(_)), _) => out.extend_from_slice(b"null"),
    }
}

/// The counts of a `hist` are divided, those of an `lhist` are not.
fn divisor(aggregate: &Aggregate, selection: Selection) -> u64 {
    if matches!(aggregate, Aggregate::Lhist { .. }) { 1 } else { selection.div }
}

fn number_text(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Signed(value) => number::signed(value, out),
        Number::Unsigned(value) => number::unsigned(value, out),
    }
}

fn number_json(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Signed(value) => json::signed(value, out),
        Number::Unsigned(value) => json::unsigned(value, out),
    }
}

/// Ascending: numbers and aggregates by what they amount to, everything else by key; and equal ones by key. The last
/// `top` are kept.
fn sorted(info: &MapInfo, elements: Vec<Element>, selection: Selection, names: &Names<'_>) -> Vec<Entry> {
    let ty = &info.map.value;
    let mut entries: Vec<(Option<i128>, Entry)> = elements
        .into_iter()
        .map(|Element { key, mut values }| {
            let value = match ty {
                Type::Aggregate(aggregate) => Value::Merged(Merged::of(aggregate, &values)),
                _ => Value::Plain(if values.is_empty() { Vec::new() } else { values.swap_remove(0) }),
            };
            let weight = match &value {
                Value::Merged(merged) => Some(merged.weight()),
                Value::Plain(bytes) if matches!(ty, Type::Int(_)) => {
                    number_of(ty, bytes, names.manifest).map(|(value, int)| {
                        if int.signed { i128::from(value) } else { i128::from(value as u64) }
                    })
                }
                Value::Plain(_) => None,
            };
            (weight, Entry { key, value })
        })
        .collect();
    let by_key = |a: &Entry, b: &Entry| match &info.map.key {
        Some(key) => compare(key, &a.key, &b.key, names),
        None => Ordering::Equal,
    };
    entries.sort_by(|(x, a), (y, b)| x.cmp(y).then_with(|| by_key(a, b)));
    let first = match selection.top {
        0 => 0,
        top => entries.len().saturating_sub(top as usize),
    };
    entries.into_iter().skip(first).map(|(_, entry)| entry).collect()
}

/// The order of keys: numbers by value, text by its bytes, tuples by one element after the other.
fn compare(ty: &Type, a: &[u8], b: &[u8], names: &Names<'_>) -> Ordering {
    let fields = |types: &[Type]| {
        let record = Record::of(types, &names.manifest.structs);
        let at = |bytes: &'_ [u8], offset: u32| bytes.get(offset as usize..).unwrap_or_default().to_vec();
        record
            .fields
            .iter()
            .map(|field| compare(&field.ty, &at(a, field.offset), &at(b, field.offset), names))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    match ty {
        Type::Tuple(types) => fields(types),
        Type::Record(members) => fields(&members.iter().map(|(_, ty)| ty.clone()).collect::<Vec<_>>()),
        Type::String(capacity) => until_nul(*capacity, a).cmp(until_nul(*capacity, b)),
        _ => match (number_of(ty, a, names.manifest), number_of(ty, b, names.manifest)) {
            (Some((x, int)), Some((y, _))) if int.signed => x.cmp(&y),
            (Some((x, _)), Some((y, _))) => (x as u64).cmp(&(y as u64)),
            _ => a.cmp(b),
        },
    }
}
