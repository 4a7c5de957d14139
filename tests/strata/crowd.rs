//! Tests with several processes: tracers whose probes are attached, and the workload `crowd`, which waits to be told to begin.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::command::{Ended, Running, end, has, rtscript, start};
use crate::workloads::workload;

/// How many threads a crowd has.
pub const THREADS: usize = 8;

/// The workload `crowd`.
pub struct Crowd {
    pub path: String,
    running: Running,
    stdout: BufReader<ChildStdout>,
}

impl Crowd {
    pub fn start(rounds: usize, processes: usize) -> Result<Crowd, String> {
        let path = workload("crowd")?.display().to_string();
        Crowd::by(Command::new(&path), path, rounds, processes)
    }

    /// One that a command executes, which takes what the workload takes.
    pub fn by(mut command: Command, path: String, rounds: usize, processes: usize) -> Result<Crowd, String> {
        command.args([THREADS, rounds, processes].map(|number| number.to_string())).arg("-w");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = start(command);
        let stdout = BufReader::new(running.stdout.take().ok_or("no standard output")?);
        Ok(Crowd { path, running, stdout })
    }

    pub fn pid(&self) -> u32 {
        self.running.id()
    }

    /// Lets it work, and gives back the line that it prints when all is done.
    pub fn work(&mut self) -> Result<String, String> {
        let stdin = self.running.stdin.as_mut().ok_or("no standard input")?;
        stdin.write_all(b"x").map_err(|error| error.to_string())?;
        let mut line = String::new();
        self.stdout.read_line(&mut line).map_err(|error| error.to_string())?;
        Ok(line)
    }

    /// Ends it.
    pub fn kill(&mut self) -> Result<(), String> {
        self.running.kill().and_then(|()| self.running.wait().map(drop)).map_err(|error| error.to_string())
    }
}

/// Kprobes of a function of the kernel that each round of a crowd calls once, and that has one name, where the kernel has them, with the names of the
/// maps in which they count.
pub fn kernel_functions() -> Vec<(&'static str, &'static str)> {
    if !has("kprobes") {
        return Vec::new();
    }
    vec![
        ("kprobe", "kprobe:__x64_sys_prctl"),
        ("kprobe_left", "kretprobe:__x64_sys_prctl"),
        ("kprobe_many", "kprobe:__x64_sys_prct?"),
        ("kprobe_many_left", "kretprobe:__x64_sys_prct?"),
    ]
}

/// A tracer whose probes are attached; `PID` in the script is the process.
pub fn attached(words: &[&str], pid: u32, script: &str) -> Result<Running, String> {
    let mut tracer = rtscript();
    tracer.env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1").args(words);
    tracer.arg("-e").arg(script.replace("PID", &pid.to_string()));
    let mut tracer = start(tracer);
    let stdout = tracer.stdout.as_mut().ok_or("no standard output")?;
    // Nothing behind the line may be read here.
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        match stdout.read(&mut byte) {
            Ok(1) => line.push(byte[0]),
            _ => return Err(end(tracer, String::new())?.stderr),
        }
    }
    match &line[..] {
        b"__BPFTRACE_NOTIFY_PROBES_ATTACHED\n" => Ok(tracer),
        other => Err(format!("the tracer begins with {:?}", String::from_utf8_lossy(other))),
    }
}

/// Ends a tracer as Ctrl-C does.
pub fn interrupted(tracer: Running) -> Result<Ended, String> {
    signal(&tracer, libc::SIGINT)?;
    let ended = end(tracer, String::new())?;
    if ended.status == "exit 0" { Ok(ended) } else { Err(format!("{}: {}", ended.status, ended.stderr)) }
}

/// Signals a process that this test started and has not waited for yet.
pub fn signal(child: &Child, signal: libc::c_int) -> Result<(), String> {
    let kill = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
    match kill {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("kill: {other:?}")),
    }
}
