//! `uprobe` and `uretprobe`: an instruction of a program or library, or the return of a function of it.
//!
//! An attach point names a file and a place in it:
//!
//! ```text
//! /bin/bash:readline        a function, by its symbol; wildcards in both parts
//! libc:malloc               a library or program that is found as the system finds it
//! bash:readline+8  bash:0x47e20
//! app:cpp:"name::of(int)"   a function by its name in C++ or Rust, with or without its parameters
//! app@file.c:42[:7]         a line, and a column, of the source
//! ```
//!
//! Arguments are words of the registers and then of the stack, by the convention of the processor (`registers.rs`); where the file has debug information they
//! have names and types as well. Targets have the path that the file was found by, and a symbol or an address.

mod code;
pub(super) mod files;
mod point;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use aya_obj::generated::bpf_attach_type;
use rtscript_lang::btf;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{
    Arg, AttachError, Context, Expansion, Place, ProgramKind, Provider, Target, UserAddress,
};
use rtscript_lang::types::{Space, Structs, Type};
use rustc_hash::{FxHashMap, FxHashSet};

use super::nearest::nearest;
use super::pattern::{is_wildcard, matches};
use super::registers::{self, ARCH};
use crate::attach::{Attach, Environment, LoadAs, Loading};
use crate::bpf::{attach_perf_event, attach_uprobe_multi, errno, perf};
use crate::dwarf::{Dwarf, Function, Handed};
use crate::elf::{Elf, ElfError, Kind, Symbol};
use point::{At, Point};

/// Where a function begins, or any instruction.
pub struct Uprobe;
/// Where a function returns to.
pub struct Uretprobe;

/// What the kernel says of instructions that it cannot execute elsewhere; the C library has no name for it.
const ENOTSUPP: i32 = 524;
/// `arg0` to `arg9`.
const WORDS: u32 = 10;

impl Provider for Uprobe {
    fn names(&self) -> &'static [&'static str] {
        &["uprobe", "u"]
    }

    fn doc(&self) -> &'static str {
        "A function, or any instruction, of a program or library."
    }

    fn expand(&self, point: &str, kernel: &dyn Kernel) -> Result<Expansion, AttachError> {
        expand(self.names()[0], &Point::parse(point)?, Names::OneEach, kernel)
    }

    fn context(
        &self,
        target: &Target,
        kernel: &dyn Kernel,
        structs: &mut Structs,
    ) -> Result<Context, AttachError> {
        let function = function(target, kernel, structs);
        let args = function.map_or_else(Vec::new, |function| arguments(&function));
        Ok(Context { args, ..self.context_without_types(target, kernel, structs)? })
    }

    fn context_without_types(
        &self,
        _: &Target,
        _: &dyn Kernel,
        _: &mut Structs,
    ) -> Result<Context, AttachError> {
        let (args, words) = (Vec::new(), (0..WORDS).map(|index| registers::argument(index, ARCH)).collect());
        Ok(Context { program: ProgramKind::Uprobe, args, words, retval: None, space: Space::User })
    }

    fn is_in_files(&self) -> bool {
        true
    }

    fn list(&self, pattern: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        list(self.names()[0], pattern, kernel)
    }

    fn describe(&self, target: &Target, kernel: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        let Some(function) = function(target, kernel, &mut Structs::default()) else { return Ok(Vec::new()) };
        let parameters = function.parameters.iter().filter(|it| !it.name.is_empty() && it.handed.is_some());
        Ok(parameters.map(|parameter| format!("{} {}", parameter.in_c, parameter.name)).collect())
    }

    fn user_address(&self, target: &Target, name: &str) -> Result<Option<UserAddress>, AttachError> {
        user_address(target, name)
    }
}

