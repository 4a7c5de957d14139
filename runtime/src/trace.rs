//! The whole program: a script's text becomes what is printed.

use std::fs;
use std::io::{self, Read};

use rtscript_lang::syntax::source::Sources;

use crate::cli::{CommandLine, Script, Stage};
use crate::kernel::{RunningKernel, check_privileges};
use crate::report::Failure;

/// Compiles a script for this kernel, attaches it, and runs it until it exits. Returns the exit code.
pub fn trace(script: &Script, _kernel: &RunningKernel, _line: &CommandLine) -> Result<u8, Failure> {
    check_privileges().map_err(|missing| Failure::line(missing.to_string()))?;
    let _sources = read(script)?;
    Err(Failure::line("scripts cannot be run yet"))
}

/// Shows or saves what the compiler has at a stage.
pub fn emit(
    _stage: Stage,
    script: &Script,
    _kernel: &RunningKernel,
    _line: &CommandLine,
) -> Result<u8, Failure> {
    let _sources = read(script)?;
    Err(Failure::line("scripts cannot be compiled yet"))
}

/// Lists what a script attaches to.
pub fn list(script: &Script, _kernel: &RunningKernel, _line: &CommandLine) -> Result<u8, Failure> {
    let _sources = read(script)?;
    Err(Failure::line("scripts cannot be compiled yet"))
}

/// Reads the script's text.
fn read(script: &Script) -> Result<Sources, Failure> {
    let unreadable = |name: &str, error: &io::Error| Failure::line(format!("cannot read {name}: {error}"));
    let mut sources = Sources::new();
    let (name, bytes) = match script {
        Script::Text(text) => ("-e".to_owned(), text.clone().into_bytes()),
        Script::File(path) => {
            let name = path.display().to_string();
            let bytes = fs::read(path).map_err(|error| unreadable(&name, &error))?;
            (name, bytes)
        }
        Script::Stdin => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map_err(|error| unreadable("standard input", &error))?;
            ("stdin".to_owned(), bytes)
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => {
            sources.add(name, text);
            Ok(sources)
        }
        Err(error) => {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|&b| b == b'\n').count();
            Err(Failure::line(format!("{name} is no text: line {line} is not UTF-8")))
        }
    }
}
