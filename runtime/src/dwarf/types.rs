//! The types of a program as the language sees them: what DWARF says becomes [`Type`], [`Struct`] and [`Enum`].
//!
//! Structures are interned by file, name, size and line, so that several functions, also of several units, share them. A
//! structure's members are decoded with it, and so is what its pointers lead to, as far as [`MOST`] structures. All memory is the
//! process's. What the language has no value for (floating-point numbers) becomes bytes, as it does for the kernel's types.

use gimli::{AttributeValue, UnitOffset};
use rtscript_lang::types::{Enum, EnumId, Field, Int, Origin, Space, Struct, StructId, Structs, Type};

use super::handed::Class;
use super::{Entry, Info, Slice, Unit};

/// Arrays, pointers and names of types nest no deeper than this in a sound file.
const MAX_DEPTH: u32 = 64;
/// Nothing in a sound file is larger. So sizes and offsets in bits can be added and multiplied without a check.
const MAX_SIZE: u64 = 1 << 28;
/// So many structures are decoded for one function: C++ may lead from any to all.
const MOST: usize = 4000;

/// Decodes the types of a unit.
pub struct Decoder<'s, 'd> {
    info: &'s Info<'d>,
    unit: &'s Unit<'d>,
    /// Of the file: device and inode.
    identity: (u64, u64),
    structs: &'s mut Structs,
    /// Structures whose members are to be decoded yet.
    open: Vec<(StructId, UnitOffset)>,
    decoded: usize,
}

impl<'s, 'd> Decoder<'s, 'd> {
    pub fn new(
        info: &'s Info<'d>,
        unit: &'s Unit<'d>,
        identity: (u64, u64),
        structs: &'s mut Structs,
    ) -> Decoder<'s, 'd> {
        Decoder { info, unit, identity, structs, open: Vec::new(), decoded: 0 }
    }

    /// The type that an attribute refers to.
    pub fn of(&mut self, reference: AttributeValue<Slice<'d>>) -> Type {
        let ty = self.referred(reference, 0);
        while let Some((id, at)) = self.open.pop() {
            let fields = self.fields(at);
            self.structs.structs[id].fields = Some(fields);
        }
        ty
    }

    /// A type as its source writes it: `const char*`, `struct node*`.
    pub fn in_c(&self, reference: AttributeValue<Slice<'d>>) -> String {
        self.spelled(Some(reference), 0)
    }

    fn spelled(&self, reference: Option<AttributeValue<Slice<'d>>>, depth: u32) -> String {
        let Some(reference) = reference else { return "void".to_owned() };
        let Some(entry) = self.entry(reference).filter(|_| depth < MAX_DEPTH) else { return "?".to_owned() };
        let inner = || self.spelled(entry.attr_value(gimli::DW_AT_type), depth + 1);
        // What qualifies a pointer stands behind it.
        let qualified = |word: &str| {
            let inner = inner();
            if inner.ends_with('*') { format!("{inner} {word}") } else { format!("{word} {inner}") }
        };
        let tagged = |tag: &str| match self.name(&entry) {
            name if name.is_empty() => format!("{tag} {{…}}"),
            name => format!("{tag} {name}"),
        };
        match entry.tag() {
            gimli::DW_TAG_pointer_type => format!("{}*", inner()),
            gimli::DW_TAG_reference_type => format!("{}&", inner()),
            gimli::DW_TAG_rvalue_reference_type => format!("{}&&", inner()),
            gimli::DW_TAG_const_type => qualified("const"),
            gimli::DW_TAG_volatile_type => qualified("volatile"),
            gimli::DW_TAG_restrict_type => qualified("restrict"),
            gimli::DW_TAG_atomic_type => qualified("_Atomic"),
            gimli::DW_TAG_structure_type => tagged("struct"),
            gimli::DW_TAG_class_type => tagged("class"),
            gimli::DW_TAG_union_type => tagged("union"),
            gimli::DW_TAG_enumeration_type => tagged("enum"),
            gimli::DW_TAG_array_type => format!("{}[]", inner()),
            gimli::DW_TAG_subroutine_type => format!("{} (…)", inner()),
            _ => self.name(&entry),
        }
    }

