//! Stratum *exact*: every event is counted once, and what cannot be kept is counted as lost. Each `tests/exact/NAME.test` has
//! a workload of many threads and of processes that start and end meanwhile (`strata/command.rs` says what stands in a file); here
//! are those whose output takes a program to judge, and those with several tracers.

mod strata;
mod workloads;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use strata::command::{Ended, HUNG, end, has, rtscript, start};
use strata::crowd::{Crowd, THREADS, attached, interrupted, kernel_functions, signal};
use strata::{Outcome, Test};
use workloads::workload;

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let mut tests: Vec<Test> = Vec::new();
    for path in strata::files("tests/exact", "test") {
        let cannot_trace = cannot_trace.clone();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        tests.push(Test::new(name, move || strata::command::run(&path, cannot_trace.clone())));
    }
    let no_kprobes = (!has("kprobes")).then(|| "this kernel has no kprobes".to_owned());
    let all = PROGRAMS.iter().map(|named| (named, None));
    for ((name, test), lacks) in all.chain(OF_KPROBES.iter().map(|named| (named, no_kprobes.clone()))) {
        let cannot_trace = cannot_trace.clone().or(lacks);
        tests.push(Test::new(*name, move || match &cannot_trace {
            Some(why) => Outcome::Skipped(why.clone()),
            None => test().map_or_else(Outcome::Failed, |()| Outcome::Passed),
        }));
    }
    strata::run("exact", tests)
}

/// What is wrong, if anything is.
type Verdict = Result<(), String>;

type Named = (&'static str, fn() -> Verdict);

const PROGRAMS: &[Named] = &[
    ("every_event_comes_once", every_event_comes_once),
    ("events_and_losses_are_all", || losses(&["-f", "text"], "printf(\"%s %s\\n\", comm, $filler);")),
    ("events_and_losses_are_all_in_json", || losses(&["-f", "json"], "printf(\"%s %s\\n\", comm, $filler);")),
    ("values_and_losses_are_all", || losses(&["-f", "text"], "print((comm, $filler));")),
    ("tracers_do_not_disturb_each_other", tracers_do_not_disturb_each_other),
    ("tracers_come_and_go", tracers_come_and_go),
    ("every_signal_is_seen", every_signal_is_seen),
    ("probes_of_all_that_a_process_has_mapped", probes_of_all_that_a_process_has_mapped),
    ("one_process_among_others", one_process_among_others),
    ("a_process_with_a_root_of_its_own", a_process_with_a_root_of_its_own),
    ("a_process_with_mounts_of_its_own", a_process_with_mounts_of_its_own),
];

const OF_KPROBES: &[Named] = &[("kprobes_at_instructions", kprobes_at_instructions)];

/// What eight threads print at full speed comes once, and in the order of each thread, where the ring has room for all.
fn every_event_comes_once() -> Verdict {
    let rounds = 2000;
    let script =
        "rt:task_rename /pid == cpid && comm != \"rtscript\"/ { printf(\"%s\\n\", str(args.comm)); }";
    let ended = traced_crowd(&[], &[], rounds, script)?;
    let mut next: HashMap<&str, usize> = HashMap::new();
    let mut printed = 0;
    for line in ended.stdout.lines().filter(|line| !line.is_empty()) {
        let (thread, round) = line.split_once('-').ok_or_else(|| format!("a line is {line:?}"))?;
        let expected = next.entry(thread).or_default();
        *expected += 1;
        if round.parse() != Ok(*expected) {
            return Err(format!("thread {thread}: after round {} comes {round}", *expected - 1));
        }
        printed += 1;
    }
    expect_equal("printed lines", THREADS * rounds, printed)?;
    expect("Attached 1 probe\n", &ended.stderr)
}

/// With a ring that is too small, what is printed and what is told to be lost are all; what is only counted is whole.
fn losses(words: &[&str], action: &str) -> Verdict {
    let rounds = 4000;
    let script = format!(
        "rt:task_rename /pid == cpid && comm != \"rtscript\"/ {{
            $filler = \"0123456789012345678901234567890123456789012345678901234567890123456789\";
            {action}
            @all = count();
        }}"
    );
    let ended = traced_crowd(words, &[("BPFTRACE_PERF_RB_PAGES", "1")], rounds, &script)?;
    let printed = ended.stdout.lines().filter(|line| line.contains("0123456789012345")).count();
    let is_json = words.contains(&"json");
    let lost = if is_json { json_lost(&ended.stdout)? } else { text_lost(&ended.stderr) };
    if lost == 0 {
        return Err(format!("nothing was lost of {printed}, so this shows nothing"));
    }
    expect_equal("printed and lost", THREADS * rounds, printed + lost)?;
    let all = if is_json {
        format!("{{\"type\": \"map\", \"data\": {{\"@all\": {}}}}}", THREADS * rounds)
    } else {
        format!("@all: {}", THREADS * rounds)
    };
    match ended.stdout.lines().any(|line| line == all) {
        true => Ok(()),
        false => Err(format!("there is no line {all}")),
    }
}

