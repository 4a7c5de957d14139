//! `test:NAME` and `bench:NAME`: bodies that the tracer runs itself, for `--test` and `--bench`. Otherwise they are
//! compiled, and never run.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, Phase, Provider, Target};
use rtscript_lang::types::Structs;

use super::special;
use crate::attach::{Attach, Environment};

/// A probe type of which each probe has a name of its own.
pub struct Trial {
    names: &'static [&'static str],
    doc: &'static str,
    form: &'static str,
    phase: Phase,
}

pub const TEST: Trial = Trial {
    names: &["test"],
    doc: "Runs once, by --test; the test fails where it returns something else than 0, or exits with another code.",
    form: "test:NAME",
    phase: Phase::Test,
};

pub const BENCH: Trial = Trial {
    names: &["bench"],
    doc: "Runs many times, by --bench, which tells how long a run takes.",
    form: "bench:NAME",
    phase: Phase::Bench,
};

impl Provider for Trial {
    fn names(&self) -> &'static [&'static str] {
        self.names
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn expand(&self, point: &str, _: &dyn Kernel) -> Result<Expansion, AttachError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if point.is_empty() || !point.chars().all(is_name) {
            return Err(AttachError::Form { expected: self.form });
        }
        let provider = self.names[0];
        let target = Target { provider, name: format!("{provider}:{point}") };
        Ok(Expansion { targets: vec![target], wildcard: false })
    }

    fn context(&self, _: &Target, _: &dyn Kernel, _: &mut Structs) -> Result<Context, AttachError> {
        Ok(special::context())
    }

    fn list(&self, _: &str, _: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        Ok(Vec::new())
    }

    fn describe(&self, _: &Target, _: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        Ok(Vec::new())
    }

    fn phase(&self) -> Phase {
        self.phase
    }
}

impl Attach for Trial {
    fn attach(&self, _: &Target, _: BorrowedFd<'_>, _: u64, _: &Environment<'_>) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }
}
