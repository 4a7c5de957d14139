//! `self`: what happens to the tracer itself. It runs these programs when it gets the signal.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, Phase, ProgramKind, Provider, Target};
use rtscript_lang::types::{Space, Structs};

use super::nearest::nearest;
use super::pattern::{is_wildcard, matches};
use crate::attach::{Attach, Environment};

pub struct Own;

const NAME: &str = "self";
const FORM: &str = "self:signal:SIGUSR1";
/// The only signal that nobody else needs.
const POINT: &str = "signal:SIGUSR1";

impl Provider for Own {
    fn names(&self) -> &'static [&'static str] {
        &[NAME]
    }

    fn doc(&self) -> &'static str {
        "Runs when the tracer itself gets the signal SIGUSR1."
    }

    fn expand(&self, point: &str, _: &dyn Kernel) -> Result<Expansion, AttachError> {
        if matches(point, POINT) {
            return Ok(Expansion { targets: vec![target()], wildcard: is_wildcard(point) });
        }
        match point.split_once(':') {
            Some(("signal", name)) if !name.is_empty() => Err(AttachError::Unknown {
                what: "signal for the tracer".to_owned(),
                name: name.to_owned(),
                nearest: nearest(name, ["SIGUSR1"]),
            }),
            Some(_) | None => Err(AttachError::Form { expected: FORM }),
        }
    }

    /// A raw tracepoint's program can be run without an event.
    fn context(&self, _: &Target, _: &dyn Kernel, _: &mut Structs) -> Result<Context, AttachError> {
        Ok(Context {
            program: ProgramKind::RawTracepoint,
            args: Vec::new(),
            words: Vec::new(),
            retval: None,
            space: Space::Kernel,
        })
    }

    fn list(&self, pattern: &str, _: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        Ok(if matches(pattern, POINT) { vec![target()] } else { Vec::new() })
    }

    fn describe(&self, _: &Target, _: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        Ok(Vec::new())
    }

    fn phase(&self) -> Phase {
        Phase::Signal
    }
}

impl Attach for Own {
    fn attach(&self, _: &Target, _: BorrowedFd<'_>, _: u64, _: &Environment<'_>) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }
}

fn target() -> Target {
    Target { provider: NAME, name: format!("{NAME}:{POINT}") }
}
