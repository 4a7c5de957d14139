//! How long a tracer needs to start and to end, and how much memory it takes.

use crate::Plan;
use crate::form::{Body, By, Form, Output, Probe};
use crate::sample::{Sample, verdict};
use crate::table::Table;
use crate::tools::Tools;
use crate::tracer::Tracer;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The kernel makes the first attaching after any detaching wait for a grace period, 12 ms on 6.18: let that pass.
const GRACE: Duration = Duration::from_millis(60);
/// Pairs of runs for one round of the plan; they are short.
const PAIRS: usize = 10;

pub fn measure(plan: &Plan, tools: &Tools) -> Result<(), String> {
    print_whole_process(plan.rounds * PAIRS, tools)?;
    print_attaching(plan.rounds, plan.events, tools)
}

/// `begin { exit(); }` from start to end, each run right after one of /bin/true.
fn print_whole_process(pairs: usize, tools: &Tools) -> Result<(), String> {
    let mut table = Table::new(
        format!("A whole process, `-e 'begin {{ exit(); }}'`, {pairs} pairs (medians)"),
        &["by", "ms", "25..75 %", "/bin/true, ms", "ratio", "ms more", "goal", "is"],
    );
    let tracers = [
        ("rtscript", Some(&tools.rtscript), "begin { exit(); }", pairs),
        // Its old versions know this spelling only.
        ("bpftrace", tools.bpftrace.as_ref(), "BEGIN { exit(); }", pairs.min(10)),
    ];
    for (name, path, script, pairs) in tracers {
        let Some(path) = path else {
            table.row([name.to_string(), "not installed".into()]);
            continue;
        };
        match time_pairs(path, script, pairs) {
            Err(why) => table.row([name.to_string(), why]),
            Ok(times) => {
                let sample = |value: fn(&(f64, f64)) -> f64| times.iter().map(value).collect::<Sample>();
                let mine = sample(|(_, mine)| *mine);
                let beyond = sample(|(base, mine)| mine - 3.0 * base);
                let is_ours = name == "rtscript";
                table.row([
                    name.to_string(),
                    format!("{:.2}", mine.median()),
                    mine.spread(2),
                    format!("{:.2}", sample(|(base, _)| *base).median()),
                    format!("{:.2}", sample(|(base, mine)| mine / base).median()),
                    format!("{:.2}", sample(|(base, mine)| mine - base).median()),
                    if is_ours { "3 × true + 3 ms".into() } else { String::new() },
                    if is_ours { verdict(&beyond, &3.0.into()).into() } else { String::new() },
                ]);
            }
        }
    }
    table.print();
    Ok(())
}

/// Milliseconds of /bin/true and of the tracer, pair by pair.
fn time_pairs(tracer: &Path, script: &str, pairs: usize) -> Result<Vec<(f64, f64)>, String> {
    let run = |command: &mut Command| -> Result<f64, String> {
        let start = Instant::now();
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let elapsed = start.elapsed().as_secs_f64() * 1e3;
        match status {
            Ok(status) if status.success() => Ok(elapsed),
            Ok(status) => Err(format!("ended with {status}")),
            Err(error) => Err(format!("does not run: {error}")),
        }
    };
    (0..pairs)
        .map(|_| Ok((run(&mut Command::new("/bin/true"))?, run(Command::new(tracer).args(["-e", script]))?)))
        .collect()
}

