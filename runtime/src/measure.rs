//! `--mode compiler-bench`: how long each stage of the compiler takes for a script, in the table of `--bench`.
//!
//! The whole way from text to object is gone again and again. The first time is not counted: it also reads the kernel's types.

use std::time::{Duration, Instant};

use rtscript_codegen::lower::lower;

use crate::cli::{CommandLine, Format, Script};
use crate::kernel::RunningKernel;
use crate::output::{trial_json, trial_text};
use crate::report::Failure;
use crate::session::trials::Trial;
use crate::trace::{check_script, compiled, parsed, running_target, save};

/// How long it is measured, and how often at least.
const TIME: Duration = Duration::from_millis(300);
const ROUNDS: u32 = 10;

const STAGES: [&str; 5] = ["parse", "expand", "check", "lower", "compile"];

/// Measures the stages, and prints a table of them.
pub fn measure(script: &Script, kernel: &RunningKernel, line: &CommandLine) -> Result<u8, Failure> {
    round(script, kernel, line)?;
    let begun = Instant::now();
    let mut total = [Duration::ZERO; STAGES.len()];
    let mut rounds = 0;
    while rounds < ROUNDS || begun.elapsed() < TIME {
        for (total, time) in total.iter_mut().zip(round(script, kernel, line)?) {
            *total += time;
        }
        rounds += 1;
    }
    let all = ("all", total.iter().sum());
    let mut text = Vec::new();
    let mut tell = |trial: Trial<'_>| match line.format {
        Format::Text => trial_text(trial, false, &mut text),
        Format::Json => trial_json(trial, &mut text),
    };
    tell(Trial::BenchesBegin);
    for (name, time) in STAGES.into_iter().zip(total).chain([all]) {
        let nanos = time.as_nanos() as u64 / u64::from(rounds);
        tell(Trial::Bench { name, nanos, runs: u64::from(rounds) });
    }
    save(&text, line)
}

/// Goes all the way once, and tells how long each stage took.
fn round(
    script: &Script,
    kernel: &RunningKernel,
    line: &CommandLine,
) -> Result<[Duration; STAGES.len()], Failure> {
    let mut ends = [Instant::now(); STAGES.len()];
    let begin = ends[0];
    let parsed = parsed(script, kernel, line)?;
    ends[0] = Instant::now();
    let parsed = parsed.expand()?;
    ends[1] = Instant::now();
    let checked = check_script(&parsed, kernel, line, None)?;
    ends[2] = Instant::now();
    let module = lower(&checked.program, running_target(kernel, line));
    ends[3] = Instant::now();
    compiled(module, parsed.sources)?;
    ends[4] = Instant::now();
    let mut before = begin;
    Ok(ends.map(|end| end - std::mem::replace(&mut before, end)))
}
