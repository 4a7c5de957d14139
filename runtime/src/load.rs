//! Loading: an object's maps are created, and its programs verified by the kernel.
//!
//! What runs at once needs no ELF, no relocation, and no BTF of its own unless it has callbacks: its instructions have the right offsets for this
//! kernel already, and all that is missing are the descriptors of the maps. Where the verifier refuses a program, the
//! last instruction that its log names leads to the script's line.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

use aya_obj::generated::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_F_SLEEPABLE, bpf_map_type, bpf_prog_type};
use cranelift_entity::PrimaryMap;
use miette::{Diagnostic, LabeledSpan};
use rtscript_codegen::insn::{Imm64, Insn};
use rtscript_codegen::object::{self, Kfunc, MapDef, MapKind, MapRef, Object, RelocationKind};
use rtscript_codegen::session::session as join;
use rtscript_lang::btf::Kind;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::ProgramKind;
use rtscript_lang::syntax::source::Span;

use crate::attach::{LoadAs, Loading};
use crate::bpf::{
    BPF_TRACE_KPROBE_SESSION, Map, MapSpec, Program, ProgramSpec, Rejection, errno, lift_memory_limit,
    load_btf, possible_cpus,
};
use crate::cli::Feature;
use crate::kernel::version;
use crate::kprobe_sessions::{Session, sessions};
use crate::list::provider_of;

/// A hash with more bytes than this takes its memory element by element: taking it at once would take long.
const PREALLOCATED: u64 = 1 << 20;

/// What a kernel of this release refuses is a fault of ours; older ones lack instructions and helpers that programs use.
const OLDEST: (u32, u32) = (6, 1);

/// A log with every instruction, and the statistics behind it.
const WHOLE_LOG: u32 = 2 | 4;

/// Verified programs and their maps. They live as long as this, or a link.
#[derive(Debug)]
pub struct Loaded {
    /// In the order of the object's.
    pub programs: Vec<LoadedProgram>,
    pub maps: PrimaryMap<MapRef, Map>,
}

/// A program of the object in the kernel.
#[derive(Debug, Default)]
pub struct LoadedProgram {
    /// One for all its targets, or one for each: with the positions of those that it serves.
    pub copies: Vec<(Range<usize>, Program)>,
    /// Of several copies, some may be refused: the positions of their targets.
    pub refused: Vec<(usize, io::Error)>,
    /// Whether its targets are attached by one call.
    pub together: bool,
    /// It serves a second program of the object, which then has no copy of its own.
    pub session: Option<Session>,
}

/// How an object is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions<'a> {
    /// The programs keep the verifier's log.
    pub logs: bool,
    /// What the kernel has and is not to be used.
    pub without: &'a [Feature],
}