    /// What matters of a type where a value of it is handed over.
    pub fn class(&self, reference: AttributeValue<Slice<'d>>, ty: &Type) -> Class {
        match self.floats(reference, 0, &mut { MOST }) {
            Floats::Itself(size) => Class::Float(size),
            _ if ty.is_scalar() => Class::Word,
            Floats::None => Class::Structure(self.structs.size_in_memory(ty)),
            // Large ones lie in memory, whatever is in them.
            Floats::Within if self.structs.size_in_memory(ty) > 16 => {
                Class::Structure(self.structs.size_in_memory(ty))
            }
            Floats::Within => Class::Unclear,
        }
    }

    /// Whether there are floating-point numbers in a value.
    fn floats(&self, reference: AttributeValue<Slice<'d>>, depth: u32, looks: &mut usize) -> Floats {
        let Some(entry) = self.entry(reference) else { return Floats::None };
        if depth == MAX_DEPTH || *looks == 0 {
            return Floats::Within;
        }
        *looks -= 1;
        let mut inner =
            || entry.attr_value(gimli::DW_AT_type).map(|value| self.floats(value, depth + 1, looks));
        match entry.tag() {
            gimli::DW_TAG_base_type => match float(&entry) {
                Some(Parts::One) => {
                    let size = number(&entry, gimli::DW_AT_byte_size).unwrap_or(0);
                    Floats::Itself(size.min(MAX_SIZE) as u32)
                }
                Some(Parts::Two) => Floats::Within,
                None => Floats::None,
            },
            gimli::DW_TAG_typedef
            | gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_restrict_type
            | gimli::DW_TAG_atomic_type => inner().unwrap_or(Floats::None),
            gimli::DW_TAG_array_type => match inner() {
                Some(Floats::Itself(_) | Floats::Within) => Floats::Within,
                Some(Floats::None) | None => Floats::None,
            },
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_union_type => {
                if self.members_have_floats(&entry, depth, looks) { Floats::Within } else { Floats::None }
            }
            _ => Floats::None,
        }
    }

