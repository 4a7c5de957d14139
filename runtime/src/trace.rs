//! The whole program: a script's text becomes what is printed.

use std::fs;
use std::io::{self, Read};

use rtscript_lang::check::{self, Checked, check};
use rtscript_lang::provider::Provider;
use rtscript_lang::syntax::ast;
use rtscript_lang::syntax::parse;
use rtscript_lang::syntax::source::Sources;

use crate::cli::{CommandLine, Script, Stage};
use crate::kernel::{RunningKernel, check_privileges};
use crate::list::list_targets;
use crate::providers::PROVIDERS;
use crate::report::{Failure, warn};

/// Compiles a script for this kernel, attaches it, and runs it until it exits. Returns the exit code.
pub fn trace(script: &Script, kernel: &RunningKernel, line: &CommandLine) -> Result<u8, Failure> {
    check_privileges().map_err(|missing| Failure::line(missing.to_string()))?;
    let (script, sources) = parsed(script)?;
    let _program = checked(&script, kernel, line, None, &sources)?;
    Err(Failure::line("scripts cannot be run yet"))
}

/// Shows or saves what the compiler has at a stage.
pub fn emit(
    stage: Stage,
    script: &Script,
    kernel: &RunningKernel,
    line: &CommandLine,
) -> Result<u8, Failure> {
    let (script, sources) = parsed(script)?;
    if stage == Stage::Ast {
        return save(script.to_string().as_bytes(), line);
    }
    let checked = checked(&script, kernel, line, None, &sources)?;
    if stage == Stage::Types {
        return save(checked.program.to_string().as_bytes(), line);
    }
    Err(Failure::line("this stage cannot be shown yet"))
}

/// Lists what a script attaches to.
pub fn list(script: &Script, kernel: &RunningKernel, line: &CommandLine) -> Result<u8, Failure> {
    let (script, sources) = parsed(script)?;
    let checked = checked(&script, kernel, line, None, &sources)?;
    let targets = checked.program.probes.iter().flat_map(|probe| &probe.targets);
    crate::to_stdout(|out| list_targets(targets, kernel, line.verbose, out)).map(|()| 0)
}

/// Reads and parses.
fn parsed(script: &Script) -> Result<(ast::Script, Sources), Failure> {
    let mut sources = Sources::new();
    let (name, text) = read(script)?;
    let source = sources.add(name, text);
    let script = parse(&source).map_err(|errors| Failure::wrong(errors, &sources))?;
    Ok((script, sources))
}

/// Checks, and shows the warnings unless they are not wanted.
fn checked(
    script: &ast::Script,
    kernel: &RunningKernel,
    line: &CommandLine,
    child_pid: Option<u32>,
    sources: &Sources,
) -> Result<Checked, Failure> {
    let options = check::Options {
        positional: line.positional(),
        environment: std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(key, _)| key.starts_with("BPFTRACE_"))
            .collect(),
        child_pid,
        filter_pid: line.pid,
    };
    let providers: Vec<&dyn Provider> = PROVIDERS.iter().map(|&provider| provider as _).collect();
    let checked = check(script, kernel, &providers, &options);
    let checked = checked.map_err(|errors| Failure::wrong(errors, sources))?;
    if !line.no_warnings {
        for warning in &checked.warnings {
            warn(warning.clone(), sources);
        }
    }
    Ok(checked)
}

/// Writes to the file of `-o`, or to standard output.
fn save(bytes: &[u8], line: &CommandLine) -> Result<u8, Failure> {
    match &line.output {
        Some(path) => fs::write(path, bytes)
            .map_err(|error| Failure::line(format!("cannot write {}: {error}", path.display())))?,
        None => crate::to_stdout(|out| {
            out.write_all(bytes).map_err(|error| Failure::unwritten("the output", &error))
        })?,
    }
    Ok(0)
}

/// The script's text, and what it is called.
fn read(script: &Script) -> Result<(String, String), Failure> {
    let unreadable = |name: &str, error: &io::Error| Failure::line(format!("cannot read {name}: {error}"));
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
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|&b| b == b'\n').count();
            Err(Failure::line(format!("{name} is no text: line {line} is not UTF-8")))
        }
    }
}