/// Loads an object. Programs without a target are passed over. The kernel is asked for the ids of its functions, where programs
/// call them.
pub fn load(object: &Object, kernel: &dyn Kernel, options: LoadOptions<'_>) -> Result<Loaded, LoadError> {
    let cpus = possible_cpus().map_err(|error| LoadError::NoMap { name: "cpus".to_owned(), error })?;
    let mut maps = PrimaryMap::with_capacity(object.maps.len());
    for def in object.maps.values() {
        let map = match create(def, cpus) {
            // Before Linux 5.11 maps count as locked memory, of which a process may have little.
            Err(error) if errno(&error) == Some(libc::EPERM) && lift_memory_limit().is_ok() => {
                create(def, cpus)
            }
            map => map,
        };
        maps.push(map.map_err(|error| LoadError::NoMap { name: def.name.clone(), error })?);
    }
    let license = license(object);
    let mut paired = BTreeMap::new();
    if options.has_sessions() {
        for (begin, session) in sessions(object, kernel) {
            let end = session.end;
            if let Some(made) = load_session(begin, session, object, &maps, kernel, options)? {
                paired.insert(begin, made);
                paired.insert(end, LoadedProgram::default());
            }
        }
    }
    let mut programs = Vec::with_capacity(object.programs.len());
    for (index, program) in object.programs.iter().enumerate() {
        if let Some(made) = paired.remove(&index) {
            programs.push(made);
            continue;
        }
        let info = object.manifest.programs.get(index);
        if info.is_some_and(|info| info.targets.is_empty()) {
            programs.push(LoadedProgram::default());
            continue;
        }
        let insns = encode(program, object, &maps, kernel)?;
        let targets = info.map_or(&[][..], |info| &info.targets);
        let span = info.map_or(Span::default(), |info| info.span);
        let name = |index: usize| targets.get(index).map_or("", |(target, _)| target.name.as_str());
        let loading = match targets.first().and_then(|(target, _)| provider_of(target)) {
            Some(provider) => provider.loading(targets, kernel),
            None => Ok(Loading::Once(LoadAs::default())),
        };
        let whole = 0..targets.len();
        let (each, together) = match loading {
            Ok(Loading::Once(one)) => (vec![(whole, one)], false),
            // Where many are attached to by one call, the kernel does not keep all registers (6.14 and later).
            Ok(Loading::Together(_))
                if !options.has_multi(program.kind) || info.is_some_and(|info| info.wants_all_registers) =>
            {
                (vec![(whole, LoadAs::default())], false)
            }
            Ok(Loading::Together(one)) => (vec![(whole, one)], true),
            Ok(Loading::Each(each)) => ((0..).map(|at| at..at + 1).zip(each).collect(), false),
            Err(error) => return Err(LoadError::Unsupported { probe: name(0).to_owned(), error, span }),
        };
        let functions = program.functions();
        let btf = functions.as_ref().map(|functions| load_btf(&functions.btf)).transpose();
        let btf = btf.map_err(|rejection| refused(program, name(0), span, rejection))?;
        let mut made = LoadedProgram { together, ..LoadedProgram::default() };
        let count = each.len();
        for (served, one) in each {
            let spec = ProgramSpec {
                license: &license,
                log_level: if options.logs { WHOLE_LOG } else { 0 },
                expected_attach_type: one.attach_type.map_or(0, |kind| kind as u32),
                attach_btf_id: one.btf_id,
                attach_to: one.object.as_ref().map(|object| object.as_fd()),
                btf: btf.as_ref().map(|btf| btf.as_fd()),
                flags: if program.sleepable { BPF_F_SLEEPABLE } else { 0 },
                func_info: functions.as_ref().map_or(&[], |functions| &functions.records),
                ..ProgramSpec::new(kind(program.kind), &program.name, &insns)
            };
            match Program::load(&spec) {
                Ok(loaded) => made.copies.push((served, loaded)),
                Err(rejection) if made.refused.len() + 1 < count => {
                    made.refused.push((served.start, rejection.error));
                }
                Err(rejection) => return Err(refused(program, name(served.start), span, rejection)),
            }
        }
        programs.push(made);
    }
    Ok(Loaded { programs, maps })
}

/// Loads what serves two programs. Nothing where the kernel refuses it: each of them may fit where both are too much.
fn load_session(
    begin: usize,
    session: Session,
    object: &Object,
    maps: &PrimaryMap<MapRef, Map>,
    kernel: &dyn Kernel,
    options: LoadOptions<'_>,
) -> Result<Option<LoadedProgram>, LoadError> {
    let Some(program) = join(&object.programs[begin], &object.programs[session.end]) else {
        return Ok(None);
    };
    let insns = encode(&program, object, maps, kernel)?;
    let functions = program.functions();
    let Ok(btf) = functions.as_ref().map(|functions| load_btf(&functions.btf)).transpose() else {
        return Ok(None);
    };
    let spec = ProgramSpec {
        license: &license(object),
        log_level: if options.logs { WHOLE_LOG } else { 0 },
        expected_attach_type: BPF_TRACE_KPROBE_SESSION,
        btf: btf.as_ref().map(|btf| btf.as_fd()),
        func_info: functions.as_ref().map_or(&[], |functions| &functions.records),
        ..ProgramSpec::new(kind(program.kind), &program.name, &insns)
    };
    Ok(Program::load(&spec).ok().map(|loaded| LoadedProgram {
        copies: vec![(0..session.targets.len(), loaded)],
        together: true,
        session: Some(session),
        ..LoadedProgram::default()
    }))
}

