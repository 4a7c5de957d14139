//! Stratum *scripts*: every tool in `scripts/` runs with a real workload. `tests/scripts/NAME.test` says which:
//!
//! | key | |
//! |---|---|
//! | `workload` | what a shell does once everything is attached; `exec` keeps its process id |
//! | `args`, `parameters` | words in front of the script's file and behind it; `{pid}` is the shell's process id |
//!
//! The section `stdout` is what is printed, `{pid}` in it too. Tools are told to look at the shell alone, or print nothing of
//! other processes.

mod strata;
mod workloads;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use strata::case::Case;
use strata::command::{rtscript, words};
use strata::{Outcome, Test, pattern};

/// The word by which the command says that everything is attached.
const NOTIFY: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";
/// Events of a workload that has ended are given this long to come out before tracing is ended.
const LINGER: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let tests = strata::files("scripts", "bt").into_iter().map(|script| {
        let cannot_trace = cannot_trace.clone();
        let name = script.file_stem().expect("a name").to_string_lossy().into_owned();
        Test::new(name.clone(), move || {
            let case = strata::path("tests/scripts").join(&name).with_extension("test");
            match &cannot_trace {
                _ if !case.exists() => Outcome::Failed(format!("there is no {}", case.display())),
                Some(why) => Outcome::Skipped(why.clone()),
                None => run(&script, &Case::read(&case)),
            }
        })
    });
    strata::run("scripts", tests.collect())
}

fn run(script: &Path, case: &Case) -> Outcome {
    if let Err(error) = case.check(&["workload", "args", "parameters"], &["stdout"]) {
        return Outcome::Failed(error);
    }
    let workload = case.value("workload").unwrap_or("true");
    let mut shell = {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("read go; {workload}"));
        // What it writes goes there.
        command.current_dir(env!("CARGO_TARGET_TMPDIR"));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("there is a shell")
    };
    let pid = shell.id().to_string();
    let with_pid = |text: &str| text.replace("{pid}", &pid);
    let mut command = rtscript();
    command.env(NOTIFY, "1");
    let args = words(case.value("args").unwrap_or(""));
    command.args(args.iter().map(|word| with_pid(word)));
    command.arg(script);
    command.args(words(case.value("parameters").unwrap_or("")).iter().map(|word| with_pid(word)));
    let mut tracer = command.spawn().expect("it was built");
    let mut stdout = BufReader::new(tracer.stdout.take().expect("a pipe"));
    // Iterators print before that.
    let mut found = String::new();
    while !found.trim_end().ends_with(NOTIFY) {
        let mut line = String::new();
        if !stdout.read_line(&mut line).is_ok_and(|length| length > 0) {
            let error = ended(tracer, shell);
            return Outcome::Failed(format!("it was not attached: {found}{error}"));
        }
        found.push_str(&line);
    }
    found.truncate(found.trim_end().len() - NOTIFY.len());
    shell.stdin.take().expect("a pipe").write_all(b"go\n").expect("the shell reads");
    shell.wait().expect("a child");
    // With `-p` it ends by itself.
    if !args.iter().any(|word| word == "-p") {
        thread::sleep(LINGER);
        interrupt(&tracer);
    }
    stdout.read_to_string(&mut found).expect("text");
    let status = tracer.wait().expect("a child");
    let expected = with_pid(case.section("stdout").unwrap_or_default());
    if !status.success() {
        return Outcome::Failed(format!("it ended with {status}\n{found}"));
    }
    if pattern::matches(&expected, &found) {
        return Outcome::Passed;
    }
    Outcome::Failed(strata::difference("stdout", &expected, &found))
}

/// Ends both, and returns what the tracer said.
fn ended(mut tracer: Child, mut shell: Child) -> String {
    // It may have ended by itself, which is why we are here.
    let _ = tracer.kill();
    drop(shell.stdin.take());
    shell.wait().expect("a child");
    let output = tracer.wait_with_output().expect("a child");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn interrupt(child: &Child) {
    // SAFETY: it is our child, and not yet waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
}
