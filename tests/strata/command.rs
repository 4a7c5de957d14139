//! Cases that run the command: the strata *runtime* and *command line*.
//!
//! | key | |
//! |---|---|
//! | `args` | words in front of the script; `'…'` holds blanks |
//! | `parameters` | words behind it |
//! | `workload` | a program of `tests/workloads` with its arguments, for `-c`; it prints nothing |
//! | `env` | `NAME=VALUE`, any number of times |
//! | `exit` | the exit code, 0 unless given |
//! | `user` | the number of a user to run as, instead of root |
//! | `needs` | `nothing` where tracing need not be possible; `kprobes`, `no kprobes`, `fentry`, `no fentry`, `sleepable uprobes`, `python probes`: what the kernel must have, or not have; `clang` |
//!
//! | section | |
//! |---|---|
//! | `script` | what `-e` says, with `{{workload}}` for the workload's path; without it the words are all there is |
//! | `file` | a file whose path `{{file}}` stands for in words |
//! | `stdin` | standard input |
//! | `stdout`, `stderr` | what is printed; without `stderr` nothing but `Attached N probes` |
//! | `output` | what is in the file whose path `{{output}}` stands for in words |

use std::fs;
use std::io::{Read, Write};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::case::Case;
use super::{Outcome, pattern};
use crate::workloads::workload;

/// After so long a run counts as hung and is killed. Nothing that passes comes near to it.
pub const HUNG: Duration = Duration::from_secs(60);