fn license(object: &Object) -> CString {
    CString::new(object.manifest.config.license.as_str()).unwrap_or_else(|_| c"GPL".to_owned())
}

impl LoadOptions<'_> {
    fn has_sessions(&self) -> bool {
        self.has_multi(ProgramKind::Kprobe) && !self.without.contains(&Feature::KprobeSession)
    }

    /// Whether one call may attach to many places.
    fn has_multi(&self, kind: ProgramKind) -> bool {
        let feature = match kind {
            ProgramKind::Kprobe | ProgramKind::Kretprobe => Feature::KprobeMulti,
            ProgramKind::Uprobe => Feature::UprobeMulti,
            ProgramKind::RawTracepoint
            | ProgramKind::Tracepoint
            | ProgramKind::PerfEvent
            | ProgramKind::Fentry
            | ProgramKind::Fexit
            | ProgramKind::Iter => return true,
        };
        !self.without.contains(&feature)
    }
}

fn create(def: &MapDef, cpus: usize) -> io::Result<Map> {
    let kind = match def.kind {
        MapKind::Hash => bpf_map_type::BPF_MAP_TYPE_HASH,
        MapKind::PerCpuHash => bpf_map_type::BPF_MAP_TYPE_PERCPU_HASH,
        MapKind::LruHash => bpf_map_type::BPF_MAP_TYPE_LRU_HASH,
        MapKind::PerCpuLruHash => bpf_map_type::BPF_MAP_TYPE_LRU_PERCPU_HASH,
        MapKind::Array | MapKind::ArrayByCpu | MapKind::MappedArray => bpf_map_type::BPF_MAP_TYPE_ARRAY,
        MapKind::PerCpuArray => bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY,
        MapKind::RingBuf => bpf_map_type::BPF_MAP_TYPE_RINGBUF,
    };
    let bytes = u64::from(def.max_entries) * u64::from(def.key_size + def.value_size);
    let flags = match def.kind {
        MapKind::PerCpuHash => BPF_F_NO_PREALLOC,
        MapKind::Hash if bytes > PREALLOCATED => BPF_F_NO_PREALLOC,
        MapKind::MappedArray => BPF_F_MMAPABLE,
        MapKind::Hash
        | MapKind::LruHash
        | MapKind::PerCpuLruHash
        | MapKind::Array
        | MapKind::PerCpuArray
        | MapKind::ArrayByCpu
        | MapKind::RingBuf => 0,
    };
    let entries = match def.kind {
        MapKind::ArrayByCpu => def.max_entries.saturating_mul(cpus as u32),
        MapKind::Hash
        | MapKind::PerCpuHash
        | MapKind::LruHash
        | MapKind::PerCpuLruHash
        | MapKind::Array
        | MapKind::PerCpuArray
        | MapKind::RingBuf
        | MapKind::MappedArray => def.max_entries,
    };
    let spec = MapSpec::new(kind, &def.name, def.key_size, def.value_size, entries);
    Map::create(&MapSpec { flags, ..spec }, cpus)
}

pub fn kind(kind: ProgramKind) -> bpf_prog_type {
    match kind {
        ProgramKind::RawTracepoint => bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT,
        ProgramKind::Tracepoint => bpf_prog_type::BPF_PROG_TYPE_TRACEPOINT,
        ProgramKind::PerfEvent => bpf_prog_type::BPF_PROG_TYPE_PERF_EVENT,
        ProgramKind::Kprobe | ProgramKind::Kretprobe | ProgramKind::Uprobe => {
            bpf_prog_type::BPF_PROG_TYPE_KPROBE
        }
        ProgramKind::Fentry | ProgramKind::Fexit | ProgramKind::Iter => bpf_prog_type::BPF_PROG_TYPE_TRACING,
    }
}

