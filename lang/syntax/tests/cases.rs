//! Cases: each `cases/NAME.bt` parses to the tree that `cases/NAME.ast` shows, and that text parses to itself. Each
//! `cases/NAME.bad` is rejected with the errors that `cases/NAME.err` shows. `BLESS=1` writes what is found.

use std::fs;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, NarratableReportHandler};
use rtscript_syntax::parse;
use rtscript_syntax::source::Source;

fn cases(extension: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = fs::read_dir(&directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    assert!(!paths.is_empty(), "no cases in {}", directory.display());
    paths
}

fn source(path: &Path) -> Source {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    Source::new(name, fs::read_to_string(path).unwrap())
}

fn expect(path: &Path, found: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(expected == found, "{}: expected\n{expected}\nfound\n{found}", path.display());
}

fn render(source: &Source, errors: &[rtscript_syntax::SyntaxError]) -> String {
    let mut text = String::new();
    for error in errors {
        let code = error.code().map(|code| code.to_string()).unwrap_or_default();
        let (line, column) = source.line_col(error.span.start);
        text.push_str(&format!("{line}:{column}: {error} [{code}]\n"));
        for label in error.labels().into_iter().flatten() {
            let (line, column) = source.line_col(label.offset() as u32);
            let start = label.offset() - source.start as usize;
            let under = &source.text[start..start + label.len()];
            text.push_str(&format!("    {line}:{column} {under:?}: {}\n", label.label().unwrap_or("")));
        }
        if let Some(help) = error.help() {
            text.push_str(&format!("    help: {help}\n"));
        }
    }
    text
}

#[test]
fn trees() {
    for path in cases("bt") {
        let source = source(&path);
        let script = match parse(&source) {
            Ok(script) => script,
            Err(errors) => panic!("{}", render(&source, &errors)),
        };
        let text = script.to_string();
        expect(&path.with_extension("ast"), &text);
        let again = Source::new("printed", text.as_str());
        match parse(&again) {
            Ok(script) => assert_eq!(script.to_string(), text, "{}", path.display()),
            Err(errors) => panic!("{}: {}", path.display(), render(&again, &errors)),
        }
    }
}

#[test]
fn errors() {
    for path in cases("bad") {
        let source = source(&path);
        let errors = parse(&source).expect_err(&source.name);
        expect(&path.with_extension("err"), &render(&source, &errors));
    }
}

#[test]
fn an_error_renders_with_its_source() {
    let source = Source::new("a.bt", "begin { $x = 1 +; }");
    let errors = parse(&source).unwrap_err();
    let mut text = String::new();
    let report = miette::Report::new(errors[0].clone()).with_source_code(source);
    NarratableReportHandler::new().render_report(&mut text, report.as_ref()).unwrap();
    assert!(text.contains("a.bt") && text.contains("expected an expression"), "{text}");
}
