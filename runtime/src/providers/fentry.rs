//! `fentry` and `fexit`: the beginning and the end of a function of the kernel that BTF describes, with its arguments by type.
//!
//! The context holds the arguments, a word each, and behind them what is returned (Linux 5.5). A program belongs to one function:
//! the matches of a wildcard are compiled once where they look alike, and loaded once for each.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use aya_obj::generated::bpf_attach_type;
use rtscript_lang::btf::{Btf, TypeId};
use rtscript_lang::kernel::{BpfFunction, Kernel};
use rtscript_lang::provider::{Arg, AttachError, Context, Expansion, Place, ProgramKind, Provider, Target};
use rtscript_lang::types::{Space, Structs, Type};

use super::functions::{self, Function, Param};
use super::pattern::{is_wildcard, matches};
use crate::attach::{Attach, Environment, LoadAs, Loading};
use crate::bpf::programs::program_by_id;
use crate::bpf::{attach_tracing, module_btf};

pub const FENTRY: Fentry = Fentry { at_end: false };
pub const FEXIT: Fentry = Fentry { at_end: true };

pub struct Fentry {
    at_end: bool,
}

const FORM: &str =
    "fentry:FUNCTION, fentry:MODULE:FUNCTION, fentry:bpf:FUNCTION or fentry:bpf:PROGRAM:FUNCTION";
const RETURN_FORM: &str =
    "fexit:FUNCTION, fexit:MODULE:FUNCTION, fexit:bpf:FUNCTION or fexit:bpf:PROGRAM:FUNCTION";
/// What functions of BPF programs begin with, where modules have their names.
const PROGRAMS: &str = "bpf:";
/// The kernel passes no more arguments than this.
const MAX_ARGS: usize = 12;

impl Fentry {
    fn name(&self) -> &'static str {
        self.names()[0]
    }

    fn split<'a>(&self, point: &'a str) -> Result<Point<'a>, AttachError> {
        let expected = if self.at_end { RETURN_FORM } else { FORM };
        // In place of the module stands the program's number.
        let (in_program, rest) = match point.strip_prefix(PROGRAMS) {
            Some(rest) => (true, rest),
            None => (false, point),
        };
        let (of, name) = functions::split(rest).ok_or(AttachError::Form { expected })?;
        Ok(if in_program { Point::Bpf { program: of, name } } else { Point::Kernel { module: of, name } })
    }

    /// The functions of BPF programs that match.
    fn of_programs(
        &self,
        program: Option<&str>,
        name: &str,
        kernel: &dyn Kernel,
    ) -> Result<Vec<Target>, AttachError> {
        let found = kernel.bpf_functions()?.iter().filter(|function| {
            matches(name, &function.name)
                && program.is_none_or(|program| matches(program, &function.program.to_string()))
        });
        let target = |function: &BpfFunction| Target {
            provider: self.name(),
            name: format!("{}:{PROGRAMS}{}:{}", self.name(), function.program, function.name),
        };
        Ok(found.map(target).collect())
    }

    fn target(&self, function: &Function) -> Target {
        let Function { module, name } = function;
        Target { provider: self.name(), name: format!("{}:{module}:{name}", self.name()) }
    }

    /// The functions that match and that the kernel can attach to: it must know their types, and pass all arguments.
    fn matching(&self, point: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        let (module, name) = match self.split(point)? {
            Point::Kernel { module, name } => (module, name),
            Point::Bpf { program, name } => return self.of_programs(program, name, kernel),
        };
        let mut found = functions::matching(module, name, kernel)?;
        found.retain(|function| signature_of(function, kernel).is_some());
        Ok(found.iter().map(|function| self.target(function)).collect())
    }

    /// The function of a target: the BTF that describes it, its module's position, its id, its parameters and its result.
    fn function<'k>(&self, target: &Target, kernel: &'k dyn Kernel) -> Result<Described<'k>, AttachError> {
        let (module, id, name, program) = match self.split(target.point())? {
            Point::Kernel { module, name } => {
                let (module, id) =
                    functions::described(module, name, kernel).ok_or_else(|| no_types(name))?;
                (module, id, name, None)
            }
            Point::Bpf { program, name } => {
                let same = |function: &&BpfFunction| {
                    function.name == name
                        && program.is_none_or(|program| program == function.program.to_string())
                };
                let found = kernel.bpf_functions()?.iter().find(same).ok_or_else(|| no_program(name))?;
                (found.types, TypeId(found.id), name, Some(found.program))
            }
        };
        let btf = kernel.module_btf(module)?;
        let (params, result) = functions::signature(btf, id).ok_or_else(|| variadic(name))?;
        Ok(Described { btf, module, id, params, result, program })
    }
}

struct Described<'k> {
    btf: &'k Btf,
    module: u16,
    id: TypeId,
    params: Vec<Param>,
    result: TypeId,
    /// The number of the BPF program that it is in.
    program: Option<u32>,
}

/// What is behind the provider's name.
enum Point<'a> {
    Kernel {
        module: Option<&'a str>,
        name: &'a str,
    },
    /// A function of a BPF program, by the program's number, which may be left out.
    Bpf {
        program: Option<&'a str>,
        name: &'a str,
    },
}

