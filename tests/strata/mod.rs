//! What the drivers of the strata share. A driver names its cases; [`run`] runs those that are asked for, prints a line
//! for each, and says at the end how many passed, failed and were skipped.
//!
//! `cargo test --test STRATUM WORD` runs the cases whose names have the word in them, `=WORD` the one whose name it is. `BLESS=1` writes what was found
//! into the files of cases that differ. A case that cannot run here says why, and counts as skipped.

#![allow(dead_code, reason = "each driver uses a part")]

pub mod case;
pub mod command;
pub mod crowd;
pub mod pattern;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How a case ended.
#[derive(Debug)]
pub enum Outcome {
    Passed,
    /// The file of the case was rewritten.
    Blessed,
    /// It cannot run here: why.
    Skipped(String),
    /// What was expected, and what was found.
    Failed(String),
}

/// A case that can be run.
pub struct Test {
    pub name: String,
    pub run: Box<dyn Fn() -> Outcome>,
}

impl Test {
    pub fn new(name: impl Into<String>, run: impl Fn() -> Outcome + 'static) -> Test {
        Test { name: name.into(), run: Box::new(run) }
    }
}

/// Runs the cases that the command line asks for, one after the other, since what they trace is one kernel.
pub fn run(stratum: &str, tests: Vec<Test>) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if tests.is_empty() {
        println!("{stratum}: there are no cases");
        return ExitCode::FAILURE;
    }
    let (mut passed, mut blessed, mut skipped, mut failed) = (0, 0, 0, Vec::new());
    for Test { name, run } in tests {
        let is_asked_for = |word: &String| match word.strip_prefix('=') {
            Some(whole) => name == whole,
            None => name.contains(word.as_str()),
        };
        if !words.is_empty() && !words.iter().any(is_asked_for) {
            continue;
        }
        let once = || match catch_unwind(AssertUnwindSafe(&run)) {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed("it panicked".to_owned()),
        };
        let outcome = match once() {
            // Where the machine is busy with other things, what is traced may be gone before it was looked at. A fault fails
            // twice.
            Outcome::Failed(why) => {
                println!("{stratum} {name} ... failed, and is tried once more\n{why}");
                once()
            }
            outcome => outcome,
        };
        match outcome {
            Outcome::Passed => {
                println!("{stratum} {name} ... ok");
                passed += 1;
            }
            Outcome::Blessed => {
                println!("{stratum} {name} ... written");
                blessed += 1;
            }
            Outcome::Skipped(why) => {
                println!("{stratum} {name} ... skipped: {why}");
                skipped += 1;
            }
            Outcome::Failed(why) => {
                println!("{stratum} {name} ... FAILED\n{why}");
                failed.push(name);
            }
        }
    }
    for name in &failed {
        println!("failed: {stratum} {name}");
    }
    println!("{stratum}: {passed} passed, {blessed} written, {skipped} skipped, {} failed\n", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A path of the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The files of a directory with this extension, in the order of their names.
pub fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let directory = path(directory);
    let entries =
        std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// Whether expectations are to be rewritten.
pub fn blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| value == "1")
}

/// Why nothing can be traced here; `None` where it can. It asks the kernel by another library than the one under
/// test, so that what is broken does not look like what is impossible.
pub fn cannot_trace() -> Option<String> {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("this kernel has no BTF".to_owned());
    }
    match aya::sys::is_program_supported(aya::programs::ProgramType::RawTracePoint) {
        Ok(true) => None,
        Ok(false) => Some("this kernel has no raw tracepoints".to_owned()),
        Err(error) => Some(format!("bpf() is not allowed here, run as root ({error})")),
    }
}

/// Both texts, for a report.
pub fn difference(what: &str, expected: &str, found: &str) -> String {
    let indented =
        |text: &str| text.split_inclusive('\n').map(|line| format!("  | {line}")).collect::<String>();
    format!("{what}: expected\n{}\n{what}: found\n{}\n", indented(expected), indented(found))
}
