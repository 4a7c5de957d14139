//! The whole program: a script's text becomes what is printed.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use rtscript_codegen::compile::{CompileError, compile, optimize};
use rtscript_codegen::ir::Module;
use rtscript_codegen::lower::lower;
use rtscript_codegen::object::{Manifest, Object};
use rtscript_codegen::target::Target;
use rtscript_lang::check::{self, Checked, Parameter, check};
use rtscript_lang::expand::expand;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::Provider;
use rtscript_lang::syntax;
use rtscript_lang::syntax::ast;
use rtscript_lang::syntax::parse;
use rtscript_lang::syntax::source::Sources;

use crate::cli::{self, CommandLine, Script, Stage};
use crate::import::import;
use crate::include::include;
use crate::kernel::{RunningKernel, check_privileges};
use crate::list::list_targets;
use crate::load::{LoadError, load};
use crate::output::{Buffering, Format, Printer, Writer};
use crate::providers::PROVIDERS;
use crate::report::{Failure, Problem, warn};
use crate::session::child::{Child, split_words};
use crate::session::{Mode, Session, Settings};
use crate::symbols::{Interest, UserSymbols};

/// Compiles a script for this kernel, attaches it, and runs it until it exits. Returns the exit code.
pub fn trace(script: &Script, kernel: &RunningKernel, line: &CommandLine) -> Result<u8, Failure> {
    check_privileges().map_err(|missing| Failure::line(missing.to_string()))?;
    let (script, sources) = expanded(script, kernel, line)?;
    let child = line.command.as_deref().map(start).transpose()?;
    let checked = checked(&script, kernel, line, child.as_ref().map(Child::pid), &sources)?;
    if line.named().iter().any(|(name, _)| name == "help") {
        return parameters(&checked.parameters);
    }
    let target = Target::running(kernel.features(), line.report_failures);
    let module = lower(&checked.program, target);
    let object = compile(module, sources).map_err(too_large)?;
    let loaded = load(&object, kernel, line.verbose).map_err(|error| refused(error, &object, line))?;
    let manifest = &object.manifest;
    let symbols = user_symbols(manifest, line);
    let mut printer =
        Printer::new(manifest, &object.sources, symbols, writer(line)?, format(line), line.quiet)
            .colored(has_colors(line));
    if line.no_warnings {
        printer = printer.without_warnings();
    }
    let session = Session::new(&object, &loaded, kernel, settings(line), child, &mut printer);
    session.map_err(|error| Failure::line(format!("cannot share memory with the programs: {error}")))?.run()
}

/// Shows or saves what the compiler has at a stage.
pub fn emit(
    stage: Stage,
    script: &Script,
    kernel: &RunningKernel,
    line: &CommandLine,
) -> Result<u8, Failure> {
    if stage == Stage::Ast {
        return save(parsed(script, kernel, line)?.0.to_string().as_bytes(), line);
    }
    let (script, sources) = expanded(script, kernel, line)?;
    let checked = checked(&script, kernel, line, None, &sources)?;
    if stage == Stage::Types {
        return save(checked.program.to_string().as_bytes(), line);
    }
    let target = match stage {
        // Whoever loads it may know no kfunc.
        Stage::Object => Target::portable(),
        Stage::Ast | Stage::Types | Stage::Ir | Stage::Asm => {
            Target::running(kernel.features(), line.report_failures)
        }
    };
    let mut module = lower(&checked.program, target);
    if stage == Stage::Ir {
        let mut functions = std::mem::take(&mut module.functions);
        functions.iter_mut().for_each(|function| optimize(function, &module));
        return save(Module { functions, ..module }.to_string().as_bytes(), line);
    }
    let object = compile(module, sources).map_err(too_large)?;
    if stage == Stage::Asm {
        return save(object.to_string().as_bytes(), line);
    }
    let elf =
        object.to_elf().map_err(|error| Failure::line(format!("the object cannot be written: {error}")))?;
    save(&elf, line)
}

/// Prints a script in its usual form, or puts it into the file of `-o`, which then is either the old one or the new one.
pub fn format_script(script: &Script, line: &CommandLine) -> Result<u8, Failure> {
    let mut sources = Sources::new();
    let (name, text) = read(script)?;
    let source = sources.add(name, text);
    let formatted = syntax::format(&source).map_err(|errors| Failure::wrong(errors, &sources))?;
    let Some(path) = &line.output else { return save(formatted.as_bytes(), line) };
    replace(path, formatted.as_bytes())
        .map_err(|error| Failure::line(format!("cannot write {}: {error}", path.display())))?;
    Ok(0)
}

/// Writes a file beside the old one, and renames it. Its mode stays what it was.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let fresh = path.with_file_name(name);
    let done = fs::File::create_new(&fresh)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            if let Ok(old) = fs::metadata(&path) {
                file.set_permissions(old.permissions())?;
            }
            file.sync_all()
        })
        .and_then(|()| fs::rename(&fresh, &path));
    if done.is_err() {
        // The old file is what counts.
        let _ = fs::remove_file(&fresh);
    }
    done
}

