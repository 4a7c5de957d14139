//! The fields of a tracepoint's record as arguments: types and places.
//!
//! A format names types as C does, and tells size and sign. Numbers go by the latter; structures, enumerations
//! and what pointers point to are looked up in BTF, and are `void` or bytes where that does not have them.
//! The arguments of system calls are all eight bytes wide, and narrower in truth: they go by their names.
//!
//! Events that BTF describes come without names for the elements of `__data_loc` fields: they are taken for text,
//! which most are.

use rtscript_lang::btf::{Btf, Kind, TypeId};
use rtscript_lang::config::Config;
use rtscript_lang::kernel::{FieldLocation, Kernel, TracepointField, TracepointFormat};
use rtscript_lang::provider::{Arg, Place};
use rtscript_lang::types::{Int, Space, Structs, Type};

pub fn of_format(
    format: &TracepointFormat,
    space: Space,
    kernel: &dyn Kernel,
    structs: &mut Structs,
) -> Vec<Arg> {
    let mut names = Names { kernel, space, structs };
    format
        .fields
        .iter()
        .map(|field| Arg { name: field.name.clone(), ty: names.type_of(field), place: place(field) })
        .collect()
}

/// The same from `struct trace_event_raw_EVENT`.
pub fn of_btf(btf: &Btf, record: TypeId, structs: &mut Structs) -> Vec<Arg> {
    members(btf, record)
        .into_iter()
        .map(|member| {
            let ty = match member.place {
                Place::DataLoc(_) | Place::RelLoc(_) => text(),
                Place::Bytes(_)
                | Place::Word(_)
                | Place::Indirect { .. }
                | Place::Operand(_)
                | Place::BySite(_)
                | Place::Returned
                | Place::Unreadable => structs.of_btf(btf, 0, member.ty),
            };
            Arg { name: member.name.to_owned(), ty, place: member.place }
        })
        .collect()
}

/// A field as `-lv` prints it: `char oldcomm[16]`, `const char * filename`.
pub fn declare(field: &TracepointField) -> String {
    let TracepointField { ty, name, .. } = field;
    match (field.location, field.array) {
        (FieldLocation::DataLoc, _) => format!("__data_loc {ty}[] {name}"),
        (FieldLocation::RelLoc, _) => format!("__rel_loc {ty}[] {name}"),
        (FieldLocation::Inline, Some(length)) => format!("{ty} {name}[{length}]"),
        (FieldLocation::Inline, None) => format!("{ty} {name}"),
    }
}

pub fn declare_btf(btf: &Btf, record: TypeId) -> Vec<String> {
    let declare = |member: &Member<'_>| match member.place {
        Place::DataLoc(_) => format!("__data_loc char[] {}", member.name),
        Place::RelLoc(_) => format!("__rel_loc char[] {}", member.name),
        Place::Bytes(_)
        | Place::Word(_)
        | Place::Indirect { .. }
        | Place::Operand(_)
        | Place::BySite(_)
        | Place::Returned
        | Place::Unreadable => btf.declare(member.ty, member.name),
    };
    members(btf, record).iter().map(declare).collect()
}

fn text() -> Type {
    Type::String(Config::default().text_capacity())
}

fn place(field: &TracepointField) -> Place {
    match field.location {
        FieldLocation::Inline => Place::Bytes(field.offset),
        FieldLocation::DataLoc => Place::DataLoc(field.offset),
        FieldLocation::RelLoc => Place::RelLoc(field.offset),
    }
}

struct Member<'a> {
    name: &'a str,
    ty: TypeId,
    place: Place,
}

/// Without the common fields at the start, and the room for what is located elsewhere at the end.
fn members(btf: &Btf, record: TypeId) -> Vec<Member<'_>> {
    let mut members = Vec::new();
    for field in btf.fields(record) {
        let offset = field.bit_offset / 8;
        let (name, place) = if let Some(name) = field.name.strip_prefix("__data_loc_") {
            (name, Place::DataLoc(offset))
        } else if let Some(name) = field.name.strip_prefix("__rel_loc_") {
            (name, Place::RelLoc(offset))
        } else {
            (field.name, Place::Bytes(offset))
        };
        if name != "ent" && name != "__data" {
            members.push(Member { name, ty: field.ty, place });
        }
    }
    members
}

/// Types by their names in C.
struct Names<'a> {
    /// Its types are looked at only if a field needs them.
    kernel: &'a dyn Kernel,
    /// Where pointers point.
    space: Space,
    structs: &'a mut Structs,
}

