//! `kprobe` and `kretprobe`: the beginning and the end of nearly any function of the kernel.
//!
//! The context is the processor's registers, as the System V ABI for x86-64 uses them. Single attach points go through a perf event
//! (the PMU `kprobe`, Linux 4.17). The matches of a wildcard are attached by one call where the kernel has it
//! (`kprobe_multi`, 5.18 with CONFIG_FPROBE), else one by one.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya_obj::generated::bpf_attach_type;
use rtscript_lang::btf::{Kind, TypeId};
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{Arg, AttachError, Context, Expansion, Place, ProgramKind, Provider, Target};
use rtscript_lang::registers;
use rtscript_lang::syntax::literal::plain;
use rtscript_lang::types::{Space, Structs, Type};

use super::functions::{self, Function, VMLINUX};
use super::pattern::is_wildcard;
use crate::attach::{Attach, Environment, LoadAs, Loading};
use crate::bpf::{Ends, attach_kprobe_multi, attach_perf_event, errno, perf};

pub const KPROBE: Kprobe = Kprobe { at_end: false };
pub const KRETPROBE: Kprobe = Kprobe { at_end: true };

pub struct Kprobe {
    at_end: bool,
}

const FORM: &str = "kprobe:FUNCTION, kprobe:MODULE:FUNCTION, kprobe:FUNCTION+OFFSET or kprobe:0xADDRESS";
const RETURN_FORM: &str = "kretprobe:FUNCTION or kretprobe:MODULE:FUNCTION";
/// The kernel's description of the PMU.
const PMU: &str = "/sys/bus/event_source/devices/kprobe";
/// More arguments are not offered as `argN`.
const MAX_WORDS: u32 = 10;

/// What is behind the provider's name.
enum Point<'a> {
    Function { module: Option<&'a str>, name: &'a str, offset: u64 },
    Address(u64),
}

impl Kprobe {
    fn name(&self) -> &'static str {
        self.names()[0]
    }

    fn form(&self) -> AttachError {
        AttachError::Form { expected: if self.at_end { RETURN_FORM } else { FORM } }
    }

    fn point<'a>(&self, text: &'a str) -> Result<Point<'a>, AttachError> {
        if text.starts_with("0x") && !self.at_end {
            return plain(text).map(Point::Address).ok_or_else(|| self.form());
        }
        let (path, offset) = match text.split_once('+') {
            Some((path, offset)) => (path.trim(), plain(offset.trim()).ok_or_else(|| self.form())?),
            None => (text, 0),
        };
        let (module, name) = functions::split(path).ok_or_else(|| self.form())?;
        if text.contains('+') && (self.at_end || is_wildcard(path)) {
            return Err(self.form());
        }
        Ok(Point::Function { module, name, offset })
    }

    fn target(&self, function: &Function, offset: u64) -> Target {
        let Function { module, name } = function;
        let mut full = match module.as_str() {
            VMLINUX => format!("{}:{name}", self.name()),
            module => format!("{}:{module}:{name}", self.name()),
        };
        if offset > 0 {
            full.push_str(&format!("+{offset}"));
        }
        Target { provider: self.name(), name: full }
    }
}

impl Provider for Kprobe {
    fn names(&self) -> &'static [&'static str] {
        if self.at_end { &["kretprobe", "kr"] } else { &["kprobe", "k"] }
    }

    fn doc(&self) -> &'static str {
        if self.at_end {
            "The end of a function of the kernel, with what it returns."
        } else {
            "The beginning of a function of the kernel, or an instruction within it, with the registers."
        }
    }

    fn expand(&self, point: &str, kernel: &dyn Kernel) -> Result<Expansion, AttachError> {
        let one = |target| Ok(Expansion { targets: vec![target], wildcard: false });
        match self.point(point)? {
            Point::Address(address) => {
                one(Target { provider: self.name(), name: format!("{}:{address:#x}", self.name()) })
            }
            Point::Function { module, name, .. } if is_wildcard(point) => {
                let found = functions::matching(module, name, kernel)?;
                if found.is_empty() {
                    return Err(AttachError::NoMatch);
                }
                let targets = found.iter().map(|function| self.target(function, 0)).collect();
                Ok(Expansion { targets, wildcard: true })
            }
            Point::Function { module, name, offset } => {
                one(self.target(&functions::find(module, name, kernel)?, offset))
            }
        }
    }

    fn context(
        &self,
        target: &Target,
        kernel: &dyn Kernel,
        structs: &mut Structs,
    ) -> Result<Context, AttachError> {
        let program = if self.at_end { ProgramKind::Kretprobe } else { ProgramKind::Kprobe };
        let mut context =
            Context { program, args: Vec::new(), words: Vec::new(), retval: None, space: Space::Kernel };
        if self.at_end {
            let place = Place::Word(registers::RETURNED);
            context.retval = Some(Arg { name: "retval".to_owned(), ty: Type::U64, place });
            return Ok(context);
        }
        // Anywhere else the registers hold whatever they hold.
        if let Point::Function { module, name, offset: 0 } = self.point(target.point())? {
            context.words = (0..MAX_WORDS).map(registers::argument).collect();
            if let Some((module, function)) = functions::described(module, name, kernel) {
                let btf = kernel.module_btf(module)?;
                let params = functions::signature(btf, function).map_or(Vec::new(), |(params, _)| params);
                // A structure that is passed by value moves those behind it.
                for (index, param) in (0..).zip(params) {
                    let Some(ty) = functions::scalar(btf, module, param.id, structs) else { break };
                    context.args.push(Arg { name: param.name, ty, place: registers::argument(index) });
                }
            }
        }
        Ok(context)
    }

    fn is_the_end(&self) -> bool {
        self.at_end
    }

    fn list(&self, pattern: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        let (module, name) = functions::split(pattern).ok_or_else(|| self.form())?;
        let found = functions::matching(module, name, kernel)?;
        Ok(found.iter().map(|function| self.target(function, 0)).collect())
    }

    fn describe(&self, target: &Target, kernel: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        let Point::Function { module, name, offset: 0 } = self.point(target.point())? else {
            return Ok(Vec::new());
        };
        let Some((module, function)) = functions::described(module, name, kernel) else {
            return Ok(Vec::new());
        };
        let btf = kernel.module_btf(module)?;
        let Some((params, result)) = functions::signature(btf, function) else { return Ok(Vec::new()) };
        Ok(match (self.at_end, result) {
            (false, _) => functions::declarations(btf, &params),
            (true, TypeId(0)) => Vec::new(),
            (true, result) => vec![btf.declare(result, "retval")],
        })
    }
}

