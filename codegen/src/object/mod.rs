//! The object: all that the stages after `compile` see.
//!
//! It holds the programs as instructions with relocations, the maps, what the kernel needs to relocate member
//! accesses, and the manifest: what user space must know to attach, to print, and to report.

mod btf;
mod elf;
mod ext;
mod functions;
mod text;

pub use functions::Functions;

use cranelift_entity::{PrimaryMap, entity_impl};
use rtscript_lang::action::{Action, ActionId};
use rtscript_lang::config::Config;
use rtscript_lang::provider::{ProgramKind, Target};
use rtscript_lang::syntax::source::{Sources, Span};
use rtscript_lang::typed::{Map, MapId};
use rtscript_lang::types::{StructId, Structs, Type};

use crate::insn::Insn;
use crate::ir::Role;

/// Compiled programs with everything that loading and running them needs.
#[derive(Debug)]
pub struct Object {
    /// In the order of `manifest.programs`.
    pub programs: Vec<Program>,
    pub maps: PrimaryMap<MapRef, MapDef>,
    pub globals: MapRef,
    pub accesses: PrimaryMap<AccessId, Access>,
    pub manifest: Manifest,
    /// The texts that spans point into: their lines go into the line information.
    pub sources: Sources,
}

#[derive(Debug)]
pub struct Program {
    /// At most 15 bytes of letters, digits and `_`.
    pub name: String,
    pub kind: ProgramKind,
    /// Whether the kernel must be told that it may sleep.
    pub sleepable: bool,
    pub insns: Vec<Insn>,
    /// In the order of instructions.
    pub relocations: Vec<Relocation>,
    /// From which instruction on which span holds; the first begins at 0.
    pub lines: Vec<Line>,
    /// What the kernel calls for it, and what it calls itself. Their code stands behind the program's, in this order.
    pub callbacks: Vec<Callback>,
}

/// A function behind a program: code that the kernel calls while the program waits for it, or that the program calls itself.
#[derive(Debug)]
pub struct Callback {
    /// At most 15 bytes of letters, digits and `_`.
    pub name: String,
    /// Which helper calls it; `None` where the program itself does.
    pub role: Option<Role>,
    pub insns: Vec<Insn>,
    /// As the program's.
    pub relocations: Vec<Relocation>,
    pub lines: Vec<Line>,
}

/// A value of an instruction that is known only when the program is loaded. `insn` is an index into
/// `Program::insns` (not a slot: `ld_imm64` counts once here).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    pub insn: u32,
    pub kind: RelocationKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocationKind {
    /// `ld_imm64` of a map's descriptor.
    Map(MapRef),
    /// `ld_imm64` of the address so many bytes into the globals.
    Global(u32),
    /// `ld_imm64` of one of the program's callbacks, by its place in `Program::callbacks`.
    Callback(u32),
    /// The call of a function that stands behind the program, by its place in `Program::callbacks`.
    Call(u32),
    /// The BTF id of a function of the kernel.
    Kfunc(Kfunc),
    /// An immediate or an offset that depends on where a member lies. The instruction already has the value that is
    /// right for the kernel that it was compiled for.
    Field(AccessId, FieldInfo),
}

/// The functions of the kernel that programs call, besides helpers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kfunc {
    ReadonlyCast,
    SessionIsReturn,
}

impl Kfunc {
    /// The kernel's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Kfunc::ReadonlyCast => "bpf_rdonly_cast",
            Kfunc::SessionIsReturn => "bpf_session_is_return",
        }
    }
}

/// Which fact about a member; the kernel's `bpf_core_relo_kind` numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FieldInfo {
    ByteOffset = 0,
    ShiftLeft = 4,
    ShiftRight = 5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub insn: u32,
    pub span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapRef(u32);
entity_impl!(MapRef, "map");

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessId(u32);
entity_impl!(AccessId, "access");

/// A map as the kernel creates it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDef {
    /// At most 15 bytes of letters, digits and `_`.
    pub name: String,
    pub kind: MapKind,
    /// In bytes; 0 for a ring buffer.
    pub key_size: u32,
    pub value_size: u32,
    /// Of a ring buffer: its size in bytes.
    pub max_entries: u32,
}

