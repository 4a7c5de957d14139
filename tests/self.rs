//! Stratum *self*: the language tested in itself. Each `tests/self/TOPIC.bt` has `test:` probes, which `rtscript --test` runs;
//! a test that fails returns the number of its first check that does not hold.

mod strata;
mod workloads;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use strata::command::{end, rtscript, start};
use strata::{Outcome, Test};

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let tests = strata::files("tests/self", "bt").into_iter().map(|path| {
        let cannot_trace = cannot_trace.clone();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Test::new(name, move || match &cannot_trace {
            Some(why) => Outcome::Skipped(why.clone()),
            None => run(&path),
        })
    });
    let tests = tests.collect();
    println!("self: {} checks", checks());
    strata::run("self", tests)
}

/// How many checks the tests make.
fn checks() -> usize {
    let count = |path: PathBuf| fs::read_to_string(path).map_or(0, |text| text.matches("{ return ").count());
    strata::files("tests/self", "bt").into_iter().map(count).sum()
}

fn run(path: &Path) -> Outcome {
    let text = fs::read_to_string(path).expect("the script");
    let tests = text.lines().filter(|line| line.starts_with("test:")).count();
    let mut command = rtscript();
    command.args(["--no-warnings", "--test"]).arg(path);
    let ended = match end(start(command), String::new()) {
        Ok(ended) => ended,
        Err(why) => return Outcome::Failed(why),
    };
    let passed = ended.stdout.lines().filter(|line| line.starts_with("[       OK ]")).count();
    if ended.status == "exit 0" && passed == tests && tests > 0 {
        return Outcome::Passed;
    }
    let failed: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with("[  FAILED  ]")).collect();
    Outcome::Failed(format!("{passed} of {tests} passed\n{}\n{}", failed.join("\n"), ended.stderr))
}
