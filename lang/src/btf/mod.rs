//! A view of BTF, the kernel's own description of its types.
//!
//! Assumes nothing: the bytes are untrusted, every access is bounds-checked, and no input makes it panic.
//!
//! Parsing makes one pass that records where each type lies and checks that it lies inside the type section
//! (about a millisecond for the 126 000 types of a 6.18 kernel). All else is decoded when it is asked for: a
//! type by its id in constant time, a name by scanning the string section and then the types, until so many
//! names have been asked for that an index pays.
//!
//! Ids are those of the file: 0 is `void`, and the types of a split BTF (a module's) continue after those of
//! its base. An id that no type has reads as `void`, so a damaged file gives odd answers and never a panic.
//!
//! Left out: big-endian files, and kinds after 19 (`ENUM64`, Linux 6.0), which are errors.
//!
//! The format is described in the kernel's `Documentation/bpf/btf.rst`.

mod access;
mod print;
mod reduce;
#[cfg(test)]
mod tests;
mod types;

use std::fmt;
use std::hash::Hasher;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHasher;
use thiserror::Error;

pub use access::{Field, Resolved, Tags};
pub use reduce::{Root, reduce};
pub use types::{
    Array, Composite, DataSec, DeclTag, Enum, Enumerator, Float, Forward, Func, FuncProto, Int, Linkage,
    Member, Param, SectionVar, Type, TypeTag, Typedef, Var,
};

/// The number of a type in its BTF. 0 is `void`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    pub const VOID: TypeId = TypeId(0);
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The kinds of types, with the numbers of the file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Forward = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    DataSec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
}

impl Kind {
    const ALL: [Kind; 19] = [
        Kind::Int,
        Kind::Ptr,
        Kind::Array,
        Kind::Struct,
        Kind::Union,
        Kind::Enum,
        Kind::Forward,
        Kind::Typedef,
        Kind::Volatile,
        Kind::Const,
        Kind::Restrict,
        Kind::Func,
        Kind::FuncProto,
        Kind::Var,
        Kind::DataSec,
        Kind::Float,
        Kind::DeclTag,
        Kind::TypeTag,
        Kind::Enum64,
    ];

    fn of_number(number: u32) -> Option<Kind> {
        Kind::ALL.get((number as usize).checked_sub(1)?).copied()
    }

    /// The bytes that follow the twelve that every type has: always, and for each of its members and the like.
    const fn extra(self) -> Extra {
        let (always, each) = match self {
            Kind::Int | Kind::Var | Kind::DeclTag => (4, 0),
            Kind::Array => (12, 0),
            Kind::Struct | Kind::Union | Kind::DataSec | Kind::Enum64 => (0, 12),
            Kind::Enum | Kind::FuncProto => (0, 8),
            Kind::Ptr
            | Kind::Forward
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Float
            | Kind::TypeTag => (0, 0),
        };
        Extra { always, each }
    }

    /// Whether [`Btf::find`] knows such types by name. Tags have names too, but many share one.
    fn is_indexed(self) -> bool {
        !matches!(self, Kind::DeclTag | Kind::TypeTag)
    }
}

#[derive(Clone, Copy)]
struct Extra {
    always: u8,
    each: u8,
}

/// [`Kind::extra`] by number. The pass over all types has no branch on their kinds, which nothing could predict.
const EXTRA: [Option<Extra>; 128] = {
    let mut table = [None; 128];
    let mut at = 0;
    while at < Kind::ALL.len() {
        table[Kind::ALL[at] as usize] = Some(Kind::ALL[at].extra());
        at += 1;
    }
    table
};

/// What is wrong with a file that claims to be BTF.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BtfError {
    #[error("this is not BTF: it does not start with the magic number 0xeb9f")]
    NotBtf,
    #[error("big-endian BTF is not supported")]
    BigEndian,
    #[error("BTF version {0} is not supported (version 1 is)")]
    Version(u8),
    #[error("the BTF header is damaged: the {0} section lies outside the file")]
    SectionOutside(&'static str),
    #[error("the BTF string section does not start and end with a NUL")]
    Strings,
    #[error("BTF type {id} has kind {kind}, which this program does not know (0 to 19 are known)")]
    UnknownKind { id: TypeId, kind: u32 },
    #[error("BTF type {id} does not end inside the type section")]
    TypeOutside { id: TypeId },
    #[error("the BTF is too large: {0} bytes")]
    TooLarge(usize),
}

