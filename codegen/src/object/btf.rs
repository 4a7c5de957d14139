//! Writes BTF: the types that describe a saved object to loaders.
//!
//! Three things need types: the programs (`FUNC`, so that line information and relocations are accepted), the maps (libbpf
//! reads their definitions from BTF), and the members that programs read. For the last, each structure is written as a *stub*:
//! the kernel's name, and only the members that are used, with the kernel's names. A loader finds the structure of that
//! name in its own kernel and the members in it by name, so sizes and offsets are free; they are those of the kernel that
//! was compiled for, since loaders compare them with the instructions.
//!
//! The format is that of the kernel's `Documentation/bpf/btf.rst`.

use std::collections::BTreeSet;

use cranelift_entity::SecondaryMap;
use rtscript_lang::types::{StructId, Structs, Type};
use rustc_hash::FxHashMap;

use super::{Access, AccessStep};
use crate::ir::Role;

const MAGIC: u16 = 0xeb9f;
const HEADER: u32 = 24;

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;

const GLOBAL: u32 = 1;
const SIGNED: u32 = 1 << 24;
const BOOL: u32 = 4 << 24;
/// Offsets of members carry the width of bit-fields in their high byte.
const WITH_BITS: u32 = 1 << 31;

/// Types under construction. Ids count from 1; 0 is `void`.
#[derive(Debug, Default)]
pub struct Writer {
    types: Vec<u8>,
    count: u32,
    strings: Strings,
    ints: FxHashMap<(String, u32, u32), u32>,
    void_pointer: Option<u32>,
    stubs: SecondaryMap<StructId, Option<u32>>,
}

/// The string section: offset 0 is the empty string, and equal strings share one offset.
#[derive(Debug, Default)]
struct Strings {
    bytes: Vec<u8>,
    offsets: FxHashMap<String, u32>,
}

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        if self.bytes.is_empty() {
            self.bytes.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        if let Some(&offset) = self.offsets.get(text) {
            return offset;
        }
        let offset = self.bytes.len() as u32;
        // A NUL inside would end the string for every reader.
        self.bytes.extend(text.bytes().filter(|byte| *byte != 0));
        self.bytes.push(0);
        self.offsets.insert(text.to_string(), offset);
        offset
    }
}

/// A member of a structure that is written.
pub struct Member<'a> {
    pub name: &'a str,
    pub ty: u32,
    pub offset_bits: u32,
    /// The width of a bit-field, otherwise 0.
    pub bits: u8,
}