impl Provider for Uretprobe {
    fn names(&self) -> &'static [&'static str] {
        &["uretprobe", "ur"]
    }

    fn doc(&self) -> &'static str {
        "The return of a function of a program or library."
    }

    fn expand(&self, point: &str, kernel: &dyn Kernel) -> Result<Expansion, AttachError> {
        let point = Point::parse(point)?;
        if !matches!(&point.at, At::Function { offset: 0, .. } | At::Source(_)) {
            return Err(AttachError::Unsupported { reason: "only whole functions return".to_owned() });
        }
        expand(self.names()[0], &point, Names::OneEach, kernel)
    }

    fn context(
        &self,
        target: &Target,
        kernel: &dyn Kernel,
        structs: &mut Structs,
    ) -> Result<Context, AttachError> {
        let result = function(target, kernel, structs).and_then(|function| function.result);
        // An address of anything is a number, as it is where nothing is known: scripts count and compare it.
        let is_telling = |ty: &Type| ty.is_scalar() && *ty != Type::pointer(Type::Void, Space::User);
        let ty = result.filter(is_telling).unwrap_or(Type::U64);
        let retval = Arg { name: "retval".to_owned(), ty, place: Place::Word(registers::returned(ARCH)) };
        Ok(Context { retval: Some(retval), ..self.context_without_types(target, kernel, structs)? })
    }

    fn context_without_types(
        &self,
        _: &Target,
        _: &dyn Kernel,
        _: &mut Structs,
    ) -> Result<Context, AttachError> {
        let (args, words) = (Vec::new(), Vec::new());
        Ok(Context { program: ProgramKind::Uprobe, args, words, retval: None, space: Space::User })
    }

    fn is_at_return(&self) -> bool {
        true
    }

    fn is_in_files(&self) -> bool {
        true
    }

    fn list(&self, pattern: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        list(self.names()[0], pattern, kernel)
    }

    fn is_the_end(&self) -> bool {
        true
    }

    fn describe(&self, target: &Target, kernel: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        let function = function(target, kernel, &mut Structs::default());
        let result = function.filter(|function| function.result.is_some());
        Ok(result.iter().map(|function| format!("{} retval", function.result_in_c)).collect())
    }

    fn user_address(&self, target: &Target, name: &str) -> Result<Option<UserAddress>, AttachError> {
        user_address(target, name)
    }
}

impl Attach for Uprobe {
    fn loading(&self, targets: &[(Target, u64)], kernel: &dyn Kernel) -> io::Result<Loading> {
        Ok(loading(targets, kernel))
    }

    fn attach_together(
        &self,
        targets: &[(Target, u64)],
        program: BorrowedFd<'_>,
        environment: &Environment<'_>,
    ) -> io::Result<OwnedFd> {
        attach_together(targets, false, program, environment)
    }

    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        attach(target, false, program, cookie, environment)
    }
}

impl Attach for Uretprobe {
    fn loading(&self, targets: &[(Target, u64)], kernel: &dyn Kernel) -> io::Result<Loading> {
        Ok(loading(targets, kernel))
    }

    fn attach_together(
        &self,
        targets: &[(Target, u64)],
        program: BorrowedFd<'_>,
        environment: &Environment<'_>,
    ) -> io::Result<OwnedFd> {
        attach_together(targets, true, program, environment)
    }

    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        attach(target, true, program, cookie, environment)
    }
}

fn expand(
    provider: &'static str,
    point: &Point,
    names: Names,
    kernel: &dyn Kernel,
) -> Result<Expansion, AttachError> {
    expand_in(&files::find(&point.file, kernel.process()), provider, point, names, kernel)
}

/// The places in these files, which are those that the point means.
fn expand_in(
    files: &[PathBuf],
    provider: &'static str,
    point: &Point,
    names: Names,
    kernel: &dyn Kernel,
) -> Result<Expansion, AttachError> {
    if files.is_empty() {
        return Err(match &point.file[..] {
            "*" => AttachError::Form { expected: "uprobe:FILE:FUNCTION (a FILE of * needs -p PID)" },
            name => AttachError::Unknown {
                what: "program or library".to_owned(),
                name: name.to_owned(),
                nearest: Vec::new(),
            },
        });
    }
    let wildcard = is_wildcard(&point.file) || point.at.is_wildcard();
    let mut targets = Vec::new();
    for file in files {
        match places(file, &point.at, names, kernel) {
            Ok(found) => targets.extend(found.iter().map(|place| target(provider, file, place))),
            // What a wildcard finds may be anything.
            Err(_) if is_wildcard(&point.file) => {}
            Err(error) => return Err(error),
        }
    }
    match (targets.is_empty(), wildcard) {
        (true, true) => Err(AttachError::NoMatch),
        // A line may have code in several places, and a name in C++ several functions.
        (_, wildcard) => Ok(Expansion { wildcard: wildcard || targets.len() > 1, targets }),
    }
}

