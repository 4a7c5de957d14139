//! Values of any type, as `print` and `%s` write them, and as JSON.
//!
//! A value is its bytes, laid out as `Structs::layout` and `Record` say; what is missing of them reads as zero.

use std::net::{Ipv4Addr, Ipv6Addr};

use rtscript_codegen::object::Manifest;
use rtscript_lang::record::Record;
use rtscript_lang::types::{Int, Space, Stack, StackMode, StructId, Type};

use super::symbols::KernelSymbols;
use super::time::{Clocks, strftime};
use super::users::Users;
use super::{json, number};

const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;

/// All that values refer to by number.
#[derive(Debug)]
pub struct Names<'a> {
    pub manifest: &'a Manifest,
    symbols: KernelSymbols,
    clocks: Clocks,
    users: Users,
}

impl<'a> Names<'a> {
    pub fn new(manifest: &'a Manifest) -> Names<'a> {
        Names {
            manifest,
            symbols: KernelSymbols::default(),
            clocks: Clocks::default(),
            users: Users::default(),
        }
    }

    /// Appends a value as `print` writes it.
    pub fn text(&self, ty: &Type, bytes: &[u8], out: &mut Vec<u8>) {
        match ty {
            Type::Void | Type::Aggregate(_) => {}
            Type::Bool => out.extend_from_slice(if byte(bytes) != 0 { b"true" } else { b"false" }),
            Type::Int(int) => self.integer(*int, bytes, out),
            Type::Enum(id) => {
                let info = &self.manifest.structs.enums[*id];
                let value = scalar(info.int, bytes);
                match info.variants.iter().find(|(_, variant)| *variant == value) {
                    Some((name, _)) => out.extend_from_slice(name.as_bytes()),
                    None => self.integer(info.int, bytes, out),
                }
            }
            Type::String(capacity) => self.string(*capacity, bytes, out),
            Type::Buffer(capacity) => escaped(buffer(*capacity, bytes), out),
            Type::Pointer(..) => number::address(unsigned(bytes, 8), out),
            Type::Struct(id) => {
                let mut first = true;
                out.push(b'{');
                self.fields(*id, bytes, &mut |name, ty, bytes| {
                    out.extend_from_slice(if first { b" ." } else { b", ." });
                    first = false;
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b" = ");
                    self.text(ty, bytes, out);
                });
                out.extend_from_slice(if first { b"}" } else { b" }" });
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
                self.sequence(types, bytes, out);
                out.push(b')');
            }
            Type::Record(members) => {
                out.push(b'{');
                for (index, ((name, ty), bytes)) in
                    members.iter().zip(self.members(members, bytes)).enumerate()
                {
                    out.extend_from_slice(if index == 0 { b" ." } else { b", ." });
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b" = ");
                    self.text(ty, bytes, out);
                }
                out.extend_from_slice(if members.is_empty() { b"}" } else { b" }" });
            }
            Type::Stack(stack) => self.stack(stack, bytes, out),
            Type::KernelSymbol => self.symbols.name(unsigned(bytes, 8), out),
            // The names of user programs' symbols are not looked up.
            Type::UserSymbol => number::address(unsigned(bytes, 8), out),
            Type::Inet => inet(bytes, out),
            Type::Mac => {
                for index in 0..6 {
                    if index > 0 {
                        out.push(b':');
                    }
                    number::hex_byte(byte(bytes.get(index..).unwrap_or_default()), true, out);
                }
            }
            Type::Timestamp(format, clock) => {
                let (seconds, nanos) = self.clocks.time_of_day(unsigned(bytes, 8), *clock);
                strftime(format, seconds, Some(nanos), out);
            }
            Type::Username => {
                let uid = unsigned(bytes, 4);
                match u32::try_from(uid).ok().and_then(|uid| self.users.name(uid)) {
                    Some(name) => out.extend_from_slice(name),
                    None => number::unsigned(uid, out),
                }
            }
            Type::Probe => {
                let index = usize::try_from(unsigned(bytes, 8)).unwrap_or(usize::MAX);
                let name = self.manifest.probe_names.get(index).map_or("", String::as_str);
                out.extend_from_slice(name.as_bytes());
            }
        }
    }

    /// Appends a value as JSON.
    pub fn json(&self, ty: &Type, bytes: &[u8], out: &mut Vec<u8>) {
        match ty {
            Type::Void | Type::Aggregate(_) => out.extend_from_slice(b"null"),
            Type::Bool => self.text(ty, bytes, out),
            Type::Int(int) => json_integer(*int, bytes, out),
            Type::Enum(id) => json_integer(self.manifest.structs.enums[*id].int, bytes, out),
            Type::Pointer(..) => json::unsigned(unsigned(bytes, 8), out),
            Type::Struct(id) => {
                let mut first = true;
                out.push(b'{');
                self.fields(*id, bytes, &mut |name, ty, bytes| {
                    if !std::mem::replace(&mut first, false) {
                        out.extend_from_slice(b", ");
                    }
                    json::quoted(name.as_bytes(), out);
                    out.extend_from_slice(b": ");
                    self.json(ty, bytes, out);
                });
                out.push(b'}');
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
                let record = Record::of(types, &self.manifest.structs);
                for (index, field) in record.fields.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.json(&field.ty, bytes.get(field.offset as usize..).unwrap_or_default(), out);
                }
                out.push(b']');
            }
            Type::Record(members) => {
                out.push(b'{');
                for (index, ((name, ty), bytes)) in
                    members.iter().zip(self.members(members, bytes)).enumerate()
                {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    json::quoted(name.as_bytes(), out);
                    out.extend_from_slice(b": ");
                    self.json(ty, bytes, out);
                }
                out.push(b'}');
            }
            Type::String(_)
            | Type::Buffer(_)
            | Type::Stack(_)
            | Type::KernelSymbol
            | Type::UserSymbol
            | Type::Inet
            | Type::Mac
            | Type::Timestamp(..)
            | Type::Username
            | Type::Probe => {
                let start = out.len();
                self.text(ty, bytes, out);
                json::quote_from(out, start);
            }
        }
    }

    /// Appends the elements of a tuple without its parentheses: several keys of a map.
    pub fn sequence(&self, types: &[Type], bytes: &[u8], out: &mut Vec<u8>) {
        let record = Record::of(types, &self.manifest.structs);
        for (index, field) in record.fields.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            self.text(&field.ty, bytes.get(field.offset as usize..).unwrap_or_default(), out);
        }
    }

    /// Appends the text that `bytes` begin with; what stands for the rest of one that was cut follows.
    fn string(&self, capacity: u32, bytes: &[u8], out: &mut Vec<u8>) {
        let text = until_nul(capacity, bytes);
        out.extend_from_slice(text);
        // A read of memory takes as much as there is room for, and ends it with a NUL.
        if capacity == self.manifest.config.max_strlen && text.len() as u32 + 1 >= capacity {
            out.extend_from_slice(self.manifest.config.str_trunc_trailer.as_bytes());
        }
    }

    fn integer(&self, int: Int, bytes: &[u8], out: &mut Vec<u8>) {
        let value = scalar(int, bytes);
        if int.signed { number::signed(value, out) } else { number::unsigned(value as u64, out) }
    }

    /// Goes through the members of a structure, with those of anonymous members in their place.
    fn fields(&self, id: StructId, bytes: &[u8], each: &mut dyn FnMut(&str, &Type, &[u8])) {
        let Some(fields) = &self.manifest.structs.structs[id].fields else { return };
        for field in fields {
            let at = bytes.get(field.offset_bits as usize / 8..).unwrap_or_default();
            match (&field.ty, field.bits) {
                (Type::Struct(inner), _) if field.name.is_empty() => self.fields(*inner, at, each),
                (Type::Int(int), Some(width)) => {
                    let value = bit_field(bytes, field.offset_bits, u32::from(width), int.signed);
                    each(&field.name, &Type::Int(Int { size: 8, ..*int }), &value.to_ne_bytes());
                }
                (ty, _) => each(&field.name, ty, at),
            }
        }
    }

    fn elements<'b>(
        &self,
        element: &Type,
        count: u32,
        bytes: &'b [u8],
    ) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let stride = self.manifest.structs.size_in_memory(element) as usize;
        (0..count as usize).map(move |index| bytes.get(index * stride..).unwrap_or_default())
    }

    fn members<'b>(&self, members: &[(String, Type)], bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let types: Vec<Type> = members.iter().map(|(_, ty)| ty.clone()).collect();
        let record = Record::of(&types, &self.manifest.structs);
        let at = |offset: u32| bytes.get(offset as usize..).unwrap_or_default();
        record.fields.iter().map(|field| at(field.offset)).collect()
    }

    fn stack(&self, stack: &Stack, bytes: &[u8], out: &mut Vec<u8>) {
        out.push(b'\n');
        let frames = bytes.chunks_exact(8).take(stack.frames as usize).map(|frame| unsigned(frame, 8));
        for address in frames.take_while(|address| *address != 0) {
            match stack.mode {
                StackMode::Symbols => out.extend_from_slice(b"        "),
                StackMode::Perf => {
                    out.push(b'\t');
                    out.extend_from_slice(number::Digits::hex(address, false).as_bytes());
                    out.push(b' ');
                }
                StackMode::Raw => {
                    out.extend_from_slice(number::Digits::hex(address, false).as_bytes());
                    out.push(b'\n');
                    continue;
                }
            }
            match stack.space {
                _ if address == u64::MAX => out.extend_from_slice(b"<unwind failure>"),
                Space::Kernel | Space::Context => self.symbols.name_and_offset(address, out),
                Space::User => number::address(address, out),
            }
            out.push(b'\n');
        }
    }
}

