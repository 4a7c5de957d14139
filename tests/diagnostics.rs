//! Stratum *diagnostics*: each `tests/diagnostics/NAME.bt` is a script with something wrong in it, and all that is said
//! about it, as a terminal shows it. `// args:` are the script's parameters, `// options:` those with names. Nothing here needs a kernel or root.
//! `BLESS=1` rewrites what is expected.

mod compiler;

use std::collections::BTreeSet;
use std::fs;

use compiler::file::CaseFile;
use compiler::{files, fixture_kernel, front, path};
use rtscript_lang::check::Options;

#[test]
fn renderings() {
    let kernel = fixture_kernel();
    let mut report = String::new();
    for path in files("tests/diagnostics", "bt") {
        let case = CaseFile::read(&path);
        let options =
            Options { positional: case.words("args"), named: case.named("options"), ..Options::default() };
        let found = match front(&case.name, &case.script, &kernel, &options) {
            Ok(front) => ("warnings".to_owned(), front.warnings()),
            Err(errors) => ("errors".to_owned(), errors),
        };
        if found.1.is_empty() {
            report.push_str(&format!("{}: nothing is said about it\n", case.name));
            continue;
        }
        report.push_str(&case.judge(&path, &[found]).err().unwrap_or_default());
    }
    assert!(report.is_empty(), "\n{report}");
}

/// Codes that no script can bring about on the kernel of the fixtures: what they are for.
const WITHOUT_CASE: &[&str] = &[
    // A bug of the checker.
    "internal",
    // A kernel without something.
    "kernel",
    "unsupported",
    // A program whose probe has such an argument.
    "unreadable-argument",
    "old-kernel",
    // An iterator, of which the kernel of the fixtures has none.
    "reader",
    // A file that is larger than any test should be, and a path that is no text.
    "too-large",
    "bad-path",
];

/// Every code has a script that shows it.
#[test]
fn every_code_has_a_case() {
    let cases: String = files("tests/diagnostics", "bt")
        .iter()
        .map(|case| fs::read_to_string(case).expect("a case"))
        .collect();
    let mut sources = files("lang/src/check/error", "rs");
    sources.push(path("lang/syntax/src/error.rs"));
    sources.push(path("lang/src/expand/error.rs"));
    let defined: BTreeSet<String> =
        sources.iter().flat_map(|file| codes(&fs::read_to_string(file).expect("a source"))).collect();
    assert!(defined.len() > 50, "the codes are written in another way now");
    let shown = |code: &String| cases.contains(&format!("// rt::{code}\n"));
    let missing: Vec<&String> =
        defined.iter().filter(|code| !WITHOUT_CASE.contains(&code.as_str()) && !shown(code)).collect();
    assert!(missing.is_empty(), "no case in tests/diagnostics shows {missing:?}");
}

/// What follows `"rt::` in a source.
fn codes(source: &str) -> Vec<String> {
    source.split("\"rt::").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}
