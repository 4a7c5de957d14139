//! Lowering: the typed program becomes IR. Total: whatever `check` accepts has a lowering.
//!
//! - Scalars are SSA values, extended to 64 bits by their type; everything else is bytes at an [`Address`].
//! - A scalar variable of the script is a variable of the builder; any other lives in a slot.
//! - Kernel memory is read in one place (`memory.rs`), in the form that the [`Target`] allows.
//! - What may go wrong while a program runs is counted at a [`Site`], on a cold path of its own.

use cranelift_entity::{PrimaryMap, SecondaryMap};
use rtscript_lang::provider::ProgramKind;
use rtscript_lang::record::{self, globals};
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{self, LocalId, MapId, Probe, Program, StmtKind};
use rtscript_lang::types::{StructId, Type};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::insn::{AluOp, AtomicOp, Cond, Size};
use crate::ir::builder::{Builder, Variable};
use crate::ir::{Block, Function, Module, Op, Operand, Place, Role, Slot, Value};
use crate::object::{
    Access, AccessId, Manifest, MapDef, MapInfo, MapKind, MapRef, ProgramInfo, Site, SiteKind, Table,
};
use crate::target::Target;

mod address;
mod aggregate;
mod bytes;
mod context;
mod each;
mod effect;
mod event;
mod expr;
mod intrinsic;
mod iteration;
mod label;
mod map;
mod memory;
mod operand;
mod process;
mod search;
mod series;
mod statement;
mod text;
mod user;

/// Bytes of the ring buffer where the script does not say.
const RING_SIZE: u32 = 4 << 20;
/// Bytes of the ring for control events that found the main one full, and of a ring that has no others.
const RESERVE_RING_SIZE: u32 = 64 << 10;
const PAGE: u32 = 4096;
/// Where a function compares more values than this, it compares copies of them (see `ir/builder.rs`).
const MANY_COMPARED: u32 = 24;

/// Lowers every probe, and lays out the maps and globals that they share.
pub fn lower(program: &Program, target: Target) -> Module {
    let mut shared = Shared::new(program, target);
    let functions =
        program.probes.iter().enumerate().map(|(index, probe)| function(&mut shared, probe, index)).collect();
    shared.finish(functions)
}

fn function<'p>(shared: &mut Shared<'p>, probe: &'p Probe, index: usize) -> Function {
    let (function, compared) = Lowering::new(shared, probe, index).run();
    if compared <= MANY_COMPARED {
        return function;
    }
    let mut careful = Lowering::new(shared, probe, index);
    careful.b.compare_copies();
    careful.run().0
}

/// What all programs of a script share.
struct Shared<'p> {
    program: &'p Program,
    target: Target,
    maps: PrimaryMap<MapRef, MapDef>,
    storage: SecondaryMap<MapId, Option<MapRef>>,
    globals: MapRef,
    ring: Option<MapRef>,
    reserve: Option<MapRef>,
    accesses: PrimaryMap<AccessId, Access>,
    access_ids: FxHashMap<Access, AccessId>,
    sites: Vec<Site>,
    site_ids: FxHashMap<Site, u32>,
    sites_offset: u32,
    /// How many zeros there are in the globals.
    zeros: u32,
    /// Of the probes that tell their targets apart by a table: where it lies in the globals.
    tables: FxHashMap<usize, u32>,
    /// The texts of numbers that programs want as text.
    texts: Vec<label::Texts>,
    /// The kernel's `task_struct`, if the checker met it.
    task_struct: Option<StructId>,
}

