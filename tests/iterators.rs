//! Stratum *iterators*: a process has a known number of threads, files, mappings and sockets, and iterators find all of them, each
//! once; pinned ones print when they are read.

mod strata;
mod workloads;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};

use strata::command::{end, rtscript, start};
use strata::{Outcome, Test, difference};
use workloads::workload;

const THREADS: u32 = 37;
const FILES: u32 = 4000;
const MAPPINGS: u32 = 300;
const SOCKETS: u32 = 25;

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let test = |name: &str, run: fn(&Held) -> Result<(), String>| {
        let cannot_trace = cannot_trace.clone();
        Test::new(name, move || match &cannot_trace {
            Some(why) => Outcome::Skipped(why.clone()),
            None => with_held(run),
        })
    };
    let tests = vec![
        test("everything is counted", everything_is_counted),
        test("only one process", only_one_process),
        test("nothing is lost", nothing_is_lost),
        test("exit stops reading", exit_stops_reading),
        test("memory of a task", memory_of_a_task),
        test("a pin prints when it is read", a_pin_prints_when_it_is_read),
        test("a pin that cannot be made", a_pin_that_cannot_be_made),
    ];
    strata::run("iterators", tests)
}

/// The process that has the things; it ends with its standard input.
struct Held(Child);

impl Held {
    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn with_held(run: fn(&Held) -> Result<(), String>) -> Outcome {
    let program = match workload("holds") {
        Ok(program) => program,
        Err(why) => return Outcome::Skipped(why),
    };
    let counts = [THREADS, FILES, MAPPINGS, SOCKETS].map(|count| count.to_string());
    let mut command = Command::new(program);
    let mut child =
        command.args(counts).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let held = Held(child);
    if line != "ready\n" {
        return Outcome::Skipped(format!("a process with {FILES} files cannot be had here"));
    }
    match run(&held) {
        Ok(()) => Outcome::Passed,
        Err(why) => Outcome::Failed(why),
    }
}

/// What a script prints that traces the process.
fn printed(args: &[&str], script: &str, held: &Held) -> Result<String, String> {
    let mut command = rtscript();
    command.args(args).args(["-e", script, &held.pid()]);
    let ended = end(start(command), String::new())?;
    if ended.status != "exit 0" {
        return Err(format!("{}\n{}", ended.status, ended.stderr));
    }
    Ok(ended.stdout)
}

fn same(what: &str, expected: &str, found: &str) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(difference(what, expected, found)) }
}

fn everything_is_counted(held: &Held) -> Result<(), String> {
    let script = r#"
        iter:task /ctx.task.tgid == $1/ { @tasks[ctx->task->comm] = count(); }
        iter:task_file /ctx->task->tgid == $1 && ctx->fd >= 100 && ctx.task.pid == ctx.task.tgid/ { @files = count(); @last = max(ctx.fd); }
        iter:task_vma /ctx.task.pid == $1 && ctx.vma.vm_start >> 44 == 1/ { @bytes[ctx.vma.vm_end - ctx.vma.vm_start] = count(); }
        iter:tcp /bswap((uint32)ctx.sk_common.skc_rcv_saddr) == (0x7f000000 | $1 & 0xffffff)/ { @tcp[ctx.sk_common.skc_state] = count(); }
        iter:udp /bswap((uint32)ctx.udp_sk.inet.sk.__sk_common.skc_rcv_saddr) == (0x7f000000 | $1 & 0xffffff)/ { @udp = count(); }
    "#;
    let expected = format!(
        "\n\n@bytes[4096]: {MAPPINGS}\n@files: {FILES}\n@last: {}\n@tasks[holds]: 1\n@tasks[held]: {THREADS}\n\
         @tcp[10]: {SOCKETS}\n@udp: {SOCKETS}\n",
        FILES + 99
    );
    same("all of it", &expected, &printed(&[], script, held)?)
}

fn only_one_process(held: &Held) -> Result<(), String> {
    let script = r#"
        iter:task { @[probe, ctx.task.tgid == $1] = count(); }
        iter:task_vma /ctx.vma.vm_start >> 44 == 1/ { @[probe, ctx.task.tgid == $1] = count(); }
        begin { @tasks = 0; }
    "#;
    let found = printed(&["-p", &held.pid()], script, held)?;
    let expected =
        format!("\n\n@[iter:task, true]: {}\n@[iter:task_vma, true]: {MAPPINGS}\n@tasks: 0\n", THREADS + 1);
    same("one process", &expected, &found)
}

/// The ring has room for a few of the lines at a time.
fn nothing_is_lost(held: &Held) -> Result<(), String> {
    let script = r#"
        config = { perf_rb_pages = 1 }
        iter:task_file /ctx.fd >= 100/ { printf("%d %s\n", ctx.fd, ctx.task.comm); }
        end { printf("end\n"); }
    "#;
    let found = printed(&["-p", &held.pid()], script, held)?;
    let lines: String = (100..100 + FILES).map(|fd| format!("{fd} holds\n")).collect();
    same("the files", &format!("{lines}end\n\n\n"), &found)
}

