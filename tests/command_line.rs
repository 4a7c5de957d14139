//! Stratum *command line*: options, exit codes, signals, and what happens where output goes nowhere. Each
//! `tests/command_line/NAME.test` is one command (`strata/command.rs` says what stands in it); here are those that take more
//! than one process and its words.

mod strata;
mod workloads;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitCode, Stdio};

use strata::command::{Running, end, rtscript, start};
use strata::{Outcome, Test};
use workloads::workload;

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let mut tests: Vec<Test> = Vec::new();
    for path in strata::files("tests/command_line", "test") {
        let cannot_trace = cannot_trace.clone();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        tests.push(Test::new(name, move || strata::command::run(&path, cannot_trace.clone())));
    }
    for (name, test) in TRACING {
        let cannot_trace = cannot_trace.clone();
        tests.push(Test::new(*name, move || match &cannot_trace {
            Some(why) => Outcome::Skipped(why.clone()),
            None => test().map_or_else(Outcome::Failed, |()| Outcome::Passed),
        }));
    }
    strata::run("command-line", tests)
}

/// What is wrong, if anything is.
type Verdict = Result<(), String>;

type Named = (&'static str, fn() -> Verdict);

const TRACING: &[Named] = &[
    ("an_interrupt_ends_in_order", || ends_in_order(libc::SIGINT)),
    ("a_termination_ends_in_order", || ends_in_order(libc::SIGTERM)),
    ("a_hangup_ends_in_order", || ends_in_order(libc::SIGHUP)),
    ("a_hangup_that_is_ignored_stays_so", a_hangup_that_is_ignored_stays_so),
    ("the_end_of_the_process_ends_the_tracing", the_end_of_the_process_ends_the_tracing),
    ("what_is_too_large_is_pointed_at", what_is_too_large_is_pointed_at),
    ("an_interrupt_ends_the_command", an_interrupt_ends_the_command),
    ("a_second_interrupt_ends_at_once", a_second_interrupt_ends_at_once),
    ("a_broken_pipe_ends_quietly", a_broken_pipe_ends_quietly),
    ("a_closed_output_is_no_failure", a_closed_output_is_no_failure),
    ("a_full_disk_is_a_failure", a_full_disk_is_a_failure),
    ("lost_and_printed_are_all", lost_and_printed_are_all),
    ("a_slow_reader_does_not_stop_the_traced", a_slow_reader_does_not_stop_the_traced),
    ("a_list_may_be_cut_short", a_list_may_be_cut_short),
    ("a_script_is_text", a_script_is_text),
    ("the_saved_object_is_the_one_that_is_shown", the_saved_object_is_the_one_that_is_shown),
    ("nothing_stays_attached", nothing_stays_attached),
    ("a_low_limit_of_descriptors_is_lifted", a_low_limit_of_descriptors_is_lifted),
];

/// The signal detaches, runs `end`, prints what is left and the maps; the exit code is 0.
fn ends_in_order(signal: libc::c_int) -> Verdict {
    let script = "begin { @x = 5; printf(\"ready\\n\"); } interval:s:1000 {} end { printf(\"end\\n\"); }";
    let mut tracer = start(command(&["-e", script]));
    let mut lines = lines(&mut tracer);
    expect("ready", &next(&mut lines))?;
    send(&tracer, signal);
    let rest = rest(lines);
    let ended = end(tracer, String::new())?;
    expect("end\n\n\n@x: 5\n", &rest)?;
    expect("exit 0", &ended.status)?;
    expect("Attached 3 probes\n", &ended.stderr)
}

/// Who started it with `nohup` does not want it to end with the terminal.
fn a_hangup_that_is_ignored_stays_so() -> Verdict {
    let script = "begin { printf(\"ready\\n\"); } self:signal:SIGUSR1 { printf(\"still there\\n\"); }";
    let mut shell = rtscript();
    let program = shell.get_program().to_owned();
    shell = reprogram(shell, "sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(program).args(["-q", "-e", script]);
    let mut tracer = start(shell);
    let mut lines = lines(&mut tracer);
    expect("ready", &next(&mut lines))?;
    send(&tracer, libc::SIGHUP);
    send(&tracer, libc::SIGUSR1);
    expect("still there", &next(&mut lines))?;
    send(&tracer, libc::SIGINT);
    expect("\n\n", &rest(lines))?;
    expect("exit 0", &end(tracer, String::new())?.status)
}

/// With `-p` other processes are passed over, and the tracing ends with the process.
fn the_end_of_the_process_ends_the_tracing() -> Verdict {
    let mut shell = reprogram(rtscript(), "sh");
    shell.args(["-c", "read line; exec true"]).stdin(Stdio::piped());
    let mut traced = start(shell);
    let pid = traced.id().to_string();
    let script = "self:signal:SIGUSR1 { printf(\"still there\\n\"); }
        rt:sched_process_exec { printf(\"%d\\n\", pid); }";
    let mut command = command(&["-q", "-p", &pid, "-e", script]);
    command.env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1");
    let mut tracer = start(command);
    let mut lines = lines(&mut tracer);
    expect("__BPFTRACE_NOTIFY_PROBES_ATTACHED", &next(&mut lines))?;
    let other = Command::new("true").status();
    assert!(other.is_ok_and(|status| status.success()), "true");
    send(&tracer, libc::SIGUSR1);
    expect("still there", &next(&mut lines))?;
    // Now the shell reads the end of its input.
    drop(traced.stdin.take());
    expect(&format!("{pid}\n\n\n"), &rest(lines))?;
    expect("exit 0", &end(tracer, String::new())?.status)?;
    expect("exit 0", &end(traced, String::new())?.status)
}

fn what_is_too_large_is_pointed_at() -> Verdict {
    let long = format!("print(\"{}\");", "x".repeat(40_000));
    let maps: String = (0..70).map(|map| format!("@m{map} = 1; ")).collect();
    for (body, code) in [(long, "rt::too-large"), (maps, "rt::too-many-maps")] {
        let script = format!("begin {{\n    {body} exit() }}");
        // Objects have less scratch memory than programs that run at once, and so come to the end of it in no time.
        let ended = end(start(command(&["--emit", "object", "-e", &script])), String::new())?;
        expect("exit 1", &ended.status)?;
        for part in [code, "1 │ begin {", "this probe"] {
            if !ended.stderr.contains(part) {
                return Err(format!("it does not say {part}"));
            }
        }
    }
    Ok(())
}

/// The command of `-c` is told to end where the tracer ends first.
fn an_interrupt_ends_the_command() -> Verdict {
    let script =
        "begin { printf(\"%d\\n\", cpid); } rt:sched_process_exec /pid == cpid/ { printf(\"running\\n\"); }";
    let mut tracer = start(command(&["-c", "sleep 1000", "-e", script]));
    let mut lines = lines(&mut tracer);
    let child = next(&mut lines);
    expect("running", &next(&mut lines))?;
    send(&tracer, libc::SIGINT);
    expect("\n\n", &rest(lines))?;
    let ended = end(tracer, String::new())?;
    expect("exit 0", &ended.status)?;
    // It was told to end, and does so by itself.
    wait_until(|| !std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|comm| comm == "sleep\n"))
}

/// While the output is blocked a first signal waits for a reader, and a second one does not.
fn a_second_interrupt_ends_at_once() -> Verdict {
    let script = "begin { printf(\"ready\\n\"); } interval:us:200 { printf(\"%01000d\\n\", 1); }";
    let mut tracer = start(command(&["-e", script]));
    let mut lines = lines(&mut tracer);
    expect("ready", &next(&mut lines))?;
    // Nobody reads from here on: the pipe fills.
    wait_until(|| pipe_is_full(&lines))?;
    send(&tracer, libc::SIGINT);
    // The first one has been taken when the process no longer blocks it.
    wait_until(|| !blocks_interrupts(tracer.id()))?;
    send(&tracer, libc::SIGINT);
    let ended = end(tracer, String::new())?;
    drop(lines);
    expect(&format!("signal {}", libc::SIGINT), &ended.status)
}

/// Whoever closes the pipe has enough: no message, and `end` still runs.
fn a_broken_pipe_ends_quietly() -> Verdict {
    let script = "interval:ms:1 { printf(\"line\\n\"); } end { exit(5); }";
    let mut tracer = start(command(&["-e", script]));
    let mut lines = lines(&mut tracer);
    expect("line", &next(&mut lines))?;
    drop(lines);
    let ended = end(tracer, String::new())?;
    expect("Attached 2 probes\n", &ended.stderr)?;
    expect("exit 5", &ended.status)
}

/// Without a standard output there is nothing to complain of.
fn a_closed_output_is_no_failure() -> Verdict {
    let mut shell = rtscript();
    let program = shell.get_program().to_owned();
    shell = reprogram(shell, "sh");
    shell.args(["-c", "exec \"$0\" \"$@\" >&-"]).arg(program);
    shell.args(["-e", "begin { printf(\"x\\n\"); } end { exit(4); }"]);
    let ended = end(start(shell), String::new())?;
    expect("", &ended.stdout)?;
    expect("exit 4", &ended.status)
}

fn a_full_disk_is_a_failure() -> Verdict {
    let mut tracer = command(&["-e", "begin { printf(\"x\\n\"); exit(); }"]);
    let full =
        std::fs::OpenOptions::new().write(true).open("/dev/full").map_err(|error| error.to_string())?;
    tracer.stdout(full);
    let ended = end(start(tracer), String::new())?;
    expect(
        "Attached 1 probe\nrtscript: cannot write the output: No space left on device (os error 28)\n",
        &ended.stderr,
    )?;
    expect("exit 1", &ended.status)
}

/// With a ring that is too small for what comes, every event is printed or counted as lost.
fn lost_and_printed_are_all() -> Verdict {
    let count = 40_000;
    let rename = workload("rename")?;
    let script = "rt:task_rename /pid == cpid && comm != \"rtscript\"/ { printf(\"%0100d\\n\", 0); }";
    let mut tracer = command(&["-c", &format!("{} {count}", rename.display()), "-e", script]);
    tracer.env("BPFTRACE_PERF_RB_PAGES", "1");
    let ended = end(start(tracer), String::new())?;
    let printed = ended.stdout.lines().filter(|line| line.len() == 100).count();
    let lost: usize = ended
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("Lost ")?.split(' ').next()?.parse().ok())
        .ok_or_else(|| format!("nothing was lost: {}", ended.stderr))?;
    expect(&count.to_string(), &(printed + lost).to_string())
}

/// The traced program runs to its end while nobody reads what is printed of it; then all is printed or counted.
fn a_slow_reader_does_not_stop_the_traced() -> Verdict {
    let count = 100_000;
    let rename = workload("rename")?;
    let script = "rt:task_rename /pid == cpid && comm != \"rtscript\"/ { printf(\"%0100d\\n\", 0); }
        rt:sched_process_exit /pid == cpid/ { printf(\"over\\n\"); }";
    let mut tracer = start(command(&["-c", &format!("{} {count}", rename.display()), "-e", script]));
    let traced = child_of(&tracer)?;
    // It is a zombie, or gone, before anybody reads.
    wait_until(|| match std::fs::read_to_string(format!("/proc/{traced}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => true,
    })?;
    let printed = rest(lines(&mut tracer)).lines().filter(|line| line.len() == 100).count();
    let ended = end(tracer, String::new())?;
    let lost: usize = ended
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("Lost ")?.split(' ').next()?.parse().ok())
        .unwrap_or(0);
    // The last one may be lost too: it is not one of the hundred thousand.
    match printed + lost {
        all if all == count || all == count + 1 => Ok(()),
        all => Err(format!("{printed} printed and {lost} lost are {all}, and not {count}")),
    }
}

/// A list that nobody reads to its end is no failure.
fn a_list_may_be_cut_short() -> Verdict {
    let mut tracer = start(command(&["-l"]));
    let mut lines = lines(&mut tracer);
    if next(&mut lines).is_empty() {
        return Err("nothing is listed".to_owned());
    }
    drop(lines);
    let ended = end(tracer, String::new())?;
    expect("", &ended.stderr)?;
    expect("exit 0", &ended.status)
}

/// A script that is not UTF-8 is refused, with the line.
fn a_script_is_text() -> Verdict {
    let mut tracer = command(&["-"]);
    tracer.stdin(Stdio::piped());
    let mut tracer = start(tracer);
    let mut input = tracer.stdin.take().ok_or("no standard input")?;
    input.write_all(b"begin { }\n// \xff\n").map_err(|error| error.to_string())?;
    drop(input);
    let ended = end(tracer, String::new())?;
    expect("rtscript: stdin is no text: line 2 is not UTF-8\n", &ended.stderr)?;
    expect("exit 1", &ended.status)
}

/// `--emit-elf` saves what `--emit object` saves, and the script runs all the same.
fn the_saved_object_is_the_one_that_is_shown() -> Verdict {
    let path = |name: &str| format!("{}/{name}-{}.o", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let (saved, shown) = (path("saved"), path("shown"));
    let script = "begin { @x = 1; printf(\"ran\\n\"); exit() } rt:task_rename { @y[comm] = count() }";
    let ended = end(start(command(&["-q", "--emit-elf", &saved, "-e", script])), String::new())?;
    expect("ran\n\n\n@x: 1\n", &ended.stdout)?;
    let ended = end(start(command(&["--emit", "object", "-o", &shown, "-e", script])), String::new())?;
    expect("exit 0", &ended.status)?;
    let read = |path: &str| {
        let bytes = std::fs::read(path);
        let _ = std::fs::remove_file(path);
        bytes.map_err(|error| format!("{path}: {error}"))
    };
    let (saved, shown) = (read(&saved)?, read(&shown)?);
    if saved == shown && saved.starts_with(b"\x7fELF") { Ok(()) } else { Err("they differ".to_owned()) }
}

/// The system's usual limit would be too low for many attach points.
fn a_low_limit_of_descriptors_is_lifted() -> Verdict {
    // More events than descriptors; the command of -c has the limit that there was.
    let script = "config = { max_probes = 5000 } rt:s* /pid == 1/ {}";
    let mut limited = reprogram(rtscript(), "sh");
    limited.args(["-c", "ulimit -Sn 40; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_rtscript")]);
    limited.args(["-c", "sh -c 'ulimit -n'", "-e", script]);
    let ended = end(start(limited), String::new())?;
    expect("40\n\n\n", &ended.stdout)?;
    let attached =
        ended.stderr.strip_prefix("Attached ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    if attached.is_some_and(|attached: u32| attached > 40) { Ok(()) } else { Err(ended.stderr) }
}

/// A tracer that is killed leaves no program behind.
fn nothing_stays_attached() -> Verdict {
    let script = "begin { printf(\"ready\\n\"); } rt:task_rename /pid == 1/ {} interval:s:1000 {}";
    let mut tracer = start(command(&["-e", script]));
    let mut lines = lines(&mut tracer);
    expect("ready", &next(&mut lines))?;
    let own = programs_of(tracer.id());
    if own.is_empty() {
        return Err("the tracer holds no program".to_owned());
    }
    tracer.kill().map_err(|error| error.to_string())?;
    let ended = end(tracer, String::new())?;
    expect("signal 9", &ended.status)?;
    // The kernel frees what nobody holds a little later. Ids are not used again for long.
    wait_until(|| !aya::programs::loaded_programs().flatten().any(|program| own.contains(&program.id())))
}

/// The ids of the programs that a process holds.
fn programs_of(pid: u32) -> Vec<u32> {
    let directory = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("its descriptors");
    let infos = directory.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    let id = |info: String| info.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
    infos.filter_map(id).collect()
}

fn command(words: &[&str]) -> Command {
    let mut command = rtscript();
    command.args(words);
    command
}

/// The same environment and pipes for another program.
fn reprogram(command: Command, program: &str) -> Command {
    let mut other = Command::new(program);
    other.env_clear();
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))));
    other.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    other
}

type Lines = BufReader<std::process::ChildStdout>;

fn lines(tracer: &mut Running) -> Lines {
    // As small a buffer as there is: what is not asked for stays in the pipe.
    BufReader::with_capacity(64, tracer.stdout.take().expect("a pipe"))
}

fn next(lines: &mut Lines) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).expect("text");
    line.trim_end_matches('\n').to_owned()
}

