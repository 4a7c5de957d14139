//! The command line: what it says, and what of it makes no sense.

mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser};
use regex_lite::Regex;

use crate::aot::Carried;
use crate::files::Files;

pub use values::{Buffering, Feature, Format, Mode, Shown, Stage};
use values::{duration, pid};

/// Traces a Linux system by a script.
#[derive(Debug, Parser)]
#[command(
    name = "rtscript",
    version,
    about = "Traces a Linux system by a script that is compiled to eBPF.",
    override_usage = "rtscript [OPTIONS] FILE [ARGS]…\n       rtscript [OPTIONS] -e PROGRAM [ARGS]…\n       rtscript -l [PATTERN | FILE]",
    after_help = EXAMPLES,
    allow_negative_numbers = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct CommandLine {
    /// The script's file, or `-` for standard input; with -l a pattern of attach points
    #[arg(value_name = "FILE")]
    words: Vec<String>,

    /// The script's parameters; behind `--` also those with names
    #[arg(last = true, value_name = "ARGS")]
    rest: Vec<String>,

    /// The script's own text
    #[arg(short = 'e', value_name = "PROGRAM", allow_hyphen_values = true)]
    pub program: Option<String>,

    /// List the attach points that match a pattern, or those of a script
    #[arg(short = 'l', long = "list")]
    pub list: bool,

    /// Run a command, and trace until it ends
    #[arg(
        short = 'c',
        long = "cmd",
        value_name = "COMMAND",
        conflicts_with = "pid",
        allow_hyphen_values = true
    )]
    pub command: Option<String>,

    /// Trace this process only, until it ends
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = pid)]
    pub pid: Option<u32>,

    /// Allow functions that change the system
    #[arg(long = "unsafe")]
    pub allow_unsafe: bool,

    /// Show what this kernel offers
    #[arg(long)]
    pub info: bool,

    /// Print help
    #[arg(short = 'h', long = "help", action = ArgAction::HelpShort)]
    help: Option<bool>,

    /// Print the version
    #[arg(short = 'V', long = "version", action = ArgAction::Version)]
    version: Option<bool>,

    /// Write output to a file
    #[arg(short = 'o', long = "output", value_name = "FILE", help_heading = OUTPUT)]
    pub output: Option<PathBuf>,

    /// How output is written
    #[arg(short = 'f', value_name = "FORMAT", default_value = "text", help_heading = OUTPUT)]
    pub format: Format,

    /// How output is buffered
    #[arg(short = 'B', value_name = "MODE", default_value = "line", help_heading = OUTPUT)]
    pub buffering: Buffering,

    /// Tell less: no message about what is attached
    #[arg(short = 'q', overrides_with = "quiet", help_heading = OUTPUT)]
    pub quiet: bool,

    /// Tell more: typed arguments with -l, the verifier's log of a refused program
    #[arg(short = 'v', long = "verbose", overrides_with = "verbose", help_heading = OUTPUT)]
    pub verbose: bool,

    /// Report every read and every helper that fails
    #[arg(short = 'k', long = "warnings", conflicts_with = "no_warnings", help_heading = OUTPUT)]
    pub report_failures: bool,

    /// No warnings
    #[arg(long, help_heading = OUTPUT)]
    pub no_warnings: bool,

    /// Stop after this time: 10s, 500ms, 2m; a bare number counts seconds
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = RUNNING)]
    pub duration: Option<Duration>,

    /// Stop after so many printed events
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..), help_heading = RUNNING)]
    pub max_events: Option<u64>,

    /// Stop once everything is attached
    #[arg(long, help_heading = RUNNING)]
    pub dry_run: bool,

    /// Run the test probes, and nothing else
    #[arg(long, conflicts_with_all = ["bench", "command", "dry_run", "emit", "info", "list"], help_heading = RUNNING)]
    pub test: bool,

    /// Run the bench probes, and nothing else
    #[arg(long, conflicts_with_all = ["command", "dry_run", "emit", "info", "list"], help_heading = RUNNING)]
    pub bench: bool,

    /// Attach to those places alone whose names match
    #[arg(long, value_name = "REGEX", value_parser = Regex::new, help_heading = RUNNING)]
    pub probe_filter: Option<Regex>,

    /// Do without what the kernel has: kprobe_multi, kprobe_session, uprobe_multi
    #[arg(long = "no-feature", value_name = "FEATURES", value_delimiter = ',', hide_possible_values = true, help_heading = RUNNING)]
    pub without: Vec<Feature>,

    /// Show what stages make: parse, ast, types, codegen, codegen-opt, dis, libbpf, verifier, all
    #[arg(short = 'd', long = "debug", value_name = "STAGES", value_delimiter = ',', hide_possible_values = true, help_heading = COMPILER)]
    pub shown: Vec<Shown>,

    /// Show or save (-o) one stage alone, without privileges: ast, types, ir, asm, object
    #[arg(long, value_name = "STAGE", hide_possible_values = true, conflicts_with_all = ["list", "info", "dry_run", "command"], help_heading = COMPILER)]
    pub emit: Option<Stage>,

    /// Save the ELF object, which other loaders take as well
    #[arg(long, value_name = "FILE", help_heading = COMPILER)]
    pub emit_elf: Option<PathBuf>,

    /// Make a program of its own, which carries the script and all that it imports
    #[arg(long, value_name = "FILE", conflicts_with_all = ["emit", "emit_elf", "mode", "list", "info", "dry_run", "command", "pid", "fmt", "test", "bench"], help_heading = COMPILER)]
    pub aot: Option<PathBuf>,

    /// Do not trace: codegen (compile, without privileges), compiler-bench, bench, test, format
    #[arg(
        long,
        value_name = "MODE",
        hide_possible_values = true,
        conflicts_with_all = ["emit", "list", "info", "dry_run", "test", "bench", "fmt"],
        help_heading = COMPILER
    )]
    pub mode: Option<Mode>,

    /// Print the script in its usual form, or put it into the file of -o
    #[arg(long, conflicts_with_all = ["list", "info", "emit", "dry_run", "command"], help_heading = COMPILER)]
    pub fmt: bool,

    /// Look here, too, for the files that the script includes
    #[arg(short = 'I', value_name = "DIR", help_heading = SOURCES)]
    pub include_dirs: Vec<PathBuf>,

    /// Include this file before the script
    #[arg(long = "include", value_name = "FILE", help_heading = SOURCES)]
    pub includes: Vec<PathBuf>,

    /// Read tracepoints here, and not where tracefs is mounted
    #[arg(long, value_name = "DIR", help_heading = SOURCES)]
    pub tracefs: Option<PathBuf>,

    /// Where the debug information of programs is, in place of /usr/lib/debug
    #[arg(long, value_name = "DIR[:DIR]", value_delimiter = ':', help_heading = SOURCES)]
    pub debuginfo: Vec<PathBuf>,

    /// The functions that can be traced: NAME or NAME [MODULE], a line
    #[arg(long, value_name = "FILE", help_heading = SOURCES)]
    pub traceable_functions: Option<PathBuf>,

    /// Accepted and ignored: types always come from BTF
    #[arg(long, hide = true)]
    btf: bool,

    /// Accepted and ignored: the kernel counts semaphores up in whatever process maps the file
    #[arg(long, hide = true)]
    usdt_file_activation: bool,

    /// There is no LLVM
    #[arg(long, hide = true, value_name = "FILE")]
    emit_llvm: Option<PathBuf>,

    #[arg(long, hide = true)]
    verify_llvm_ir: bool,

    /// Accepted and ignored: debug information is found by the file that is probed
    #[arg(long, hide = true, value_name = "PID", value_parser = pid)]
    dwarf_pid: Vec<u32>,

    /// What the script brings is read here.
    #[arg(skip)]
    pub(crate) files: Files,

    /// The script that this program carries; then no word names one.
    #[arg(skip)]
    carried: Option<PathBuf>,
}