/// The kernel's form of the instructions of a program and of its callbacks behind it, with descriptors in the place of
/// maps.
fn encode(
    program: &object::Program,
    object: &Object,
    maps: &PrimaryMap<MapRef, Map>,
    kernel: &dyn Kernel,
) -> Result<Vec<u64>, LoadError> {
    let mut bytes = Vec::with_capacity(program.insns.len() * 8);
    let starts = program.callback_starts();
    let mut ids = [None; 2];
    let (insns, relocations) = (&program.insns, &program.relocations);
    encode_function((insns, relocations), &starts, object, maps, (kernel, &mut ids), &mut bytes)?;
    for callback in &program.callbacks {
        let (insns, relocations) = (&callback.insns, &callback.relocations);
        encode_function((insns, relocations), &starts, object, maps, (kernel, &mut ids), &mut bytes)?;
    }
    Ok(bytes.chunks_exact(8).filter_map(|slot| Some(u64::from_le_bytes(*slot.first_chunk()?))).collect())
}

/// Appends a function's instructions. `starts` has the slots that the program's callbacks begin at, `ids` what is known
/// of the kernel's functions.
fn encode_function(
    (insns, relocations): (&[Insn], &[object::Relocation]),
    starts: &[u32],
    object: &Object,
    maps: &PrimaryMap<MapRef, Map>,
    (kernel, ids): (&dyn Kernel, &mut [Option<i32>; 2]),
    bytes: &mut Vec<u8>,
) -> Result<(), LoadError> {
    let fd = |map: MapRef| maps[map].as_fd().as_raw_fd();
    let mut relocations = relocations.iter().peekable();
    for (index, insn) in (0..).zip(insns) {
        let mut insn = *insn;
        while let Some(relocation) = relocations.next_if(|relocation| relocation.insn <= index) {
            match (relocation.kind, &mut insn) {
                (RelocationKind::Map(map), Insn::LdImm64 { imm, .. }) => *imm = Imm64::MapFd(fd(map)),
                (RelocationKind::Global(offset), Insn::LdImm64 { imm, .. }) => {
                    *imm = Imm64::MapValue { fd: fd(object.globals), offset };
                }
                (RelocationKind::Callback(callback), Insn::LdImm64 { imm, .. }) => {
                    let here = bytes.len() as i32 / 8;
                    let start = starts.get(callback as usize).copied().unwrap_or(0);
                    *imm = Imm64::Func(start as i32 - (here + 1));
                }
                (RelocationKind::Call(function), Insn::CallLocal { offset }) => {
                    let here = bytes.len() as i32 / 8;
                    let start = starts.get(function as usize).copied().unwrap_or(0);
                    *offset = start as i32 - (here + 1);
                }
                (RelocationKind::Kfunc(kfunc), Insn::CallKfunc { btf_id, .. }) => {
                    if ids[kfunc as usize].is_none() {
                        ids[kfunc as usize] = Some(kfunc_id(kfunc, kernel)?);
                    }
                    *btf_id = ids[kfunc as usize].unwrap_or(0);
                }
                // A member's place is right for this kernel already; no other instruction has the others.
                (
                    RelocationKind::Field(..)
                    | RelocationKind::Map(_)
                    | RelocationKind::Global(_)
                    | RelocationKind::Callback(_)
                    | RelocationKind::Call(_)
                    | RelocationKind::Kfunc(_),
                    _,
                ) => {}
            }
        }
        insn.encode(bytes);
    }
    Ok(())
}

fn kfunc_id(kfunc: Kfunc, kernel: &dyn Kernel) -> Result<i32, LoadError> {
    let found = kernel.btf().ok().and_then(|btf| btf.find(kfunc.name(), Kind::Func));
    found.map(|id| id.0 as i32).ok_or(LoadError::NoFunction { name: kfunc.name() })
}

