//! The forms: every way in which task_rename is traced here.

use crate::tools::Tools;
use std::path::Path;
use std::process::Command;

/// How the kernel is asked to call a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Tracepoint,
    Raw,
    /// A raw tracepoint whose arguments the verifier knows by type.
    Typed,
    Kprobe,
    Fentry,
}

/// What the program does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Empty,
    /// What the article's script prints; in C with `perf_event_output` and, where there is something to read, `BPF_CORE_READ`.
    Article,
    /// C: the article's reads, and a ring buffer record submitted without wakeup.
    Core,
    /// C: the cheapest known, with direct loads.
    Direct,
    Count,
    CountByPid,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    C,
    Rtscript,
    Bpftrace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub probe: Probe,
    pub body: Body,
    pub by: By,
}

/// Where standard output goes.
#[derive(Clone, Copy)]
pub enum Output<'a> {
    Null,
    File(&'a Path),
    Pipe,
}

/// All forms, in the order of the tables.
pub fn all(tools: &Tools) -> Vec<Form> {
    use Body::{Article, Core, Count, CountByPid, Direct, Empty};
    use Probe::{Fentry, Kprobe, Raw, Tracepoint, Typed};
    let bodies = [
        (Tracepoint, Empty),
        (Tracepoint, Article),
        (Tracepoint, Direct),
        (Raw, Empty),
        (Raw, Article),
        (Raw, Core),
        (Raw, Direct),
        (Raw, Count),
        (Raw, CountByPid),
        (Typed, Empty),
        (Typed, Direct),
        (Kprobe, Empty),
        (Kprobe, Article),
        (Fentry, Empty),
        (Fentry, Article),
    ];
    let mut tracers = vec![By::C, By::Rtscript];
    tracers.extend(tools.bpftrace.as_ref().map(|_| By::Bpftrace));
    let forms =
        bodies.iter().flat_map(|&(probe, body)| tracers.iter().map(move |&by| Form { probe, body, by }));
    forms.filter(|form| form.by == By::C || form.script(&tools.scripts).is_some()).collect()
}

impl Form {
    pub const fn c(probe: Probe, body: Body) -> Self {
        Self { probe, body, by: By::C }
    }

    /// The tracer's command.
    pub fn command(&self, tools: &Tools, output: Output) -> Result<Command, String> {
        let script = || self.script(&tools.scripts).unwrap_or_default();
        let mut command;
        match self.by {
            By::C => {
                let c_forms = tools.c_forms.as_ref().map_err(Clone::clone)?;
                command = Command::new(&c_forms.loader);
                command.arg(&c_forms.object).arg(self.c_program());
            }
            By::Rtscript => {
                command = Command::new(&tools.rtscript);
                command.args(script());
            }
            By::Bpftrace => {
                command = Command::new(tools.bpftrace.as_ref().ok_or("bpftrace is not installed")?);
                // Old versions say that they are attached on standard output alone, which must stay readable for that.
                match output {
                    Output::Null => command.args(["-o", "/dev/null"]),
                    Output::File(path) => command.arg("-o").arg(path),
                    Output::Pipe => &mut command,
                };
                command.args(script());
            }
        }
        Ok(command)
    }

    /// The arguments by which a script tracer runs this form; `None` where it is not a thing that a script can say.
    fn script(&self, scripts: &Path) -> Option<Vec<String>> {
        let attach_point = match self.probe {
            Probe::Tracepoint => "tracepoint:task:task_rename",
            Probe::Raw => "rawtracepoint:task_rename",
            Probe::Kprobe => "kprobe:__set_task_comm",
            Probe::Fentry => "fentry:__set_task_comm",
            Probe::Typed => return None,
        };
        let body = match self.body {
            Body::Empty => "{ }".to_string(),
            Body::Count => "{ @ = count(); }".into(),
            Body::CountByPid => "{ @[pid] = count(); }".into(),
            Body::Article => {
                let file = |name| Some(vec![scripts.join(name).display().to_string()]);
                match self.probe {
                    Probe::Tracepoint => return file("rename-tracepoint.bt"),
                    Probe::Raw => return file("rename.bt"),
                    Probe::Kprobe => {
                        let script = std::fs::read_to_string(scripts.join("rename.bt")).ok()?;
                        script[script.find('{')?..].to_string()
                    }
                    Probe::Fentry | Probe::Typed => return None,
                }
            }
            Body::Core | Body::Direct => return None,
        };
        Some(vec!["-e".into(), format!("{attach_point} {body}")])
    }

    /// The name of the C program.
    fn c_program(&self) -> String {
        let probe = match self.probe {
            Probe::Tracepoint => "tp",
            Probe::Raw => "raw",
            Probe::Typed => "btf",
            Probe::Kprobe => "kprobe",
            Probe::Fentry => "fentry",
        };
        let body = match self.body {
            Body::Empty => "empty",
            Body::Article => "article",
            Body::Core => "core",
            Body::Direct => "direct",
            Body::Count => "count",
            Body::CountByPid => "count_by_pid",
        };
        format!("{probe}_{body}")
    }

    /// The first cells of its row in a table: probe, body, by whom.
    pub fn cells(&self) -> [String; 3] {
        let probe = match self.probe {
            Probe::Tracepoint => "tracepoint",
            Probe::Raw => "raw tracepoint",
            Probe::Typed => "typed raw tracepoint",
            Probe::Kprobe => "kprobe",
            Probe::Fentry => "fentry",
        };
        let body = match (self.body, self.by) {
            (Body::Empty, _) => "empty",
            (Body::Article, By::C) => "article: perf output",
            (Body::Article, By::Rtscript | By::Bpftrace) => "article: the script",
            (Body::Core, _) => "article: ring",
            (Body::Direct, _) => "article: ring, direct loads",
            (Body::Count, _) => "@ = count()",
            (Body::CountByPid, _) => "@[pid] = count()",
        };
        let by = match self.by {
            By::C => "C",
            By::Rtscript => "rtscript",
            By::Bpftrace => "bpftrace",
        };
        [probe.into(), body.into(), by.into()]
    }
}
