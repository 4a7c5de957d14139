//! `software`: events that the kernel itself counts, on every CPU, or in the process of `-p`.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use perf_event_open_sys::bindings as perf;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, Provider, Target};
use rtscript_lang::types::Structs;

use super::counted::{self, Event, Events};
use crate::attach::{Attach, Environment};
use crate::bpf::counter::Counter;

pub struct Software;

const FORM: &str = "software:EVENT or software:EVENT:COUNT, with a count from 1";

const EVENTS: Events = Events {
    provider: "software",
    form: FORM,
    all: &[
        event("alignment-faults", "", perf::PERF_COUNT_SW_ALIGNMENT_FAULTS, 1),
        event("bpf-output", "", perf::PERF_COUNT_SW_BPF_OUTPUT, 1),
        event("cgroup-switches", "", perf::PERF_COUNT_SW_CGROUP_SWITCHES, 1),
        event("context-switches", "cs", perf::PERF_COUNT_SW_CONTEXT_SWITCHES, 1000),
        event("cpu-clock", "cpu", perf::PERF_COUNT_SW_CPU_CLOCK, 1_000_000),
        event("cpu-migrations", "", perf::PERF_COUNT_SW_CPU_MIGRATIONS, 1),
        event("dummy", "", perf::PERF_COUNT_SW_DUMMY, 1),
        event("emulation-faults", "", perf::PERF_COUNT_SW_EMULATION_FAULTS, 1),
        event("major-faults", "", perf::PERF_COUNT_SW_PAGE_FAULTS_MAJ, 1),
        event("minor-faults", "", perf::PERF_COUNT_SW_PAGE_FAULTS_MIN, 100),
        event("page-faults", "faults", perf::PERF_COUNT_SW_PAGE_FAULTS, 100),
        event("task-clock", "", perf::PERF_COUNT_SW_TASK_CLOCK, 1),
    ],
};

const fn event(name: &'static str, alias: &'static str, number: u32, count: u64) -> Event {
    Event { name, alias, number, count }
}

impl Provider for Software {
    fn names(&self) -> &'static [&'static str] {
        &["software", "s"]
    }

    fn doc(&self) -> &'static str {
        "Once in so many events that the kernel counts: faults, switches, clocks."
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

impl Attach for Software {
    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        let parsed = EVENTS.parse(target.point());
        let (event, count) = parsed.map_err(|_| io::Error::other(format!("not of the form {FORM}")))?;
        counted::attach(program, cookie, Counter::Software(event.number), count, environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_attach_point_or_the_usual_ones() {
        for (point, name, count) in [
            ("cs", "context-switches", 1000),
            ("faults", "page-faults", 100),
            ("page-faults:1", "page-faults", 1),
            ("minor-faults", "minor-faults", 100),
            ("major-faults", "major-faults", 1),
            ("cpu:", "cpu-clock", 1_000_000),
            ("task-clock", "task-clock", 1),
            ("cpu-clock:1_000", "cpu-clock", 1000),
        ] {
            let (event, found) = EVENTS.parse(point).unwrap();
            assert_eq!((event.name, found), (name, count), "{point}");
        }
        for point in ["cs:0", "cs:x", "cs:-1", "cs:1:2", "cs:9223372036854775808", ""] {
            assert!(matches!(EVENTS.expand(point), Err(AttachError::Form { .. })), "{point}");
        }
        assert!(
            matches!(EVENTS.expand("falts"), Err(AttachError::Unknown { nearest, .. }) if nearest == ["faults"])
        );
    }

    #[test]
    fn wildcards_match_full_names_and_lists_have_both() {
        let names = |targets: Vec<Target>| targets.into_iter().map(|target| target.name).collect::<Vec<_>>();
        let expanded = names(EVENTS.expand("*-faults:7").unwrap().targets);
        assert!(
            expanded.contains(&"software:page-faults:7".to_owned()) && expanded.len() == 5,
            "{expanded:?}"
        );
        assert_eq!(
            names(EVENTS.list("cpu*")),
            ["software:cpu-clock:", "software:cpu:", "software:cpu-migrations:"]
        );
        assert!(matches!(EVENTS.expand("x*"), Err(AttachError::NoMatch)));
    }
}