/// Why an object could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The kernel cannot run programs for such targets: why.
    Unsupported {
        probe: String,
        error: io::Error,
        span: Span,
    },
    NoMap {
        name: String,
        error: io::Error,
    },
    /// The kernel does not have a function that programs call, or no BTF that names it.
    NoFunction {
        name: &'static str,
    },
    /// Nothing was verified: this kernel does not let such programs be loaded.
    Forbidden {
        probe: String,
        error: io::Error,
        span: Span,
    },
    /// The verifier of a kernel that is older than [`OLDEST`] refused a program.
    TooOld {
        probe: String,
        release: (u32, u32),
        reason: String,
        log: String,
        span: Span,
    },
    /// The verifier refused a program.
    Refused {
        probe: String,
        error: io::Error,
        /// The verifier's last words.
        reason: String,
        /// The whole log.
        log: String,
        span: Span,
    },
}

impl LoadError {
    /// The verifier's log, where there is one.
    pub fn log(&self) -> Option<&str> {
        match self {
            LoadError::Refused { log, .. } | LoadError::TooOld { log, .. } => Some(log),
            LoadError::Unsupported { .. }
            | LoadError::NoMap { .. }
            | LoadError::NoFunction { .. }
            | LoadError::Forbidden { .. } => None,
        }
    }
}

fn refused(program: &object::Program, probe: &str, whole: Span, rejection: Rejection) -> LoadError {
    let (probe, Rejection { error, log }) = (probe.to_owned(), rejection);
    if log.trim().is_empty() {
        return LoadError::Forbidden { probe, error, span: whole };
    }
    let slot = log.lines().rev().find_map(instruction);
    let span = slot.and_then(|slot| line_of(program, slot)).unwrap_or(whole);
    let (reason, release) = (last_words(&log).to_owned(), version());
    match release < OLDEST {
        true => LoadError::TooOld { probe, release, reason, log, span },
        false => LoadError::Refused { probe, error, reason, log, span },
    }
}

/// The number of the instruction that a line of the log is about: `12: (79) r1 = *(u64 *)(r1 +8)`.
fn instruction(line: &str) -> Option<usize> {
    let (number, rest) = line.split_once(": (")?;
    let is_opcode = rest.get(..2).is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_opcode { number.trim().parse().ok() } else { None }
}

/// The place in the script that an instruction slot was made for.
fn line_of(program: &object::Program, slot: usize) -> Option<Span> {
    let mut slots = 0;
    let callbacks = program.callbacks.iter().map(|callback| (&callback.insns, &callback.lines));
    for (insns, lines) in std::iter::once((&program.insns, &program.lines)).chain(callbacks) {
        let index = insns.iter().position(|insn| {
            slots += insn.slots();
            slots > slot
        });
        if let Some(index) = index {
            let line = lines.iter().take_while(|line| line.insn as usize <= index).last()?;
            return Some(line.span);
        }
    }
    None
}

/// What the verifier said last, before its statistics.
fn last_words(log: &str) -> &str {
    let is_statistics = |line: &&str| {
        line.starts_with("processed ")
            || line.starts_with("verification time")
            || line.starts_with("stack depth")
            || line.is_empty()
    };
    log.lines().rev().map(str::trim).find(|line| !is_statistics(line)).unwrap_or_default()
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Unsupported { probe, error, .. } => write!(f, "{probe} cannot be probed: {error}"),
            LoadError::NoMap { name, error } => {
                write!(f, "the kernel does not create the map {name}: {error}")
            }
            LoadError::NoFunction { name } => {
                write!(f, "the kernel's BTF does not name its function `{name}`")
            }
            LoadError::Forbidden { probe, error, .. } => {
                write!(f, "the kernel does not let the program of {probe} be loaded: {error}")
            }
            LoadError::TooOld { probe, release: (major, minor), reason, .. } => {
                write!(f, "Linux {major}.{minor} is too old for the program of {probe}: {reason}")
            }
            LoadError::Refused { probe, reason, .. } => {
                write!(f, "the kernel's verifier refuses the program of {probe}: {reason}")
            }
        }
    }
}

impl std::error::Error for LoadError {}