impl<'p> Shared<'p> {
    fn new(program: &'p Program, target: Target) -> Self {
        let mut maps = PrimaryMap::new();
        let mut storage = SecondaryMap::new();
        let mut zeros = 8;
        for (id, map) in &program.maps {
            let def = map_def(program, map, maps.len());
            zeros = zeros.max(def.value_size);
            if def.key_size > memory::COPY_BY_LOADS {
                zeros = zeros.max(def.key_size);
            }
            storage[id] = Some(maps.push(def));
        }
        let mut sites_offset = (globals::ZEROS + zeros).next_multiple_of(8);
        let mut tables = FxHashMap::default();
        for (index, probe) in program.probes.iter().enumerate() {
            if let Some(size) = probe.dispatch.as_ref().and_then(table_size) {
                tables.insert(index, sites_offset);
                sites_offset = (sites_offset + size).next_multiple_of(8);
            }
        }
        let texts = label::texts(program, &mut sites_offset);
        let globals = maps.push(MapDef {
            name: "globals".to_string(),
            kind: MapKind::MappedArray,
            key_size: 4,
            value_size: sites_offset,
            max_entries: 1,
        });
        let ring = |name: &str, bytes: u32| MapDef {
            name: name.to_string(),
            kind: MapKind::RingBuf,
            key_size: 0,
            value_size: 0,
            max_entries: bytes,
        };
        let pages = program.config.perf_rb_pages.map(|pages| {
            pages.clamp(1, 1 << 17).checked_next_power_of_two().map_or(RING_SIZE, |pages| pages * PAGE)
        });
        let sends = !program.actions.is_empty();
        let controls = program.actions.values().any(|action| action.is_control());
        let floods = program.actions.values().any(|action| !action.is_control());
        // Control events alone are few and small.
        let size = if floods { pages.unwrap_or(RING_SIZE) } else { RESERVE_RING_SIZE };
        let main = sends.then(|| maps.push(ring("events", size)));
        let reserve = (controls && floods).then(|| maps.push(ring("reserve", RESERVE_RING_SIZE)));
        let task_struct = program.structs.structs.iter().find_map(|(id, def)| {
            (def.name == "task_struct" && def.fields.is_some() && is_kernel(def)).then_some(id)
        });
        Shared {
            program,
            target,
            maps,
            storage,
            globals,
            ring: main,
            reserve,
            accesses: PrimaryMap::new(),
            access_ids: FxHashMap::default(),
            sites: Vec::new(),
            site_ids: FxHashMap::default(),
            sites_offset,
            zeros,
            tables,
            texts,
            task_struct,
        }
    }

    fn finish(mut self, functions: Vec<Function>) -> Module {
        let sites_size = self.sites.len() as u32 * globals::SITE_SIZE;
        self.maps[self.globals].value_size = (self.sites_offset + sites_size).next_multiple_of(8);
        let program = self.program;
        let cookies: FxHashMap<&str, u64> =
            (program.probe_names.iter().map(String::as_str)).zip(0..).collect();
        let cookie = |name: &str| cookies.get(name).copied().unwrap_or(0);
        let programs = program
            .probes
            .iter()
            .zip(&functions)
            .map(|(probe, function)| {
                let shift = if probe.context.program == ProgramKind::Kretprobe { 32 } else { 0 };
                ProgramInfo {
                    targets: probe.targets.iter().map(|t| (t.clone(), cookie(&t.name) << shift)).collect(),
                    span: probe.span,
                    dispatched: probe.dispatch.is_some(),
                    wants_all_registers: function.reads_other_registers(),
                }
            })
            .collect();
        let table = |(index, offset): (&usize, &u32)| {
            let probe = program.probes.get(*index)?;
            let dispatch = probe.dispatch.as_ref()?;
            let mut entries = vec![0; table_size(dispatch)? as usize / 4];
            for (number, target) in dispatch.numbers.iter().zip(&probe.targets) {
                if let Some(entry) = entries.get_mut(*number as usize) {
                    *entry = cookie(&target.name) as u32 + 1;
                }
            }
            Some(Table { offset: *offset, entries })
        };
        let mut tables: Vec<Table> = self.tables.iter().filter_map(table).collect();
        tables.extend(self.texts.iter().map(label::Texts::table));
        tables.sort_by_key(|table| table.offset);
        let maps = (program.maps.iter())
            .filter_map(|(id, map)| Some(MapInfo { map: map.clone(), storage: self.storage[id]? }))
            .collect();
        let manifest = Manifest {
            programs,
            actions: program.actions.clone(),
            maps,
            structs: program.structs.clone(),
            probe_names: program.probe_names.clone(),
            config: program.config.clone(),
            sites: self.sites,
            sites_offset: self.sites_offset,
            tables,
            ring: self.ring,
            reserve: self.reserve,
        };
        Module {
            functions,
            maps: self.maps,
            globals: self.globals,
            accesses: self.accesses,
            manifest,
            target: self.target,
            foreign: program.foreign.clone(),
        }
    }

