//! `rawtracepoint`: an event of the kernel as its code raises it, with the arguments of the call.
//!
//! All is in BTF. `btf_trace_NAME` is a typedef of the event's function type, whose first parameter is the
//! tracer's own; `__traceiter_NAME` is the function that calls the tracers, and its parameters have the names.
//! So neither tracefs nor root is needed to compile and to list. The arguments are the words of the context.

use std::ffi::CString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rtscript_lang::btf::{Btf, Kind, Type as BtfType, TypeId};
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{Arg, AttachError, Context, Expansion, Place, ProgramKind, Provider, Target};
use rtscript_lang::types::{Int, Space, Structs, Type};

use super::nearest::nearest;
use super::pattern::{is_wildcard, matches};
use crate::attach::{Attach, Environment};
use crate::bpf::attach_raw_tracepoint;

pub struct RawTracepoint;

const NAME: &str = "rawtracepoint";
const FORM: &str = "rawtracepoint:EVENT or rawtracepoint:MODULE:EVENT";
/// The kernel itself, the first of all modules.
const VMLINUX: &str = "vmlinux";
/// What the name of an event's typedef starts with.
const TYPEDEF: &str = "btf_trace_";
/// What the name of an event's function starts with.
const FUNCTION: &str = "__traceiter_";
/// The kernel passes no more arguments than this.
const MAX_ARGS: usize = 12;

impl Provider for RawTracepoint {
    fn names(&self) -> &'static [&'static str] {
        &[NAME, "rt"]
    }

    fn doc(&self) -> &'static str {
        "An event of the kernel, with the arguments as its code passes them: the cheapest probe."
    }

    fn expand(&self, point: &str, kernel: &dyn Kernel) -> Result<Expansion, AttachError> {
        let (module, event) = split(point)?;
        if is_wildcard(point) {
            let targets = all_matching(module, event, kernel)?;
            return if targets.is_empty() {
                Err(AttachError::NoMatch)
            } else {
                Ok(Expansion { targets, wildcard: true })
            };
        }
        let found = find(module, event, kernel)?;
        Ok(Expansion {
            targets: vec![target(&kernel.modules()?[usize::from(found)], event)],
            wildcard: false,
        })
    }

    fn context(
        &self,
        target: &Target,
        kernel: &dyn Kernel,
        structs: &mut Structs,
    ) -> Result<Context, AttachError> {
        let (module, event) = split(target.point())?;
        let module = find(module, event, kernel)?;
        let btf = kernel.module_btf(module)?;
        let params = params(btf, event);
        let word = |index: usize| Place::Word(index as u32 * 8);
        let words = (0..params.len()).map(word).collect();
        let args = (0..)
            .zip(params)
            .map(|(index, (name, id))| Arg {
                name,
                ty: arg_type(btf, module, id, structs),
                place: word(index),
            })
            .collect();
        Ok(Context { program: ProgramKind::RawTracepoint, args, words, retval: None, space: Space::Kernel })
    }

    fn list(&self, pattern: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        let (module, event) = split(pattern)?;
        all_matching(module, event, kernel)
    }

    fn describe(&self, target: &Target, kernel: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        let (module, event) = split(target.point())?;
        let btf = kernel.module_btf(find(module, event, kernel)?)?;
        Ok(params(btf, event).iter().map(|(name, id)| btf.declare(*id, name)).collect())
    }
}

impl Attach for RawTracepoint {
    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        _: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        // The kernel knows events by their names alone.
        let event = target.point().rsplit(':').next().unwrap_or_default();
        let event = CString::new(event).map_err(io::Error::other)?;
        Ok(vec![attach_raw_tracepoint(program, &event, cookie)?])
    }
}

fn target(module: &str, event: &str) -> Target {
    Target { provider: NAME, name: format!("{NAME}:{module}:{event}") }
}

/// `MODULE:EVENT`, or `EVENT` alone, which may be of any module.
fn split(point: &str) -> Result<(Option<&str>, &str), AttachError> {
    let (module, event) = match point.split_once(':') {
        Some((module, event)) => (Some(module), event),
        None => (None, point),
    };
    if event.is_empty() || event.contains(':') || module == Some("") {
        return Err(AttachError::Form { expected: FORM });
    }
    Ok((module, event))
}