impl Diagnostic for LoadError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(match self {
            LoadError::Unsupported { .. } => "rt::attach-unsupported",
            LoadError::NoMap { .. } => "rt::no-map",
            LoadError::NoFunction { .. } => "rt::no-function",
            LoadError::Forbidden { .. } => "rt::forbidden",
            LoadError::TooOld { .. } => "rt::old-kernel",
            LoadError::Refused { .. } => "rt::verifier",
        }))
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (text, span) = match self {
            LoadError::NoMap { .. } | LoadError::NoFunction { .. } => return None,
            LoadError::Unsupported { span, .. } | LoadError::Forbidden { span, .. } => ("this probe", span),
            LoadError::TooOld { span, .. } => ("this kernel cannot run this", span),
            LoadError::Refused { span, .. } => ("the verifier stopped here", span),
        };
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some(text.to_owned()), *span))))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        match self {
            LoadError::NoMap { error, .. } if errno(error) == Some(libc::ENOMEM) => Some(Box::new(
                "there is not enough memory for it: max_map_keys or perf_rb_pages may be too large",
            )),
            LoadError::NoMap { error, .. } if errno(error) == Some(libc::E2BIG) => Some(Box::new(
                "its keys or values are larger than this kernel allows: max_strlen may be too large",
            )),
            LoadError::NoMap { error, .. } if errno(error) == Some(libc::EPERM) => Some(Box::new(
                "the kernel allows it to root of the first user namespace, and not to root of a namespace of its own",
            )),
            LoadError::Forbidden { error, .. } if errno(error) == Some(libc::EPERM) => Some(Box::new(
                "this kernel forbids programs of this kind, although the process has the capabilities to trace",
            )),
            LoadError::Unsupported { .. }
            | LoadError::NoMap { .. }
            | LoadError::NoFunction { .. }
            | LoadError::Forbidden { .. } => None,
            LoadError::TooOld { .. } => Some(Box::new(
                "rtscript is made for Linux 6.1 and later, and does here what it can; -v shows the verifier's log",
            )),
            LoadError::Refused { .. } => Some(Box::new(
                "this is a fault of rtscript: please report it with the script; -v shows the log",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use rtscript_codegen::insn::{AluOp, Operand, Reg, Width};
    use rtscript_codegen::object::Line;

    use super::*;

    const LOG: &str = "0: R1=ctx() R10=fp0\n0: (18) r2 = 0xffff\n2: (79) r1 = *(u64 *)(r3 +8)\nR3 !read_ok\n\
        processed 2 insns (limit 1000000) max_states_per_insn 0\n";

    #[test]
    fn a_log_leads_to_the_place_in_the_script() {
        let mov = Insn::Alu { width: Width::W64, op: AluOp::Mov, dst: Reg::R0, src: Operand::Imm(0) };
        let program = object::Program {
            name: "p".to_owned(),
            kind: ProgramKind::RawTracepoint,
            sleepable: false,
            insns: vec![Insn::LdImm64 { dst: Reg::R2, imm: Imm64::Value(0xffff) }, mov, Insn::Exit],
            relocations: Vec::new(),
            lines: vec![
                Line { insn: 0, span: Span::new(0, 5) },
                Line { insn: 1, span: Span::new(5, 9) },
                Line { insn: 2, span: Span::new(9, 10) },
            ],
            callbacks: vec![object::Callback {
                role: Some(rtscript_codegen::ir::Role::EachElement),
                name: "c".to_owned(),
                insns: vec![Insn::Exit],
                relocations: Vec::new(),
                lines: vec![Line { insn: 0, span: Span::new(3, 4) }],
            }],
        };
        let rejection =
            |log: &str| Rejection { error: io::Error::from_raw_os_error(libc::EACCES), log: log.to_owned() };
        let LoadError::Refused { reason, span, .. } =
            refused(&program, "begin", Span::new(0, 10), rejection(LOG))
        else {
            panic!("a log means that the verifier refused it")
        };
        assert_eq!((reason.as_str(), span), ("R3 !read_ok", Span::new(5, 9)));
        let error = refused(&program, "begin", Span::new(0, 10), rejection(""));
        assert!(matches!(error, LoadError::Forbidden { .. }));
        assert_eq!(line_of(&program, 4), Some(Span::new(3, 4)));
        assert_eq!(line_of(&program, 100), None);
    }
}