/// The types of a kernel, of a module, or of an object file.
pub struct Btf {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    types: Range<usize>,
    strings: Range<usize>,
    /// Where each type starts, counted from the start of the type section.
    offsets: Vec<u32>,
    /// The name of each type, as an offset into the strings: side by side they are scanned ten times faster.
    names: Vec<u32>,
    /// The types and strings that ours continue.
    base: Option<Arc<Btf>>,
    first_type: u32,
    first_string: u32,
    index: OnceLock<Index>,
    lookups: AtomicU32,
}

/// An index of names costs about 4 ms for a kernel, and a scan 60 µs: it pays after this many look-ups.
const LOOKUPS_BEFORE_INDEX: u32 = 64;

impl Btf {
    /// Takes the BTF of a kernel or object file: bytes in memory, or a mapping of a file.
    pub fn parse(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Btf, BtfError> {
        Btf::new(Box::new(bytes), None)
    }

    /// Takes the BTF of a module, whose ids and strings continue those of `base`.
    pub fn parse_split(
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
        base: Arc<Btf>,
    ) -> Result<Btf, BtfError> {
        Btf::new(Box::new(bytes), Some(base))
    }

    /// The type with this id; `void` when there is none.
    pub fn ty(&self, id: TypeId) -> Type<'_> {
        self.locate(id).map_or(Type::Void, |(btf, record)| types::decode(btf, record))
    }

    /// The kind of a type, without decoding it. `None` for `void` and for ids that no type has.
    pub fn kind(&self, id: TypeId) -> Option<Kind> {
        self.locate(id).and_then(|(_, record)| kind_of(record))
    }

    /// The name of a type; empty for anonymous ones.
    pub fn name(&self, id: TypeId) -> &str {
        self.locate(id).map_or("", |(btf, record)| btf.string(word(record, 0)))
    }

    /// The first type with this name and kind. A split BTF is asked first, then its base.
    pub fn find(&self, name: &str, kind: Kind) -> Option<TypeId> {
        let own = if name.is_empty() {
            None
        } else if self.index.get().is_some()
            || self.lookups.fetch_add(1, Ordering::Relaxed) >= LOOKUPS_BEFORE_INDEX
        {
            self.index.get_or_init(|| Index::new(self)).find(self, name, kind)
        } else {
            self.scan(name, kind)
        };
        own.or_else(|| self.base.as_ref()?.find(name, kind))
    }

