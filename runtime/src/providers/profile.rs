//! `profile`: at regular times on every CPU, or in the process of `-p` while it runs.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use perf_event_open_sys::bindings::PERF_COUNT_SW_CPU_CLOCK;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, Provider, Target};
use rtscript_lang::types::Structs;

use super::counted;
use super::interval::{named, period_ns, units};
use crate::attach::{Attach, Environment};
use crate::bpf::counter::Counter;

pub struct Profile;

const NAME: &str = "profile";
const FORM: &str = "profile:hz:N, profile:s:N, profile:ms:N, profile:us:N, or a duration: profile:10ms";

impl Provider for Profile {
    fn names(&self) -> &'static [&'static str] {
        &[NAME, "p"]
    }

    fn doc(&self) -> &'static str {
        "Runs at regular times, on every CPU."
    }

    fn expand(&self, point: &str, _: &dyn Kernel) -> Result<Expansion, AttachError> {
        let point = named(point).ok_or(AttachError::Form { expected: FORM })?;
        let target = Target { provider: NAME, name: format!("{NAME}:{point}") };
        Ok(Expansion { targets: vec![target], wildcard: false })
    }

    fn context(&self, _: &Target, _: &dyn Kernel, _: &mut Structs) -> Result<Context, AttachError> {
        Ok(counted::context())
    }

    fn list(&self, pattern: &str, _: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        Ok(units(NAME, pattern))
    }

    fn describe(&self, _: &Target, _: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        Ok(Vec::new())
    }
}

impl Attach for Profile {
    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        let period =
            period_ns(target.point()).ok_or_else(|| io::Error::other(format!("not of the form {FORM}")))?;
        // By the clock of each CPU, which ticks on while the CPU is idle; of a process, while it runs.
        let clock = Counter::Software(PERF_COUNT_SW_CPU_CLOCK);
        counted::attach(program, cookie, clock, period, environment)
    }
}