fn rest(mut lines: Lines) -> String {
    let mut text = String::new();
    lines.read_to_string(&mut text).expect("text");
    text
}

/// Signals a process that this test started.
fn send(tracer: &Running, signal: libc::c_int) {
    let kill = Command::new("kill").args([format!("-{signal}"), tracer.id().to_string()]).status();
    assert!(kill.is_ok_and(|status| status.success()), "kill");
}

fn child_of(tracer: &Running) -> Result<String, String> {
    let mut child = String::new();
    wait_until(|| {
        let path = format!("/proc/{0}/task/{0}/children", tracer.id());
        child = std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        !child.is_empty()
    })?;
    Ok(child)
}

/// Whether the process blocks SIGINT, by the mask in its status.
fn blocks_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & 1 << (libc::SIGINT - 1) != 0
}

fn pipe_is_full(lines: &Lines) -> bool {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", lines.get_ref().as_raw_fd());
    // Opened for writing without waiting: a full pipe takes nothing.
    use std::os::unix::fs::OpenOptionsExt;
    let pipe = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path);
    pipe.is_ok_and(|mut pipe| pipe.write(&[b'\n'; 4096]).is_err())
}

/// Waits for something that comes by itself; after a minute it counts as hung.
fn wait_until(mut is_so: impl FnMut() -> bool) -> Verdict {
    let start = std::time::Instant::now();
    while !is_so() {
        if start.elapsed() > strata::command::HUNG {
            return Err("it does not come".to_owned());
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    Ok(())
}

fn expect(expected: &str, found: &str) -> Verdict {
    if expected == found { Ok(()) } else { Err(strata::difference("it", expected, found)) }
}