impl Attach for Kprobe {
    fn loading(&self, targets: &[(Target, u64)], kernel: &dyn Kernel) -> io::Result<Loading> {
        // A single attach point is cheaper as a perf event: the kernel looks a name up, and does not read all symbols.
        if targets.len() == 1 || !has_multi(kernel) {
            return Ok(Loading::Once(LoadAs::default()));
        }
        let attach_type = Some(bpf_attach_type::BPF_TRACE_KPROBE_MULTI);
        Ok(Loading::Together(LoadAs { attach_type, ..LoadAs::default() }))
    }

    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        _: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        let point = self.point(target.point()).map_err(|_| io::Error::other("not of a kprobe's form"))?;
        let (name, at) = match point {
            Point::Address(address) => (None, address),
            Point::Function { module, name, offset } => {
                let name = match module {
                    Some(module) if module != VMLINUX => format!("{module}:{name}"),
                    Some(_) | None => name.to_owned(),
                };
                (Some(CString::new(name).map_err(io::Error::other)?), offset)
            }
        };
        let pmu = fs::read_to_string(format!("{PMU}/type")).ok().and_then(|text| text.trim().parse().ok());
        let pmu = pmu.ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, "this kernel has no kprobes (CONFIG_KPROBE_EVENTS)")
        })?;
        let event = perf::open_kprobe(pmu, name.as_deref(), at, self.at_end).map_err(explained)?;
        let link = attach_perf_event(program, event.as_fd(), cookie).map_err(refused)?;
        Ok(vec![link, event])
    }

    fn attach_together(
        &self,
        targets: &[(Target, u64)],
        program: BorrowedFd<'_>,
        _: &Environment<'_>,
    ) -> io::Result<OwnedFd> {
        attach_to_many(targets, program, if self.at_end { Ends::End } else { Ends::Begin })
    }

    fn attach_session(&self, targets: &[(Target, u64)], program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        attach_to_many(targets, program, Ends::Both)
    }
}

fn attach_to_many(targets: &[(Target, u64)], program: BorrowedFd<'_>, ends: Ends) -> io::Result<OwnedFd> {
    let mut names = Vec::with_capacity(targets.len());
    for (target, _) in targets {
        // Here the kernel knows functions by their names alone.
        let name = target.point().rsplit(':').next().unwrap_or_default();
        names.push(CString::new(name).map_err(io::Error::other)?);
    }
    let cookies: Vec<u64> = targets.iter().map(|(_, cookie)| *cookie).collect();
    attach_kprobe_multi(program, &names, &cookies, ends)
}

/// What the kernel means by its numbers here.
fn explained(error: io::Error) -> io::Error {
    let why = match errno(&error) {
        Some(libc::EILSEQ) => "no instruction begins at this offset",
        Some(libc::ENOENT) => "the kernel has no function of this name, or none that it lets be probed",
        Some(libc::EADDRNOTAVAIL) => "there are several functions of this name",
        Some(_) | None => return error,
    };
    io::Error::new(error.kind(), why)
}

/// Why the kernel does not let a program run at a kprobe that it has made.
fn refused(error: io::Error) -> io::Error {
    match errno(&error) {
        // Nothing else is wrong with a program that was loaded and an event that was made.
        Some(libc::EINVAL) => io::Error::new(
            error.kind(),
            "only functions that are marked for error injection may be overridden \
             (/sys/kernel/debug/error_injection/list)",
        ),
        Some(_) | None => error,
    }
}

/// Whether one call can attach to many functions. The kernel has the call from 5.18 on, and refuses it where it was built
/// without fprobes (CONFIG_FPROBE).
pub fn has_multi(kernel: &dyn Kernel) -> bool {
    kernel.btf().is_ok_and(|btf| {
        btf.find("bpf_kprobe_multi_link_attach", Kind::Func).is_some()
            && btf.find("register_fprobe_ips", Kind::Func).is_some()
    })
}