/// The number that the first `size` bytes are.
pub fn unsigned(bytes: &[u8], size: usize) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word[..size.min(8)].iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

/// A number, extended to 64 bits by its own sign.
pub fn scalar(int: Int, bytes: &[u8]) -> i64 {
    let value = unsigned(bytes, usize::from(int.size));
    extend(value, u32::from(int.size) * 8, int.signed)
}

fn extend(value: u64, bits: u32, signed: bool) -> i64 {
    let unused = 64 - bits.clamp(1, 64);
    if signed { (value << unused) as i64 >> unused } else { (value << unused >> unused) as i64 }
}

/// The value of any scalar type as a number, with its size and sign; `None` for what is no scalar.
pub fn number_of(ty: &Type, bytes: &[u8], manifest: &Manifest) -> Option<(i64, Int)> {
    let int = match ty {
        Type::Int(int) => *int,
        Type::Bool => Int::U8,
        Type::Enum(id) => manifest.structs.enums[*id].int,
        Type::Pointer(..) | Type::KernelSymbol | Type::Timestamp(..) | Type::Probe | Type::UserSymbol => {
            Int::U64
        }
        Type::Username => Int::U32,
        Type::Void
        | Type::String(_)
        | Type::Buffer(_)
        | Type::Struct(_)
        | Type::Array(..)
        | Type::Tuple(_)
        | Type::Record(_)
        | Type::Stack(_)
        | Type::Inet
        | Type::Mac
        | Type::Aggregate(_) => return None,
    };
    Some((scalar(int, bytes), int))
}