/// Events that a full ring did not take, by the report on standard error.
fn text_lost(stderr: &str) -> usize {
    let lost = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("Lost ")?.split(' ').next()?.parse::<usize>().ok());
    lost.sum()
}

fn json_lost(stdout: &str) -> Result<usize, String> {
    let mut lost = 0;
    for line in stdout.lines().filter(|line| line.contains("\"lost_events\"")) {
        let line: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        lost += line["data"]["events"].as_u64().ok_or("no number is lost")? as usize;
    }
    Ok(lost)
}

/// Runs the eight threads of `crowd`, so many rounds each, under the tracer.
fn traced_crowd(
    words: &[&str],
    environment: &[(&str, &str)],
    rounds: usize,
    script: &str,
) -> Result<Ended, String> {
    let crowd = workload("crowd")?;
    let mut tracer = rtscript();
    tracer.envs(environment.iter().copied()).args(words);
    tracer.arg("-c").arg(format!("'{}' {THREADS} {rounds} 0", crowd.display())).args(["-e", script]);
    let ended = end(start(tracer), String::new())?;
    expect("exit 0", &ended.status)?;
    Ok(ended)
}

/// Three tracers watch the same places of one process at once; each counts all of it.
fn tracers_do_not_disturb_each_other() -> Verdict {
    let mut crowd = Crowd::start(500, 200)?;
    let script = everywhere(&crowd.path);
    let tracers = [0, 1, 2].map(|_| attached(&[], crowd.pid(), &script));
    let tracers = tracers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let line = crowd.work()?;
    if !line.starts_with("rounds=4000 processes=200 listened=4000 ") {
        return Err(format!("the workload says {line:?}"));
    }
    for tracer in tracers {
        let ended = interrupted(tracer)?;
        expect_counted(&everything(4000), &ended)?;
    }
    Ok(())
}

/// While one tracer counts, others attach to the same places and detach from them: it misses nothing.
fn tracers_come_and_go() -> Verdict {
    let mut crowd = Crowd::start(4000, 0)?;
    let script = everywhere(&crowd.path);
    let counting = attached(&[], crowd.pid(), &script)?;
    let others = std::thread::spawn({
        let (pid, script) = (crowd.pid(), script.clone());
        move || {
            for _ in 0..4 {
                interrupted(attached(&[], pid, &script)?)?;
            }
            Ok::<(), String>(())
        }
    });
    let line = crowd.work()?;
    others.join().map_err(|_| "a tracer was not to be started".to_owned())??;
    let ended = interrupted(counting)?;
    if !line.starts_with("rounds=32000 processes=0 listened=32000 ") {
        return Err(format!("the workload says {line:?}"));
    }
    expect_counted(&everything(32000), &ended)
}