/// The module that has an event, by its position: the kernel itself before the others.
fn find(module: Option<&str>, event: &str, kernel: &dyn Kernel) -> Result<u16, AttachError> {
    let typedef = format!("{TYPEDEF}{event}");
    // What the kernel itself has is found without a look at the modules.
    if matches!(module, None | Some(VMLINUX)) && kernel.btf()?.find(&typedef, Kind::Typedef).is_some() {
        return Ok(0);
    }
    for (position, name) in (0..).zip(kernel.modules()?).skip(1) {
        if module.is_none_or(|module| module == name)
            && kernel.module_btf(position)?.find(&typedef, Kind::Typedef).is_some_and(|id| {
                // A module finds the kernel's own too.
                kernel.btf().is_ok_and(|btf| id.0 as usize >= btf.len())
            })
        {
            return Ok(position);
        }
    }
    Err(unknown(module, event, kernel))
}

fn unknown(module: Option<&str>, event: &str, kernel: &dyn Kernel) -> AttachError {
    let name = match module {
        Some(module) => format!("{module}:{event}"),
        None => event.to_owned(),
    };
    let all = all_matching(None, "*", kernel).unwrap_or_default();
    let events = all.iter().filter_map(|target| Some(target.point().split_once(':')?.1));
    AttachError::Unknown { what: "raw tracepoint".to_owned(), name, nearest: nearest(event, events) }
}

/// By name, for BTF has them in no order that means anything.
fn all_matching(module: Option<&str>, event: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
    let mut targets = Vec::new();
    for (position, name) in (0..).zip(kernel.modules()?) {
        if !module.is_none_or(|module| matches(module, name)) {
            continue;
        }
        let typedefs = kernel.module_btf(position)?.of_kind(Kind::Typedef);
        let mut events: Vec<&str> = typedefs
            .filter_map(|(_, typedef)| typedef.strip_prefix(TYPEDEF))
            .filter(|found| matches(event, found))
            .collect();
        events.sort_unstable();
        events.dedup();
        targets.extend(events.into_iter().map(|event| target(name, event)));
    }
    Ok(targets)
}

/// Names and types of an event's arguments, without the tracer's own.
fn params(btf: &Btf, event: &str) -> Vec<(String, TypeId)> {
    let types = btf.find(&format!("{TYPEDEF}{event}"), Kind::Typedef).and_then(|typedef| {
        let BtfType::Typedef(typedef) = btf.ty(typedef) else { return None };
        let BtfType::Ptr(proto) = btf.ty(btf.resolve(typedef.target).id) else { return None };
        Some(proto)
    });
    let names = btf.find(&format!("{FUNCTION}{event}"), Kind::Func).and_then(|function| {
        let BtfType::Func(function) = btf.ty(function) else { return None };
        Some(function.proto)
    });
    let params = |proto: Option<TypeId>| match proto.map(|proto| btf.ty(proto)) {
        Some(BtfType::FuncProto(proto)) => proto.params().skip(1).take(MAX_ARGS).collect(),
        Some(_) | None => Vec::new(),
    };
    let names = params(names);
    let named = |index: usize| names.get(index).map(|param| param.name).filter(|name| !name.is_empty());
    params(types)
        .into_iter()
        .enumerate()
        .map(|(index, param)| {
            let name = named(index).map_or_else(|| format!("arg{index}"), str::to_owned);
            (name, param.ty)
        })
        .collect()
}

/// A small structure that is passed by value travels in the word as its bytes.
fn arg_type(btf: &Btf, module: u16, id: TypeId, structs: &mut Structs) -> Type {
    let ty = structs.of_btf(btf, module, id);
    if ty.is_scalar() {
        return ty;
    }
    match btf.size_of(id) {
        Some(size @ (1 | 2 | 4)) => Type::Int(Int { size: size as u8, signed: false }),
        Some(_) | None => Type::U64,
    }
}
