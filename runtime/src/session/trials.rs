//! Running `test:` and `bench:` probes. Nothing is attached, and no maps are printed; `begin` runs before, `end` behind.
//!
//! A test passes where its body returns 0 and does not exit with another code. What a test prints comes before its
//! verdict. A benchmark runs for a while; the kernel itself counts its runs and their time, of which what an empty
//! program takes is not the script's.

use std::time::{Duration, Instant};

use rtscript_lang::provider::Phase;

use super::Session;
use super::events::Look;
use crate::bpf::{Program, ProgramSpec, TestRun, enable_run_time_stats};
use crate::report::{Failure, say};
use aya_obj::generated::bpf_prog_type;

/// How long each benchmark runs.
const BENCH_TIME: Duration = Duration::from_millis(300);
/// Runs between two looks at the clock.
const BATCH: u32 = 256;

/// What `--test` and `--bench` tell, in this order.
#[derive(Clone, Copy, Debug)]
pub enum Trial<'a> {
    TestsBegin {
        count: usize,
    },
    TestBegins {
        name: &'a str,
    },
    TestEnds {
        name: &'a str,
        passed: bool,
        took: Duration,
    },
    TestsEnd {
        count: usize,
        failed: &'a [&'a str],
    },
    BenchesBegin,
    /// `nanos` is the time of one run on average.
    Bench {
        name: &'a str,
        nanos: u64,
        runs: u64,
    },
}

impl<'a> Session<'a> {
    /// Runs the tests. Returns the exit code: 0 if all of them passed.
    pub(super) fn run_tests(mut self) -> Result<u8, Failure> {
        let probes = self.trials(Phase::Test)?;
        self.globals.start();
        self.run_ours(Phase::Begin)?;
        self.drain();
        self.go_on();
        self.out.trial(Trial::TestsBegin { count: probes.len() });
        let mut failed = Vec::new();
        for &(name, program) in &probes {
            self.out.trial(Trial::TestBegins { name });
            let start = Instant::now();
            let run = program.test_run(TestRun::default()).map_err(not_run)?;
            let took = start.elapsed();
            self.drain();
            self.tell_warnings();
            let exited = self.globals.is_exiting() && self.globals.exit_code() != 0;
            self.go_on();
            let passed = run.return_value == 0 && !exited;
            if run.return_value != 0 {
                say(format_args!("rtscript: the test {name} returned {}", run.return_value as i32));
            }
            if !passed {
                failed.push(name);
            }
            self.out.trial(Trial::TestEnds { name, passed, took });
            self.out.flush();
        }
        self.run_ours(Phase::End)?;
        self.drain();
        self.out.trial(Trial::TestsEnd { count: probes.len(), failed: &failed });
        self.out.close(None);
        Ok(u8::from(!failed.is_empty()))
    }

    /// Runs the benchmarks.
    pub(super) fn run_benches(mut self) -> Result<u8, Failure> {
        let probes = self.trials(Phase::Bench)?;
        let cannot_measure = |error| Failure::line(format!("the kernel does not measure programs: {error}"));
        let _counted = enable_run_time_stats().map_err(cannot_measure)?;
        // r0 = 0; exit
        let kind = bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT;
        let spec = ProgramSpec::new(kind, "empty", &[0xb7, 0x95]);
        let empty = Program::load(&spec).map_err(|rejection| cannot_measure(rejection.error))?;
        self.globals.start();
        self.run_ours(Phase::Begin)?;
        self.drain();
        self.out.trial(Trial::BenchesBegin);
        let (floor, _) = self.measure(&empty)?;
        for &(name, program) in &probes {
            let (nanos, runs) = self.measure(program)?;
            self.out.trial(Trial::Bench { name, nanos: nanos.saturating_sub(floor), runs });
            self.out.flush();
        }
        self.go_on();
        self.run_ours(Phase::End)?;
        self.drain();
        self.tell_warnings();
        self.out.close(None);
        Ok(0)
    }

    /// The time of a run on average, in nanoseconds, and how many runs there were.
    fn measure(&mut self, program: &Program) -> Result<(u64, u64), Failure> {
        let run = || program.test_run(TestRun::default()).map_err(not_run);
        // The first run finds nothing in the caches.
        run()?;
        let before = program.info().map_err(not_run)?;
        let start = Instant::now();
        while start.elapsed() < BENCH_TIME {
            for _ in 0..BATCH {
                run()?;
            }
            // What a benchmark prints is not its result.
            if let Some(events) = &mut self.events {
                while events.look(|_| true) != Look::Nothing {}
            }
        }
        let after = program.info().map_err(not_run)?;
        let runs = after.run_count.saturating_sub(before.run_count);
        let nanos = after.run_time_ns.saturating_sub(before.run_time_ns);
        Ok((nanos.checked_div(runs).unwrap_or(0), runs))
    }

    /// The probes of a phase, by the names that the script gives them.
    fn trials(&self, phase: Phase) -> Result<Vec<(&'a str, &'a Program)>, Failure> {
        let probes: Vec<_> = self.probes.named(phase).collect();
        match probes.is_empty() {
            false => Ok(probes),
            true => Err(Failure::line(match phase {
                Phase::Bench => "the script has no bench: probe".to_owned(),
                Phase::Test | Phase::Begin | Phase::Attached | Phase::Signal | Phase::End => {
                    "the script has no test: probe".to_owned()
                }
            })),
        }
    }
}

fn not_run(error: std::io::Error) -> Failure {
    Failure::line(format!("the kernel does not run the script's probes: {error}"))
}