/// The bytes of a buffer: a length, then the content.
pub fn buffer(capacity: u32, bytes: &[u8]) -> &[u8] {
    let length = unsigned(bytes, 4).min(u64::from(capacity)) as usize;
    let content = bytes.get(4..).unwrap_or_default();
    &content[..length.min(content.len())]
}

/// The text before the first NUL.
pub fn until_nul(capacity: u32, bytes: &[u8]) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(capacity as usize)];
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    &bytes[..end]
}

/// Appends bytes as text: printable ASCII as it is, all others as `\x..`.
pub fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        if matches!(byte, b' '..=b'~') {
            out.push(byte);
        } else {
            out.extend_from_slice(b"\\x");
            number::hex_byte(byte, false, out);
        }
    }
}

fn byte(bytes: &[u8]) -> u8 {
    bytes.first().copied().unwrap_or(0)
}

fn json_integer(int: Int, bytes: &[u8], out: &mut Vec<u8>) {
    let value = scalar(int, bytes);
    if int.signed { json::signed(value, out) } else { json::unsigned(value as u64, out) }
}

/// Bits that may lie across two words.
fn bit_field(bytes: &[u8], offset: u32, width: u32, signed: bool) -> i64 {
    let at = offset as usize / 8;
    let mut wide = [0; 16];
    for (to, from) in wide.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
        *to = *from;
    }
    let value = (u128::from_le_bytes(wide) >> (offset % 8)) as u64;
    extend(value, width, signed)
}

fn inet(bytes: &[u8], out: &mut Vec<u8>) {
    let address = bytes.get(8..).unwrap_or_default();
    let mut all = [0; 16];
    for (to, from) in all.iter_mut().zip(address) {
        *to = *from;
    }
    match unsigned(bytes, 8) {
        AF_INET => {
            let [a, b, c, d, ..] = all;
            out.extend_from_slice(Ipv4Addr::new(a, b, c, d).to_string().as_bytes());
        }
        AF_INET6 => out.extend_from_slice(Ipv6Addr::from(all).to_string().as_bytes()),
        _ => {}
    }
}
