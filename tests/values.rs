//! Stratum *values*: random programs with numbers of every width and sign, branches and loops print what they have to. What
//! that is is computed by `compiler/values.rs`, which knows the rules of the language and nothing of the compiler; here the compiler,
//! the kernel and the printing are asked.
//!
//! `RANDOM=N` tries so many programs, `SEED=N` begins with that one.

mod compiler;
mod strata;
mod workloads;

use std::process::ExitCode;

use compiler::values::Program;
use strata::command::{end, rtscript, start};
use strata::{Outcome, Test};

/// How many programs are tried, unless it is said.
const RANDOM: u64 = 20;

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("SEED").unwrap_or(1);
    let count = number("RANDOM").unwrap_or(RANDOM);
    let tests = (first..first + count).map(|seed: u64| {
        let cannot_trace = cannot_trace.clone();
        Test::new(format!("random/{seed}"), move || match &cannot_trace {
            Some(why) => Outcome::Skipped(why.clone()),
            None => judge(Program::random(seed)),
        })
    });
    strata::run("values", tests.collect())
}

fn judge(program: Program) -> Outcome {
    if difference(&program).is_none() {
        return Outcome::Passed;
    }
    let small = program.reduce(|program| difference(program).is_some());
    Outcome::Failed(format!("{}\n{small}", difference(&small).unwrap_or_default()))
}

/// How that which is printed differs from what has to be.
fn difference(program: &Program) -> Option<String> {
    let mut command = rtscript();
    command.args(["--no-warnings", "-e", &program.to_string()]);
    let ended = match end(start(command), String::new()) {
        Ok(ended) => ended,
        Err(why) => return Some(why),
    };
    let expected = format!("{}\n\n", program.output());
    if ended.status == "exit 0" && ended.stdout == expected {
        return None;
    }
    let lines = expected.lines().zip(ended.stdout.lines()).enumerate();
    let wrong = lines
        .filter(|(_, (expected, found))| expected != found)
        .map(|(line, (expected, found))| format!("line {}: expected {expected}, found {found}", line + 1));
    let wrong: Vec<String> = wrong.take(5).collect();
    Some(format!("{}\n{}\n{}", ended.status, wrong.join("\n"), ended.stderr))
}