const OUTPUT: &str = "Output";
const RUNNING: &str = "Running";
const COMPILER: &str = "The compiler";
const SOURCES: &str = "Where things are";

const EXAMPLES: &str = "Examples:
  rtscript -l 'rt:sched_*'
      which scheduler events there are
  rtscript -e 'rt:sched_switch { @[args.next.comm] = count() } interval:s:5 { exit() }'
      who runs, counted for five seconds
  rtscript -c 'ls /' -e 'rt:sys_enter /pid == cpid/ { @[args.id] = count() }'
      the system calls of a command";

/// Where the script's text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    Text(String),
    File(PathBuf),
    Stdin,
}

impl Script {
    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Script::Text(_) => "-e".to_owned(),
            Script::File(path) => path.display().to_string(),
            Script::Stdin => "stdin".to_owned(),
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    Run(Script),
    /// Compile and load nothing.
    Compile(Script),
    /// Measure the compiler.
    MeasureCompiler(Script),
    Emit(Stage, Script),
    /// Make a program of its own in this file.
    Build(Script, PathBuf),
    /// Print it in its usual form.
    Format(Script),
    /// List what matches.
    ListPattern(String),
    /// List what a script attaches to.
    ListScript(Script),
    Info,
}

impl CommandLine {
    /// Reads the arguments of a process, the first of which is its own name. The error is ready to be printed; it is
    /// no failure where help or the version were asked for. `carried` is the script that belongs to this program.
    pub(crate) fn parse_from(
        args: impl IntoIterator<Item = OsString>,
        carried: Option<Carried>,
    ) -> Result<(CommandLine, Task), clap::Error> {
        let mut line = CommandLine::try_parse_from(args)?;
        if let Some(carried) = carried {
            line.allow_unsafe |= carried.allow_unsafe;
            line.include_dirs = carried.include_dirs;
            line.includes = carried.includes;
            line.files = carried.files;
            line.carried = Some(carried.script);
        }
        match line.mode {
            Some(Mode::Bench) => line.bench = true,
            Some(Mode::Test) => line.test = true,
            Some(Mode::Format) => line.fmt = true,
            Some(Mode::Codegen | Mode::CompilerBench) | None => {}
        }
        let task = line.task()?;
        Ok((line, task))
    }

