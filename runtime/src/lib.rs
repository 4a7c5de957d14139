//! All input and output: kernel facts, loading, attaching, events, what is printed, and the command line.
//!
//! [`run`] is the whole command; [`trace`] is what it does with a script.

mod aot;
pub mod attach;
pub mod bpf;
pub mod cli;
pub mod dwarf;
pub mod elf;
mod files;
mod foreign;
mod import;
mod include;
pub mod info;
pub mod kernel;
mod kprobe_sessions;
pub mod list;
pub mod load;
mod measure;
pub mod output;
pub mod providers;
pub mod report;
pub mod session;
mod show;
pub mod symbols;
pub mod trace;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};

use cli::{CommandLine, Task};
use kernel::RunningKernel;
use report::{Failure, WRONG};

/// Does what a command line asks for, and returns the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let carried = match aot::carried() {
        Ok(carried) => carried,
        Err(error) => {
            let failure = Failure::line(format!("cannot read this program's own file: {error}"));
            failure.show();
            return failure.code;
        }
    };
    let (line, task) = match CommandLine::parse_from(args, carried) {
        Ok(parsed) => parsed,
        Err(error) => {
            // A closed output is no reason to fail.
            let _ = error.print();
            return if error.use_stderr() { WRONG } else { 0 };
        }
    };
    match perform(&line, &task) {
        Ok(code) => code,
        Err(failure) => {
            failure.show();
            failure.code
        }
    }
}

fn perform(line: &CommandLine, task: &Task) -> Result<u8, Failure> {
    let kernel = RunningKernel::new(kernel::Sources {
        btf: std::env::var_os("BPFTRACE_BTF").map(Into::into),
        tracefs: line.tracefs.clone(),
        debug_dirs: line.debuginfo.iter().map(|dir| dir.to_string_lossy().into_owned()).collect(),
        functions: line.traceable_functions.clone(),
        process: line.pid,
    });
    match task {
        Task::Run(script) | Task::Compile(script) => trace::trace(script, &kernel, line),
        Task::MeasureCompiler(script) => measure::measure(script, &kernel, line),
        Task::Emit(stage, script) => trace::emit(*stage, script, &kernel, line),
        Task::Build(script, path) => aot::build(script, path, &kernel, line),
        Task::Format(script) => trace::format_script(script, line),
        Task::ListScript(script) => trace::list(script, &kernel, line),
        Task::ListPattern(pattern) => {
            to_stdout(|out| list::list(pattern, &kernel, line.verbose, out)).map(|()| 0)
        }
        Task::Info => {
            let written = to_stdout(|out| {
                info::write_info(&kernel, out).map_err(|error| Failure::unwritten("the output", &error))
            });
            written.map(|()| 0)
        }
    }
}

/// Lets `write` write to standard output, with a buffer.
fn to_stdout(write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    write(&mut out)?;
    out.flush().map_err(|error| Failure::unwritten("the output", &error))
}