/// How many times slower than usual an emulated machine may be: what runs the tests there says so in `SLOWNESS`.
fn slowness() -> u32 {
    std::env::var("SLOWNESS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

const KEYS: &[&str] = &["args", "parameters", "workload", "env", "exit", "user", "needs"];
const SECTIONS: &[&str] = &["script", "file", "stdin", "stdout", "stderr", "output"];

/// What a run left behind.
#[derive(Debug)]
pub struct Ended {
    /// `exit N` or `signal N`.
    pub status: String,
    pub stdout: String,
    pub stderr: String,
}

/// The command under test, with an environment that is the same everywhere.
pub fn rtscript() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtscript"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("TZ", "UTC").env("NO_COLOR", "1").env("WORKLOAD_SILENT", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the case of a file.
pub fn run(path: &Path, cannot_trace: Option<String>) -> Outcome {
    let case = Case::read(path);
    if let Err(error) = case.check(KEYS, SECTIONS) {
        return Outcome::Failed(error);
    }
    if let Some(why) = missing(case.value("needs"), cannot_trace) {
        return Outcome::Skipped(why);
    }
    let files = Files::new(&case.name());
    let command = match command(&case, &files) {
        Ok(command) => command,
        Err(why) => return Outcome::Skipped(why),
    };
    let ended = match end(start(command), case.section("stdin").unwrap_or("").to_owned()) {
        Ok(ended) => ended,
        Err(why) => return Outcome::Failed(why),
    };
    let status = format!("exit {}", case.value("exit").unwrap_or("0"));
    if ended.status != status {
        let Ended { status: found, stdout, stderr } = ended;
        return Outcome::Failed(format!("expected {status}, found {found}\n{stdout}\n{stderr}"));
    }
    let attached =
        |text: &str| pattern::matches("Attached {{number}} probes\n", text) || text == "Attached 1 probe\n";
    let mut found = vec![("stdout", files.hide(ended.stdout))];
    if case.section("stderr").is_some() || !attached(&ended.stderr) {
        found.push(("stderr", files.hide(ended.stderr)));
    }
    if case.section("output").is_some() {
        found.push(("output", fs::read_to_string(&files.output).unwrap_or_default()));
    }
    case.judge(&found)
}

/// Whether the kernel has what cases may need, by the words of `needs`.
pub fn has(need: &str) -> bool {
    missing(Some(need), None).is_none()
}

/// Why a case cannot run on this kernel.
fn missing(need: Option<&str>, cannot_trace: Option<String>) -> Option<String> {
    let kprobes = || Path::new("/sys/bus/event_source/devices/kprobe").exists();
    let fentry =
        || aya::sys::is_program_supported(aya::programs::ProgramType::Tracing).is_ok_and(|there| there);
    let lacks = |there: bool, what: &str| (!there).then(|| what.to_owned());
    match need {
        Some("nothing") => None,
        Some("kprobes") => cannot_trace.or_else(|| lacks(kprobes(), "this kernel has no kprobes")),
        Some("no kprobes") => cannot_trace.or_else(|| lacks(!kprobes(), "this kernel has kprobes")),
        Some("fentry") => cannot_trace.or_else(|| lacks(fentry(), "this kernel forbids fentry programs")),
        Some("kprobes and fentry") => {
            missing(Some("kprobes"), cannot_trace).or_else(|| missing(Some("fentry"), None))
        }
        // The one that machines of `tests/vm` have loaded.
        Some("a module") => missing(Some("kprobes and fentry"), cannot_trace).or_else(|| {
            lacks(
                Path::new("/sys/kernel/btf/dummy").exists(),
                "the module dummy is not loaded, or has no BTF",
            )
        }),
        Some("no fentry") => cannot_trace.or_else(|| lacks(!fentry(), "this kernel allows fentry programs")),
        Some("sleepable uprobes") => {
            cannot_trace.or_else(|| lacks(release() >= (6, 1), "its programs of uprobes do not sleep"))
        }
        Some("functions of uretprobes") => {
            cannot_trace.or_else(|| lacks(release() >= (6, 6), "its uretprobes do not know their functions"))
        }
        Some("no functions of uretprobes") => {
            cannot_trace.or_else(|| lacks(release() < (6, 6), "its uretprobes know their functions"))
        }
        Some("kprobe sessions") => missing(Some("kprobes"), cannot_trace).or_else(|| {
            let there = is_in_types("bpf_session_is_return") && is_in_types("register_fprobe_ips");
            lacks(there, "this kernel has no sessions of kprobes")
        }),
        Some("clang") => {
            let clang = || Command::new("clang").arg("--version").output().is_ok();
            cannot_trace.or_else(|| lacks(clang(), "there is no clang"))
        }
        Some("override") => {
            cannot_trace.or_else(|| lacks(overrides(), "this kernel lets nothing be overridden"))
        }
        Some("no override") => {
            cannot_trace.or_else(|| lacks(!overrides(), "this kernel lets functions be overridden"))
        }
        Some("python probes") => {
            let python = fs::read("/usr/bin/python3").unwrap_or_default();
            let there = python.windows(15).any(|text| text == b"function__entry");
            cannot_trace.or_else(|| lacks(there, "there is no /usr/bin/python3 with probes of its own"))
        }
        Some(other) => panic!("the need {other} means nothing"),
        None => cannot_trace,
    }
}

/// Of the kernel: 6.18 is (6, 18).
fn release() -> (u32, u32) {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether the kernel was built with CONFIG_BPF_KPROBE_OVERRIDE: its types then name the helper.
fn overrides() -> bool {
    is_in_types("bpf_override_return")
}

/// Whether the kernel's types have such a name.
fn is_in_types(name: &str) -> bool {
    let name = format!("\0{name}\0").into_bytes();
    fs::read("/sys/kernel/btf/vmlinux")
        .is_ok_and(|types| types.windows(name.len()).any(|bytes| bytes == name))
}

fn command(case: &Case, files: &Files) -> Result<Command, String> {
    let mut command = rtscript();
    let word = |word: String| {
        word.replace("{{file}}", &files.file.to_string_lossy())
            .replace("{{rtscript}}", env!("CARGO_BIN_EXE_rtscript"))
            .replace("{{output}}", &files.output.to_string_lossy())
    };
    if let Some(text) = case.section("file") {
        fs::write(&files.file, text).expect("a file");
    }
    for pair in case.values("env") {
        let (name, value) = pair.split_once('=').expect("NAME=VALUE");
        command.env(name, value);
    }
    command.args(words(case.value("args").unwrap_or("")).into_iter().map(word));
    let mut program = String::new();
    if let Some(line) = case.value("workload") {
        let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
        program = workload(name)?.display().to_string();
        command.arg("-c").arg(format!("'{program}' {arguments}"));
    }
    if let Some(script) = case.section("script") {
        command.arg("-e").arg(script.replace("{{workload}}", &program));
    }
    command.args(words(case.value("parameters").unwrap_or("")).into_iter().map(word));
    if case.section("stdin").is_some() {
        command.stdin(Stdio::piped());
    }
    if let Some(user) = case.value("user") {
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
            return Err("only root can run it as another user".to_owned());
        }
        let user = user.parse().expect("a number");
        command.uid(user).gid(user);
    }
    Ok(command)
}

/// A process that this test started: it is killed where the test ends before it does.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Of one that has ended already this does nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

pub fn start(mut command: Command) -> Running {
    Running(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// Waits for the end of a run, and reads what it prints meanwhile.
pub fn end(mut running: Running, input: String) -> Result<Ended, String> {
    let stdin = running.stdin.take();
    // Whoever does not read its input closes it: no failure.
    let writer = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
    let stdout = read_all(running.stdout.take());
    let stderr = read_all(running.stderr.take());
    let start = Instant::now();
    let patience = HUNG * slowness();
    let status = loop {
        if let Some(status) = running.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if start.elapsed() > patience {
            drop(running);
            let text = stderr.join().unwrap_or_default();
            return Err(format!("it did not end, and was killed after {} s\n{text}", patience.as_secs()));
        }
        thread::sleep(Duration::from_millis(2));
    };
    let _ = writer.join();
    let status = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or(0)),
    };
    Ok(Ended { status, stdout: stdout.join().unwrap_or_default(), stderr: stderr.join().unwrap_or_default() })
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before a failure counts.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Bytes that are no text are shown by their numbers.
        bytes.utf8_chunks().fold(String::new(), |text, chunk| {
            let invalid: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
            text + chunk.valid() + &invalid
        })
    })
}

/// Splits words at blanks; `'…'` holds them.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// The files of a run, which go when it is over.
struct Files {
    file: PathBuf,
    output: PathBuf,
}

impl Files {
    fn new(name: &str) -> Files {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let pid = std::process::id();
        Files {
            file: directory.join(format!("{name}.{pid}.bt")),
            output: directory.join(format!("{name}.{pid}.out")),
        }
    }

    /// Puts the placeholders back where a path is printed.
    fn hide(&self, text: String) -> String {
        text.replace(&*self.file.to_string_lossy(), "{{file}}")
            .replace(&*self.output.to_string_lossy(), "{{output}}")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // They are there only where the case uses them.
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_file(&self.output);
    }
}