    fn access(&mut self, access: Access) -> AccessId {
        if let Some(&id) = self.access_ids.get(&access) {
            return id;
        }
        let id = self.accesses.push(access.clone());
        self.access_ids.insert(access, id);
        id
    }

    /// The offset of a site's counter in the globals.
    fn site(&mut self, site: Site) -> u32 {
        let next = self.sites.len() as u32;
        let index = *self.site_ids.entry(site).or_insert(next);
        if index == next {
            self.sites.push(site);
        }
        self.sites_offset + index * globals::SITE_SIZE
    }
}

/// Bytes of the table from numbers to targets; a single target needs none.
fn table_size(dispatch: &typed::Dispatch) -> Option<u32> {
    let last = dispatch.numbers.iter().max()?;
    (dispatch.numbers.len() > 1).then(|| (last + 1) * 4)
}

fn is_kernel(def: &rtscript_lang::types::Struct) -> bool {
    match def.origin {
        rtscript_lang::types::Origin::Kernel(_) => true,
        rtscript_lang::types::Origin::Script => false,
    }
}

/// How the kernel stores a map of the script.
///
/// A scalar map is an array of one element, kept per CPU for aggregates, with a word behind the value that says
/// whether it was assigned.
fn map_def(program: &Program, map: &typed::Map, number: usize) -> MapDef {
    let structs = &program.structs;
    let per_cpu = matches!(map.value, Type::Aggregate(_));
    let letters = map.name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_');
    let name: String = "at_".chars().chain(letters).take(15).collect();
    let name = if map.name.is_empty() { format!("at_{number}") } else { name };
    match &map.key {
        None => MapDef {
            name,
            kind: if per_cpu { MapKind::PerCpuArray } else { MapKind::Array },
            key_size: 4,
            value_size: record::presence_offset(&map.value, structs) + 8,
            max_entries: 1,
        },
        Some(key) => {
            let kind = match (map.kind, per_cpu) {
                (typed::MapKind::Hash, false) => MapKind::Hash,
                (typed::MapKind::Hash | typed::MapKind::PerCpuHash, _) => MapKind::PerCpuHash,
                (typed::MapKind::LruHash, false) => MapKind::LruHash,
                (typed::MapKind::LruHash | typed::MapKind::PerCpuLruHash, _) => MapKind::PerCpuLruHash,
            };
            MapDef {
                name,
                kind,
                key_size: structs.layout(key).size,
                value_size: structs.layout(&map.value).size.next_multiple_of(8),
                max_entries: map.max_entries,
            }
        }
    }
}

/// One probe's lowering.
struct Lowering<'a, 'p> {
    shared: &'a mut Shared<'p>,
    program: &'p Program,
    probe: &'p Probe,
    b: Builder,
    locals: SecondaryMap<LocalId, Option<Storage>>,
    /// For `break` and `continue`, innermost last.
    loops: Vec<Loop>,
    /// What callbacks are named after.
    name: String,
    /// In the body of a loop over a map: how to leave it.
    round: Option<each::Round>,
    /// There, for each function around us, the outermost first: where the variables begin that it lends.
    areas: Vec<Value>,
    /// What the kernel calls for this program, so far.
    callbacks: Vec<Function>,
    /// Between reserving a record and sending it: others wait for it, so nothing may sleep.
    holds_record: bool,
    /// Whether something was lowered that may sleep.
    sleeps: bool,
    /// What is known on every path to here.
    known: Known,
    /// Of the probe.
    index: usize,
}