/// Lists what a script attaches to.
pub fn list(script: &Script, kernel: &RunningKernel, line: &CommandLine) -> Result<u8, Failure> {
    let (script, sources) = expanded(script, kernel, line)?;
    let checked = checked(&script, kernel, line, None, &sources)?;
    let targets = checked.program.probes.iter().flat_map(|probe| &probe.targets);
    crate::to_stdout(|out| list_targets(targets, kernel, line.verbose, out)).map(|()| 0)
}

/// Reads and parses.
fn parsed(
    script: &Script,
    kernel: &RunningKernel,
    line: &CommandLine,
) -> Result<(ast::Script, Sources), Failure> {
    let mut sources = Sources::new();
    let (name, text) = read(script)?;
    let source = sources.add(name, text);
    let mut tree = parse(&source).map_err(|errors| Failure::wrong(errors, &sources))?;
    import(&mut tree, script, &mut sources)?;
    include(&mut tree, script, kernel, line, &mut sources)?;
    Ok((tree, sources))
}

/// Reads, parses, and replaces all calls of macros.
fn expanded(
    script: &Script,
    kernel: &RunningKernel,
    line: &CommandLine,
) -> Result<(ast::Script, Sources), Failure> {
    let (script, mut sources) = parsed(script, kernel, line)?;
    match expand(script, &mut sources) {
        Ok(script) => Ok((script, sources)),
        Err(errors) => Err(Failure::wrong(errors, &sources)),
    }
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
        named: line.named(),
        environment: std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(key, _)| key.starts_with("BPFTRACE_"))
            .collect(),
        child_pid,
        filter_pid: line.pid,
        allow_unsafe: line.allow_unsafe,
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

/// Shows what a script can be told by name.
fn parameters(parameters: &[Parameter]) -> Result<u8, Failure> {
    let mut text = String::from("Options of the script, behind `--`:\n");
    for Parameter { name, default, description } in parameters {
        text.push_str(format!("    {:<28} {description}", format!("--{name}={default}")).trim_end());
        text.push('\n');
    }
    crate::to_stdout(|out| {
        out.write_all(text.as_bytes()).map_err(|error| Failure::unwritten("the output", &error))
    })?;
    Ok(0)
}

/// Starts the command of `-c`, which waits until it is let go.
fn start(command: &str) -> Result<Child, Failure> {
    let words = split_words(command).map_err(|why| Failure::line(format!("the command of -c: {why}")))?;
    Child::prepare(&words).map_err(|error| Failure::line(format!("cannot execute {command}: {error}")))
}

fn too_large(error: CompileError) -> Failure {
    Failure::line(error.to_string())
}

/// With `-v` the verifier's log follows.
fn refused(error: LoadError, object: &Object, line: &CommandLine) -> Failure {
    let log =
        error.log().filter(|_| line.verbose).map(|log| Problem::Line(format!("the verifier says:\n{log}")));
    let mut failure = Failure::refused(error, &object.sources);
    failure.problems.extend(log);
    failure
}

fn writer(line: &CommandLine) -> Result<Writer, Failure> {
    let buffering = match line.buffering {
        cli::Buffering::None => Buffering::None,
        cli::Buffering::Line => Buffering::Line,
        cli::Buffering::Full => Buffering::Full,
    };
    match &line.output {
        Some(path) => Writer::to_file(path, buffering)
            .map_err(|error| Failure::line(format!("cannot write {}: {error}", path.display()))),
        None => Writer::to_stdout(buffering)
            .map_err(|error| Failure::line(format!("cannot write to standard output: {error}"))),
    }
}

/// Colours where the output is a terminal, or as `BPFTRACE_COLOR` says.
fn has_colors(line: &CommandLine) -> bool {
    match std::env::var("BPFTRACE_COLOR").as_deref() {
        Ok("always") => true,
        Ok("never") => false,
        Ok(_) | Err(_) => line.output.is_none() && io::stdout().is_terminal(),
    }
}

fn format(line: &CommandLine) -> Format {
    match line.format {
        cli::Format::Text => Format::Text,
        cli::Format::Json => Format::Json,
    }
}

fn settings(line: &CommandLine) -> Settings {
    let mode = match (line.test, line.bench) {
        (true, _) => Mode::Test,
        (false, true) => Mode::Bench,
        (false, false) => Mode::Trace,
    };
    Settings {
        mode,
        pid: line.pid,
        dry_run: line.dry_run,
        verbose: line.verbose,
        warnings: !line.no_warnings,
        report_failures: line.report_failures,
        duration: line.duration,
        max_events: line.max_events,
    }
}

/// Follows processes if the script prints symbols of theirs.
fn user_symbols(manifest: &Manifest, line: &CommandLine) -> UserSymbols {
    let interest = match (line.pid, &line.command) {
        (Some(pid), _) => Interest::One(pid),
        (None, Some(_)) => Interest::New,
        (None, None) => Interest::All,
    };
    let debug_dirs = Some(line.debuginfo.clone()).filter(|dirs| !dirs.is_empty());
    UserSymbols::new(&manifest.config, manifest.has_user_symbols().then_some(interest), debug_dirs)
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