    fn members_have_floats(&self, entry: &Entry<'d>, depth: u32, looks: &mut usize) -> bool {
        let Ok(mut tree) = self.unit.entries_tree(Some(entry.offset())) else { return false };
        let Ok(root) = tree.root() else { return false };
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            if let Some(member) = child.entry().attr_value(gimli::DW_AT_type)
                && matches!(child.entry().tag(), gimli::DW_TAG_member | gimli::DW_TAG_inheritance)
                && !matches!(self.floats(member, depth + 1, looks), Floats::None)
            {
                return true;
            }
        }
        false
    }

    fn entry(&self, reference: AttributeValue<Slice<'d>>) -> Option<Entry<'d>> {
        match reference {
            AttributeValue::UnitRef(offset) => self.unit.entry(offset).ok(),
            // A reference into another unit; what is of this one can be followed.
            AttributeValue::DebugInfoRef(offset) => {
                self.unit.entry(offset.to_unit_offset(&self.unit.header)?).ok()
            }
            _ => None,
        }
    }

    fn referred(&mut self, reference: AttributeValue<Slice<'d>>, depth: u32) -> Type {
        match self.entry(reference) {
            Some(entry) if depth < MAX_DEPTH => self.decode(&entry, depth),
            Some(_) | None => Type::Void,
        }
    }

    /// The type that the attribute `DW_AT_type` of an entry names; without one it is `void`.
    fn inner(&mut self, entry: &Entry<'d>, depth: u32) -> Type {
        match entry.attr_value(gimli::DW_AT_type) {
            Some(reference) => self.referred(reference, depth + 1),
            None => Type::Void,
        }
    }

    fn decode(&mut self, entry: &Entry<'d>, depth: u32) -> Type {
        let size = number(entry, gimli::DW_AT_byte_size).unwrap_or(0).min(MAX_SIZE);
        match entry.tag() {
            gimli::DW_TAG_base_type => base(entry, size as u32),
            gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_reference_type
            | gimli::DW_TAG_rvalue_reference_type => Type::pointer(self.inner(entry, depth), Space::User),
            gimli::DW_TAG_typedef
            | gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_restrict_type
            | gimli::DW_TAG_atomic_type => self.inner(entry, depth),
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => {
                self.structure(entry, size as u32, false)
            }
            gimli::DW_TAG_union_type => self.structure(entry, size as u32, true),
            gimli::DW_TAG_enumeration_type => Type::Enum(self.enumeration(entry, size)),
            gimli::DW_TAG_array_type => self.array(entry, depth),
            // Pointers to members are numbers.
            gimli::DW_TAG_ptr_to_member_type => bytes(16),
            _ => Type::Void,
        }
    }

    fn structure(&mut self, entry: &Entry<'d>, size: u32, union: bool) -> Type {
        let name = self.name(entry);
        let key = self.key(entry, &name, size);
        if let Some(&known) = self.structs.struct_of_file.get(&key) {
            return Type::Struct(known);
        }
        let is_declared = entry.attr_value(gimli::DW_AT_declaration).is_some();
        let is_open = !is_declared && self.decoded < MOST;
        let id = self.structs.structs.push(Struct {
            name,
            union,
            size,
            origin: Origin::Script,
            fields: Some(Vec::new()),
        });
        self.structs.struct_of_file.insert(key, id);
        if is_open {
            self.decoded += 1;
            self.open.push((id, entry.offset()));
        }
        Type::Struct(id)
    }

    /// What tells a type of this file from all others.
    fn key(&self, entry: &Entry<'d>, name: &str, size: u32) -> String {
        let line = number(entry, gimli::DW_AT_decl_line).unwrap_or(0);
        let at = if name.is_empty() {
            let at = entry.offset().to_unit_section_offset(self.unit);
            format!("at {at:?}")
        } else {
            format!("{name} {size} {line}")
        };
        format!("{}:{} {} {at}", self.identity.0, self.identity.1, entry.tag().0)
    }

    fn fields(&mut self, structure: UnitOffset) -> Vec<Field> {
        let mut members = Vec::new();
        let Ok(mut tree) = self.unit.entries_tree(Some(structure)) else { return Vec::new() };
        let Ok(root) = tree.root() else { return Vec::new() };
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            // What a class inherits is like a member without a name.
            if matches!(child.entry().tag(), gimli::DW_TAG_member | gimli::DW_TAG_inheritance) {
                members.push(child.entry().clone());
            }
        }
        // Static members are of no object.
        members.retain(|member| member.attr_value(gimli::DW_AT_external).is_none());
        members.into_iter().filter_map(|member| self.field(&member)).collect()
    }

    fn field(&mut self, member: &Entry<'d>) -> Option<Field> {
        let ty = self.inner(member, 0);
        let bytes = match member.attr_value(gimli::DW_AT_data_member_location) {
            None => 0,
            Some(value) => value.udata_value().or_else(|| constant(value))?,
        };
        let bits = number(member, gimli::DW_AT_bit_size).and_then(|bits| u8::try_from(bits).ok());
        let offset_bits = match (bits, number(member, gimli::DW_AT_data_bit_offset)) {
            (Some(_), Some(offset)) => offset,
            (Some(bits), None) => {
                // Before version 4: counted from the most significant bit of the unit that holds it.
                let unit = number(member, gimli::DW_AT_byte_size)
                    .unwrap_or_else(|| u64::from(self.structs.size_in_memory(&ty)));
                let from_top = number(member, gimli::DW_AT_bit_offset).unwrap_or(0);
                let within = (unit.min(8) * 8).checked_sub(from_top)?.checked_sub(u64::from(bits))?;
                bytes.min(MAX_SIZE) * 8 + within
            }
            (None, _) => bytes.min(MAX_SIZE) * 8,
        };
        let bits = bits.filter(|bits| (1..=64).contains(bits));
        let name = if member.tag() == gimli::DW_TAG_inheritance { String::new() } else { self.name(member) };
        Some(Field { name, ty, offset_bits: u32::try_from(offset_bits).ok()?, bits })
    }

    fn enumeration(&mut self, entry: &Entry<'d>, size: u64) -> EnumId {
        let name = self.name(entry);
        let key = self.key(entry, &name, size as u32);
        if let Some(&known) = self.structs.enum_of_file.get(&key) {
            return known;
        }
        let mut variants = Vec::new();
        let mut signed = false;
        if let Ok(mut tree) = self.unit.entries_tree(Some(entry.offset()))
            && let Ok(root) = tree.root()
        {
            let mut children = root.children();
            while let Ok(Some(child)) = children.next() {
                let entry = child.entry();
                let value = entry.attr_value(gimli::DW_AT_const_value);
                let value = value.and_then(|value| {
                    value.udata_value().map(|value| value as i64).or_else(|| value.sdata_value())
                });
                if let (gimli::DW_TAG_enumerator, Some(value)) = (entry.tag(), value) {
                    signed |= value < 0;
                    variants.push((self.name(entry), value));
                }
            }
        }
        let size = if matches!(size, 1 | 2 | 8) { size as u8 } else { 4 };
        let id = self.structs.enums.push(Enum { name, int: Int { size, signed }, variants });
        self.structs.enum_of_file.insert(key, id);
        id
    }

    /// An array of several dimensions is an array of arrays.
    fn array(&mut self, entry: &Entry<'d>, depth: u32) -> Type {
        let element = self.inner(entry, depth);
        let is_char = self.is_char(entry);
        let mut counts = Vec::new();
        if let Ok(mut tree) = self.unit.entries_tree(Some(entry.offset()))
            && let Ok(root) = tree.root()
        {
            let mut children = root.children();
            while let Ok(Some(child)) = children.next() {
                if child.entry().tag() == gimli::DW_TAG_subrange_type {
                    let last = || number(child.entry(), gimli::DW_AT_upper_bound)?.checked_add(1);
                    counts.push(number(child.entry(), gimli::DW_AT_count).or_else(last).unwrap_or(0));
                }
            }
        }
        let mut ty = element;
        for (index, count) in counts.into_iter().rev().enumerate() {
            let size = u64::from(self.structs.size_in_memory(&ty)).max(1);
            let is_sound = count.checked_mul(size).is_some_and(|whole| whole <= MAX_SIZE);
            let count = if is_sound { count as u32 } else { 0 };
            ty = if index == 0 && is_char && count > 0 {
                Type::String(count)
            } else {
                Type::Array(Box::new(ty), count)
            };
        }
        ty
    }

    /// Whether the elements of an array are characters.
    fn is_char(&self, array: &Entry<'d>) -> bool {
        let mut next = array.attr_value(gimli::DW_AT_type);
        for _ in 0..MAX_DEPTH {
            let Some(entry) = next.and_then(|value| self.entry(value)) else { return false };
            match entry.tag() {
                gimli::DW_TAG_base_type => return self.name(&entry) == "char",
                gimli::DW_TAG_typedef | gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type => {
                    next = entry.attr_value(gimli::DW_AT_type);
                }
                _ => return false,
            }
        }
        false
    }

    fn name(&self, entry: &Entry<'d>) -> String {
        let name = entry.attr_value(gimli::DW_AT_name);
        let name = name.and_then(|name| self.info.attr_string(self.unit, name).ok());
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }
}

