//! Values of any type as text and as JSON, from the bytes that programs keep and send.
//!
//! The bytes may be fewer than the type has: what is missing reads as zero, and elements of an array that begin
//! behind the last byte are left out.

use rtscript_lang::config::Config;
use rtscript_lang::names;
use rtscript_lang::record::Record;
use rtscript_lang::types::{Clock, EnumId, Int, StackMode, StructId, Structs, Type};

use super::cgroups::Cgroups;
use super::symbols::KernelSymbols;
use super::time::{self, Clocks};
use super::users::Users;
use super::{json, number};
use crate::symbols::UserSymbols;

mod bytes;
mod stack;

use bytes::{bit_field, buffer, extended, first, from, integer, is_true, padded, until_nul};
pub use bytes::{escaped, word};
use stack::{Frame, frames};

const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
/// Anonymous structures lie no deeper in one another than this.
const MAX_NESTING: u32 = 32;

/// What it takes to print values, apart from their bytes. Names of symbols and users, and the offsets of clocks,
/// are looked up when the first value asks for them.
#[derive(Debug)]
pub struct Values<'a> {
    structs: &'a Structs,
    probe_names: &'a [String],
    config: &'a Config,
    symbols: KernelSymbols,
    user_symbols: UserSymbols,
    users: Users,
    cgroups: Cgroups,
    clocks: Clocks,
}

/// A number with the width and the sign of its type. The bits are extended to 64 by that sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub bits: u64,
    /// In bytes.
    pub size: u8,
    pub signed: bool,
}

impl Number {
    /// The value itself.
    pub fn value(self) -> i128 {
        if self.signed { i128::from(self.bits as i64) } else { i128::from(self.bits) }
    }
}