/// Where a variable of the script is.
#[derive(Clone, Copy)]
enum Storage {
    Scalar(Variable),
    Bytes(Slot),
    /// Bytes of a function that loops over a map, in whose body we are: so far from where the variables begin that it lends.
    Outside {
        area: usize,
        offset: i32,
    },
}

struct Loop {
    next: Block,
    after: Block,
}

/// Facts that hold at the current place, since the code before it established them.
#[derive(Clone, Default)]
struct Known {
    /// Pointers that were tested for lying in kernel memory.
    tested: FxHashSet<Value>,
    /// Addresses inside the context: pointers to the verifier, which allows no masks on them.
    in_context: FxHashSet<Value>,
    current_task: Option<Value>,
    pid_tgid: Option<Value>,
    uid_gid: Option<Value>,
    /// The address of four zero bytes: the key of scalar maps.
    zero_key: Option<Value>,
}

impl<'a, 'p> Lowering<'a, 'p> {
    fn new(shared: &'a mut Shared<'p>, probe: &'p Probe, index: usize) -> Self {
        let program = shared.program;
        let first = probe.targets.first().map_or("", |target| target.name.rsplit(':').next().unwrap_or(""));
        let letters = first.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_');
        let name: String = format!("p{index}_").chars().chain(letters).take(15).collect();
        let b = Builder::new(name, probe.context.program, Role::Program, probe.span);
        Lowering {
            shared,
            program,
            probe,
            b,
            locals: SecondaryMap::new(),
            loops: Vec::new(),
            name: format!("p{index}_each"),
            round: None,
            areas: Vec::new(),
            callbacks: Vec::new(),
            holds_record: false,
            sleeps: false,
            known: Known::default(),
            index,
        }
    }

    /// The function, and how many values its conditions compare.
    fn run(mut self) -> (Function, u32) {
        let probe = self.probe;
        if let Some(dispatch) = &probe.dispatch {
            self.dispatch(dispatch);
        }
        self.wait_for_room();
        self.make_locals(None, &probe.body);
        if let Some(predicate) = &self.probe.predicate {
            let (body, out) = (self.b.block(), self.b.block());
            self.condition(predicate, body, out);
            self.b.switch_sealed(out);
            self.b.ret(Operand::Imm(0));
            self.b.switch_sealed(body);
        }
        self.statements(&self.probe.body);
        let compared = self.b.compared();
        let mut function = self.b.finish();
        function.callbacks = self.callbacks;
        function.sleepable = self.sleeps;
        (function, compared)
    }

    /// Makes room for the variables that a body declares, of a probe or of a loop over a map.
    fn make_locals(&mut self, within: Option<LocalId>, body: &[typed::Stmt]) {
        // What is not assigned reads as zero, so a slot that is not assigned before everything else is cleared.
        let assigned_first = first_assignment(body);
        for (id, local) in &self.probe.locals {
            if local.within != within {
                continue;
            }
            if !local.addressed && (local.ty.is_scalar() || local.ty == Type::Void) {
                self.locals[id] = Some(Storage::Scalar(self.b.variable()));
                continue;
            }
            // No pass sees what an address that the script has is good for.
            let place = if local.addressed { Place::Scratch } else { Place::Anywhere };
            let slot = self.b.slot_in(place, self.structs().layout(&local.ty).size);
            self.locals[id] = Some(Storage::Bytes(slot));
            if Some(id) != assigned_first && Some(id) != within {
                let address = self.slot_address(slot);
                self.clear_value(&address, &local.ty);
            }
        }
    }