    fn task(&self) -> Result<Task, clap::Error> {
        if let Some(why) = self.has_no_meaning() {
            return Err(misuse(why));
        }
        if self.info {
            return if self.list || self.program.is_some() || !self.words.is_empty() {
                Err(misuse("--info takes no script"))
            } else {
                Ok(Task::Info)
            };
        }
        let script = self.script();
        if self.list {
            return match script {
                None => Ok(Task::ListPattern("*".to_owned())),
                Some(script) if self.carried.is_some() => Ok(Task::ListScript(script)),
                Some(_) if self.program.is_none() && self.words.len() > 1 => {
                    Err(misuse("-l takes one pattern or one script"))
                }
                // A pattern may have slashes, but names no file.
                Some(Script::File(path)) if !path.is_file() => Ok(Task::ListPattern(self.words[0].clone())),
                Some(script) => Ok(Task::ListScript(script)),
            };
        }
        let Some(script) = script else {
            return Err(misuse("there is no script: name a file, or give its text with -e"));
        };
        if let Some(path) = &self.aot {
            return Ok(Task::Build(script, path.clone()));
        }
        Ok(match (self.emit, self.mode) {
            _ if self.fmt => Task::Format(script),
            (Some(stage), _) => Task::Emit(stage, script),
            (None, Some(Mode::Codegen)) => Task::Compile(script),
            (None, Some(Mode::CompilerBench)) => Task::MeasureCompiler(script),
            (None, Some(Mode::Bench | Mode::Test | Mode::Format) | None) => Task::Run(script),
        })
    }

    /// Options that others have, and what there is in their place.
    fn has_no_meaning(&self) -> Option<&'static str> {
        if self.emit_llvm.is_some() || self.verify_llvm_ir {
            return Some(
                "there is no LLVM in rtscript: -d codegen shows its own intermediate form, --emit-elf saves the object",
            );
        }
        if self.carried.is_some() && (self.program.is_some() || self.aot.is_some()) {
            return Some("this program has its script, and takes no other");
        }
        None
    }

    fn script(&self) -> Option<Script> {
        if let Some(path) = &self.carried {
            return Some(Script::File(path.clone()));
        }
        if let Some(text) = &self.program {
            return Some(Script::Text(text.clone()));
        }
        let word = self.words.first()?;
        Some(if word == "-" { Script::Stdin } else { Script::File(word.into()) })
    }

    /// `$1`, `$2`, …
    pub fn positional(&self) -> Vec<String> {
        let first = usize::from(self.program.is_none() && self.carried.is_none());
        let rest = self.rest.iter().filter(|word| !word.starts_with("--"));
        self.words.iter().skip(first).chain(rest).cloned().collect()
    }

    /// `--name=value` and `--name` behind `--`.
    pub fn named(&self) -> Vec<(String, Option<String>)> {
        let words = self.rest.iter().filter_map(|word| word.strip_prefix("--"));
        let named = words.map(|word| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word.to_owned(), None),
        });
        named.collect()
    }
}

