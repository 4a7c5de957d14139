//! How long the compiler takes from text to object, in this process: nothing is loaded, and the kernel's types are read anew
//! each time.

use std::fmt::Write as _;
use std::time::Instant;

use rtscript_codegen::target::Target;
use rtscript_lang::check::Options;
use rtscript_lang::kernel::Kernel;
use rtscript_runtime::kernel::{RunningKernel, Sources};

use crate::Plan;
use crate::compiler::{files, front};
use crate::sample::{Sample, verdict};
use crate::table::Table;

const PROBES: usize = 1000;

pub fn measure(plan: &Plan) {
    let rounds = plan.rounds;
    let mut table = Table::new(
        format!("Text to object, {rounds} rounds (medians)"),
        &["script", "ms", "25..75 %", "goal, ms", "is"],
    );
    let many = vec![("many".to_owned(), many_probes())];
    let mut ready: Vec<(String, String)> = Vec::new();
    for path in files("scripts", "bt") {
        match std::fs::read_to_string(&path) {
            Ok(text) => ready.push((path.display().to_string(), text)),
            Err(error) => println!("{}: {error}", path.display()),
        }
    }
    let (_, lacking) = compile(&ready);
    let tools = format!("{} of the {} scripts in scripts/", ready.len() - lacking, ready.len());
    for (name, scripts, goal) in
        [(format!("{PROBES} probes with bodies of their own"), &many, 1000.0), (tools, &ready, 100.0)]
    {
        let sample: Sample = (0..rounds).map(|_| compile(scripts).0).collect();
        table.row([
            name,
            format!("{:.1}", sample.median()),
            sample.spread(1),
            format!("{goal}"),
            verdict(&sample, &goal.into()).into(),
        ]);
    }
    table.print();
}

/// The milliseconds that all scripts take together, and how many need what this kernel does not have.
fn compile(scripts: &[(String, String)]) -> (f64, usize) {
    let start = Instant::now();
    let kernel = RunningKernel::new(Sources::default());
    let mut lacking = 0;
    for (name, text) in scripts {
        let made = front(name, text, &kernel, &Options::default())
            .and_then(|front| front.object(Target::running(kernel.features(), false)));
        lacking += usize::from(made.is_err());
    }
    (start.elapsed().as_secs_f64() * 1e3, lacking)
}

fn many_probes() -> String {
    let mut text = String::new();
    for i in 0..PROBES {
        let (by, last) = (i % 40, i % 30);
        writeln!(
            text,
            "rawtracepoint:sched_switch /pid > {i}/ {{
                $a = args.prev.pid + {i}; $s = comm;
                if ($a > {} && $s != \"name{i}\") {{ @by{by}[$a, $s] = count(); }}
                @last{last}[tid] = nsecs;
                printf(\"{i} %d %s %d\\n\", $a, args.next.comm, {i} * $a / 3);
            }}",
            i * 7
        )
        .expect("text takes all");
    }
    text
}
