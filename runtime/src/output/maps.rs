//! Maps as text and as JSON: elements merged over the CPUs, sorted, and written one after the other.

use rtscript_lang::aggregate::Aggregate;
use rtscript_lang::typed::Map;
use rtscript_lang::types::Type;

use super::aggregate::Summary;
use super::value::Values;
use super::{json, number};
use crate::session::maps::Element;

/// How much of a map is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The so many largest elements; 0 for all.
    pub top: u32,
    /// By what values are divided; not 0.
    pub div: i64,
}

impl Limits {
    pub const NONE: Limits = Limits { top: 0, div: 1 };
}

/// A map, or some of its elements, ready to be written.
pub struct Listing<'a> {
    map: &'a Map,
    values: &'a Values<'a>,
    div: i64,
    /// In their order.
    entries: Vec<Entry>,
}

struct Entry {
    key: Vec<u8>,
    value: Value,
}

enum Value {
    Summary(Aggregate, Summary),
    Bytes(Vec<u8>),
}

impl<'a> Listing<'a> {
    /// Sorts the elements: numbers by their value, histograms by their total, all else by the key; where values are
    /// equal, by the key.
    pub fn new(map: &'a Map, values: &'a Values<'a>, elements: Vec<Element>, limits: Limits) -> Listing<'a> {
        let mut sortable: Vec<(i128, Vec<u8>, Entry)> = elements
            .into_iter()
            .map(|element| {
                let mut order = Vec::new();
                if let Some(ty) = &map.key {
                    values.sort_key(ty, &element.key, &mut order);
                }
                let value = merge(&map.value, element.values, values);
                (rank(&map.value, &value, values), order, Entry { key: element.key, value })
            })
            .collect();
        sortable.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        if limits.top > 0 {
            let cut = sortable.len().saturating_sub(limits.top as usize);
            sortable.drain(..cut);
        }
        let entries = sortable.into_iter().map(|(_, _, entry)| entry).collect();
        Listing { map, values, div: limits.div, entries }
    }

    /// Appends `@name: value` or a line of `@name[key]: value` for each element. Nothing, where there are none.
    pub fn text(&self, out: &mut Vec<u8>) {
        for entry in &self.entries {
            out.push(b'@');
            out.extend_from_slice(self.map.name.as_bytes());
            if let Some(ty) = &self.map.key {
                out.push(b'[');
                self.values.key_text(ty, &entry.key, out);
                out.push(b']');
            }
            out.push(b':');
            match &entry.value {
                Value::Summary(aggregate, summary @ (Summary::Buckets(_) | Summary::Series(_))) => {
                    out.push(b'\n');
                    summary.text(aggregate, self.div, out);
                }
                value => {
                    out.push(b' ');
                    self.value_text(value, out);
                    out.push(b'\n');
                }
            }
        }
    }

    /// Appends the whole map as one line of JSON. Nothing, where there are no elements.
    pub fn json(&self, out: &mut Vec<u8>) {
        if self.entries.is_empty() {
            return;
        }
        out.extend_from_slice(match &self.map.value {
            Type::Aggregate(Aggregate::Hist { .. } | Aggregate::Lhist { .. }) => b"{\"type\": \"hist\", ",
            Type::Aggregate(Aggregate::Tseries { .. }) => b"{\"type\": \"tseries\", ",
            Type::Aggregate(Aggregate::Stats { .. } | Aggregate::Avg { .. }) => b"{\"type\": \"stats\", ",
            _ => b"{\"type\": \"map\", ",
        });
        out.extend_from_slice(b"\"data\": {");
        let start = out.len();
        out.push(b'@');
        out.extend_from_slice(self.map.name.as_bytes());
        json::quote_from(out, start);
        out.extend_from_slice(b": ");
        match (&self.map.key, &self.entries[..]) {
            (None, entries) => {
                if let Some(entry) = entries.first() {
                    self.value_json(&entry.value, out);
                }
            }
            (Some(ty), entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    out.extend_from_slice(if index > 0 { b", " } else { b"{" });
                    self.values.key_json(ty, &entry.key, out);
                    out.extend_from_slice(b": ");
                    self.value_json(&entry.value, out);
                }
                out.push(b'}');
            }
        }
        out.extend_from_slice(b"}}\n");
    }

    /// Appends the first element's value alone.
    pub fn first_text(&self, out: &mut Vec<u8>) {
        if let Some(entry) = self.entries.first() {
            self.value_text(&entry.value, out);
        }
    }

    pub fn first_json(&self, out: &mut Vec<u8>) {
        if let Some(entry) = self.entries.first() {
            self.value_json(&entry.value, out);
        }
    }

    fn value_text(&self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Summary(aggregate, summary) => {
                summary.text(aggregate, self.div, out);
            }
            Value::Bytes(bytes) => match self.divided(bytes) {
                Some(number) => number::wide(number, out),
                None => self.values.text(&self.map.value, bytes, out),
            },
        }
    }

    fn value_json(&self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Summary(aggregate, summary) => {
                summary.json(aggregate, self.div, out);
            }
            Value::Bytes(bytes) => match self.divided(bytes) {
                Some(number) => json::number(number, out),
                None => self.values.json(&self.map.value, bytes, out),
            },
        }
    }

    /// An integer, divided; `None` for values of other types.
    fn divided(&self, bytes: &[u8]) -> Option<i128> {
        match &self.map.value {
            Type::Int(_) => {
                let number = self.values.number(&self.map.value, bytes)?;
                Some(number::divided(number.value(), self.div))
            }
            _ => None,
        }
    }
}

/// What the CPUs have together. Of a plain value in a map that each CPU has for itself, integers are added up; of
/// others it is the first that is not zero.
fn merge(ty: &Type, cpus: Vec<Vec<u8>>, values: &Values<'_>) -> Value {
    if let Type::Aggregate(aggregate) = ty {
        return Value::Summary(*aggregate, Summary::of(aggregate, &cpus));
    }
    if let (Type::Int(_), true) = (ty, cpus.len() > 1) {
        let numbers = cpus.iter().filter_map(|bytes| values.number(ty, bytes));
        let total = numbers.fold(0, |total: u64, number| total.wrapping_add(number.bits));
        return Value::Bytes(total.to_ne_bytes().to_vec());
    }
    let mut cpus = cpus.into_iter();
    let first = cpus.next().unwrap_or_default();
    let is_set = |bytes: &[u8]| bytes.iter().any(|&byte| byte != 0);
    if is_set(&first) {
        return Value::Bytes(first);
    }
    Value::Bytes(cpus.find(|bytes| is_set(bytes)).unwrap_or(first))
}

fn rank(ty: &Type, value: &Value, values: &Values<'_>) -> i128 {
    match (ty, value) {
        (_, Value::Summary(_, summary)) => summary.rank(),
        (Type::Int(_), Value::Bytes(bytes)) => values.number(ty, bytes).map_or(0, |number| number.value()),
        (_, Value::Bytes(_)) => 0,
    }
}

#[cfg(test)]
#[path = "maps_tests.rs"]
mod tests;
