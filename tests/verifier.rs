//! Stratum *verifier*: what `check` accepts the kernel accepts. Every case, every script that other strata run, every tool in
//! `scripts/`, and random scripts are compiled for this kernel in each form of code that there is, and loaded; nothing is
//! attached. What is printed are the instructions of all programs together, and how many the verifier walked.
//!
//! Random scripts are of two kinds: `random` are dense in arithmetic and branches, `wide` have values of all types and statements of all
//! kinds. `RANDOM=N` tries so many of each, `SEED=N` begins with that one; with `REDUCE=1` those that fail are made smaller.

mod compiler;
mod strata;
mod workloads;

use std::process::ExitCode;

use compiler::file::CaseFile;
use compiler::random::Script;
use compiler::{files, front};
use rtscript_codegen::target::{ReadForm, Target};
use rtscript_lang::check::Options;
use rtscript_lang::kernel::Kernel;
use rtscript_runtime::kernel::{RunningKernel, Sources};
use rtscript_runtime::load::{LoadError, LoadOptions, load};
use strata::case::Case;
use strata::{Outcome, Test};

/// How many random scripts of each kind are tried, unless it is said.
const RANDOM: [(&str, u64, Make); 2] = [("random", 40, Script::random), ("wide", 9, Script::wide)];

/// Makes the script of a seed.
type Make = fn(u64) -> Script;

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let mut tests = Vec::new();
    let mut add = |name: String, text: String, options: Options| {
        let cannot_trace = cannot_trace.clone();
        let test = name.clone();
        tests.push(Test::new(test, move || match &cannot_trace {
            Some(why) => Outcome::Skipped(why.clone()),
            None => judge(&name, &text, &options),
        }));
    };
    for path in files("scripts", "bt") {
        let name = format!("scripts/{}", path.file_name().expect("a name").to_string_lossy());
        add(name, std::fs::read_to_string(&path).expect("a script"), Options::default());
    }
    for path in files("tests/cases", "bt") {
        let case = CaseFile::read(&path);
        let options = Options { positional: case.words("args"), allow_unsafe: true, ..Options::default() };
        add(format!("cases/{}", case.name), case.script, options);
    }
    for path in files("tests/self", "bt") {
        let name = format!("self/{}", path.file_name().expect("a name").to_string_lossy());
        add(name, std::fs::read_to_string(&path).expect("a script"), Options::default());
    }
    for path in files("tests/runtime", "test").into_iter().chain(files("tests/exact", "test")) {
        let case = Case::read(&path);
        let Some(script) = case.section("script") else { continue };
        let parameters = case.value("parameters").unwrap_or("").split_whitespace();
        let options = Options {
            positional: parameters.map(str::to_owned).collect(),
            child_pid: Some(1),
            ..Options::default()
        };
        add(format!("runtime/{}", case.name()), script.to_owned(), options);
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("SEED").unwrap_or(1);
    for (kind, count, make) in RANDOM {
        for seed in first..first + number("RANDOM").unwrap_or(count) {
            let cannot_trace = cannot_trace.clone();
            tests.push(Test::new(format!("{kind}/{seed}"), move || match &cannot_trace {
                Some(why) => Outcome::Skipped(why.clone()),
                None => random(make(seed)),
            }));
        }
    }
    strata::run("verifier", tests)
}

/// What needs more than the 32 KiB of scratch memory that saved objects keep to, on purpose.
const TOO_LARGE_TO_SAVE: [&str; 2] = ["runtime/large_strings", "runtime/largest_strings"];

/// Why a script cannot be loaded.
enum Refused {
    /// Everything that `check` said.
    Checked(String),
    TooLarge {
        form: &'static str,
    },
    /// The kernel does not let such programs be loaded, whatever they do.
    Forbidden(String),
    Kernel(String),
}

