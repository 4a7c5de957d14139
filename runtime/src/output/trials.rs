//! What `--test` and `--bench` print.

use super::{json, number};
use crate::session::trials::Trial;

const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[31m";
const PLAIN: &str = "\u{1b}[0m";

/// Columns of the table of benchmarks.
const NAME: usize = 41;
const TIME: usize = 15;
const RUNS: usize = 10;

pub fn text(trial: Trial<'_>, color: bool, out: &mut Vec<u8>) {
    let tag = |color_of: &str, tag: &str| {
        if color { format!("{color_of}{tag}{PLAIN}") } else { tag.to_owned() }
    };
    let tests = |count: usize| if count == 1 { "1 test".to_owned() } else { format!("{count} tests") };
    let lines = match trial {
        Trial::TestsBegin { count } => format!("{} Running {}.\n", tag(GREEN, "[==========]"), tests(count)),
        Trial::TestBegins { name } => format!("{} {name}\n", tag(GREEN, "[ RUN      ]")),
        Trial::TestEnds { name, passed, took } => {
            let verdict = if passed { tag(GREEN, "[       OK ]") } else { tag(RED, "[  FAILED  ]") };
            format!("{verdict} {name} ({} ms)\n", took.as_millis())
        }
        Trial::TestsEnd { count, failed } => {
            let mut lines = format!("{} {}.\n", tag(GREEN, "[  PASSED  ]"), tests(count - failed.len()));
            if !failed.is_empty() {
                let mark = tag(RED, "[  FAILED  ]");
                lines += &format!("{mark} {}, listed below:\n", tests(failed.len()));
                lines.extend(failed.iter().map(|name| format!("{mark} {name}\n")));
            }
            lines
        }
        Trial::BenchesBegin => {
            let rule = "-".repeat(NAME + TIME + RUNS);
            format!("{rule}\n{:NAME$}{:TIME$}{}\n{rule}\n", "Benchmark", "Time(ns)", "Iterations")
        }
        Trial::Bench { name, nanos, runs } => format!("{name:NAME$}{nanos:<TIME$}{runs}\n"),
    };
    out.extend_from_slice(lines.as_bytes());
}

/// Only results; one line each.
pub fn json(trial: Trial<'_>, out: &mut Vec<u8>) {
    match trial {
        Trial::TestEnds { name, passed, took } => {
            out.extend_from_slice(b"{\"type\": \"test_result\", \"data\": {\"name\": ");
            json::quoted(name.as_bytes(), out);
            out.extend_from_slice(format!(", \"passed\": {passed}, \"time_ns\": ").as_bytes());
            number::unsigned(took.as_nanos() as u64, out);
            out.extend_from_slice(b"}}\n");
        }
        Trial::Bench { name, nanos, runs } => {
            out.extend_from_slice(b"{\"type\": \"benchmark_result\", \"data\": {\"name\": ");
            json::quoted(name.as_bytes(), out);
            out.extend_from_slice(b", \"time_ns\": ");
            number::unsigned(nanos, out);
            out.extend_from_slice(b", \"iterations\": ");
            number::unsigned(runs, out);
            out.extend_from_slice(b"}}\n");
        }
        Trial::TestsBegin { .. }
        | Trial::TestBegins { .. }
        | Trial::TestsEnd { .. }
        | Trial::BenchesBegin => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn texts(trials: &[Trial<'_>], color: bool) -> String {
        let mut out = Vec::new();
        trials.iter().for_each(|trial| text(*trial, color, &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tests_are_told_one_by_one_and_failures_again_at_the_end() {
        let took = Duration::from_micros(1500);
        let trials = [
            Trial::TestsBegin { count: 2 },
            Trial::TestBegins { name: "a" },
            Trial::TestEnds { name: "a", passed: true, took },
            Trial::TestBegins { name: "b" },
            Trial::TestEnds { name: "b", passed: false, took },
            Trial::TestsEnd { count: 2, failed: &["b"] },
        ];
        let expected = "[==========] Running 2 tests.\n[ RUN      ] a\n[       OK ] a (1 ms)\n[ RUN      ] b\n\
                        [  FAILED  ] b (1 ms)\n[  PASSED  ] 1 test.\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] b\n";
        assert_eq!(texts(&trials, false), expected);
        assert!(texts(&trials, true).contains("\u{1b}[31m[  FAILED  ]\u{1b}[0m b"));
    }

    #[test]
    fn benchmarks_are_a_table() {
        let trials = [Trial::BenchesBegin, Trial::Bench { name: "loop", nanos: 12, runs: 5000 }];
        let table = texts(&trials, false);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "-".repeat(66));
        assert_eq!(lines[1], format!("{:41}{:15}Iterations", "Benchmark", "Time(ns)"));
        assert_eq!(lines[3], format!("{:41}{:15}5000", "loop", "12"));
    }

    #[test]
    fn results_are_lines_of_json() {
        let mut out = Vec::new();
        json(Trial::TestsBegin { count: 1 }, &mut out);
        json(Trial::TestEnds { name: "a", passed: false, took: Duration::from_nanos(7) }, &mut out);
        json(Trial::Bench { name: "b", nanos: 3, runs: 4 }, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"type\": \"test_result\", \"data\": {\"name\": \"a\", \"passed\": false, \"time_ns\": 7}}\n\
             {\"type\": \"benchmark_result\", \"data\": {\"name\": \"b\", \"time_ns\": 3, \"iterations\": 4}}\n"
        );
    }
}