/// The article's script: time until it is attached, and memory after some events.
fn print_attaching(rounds: usize, events: u64, tools: &Tools) -> Result<(), String> {
    let mut forms = vec![
        Form { probe: Probe::Raw, body: Body::Article, by: By::Rtscript },
        Form { probe: Probe::Tracepoint, body: Body::Article, by: By::Rtscript },
        Form::c(Probe::Raw, Body::Article),
        Form::c(Probe::Raw, Body::Direct),
    ];
    if tools.bpftrace.is_some() {
        forms.extend([Probe::Raw, Probe::Tracepoint].map(|probe| Form {
            probe,
            body: Body::Article,
            by: By::Bpftrace,
        }));
    }
    let mut times: Vec<Result<Sample, String>> = forms.iter().map(|_| Ok(Sample::default())).collect();
    for _ in 0..rounds {
        for (form, times) in forms.iter().zip(&mut times) {
            let Ok(sample) = times else { continue };
            match time_attaching(form, tools) {
                Ok(ms) => sample.push(ms),
                Err(why) => *times = Err(why),
            }
        }
    }

    let mut table = Table::new(
        format!("Attached, from exec ({rounds} rounds, medians), and peak memory after {events} events"),
        &["probe", "body", "by", "ms", "25..75 %", "peak MiB", "ring MiB", "rest MiB", "goal", "is"],
    );
    for (form, times) in forms.iter().zip(times) {
        let cells = form.cells().into_iter();
        let measured = times.and_then(|times| Ok((times, measure_memory(form, events, tools)?)));
        let (attached, memory) = match measured {
            Ok(measured) => measured,
            Err(why) => {
                table.row(cells.chain([why]));
                continue;
            }
        };
        let is_goal = form.by == By::Rtscript && form.probe == Probe::Raw;
        let rest = memory.peak - memory.ring;
        let is_small = if rest <= 12.0 { "met" } else { "MISSED" };
        table.row(cells.chain([
            format!("{:.2}", attached.median()),
            attached.spread(2),
            format!("{:.1}", memory.peak),
            format!("{:.1}", memory.ring),
            format!("{rest:.1}"),
            if is_goal { "5 ms; 12 MiB".into() } else { String::new() },
            if is_goal { format!("{}; {is_small}", verdict(&attached, &5.0.into())) } else { String::new() },
        ]));
    }
    table.print();
    println!(
        "\n`ring`: the mapped event buffers, whose pages count as resident, and twice. `rest`: the peak without them, \
         too small\nwhere the peak came before the mapping; so rings are made small here, by BPFTRACE_PERF_RB_PAGES."
    );
    Ok(())
}

/// MiB.
struct Memory {
    peak: f64,
    ring: f64,
}

/// Milliseconds from exec until it is attached.
fn time_attaching(form: &Form, tools: &Tools) -> Result<f64, String> {
    std::thread::sleep(GRACE);
    let tracer = Tracer::start_and_discard(form.command(tools, Output::Pipe)?)?;
    let attached_after = tracer.attached_after;
    tracer.stop()?;
    Ok(attached_after.as_secs_f64() * 1e3)
}

/// Memory after `events` events, with a small ring where the tracer lets one say so: then the peak is nearly that of the rest.
fn measure_memory(form: &Form, events: u64, tools: &Tools) -> Result<Memory, String> {
    let mut command = form.command(tools, Output::Pipe)?;
    command.env("BPFTRACE_PERF_RB_PAGES", "16");
    let tracer = Tracer::start_and_discard(command)?;
    let memory = tools.rename(events, None).and_then(|_| {
        std::thread::sleep(GRACE);
        memory_of(&tracer)
    });
    tracer.stop()?;
    memory
}

fn memory_of(tracer: &Tracer) -> Result<Memory, String> {
    let kib = |line: &str, field: &str| -> Option<f64> {
        line.strip_prefix(field)?.split_whitespace().next()?.parse().ok()
    };
    let status = tracer.proc_file("status")?;
    let peak = status.lines().find_map(|line| kib(line, "VmHWM:")).ok_or("no VmHWM")?;
    let (mut ring, mut in_ring) = (0.0, false);
    for line in tracer.proc_file("smaps")?.lines() {
        // The head of a mapping starts with its addresses; its fields start with a capital.
        if line.starts_with(|c: char| c.is_ascii_digit() || ('a'..='f').contains(&c)) {
            in_ring = line.contains("anon_inode:bpf-map") || line.contains("anon_inode:[perf_event]");
        } else if in_ring {
            ring += kib(line, "Rss:").unwrap_or(0.0);
        }
    }
    Ok(Memory { peak: peak / 1024.0, ring: ring / 1024.0 })
}
