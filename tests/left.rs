//! Stratum *left*: however a tracer ends, nothing of it stays. Its programs, maps and links are gone, the semaphores of the
//! probes it listened to are zero again, and the code that it probed is as it was. Only what the tracers of
//! these tests hold is looked at, by the numbers that their own descriptors tell.

mod strata;
mod workloads;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use strata::command::{HUNG, Running, end, has, rtscript, start};
use strata::crowd::{Crowd, attached, interrupted, kernel_functions, signal};
use strata::{Outcome, Test};

/// What is wrong, if anything is.
type Verdict = Result<(), String>;

type Named = (&'static str, fn() -> Verdict);

const TESTS: &[Named] = &[
    ("an_exit", || ends_by(Ending::Exit)),
    ("an_interrupt", || ends_by(Ending::Signal(libc::SIGINT))),
    ("a_termination", || ends_by(Ending::Signal(libc::SIGTERM))),
    ("a_hangup", || ends_by(Ending::Signal(libc::SIGHUP))),
    ("an_abort", || ends_by(Ending::Signal(libc::SIGABRT))),
    ("a_quit", || ends_by(Ending::Signal(libc::SIGQUIT))),
    ("a_kill", || ends_by(Ending::Signal(libc::SIGKILL))),
    ("the_end_of_the_process", the_end_of_the_process),
    ("the_end_of_the_command", the_end_of_the_command),
    ("a_command_that_goes_on", a_command_that_goes_on),
    ("a_failure_to_attach", a_failure_to_attach),
    ("a_kill_at_any_moment", a_kill_at_any_moment),
    ("others_go_on", others_go_on),
];

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let tests = TESTS.iter().map(|(name, test)| {
        let cannot_trace = cannot_trace.clone();
        Test::new(*name, move || match &cannot_trace {
            Some(why) => Outcome::Skipped(why.clone()),
            None => test().map_or_else(Outcome::Failed, |()| Outcome::Passed),
        })
    });
    strata::run("left", tests.collect())
}

#[derive(Clone, Copy)]
enum Ending {
    /// The script says so.
    Exit,
    Signal(libc::c_int),
}

