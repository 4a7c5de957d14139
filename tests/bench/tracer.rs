//! A tracer that runs: from its start until it is attached, the kernel's statistics about it, and its end.

use crate::form::{By, Form, Output};
use crate::tools::Tools;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The word that a tracer prints once it is attached, if the environment variable of that name is 1.
const NOTICE: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Tracer {
    child: Child,
    errors: JoinHandle<String>,
    /// From before its exec until the first line that says so was read.
    pub attached_after: Duration,
}

/// What the kernel counted for a program: calls, and the time spent in them.
#[derive(Clone, Copy, Default)]
pub struct Calls {
    pub count: u64,
    pub time: Duration,
}

impl Tracer {
    /// Starts `form` on CPU 0 and waits until it is attached. An error is one line that says why it cannot be.
    pub fn start(form: &Form, tools: &Tools, output: Output) -> Result<Self, String> {
        let command = form.command(tools, output)?;
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", "0"]).arg(command.get_program()).args(command.get_args());
        let stdout = match (output, form.by) {
            (Output::Null | Output::File(_), By::Bpftrace) | (Output::Pipe, _) => Stdio::piped(),
            (Output::Null, _) => Stdio::null(),
            (Output::File(path), _) => {
                File::create(path).map_err(|error| format!("{}: {error}", path.display()))?.into()
            }
        };
        // A pipe is the caller's to read, unless it is there for the notice alone.
        let watch_stdout = !matches!(output, Output::Pipe);
        Self::watch(pinned.stdout(stdout), watch_stdout)
    }

    /// Starts `command` on any CPU, reads its standard output and throws it away: the first notice on any stream counts.
    pub fn start_and_discard(mut command: Command) -> Result<Self, String> {
        Self::watch(command.stdout(Stdio::piped()), true)
    }

    fn watch(command: &mut Command, watch_stdout: bool) -> Result<Self, String> {
        command.env(NOTICE, "1").stdin(Stdio::null()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        let (attached, notices) = mpsc::channel();
        if let Some(stdout) = child.stdout.take_if(|_| watch_stdout) {
            let attached = attached.clone();
            std::thread::spawn(move || watch_lines(stdout, &attached, &mut std::io::sink()));
        }
        let stderr = child.stderr.take().ok_or("no pipe for standard error")?;
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            watch_lines(stderr, &attached, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        match notices.recv_timeout(PATIENCE) {
            Ok(when) => Ok(Self { child, errors, attached_after: when - start }),
            Err(_) => {
                let _ = child.kill();
                let status = child.wait().map_err(|error| error.to_string())?;
                let text = errors.join().unwrap_or_default();
                Err(reason(&text).unwrap_or_else(|| format!("was not attached and said nothing ({status})")))
            }
        }
    }

    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// A file of its folder in /proc.
    pub fn proc_file(&self, name: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{name}", self.child.id());
        std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
    }

    /// The calls so far of that program of this tracer which was called most often. Zero unless the kernel keeps statistics.
    pub fn calls(&self) -> Result<Calls, String> {
        let ids = self.program_ids()?;
        // A program that goes away while the list is read is an error in the list, and none of ours.
        let programs = aya::programs::loaded_programs()
            .filter_map(Result::ok)
            .filter(|program| ids.contains(&program.id()));
        let calls = programs.map(|program| Calls { count: program.run_count(), time: program.run_time() });
        Ok(calls.max_by_key(|calls| calls.count).unwrap_or_default())
    }

    /// The programs that it holds by themselves or by a link.
    fn program_ids(&self) -> Result<BTreeSet<u32>, String> {
        let directory = format!("/proc/{}/fdinfo", self.child.id());
        let entries = std::fs::read_dir(&directory).map_err(|error| format!("{directory}: {error}"))?;
        let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
        Ok(texts
            .filter_map(|text| {
                text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok())
            })
            .collect())
    }

    /// Interrupts it as Ctrl-C does, waits for its end, and gives what it wrote to standard error.
    pub fn stop(mut self) -> Result<String, String> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().map_err(|error| format!("kill: {error}"))?;
        let asked = Instant::now();
        while self.child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if asked.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return Err("did not end when interrupted".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(self.errors.join().unwrap_or_default())
    }
}

/// The line of `text` that looks most like a reason: the first that calls itself an error, or else the first.
fn reason(text: &str) -> Option<String> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| line.contains('×') || line.to_lowercase().contains("error");
    lines().find(is_error).or_else(|| lines().next()).map(str::to_string)
}

/// Reads to the end; sends the time of the first line that says that all is attached, and copies what is read.
fn watch_lines(from: impl Read, attached: &Sender<Instant>, copy: &mut impl std::io::Write) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    let mut waiting = true;
    while reader.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        if waiting && (line.starts_with(b"Attached ") || line.starts_with(NOTICE.as_bytes())) {
            // Nobody listens any more where the other stream was first.
            let _ = attached.send(Instant::now());
            waiting = false;
        }
        let _ = copy.write_all(&line);
        line.clear();
    }
}