impl Writer {
    /// The whole section.
    pub fn finish(mut self) -> Vec<u8> {
        self.strings.add("");
        let mut out = Vec::with_capacity(HEADER as usize + self.types.len() + self.strings.bytes.len());
        out.extend(MAGIC.to_le_bytes());
        // Version 1, no flags.
        out.extend([1, 0]);
        let types = self.types.len() as u32;
        for word in [HEADER, 0, types, types, self.strings.bytes.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(self.types);
        out.extend(self.strings.bytes);
        out
    }

    /// The offset of a string.
    pub fn string(&mut self, text: &str) -> u32 {
        self.strings.add(text)
    }

    fn push(&mut self, name: &str, info: u32, size_or_type: u32, rest: &[u32]) -> u32 {
        let name = self.strings.add(name);
        for word in [name, info, size_or_type].iter().chain(rest) {
            self.types.extend(word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }

    /// An integer of so many bytes.
    pub fn int(&mut self, name: &str, size: u32, encoding: u32) -> u32 {
        let key = (name.to_string(), size, encoding);
        if let Some(&id) = self.ints.get(&key) {
            return id;
        }
        let id = self.push(name, INT << 24, size, &[encoding | (size * 8)]);
        self.ints.insert(key, id);
        id
    }

    pub fn pointer(&mut self, to: u32) -> u32 {
        self.push("", PTR << 24, to, &[])
    }

    pub fn array(&mut self, element: u32, count: u32) -> u32 {
        let index = self.int("unsigned int", 4, 0);
        self.push("", ARRAY << 24, 0, &[element, index, count])
    }

    pub fn structure(&mut self, union: bool, name: &str, size: u32, members: &[Member<'_>]) -> u32 {
        let mut rest = Vec::with_capacity(members.len() * 3);
        for member in members {
            let name = self.strings.add(member.name);
            rest.extend([name, member.ty, u32::from(member.bits) << 24 | member.offset_bits]);
        }
        let flag = if members.iter().any(|member| member.bits > 0) { WITH_BITS } else { 0 };
        let kind = if union { UNION } else { STRUCT };
        self.push(name, kind << 24 | flag | members.len() as u32, size, &rest)
    }

    /// A program: a global function from the context to an integer.
    pub fn function(&mut self, name: &str) -> u32 {
        let int = self.int("int", 4, SIGNED);
        let context = self.void_pointer();
        let param = self.strings.add("ctx");
        let prototype = self.push("", FUNC_PROTO << 24 | 1, int, &[param, context]);
        self.push(name, FUNC << 24 | GLOBAL, prototype, &[])
    }

    /// A callback, as a static function: `(map, key, value, data) -> long` for the elements of a map, `(round, data) -> long`
    /// for the rounds of a loop. Of functions that the program calls itself the kernel asks for no parameters.
    pub fn callback(&mut self, name: &str, role: Option<Role>) -> u32 {
        let long = self.int("long", 8, SIGNED);
        let pointer = self.void_pointer();
        let params = match role {
            Some(Role::EachElement) => {
                vec![("map", pointer), ("key", pointer), ("value", pointer), ("data", pointer)]
            }
            Some(Role::Round) => vec![("round", self.int("unsigned int", 4, 0)), ("data", pointer)],
            Some(Role::Program) => vec![("ctx", pointer)],
            None => Vec::new(),
        };
        let words: Vec<u32> = params.iter().flat_map(|(name, ty)| [self.strings.add(name), *ty]).collect();
        let prototype = self.push("", FUNC_PROTO << 24 | params.len() as u32, long, &words);
        self.push(name, FUNC << 24, prototype, &[])
    }

    pub fn variable(&mut self, name: &str, ty: u32) -> u32 {
        self.push(name, VAR << 24, ty, &[GLOBAL])
    }

    /// A section with variables: type, offset and size of each.
    pub fn section(&mut self, name: &str, size: u32, variables: &[(u32, u32, u32)]) -> u32 {
        let rest: Vec<u32> = variables.iter().flat_map(|&(ty, offset, size)| [ty, offset, size]).collect();
        self.push(name, DATASEC << 24 | variables.len() as u32, size, &rest)
    }

    /// A number as a type, as libbpf's map definitions have it: a pointer to an array of so many elements.
    pub fn number(&mut self, value: u32) -> u32 {
        let int = self.int("int", 4, SIGNED);
        let array = self.array(int, value);
        self.pointer(array)
    }

    fn void_pointer(&mut self) -> u32 {
        match self.void_pointer {
            Some(id) => id,
            None => {
                let id = self.pointer(0);
                self.void_pointer = Some(id);
                id
            }
        }
    }

    /// The stub of a structure, with the members that `used` names.
    fn stub(&mut self, id: StructId, structs: &Structs, used: &SecondaryMap<StructId, BTreeSet<u32>>) -> u32 {
        if let Some(known) = self.stubs[id] {
            return known;
        }
        let of = &structs.structs[id];
        let fields = of.fields.as_deref().unwrap_or_default();
        let members: Vec<Member<'_>> = used[id]
            .iter()
            .filter_map(|index| fields.get(*index as usize))
            .map(|field| Member {
                name: &field.name,
                ty: self.member_type(&field.ty, structs, used),
                offset_bits: field.offset_bits,
                bits: field.bits.unwrap_or(0),
            })
            .collect();
        let made = self.structure(of.union, &of.name, of.size, &members);
        self.stubs[id] = Some(made);
        made
    }

    /// The type of a member, as far as loaders compare it: its kind, and the size of numbers.
    fn member_type(
        &mut self,
        ty: &Type,
        structs: &Structs,
        used: &SecondaryMap<StructId, BTreeSet<u32>>,
    ) -> u32 {
        match ty {
            Type::Bool => self.int("_Bool", 1, BOOL),
            Type::Int(int) => {
                let name = match (int.size, int.signed) {
                    (1, true) => "signed char",
                    (1, false) => "unsigned char",
                    (2, true) => "short",
                    (2, false) => "unsigned short",
                    (4, true) => "int",
                    (4, false) => "unsigned int",
                    (_, true) => "long",
                    (_, false) => "unsigned long",
                };
                self.int(name, u32::from(int.size), if int.signed { SIGNED } else { 0 })
            }
            Type::Enum(id) => {
                let of = &structs.enums[*id];
                self.push(&of.name, ENUM << 24, u32::from(of.int.size), &[])
            }
            Type::Pointer(..) => self.void_pointer(),
            Type::Struct(id) => self.stub(*id, structs, used),
            Type::Array(element, count) => {
                let element = self.member_type(element, structs, used);
                self.array(element, *count)
            }
            Type::String(count) => {
                let char = self.int("char", 1, SIGNED);
                self.array(char, *count)
            }
            Type::Void
            | Type::Buffer(_)
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
            | Type::Aggregate(_) => {
                // No member of a kernel structure has one of the language's own types.
                let byte = self.int("unsigned char", 1, 0);
                self.array(byte, structs.size_in_memory(ty))
            }
        }
    }

    /// The stub types of accesses, and for each its root's id and its access string: `0:1:2`, the members by their places in
    /// the stubs, the elements by their numbers.
    pub fn accesses<'a>(
        &mut self,
        accesses: impl Iterator<Item = &'a Access> + Clone,
        structs: &Structs,
    ) -> Vec<(u32, String)> {
        let mut used: SecondaryMap<StructId, BTreeSet<u32>> = SecondaryMap::new();
        for access in accesses.clone() {
            for step in &access.steps {
                if let AccessStep::Field(id, index) = step {
                    used[*id].insert(*index);
                }
            }
        }
        let mut found = Vec::new();
        for access in accesses {
            let root = self.stub(access.root, structs, &used);
            let mut text = "0".to_string();
            for step in &access.steps {
                let number = match step {
                    AccessStep::Field(id, index) => used[*id].range(..index).count() as u32,
                    AccessStep::Element(index) => *index,
                };
                text.push_str(&format!(":{number}"));
            }
            found.push((root, text));
        }
        found
    }
}