fn misuse(message: &str) -> clap::Error {
    CommandLine::command().error(ErrorKind::MissingRequiredArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<(CommandLine, Task), clap::Error> {
        let words = ["rtscript"].iter().chain(words).map(OsString::from);
        CommandLine::parse_from(words, None)
    }

    fn task(words: &[&str]) -> Task {
        parse(words).unwrap().1
    }

    #[test]
    fn the_declaration_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_script_is_a_file_a_text_or_standard_input() {
        assert_eq!(task(&["a.bt"]), Task::Run(Script::File("a.bt".into())));
        assert_eq!(task(&["-e", "begin {}"]), Task::Run(Script::Text("begin {}".to_owned())));
        assert_eq!(task(&["-"]), Task::Run(Script::Stdin));
        assert_eq!(task(&["--emit", "ir", "a.bt"]), Task::Emit(Stage::Ir, Script::File("a.bt".into())));
        assert_eq!(task(&["--info"]), Task::Info);
    }

    #[test]
    fn listing_takes_nothing_a_pattern_or_a_script() {
        assert_eq!(task(&["-l"]), Task::ListPattern("*".to_owned()));
        assert_eq!(task(&["-lv", "rt:task*"]), Task::ListPattern("rt:task*".to_owned()));
        assert_eq!(task(&["-l", "-e", "begin {}"]), Task::ListScript(Script::Text("begin {}".to_owned())));
        let this_file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli.rs");
        assert_eq!(task(&["-l", this_file]), Task::ListScript(Script::File(this_file.into())));
    }

    #[test]
    fn parameters_follow_the_script() {
        let positional = |words: &[&str]| parse(words).unwrap().0.positional();
        assert_eq!(positional(&["a.bt", "1", "-2", "x"]), ["1", "-2", "x"]);
        assert_eq!(positional(&["-e", "begin {}", "1"]), ["1"]);
        assert_eq!(positional(&["a.bt", "1", "--", "2", "--name=3"]), ["1", "2"]);
    }

    #[test]
    fn a_program_of_its_own_has_its_script() {
        let parse = |words: &[&str]| {
            let carried = Carried {
                script: "a.bt".into(),
                allow_unsafe: true,
                include_dirs: vec!["include".into()],
                includes: Vec::new(),
                files: Files::default(),
            };
            let words = ["tool"].iter().chain(words).map(OsString::from);
            CommandLine::parse_from(words, Some(carried))
        };
        let (line, task) = parse(&["1", "--", "2", "--name=3"]).unwrap();
        assert_eq!(task, Task::Run(Script::File("a.bt".into())));
        assert_eq!(line.positional(), ["1", "2"]);
        assert!(line.allow_unsafe);
        assert_eq!(parse(&["-l"]).unwrap().1, Task::ListScript(Script::File("a.bt".into())));
        assert!(parse(&["-e", "begin {}"]).is_err());
        assert!(parse(&["--aot", "other"]).is_err());
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for words in [
            &["-k", "--no-warnings", "a.bt"][..],
            &["-c", "true", "-p", "1", "a.bt"],
            &["-kk", "a.bt"],
            &["-d", "a.bt"],
            &["-d", "ast,nothing", "a.bt"],
            &["--mode", "test", "--emit", "ir", "a.bt"],
            &["--mode", "fast", "a.bt"],
            &["--no-feature", "bpf", "a.bt"],
            &["--probe-filter", "(", "a.bt"],
            &["--emit-llvm", "x.ll", "a.bt"],
            &["--verify-llvm-ir", "a.bt"],
            &["--aot", "x", "--emit", "ir", "a.bt"],
            &["--aot", "x"],
            &["--dwarf-pid", "x", "a.bt"],
            &["--warnings", "--no-warnings", "a.bt"],
            &["--cmd", "true", "--pid", "1", "a.bt"],
            &["--debug", "a.bt"],
            &["-l", "--emit", "ir"],
            &["--info", "a.bt"],
            &["-l", "a:*", "b:*"],
            &[],
            &["--no-such-option"],
            &["-p", "0", "a.bt"],
            &["-p", "4194305", "a.bt"],
            &["-f", "xml", "a.bt"],
            &["-B", "some", "a.bt"],
            &["--duration", "5x", "a.bt"],
            &["--duration", "0s", "a.bt"],
            &["--max-events", "0", "a.bt"],
        ] {
            assert!(parse(words).is_err_and(|error| error.use_stderr()), "{words:?}");
        }
        assert!(parse(&["-V"]).is_err_and(|error| !error.use_stderr()));
        assert!(parse(&["-h"]).is_err_and(|error| !error.use_stderr()));
    }

    #[test]
    fn stages_are_shown_one_by_one_or_in_lists() {
        let shown = |words: &[&str]| parse(words).unwrap().0.shown;
        let three = [Shown::Ast, Shown::Codegen, Shown::Verifier];
        assert_eq!(shown(&["-d", "ast,ir", "-d", "verifier", "a.bt"]), three);
        assert_eq!(shown(&["-d", "all", "a.bt"]), [Shown::All]);
    }

    #[test]
    fn a_mode_says_what_is_done() {
        let script = Script::File("a.bt".into());
        assert_eq!(task(&["--mode", "codegen", "a.bt"]), Task::Compile(script.clone()));
        assert_eq!(task(&["--mode", "compiler-bench", "a.bt"]), Task::MeasureCompiler(script.clone()));
        assert_eq!(task(&["--mode", "format", "a.bt"]), Task::Format(script));
        assert!(parse(&["--mode", "test", "a.bt"]).unwrap().0.test);
        assert!(parse(&["--mode", "bench", "a.bt"]).unwrap().0.bench);
    }
}
