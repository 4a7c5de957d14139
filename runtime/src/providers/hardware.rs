//! `hardware`: events that the processor counts, on every CPU, or in the process of `-p`. A virtual machine often has no such counters.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use perf_event_open_sys::bindings as perf;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, Provider, Target};
use rtscript_lang::types::Structs;

use super::counted::{self, Event, Events};
use crate::attach::{Attach, Environment};
use crate::bpf::counter::Counter;
use crate::bpf::errno;

pub struct Hardware;

const FORM: &str = "hardware:EVENT or hardware:EVENT:COUNT, with a count from 1";

const EVENTS: Events = Events {
    provider: "hardware",
    form: FORM,
    all: &[
        event("backend-stalls", "", perf::PERF_COUNT_HW_STALLED_CYCLES_BACKEND, 1_000_000),
        event("branch-instructions", "branches", perf::PERF_COUNT_HW_BRANCH_INSTRUCTIONS, 100_000),
        event("branch-misses", "", perf::PERF_COUNT_HW_BRANCH_MISSES, 100_000),
        event("bus-cycles", "", perf::PERF_COUNT_HW_BUS_CYCLES, 100_000),
        event("cache-misses", "", perf::PERF_COUNT_HW_CACHE_MISSES, 1_000_000),
        event("cache-references", "", perf::PERF_COUNT_HW_CACHE_REFERENCES, 1_000_000),
        event("cpu-cycles", "cycles", perf::PERF_COUNT_HW_CPU_CYCLES, 1_000_000),
        event("frontend-stalls", "", perf::PERF_COUNT_HW_STALLED_CYCLES_FRONTEND, 1_000_000),
        event("instructions", "", perf::PERF_COUNT_HW_INSTRUCTIONS, 1_000_000),
        event("ref-cycles", "", perf::PERF_COUNT_HW_REF_CPU_CYCLES, 1_000_000),
    ],
};

const fn event(name: &'static str, alias: &'static str, number: u32, count: u64) -> Event {
    Event { name, alias, number, count }
}

impl Provider for Hardware {
    fn names(&self) -> &'static [&'static str] {
        &["hardware", "h"]
    }

    fn doc(&self) -> &'static str {
        "Once in so many events that the processor counts: cycles, instructions, cache misses."
    }

    fn expand(&self, point: &str, _: &dyn Kernel) -> Result<Expansion, AttachError> {
        EVENTS.expand(point)
    }

    fn context(&self, _: &Target, _: &dyn Kernel, _: &mut Structs) -> Result<Context, AttachError> {
        Ok(counted::context())
    }

    fn list(&self, pattern: &str, _: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        Ok(EVENTS.list(pattern))
    }

    fn describe(&self, _: &Target, _: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        Ok(Vec::new())
    }
}

impl Attach for Hardware {
    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        let parsed = EVENTS.parse(target.point());
        let (event, count) = parsed.map_err(|_| io::Error::other(format!("not of the form {FORM}")))?;
        let attached = counted::attach(program, cookie, Counter::Hardware(event.number), count, environment);
        attached.map_err(|error| match errno(&error) {
            Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "this machine does not count {} (a virtual machine often counts nothing)",
                    event.name
                ),
            ),
            Some(_) | None => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_counts() {
        for (point, name, count) in [
            ("cycles", "cpu-cycles", 1_000_000),
            ("instructions:5", "instructions", 5),
            ("branches", "branch-instructions", 100_000),
            ("branch-misses", "branch-misses", 100_000),
            ("bus-cycles", "bus-cycles", 100_000),
            ("cache-misses", "cache-misses", 1_000_000),
        ] {
            let (event, found) = EVENTS.parse(point).unwrap();
            assert_eq!((event.name, found), (name, count), "{point}");
        }
    }
}
