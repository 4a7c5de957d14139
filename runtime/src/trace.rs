//! The whole program: a script's text becomes what is printed.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use regex_lite::Regex;
use rtscript_codegen::compile::{CompileError, compile, optimize};
use rtscript_codegen::ir::Module;
use rtscript_codegen::lower::lower;
use rtscript_codegen::object::{Manifest, Object};
use rtscript_codegen::target::Target;
use rtscript_lang::check::{self, Checked, Parameter, check};
use rtscript_lang::expand::expand;
use rtscript_lang::foreign::ForeignFunction;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{Phase, Provider};
use rtscript_lang::syntax;
use rtscript_lang::syntax::ast;
use rtscript_lang::syntax::source::Sources;

use crate::bpf;
use crate::cli::{self, CommandLine, Script, Shown, Stage};
use crate::files::{Files, without_mark};
use crate::import::import;
use crate::include::Includer;
use crate::kernel::{RunningKernel, check_privileges};
use crate::list::{list_targets, provider_of};
use crate::load::{LoadError, LoadOptions, load};
use crate::output::{Buffering, Format, Printer, Writer};
use crate::providers::PROVIDERS;
use crate::report::{Failure, MOST_SHOWN, NotLinked, Problem, TooLarge, TooManyMaps, more, say, warn};
use crate::session::child::{Child, split_words, watch};
use crate::session::{Mode, Session, Settings};
use crate::show::{InKernel, Logs, Show};
use crate::symbols::{Interest, UserSymbols};

/// Compiles a script for this kernel, attaches it, and runs it until it exits. Returns the exit code. With `--mode codegen` it
/// ends with the object, which needs no privileges.
pub fn trace(script: &Script, kernel: &RunningKernel, line: &CommandLine) -> Result<u8, Failure> {
    let is_run = line.mode != Some(cli::Mode::Codegen);
    if is_run {
        check_privileges().map_err(|missing| Failure::line(missing.to_string()))?;
    }
    let show = Show(&line.shown);
    let parsed = parsed(script, kernel, line)?;
    show.stage(Shown::Parse, &parsed.script)?;
    let parsed = parsed.expand()?;
    show.stage(Shown::Ast, &parsed.script)?;
    let child = line.command.as_deref().filter(|_| is_run).map(start).transpose()?;
    line.pid.filter(|_| is_run).map_or(Ok(()), exists)?;
    let checked = check_script(&parsed, kernel, line, child.as_ref().map(Child::pid))?;
    if line.named().iter().any(|(name, _)| name == "help") {
        return parameters(&checked.parameters);
    }
    show_warnings(&checked, &parsed, line);
    show.stage(Shown::Types, &checked.program)?;
    if let Some(path) = &line.emit_elf {
        write_file(path, &elf(&checked, &parsed.sources)?)?;
    }
    let module = lower(&checked.program, running_target(kernel, line));
    show.stage(Shown::Codegen, &module)?;
    if show.has(Shown::CodegenOpt) {
        show.stage(Shown::CodegenOpt, &optimized(&module))?;
    }
    let mut object = compiled(module, parsed.sources)?;
    show.stage(Shown::Dis, &object)?;
    if !is_run {
        return Ok(0);
    }
    if let Some(filter) = &line.probe_filter {
        keep_matching(&mut object.manifest, filter);
    }
    // With fewer than there may be, loading or attaching says what it lacks.
    let _ = bpf::lift_descriptor_limit();
    let options = LoadOptions { logs: show.has(Shown::Verifier), without: &line.without };
    let loaded = load(&object, kernel, options).map_err(|error| refused(error, &object, line))?;
    show.stage(Shown::Libbpf, &InKernel(&object, &loaded))?;
    show.stage(Shown::Verifier, &Logs(&object, &loaded))?;
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
        return save(parsed(script, kernel, line)?.script.to_string().as_bytes(), line);
    }
    let parsed = parsed(script, kernel, line)?.expand()?;
    let checked = checked(&parsed, kernel, line, None)?;
    let text = match stage {
        Stage::Ast => parsed.script.to_string(),
        Stage::Types => checked.program.to_string(),
        Stage::Ir => optimized(&lower(&checked.program, running_target(kernel, line))).to_string(),
        Stage::Asm => {
            let module = lower(&checked.program, running_target(kernel, line));
            compiled(module, parsed.sources)?.to_string()
        }
        Stage::Object => return save(&elf(&checked, &parsed.sources)?, line),
    };
    save(text.as_bytes(), line)
}