/// A script that counts what the threads of `crowd` do, by a probe of each kind.
fn everywhere(crowd: &str) -> String {
    let functions: String = kernel_functions()
        .iter()
        .map(|(map, probe)| format!("{probe} /pid == PID/ {{ @{map} = count(); }}\n"))
        .collect();
    format!(
        "{functions}
        rt:task_rename /pid == PID/ {{ @raw = count(); }}
        tracepoint:task:task_rename /pid == PID/ {{ @renamed = count(); }}
        tracepoint:syscalls:sys_enter_getppid /pid == PID/ {{ @call = count(); }}
        uprobe:{crowd}:passed /pid == PID/ {{ @function = count(); }}
        uretprobe:{crowd}:passed /pid == PID/ {{ @function_left = count(); }}
        usdt:{crowd}:crowd:round /pid == PID/ {{ @usdt = count(); }}
        interval:s:1000 {{ }}"
    )
}

fn everything(count: usize) -> String {
    let mut maps = vec!["call", "function", "function_left", "raw", "renamed", "usdt"];
    maps.extend(kernel_functions().iter().map(|(map, _)| map));
    counted(&maps, count)
}

/// What is printed where each of these maps holds this count.
fn counted(maps: &[&str], count: usize) -> String {
    let mut lines: Vec<String> = maps.iter().map(|map| format!("@{map}: {count}\n")).collect();
    lines.sort();
    format!("\n\n{}", lines.concat())
}

/// Each signal that is sent after the one before was seen runs the probe once.
fn every_signal_is_seen() -> Verdict {
    const SIGNALS: usize = 200;
    let mut tracer = rtscript();
    tracer.env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1");
    tracer.args(["-e", "self:signal:SIGUSR1 { @seen++; printf(\"%d\\n\", @seen); } interval:s:1000 { }"]);
    let mut tracer = start(tracer);
    let mut lines = BufReader::new(tracer.stdout.take().ok_or("no standard output")?);
    let mut next = || {
        let mut line = String::new();
        lines.read_line(&mut line).map_err(|error| error.to_string())?;
        Ok::<String, String>(line)
    };
    expect("__BPFTRACE_NOTIFY_PROBES_ATTACHED\n", &next()?)?;
    for number in 1..=SIGNALS {
        signal(&tracer, libc::SIGUSR1)?;
        expect(&format!("{number}\n"), &next()?)?;
    }
    signal(&tracer, libc::SIGINT)?;
    let mut rest = String::new();
    lines.read_to_string(&mut rest).map_err(|error| error.to_string())?;
    expect(&format!("\n\n@seen: {SIGNALS}\n"), &rest)?;
    expect("exit 0", &end(tracer, String::new())?.status)
}

/// With `-p`, `usdt:*` is every file that the process runs, and its child processes are others; so it is with `-l`.
fn probes_of_all_that_a_process_has_mapped() -> Verdict {
    let rounds = 50;
    let mut crowd = Crowd::start(rounds, 4)?;
    runs(&crowd, "crowd")?;
    for (what, name) in [("usdt:*", "usdt:{}:crowd:round"), ("uprobe:*:passed", "uprobe:{}:passed")] {
        let name = name.replace("{}", &crowd.path);
        let mut command = rtscript();
        command.args(["-p", &crowd.pid().to_string(), "-l", what]);
        let listed = end(start(command), String::new())?;
        if !listed.stdout.lines().any(|line| line == name) {
            return Err(format!("{what} does not list {name}: {}{}", listed.stdout, listed.stderr));
        }
    }
    let script = "usdt:*:crowd:round { @rounds = count(); @by[pid == PID] = count(); }";
    let tracer = attached(&["-p", &crowd.pid().to_string()], crowd.pid(), script)?;
    crowd.work()?;
    let ended = interrupted(tracer)?;
    let count = THREADS * rounds;
    expect(&format!("\n\n@by[true]: {count}\n@rounds: {count}\n"), &ended.stdout)
}

