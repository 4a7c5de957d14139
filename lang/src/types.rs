//! The types of values: what they are, and how they lie in memory.
//!
//! One description serves every place where a value is stored: the stack, map keys, map values and
//! events. [`Structs::layout`] is the only place that knows sizes and alignments, and `record.rs` the
//! only one that puts several values behind one another.
//!
//! Kernel structures are interned by their BTF id, and their members are decoded when they are first
//! asked for (`from_btf.rs`), so a script that names `task_struct` does not decode half of the kernel.

use cranelift_entity::{PrimaryMap, entity_impl};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::aggregate::Aggregate;

/// The type of an expression, a variable, a map key or a map value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// No value: the result of an action.
    Void,
    /// One byte, 0 or 1.
    Bool,
    Int(Int),
    Enum(EnumId),
    /// Text that ends at its first NUL byte or at its capacity (in bytes, the NUL included).
    String(u32),
    /// A `u32` length, then this many bytes.
    Buffer(u32),
    Pointer(Box<Type>, Space),
    /// A structure or union of the kernel, or one that the script defines.
    Struct(StructId),
    /// Element type and number of elements.
    Array(Box<Type>, u32),
    Tuple(Vec<Type>),
    /// A tuple whose elements have names.
    Record(Vec<(String, Type)>),
    /// Return addresses, innermost first, ended by the first zero; [`Stack`] has the details.
    Stack(Stack),
    /// A kernel address that prints as a symbol.
    KernelSymbol,
    /// A user address and the process that it belongs to: `{ u64 address, u64 pid }`.
    UserSymbol,
    /// A network address: `{ u64 family, u8 bytes[16] }`, family 2 (IPv4) or 10 (IPv6).
    Inet,
    /// Six bytes of a hardware address.
    Mac,
    /// A time in nanoseconds that prints by this `strftime` format.
    Timestamp(String, Clock),
    /// A user id that prints as a name.
    Username,
    /// A number of 64 bits that prints as what it stands for.
    Label(Label),
    /// The id of an attach point, printed as its full name (index into `Program::probe_names`).
    Probe,
    /// What `count()` and its kin keep; only ever the value of a map.
    Aggregate(Aggregate),
}

/// Size in bytes (1, 2, 4 or 8) and sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Int {
    pub size: u8,
    pub signed: bool,
}

/// Whose memory a pointer points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    Kernel,
    User,
    /// One of both, as the address tells while the program runs.
    Either,
    /// The program's context: read by direct loads at constant offsets only.
    Context,
}

/// A stack as it lies in memory:
///
/// ```text
/// kernel:  address, address, …, 0
/// user:    process id (u64), address, address, …, 0
/// user, by build id:  process id (u64), { i32 status, u8 build_id[20], u64 offset }, …, all zero
/// ```
///
/// The process stands first, so that equal stacks of different processes are different keys, and so that a stack of
/// fewer frames is a prefix of one with more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stack {
    pub space: Space,
    /// The most return addresses that are kept.
    pub frames: u32,
    pub mode: StackMode,
}

impl Stack {
    /// The bytes before the first frame.
    pub fn header(self) -> u32 {
        match self.space {
            Space::User => 8,
            Space::Kernel | Space::Either | Space::Context => 0,
        }
    }