fn exit_stops_reading(held: &Held) -> Result<(), String> {
    let script = r#"
        iter:task_file /ctx.fd >= 100/ { @n++; if (@n == 5) { exit(); } }
        iter:task { @never = 1; }
    "#;
    same("five files", "\n\n@n: 5\n", &printed(&["-p", &held.pid()], script, held)?)
}

/// Its arguments lie behind one another, near the end of its memory.
fn memory_of_a_task(held: &Held) -> Result<(), String> {
    let script = r#"
        iter:task /ctx.task.pid == $1/ {
            $at = ctx.task.mm.arg_start;
            $program = str(uptr($at));
            @length = strlen($program);
            $first = uptr($at + strlen($program) + 1);
            printf("%s %s %s %d %r\n", $program, str($first), str($first, 2), *(uint8 *)$first, buf($first, 2));
            @known[str($first)] = 1;
            $environment = uptr(ctx.task.mm.env_end - 4);
            printf("[%s]\n", str($environment, 3) == "" ? "" : "text");
        }
    "#;
    let program = workload("holds")?.display().to_string();
    let expected = format!(
        "{program} {THREADS} 37 51 37\n[text]\n\n\n@known[{THREADS}]: 1\n@length: {}\n",
        program.len()
    );
    same("its arguments", &expected, &printed(&["-p", &held.pid()], script, held)?)
}

/// What shell commands print, with a BPF file system of their own, so that nothing is left behind. `$0` is rtscript, `$1` the
/// script, `$2` the process.
fn with_pins(script: &str, steps: &str, held: &Held) -> Result<String, String> {
    let mut command = Command::new("unshare");
    command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let steps = format!("mount -t bpf bpf /sys/fs/bpf && {steps}");
    command.args(["-m", "sh", "-c", &steps, env!("CARGO_BIN_EXE_rtscript"), script, &held.pid()]);
    let ended = end(start(command), String::new())?;
    if ended.status != "exit 0" {
        return Err(format!("{}\n{}", ended.status, ended.stderr));
    }
    Ok(ended.stdout + &ended.stderr)
}

fn a_pin_prints_when_it_is_read(held: &Held) -> Result<(), String> {
    let script = r#"
        begin { @text = "of the map"; @list[1] = 2; }
        iter:task:list /ctx.task.pid == $1/ {
            printf("|%-8s|%8s|%s|%d%%|%08x|%+d|% d|%c|%X|\n", ctx.task.comm, "b", str(ctx.task.comm), 100, 255, 3, 4, 65, 48879);
            printf("%d %u %s %s %x %lx %hhx\n", -5, (int32)-5, (int64)-7, @text, (int16)-1000, (int32)-1, 0x1ff);
            printf("é%sé %sx\n", "è", ksym(kaddr("vfs_read")));
            for ($i : 0..3) { printf("%d,", $i); }
            for ($each : @list) { printf("%d-%d\n", $each.0, $each.1); }
            @runs++;
            printf("%d %d %d %d %d %d %d %d %d %d %d %d %d\n", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, @runs);
        }
        iter:task_file:/sys/fs/bpf/files /ctx.task.pid == $1 && ctx.fd >= 100/ { printf("%d\n", ctx.fd); }
    "#;
    let steps = "$0 -e \"$1\" $2 && cat /sys/fs/bpf/list /sys/fs/bpf/list && cat /sys/fs/bpf/files";
    let found = with_pins(script, steps, held)?;
    let run = |number: u32| {
        format!(
            "|holds   |       b|holds|100%|000000ff|+3| 4|A|BEEF|\n\
             -5 4294967291 -7 of the map fffffc18 ffffffffffffffff ff\n\
             éèé vfs_readx\n\
             0,1,2,1-2\n1 2 3 4 5 6 7 8 9 10 11 12 {number}\n"
        )
    };
    let files: String = (100..100 + FILES).map(|fd| format!("{fd}\n")).collect();
    let said = "Pinned to /sys/fs/bpf/list\nPinned to /sys/fs/bpf/files\nAttached 3 probes\n";
    let expected = format!("\n\n@list[1]: 2\n@text: of the map\n{}{}{files}{said}", run(1), run(2));
    same("what is read", &expected, &found)
}

/// Of two pins one cannot be made: neither is there.
fn a_pin_that_cannot_be_made(held: &Held) -> Result<(), String> {
    let script = r#"iter:task:one { printf("\n"); } iter:task:two { printf("\n"); }"#;
    let steps = "mkdir /sys/fs/bpf/two && { $0 -e \"$1\"; echo exit $?; ls /sys/fs/bpf | grep -v debug; }";
    let found = with_pins(script, steps, held)?;
    let expected = "exit 255\ntwo\nrt::pin\n\n  × cannot pin to /sys/fs/bpf/two: BPF_OBJ_PIN: File exists";
    if found.starts_with(expected) { Ok(()) } else { same("what is there", expected, &found) }
}
