//! Stratum *cases*: each `tests/cases/NAME.bt` is a script, and what the compiler makes of it on the kernel of
//! `tests/fixtures`. `// emit:` names the stages that are compared: `ast`, `types`, `ir`, `asm`; `// args:` the script's
//! parameters; `// target: portable` compiles as for an object that is saved. Nothing here needs a kernel or root.
//! `BLESS=1` rewrites what is expected.

mod compiler;

use compiler::file::CaseFile;
use compiler::{files, fixture_kernel, front};
use rtscript_codegen::target::Target;
use rtscript_lang::check::Options;
use rtscript_lang::kernel::Kernel;

#[test]
fn stages() {
    let kernel = fixture_kernel();
    let mut report = String::new();
    for path in files("tests/cases", "bt") {
        let case = CaseFile::read(&path);
        let stages = case.words("emit");
        assert!(!stages.is_empty(), "{} names no stage", case.name);
        let options = Options { positional: case.words("args"), allow_unsafe: true, ..Options::default() };
        let target = match case.words("target").first().map(String::as_str) {
            None => Target::running(kernel.features(), false),
            Some("portable") => Target::portable(),
            Some(other) => panic!("{}: there is no target {other}", case.name),
        };
        let front = match front(&case.name, &case.script, &kernel, &options) {
            Ok(front) => front,
            Err(errors) => {
                report.push_str(&errors);
                continue;
            }
        };
        let text = |stage: &String| match stage.as_str() {
            "ast" => front.tree.clone(),
            "types" => front.types(),
            "ir" => front.ir(target),
            "asm" => front.object(target).expect("it is not too large").to_string(),
            other => panic!("{}: there is no stage {other}", case.name),
        };
        let found: Vec<(String, String)> = stages.iter().map(|stage| (stage.clone(), text(stage))).collect();
        report.push_str(&case.judge(&path, &found).err().unwrap_or_default());
    }
    assert!(report.is_empty(), "\n{report}");
}

/// The same input and the same kernel give the same bytes.
#[test]
fn compiling_twice_gives_the_same() {
    for path in files("tests/cases", "bt") {
        let case = CaseFile::read(&path);
        let options = Options { positional: case.words("args"), allow_unsafe: true, ..Options::default() };
        let once = || {
            let kernel = fixture_kernel();
            let front = front(&case.name, &case.script, &kernel, &options).expect("it is right");
            front.object(Target::portable()).expect("it is not too large").to_string()
        };
        assert_eq!(once(), once(), "{}", case.name);
    }
}