/// With `-p`, no probe of any kind runs in other processes, which here are its own child processes.
fn one_process_among_others() -> Verdict {
    let rounds = 50;
    let mut crowd = Crowd::start(rounds, 20)?;
    runs(&crowd, "crowd")?;
    let path = &crowd.path;
    let mut probes = kernel_functions();
    let (uprobe, uretprobe) = (format!("uprobe:{path}:passed"), format!("uretprobe:{path}:nested"));
    let (uprobe_many, usdt) = (format!("uprobe:{path}:p*sed"), format!("usdt:{path}:round"));
    probes.extend([
        ("call", "tracepoint:syscalls:sys_enter_getppid"),
        ("function", &uprobe),
        ("function_many", &uprobe_many),
        ("usdt", &usdt),
    ]);
    let counting = probes.iter().map(|(map, probe)| format!("{probe} {{ @{map} = count(); }}\n"));
    let script = format!("{}{uretprobe} {{ @nested[pid == PID] = count(); }}", counting.collect::<String>());
    let tracer = attached(&["-p", &crowd.pid().to_string()], crowd.pid(), &script)?;
    crowd.work()?;
    let ended = interrupted(tracer)?;
    let count = THREADS * rounds;
    let maps: Vec<&str> = probes.iter().map(|(map, _)| *map).collect();
    let mut expected: Vec<String> = counted(&maps, count).lines().map(|line| format!("{line}\n")).collect();
    expected.push(format!("@nested[true]: {}\n", 4 * count));
    expected.sort();
    expect_counted(&expected.concat(), &ended)
}

/// A function by its address, and the next instruction in it by its offset, which is tried for: within one, the kernel refuses.
fn kprobes_at_instructions() -> Verdict {
    const FUNCTION: &str = "__x64_sys_prctl";
    let symbols = std::fs::read_to_string("/proc/kallsyms").map_err(|error| error.to_string())?;
    let line = symbols.lines().find(|line| line.ends_with(&format!(" {FUNCTION}")));
    let address = line.and_then(|line| line.split(' ').next()).ok_or("the function has no address")?;
    let mut crowd = Crowd::start(50, 0)?;
    let mut script = format!(
        "kprobe:0x{address} /pid == PID/ {{ @address = count(); @func[func] = count(); }}
        kprobe:{FUNCTION}+0 /pid == PID/ {{ @begin = count(); }}\n"
    );
    let mut next = None;
    for offset in 1..16 {
        let tracer = attached(&[], 0, &format!("kprobe:{FUNCTION}+{offset} {{ }}"));
        match tracer {
            Ok(tracer) => {
                interrupted(tracer)?;
                next = Some(offset);
                break;
            }
            Err(why) if why.contains("no instruction begins") => {}
            Err(why) => return Err(why),
        }
    }
    let next = next.ok_or("no instruction can be probed")?;
    script.push_str(&format!("kprobe:{FUNCTION}+{next} /pid == PID/ {{ @next = count(); }}"));
    let tracer = attached(&[], crowd.pid(), &script)?;
    crowd.work()?;
    let ended = interrupted(tracer)?;
    let count = THREADS * 50;
    let expected =
        format!("\n\n@address: {count}\n@begin: {count}\n@func[{FUNCTION}]: {count}\n@next: {count}\n");
    expect(&expected, &ended.stdout)
}

