//! Stratum *language*: the examples of `docs/*.md` do what the pages say.
//!
//! A fenced block that begins with ```` ```bt ```` is a script. Where a ```` ```text ```` block follows it, the script is run, and
//! what it prints is that text, apart from blank lines at both ends; `…` stands for anything in a line. Where none follows, it is
//! compiled. Words behind `bt` are arguments of `rtscript`, those behind `--` the script's; `fails` in front of them says that
//! the text is what is said about the script.

mod strata;
mod workloads;

use std::fs;
use std::process::ExitCode;

use rtscript_lang::builtins::{BUILTINS, Means};
use strata::command::{end, rtscript, start, words};
use strata::{Outcome, Test, difference, pattern};

fn main() -> ExitCode {
    let cannot_trace = strata::cannot_trace();
    let mut tests = vec![Test::new("every builtin is described", every_builtin_is_described)];
    for page in strata::files("docs", "md") {
        let name = page.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&page).expect("a page");
        for example in examples(&text) {
            let cannot_trace = cannot_trace.clone();
            let test = format!("{name}:{} {}", example.line, example.heading);
            tests.push(Test::new(test, move || example.run(cannot_trace.clone())));
        }
    }
    strata::run("language", tests)
}

struct Example {
    /// Where the block begins, counted from 1.
    line: usize,
    /// The heading that it stands under.
    heading: String,
    fails: bool,
    args: Vec<String>,
    script: String,
    text: Option<String>,
}

/// The examples of a page, in their order.
fn examples(page: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut heading = String::new();
    let mut lines = page.lines().zip(1..);
    // Whether only blank lines have come since the last script.
    let mut follows = false;
    while let Some((line, number)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            if line.starts_with('#') {
                heading = line.trim_start_matches('#').trim().to_owned();
            }
            follows &= line.trim().is_empty();
            continue;
        };
        let body: Vec<&str> =
            lines.by_ref().map(|(line, _)| line).take_while(|line| !line.starts_with("```")).collect();
        let body = body.join("\n");
        let mut info = words(info);
        match info.first().map(String::as_str) {
            Some("bt") => {
                info.remove(0);
                let fails = info.first().is_some_and(|word| word == "fails");
                let args = info.split_off(usize::from(fails));
                let heading = heading.clone();
                found.push(Example { line: number, heading, fails, args, script: body, text: None });
                follows = true;
            }
            Some("text") if follows => {
                if let Some(example) = found.last_mut() {
                    example.text = Some(body);
                }
                follows = false;
            }
            _ => follows = false,
        }
    }
    found
}

impl Example {
    fn run(&self, cannot_trace: Option<String>) -> Outcome {
        if let Some(why) = cannot_trace {
            return Outcome::Skipped(why);
        }
        let split = self.args.iter().position(|word| word == "--").unwrap_or(self.args.len());
        let (options, parameters) = self.args.split_at(split);
        let mut command = rtscript();
        command.args(options);
        if self.text.is_none() {
            command.args(["--emit", "asm"]);
        }
        let parameters = parameters.get(1..).unwrap_or_default();
        command.arg("-e").arg(&self.script).args(parameters);
        let ended = match end(start(command), String::new()) {
            Ok(ended) => ended,
            Err(why) => return Outcome::Failed(why),
        };
        let Some(expected) = &self.text else {
            return match ended.status.as_str() {
                "exit 0" => Outcome::Passed,
                _ => Outcome::Failed(ended.stderr),
            };
        };
        let found = if self.fails { &ended.stderr } else { &ended.stdout };
        let holes = expected.trim().replace('…', "{{any}}");
        if (ended.status == "exit 0") == self.fails {
            return Outcome::Failed(format!("{}\n{}\n{}", ended.status, ended.stdout, ended.stderr));
        }
        if pattern::matches(&holes, found.trim()) {
            return Outcome::Passed;
        }
        Outcome::Failed(difference("printed", expected, found) + &ended.stderr)
    }
}

/// Whoever adds a builtin says what it is.
fn every_builtin_is_described() -> Outcome {
    let page = fs::read_to_string(strata::path("docs/language.md")).expect("the page");
    let is_described = |name: &str| {
        page.match_indices(&format!("`{name}")).any(|(at, found)| {
            // A longer name is another one.
            !page[at + found.len()..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
        })
    };
    let ready = BUILTINS.iter().filter(|row| row.means != Means::Later);
    let missing: Vec<&str> = ready.map(|row| row.name).filter(|name| !is_described(name)).collect();
    if missing.is_empty() {
        return Outcome::Passed;
    }
    Outcome::Failed(format!("docs/language.md does not mention {}", missing.join(", ")))
}