/// The kernel's map types that programs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapKind {
    Hash,
    /// One value per CPU, created without preallocation.
    PerCpuHash,
    LruHash,
    PerCpuLruHash,
    Array,
    PerCpuArray,
    /// An array with so many elements for each CPU, those of CPU 0 first: values may be larger than those of a per-CPU array.
    ArrayByCpu,
    RingBuf,
    /// An array that user space maps into its memory: the globals.
    MappedArray,
}

/// A member that programs read: a structure of the kernel and the way into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    pub root: StructId,
    /// Member by member, through nested and anonymous structures.
    pub steps: Vec<AccessStep>,
    /// In bytes, on the kernel that it was compiled for; of a bit-field, of its storage unit.
    pub offset: u32,
    /// Of a bit-field, on the kernel that it was compiled for: left and right shift in 64 bits.
    pub shifts: Option<(u8, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessStep {
    /// The index of a member in this structure.
    Field(StructId, u32),
    /// An element of an array.
    Element(u32),
}

/// What user space must know about the programs.
#[derive(Debug)]
pub struct Manifest {
    pub programs: Vec<ProgramInfo>,
    pub actions: PrimaryMap<ActionId, Action>,
    pub maps: PrimaryMap<MapId, MapInfo>,
    /// What the types of actions and maps refer to.
    pub structs: Structs,
    pub probe_names: Vec<String>,
    pub config: Config,
    /// In the order of their counters in the globals.
    pub sites: Vec<Site>,
    /// Where those counters begin in the globals.
    pub sites_offset: u32,
    /// What user space writes into the globals before anything runs.
    pub tables: Vec<Table>,
    /// The ring buffer that events come through; absent where no program sends any.
    pub ring: Option<MapRef>,
    /// The small ring for control events that found the main one full. Before the event's own bytes stands a `u64`:
    /// the main ring's producer position at that time, so that user space can put it in its place.
    pub reserve: Option<MapRef>,
}

impl Manifest {
    /// Whether anything that is printed has symbols of user programs.
    pub fn has_user_symbols(&self) -> bool {
        let mut fields = self.actions.values().filter_map(Action::record).flat_map(|record| &record.fields);
        let in_map =
            |info: &MapInfo| info.map.key.iter().chain([&info.map.value]).any(Type::has_user_symbols);
        fields.any(|field| field.ty.has_user_symbols()) || self.maps.values().any(in_map)
    }
}

/// What a program is attached to.
#[derive(Clone, Debug)]
pub struct ProgramInfo {
    /// With the cookie of each: its index in `Manifest::probe_names`, of a function's end in the upper half.
    pub targets: Vec<(Target, u64)>,
    pub span: Span,
    /// All targets are one event of the kernel, which is attached to once.
    pub dispatched: bool,
    /// It reads registers that the kernel keeps only where a trap leads to the program
    /// (see [`registers::is_kept_by_calls`](rtscript_lang::registers::is_kept_by_calls)).
    pub wants_all_registers: bool,
}

/// A table that programs read.
#[derive(Clone, Debug)]
pub struct Table {
    /// In the globals.
    pub offset: u32,
    /// To tell which target an event is, by the number that comes with it: the target's cookie and 1, or 0 where it is
    /// none of the program's. Or texts, each in the same number of bytes.
    pub entries: Vec<u32>,
}

/// A map of the script.
#[derive(Clone, Debug)]
pub struct MapInfo {
    pub map: Map,
    pub storage: MapRef,
}

/// A place in the script where something may go wrong while it runs, counted in the globals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    pub kind: SiteKind,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SiteKind {
    /// Memory that could not be read: the value was taken as zero.
    ReadFailed,
    /// A map had no room for a new element.
    MapFull,
    /// An element that was read and was not there: the value was taken as zero. Counted where every failure is asked for.
    LookupMissing,
    /// `delete` of an element that was not there.
    DeleteMissing,
    /// Division or modulo by zero: the result was taken as 1.
    DivideByZero,
    /// A loop ended since the kernel's limit was reached.
    LoopCut,
    /// A signal that the kernel did not send.
    SignalFailed,
    /// User memory that could not be written.
    WriteFailed,
}
