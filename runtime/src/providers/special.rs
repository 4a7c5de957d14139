//! `begin` and `end`: once before anything is attached, and once after everything is detached. The tracer runs
//! these programs itself.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, Phase, ProgramKind, Provider, Target};
use rtscript_lang::types::{Space, Structs};

use crate::attach::{Attach, Environment};

pub struct Special {
    names: &'static [&'static str],
    doc: &'static str,
    phase: Phase,
}

pub const BEGIN: Special =
    Special { names: &["begin"], doc: "Runs once, before anything is attached.", phase: Phase::Begin };

pub const END: Special =
    Special { names: &["end"], doc: "Runs once, after everything is detached.", phase: Phase::End };

impl Provider for Special {
    fn names(&self) -> &'static [&'static str] {
        self.names
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn expand(&self, point: &str, _: &dyn Kernel) -> Result<Expansion, AttachError> {
        let name = self.names[0];
        if !point.is_empty() {
            return Err(AttachError::Form { expected: name });
        }
        let target = Target { provider: name, name: name.to_owned() };
        Ok(Expansion { targets: vec![target], wildcard: false })
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

    /// What both call themselves.
    fn probe_type(&self) -> &'static str {
        "special"
    }

    fn phase(&self) -> Phase {
        self.phase
    }
}

impl Attach for Special {
    fn attach(&self, _: &Target, _: BorrowedFd<'_>, _: u64, _: &Environment<'_>) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }
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
