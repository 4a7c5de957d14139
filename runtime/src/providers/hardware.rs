//! `hardware`: events that the processor counts, on every CPU, or in the process of `-p`. A virtual machine often has no such counters.

use perf_event_open_sys::bindings as perf;

use super::counted::{Events, event};
use crate::bpf::counter::Counter;

pub const HARDWARE: Events = Events {
    names: &["hardware", "h"],
    doc: "Once in so many events that the processor counts: cycles, instructions, cache misses.",
    form: "hardware:EVENT or hardware:EVENT:COUNT, with a count from 1",
    counter: Counter::Hardware,
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
            let (event, found) = HARDWARE.parse(point).unwrap();
            assert_eq!((event.name, found), (name, count), "{point}");
        }
    }
}
