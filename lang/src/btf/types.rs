//! The types as they are decoded from BTF: one variant a kind, names as text, members and the like as iterators.
//!
//! Decoding copies nothing but numbers. Assumes that the record lies inside the section (parsing saw to that);
//! what is missing all the same reads as 0.

use super::{Btf, Kind, TypeId, flag, kind_of, vlen, word};

/// A decoded type.
#[derive(Clone, Copy, Debug)]
pub enum Type<'a> {
    Void,
    Int(Int<'a>),
    /// A pointer to this type.
    Ptr(TypeId),
    Array(Array),
    Struct(Composite<'a>),
    Union(Composite<'a>),
    /// `ENUM` and `ENUM64`.
    Enum(Enum<'a>),
    Forward(Forward<'a>),
    Typedef(Typedef<'a>),
    Volatile(TypeId),
    Const(TypeId),
    Restrict(TypeId),
    Func(Func<'a>),
    FuncProto(FuncProto<'a>),
    Var(Var<'a>),
    DataSec(DataSec<'a>),
    Float(Float<'a>),
    DeclTag(DeclTag<'a>),
    TypeTag(TypeTag<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int<'a> {
    pub name: &'a str,
    /// Bytes that it occupies.
    pub size: u32,
    /// Bits of the value; fewer than `8 * size` only in bit-fields as old compilers described them.
    pub bits: u32,
    /// Where in its bytes such a bit-field starts.
    pub bit_offset: u32,
    pub signed: bool,
    pub is_bool: bool,
    pub is_char: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    pub element: TypeId,
    pub index: TypeId,
    /// Number of elements; 0 for a flexible array.
    pub length: u32,
}

/// A struct or union.
#[derive(Clone, Copy)]
pub struct Composite<'a> {
    pub name: &'a str,
    /// Size in bytes.
    pub size: u32,
    btf: &'a Btf,
    record: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Empty for an anonymous struct or union.
    pub name: &'a str,
    pub ty: TypeId,
    /// From the start of the struct or union.
    pub bit_offset: u32,
    /// The width, when it is a bit-field.
    pub bit_size: Option<u32>,
}

#[derive(Clone, Copy)]
pub struct Enum<'a> {
    pub name: &'a str,
    /// Size in bytes.
    pub size: u32,
    pub signed: bool,
    btf: &'a Btf,
    record: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerator<'a> {
    pub name: &'a str,
    /// The value; one above `i64::MAX` (only in an unsigned 64-bit enum) appears with the same bits.
    pub value: i64,
}

/// A struct or union that is only declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward<'a> {
    pub name: &'a str,
    pub is_union: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typedef<'a> {
    pub name: &'a str,
    pub target: TypeId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Func<'a> {
    pub name: &'a str,
    /// A `FuncProto`.
    pub proto: TypeId,
    pub linkage: Linkage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    Static,
    Global,
    Extern,
}

#[derive(Clone, Copy)]
pub struct FuncProto<'a> {
    pub result: TypeId,
    btf: &'a Btf,
    record: &'a [u8],
}

/// A parameter of a function. The last one, without name and type, stands for `...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    pub name: &'a str,
    pub ty: TypeId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var<'a> {
    pub name: &'a str,
    pub ty: TypeId,
    pub linkage: Linkage,
}

#[derive(Clone, Copy)]
pub struct DataSec<'a> {
    pub name: &'a str,
    /// Size in bytes.
    pub size: u32,
    record: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionVar {
    /// A `Var`.
    pub var: TypeId,
    /// In bytes, from the start of the section.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Float<'a> {
    pub name: &'a str,
    /// Size in bytes.
    pub size: u32,
}

/// A note on a declaration, such as `bpf_kfunc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclTag<'a> {
    pub name: &'a str,
    pub target: TypeId,
    /// The member or parameter that is meant, or −1 for the whole.
    pub component: i32,
}

/// A note on a type, such as `user`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeTag<'a> {
    pub name: &'a str,
    pub target: TypeId,
}

/// Decodes the type whose record starts the slice.
pub(super) fn decode<'a>(btf: &'a Btf, record: &'a [u8]) -> Type<'a> {
    let Some(kind) = kind_of(record) else { return Type::Void };
    let name = btf.string(word(record, 0));
    // The third word is a size for some kinds and a type for the others.
    let size = word(record, 2);
    let target = TypeId(size);
    match kind {
        Kind::Int => {
            let encoding = word(record, 3);
            Type::Int(Int {
                name,
                size,
                bits: encoding & 0xff,
                bit_offset: (encoding >> 16) & 0xff,
                signed: encoding & 1 << 24 != 0,
                is_char: encoding & 1 << 25 != 0,
                is_bool: encoding & 1 << 26 != 0,
            })
        }
        Kind::Ptr => Type::Ptr(target),
        Kind::Array => Type::Array(Array {
            element: TypeId(word(record, 3)),
            index: TypeId(word(record, 4)),
            length: word(record, 5),
        }),
        Kind::Struct => Type::Struct(Composite { name, size, btf, record }),
        Kind::Union => Type::Union(Composite { name, size, btf, record }),
        Kind::Enum | Kind::Enum64 => Type::Enum(Enum { name, size, signed: flag(record), btf, record }),
        Kind::Forward => Type::Forward(Forward { name, is_union: flag(record) }),
        Kind::Typedef => Type::Typedef(Typedef { name, target }),
        Kind::Volatile => Type::Volatile(target),
        Kind::Const => Type::Const(target),
        Kind::Restrict => Type::Restrict(target),
        Kind::Func => Type::Func(Func { name, proto: target, linkage: linkage(vlen(record) as u32) }),
        Kind::FuncProto => Type::FuncProto(FuncProto { result: target, btf, record }),
        Kind::Var => Type::Var(Var { name, ty: target, linkage: linkage(word(record, 3)) }),
        Kind::DataSec => Type::DataSec(DataSec { name, size, record }),
        Kind::Float => Type::Float(Float { name, size }),
        Kind::DeclTag => Type::DeclTag(DeclTag { name, target, component: word(record, 3) as i32 }),
        Kind::TypeTag => Type::TypeTag(TypeTag { name, target }),
    }
}

fn linkage(number: u32) -> Linkage {
    match number {
        0 => Linkage::Static,
        1 => Linkage::Global,
        _ => Linkage::Extern,
    }
}

impl<'a> Composite<'a> {
    pub fn members(&self) -> impl ExactSizeIterator<Item = Member<'a>> + use<'a> {
        let Composite { btf, record, .. } = *self;
        // With the flag, a member's third word is its bit-field width (eight bits) above its offset.
        let packed = flag(record);
        (0..vlen(record)).map(move |index| {
            let at = 3 + index * 3;
            let place = word(record, at + 2);
            let width = place >> 24;
            Member {
                name: btf.string(word(record, at)),
                ty: TypeId(word(record, at + 1)),
                bit_offset: if packed { place & 0xff_ffff } else { place },
                bit_size: (packed && width != 0).then_some(width),
            }
        })
    }
}

impl<'a> Enum<'a> {
    pub fn values(&self) -> impl ExactSizeIterator<Item = Enumerator<'a>> + use<'a> {
        let Enum { btf, record, signed, .. } = *self;
        let wide = kind_of(record) == Some(Kind::Enum64);
        (0..vlen(record)).map(move |index| {
            let at = 3 + index * if wide { 3 } else { 2 };
            let low = word(record, at + 1);
            let value = if wide {
                (u64::from(low) | u64::from(word(record, at + 2)) << 32) as i64
            } else if signed {
                i64::from(low as i32)
            } else {
                i64::from(low)
            };
            Enumerator { name: btf.string(word(record, at)), value }
        })
    }
}

impl<'a> FuncProto<'a> {
    pub fn params(&self) -> impl ExactSizeIterator<Item = Param<'a>> + use<'a> {
        let FuncProto { btf, record, .. } = *self;
        (0..vlen(record)).map(move |index| {
            let at = 3 + index * 2;
            Param { name: btf.string(word(record, at)), ty: TypeId(word(record, at + 1)) }
        })
    }
}

impl<'a> DataSec<'a> {
    pub fn vars(&self) -> impl ExactSizeIterator<Item = SectionVar> + use<'a> {
        let record = self.record;
        (0..vlen(record)).map(move |index| {
            let at = 3 + index * 3;
            SectionVar {
                var: TypeId(word(record, at)),
                offset: word(record, at + 1),
                size: word(record, at + 2),
            }
        })
    }
}

impl std::fmt::Debug for Composite<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Composite({}, {} bytes, {} members)", self.name, self.size, self.members().len())
    }
}

impl std::fmt::Debug for Enum<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enum({}, {} bytes, {} values)", self.name, self.size, self.values().len())
    }
}

impl std::fmt::Debug for FuncProto<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FuncProto({} parameters)", self.params().len())
    }
}

impl std::fmt::Debug for DataSec<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataSec({}, {} bytes, {} variables)", self.name, self.size, self.vars().len())
    }
}