impl<'a> Values<'a> {
    pub fn new(
        structs: &'a Structs,
        probe_names: &'a [String],
        config: &'a Config,
        user_symbols: UserSymbols,
    ) -> Values<'a> {
        Values {
            user_symbols,
            structs,
            probe_names,
            config,
            symbols: KernelSymbols::default(),
            users: Users::default(),
            cgroups: Cgroups::default(),
            clocks: Clocks::default(),
        }
    }

    /// The time of day of a stamp in nanoseconds since boot: seconds since 1970, and nanoseconds.
    pub fn time_of_day(&self, stamp: u64) -> (i64, u32) {
        self.clocks.time_of_day(stamp, Clock::Boot)
    }

    /// Appends a value as `print` writes it.
    pub fn text(&self, ty: &Type, bytes: &[u8], out: &mut Vec<u8>) {
        match ty {
            Type::Void => out.extend_from_slice(b"null"),
            Type::Bool => out.extend_from_slice(if is_true(bytes) { b"true" } else { b"false" }),
            Type::Int(int) => integer(*int, bytes, out),
            Type::Enum(id) => self.enumerator(*id, bytes, out),
            Type::String(capacity) => self.string(*capacity, bytes, out),
            Type::Buffer(capacity) => escaped(buffer(*capacity, bytes), false, out),
            Type::Pointer(..) => number::address(word(bytes), out),
            Type::Struct(id) => {
                let mut separator: &[u8] = b"{ .";
                self.each_member(*id, bytes, 0, &mut |name, ty, bytes| {
                    out.extend_from_slice(std::mem::replace(&mut separator, b", ."));
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b" = ");
                    self.text(ty, bytes, out);
                });
                out.extend_from_slice(if separator == b"{ ." { b"{}" } else { b" }" });
            }
            Type::Array(element, count) => {
                out.push(b'[');
                for (index, bytes) in self.elements(element, *count, bytes).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.text(element, bytes, out);
                }
                out.push(b']');
            }
            Type::Tuple(types) => {
                out.push(b'(');
                self.items(types, bytes, b", ", Self::text, out);
                out.push(b')');
            }
            Type::Record(fields) => {
                let types: Vec<Type> = fields.iter().map(|(_, ty)| ty.clone()).collect();
                let record = Record::of(&types, self.structs);
                for (index, ((name, ty), field)) in fields.iter().zip(&record.fields).enumerate() {
                    out.extend_from_slice(if index > 0 { b", ." } else { b"{ ." });
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b" = ");
                    self.text(ty, from(bytes, field.offset), out);
                }
                out.extend_from_slice(if fields.is_empty() { b"{}" } else { b" }" });
            }
            Type::Stack(stack) => self.stack(*stack, bytes, out),
            Type::KernelSymbol => self.symbols.name(word(bytes), out),
            Type::UserSymbol => {
                let (address, pid) = (word(bytes), word(from(bytes, 8)) as u32);
                match self.user_symbols.find(pid, address, false).calls.last() {
                    Some(call) => out.extend_from_slice(call.name.as_bytes()),
                    None => number::unnamed(address, out),
                }
            }
            Type::Inet => inet(bytes, out),
            Type::Mac => {
                for index in 0..6 {
                    if index > 0 {
                        out.push(b':');
                    }
                    number::hex_byte(bytes.get(index).copied().unwrap_or(0), true, out);
                }
            }
            Type::Timestamp(format, clock) => {
                let (seconds, nanos) = self.clocks.time_of_day(word(bytes), *clock);
                time::strftime(format, seconds, Some(nanos), out);
            }
            Type::Username => {
                let uid = word(first(bytes, 4)) as u32;
                match self.users.name(uid) {
                    Some(name) => out.extend_from_slice(name),
                    None => number::unsigned(u64::from(uid), out),
                }
            }
            Type::Label(label) => match names::text_of(label, word(bytes) as i64) {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => self.cgroups.path(word(bytes), label, out),
            },
            Type::Probe => {
                if let Some(name) = self.probe_name(bytes) {
                    out.extend_from_slice(name.as_bytes());
                }
            }
            // A program has no aggregates but in maps, and those are printed by `aggregate`.
            Type::Aggregate(_) => number::unsigned(word(bytes), out),
        }
    }

    /// Appends a value as JSON: numbers, enumerations and pointers as numbers, tuples and arrays as arrays,
    /// structures and records as objects, buffers as arrays of signed bytes, all else as strings of its text.
    pub fn json(&self, ty: &Type, bytes: &[u8], out: &mut Vec<u8>) {
        match ty {
            Type::Void | Type::Bool => self.text(ty, bytes, out),
            Type::Int(_) | Type::Enum(_) | Type::Pointer(..) => {
                if let Some(number) = self.number(ty, bytes) {
                    json::number(number.value(), out);
                }
            }
            Type::Struct(id) => {
                let mut separator: &[u8] = b"{";
                self.each_member(*id, bytes, 0, &mut |name, ty, bytes| {
                    out.extend_from_slice(std::mem::replace(&mut separator, b", "));
                    json::quoted(name.as_bytes(), out);
                    out.extend_from_slice(b": ");
                    self.json(ty, bytes, out);
                });
                out.extend_from_slice(if separator == b"{" { b"{}" } else { b"}" });
            }
            Type::Array(element, count) => {
                out.push(b'[');
                for (index, bytes) in self.elements(element, *count, bytes).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.json(element, bytes, out);
                }
                out.push(b']');
            }
            Type::Tuple(types) => {
                out.push(b'[');
                let record = Record::of(types, self.structs);
                for (index, field) in record.fields.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.json(&field.ty, from(bytes, field.offset), out);
                }
                out.push(b']');
            }
            Type::Record(fields) => {
                out.push(b'{');
                let types: Vec<Type> = fields.iter().map(|(_, ty)| ty.clone()).collect();
                let record = Record::of(&types, self.structs);
                for (index, ((name, ty), field)) in fields.iter().zip(&record.fields).enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    json::quoted(name.as_bytes(), out);
                    out.extend_from_slice(b": ");
                    self.json(ty, from(bytes, field.offset), out);
                }
                out.push(b'}');
            }
            Type::Buffer(capacity) => {
                out.push(b'[');
                for (index, &byte) in buffer(*capacity, bytes).iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    number::signed(i64::from(byte as i8), out);
                }
                out.push(b']');
            }
            Type::String(_)
            | Type::Stack(_)
            | Type::KernelSymbol
            | Type::UserSymbol
            | Type::Inet
            | Type::Mac
            | Type::Timestamp(..)
            | Type::Username
            | Type::Label(_)
            | Type::Probe => {
                let start = out.len();
                self.text(ty, bytes, out);
                json::quote_from(out, start);
            }
            Type::Aggregate(_) => json::number(i128::from(word(bytes)), out),
        }
    }

    /// Appends the key of a map: several keys stand behind one another, without the tuple's parentheses.
    pub fn key_text(&self, ty: &Type, bytes: &[u8], out: &mut Vec<u8>) {
        match ty {
            Type::Tuple(types) => self.items(types, bytes, b", ", Self::text, out),
            _ => self.text(ty, bytes, out),
        }
    }

    /// Appends the key of a map as one JSON string: what `print` writes, with no blanks but those of strings and stacks.
    pub fn key_json(&self, ty: &Type, bytes: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        match ty {
            Type::Tuple(types) => self.items(types, bytes, b",", Self::part_of_key, out),
            _ => self.part_of_key(ty, bytes, out),
        }
        json::quote_from(out, start);
    }

    fn part_of_key(&self, ty: &Type, bytes: &[u8], out: &mut Vec<u8>) {
        let mut separator: &[u8] = b"{.";
        let mut member = |name: &str, ty: &Type, bytes: &[u8]| {
            out.extend_from_slice(std::mem::replace(&mut separator, b",."));
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            self.part_of_key(ty, bytes, out);
        };
        if let Type::Struct(id) = ty {
            self.each_member(*id, bytes, 0, &mut member);
        } else if let Type::Record(fields) = ty {
            let types: Vec<Type> = fields.iter().map(|(_, ty)| ty.clone()).collect();
            for ((name, ty), field) in fields.iter().zip(&Record::of(&types, self.structs).fields) {
                member(name, ty, from(bytes, field.offset));
            }
        } else if let Type::Tuple(types) = ty {
            out.push(b'(');
            self.items(types, bytes, b",", Self::part_of_key, out);
            out.push(b')');
            return;
        } else {
            return self.text(ty, bytes, out);
        }
        out.extend_from_slice(if separator == b"{." { b"{}" } else { b"}" });
    }

    /// Appends bytes whose order, byte by byte, is that of the values: numbers by their size, text by its bytes,
    /// tuples field by field.
    pub fn sort_key(&self, ty: &Type, bytes: &[u8], out: &mut Vec<u8>) {
        match ty {
            Type::Void => {}
            Type::Bool
            | Type::Int(_)
            | Type::Enum(_)
            | Type::Pointer(..)
            | Type::KernelSymbol
            | Type::Timestamp(..)
            | Type::Username => {
                if let Some(number) = self.number(ty, bytes) {
                    let sign = if number.signed { 1 << 63 } else { 0 };
                    out.extend_from_slice(&(number.bits ^ sign).to_be_bytes());
                }
            }
            // By name, as they are printed.
            Type::Label(_) | Type::Probe => {
                self.text(ty, bytes, out);
                out.push(0);
            }
            Type::String(capacity) => {
                out.extend_from_slice(until_nul(first(bytes, *capacity)));
                out.push(0);
            }
            Type::Buffer(capacity) => {
                let content = buffer(*capacity, bytes);
                // All keys of a map have as many bytes as this one.
                padded(content, (*capacity).min(bytes.len() as u32), out);
                out.extend_from_slice(&(content.len() as u32).to_be_bytes());
            }
            Type::Array(element, count) => {
                for bytes in self.elements(element, *count, bytes) {
                    self.sort_key(element, bytes, out);
                }
            }
            Type::Tuple(types) => {
                for field in Record::of(types, self.structs).fields {
                    self.sort_key(&field.ty, from(bytes, field.offset), out);
                }
            }
            Type::Record(fields) => {
                let types: Vec<Type> = fields.iter().map(|(_, ty)| ty.clone()).collect();
                for field in Record::of(&types, self.structs).fields {
                    self.sort_key(&field.ty, from(bytes, field.offset), out);
                }
            }
            Type::Stack(stack) => {
                for frame in frames(*stack, bytes) {
                    let (build_id, address) = match frame {
                        Frame::Address(address) => ([0; 20], address),
                        Frame::InFile { build_id, offset } => (build_id, offset),
                    };
                    if stack.mode == StackMode::BuildId {
                        out.extend_from_slice(&build_id);
                    }
                    out.extend_from_slice(&address.to_be_bytes());
                }
                out.extend_from_slice(&[0; 8]);
                out.extend_from_slice(first(bytes, stack.header()));
            }
            Type::UserSymbol => {
                for index in 0..2 {
                    out.extend_from_slice(&word(from(bytes, index * 8)).to_be_bytes());
                }
            }
            Type::Inet => {
                out.extend_from_slice(&word(bytes).to_be_bytes());
                padded(first(from(bytes, 8), 16), 16, out);
            }
            Type::Struct(_) | Type::Mac => {
                let size = self.structs.size_in_memory(ty);
                out.extend_from_slice(first(bytes, size));
            }
            Type::Aggregate(_) => out.extend_from_slice(&word(bytes).to_be_bytes()),
        }
    }

    /// The value as a number; `None` where it lies in memory and is more than a number.
    pub fn number(&self, ty: &Type, bytes: &[u8]) -> Option<Number> {
        let int = match ty {
            Type::Bool => return Some(Number { bits: is_true(bytes).into(), size: 1, signed: false }),
            Type::Int(int) => *int,
            Type::Enum(id) => self.structs.enums.get(*id).map_or(Int::I32, |of| of.int),
            Type::Username => Int::U32,
            Type::Pointer(..) | Type::KernelSymbol | Type::Timestamp(..) | Type::Label(_) | Type::Probe => {
                Int::U64
            }
            Type::Void
            | Type::String(_)
            | Type::Buffer(_)
            | Type::Struct(_)
            | Type::Array(..)
            | Type::Tuple(_)
            | Type::Record(_)
            | Type::Stack(_)
            | Type::UserSymbol
            | Type::Inet
            | Type::Mac
            | Type::Aggregate(_) => return None,
        };
        Some(Number { bits: extended(int, bytes), size: int.size, signed: int.signed })
    }

    /// The bytes that `%r` and its kin print.
    pub fn raw<'b>(&self, ty: &Type, bytes: &'b [u8]) -> &'b [u8] {
        match ty {
            Type::Buffer(capacity) => buffer(*capacity, bytes),
            Type::String(capacity) => until_nul(first(bytes, *capacity)),
            Type::Void
            | Type::Bool
            | Type::Int(_)
            | Type::Enum(_)
            | Type::Pointer(..)
            | Type::Struct(_)
            | Type::Array(..)
            | Type::Tuple(_)
            | Type::Record(_)
            | Type::Stack(_)
            | Type::KernelSymbol
            | Type::UserSymbol
            | Type::Inet
            | Type::Mac
            | Type::Timestamp(..)
            | Type::Username
            | Type::Label(_)
            | Type::Probe
            | Type::Aggregate(_) => first(bytes, self.structs.size_in_memory(ty)),
        }
    }

    fn string(&self, capacity: u32, bytes: &[u8], out: &mut Vec<u8>) {
        let text = until_nul(first(bytes, capacity));
        out.extend_from_slice(text);
        // Only a string of unknown length has this capacity: one that fills it was cut, all others end where they
        // end. (One that is exactly as long as `max_strlen` cannot be told from one that was cut.)
        if capacity == self.config.text_capacity() && text.len() + 1 >= capacity as usize {
            out.extend_from_slice(self.config.str_trunc_trailer.as_bytes());
        }
    }

    fn enumerator(&self, id: EnumId, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(of) = self.structs.enums.get(id) else { return number::unsigned(word(bytes), out) };
        let value = extended(of.int, bytes);
        match of.variants.iter().find(|(_, variant)| *variant as u64 == value) {
            Some((name, _)) => out.extend_from_slice(name.as_bytes()),
            None => integer(of.int, bytes, out),
        }
    }

    fn probe_name(&self, bytes: &[u8]) -> Option<&str> {
        let index = usize::try_from(word(bytes)).ok()?;
        self.probe_names.get(index).map(String::as_str)
    }

    /// Appends the parts of a tuple, each as `text` writes it.
    fn items(
        &self,
        types: &[Type],
        bytes: &[u8],
        separator: &[u8],
        text: fn(&Self, &Type, &[u8], &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) {
        for (index, field) in Record::of(types, self.structs).fields.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(separator);
            }
            let bytes = from(bytes, field.offset);
            match &field.ty {
                Type::Tuple(types) => {
                    out.push(b'(');
                    self.items(types, bytes, separator, text, out);
                    out.push(b')');
                }
                ty => text(self, ty, bytes, out),
            }
        }
    }

    /// The elements of an array, as far as there are bytes.
    fn elements<'b>(
        &self,
        element: &Type,
        count: u32,
        bytes: &'b [u8],
    ) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let stride = self.structs.size_in_memory(element).max(1) as usize;
        bytes.chunks(stride).take(count as usize)
    }

    /// Calls `member` for each member of a structure with its bytes. Members of anonymous ones count as its own.
    fn each_member(
        &self,
        id: StructId,
        bytes: &[u8],
        depth: u32,
        member: &mut dyn FnMut(&str, &Type, &[u8]),
    ) {
        let Some(fields) = self.structs.structs.get(id).and_then(|of| of.fields.as_ref()) else { return };
        for field in fields {
            let inner = from(bytes, field.offset_bits / 8);
            match (&field.ty, field.bits) {
                (Type::Struct(id), _) if field.name.is_empty() => {
                    if depth < MAX_NESTING {
                        self.each_member(*id, inner, depth + 1, member);
                    }
                }
                (_, _) if field.name.is_empty() => {}
                (ty, None) => member(&field.name, ty, inner),
                (ty, Some(width)) => {
                    let signed = self.number(ty, &[]).is_some_and(|number| number.signed);
                    let value = bit_field(inner, field.offset_bits % 8, width, signed);
                    member(&field.name, ty, &value.to_ne_bytes());
                }
            }
        }
    }
}

fn inet(bytes: &[u8], out: &mut Vec<u8>) {
    let mut address = [0; 16];
    let given = first(from(bytes, 8), 16);
    address[..given.len()].copy_from_slice(given);
    match word(bytes) {
        AF_INET => {
            for (index, byte) in address[..4].iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                number::unsigned(u64::from(*byte), out);
            }
        }
        AF_INET6 => out.extend_from_slice(std::net::Ipv6Addr::from(address).to_string().as_bytes()),
        // No other family has addresses that are known here.
        _ => {}
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