    /// The ids of the types of this file, in order; those of a base are not among them.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (self.first_type..self.first_type.saturating_add(self.offsets.len() as u32)).map(TypeId)
    }

    /// The types of one kind with their names, in order; those of a base are not among them.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (TypeId, &str)> {
        let types = self.type_section();
        self.ids().zip(&self.offsets).filter_map(move |(id, &offset)| {
            let record = types.get(offset as usize..)?;
            (kind_of(record) == Some(kind)).then(|| (id, self.string(word(record, 0))))
        })
    }

    /// The functions of this file, in order; those of a base are not among them.
    pub fn functions(&self) -> impl Iterator<Item = (TypeId, Func<'_>)> {
        self.of_kind(Kind::Func).filter_map(|(id, _)| {
            let Type::Func(func) = self.ty(id) else { return None };
            Some((id, func))
        })
    }

    /// How many types there are, those of the base and `void` included.
    pub fn len(&self) -> usize {
        self.first_type as usize + self.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    fn new(bytes: Box<dyn AsRef<[u8]> + Send + Sync>, base: Option<Arc<Btf>>) -> Result<Btf, BtfError> {
        let all = (*bytes).as_ref();
        if u32::try_from(all.len()).is_err() {
            return Err(BtfError::TooLarge(all.len()));
        }
        match all.first_chunk() {
            Some([0x9f, 0xeb]) => {}
            Some([0xeb, 0x9f]) => return Err(BtfError::BigEndian),
            Some(_) | None => return Err(BtfError::NotBtf),
        }
        match all.get(2) {
            Some(1) => {}
            Some(&version) => return Err(BtfError::Version(version)),
            None => return Err(BtfError::NotBtf),
        }
        // Offsets in the header count from its end. It may be longer than the six words that we know.
        let header_len = word(all, 1) as usize;
        let section = |at: usize, what| {
            let start = header_len.saturating_add(word(all, at) as usize);
            let range = start..start.saturating_add(word(all, at + 1) as usize);
            if header_len < 24 || all.get(range.clone()).is_none() {
                return Err(BtfError::SectionOutside(what));
            }
            Ok(range)
        };
        let types = section(2, "type")?;
        let strings = section(4, "string")?;

        // A split BTF continues its base's strings, so only a first section starts with the empty string.
        let text = &all[strings.clone()];
        let starts_well = base.is_some() || text.first() == Some(&0);
        if !starts_well || text.last().is_some_and(|&last| last != 0) {
            return Err(BtfError::Strings);
        }

        let first_type = base.as_ref().map_or(1, |base| base.len() as u32);
        let first_string = base.as_ref().map_or(0, |base| base.end_of_strings());
        let (offsets, names) = locate_types(&all[types.clone()], first_type)?;
        Ok(Btf {
            bytes,
            types,
            strings,
            offsets,
            names,
            base,
            first_type,
            first_string,
            index: OnceLock::new(),
            lookups: AtomicU32::new(0),
        })
    }

    /// The file that holds a type, and its type section from there on.
    fn locate(&self, id: TypeId) -> Option<(&Btf, &[u8])> {
        let mut btf = self;
        while id.0 < btf.first_type {
            btf = btf.base.as_deref()?;
        }
        let offset = *btf.offsets.get((id.0 - btf.first_type) as usize)?;
        Some((btf, btf.type_section().get(offset as usize..)?))
    }

    /// The string at an offset; empty when there is none, or when it is not UTF-8.
    fn string(&self, offset: u32) -> &str {
        if offset < self.first_string {
            return self.base.as_ref().map_or("", |base| base.string(offset));
        }
        let bytes = self.string_section().get((offset - self.first_string) as usize..).unwrap_or(&[]);
        let end = memchr::memchr(0, bytes).unwrap_or(0);
        str::from_utf8(&bytes[..end]).unwrap_or("")
    }

    /// The offset of a string. Tools that write BTF merge equal strings, and never a string with the end of
    /// another, so that the first place where it stands whole is the only one.
    fn find_string(&self, text: &str) -> Option<u32> {
        if let Some(found) = self.base.as_ref().and_then(|base| base.find_string(text)) {
            return Some(found);
        }
        let section = self.string_section();
        let mut needle = Vec::with_capacity(text.len() + 2);
        needle.push(0);
        needle.extend_from_slice(text.as_bytes());
        needle.push(0);
        // The first string of a split section has no NUL before it.
        let at =
            if section.starts_with(&needle[1..]) { 0 } else { memchr::memmem::find(section, &needle)? + 1 };
        self.first_string.checked_add(at as u32)
    }

    /// Looks a name up without an index: finds it among the strings, then compares every type's name offset.
    fn scan(&self, name: &str, kind: Kind) -> Option<TypeId> {
        let name = self.find_string(name)?;
        let mut from = 0;
        while let Some(at) = self.names.get(from..)?.iter().position(|&other| other == name) {
            let id = TypeId(self.first_type + (from + at) as u32);
            if self.kind(id) == Some(kind) {
                return Some(id);
            }
            from += at + 1;
        }
        None
    }

    fn type_section(&self) -> &[u8] {
        (*self.bytes).as_ref().get(self.types.clone()).unwrap_or(&[])
    }

    fn string_section(&self) -> &[u8] {
        (*self.bytes).as_ref().get(self.strings.clone()).unwrap_or(&[])
    }

    fn end_of_strings(&self) -> u32 {
        self.first_string.saturating_add(self.strings.len() as u32)
    }
}