/// The form of code that this kernel and the command line ask for.
pub(crate) fn running_target(kernel: &RunningKernel, line: &CommandLine) -> Target {
    Target::running(kernel.features(), line.report_failures)
}

/// The text of a module after its passes.
fn optimized(module: &Module) -> String {
    let mut functions = module.functions.clone();
    functions.iter_mut().for_each(|function| optimize(function, module));
    module.with_functions(&functions)
}

/// The object as others load it. They may know no kfunc, which its form of code takes into account.
fn elf(checked: &Checked, sources: &Sources) -> Result<Vec<u8>, Failure> {
    let module = lower(&checked.program, Target::portable());
    let object = compiled(module, sources.clone())?;
    object.to_elf().map_err(|error| Failure::line(format!("the object cannot be written: {error}")))
}

/// Leaves out what is attached to other places than those that `--probe-filter` asks for.
fn keep_matching(manifest: &mut Manifest, filter: &Regex) {
    let mut dropped = Vec::new();
    for program in &mut manifest.programs {
        let provider = program.targets.first().and_then(|(target, _)| provider_of(target));
        let phase = provider.map(|provider| provider.phase());
        if !matches!(phase, Some(Phase::Attached | Phase::Test | Phase::Bench)) {
            continue;
        }
        program.targets.retain(|(target, cookie)| {
            let is_kept = filter.is_match(&target.name);
            if !is_kept {
                dropped.push(*cookie);
            }
            is_kept
        });
    }
    for entry in manifest.tables.iter_mut().flat_map(|table| &mut table.entries) {
        if entry.checked_sub(1).is_some_and(|cookie| dropped.contains(&u64::from(cookie))) {
            *entry = 0;
        }
    }
}

/// Prints a script in its usual form, or puts it into the file of `-o`, which then is either the old one or the new one.
pub fn format_script(script: &Script, line: &CommandLine) -> Result<u8, Failure> {
    let mut sources = Sources::new();
    let (name, text) = read(script, &line.files)?;
    let source = sources.add(name, text);
    let formatted = syntax::format(&source).map_err(|errors| Failure::wrong(errors, &sources))?;
    let Some(path) = &line.output else { return save(formatted.as_bytes(), line) };
    replace(path, formatted.as_bytes(), None)
        .map_err(|error| Failure::line(format!("cannot write {}: {error}", path.display())))?;
    Ok(0)
}

/// Writes a file beside the old one, and renames it. Its mode is the one that is given, or stays what it was.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: Option<u32>) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|old| !old.is_file()) {
        // A device or a pipe stays what it is.
        return fs::write(&path, bytes);
    }
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let fresh = path.with_file_name(name);
    let done = fs::File::create_new(&fresh)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            let old = || fs::metadata(&path).ok().map(|old| old.permissions());
            if let Some(permissions) = mode.map(Permissions::from_mode).or_else(old) {
                file.set_permissions(permissions)?;
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
    let parsed = parsed(script, kernel, line)?.expand()?;
    let checked = checked(&parsed, kernel, line, None)?;
    let targets = checked.program.probes.iter().flat_map(|probe| &probe.targets);
    crate::to_stdout(|out| list_targets(targets, kernel, line.verbose, out)).map(|()| 0)
}

/// A script with what it imports and includes.
pub(crate) struct Parsed {
    pub script: ast::Script,
    pub sources: Sources,
    pub foreign: Vec<ForeignFunction>,
}

impl Parsed {
    /// Replaces all calls of macros.
    pub fn expand(mut self) -> Result<Parsed, Failure> {
        match expand(self.script, &mut self.sources) {
            Ok(script) => Ok(Parsed { script, ..self }),
            Err(errors) => Err(Failure::wrong(errors, &self.sources)),
        }
    }
}

/// Reads and parses.
pub(crate) fn parsed(script: &Script, kernel: &RunningKernel, line: &CommandLine) -> Result<Parsed, Failure> {
    let mut sources = Sources::new();
    let (name, text) = read(script, &line.files)?;
    let source = sources.add(name, text);
    let mut includer = Includer::new(script, kernel, line, sources);
    let mut tree = includer.parse(&source)?;
    let foreign = import(&mut tree, script, line, &mut includer.sources)?;
    let sources = includer.include(&mut tree)?;
    Ok(Parsed { script: tree, sources, foreign })
}