/// All forms of code: as scripts run here, with reports of failures, and as objects are saved.
fn targets(kernel: &dyn Kernel) -> [(&'static str, Target); 3] {
    let features = kernel.features();
    [
        ("direct", Target::running(features, false)),
        ("reporting", Target::running(features, true)),
        ("portable", Target { read: ReadForm::Probe, ..Target::portable() }),
    ]
}

/// Loads a script in every form, and says how large its programs are.
fn load_all(name: &str, text: &str, options: &Options, kernel: &RunningKernel) -> Result<String, Refused> {
    let front = front(name, text, kernel, options).map_err(Refused::Checked)?;
    let mut sizes = Vec::new();
    for (form, target) in targets(kernel) {
        let object = front.object(target).map_err(|_| Refused::TooLarge { form })?;
        let loaded = load(&object, kernel, LoadOptions::default()).map_err(|error| {
            if matches!(error, LoadError::Forbidden { .. }) {
                return Refused::Forbidden(error.to_string());
            }
            let log = error.log().map(tail).unwrap_or_default();
            Refused::Kernel(format!("{form}: {}{log}", compiler::render(vec![error], &front.sources)))
        })?;
        let infos = loaded
            .programs
            .iter()
            .flat_map(|program| &program.copies)
            .map(|(_, program)| program.info().expect("the kernel tells"));
        let (insns, walked) =
            infos.fold((0, 0), |(insns, walked), info| (insns + info.insns, walked + info.verified_insns));
        sizes.push(format!("{form} {insns} ({walked})"));
    }
    Ok(sizes.join(", "))
}

fn kernel() -> RunningKernel {
    RunningKernel::new(Sources::default())
}

fn judge(name: &str, text: &str, options: &Options) -> Outcome {
    match load_all(name, text, options, &kernel()) {
        Ok(sizes) => {
            println!("verifier {name}: {sizes}");
            Outcome::Passed
        }
        // Scripts of other strata may be wrong on purpose; they say there what they expect.
        Err(Refused::Checked(_)) if name.starts_with("runtime/") => {
            Outcome::Skipped("it is not a right script".to_owned())
        }
        Err(Refused::Checked(errors)) => {
            let absent = [
                "rt::unknown-probe\n",
                "rt::no-match\n",
                "rt::kernel\n",
                "rt::unsupported\n",
                "this kernel was built without",
            ];
            match absent.iter().find(|code| errors.contains(**code)) {
                Some(_) => Outcome::Skipped(format!("this kernel lacks something that it needs\n{errors}")),
                None => Outcome::Failed(errors),
            }
        }
        Err(Refused::Forbidden(why)) => Outcome::Skipped(why),
        // The other forms were loaded before.
        Err(Refused::TooLarge { form: "portable" }) if TOO_LARGE_TO_SAVE.contains(&name) => {
            Outcome::Skipped("it runs, but needs more scratch memory than a saved object has".to_owned())
        }
        Err(Refused::TooLarge { form }) => Outcome::Failed(format!("{form}: it is too large")),
        Err(Refused::Kernel(error)) => Outcome::Failed(error),
    }
}

fn random(script: Script) -> Outcome {
    let kernel = kernel();
    let options = Options::default();
    let refused = |script: &Script| load_all("random", &script.to_string(), &options, &kernel).err();
    match refused(&script) {
        None => Outcome::Passed,
        Some(Refused::Checked(errors)) => Outcome::Failed(format!("check refuses it: {errors}\n{script}")),
        Some(Refused::Forbidden(why)) => Outcome::Skipped(why),
        // Where loops are callbacks, those within one another share the stack.
        Some(Refused::TooLarge { form: "portable" }) => {
            Outcome::Skipped("its loops do not fit into the stack of a saved object".to_owned())
        }
        Some(Refused::TooLarge { .. }) => Outcome::Failed(format!("it is too large\n{script}")),
        Some(Refused::Kernel(error)) if std::env::var_os("REDUCE").is_none() => {
            Outcome::Failed(format!("{error}\n{script}"))
        }
        Some(Refused::Kernel(_)) => {
            let small = script.reduce(|script| matches!(refused(script), Some(Refused::Kernel(_))));
            let Some(Refused::Kernel(error)) = refused(&small) else { unreachable!("it failed before") };
            Outcome::Failed(format!("{error}\nmade smaller:\n{small}"))
        }
    }
}

/// The end of the verifier's log.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].iter().map(|line| format!("    {line}\n")).collect()
}