impl Provider for Fentry {
    fn names(&self) -> &'static [&'static str] {
        if self.at_end { &["fexit", "fr", "kretfunc"] } else { &["fentry", "f", "kfunc"] }
    }

    fn doc(&self) -> &'static str {
        if self.at_end {
            "The end of a function of the kernel, with its arguments and what it returns, by type."
        } else {
            "The beginning of a function of the kernel, with its arguments by type: cheaper than a kprobe."
        }
    }

    fn expand(&self, point: &str, kernel: &dyn Kernel) -> Result<Expansion, AttachError> {
        let point_of = self.split(point)?;
        if is_wildcard(point) {
            let targets = self.matching(point, kernel)?;
            return if targets.is_empty() {
                Err(AttachError::NoMatch)
            } else {
                Ok(Expansion { targets, wildcard: true })
            };
        }
        match point_of {
            Point::Kernel { module, name } => {
                let target = self.target(&functions::find(module, name, kernel)?);
                Ok(Expansion { targets: vec![target], wildcard: false })
            }
            Point::Bpf { program, name } => {
                let targets = self.of_programs(program, name, kernel)?;
                // Programs may have the same names.
                let wildcard = targets.len() > 1;
                if targets.is_empty() { Err(no_program(name)) } else { Ok(Expansion { targets, wildcard }) }
            }
        }
    }

    fn context(
        &self,
        target: &Target,
        kernel: &dyn Kernel,
        structs: &mut Structs,
    ) -> Result<Context, AttachError> {
        let Described { btf, module, params, result, program, .. } = self.function(target, kernel)?;
        let mut slot = 0;
        let mut args = Vec::with_capacity(params.len());
        let mut words = Vec::with_capacity(params.len());
        for param in params {
            let place = Place::Word(slot * 8);
            // A structure that is passed by value lies there as its bytes.
            match functions::scalar(btf, module, param.id, structs) {
                Some(ty) => args.push(Arg { name: param.name, ty, place }),
                None => {
                    let ty = structs.of_btf(btf, module, param.id);
                    args.push(Arg { name: param.name, ty, place: Place::Bytes(slot * 8) });
                }
            }
            words.push(place);
            slot += btf.size_of(param.id).unwrap_or(8).div_ceil(8).max(1);
        }
        let returned = structs.of_btf(btf, module, result);
        let retval = (self.at_end && returned != Type::Void && returned.is_scalar()).then(|| Arg {
            name: "retval".to_owned(),
            ty: returned,
            // What the kernel takes a program's function for depends on what the verifier found.
            place: if program.is_some() { Place::Returned } else { Place::Word(slot * 8) },
        });
        let program = if self.at_end { ProgramKind::Fexit } else { ProgramKind::Fentry };
        Ok(Context { program, args, words, retval, space: Space::Kernel })
    }

    fn is_the_end(&self) -> bool {
        self.at_end
    }

    fn list(&self, pattern: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        let mut found = self.matching(pattern, kernel)?;
        if pattern == "*" {
            // Who must not see programs sees the kernel's functions.
            found.extend(self.of_programs(None, "*", kernel).unwrap_or_default());
        }
        Ok(found)
    }

    fn describe(&self, target: &Target, kernel: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        let Described { btf, params, result, .. } = self.function(target, kernel)?;
        let mut lines = functions::declarations(btf, &params);
        if self.at_end && result != TypeId(0) {
            lines.push(btf.declare(result, "retval"));
        }
        Ok(lines)
    }
}

impl Attach for Fentry {
    fn loading(&self, targets: &[(Target, u64)], kernel: &dyn Kernel) -> io::Result<Loading> {
        let mut each = Vec::with_capacity(targets.len());
        for (target, _) in targets {
            let function = self.function(target, kernel);
            let function =
                function.map_err(|_| io::Error::other("the kernel's BTF does not describe this function"))?;
            let object = match (function.program, function.module) {
                (Some(program), _) => Some(program_by_id(program)?),
                (None, 0) => None,
                (None, position) => {
                    let name = kernel.modules().ok().and_then(|names| names.get(usize::from(position)));
                    Some(module_btf(name.map_or("", String::as_str))?)
                }
            };
            each.push(LoadAs { attach_type: Some(self.attach_type()), btf_id: function.id.0, object });
        }
        Ok(Loading::Each(each))
    }

    fn attach(
        &self,
        _: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        _: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        // It was loaded for its target.
        Ok(vec![attach_tracing(program, self.attach_type(), cookie)?])
    }
}

impl Fentry {
    fn attach_type(&self) -> bpf_attach_type {
        if self.at_end { bpf_attach_type::BPF_TRACE_FEXIT } else { bpf_attach_type::BPF_TRACE_FENTRY }
    }
}

fn signature_of(function: &Function, kernel: &dyn Kernel) -> Option<Vec<Param>> {
    let (module, id) = functions::described(Some(&function.module), &function.name, kernel)?;
    let (params, _) = functions::signature(kernel.module_btf(module).ok()?, id)?;
    (params.len() <= MAX_ARGS).then_some(params)
}

fn no_types(name: &str) -> AttachError {
    AttachError::Unsupported { reason: format!("the kernel's BTF does not describe the function {name}") }
}

fn no_program(name: &str) -> AttachError {
    AttachError::Unknown {
        what: "function of a BPF program".to_owned(),
        name: name.to_owned(),
        nearest: Vec::new(),
    }
}

fn variadic(name: &str) -> AttachError {
    AttachError::Unsupported { reason: format!("{name} takes a variable number of arguments") }
}