impl Names<'_> {
    fn type_of(&mut self, field: &TracepointField) -> Type {
        let is_text = matches!(field.ty.as_str(), "char" | "const char");
        match (field.location, field.array) {
            (FieldLocation::DataLoc | FieldLocation::RelLoc, _) if is_text => text(),
            // Only the record knows how many there are.
            (FieldLocation::DataLoc | FieldLocation::RelLoc, _) => {
                let element = self.named(&field.ty).unwrap_or(Type::Int(Int::U8));
                Type::Array(Box::new(element), 0)
            }
            (FieldLocation::Inline, Some(_)) if is_text => Type::String(field.size),
            (FieldLocation::Inline, Some(length)) => self.array(field, length),
            (FieldLocation::Inline, None) => self.single(field),
        }
    }

    /// A length of 0 stands in the format where it has a macro's name: then the size of an element tells.
    fn array(&mut self, field: &TracepointField, length: u32) -> Type {
        let named = self.named(&field.ty).filter(|ty| *ty != Type::Void);
        let length = match (&named, length) {
            (Some(element), 0) => field.size / self.structs.size_in_memory(element).max(1),
            (Some(_) | None, length) => length,
        };
        let size = field.size.checked_div(length).unwrap_or(1);
        let element = match (named, int(size, field.signed)) {
            (Some(element), _) if self.structs.size_in_memory(&element) == size => element,
            (Some(_) | None, Some(element)) => element,
            (Some(_) | None, None) => return bytes(field.size),
        };
        Type::Array(Box::new(element), length)
    }

    fn single(&mut self, field: &TracepointField) -> Type {
        let by_size = int(field.size, field.signed);
        let goes_by_name = self.space == Space::User
            || field.ty.contains('*')
            || ["struct ", "union ", "enum ", "bool"].iter().any(|word| field.ty.contains(word));
        let named = if goes_by_name { self.named(&field.ty) } else { None };
        match named {
            Some(ty) if self.fits(&ty, field.size) => ty,
            Some(_) | None => by_size.unwrap_or_else(|| bytes(field.size)),
        }
    }

    /// A system call's argument may be narrower than its field; all else has the field's size.
    fn fits(&self, ty: &Type, size: u32) -> bool {
        let own = self.structs.size_in_memory(ty);
        *ty != Type::Void && (own == size || self.space == Space::User && ty.is_scalar() && own < size)
    }

    /// The type with a name as C writes it: `unsigned int`, `const char *`, `struct sock *`, `pid_t`.
    fn named(&mut self, text: &str) -> Option<Type> {
        let stars = text.matches('*').count();
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || c == '*')
            .filter(|word| !word.is_empty() && !is_qualifier(word))
            .collect();
        let mut ty = match words.as_slice() {
            ["void"] => Some(Type::Void),
            ["bool" | "_Bool"] => Some(Type::Bool),
            ["struct" | "union", name] => self.of_kinds(name, &[Kind::Struct, Kind::Union]),
            ["enum", name] => self.of_kinds(name, &[Kind::Enum, Kind::Enum64]),
            words => c_integer(words).or_else(|| match words {
                [name] => self.of_kinds(name, &[Kind::Typedef]),
                _ => None,
            }),
        };
        if stars > 0 {
            ty = Some(ty.unwrap_or(Type::Void));
        }
        (0..stars).fold(ty, |ty, _| ty.map(|ty| Type::pointer(ty, self.space)))
    }

    fn of_kinds(&mut self, name: &str, kinds: &[Kind]) -> Option<Type> {
        let btf = self.kernel.btf().ok()?;
        let id = kinds.iter().find_map(|kind| btf.find(name, *kind))?;
        Some(self.structs.of_btf(btf, 0, id))
    }
}

fn is_qualifier(word: &str) -> bool {
    matches!(word, "const" | "volatile" | "restrict" | "__user" | "__seg_gs" | "__seg_fs" | "__rcu")
}

/// The words of C's integer types, which come in any order.
fn c_integer(words: &[&str]) -> Option<Type> {
    let (mut unsigned, mut size) = (false, 4);
    for word in words {
        match *word {
            "unsigned" => unsigned = true,
            "signed" | "int" => {}
            "long" => size = 8,
            "short" => size = 2,
            "char" => size = 1,
            _ => return None,
        }
    }
    (!words.is_empty()).then_some(Type::Int(Int { size, signed: !unsigned }))
}

fn int(size: u32, signed: bool) -> Option<Type> {
    matches!(size, 1 | 2 | 4 | 8).then_some(Type::Int(Int { size: size as u8, signed }))
}

fn bytes(size: u32) -> Type {
    Type::Array(Box::new(Type::Int(Int::U8)), size)
}