/// Checks, and shows the warnings.
pub(crate) fn checked(
    parsed: &Parsed,
    kernel: &RunningKernel,
    line: &CommandLine,
    child_pid: Option<u32>,
) -> Result<Checked, Failure> {
    let checked = check_script(parsed, kernel, line, child_pid)?;
    show_warnings(&checked, parsed, line);
    Ok(checked)
}

/// Shows the warnings unless they are not wanted.
fn show_warnings(checked: &Checked, parsed: &Parsed, line: &CommandLine) {
    if !line.no_warnings {
        for warning in checked.warnings.iter().take(MOST_SHOWN) {
            warn(warning.clone(), &parsed.sources);
        }
        if let Some(more) = more(checked.warnings.len(), "warning") {
            say(format_args!("rtscript: {more}"));
        }
    }
}

pub(crate) fn check_script(
    parsed: &Parsed,
    kernel: &RunningKernel,
    line: &CommandLine,
    child_pid: Option<u32>,
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
        foreign: parsed.foreign.clone(),
    };
    let providers: Vec<&dyn Provider> = PROVIDERS.iter().map(|&provider| provider as _).collect();
    check(&parsed.script, kernel, &providers, &options)
        .map_err(|errors| Failure::wrong(errors, &parsed.sources))
}

/// Shows what a script can be told by name.
fn parameters(parameters: &[Parameter]) -> Result<u8, Failure> {
    let mut text = String::from("Options of the script, behind `--`:\n");
    for Parameter { name, default, description, .. } in parameters {
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
    let Some(program) = words.first() else {
        return Err(Failure::line("the command of -c is empty"));
    };
    Child::prepare(&words).map_err(|error| Failure::line(format!("cannot execute {program}: {error}")))
}

/// Whether there is the process of `-p`.
fn exists(pid: u32) -> Result<(), Failure> {
    match watch(pid as libc::pid_t) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
            Err(Failure::line(format!("there is no process {pid}")))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Compiles; what is too large is pointed at.
pub(crate) fn compiled(module: Module, sources: Sources) -> Result<Object, Failure> {
    compile(module, sources.clone()).map_err(|error| match error {
        CompileError::TooLarge { span } => Failure::wrong(vec![TooLarge { span }], &sources),
        CompileError::TooManyMaps { found, span } => {
            Failure::wrong(vec![TooManyMaps { found, span }], &sources)
        }
        CompileError::Foreign { error, span } => Failure::wrong(vec![NotLinked { error, span }], &sources),
    })
}

/// With `-v` the verifier's log follows.
fn refused(error: LoadError, object: &Object, line: &CommandLine) -> Failure {
    let has_log = line.verbose || Show(&line.shown).has(Shown::Verifier);
    let log = error.log().filter(|_| has_log).map(|log| Problem::Line(format!("the verifier says:\n{log}")));
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
pub(crate) fn save(bytes: &[u8], line: &CommandLine) -> Result<u8, Failure> {
    match &line.output {
        Some(path) => write_file(path, bytes)?,
        None => crate::to_stdout(|out| {
            out.write_all(bytes).map_err(|error| Failure::unwritten("the output", &error))
        })?,
    }
    Ok(0)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::line(format!("cannot write {}: {error}", path.display())))
}

/// The script's text without the byte order mark that some editors put in front of it, and what it is called.
fn read(script: &Script, files: &Files) -> Result<(String, String), Failure> {
    let unreadable = |name: &str, error: &io::Error| Failure::line(format!("cannot read {name}: {error}"));
    let name = script.name();
    let bytes = match script {
        Script::Text(text) => text.clone().into_bytes(),
        Script::File(path) => files.bytes(path).map_err(|error| unreadable(&name, &error))?,
        Script::Stdin => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map_err(|error| unreadable("standard input", &error))?;
            bytes
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => {
            files.keep_text(Path::new(&name), &text);
            Ok((name, without_mark(text)))
        }
        Err(error) => {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|&b| b == b'\n').count();
            Err(Failure::line(format!("{name} is no text: line {line} is not UTF-8")))
        }
    }
}