/// A probe of each kind, at a crowd.
fn everywhere(crowd: &Crowd) -> String {
    let path = &crowd.path;
    let mut functions: String = kernel_functions()
        .iter()
        .map(|(map, probe)| format!("{probe} /pid == PID/ {{ @{map} = count(); }}\n"))
        .collect();
    if has("fentry") {
        functions
            .push_str("fentry:__x64_sys_prctl, fexit:__x64_sys_prctl /pid == PID/ { @kernel = count(); }\n");
    }
    format!(
        "{functions}
        rt:task_rename /pid == PID/ {{ @raw[tid] = count(); printf(\"%s\", comm); }}
        tracepoint:task:task_rename /pid == PID/ {{ @perf = count(); }}
        tracepoint:syscalls:sys_enter_getppid /pid == PID/ {{ @call = hist(nsecs); }}
        uprobe:{path}:passed /pid == PID/ {{ @function[ustack] = count(); }}
        uretprobe:{path}:passed /pid == PID/ {{ @left = count(); }}
        usdt:{path}:crowd:round /pid == PID/ {{ @round = count(); }}
        watchpoint:0x10000000:8:w {{ @written = count(); }}
        software:page-faults:1 /pid == PID/ {{ @fault = count(); }}
        profile:hz:50 /pid == PID/ {{ @profile = count(); }}
        interval:ms:100 {{ @interval = count(); }}
        self:signal:SIGUSR1 {{ exit(); }}"
    )
}

/// A tracer with a probe of each kind ends in some way.
fn ends_by(ending: Ending) -> Verdict {
    let mut crowd = Crowd::start(100, 10)?;
    let places = Places::of(&mut crowd)?;
    let tracer = attached(&["-p", &crowd.pid().to_string()], crowd.pid(), &everywhere(&crowd))?;
    let held = Held::by(&tracer);
    held.is_something()?;
    places.are_probed()?;
    let (number, status) = match ending {
        Ending::Exit => (libc::SIGUSR1, "exit 0".to_owned()),
        Ending::Signal(number @ (libc::SIGINT | libc::SIGTERM | libc::SIGHUP)) => {
            (number, "exit 0".to_owned())
        }
        Ending::Signal(number) => (number, format!("signal {number}")),
    };
    signal(&tracer, number)?;
    // Under nohup a hangup ends nobody.
    if number == libc::SIGHUP && ignores_hangups(&tracer) {
        signal(&tracer, libc::SIGTERM)?;
    }
    let ended = end(tracer, String::new())?;
    if ended.status != status {
        return Err(format!("expected {status}, found {}\n{}", ended.status, ended.stderr));
    }
    held.is_gone()?;
    places.are_clean()
}

/// Whether a process ignores SIGHUP, by the mask in its status.
fn ignores_hangups(process: &Running) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & 1 << (libc::SIGHUP - 1) != 0
}

/// The process that is traced ends, and the tracer with it.
fn the_end_of_the_process() -> Verdict {
    let mut crowd = Crowd::start(100, 10)?;
    let mut other = Crowd::start(1, 0)?;
    let places = Places::of(&mut other)?;
    let tracer = attached(&["-p", &crowd.pid().to_string()], crowd.pid(), &everywhere(&crowd))?;
    let held = Held::by(&tracer);
    held.is_something()?;
    crowd.kill()?;
    let ended = end(tracer, String::new())?;
    if ended.status != "exit 0" {
        return Err(format!("{}: {}", ended.status, ended.stderr));
    }
    held.is_gone()?;
    places.are_clean()
}

/// The command of the tracer ends, and the tracer with it.
fn the_end_of_the_command() -> Verdict {
    let mut crowd = Crowd::start(10, 10)?;
    let places = Places::of(&mut crowd)?;
    let tracer = attached(&["-c", "sleep 1000"], crowd.pid(), &everywhere(&crowd))?;
    let held = Held::by(&tracer);
    held.is_something()?;
    places.are_probed()?;
    kill(command_of(&tracer)?)?;
    let ended = end(tracer, String::new())?;
    if ended.status != "exit 0" {
        return Err(format!("{}: {}", ended.status, ended.stderr));
    }
    held.is_gone()?;
    places.are_clean()
}

/// A tracer is killed, and its command goes on: it has nothing of the tracer's.
fn a_command_that_goes_on() -> Verdict {
    let mut crowd = Crowd::start(10, 10)?;
    let places = Places::of(&mut crowd)?;
    let mut tracer = attached(&["-c", "sleep 1000"], crowd.pid(), &everywhere(&crowd))?;
    let held = Held::by(&tracer);
    held.is_something()?;
    let command = command_of(&tracer)?;
    let descriptors = fs::read_dir(format!("/proc/{command}/fd")).map_err(|error| error.to_string())?;
    let files = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let inherited: Vec<_> = files.filter(|file| file.to_string_lossy().starts_with("anon_inode:")).collect();
    let result = signal(&tracer, libc::SIGKILL)
        .and_then(|()| tracer.wait().map(drop).map_err(|error| error.to_string()));
    let gone = result.and_then(|()| held.is_gone()).and_then(|()| places.are_clean());
    let goes_on = Path::new(&format!("/proc/{command}")).exists();
    kill(command)?;
    gone?;
    match (inherited.first(), goes_on) {
        (Some(file), _) => Err(format!("the command has {}", file.display())),
        (None, false) => Err("the command ended, so this shows nothing".to_owned()),
        (None, true) => Ok(()),
    }
}

/// The last of the probes cannot be attached: nothing of those before it stays.
fn a_failure_to_attach() -> Verdict {
    let mut crowd = Crowd::start(1, 0)?;
    let places = Places::of(&mut crowd)?;
    // With the one that is there, a processor cannot watch so many addresses.
    let more = [1, 2, 3, 4].map(|n| format!("watchpoint:0x100000{n}0:8:w {{ @more = count(); }}\n"));
    let script = format!("{}\n{}", everywhere(&crowd), more.concat());
    let mut tracer = rtscript();
    tracer.args(["-p", &crowd.pid().to_string(), "-e", &script.replace("PID", &crowd.pid().to_string())]);
    let ended = end(start(tracer), String::new())?;
    if ended.status == "exit 0" || !ended.stderr.contains("watchpoint") {
        return Err(format!("{}, so this shows nothing: {}", ended.status, ended.stderr));
    }
    places.are_clean()
}

/// Killed while it compiles, loads, attaches or runs: the kernel takes everything back.
fn a_kill_at_any_moment() -> Verdict {
    let mut crowd = Crowd::start(1, 0)?;
    let places = Places::of(&mut crowd)?;
    let script = everywhere(&crowd).replace("PID", &crowd.pid().to_string());
    for moment in 0..20 {
        let mut command = rtscript();
        command.args(["-p", &crowd.pid().to_string(), "-e", &script]);
        let mut tracer = start(command);
        // Some come so far that they hold something, however slow the machine is.
        if moment % 2 == 1 {
            wait_until(|| !Held::by(&tracer).programs.is_empty())?;
        }
        sleep(Duration::from_millis(4 * moment));
        let held = Held::by(&tracer);
        tracer.kill().and_then(|()| tracer.wait().map(drop)).map_err(|error| error.to_string())?;
        held.is_gone()?;
    }
    places.are_clean()
}

/// A tracer ends while another one has the same places: those stay probed until that one ends too.
fn others_go_on() -> Verdict {
    let mut crowd = Crowd::start(1, 0)?;
    let places = Places::of(&mut crowd)?;
    let first = attached(
        &[],
        crowd.pid(),
        &everywhere(&crowd).replace("watchpoint:0x10000000:8:w", "interval:s:999"),
    )?;
    let mut second = attached(&["-p", &crowd.pid().to_string()], crowd.pid(), &everywhere(&crowd))?;
    let held = Held::by(&second);
    second.kill().and_then(|()| second.wait().map(drop)).map_err(|error| error.to_string())?;
    held.is_gone()?;
    places.are_probed()?;
    let held = Held::by(&first);
    held.is_something()?;
    interrupted(first)?;
    held.is_gone()?;
    places.are_clean()
}

/// What a process holds of the kernel, by their numbers, which are not given again for long.
struct Held {
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
    links: BTreeSet<u32>,
}

impl Held {
    fn by(process: &Running) -> Held {
        let (mut programs, mut maps, mut links) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let directory = fs::read_dir(format!("/proc/{}/fdinfo", process.id()));
        for info in directory
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        {
            for line in info.lines() {
                let Some((name, number)) = line.split_once(':') else { continue };
                let Ok(number) = number.trim().parse() else { continue };
                match name {
                    "prog_id" => programs.insert(number),
                    "map_id" => maps.insert(number),
                    "link_id" => links.insert(number),
                    _ => false,
                };
            }
        }
        Held { programs, maps, links }
    }

    /// Whether there is something of each kind: otherwise a test shows nothing.
    fn is_something(&self) -> Verdict {
        match self.programs.is_empty() || self.maps.is_empty() || self.links.is_empty() {
            true => Err("the tracer holds no program, no map or no link".to_owned()),
            false => Ok(()),
        }
    }

    /// The kernel frees what nobody holds a little later.
    fn is_gone(&self) -> Verdict {
        let mut left = String::new();
        wait_until(|| {
            let programs = aya::programs::loaded_programs().flatten().map(|program| program.id());
            let maps = aya::maps::loaded_maps().flatten().map(|map| map.id());
            let links = aya::programs::loaded_links().flatten().map(|link| link.id());
            let programs: Vec<u32> = programs.filter(|id| self.programs.contains(id)).collect();
            let maps: Vec<u32> = maps.filter(|id| self.maps.contains(id)).collect();
            let links: Vec<u32> = links.filter(|id| self.links.contains(id)).collect();
            left = format!("programs {programs:?}, maps {maps:?}, links {links:?} stay");
            programs.is_empty() && maps.is_empty() && links.is_empty()
        })
        .map_err(|_| left.clone())
    }
}

/// What a crowd's memory, and the kernel's lists of what is probed, tell of those who trace it.
struct Places {
    memory: fs::File,
    /// Where the semaphore of its probe lies.
    semaphore: u64,
    /// Where the code of `passed` lies, and its first bytes as they are without a probe.
    passed: u64,
    code: [u8; 8],
    /// What the kernel's lists said, where it shows them.
    lists: Vec<Option<String>>,
}

/// The kernel's lists of probes that were made through files, and of functions that are probed or traced.
const LISTS: [&str; 4] = [
    "/sys/kernel/debug/tracing/kprobe_events",
    "/sys/kernel/debug/tracing/uprobe_events",
    "/sys/kernel/debug/kprobes/list",
    "/sys/kernel/debug/tracing/enabled_functions",
];

/// What the lists say of the function that the crowd calls; what others probe meanwhile does not matter.
fn lists() -> Vec<Option<String>> {
    let read = |path| {
        let text = fs::read_to_string(path).ok()?;
        Some(text.lines().filter(|line| line.contains("sys_prctl")).map(|line| format!("{line}\n")).collect())
    };
    LISTS.map(read).into()
}

impl Places {
    /// Lets the crowd work, so that all of this is in memory, and looks at it.
    fn of(crowd: &mut Crowd) -> Result<Places, String> {
        let line = crowd.work()?;
        let address = |name: &str| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix("=0x"));
            u64::from_str_radix(word?, 16).ok()
        };
        let (Some(semaphore), Some(passed)) = (address("semaphore"), address("passed")) else {
            return Err(format!("the workload says {line:?}"));
        };
        let memory =
            fs::File::open(format!("/proc/{}/mem", crowd.pid())).map_err(|error| error.to_string())?;
        let mut places = Places { memory, semaphore, passed, code: [0; 8], lists: lists() };
        places.code = places.read(passed)?;
        match places.listeners()? {
            0 => Ok(places),
            others => Err(format!("{others} listen before there is a tracer")),
        }
    }

    fn read<const N: usize>(&self, address: u64) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.memory.read_exact_at(&mut bytes, address).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn listeners(&self) -> Result<u16, String> {
        self.read(self.semaphore).map(u16::from_ne_bytes)
    }

    fn are_probed(&self) -> Verdict {
        if self.listeners()? == 0 {
            return Err("nobody listens to the probe".to_owned());
        }
        // Where the kernel shows what is probed, the function has to be there, or `are_clean` shows nothing.
        if !kernel_functions().is_empty() && self.lists[2].is_some() && lists() == self.lists {
            return Err("the function of the kernel is not probed".to_owned());
        }
        match self.read(self.passed)? == self.code {
            true => Err("the function is not probed".to_owned()),
            false => Ok(()),
        }
    }

    fn are_clean(&self) -> Verdict {
        let mut left = String::new();
        wait_until(|| {
            let (listeners, code, lists) = (self.listeners(), self.read(self.passed), lists());
            left = format!(
                "{listeners:?} listen, the code is {code:x?} and not {:x?}, the lists are {lists:?} and not {:?}",
                self.code, self.lists
            );
            listeners == Ok(0) && code == Ok(self.code) && lists == self.lists
        })
        .map_err(|_| left.clone())
    }
}

/// The process that a tracer's `-c` started.
fn command_of(tracer: &Running) -> Result<u32, String> {
    let path = format!("/proc/{0}/task/{0}/children", tracer.id());
    let children = fs::read_to_string(path).map_err(|error| error.to_string())?;
    children.trim().parse().map_err(|_| format!("the children of the tracer are {children:?}"))
}

/// Ends a process that a tracer of these tests started.
fn kill(pid: u32) -> Verdict {
    match Command::new("kill").args(["-9", &pid.to_string()]).status() {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("kill: {other:?}")),
    }
}

/// Waits for something that comes by itself; after a minute it counts as never.
fn wait_until(mut is_so: impl FnMut() -> bool) -> Verdict {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > HUNG {
            return Err("it does not come".to_owned());
        }
        sleep(Duration::from_millis(2));
    }
    Ok(())
}