    /// Leaves the program unless the event is one of the probe's targets.
    fn dispatch(&mut self, dispatch: &typed::Dispatch) {
        let (go_on, out) = (self.b.block(), self.b.block());
        match (self.shared.tables.get(&self.index), dispatch.numbers.first()) {
            (Some(_), _) => {
                let entry = self.table_entry(dispatch);
                self.b.branch(Cond::Ne, entry, Operand::Imm(0), go_on, out);
            }
            (None, number) => {
                let wanted = number.map_or(0, |number| *number as i32);
                let number = self.context_scalar(dispatch.place, &Type::U64, self.probe.span);
                self.b.branch(Cond::Eq, number, Operand::Imm(wanted), go_on, out);
            }
        }
        self.b.switch_sealed(out);
        self.b.ret(Operand::Imm(0));
        self.b.switch_sealed(go_on);
    }

    /// What the probe's table says of the event: the target's cookie and 1, or 0 where it is none of the probe's.
    fn table_entry(&mut self, dispatch: &typed::Dispatch) -> Value {
        let offset = self.shared.tables.get(&self.index).copied().unwrap_or(globals::ZEROS);
        let length = dispatch.numbers.iter().max().map_or(0, |last| last + 1);
        let number = self.context_scalar(dispatch.place, &Type::U64, self.probe.span);
        let entry = self.b.variable();
        let zero = self.b.iconst(0);
        self.b.set(entry, zero);
        let (inside, done) = (self.b.block(), self.b.block());
        self.b.branch(Cond::Lt, number, Operand::Imm(length as i32), inside, done);
        self.b.switch_sealed(inside);
        let table = self.b.value(Op::GlobalAddr(offset));
        let distance = self.b.binary(AluOp::Lsh, number, Operand::Imm(2));
        let at = self.b.add(table, Operand::Value(distance));
        let found = self.b.load(Size::W, false, at, 0);
        self.b.set(entry, found);
        self.b.jump(done, &[]);
        self.b.switch_sealed(done);
        self.b.get(entry)
    }

    fn structs(&self) -> &'p rtscript_lang::types::Structs {
        &self.program.structs
    }

    /// Counts something that went wrong, in the current block.
    fn count_site(&mut self, kind: SiteKind, span: Span, error: Option<Value>) {
        let offset = self.shared.site(Site { kind, span });
        let counter = self.b.value(Op::GlobalAddr(offset));
        let one = self.b.iconst(1);
        self.b.effect(Op::Atomic {
            op: AtomicOp::Add,
            size: Size::W,
            base: counter,
            displacement: 0,
            value: one,
        });
        if let Some(error) = error {
            self.b.store(Size::W, counter, 4, Operand::Value(error));
        }
    }

    /// Counts a site where the comparison holds, and goes on either way.
    fn count_site_if(
        &mut self,
        cond: Cond,
        left: Value,
        right: Operand,
        site: (SiteKind, Span),
        error: Option<Value>,
    ) {
        let (cold, go_on) = (self.b.cold_block(), self.b.block());
        self.b.branch(cond, left, right, cold, go_on);
        self.b.switch_sealed(cold);
        self.count_site(site.0, site.1, error);
        self.b.jump(go_on, &[]);
        self.b.switch_sealed(go_on);
    }

    fn is_in_context(&self, base: Value) -> bool {
        self.known.in_context.contains(&base)
    }

    /// Lowers something whose knowledge must not outlive it, since not every path leads through it.
    fn branch_scope<R>(&mut self, lower: impl FnOnce(&mut Self) -> R) -> R {
        let known = self.known.clone();
        let result = lower(self);
        self.known = known;
        result
    }
}

/// The variable that the first statement assigns, if it does.
fn first_assignment(body: &[typed::Stmt]) -> Option<LocalId> {
    match body.first().map(|stmt| &stmt.kind) {
        Some(StmtKind::SetLocal(local, _)) => Some(*local),
        _ => None,
    }
}
