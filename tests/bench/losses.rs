//! Does every rename become a line, or is what was lost said? At a million renames a second and flat out.

use crate::form::{Body, By, Form, Output, Probe};
use crate::table::Table;
use crate::tools::{Renames, Tools};
use crate::tracer::Tracer;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EVENTS: u64 = 1_000_000;
const MILLION: u64 = 1_000_000;
/// For the tracer to write what it still holds.
const DRAIN: Duration = Duration::from_millis(300);
/// How a slow reader reads: so much, then a pause: 1.3 MB/s where 100 MB/s come.
const SLOW_READ: usize = 64 << 10;
const SLOW_PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
enum Sink {
    Null,
    File,
    SlowPipe,
}

/// What came of one run.
struct Outcome {
    renames: Renames,
    lines: u64,
    /// The lines were not counted but computed from the bytes written.
    computed: bool,
    /// As the tracer says.
    lost: u64,
}

pub fn measure(tools: &Tools) -> Result<(), String> {
    let mut table = Table::new(
        format!("Losses: {EVENTS} renames with the article's script"),
        &["body", "by", "asked/s", "output", "renames/s", "events", "lines", "said lost", "unsaid"],
    );
    let mut forms = vec![
        Form { probe: Probe::Raw, body: Body::Article, by: By::Rtscript },
        Form::c(Probe::Raw, Body::Direct),
        Form::c(Probe::Raw, Body::Article),
    ];
    if tools.bpftrace.is_some() {
        forms.push(Form { probe: Probe::Raw, body: Body::Article, by: By::Bpftrace });
    }
    for form in &forms {
        let [_, body, by] = form.cells();
        for (rate, asked) in [(Some(MILLION), "1000 K"), (None, "all")] {
            for (sink, output) in
                [(Sink::Null, "/dev/null"), (Sink::File, "file"), (Sink::SlowPipe, "slow pipe")]
            {
                let cells = [body.clone(), by.clone(), asked.into(), output.into()].into_iter();
                match run(form, tools, rate, sink) {
                    Err(why) => table.row(cells.chain([why])),
                    Ok(outcome) => table.row(cells.chain(outcome.cells())),
                }
            }
        }
    }
    table.print();
    println!(
        "\n`unsaid`: events that are neither lines nor said to be lost; what is said may include other processes' \
         renames.\n`~`: computed from the bytes that the tracer wrote. A slow reader must not slow the renames down."
    );
    Ok(())
}

impl Outcome {
    fn cells(&self) -> [String; 5] {
        let unsaid = self.renames.events as i64 - self.lines as i64 - self.lost as i64;
        [
            format!("{:.0} K", 1e6 / self.renames.ns_each()),
            self.renames.events.to_string(),
            format!("{}{}", if self.computed { "~" } else { "" }, self.lines),
            self.lost.to_string(),
            unsaid.to_string(),
        ]
    }
}

fn run(form: &Form, tools: &Tools, rate: Option<u64>, sink: Sink) -> Result<Outcome, String> {
    let path = tools.scratch.join("lines");
    let output = match sink {
        Sink::Null => Output::Null,
        Sink::File => Output::File(&path),
        Sink::SlowPipe => Output::Pipe,
    };
    let mut tracer = Tracer::start(form, tools, output)?;
    let hurry = Arc::new(AtomicBool::new(false));
    let reader = tracer.stdout().filter(|_| matches!(sink, Sink::SlowPipe)).map(|stdout| {
        let hurry = Arc::clone(&hurry);
        std::thread::spawn(move || count_lines(SlowReader { from: stdout, hurry }, None))
    });

    let before = written_bytes(&tracer);
    let renames = tools.rename(EVENTS, rate);
    std::thread::sleep(DRAIN);
    let bytes = written_bytes(&tracer).and_then(|after| Ok(after - before?));
    hurry.store(true, Ordering::Relaxed);
    let said = tracer.stop();
    let piped = reader.map(|reader| reader.join().unwrap_or(0));
    let (renames, said) = (renames?, said?);

    let lines = match (sink, piped) {
        (Sink::Null, _) => bytes? / line_length(renames.pid),
        (Sink::SlowPipe, lines) => lines.unwrap_or(0),
        (Sink::File, _) => {
            let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let lines = count_lines(file, Some(renames.pid));
            std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            lines
        }
    };
    Ok(Outcome { renames, lines, computed: matches!(sink, Sink::Null), lost: lost_events(&said) })
}

/// The lines that tell of the workload's renames; of process `pid` alone where it is given.
fn count_lines(from: impl Read, pid: Option<u32>) -> u64 {
    let mut reader = BufReader::with_capacity(SLOW_READ, from);
    let mut line = String::new();
    let mut lines = 0;
    let pid = pid.map_or_else(String::new, |pid| format!("pid {pid},"));
    while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        lines += u64::from(line.contains("newcomm rename-") && line.contains(&pid));
        line.clear();
    }
    lines
}

/// Reads with pauses until it shall hurry.
struct SlowReader {
    from: ChildStdout,
    hurry: Arc<AtomicBool>,
}

impl Read for SlowReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !self.hurry.load(Ordering::Relaxed) {
            std::thread::sleep(SLOW_PAUSE);
        }
        self.from.read(buffer)
    }
}

/// The bytes that the tracer has handed to write(2) so far.
fn written_bytes(tracer: &Tracer) -> Result<u64, String> {
    let io = tracer.proc_file("io")?;
    io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok()).ok_or_else(|| "no wchar".into())
}

/// Each of the workload's lines but the first is as long as this one.
fn line_length(pid: u32) -> u64 {
    let oom =
        std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default().trim().parse().unwrap_or(0);
    let name = "rename-0000001";
    let oom: i32 = oom;
    let line = format!(
        "enter rt:task:task_rename {name}, pid {pid}, oldcommn {name}, newcomm {name}, oom {oom:#x}\n"
    );
    line.len() as u64
}

/// How many events a tracer says, on standard error, that it lost: the total where it gives one, else the sum.
fn lost_events(said: &str) -> u64 {
    let number =
        |line: &str| line.split(|c: char| !c.is_ascii_digit()).find_map(|word| word.parse::<u64>().ok());
    let after = |line: &str, word: &str| line.split(word).nth(1).and_then(number);
    let total = said.lines().find_map(|line| after(line, "otal lost event count:"));
    let c_total = || said.lines().find_map(|line| after(line, " lost="));
    let sum = || said.lines().filter(|line| line.to_lowercase().contains("lost")).filter_map(number).sum();
    total.or_else(c_total).unwrap_or_else(sum)
}
