//! `begin` and `end`: once before anything is attached, and once after everything is detached. The tracer runs
//! these programs itself.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, Phase, ProgramKind, Provider, Target};
use rtscript_lang::types::{Space, Structs};

use crate::attach::{Attach, Environment};

pub struct Begin;
pub struct End;

/// What both call themselves.
const PROBE_TYPE: &str = "special";

impl Provider for Begin {
    fn names(&self) -> &'static [&'static str] {
        &["begin"]
    }

    fn doc(&self) -> &'static str {
        "Runs once, before anything is attached."
    }

    fn expand(&self, point: &str, _: &dyn Kernel) -> Result<Expansion, AttachError> {
        expand("begin", point)
    }

    fn context(&self, _: &Target, _: &dyn Kernel, _: &mut Structs) -> Result<Context, AttachError> {
        Ok(context())
    }

    fn list(&self, _: &str, _: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        Ok(Vec::new())
    }

    fn describe(&self, _: &Target, _: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        Ok(Vec::new())
    }

    fn probe_type(&self) -> &'static str {
        PROBE_TYPE
    }

    fn phase(&self) -> Phase {
        Phase::Begin
    }
}

impl Provider for End {
    fn names(&self) -> &'static [&'static str] {
        &["end"]
    }

    fn doc(&self) -> &'static str {
        "Runs once, after everything is detached."
    }

    fn expand(&self, point: &str, _: &dyn Kernel) -> Result<Expansion, AttachError> {
        expand("end", point)
    }

    fn context(&self, _: &Target, _: &dyn Kernel, _: &mut Structs) -> Result<Context, AttachError> {
        Ok(context())
    }

    fn list(&self, _: &str, _: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        Ok(Vec::new())
    }

    fn describe(&self, _: &Target, _: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        Ok(Vec::new())
    }

    fn probe_type(&self) -> &'static str {
        PROBE_TYPE
    }

    fn phase(&self) -> Phase {
        Phase::End
    }
}

impl Attach for Begin {
    fn attach(&self, _: &Target, _: BorrowedFd<'_>, _: u64, _: &Environment<'_>) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }
}

impl Attach for End {
    fn attach(&self, _: &Target, _: BorrowedFd<'_>, _: u64, _: &Environment<'_>) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }
}

fn expand(name: &'static str, point: &str) -> Result<Expansion, AttachError> {
    if !point.is_empty() {
        return Err(AttachError::Form { expected: name });
    }
    let target = Target { provider: name, name: name.to_owned() };
    Ok(Expansion { targets: vec![target], wildcard: false })
}

/// A raw tracepoint's program is the one that can be run without an event and cheaply; it sees nothing.
pub(super) fn context() -> Context {
    Context {
        program: ProgramKind::RawTracepoint,
        args: Vec::new(),
        words: Vec::new(),
        retval: None,
        space: Space::Kernel,
    }
}
