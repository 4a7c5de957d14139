//! What rtscript costs, beside C written for the purpose (and bpftrace, where it is installed), as tables.
//!
//!     tests/bench/run [SECTION...] [--rounds N] [--events N]        (as root; installs clang, cc and libbpf where missing)
//!     cargo bench --bench task_rename -- [SECTION...] …             (the same, with everything in place)
//!
//! Sections: `rates` (events a second, and the kernel's time for an event), `startup`, `losses`, `compile` (from text to object, which needs no
//! root); all of them unless some are named.
//! The tracers are the binary of this build, or the one that RTSCRIPT names; the programs in `c/`; `bpftrace`, or the one
//! that BPFTRACE names.
//!
//! Method. One thread on CPU 1 renames itself (`tests/workloads/rename.c`), so task_rename fires; the tracer runs on CPU 0. Times of a
//! busy or virtual machine swing, so that only differences and ratios within one round mean anything: each round goes through
//! all forms, measures the renames alone right before each one, and starts at another form. Printed are medians over
//! the rounds. The kernel keeps its BPF statistics (which cost about 60 ns an event) only for a second run in each
//! measurement, whose wall time is not used.
//!
//! What cannot run has a row that says why. Goals are printed as met or missed; nothing here fails because of a time.

mod compile;
#[path = "../compiler/mod.rs"]
mod compiler;
mod form;
mod losses;
mod rates;
mod sample;
mod startup;
mod table;
mod tools;
mod tracer;
#[path = "../workloads/mod.rs"]
mod workloads;

use std::process::ExitCode;

/// What to measure and how often.
pub struct Plan {
    sections: Vec<String>,
    /// How often every form is measured.
    pub rounds: usize,
    /// Renames in one measurement.
    pub events: u64,
}

const SECTIONS: [&str; 4] = ["rates", "startup", "losses", "compile"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let plan = plan(std::env::args().skip(1))?;
    if plan.wants("compile") {
        compile::measure(&plan);
    }
    if plan.sections == ["compile"] {
        return Ok(());
    }
    let tools = tools::prepare()?;
    println!("{}", tools.describe());
    if plan.wants("rates") {
        rates::measure(&plan, &tools)?;
    }
    if plan.wants("startup") {
        startup::measure(&plan, &tools)?;
    }
    if plan.wants("losses") {
        losses::measure(&tools)?;
    }
    Ok(())
}

impl Plan {
    fn wants(&self, section: &str) -> bool {
        self.sections.is_empty() || self.sections.iter().any(|wanted| wanted == section)
    }
}

/// Reads the command line. Cargo adds `--bench` to it.
fn plan(mut arguments: impl Iterator<Item = String>) -> Result<Plan, String> {
    let mut plan = Plan { sections: Vec::new(), rounds: 15, events: 20_000 };
    while let Some(argument) = arguments.next() {
        let mut number = || match arguments.next().map(|text| text.parse::<u64>()) {
            Some(Ok(number)) if number > 0 => Ok(number),
            Some(_) | None => Err(format!("{argument} wants a number above 0")),
        };
        match argument.as_str() {
            "--bench" => {}
            "--rounds" => plan.rounds = number()? as usize,
            "--events" => plan.events = number()?,
            section if SECTIONS.contains(&section) => plan.sections.push(argument),
            _ => return Err(format!("{argument}: not known; sections are {}", SECTIONS.join(", "))),
        }
    }
    Ok(plan)
}
