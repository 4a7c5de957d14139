//! Stratum *runtime*: each `tests/runtime/NAME.test` is a script that runs on this kernel with a workload of its own, and
//! what it prints. Expectations follow the rules of the language. `strata/command.rs` says what stands in a file.

mod strata;
mod workloads;

use std::process::ExitCode;

use strata::Test;

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let tests = strata::files("tests/runtime", "test").into_iter().map(|path| {
        let cannot_trace = cannot_trace.clone();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Test::new(name, move || strata::command::run(&path, cannot_trace.clone()))
    });
    strata::run("runtime", tests.collect())
}