/// Waits until the kernel has mapped the code of a program whose path ends so: a process is there before that.
fn runs(crowd: &Crowd, program: &str) -> Verdict {
    let begun = Instant::now();
    let maps = format!("/proc/{}/maps", crowd.pid());
    let is_code = |line: &str| line.contains(" r-xp ") && line.ends_with(program);
    while !std::fs::read_to_string(&maps).map_err(|error| error.to_string())?.lines().any(is_code) {
        if begun.elapsed() > HUNG {
            return Err(format!("{program} does not run"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// With `-p`, files are those that the process sees: here it has nothing but its program.
fn a_process_with_a_root_of_its_own() -> Verdict {
    let root = std::env::temp_dir().join(format!("rtscript-root-{}", std::process::id()));
    std::fs::create_dir_all(&root).map_err(|error| error.to_string())?;
    let verdict = trace_below(&root);
    std::fs::remove_dir_all(&root).map_err(|error| error.to_string())?;
    verdict
}

fn trace_below(root: &Path) -> Verdict {
    const NAME: &str = "/rtscript-test-crowd";
    let program = root.join(&NAME[1..]);
    std::fs::copy(workload("crowd")?, &program).map_err(|error| error.to_string())?;
    let below = || {
        let mut command = Command::new("chroot");
        command.arg(root).arg(NAME);
        command
    };
    // Without arguments it says how to use it. It cannot be executed there where it was not to be linked statically.
    let tried = below().output().map_err(|error| format!("chroot: {error}"))?;
    if matches!(tried.status.code(), Some(125..=127)) {
        println!("not tried: {}", String::from_utf8_lossy(&tried.stderr).trim());
        return Ok(());
    }
    let rounds = 50;
    let mut crowd = Crowd::by(below(), NAME.to_owned(), rounds, 0)?;
    runs(&crowd, NAME)?;
    let script = format!(
        "uprobe:{NAME}:passed {{ @function = count(); }} usdt:{NAME}:crowd:round {{ @named = count(); }}
        usdt:*:crowd:round {{ @mapped = count(); }}"
    );
    let tracer = attached(&["-p", &crowd.pid().to_string()], crowd.pid(), &script)?;
    crowd.work()?;
    let ended = interrupted(tracer)?;
    let count = THREADS * rounds;
    expect(&format!("\n\n@function: {count}\n@mapped: {count}\n@named: {count}\n"), &ended.stdout)
}

/// With `-p`, files are those that the process sees, here behind a mount that it alone has.
fn a_process_with_mounts_of_its_own() -> Verdict {
    let place = std::env::temp_dir().join(format!("rtscript-mounts-{}", std::process::id()));
    std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let verdict = trace_behind_mount(&place);
    std::fs::remove_dir_all(&place).map_err(|error| error.to_string())?;
    verdict
}

fn trace_behind_mount(place: &Path) -> Verdict {
    let program = place.join("rtscript-test-crowd").display().to_string();
    let script = "mount -t tmpfs tmpfs \"$1\" && cp \"$2\" \"$3\" && shift 2 && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(place).arg(workload("crowd")?).arg(&program);
    let rounds = 50;
    let mut crowd = Crowd::by(command, program.clone(), rounds, 0)?;
    runs(&crowd, &program)?;
    if Path::new(&program).exists() {
        return Err("the program is here, too, so this shows nothing".to_owned());
    }
    let script = format!(
        "uprobe:{program}:passed {{ @function = count(); }} usdt:{program}:crowd:round {{ @named = count(); }}
        uprobe:{program}:p*sed {{ @matched = count(); }} usdt:*:crowd:round {{ @mapped = count(); }}"
    );
    let tracer = attached(&["-p", &crowd.pid().to_string()], crowd.pid(), &script)?;
    crowd.work()?;
    let ended = interrupted(tracer)?;
    expect(&counted(&["function", "named", "matched", "mapped"], THREADS * rounds), &ended.stdout)
}

/// Each map has its count, but for what the tracer says was skipped: recent kernels (7.3) let programs of system calls be preempted,
/// and passes over the calls that others make on that CPU meanwhile.
fn expect_counted(expected: &str, ended: &Ended) -> Verdict {
    let skipped =
        ended.stderr.split_once("Skipped ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    let missing = expected.lines().zip(ended.stdout.lines()).try_fold(0, |missing, (expected, found)| {
        let count =
            |line: &str| Some((line.split(": ").next()?.to_owned(), line.split(": ").nth(1)?.parse().ok()?));
        match (count(expected), count(found)) {
            (Some((one, expected)), Some((other, found))) if one == other => {
                u64::checked_sub(expected, found).map(|less| missing + less)
            }
            _ if expected == found => Some(missing),
            _ => None,
        }
    });
    let as_many = expected.lines().count() == ended.stdout.lines().count();
    if as_many && missing.is_some_and(|missing| missing <= skipped.unwrap_or(0)) {
        return Ok(());
    }
    Err(strata::difference("it", expected, &format!("{}{}", ended.stdout, ended.stderr)))
}

fn expect(expected: &str, found: &str) -> Verdict {
    if expected == found { Ok(()) } else { Err(strata::difference("it", expected, found)) }
}

fn expect_equal(what: &str, expected: usize, found: usize) -> Verdict {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected}, found {found}")) }
}