    /// The bytes of a frame.
    pub fn frame_size(self) -> u32 {
        match self.mode {
            StackMode::BuildId => 32,
            StackMode::Symbols | StackMode::Perf | StackMode::Raw => 8,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StackMode {
    /// `symbol+offset`.
    Symbols,
    /// Address, symbol and module, as perf prints them.
    Perf,
    /// Bare addresses.
    Raw,
    /// The build id of the file and the offset in it; of user stacks only.
    BuildId,
}

/// What a number stands for. `names.rs` has the texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// An error number.
    Error,
    Signal,
    /// A system call of this architecture.
    Syscall,
    /// The id of a cgroup, which prints as its path; of the hierarchies whose names match the pattern.
    Cgroup(String),
}

/// The clock that a time stamp was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    Boot,
    Monotonic,
    Tai,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StructId(u32);
entity_impl!(StructId, "struct");

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnumId(u32);
entity_impl!(EnumId, "enum");

/// A type of the kernel's BTF: module 0 is vmlinux, others count as `Kernel::modules` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BtfRef {
    pub module: u16,
    pub id: u32,
}

/// A structure or union.
#[derive(Clone, Debug)]
pub struct Struct {
    /// Without the word `struct`; empty for an anonymous one.
    pub name: String,
    pub union: bool,
    /// In bytes.
    pub size: u32,
    pub origin: Origin,
    /// `None` until they are first asked for.
    pub fields: Option<Vec<Field>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the kernel: members may lie elsewhere in another kernel, so accesses are relocated.
    Kernel(BtfRef),
    /// Defined by the script.
    Script,
}

#[derive(Clone, Debug)]
pub struct Field {
    /// Empty for an anonymous member, whose own members are reached through it.
    pub name: String,
    pub ty: Type,
    /// From the start of the structure.
    pub offset_bits: u32,
    /// The width of a bit-field.
    pub bits: Option<u8>,
}

#[derive(Clone, Debug)]
pub struct Enum {
    pub name: String,
    pub int: Int,
    /// Names and values, in the order of their definition.
    pub variants: Vec<(String, i64)>,
}

/// All structures and enumerations that a program's types refer to.
#[derive(Clone, Debug, Default)]
pub struct Structs {
    pub structs: PrimaryMap<StructId, Struct>,
    pub enums: PrimaryMap<EnumId, Enum>,
    /// What is interned already.
    pub struct_of_btf: FxHashMap<BtfRef, StructId>,
    pub enum_of_btf: FxHashMap<BtfRef, EnumId>,
    /// Those of programs and libraries, by a key of whoever read them.
    pub struct_of_file: FxHashMap<String, StructId>,
    pub enum_of_file: FxHashMap<String, EnumId>,
    /// Names that the kernel has no enumerator for: a search through all of them takes milliseconds.
    pub no_enumerators: FxHashSet<String>,
}

/// Size and alignment in bytes; the size is a multiple of the alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub size: u32,
    pub align: u32,
}

impl Label {
    /// Whether programs know its texts too, so that it can stand wherever a string can.
    pub fn is_text(&self) -> bool {
        match self {
            Label::Error | Label::Signal | Label::Syscall => true,
            Label::Cgroup(_) => false,
        }
    }
}

impl Int {
    pub const I8: Int = Int { size: 1, signed: true };
    pub const I16: Int = Int { size: 2, signed: true };
    pub const I32: Int = Int { size: 4, signed: true };
    pub const I64: Int = Int { size: 8, signed: true };
    pub const U8: Int = Int { size: 1, signed: false };
    pub const U16: Int = Int { size: 2, signed: false };
    pub const U32: Int = Int { size: 4, signed: false };
    pub const U64: Int = Int { size: 8, signed: false };
}

impl Type {
    pub const I64: Type = Type::Int(Int::I64);
    pub const U64: Type = Type::Int(Int::U64);
    pub const U32: Type = Type::Int(Int::U32);
    pub const I32: Type = Type::Int(Int::I32);

    pub fn pointer(to: Type, space: Space) -> Type {
        Type::Pointer(Box::new(to), space)
    }

    /// Whether symbols of user programs are part of its text.
    pub fn has_user_symbols(&self) -> bool {
        match self {
            Type::UserSymbol => true,
            Type::Stack(stack) => stack.space == Space::User && stack.mode != StackMode::Raw,
            Type::Array(element, _) => element.has_user_symbols(),
            Type::Tuple(types) => types.iter().any(Type::has_user_symbols),
            Type::Record(fields) => fields.iter().any(|(_, ty)| ty.has_user_symbols()),
            Type::Void
            | Type::Bool
            | Type::Int(_)
            | Type::Enum(_)
            | Type::String(_)
            | Type::Buffer(_)
            | Type::Pointer(..)
            | Type::Struct(_)
            | Type::KernelSymbol
            | Type::Inet
            | Type::Mac
            | Type::Timestamp(..)
            | Type::Username
            | Type::Label(_)
            | Type::Probe
            | Type::Aggregate(_) => false,
        }
    }

