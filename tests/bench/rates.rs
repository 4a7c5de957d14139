//! Events a second with each form attached, and the kernel's time for an event.

use crate::Plan;
use crate::form::{self, Body, By, Form, Output, Probe};
use crate::sample::{Sample, verdict};
use crate::table::Table;
use crate::tools::Tools;
use crate::tracer::Tracer;
use std::time::Duration;

/// Between attaching and measuring, and for a tracer to empty its buffers.
const SETTLE: Duration = Duration::from_millis(30);

/// One form's results, one entry a round; the entries of a round are `None` when the form did not run in it.
struct Results {
    form: Form,
    rounds: Vec<Option<Measured>>,
    /// Why it does not run.
    refused: Option<String>,
}

/// One measurement, in nanoseconds an event.
#[derive(Clone, Copy)]
struct Measured {
    /// Nothing attached, right before.
    base: f64,
    /// Attached.
    wall: f64,
    /// In the program, by the kernel's statistics, which count about 60 ns of their own.
    program: f64,
}

/// Measures all forms in interleaved rounds and prints both tables.
pub fn measure(plan: &Plan, tools: &Tools) -> Result<(), String> {
    let forms = form::all(tools);
    let mut all: Vec<Results> = forms
        .into_iter()
        .map(|form| Results { form, rounds: vec![None; plan.rounds], refused: None })
        .collect();
    let count = all.len();
    for round in 0..plan.rounds {
        for place in 0..count {
            let results = &mut all[(round + place) % count];
            if results.refused.is_some() {
                continue;
            }
            let base = tools.rename(plan.events, None)?.ns_each();
            match measure_once(&results.form, plan, tools, base) {
                Ok(measured) => results.rounds[round] = Some(measured),
                Err(why) => results.refused = Some(why),
            }
        }
        eprint!("\rround {} of {}", round + 1, plan.rounds);
    }
    eprintln!();
    print_rates(&all, plan);
    print_program_times(&all);
    Ok(())
}

fn measure_once(form: &Form, plan: &Plan, tools: &Tools, base: f64) -> Result<Measured, String> {
    let tracer = Tracer::start(form, tools, Output::Null)?;
    let measured = measure_attached(&tracer, plan, tools, base);
    tracer.stop()?;
    measured
}

fn measure_attached(tracer: &Tracer, plan: &Plan, tools: &Tools, base: f64) -> Result<Measured, String> {
    std::thread::sleep(SETTLE);
    let wall = tools.rename(plan.events, None)?.ns_each();
    std::thread::sleep(SETTLE);

    // The statistics are the whole kernel's: they are on while this descriptor is open.
    let statistics = aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|error| error.to_string())?;
    let before = tracer.calls()?;
    tools.rename(plan.events, None)?;
    let after = tracer.calls()?;
    drop(statistics);

    let calls = after.count.saturating_sub(before.count);
    if calls < plan.events {
        return Err(format!("its program was called {calls} times for {} events", plan.events));
    }
    Ok(Measured { base, wall, program: (after.time - before.time).as_nanos() as f64 / calls as f64 })
}

impl Results {
    fn sample(&self, value: impl Fn(&Measured) -> f64) -> Sample {
        self.rounds.iter().flatten().map(value).collect()
    }

    /// `value` of this form and another one in the rounds in which both ran.
    fn paired(&self, other: &Results, value: impl Fn(&Measured, &Measured) -> f64) -> Sample {
        let pairs = self.rounds.iter().zip(&other.rounds);
        pairs.filter_map(|(mine, others)| Some(value(mine.as_ref()?, others.as_ref()?))).collect()
    }
}

fn find(all: &[Results], form: Form) -> Option<&Results> {
    all.iter().find(|results| results.form == form && results.refused.is_none())
}

fn print_rates(all: &[Results], plan: &Plan) {
    let title = format!(
        "Events a second: a thread renames itself, {} rounds of {} (medians; ratios and differences within a round)",
        plan.rounds, plan.events
    );
    let mut table = Table::new(
        title,
        &["probe", "body", "by", "events/s", "of base", "ns added", "25..75 %", "time by C"],
    );
    let base: Sample =
        all.iter().flat_map(|results| results.rounds.iter().flatten()).map(|m| m.base).collect();
    table.row(
        ["nothing attached", "", ""]
            .map(String::from)
            .into_iter()
            .chain([format!("{:.0} K", 1e6 / base.median()), "1.000".into(), "0".into()])
            .chain([String::new(), String::new()]),
    );
    for results in all {
        let cells = results.form.cells().into_iter();
        if let Some(why) = &results.refused {
            table.row(cells.chain([why.clone()]));
            continue;
        }
        let added = results.sample(|m| m.wall - m.base);
        let against = find(all, Form { by: By::C, ..results.form }).filter(|c| c.form != results.form);
        let against = against
            .map(|c| results.paired(c, |mine, c| (mine.wall / mine.base) / (c.wall / c.base)).median());
        table.row(cells.chain([
            format!("{:.0} K", 1e6 / results.sample(|m| m.wall).median()),
            format!("{:.3}", results.sample(|m| m.base / m.wall).median()),
            format!("{:.0}", added.median()),
            added.spread(0),
            against.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        ]));
    }
    table.print();
    println!("\n`time by C`: its time for a rename, over that of the C form of the same probe and body.");
}

fn print_program_times(all: &[Results]) {
    let mut table = Table::new(
        "Kernel time of the program for an event, net of an empty program of the same kind (ns, medians)",
        &["probe", "body", "by", "as counted", "net", "25..75 %", "goal", "is"],
    );
    for results in all.iter().filter(|results| results.form.body != Body::Empty) {
        let cells = results.form.cells().into_iter();
        if let Some(why) = &results.refused {
            table.row(cells.chain([why.clone()]));
            continue;
        }
        let Some(empty) = find(all, Form::c(results.form.probe, Body::Empty)) else {
            table.row(cells.chain(["no empty C program to compare with".into()]));
            continue;
        };
        let net = results.paired(empty, |mine, empty| mine.program - empty.program);
        let [goal, is] = goal(all, results, empty);
        table.row(cells.chain([
            format!("{:.0}", results.sample(|m| m.program).median()),
            format!("{:.0}", net.median()),
            net.spread(0),
            goal,
            is,
        ]));
    }
    table.print();
}

/// What rtscript should reach, and whether it does.
fn goal(all: &[Results], results: &Results, empty: &Results) -> [String; 2] {
    let net =
        |results: &Results, share: f64| results.paired(empty, |m, empty| share * (m.program - empty.program));
    let mine = net(results, 1.0);
    let against_c = |body, share, text: &str| match find(all, Form::c(Probe::Raw, body)) {
        None => [text.to_string(), "no C to compare with".into()],
        Some(c) => {
            let limit = net(c, share);
            [text.to_string(), format!("{} ({:.0})", verdict(&mine, &limit), limit.median())]
        }
    };
    if results.form.by != By::Rtscript || results.form.probe != Probe::Raw {
        return [String::new(), String::new()];
    }
    match results.form.body {
        Body::Article => against_c(Body::Direct, 1.2, "C direct + 20 %"),
        Body::CountByPid => against_c(Body::CountByPid, 1.0, "C"),
        Body::Count => ["5".into(), verdict(&mine, &5.0.into()).into()],
        Body::Empty | Body::Core | Body::Direct => [String::new(), String::new()],
    }
}