impl fmt::Debug for Btf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Btf({} types)", self.len())
    }
}

/// The one pass: where each type starts, and its name. Ensures that every type lies inside the section.
fn locate_types(section: &[u8], first: u32) -> Result<(Vec<u32>, Vec<u32>), BtfError> {
    // A type takes about 28 bytes on average.
    let mut offsets = Vec::with_capacity(section.len() / 24);
    let mut names = Vec::with_capacity(section.len() / 24);
    let mut at = 0;
    while let Some(record) = section.get(at..).filter(|rest| !rest.is_empty()) {
        let id = || TypeId(first.saturating_add(offsets.len() as u32));
        let Some(head) = record.first_chunk::<12>() else {
            return Err(BtfError::TypeOutside { id: id() });
        };
        let kind = kind_number(head);
        let Some(extra) = EXTRA[kind as usize] else {
            return Err(BtfError::UnknownKind { id: id(), kind });
        };
        let len = 12 + usize::from(extra.always) + usize::from(extra.each) * vlen(head);
        if record.len() < len {
            return Err(BtfError::TypeOutside { id: id() });
        }
        let name = word(head, 0);
        offsets.push(at as u32);
        names.push(name);
        at += len;
    }
    Ok((offsets, names))
}

/// Every type starts with three words: name, info, and size or type. The info word is
///
/// ```text
///  31  30    24 23                   0
/// +---+--------+----------------------+
/// | f |  kind  |         vlen         |
/// +---+--------+----------------------+
/// ```
///
/// Kernels so far use five bits of the kind and sixteen of vlen, and leave the others zero.
fn kind_number(record: &[u8]) -> u32 {
    (word(record, 1) >> 24) & 0x7f
}

fn kind_of(record: &[u8]) -> Option<Kind> {
    Kind::of_number(kind_number(record))
}

fn vlen(record: &[u8]) -> usize {
    (word(record, 1) & 0xff_ffff) as usize
}

fn flag(record: &[u8]) -> bool {
    word(record, 1) >> 31 == 1
}

/// The little-endian word with this index; 0 past the end.
fn word(bytes: &[u8], index: usize) -> u32 {
    bytes.get(index * 4..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
}

/// Names to ids, for many look-ups: a hash table whose chains run through an array beside the types.
struct Index {
    /// The first type of each chain, as its position in `Btf::offsets`, or `END`.
    heads: Vec<u32>,
    next: Vec<u32>,
}

impl Index {
    const END: u32 = u32::MAX;

    fn new(btf: &Btf) -> Index {
        let count = btf.offsets.len();
        let buckets = count.next_power_of_two();
        let mut index = Index { heads: vec![Index::END; buckets], next: vec![Index::END; count] };
        let types = btf.type_section();
        // From the last to the first, so that a chain gives the first type of a name first.
        for (position, &offset) in btf.offsets.iter().enumerate().rev() {
            let record = types.get(offset as usize..).unwrap_or(&[]);
            if word(record, 0) == 0 || !kind_of(record).is_some_and(Kind::is_indexed) {
                continue;
            }
            let bucket = index.bucket(btf.string(word(record, 0)));
            index.next[position] = index.heads[bucket];
            index.heads[bucket] = position as u32;
        }
        index
    }

    fn find(&self, btf: &Btf, name: &str, kind: Kind) -> Option<TypeId> {
        let mut position = *self.heads.get(self.bucket(name))?;
        while position != Index::END {
            let id = TypeId(btf.first_type + position);
            if btf.kind(id) == Some(kind) && btf.name(id) == name {
                return Some(id);
            }
            position = self.next[position as usize];
        }
        None
    }

    fn bucket(&self, name: &str) -> usize {
        let mut hasher = FxHasher::default();
        hasher.write(name.as_bytes());
        hasher.finish() as usize & (self.heads.len() - 1)
    }
}