    /// The bytes that a string or a buffer may have, a string's NUL included; nothing for all others.
    pub fn capacity(&self) -> Option<u32> {
        if let Type::String(capacity) | Type::Buffer(capacity) = self { Some(*capacity) } else { None }
    }

    /// Whether a value is one number that a register holds; all others live in memory.
    pub fn is_scalar(&self) -> bool {
        match self {
            Type::Bool
            | Type::Int(_)
            | Type::Enum(_)
            | Type::Pointer(..)
            | Type::KernelSymbol
            | Type::Timestamp(..)
            | Type::Username
            | Type::Label(_)
            | Type::Probe => true,
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
            | Type::Aggregate(_) => false,
        }
    }
}

impl Structs {
    /// How a value lies in memory, wherever it is stored by us.
    ///
    /// Everything that is no scalar is aligned to eight bytes and padded to a multiple of eight, so that
    /// copies and comparisons go by whole words.
    pub fn layout(&self, ty: &Type) -> Layout {
        let words = |bytes: u32| Layout { size: bytes.next_multiple_of(8), align: 8 };
        let scalar = |bytes: u32| Layout { size: bytes, align: bytes };
        match ty {
            Type::Void => Layout { size: 0, align: 1 },
            Type::Bool => scalar(1),
            Type::Int(int) => scalar(u32::from(int.size)),
            Type::Enum(id) => scalar(u32::from(self.enums[*id].int.size)),
            Type::Pointer(..) | Type::KernelSymbol | Type::Timestamp(..) | Type::Label(_) | Type::Probe => {
                scalar(8)
            }
            Type::Username => scalar(4),
            Type::String(capacity) => words(*capacity),
            Type::Buffer(capacity) => words(4 + capacity),
            Type::Struct(id) => words(self.structs[*id].size),
            Type::Array(element, count) => words(self.size_in_memory(element) * count),
            Type::Tuple(types) => self.sequence(types.iter()),
            Type::Record(fields) => self.sequence(fields.iter().map(|(_, ty)| ty)),
            Type::Stack(stack) => words(stack.header() + stack.frames * stack.frame_size()),
            Type::UserSymbol => words(16),
            Type::Inet => words(24),
            Type::Mac => words(6),
            Type::Aggregate(aggregate) => words(aggregate.slots() * 8),
        }
    }

    /// The size by C's rules: what `sizeof` says, and the stride of arrays and pointers.
    pub fn size_in_memory(&self, ty: &Type) -> u32 {
        match ty {
            Type::Struct(id) => self.structs[*id].size,
            Type::Array(element, count) => self.size_in_memory(element) * count,
            Type::String(capacity) => *capacity,
            Type::Void => 1,
            Type::Mac => 6,
            Type::Bool
            | Type::Int(_)
            | Type::Enum(_)
            | Type::Buffer(_)
            | Type::Pointer(..)
            | Type::Tuple(_)
            | Type::Record(_)
            | Type::Stack(_)
            | Type::KernelSymbol
            | Type::UserSymbol
            | Type::Inet
            | Type::Timestamp(..)
            | Type::Username
            | Type::Label(_)
            | Type::Probe
            | Type::Aggregate(_) => self.layout(ty).size,
        }
    }

    /// The layout of several values behind one another, by C's rules.
    fn sequence<'t>(&self, types: impl Iterator<Item = &'t Type>) -> Layout {
        let mut whole = Layout { size: 0, align: 1 };
        for ty in types {
            let part = self.layout(ty);
            whole.size = whole.size.next_multiple_of(part.align) + part.size;
            whole.align = whole.align.max(part.align);
        }
        whole.size = whole.size.next_multiple_of(whole.align);
        whole
    }
}
