//! `software`: events that the kernel itself counts, on every CPU, or in the process of `-p`.

use perf_event_open_sys::bindings as perf;

use super::counted::{Events, event};
use crate::bpf::counter::Counter;

pub const SOFTWARE: Events = Events {
    names: &["software", "s"],
    doc: "Once in so many events that the kernel counts: faults, switches, clocks.",
    form: "software:EVENT or software:EVENT:COUNT, with a count from 1",
    counter: Counter::Software,
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
            let (event, found) = SOFTWARE.parse(point).unwrap();
            assert_eq!((event.name, found), (name, count), "{point}");
        }
    }
}