fn list(provider: &'static str, pattern: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
    let pattern = if pattern.contains(':') { pattern.to_owned() } else { format!("{pattern}:*") };
    let Ok(point) = Point::parse(&pattern) else { return Ok(Vec::new()) };
    let files = files::find_all(&point.file, kernel.process());
    match expand_in(&files, provider, &point, Names::All, kernel) {
        Ok(expansion) => Ok(expansion.targets),
        Err(AttachError::NoMatch | AttachError::Unknown { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn target(provider: &'static str, file: &Path, place: &str) -> Target {
    Target { provider, name: format!("{provider}:{}:{place}", file.display()) }
}

/// The places in a file, as they stand in targets.
fn places(file: &Path, at: &At, names: Names, kernel: &dyn Kernel) -> Result<Vec<String>, AttachError> {
    let elf = open(file)?;
    match at {
        At::Function { name, .. } if is_wildcard(name) => {
            Ok(functions(&elf, names, &|symbol| matches(name, symbol))
                .into_iter()
                .map(str::to_owned)
                .collect())
        }
        At::Function { name, offset } => {
            let symbol = elf.symbol(name).ok_or_else(|| unknown_function(&elf, name))?;
            if symbol.kind == Kind::Resolver && code::chosen(&elf, name).is_none() {
                let reason = format!(
                    "`{name}` of {} chooses another function when a program starts, and which one cannot be told",
                    file.display()
                );
                return Err(AttachError::Unsupported { reason });
            }
            if *offset > 0 && symbol.size > 0 && *offset >= symbol.size {
                let reason = format!("`{name}` has {} bytes", symbol.size);
                return Err(AttachError::Unsupported { reason });
            }
            begins_an_instruction(&elf, &symbol, *offset)?;
            Ok(vec![match offset {
                0 => name.clone(),
                offset => format!("{name}+{offset}"),
            }])
        }
        At::Address(address) => match elf.file_offset(*address) {
            Some(_) => {
                if let Some(function) = elf.symbols().into_iter().find(|symbol| is_within(symbol, *address)) {
                    begins_an_instruction(&elf, &function, address - function.address)?;
                }
                Ok(vec![format!("{address:#x}")])
            }
            None => {
                let what = format!("{} has no code at {address:#x}", file.display());
                Err(AttachError::Unsupported { reason: what })
            }
        },
        At::Source(name) => {
            let found = functions(&elf, names, &|symbol| point::is_named(symbol, name));
            if found.is_empty() && !is_wildcard(name) {
                return Err(unknown_function(&elf, name));
            }
            Ok(found.into_iter().map(str::to_owned).collect())
        }
        At::Line { file: source, line, column } => {
            let dwarf = dwarf(file, kernel)?;
            if !dwarf.exists() {
                let reason = format!("{} has no debug information", file.display());
                return Err(AttachError::Unsupported { reason });
            }
            let addresses = dwarf.addresses(source, *line, *column);
            if addresses.is_empty() {
                let reason = format!("{} has no code of {source}:{line}", file.display());
                return Err(AttachError::Unsupported { reason });
            }
            Ok(addresses.iter().map(|address| format!("{address:#x}")).collect())
        }
    }
}

fn is_within(symbol: &Symbol<'_>, address: u64) -> bool {
    let into = address.checked_sub(symbol.address);
    symbol.kind == Kind::Function && into.is_some_and(|into| into < symbol.size)
}

/// A probe within an instruction would make another one of it, in all processes. It can be told where a function has a size.
fn begins_an_instruction(elf: &Elf, symbol: &Symbol<'_>, offset: u64) -> Result<(), AttachError> {
    if offset == 0 || symbol.kind != Kind::Function || offset >= symbol.size {
        return Ok(());
    }
    let code = elf.code();
    let code = code.at(symbol.address);
    let code = code.get(..symbol.size as usize).unwrap_or(code);
    let Some((start, next)) = code::around(code, offset) else { return Ok(()) };
    let name = symbol.name;
    Err(AttachError::Unsupported {
        reason: format!(
            "`{name}+{offset}` is within an instruction; the one that it belongs to is at `{name}+{start}`, and the next at `{name}+{next}`"
        ),
    })
}

/// Of functions that have several names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    All,
    /// Each place is probed once.
    OneEach,
}

/// The functions that are `wanted` and that the kernel can probe.
fn functions<'f>(elf: &'f Elf, names: Names, wanted: &dyn Fn(&str) -> bool) -> Vec<&'f str> {
    let symbols = elf.symbols();
    let code = elf.code();
    // Those that choose another one come last: where that has a name of its own, it is known by it.
    let (functions, resolvers): (Vec<_>, Vec<_>) = symbols
        .iter()
        .filter(|symbol| symbol.kind != Kind::Data && wanted(symbol.name))
        .partition(|symbol| symbol.kind == Kind::Function);
    let functions = functions.into_iter().map(|symbol| (symbol.name, symbol.address));
    let chosen =
        resolvers.into_iter().filter_map(|symbol| Some((symbol.name, code::chosen(elf, symbol.name)?)));
    let mut seen = FxHashSet::default();
    functions
        .chain(chosen)
        .filter(|&(_, address)| code::can_be_probed(code.at(address)))
        .filter(|&(name, address)| match names {
            Names::All => seen.insert((name, 0)),
            Names::OneEach => seen.insert(("", address)),
        })
        .map(|(name, _)| name)
        .collect()
}

fn unknown_function(elf: &Elf, name: &str) -> AttachError {
    let symbols = elf.symbols();
    let names = symbols.iter().filter(|symbol| symbol.kind != Kind::Data).map(|symbol| symbol.name);
    AttachError::Unknown {
        what: "function".to_owned(),
        name: format!("{}:{name}", elf.path().display()),
        nearest: nearest(name, names),
    }
}

/// The function that a target is the beginning of, from debug information.
fn function(target: &Target, kernel: &dyn Kernel, structs: &mut Structs) -> Option<Function> {
    let (file, place) = split(target)?;
    if place.contains('+') || place.starts_with("0x") {
        return None;
    }
    let dwarf = dwarf(file, kernel).ok()?;
    // Looking for the symbol takes time, and a wildcard has many.
    if dwarf.exists() { dwarf.function(place, structs) } else { None }
}

/// The arguments that lie in a word of their own.
fn arguments(function: &Function) -> Vec<Arg> {
    let named = function.parameters.iter().filter(|parameter| !parameter.name.is_empty());
    named
        .filter_map(|parameter| {
            let place = match parameter.handed? {
                Handed::Register(index) => registers::argument(index, ARCH),
                Handed::Stack(offset) => registers::on_stack(offset, ARCH),
            };
            let (name, ty) = (parameter.name.clone(), parameter.ty.clone());
            Some(Arg { name, ty, place })
        })
        .collect()
}

/// Where a symbol of the probed file lies in a process, seen from the probe.
fn user_address(target: &Target, name: &str) -> Result<Option<UserAddress>, AttachError> {
    let Some((file, _)) = split(target) else { return Ok(None) };
    let elf = open(file)?;
    let (Some(symbol), Some(probe)) = (elf.symbol(name), address(&elf, target)) else { return Ok(None) };
    let (address, size) = (symbol.address, symbol.size);
    Ok(Some(if elf.is_relocatable() {
        UserAddress::FromProbe { distance: address.wrapping_sub(probe) as i64, size }
    } else {
        UserAddress::Fixed { address, size }
    }))
}

fn attach(
    target: &Target,
    returns: bool,
    program: BorrowedFd<'_>,
    cookie: u64,
    environment: &Environment<'_>,
) -> io::Result<Vec<OwnedFd>> {
    let no_code = || io::Error::new(io::ErrorKind::NotFound, "there is no such code any more");
    let (file, _) = split(target).ok_or_else(no_code)?;
    let elf = Elf::open(file).map_err(io::Error::other)?;
    let offset = address(&elf, target).and_then(|address| elf.file_offset(address)).ok_or_else(no_code)?;
    let path = CString::new(file.as_os_str().as_bytes()).map_err(io::Error::other)?;
    // One CPU is enough: it runs for all.
    let whom = environment.pid.map_or(perf::Target::cpu(0), perf::Target::thread);
    let event = perf::open_uprobe(&path, offset, returns, whom).map_err(|error| match errno(&error) {
        Some(ENOTSUPP) => io::Error::other("the kernel puts no probes at an instruction of this kind"),
        Some(_) | None => error,
    })?;
    Ok(vec![attach_perf_event(program, event.as_fd(), cookie)?, event])
}

/// The matches of a wildcard in one file are attached by one call, where the kernel has it (6.6).
fn loading(targets: &[(Target, u64)], kernel: &dyn Kernel) -> Loading {
    let file = |target: &(Target, u64)| split(&target.0).map(|(file, _)| file.to_path_buf());
    let first = targets.first().and_then(file);
    if targets.len() < 2 || targets.iter().any(|target| file(target) != first) || !attaches_many(kernel) {
        return Loading::Once(LoadAs::default());
    }
    Loading::Together(load_for_many())
}

/// Whether the kernel attaches to many places of a file by one call.
pub fn attaches_many(kernel: &dyn Kernel) -> bool {
    kernel.btf().is_ok_and(|btf| btf.find("bpf_uprobe_multi_link_attach", btf::Kind::Func).is_some())
}

/// How the program of such a call is loaded.
pub(super) fn load_for_many() -> LoadAs {
    LoadAs { attach_type: Some(bpf_attach_type::BPF_TRACE_UPROBE_MULTI), ..LoadAs::default() }
}

/// Attaches to many places of one file.
fn attach_together(
    targets: &[(Target, u64)],
    returns: bool,
    program: BorrowedFd<'_>,
    environment: &Environment<'_>,
) -> io::Result<OwnedFd> {
    let no_code = || io::Error::new(io::ErrorKind::NotFound, "there is no such code any more");
    let (file, _) = targets.first().and_then(|(target, _)| split(target)).ok_or_else(no_code)?;
    let elf = Elf::open(file).map_err(io::Error::other)?;
    // One look at all symbols: each target alone would look at half of them.
    let symbols: FxHashMap<&str, u64> = elf
        .symbols()
        .iter()
        .filter(|symbol| symbol.kind == Kind::Function)
        .map(|symbol| (symbol.name, symbol.address))
        .collect();
    let code = elf.code();
    let mut places = Vec::with_capacity(targets.len());
    for (target, cookie) in targets {
        let known = split(target).and_then(|(_, place)| symbols.get(place).copied());
        let offset = known.or_else(|| address(&elf, target)).and_then(|address| code.offset(address));
        places.push((offset.ok_or_else(no_code)?, *cookie));
    }
    let path = CString::new(file.as_os_str().as_bytes()).map_err(io::Error::other)?;
    attach_uprobe_multi(program, &path, &places, None, returns, environment.pid)
}

/// The address of a target in its file.
fn address(elf: &Elf, target: &Target) -> Option<u64> {
    let (_, place) = split(target)?;
    if let Some(digits) = place.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let (name, offset) = match place.rsplit_once('+') {
        Some((name, offset)) => (name, offset.parse().ok()?),
        None => (place, 0),
    };
    let symbol = elf.symbol(name)?;
    let start = if symbol.kind == Kind::Resolver { code::chosen(elf, name)? } else { symbol.address };
    start.checked_add(offset)
}

/// The file and the place of a target.
fn split(target: &Target) -> Option<(&Path, &str)> {
    let (file, place) = target.point().rsplit_once(':')?;
    Some((Path::new(file), place))
}

fn open(file: &Path) -> Result<Elf, AttachError> {
    Elf::open(file).map_err(|error| unusable(file, &error))
}

fn dwarf(file: &Path, kernel: &dyn Kernel) -> Result<Dwarf, AttachError> {
    let dirs: Vec<PathBuf> = kernel.debug_dirs().iter().map(PathBuf::from).collect();
    let dirs = Some(&dirs[..]).filter(|dirs| !dirs.is_empty());
    Dwarf::open(file, dirs).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, error: &ElfError) -> AttachError {
    AttachError::Unsupported { reason: format!("{}: {error}", file.display()) }
}