fn base(entry: &Entry<'_>, size: u32) -> Type {
    let encoding = match entry.attr_value(gimli::DW_AT_encoding) {
        Some(AttributeValue::Encoding(encoding)) => encoding,
        _ => return bytes(size),
    };
    let int = |signed| match size {
        1 | 2 | 4 | 8 => Type::Int(Int { size: size as u8, signed }),
        _ => bytes(size),
    };
    match encoding {
        gimli::DW_ATE_boolean if size == 1 => Type::Bool,
        gimli::DW_ATE_signed | gimli::DW_ATE_signed_char => int(true),
        gimli::DW_ATE_unsigned
        | gimli::DW_ATE_unsigned_char
        | gimli::DW_ATE_boolean
        | gimli::DW_ATE_UTF
        | gimli::DW_ATE_UCS
        | gimli::DW_ATE_ASCII => int(false),
        _ => bytes(size),
    }
}

/// Where floating-point numbers are in a value.
enum Floats {
    None,
    /// It is one, of so many bytes.
    Itself(u32),
    Within,
}

/// A complex number has two parts.
enum Parts {
    One,
    Two,
}

fn float(entry: &Entry<'_>) -> Option<Parts> {
    match entry.attr_value(gimli::DW_AT_encoding) {
        Some(AttributeValue::Encoding(
            gimli::DW_ATE_float | gimli::DW_ATE_imaginary_float | gimli::DW_ATE_decimal_float,
        )) => Some(Parts::One),
        Some(AttributeValue::Encoding(gimli::DW_ATE_complex_float)) => Some(Parts::Two),
        _ => None,
    }
}

fn number(entry: &Entry<'_>, name: gimli::DwAt) -> Option<u64> {
    entry.attr_value(name)?.udata_value()
}

/// The offset of an old location expression: `DW_OP_plus_uconst n`.
fn constant(value: AttributeValue<Slice<'_>>) -> Option<u64> {
    let [opcode, rest @ ..] = value.exprloc_value()?.0.slice() else { return None };
    if *opcode != gimli::DW_OP_plus_uconst.0 {
        return None;
    }
    gimli::Reader::read_uleb128(&mut Slice::new(rest, gimli::LittleEndian)).ok()
}

fn bytes(size: u32) -> Type {
    Type::Array(Box::new(Type::Int(Int::U8)), size)
}
