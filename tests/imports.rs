//! `import`, `--fmt` and `--aot`: what concerns files. Nothing here needs root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory of its own for a test, removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("rtscript-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What `rtscript` prints on both outputs, and whether it succeeded.
fn run(args: &[&str], script: &Path) -> (bool, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_rtscript")).args(args).arg(script).output().expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn types(script: &Path) -> (bool, String) {
    run(&["--emit", "types"], script)
}

#[test]
fn scripts_headers_and_directories_are_imported_once() {
    let directory = Directory::new("imports");
    directory.file("lib/a.bt", "import \"../main.bt\"; import \"b.bt\"; macro a() { b() + ONE }");
    directory.file("lib/b.bt", "import \"a.bt\"\nimport \"one.h\"\nmacro b() { 41 }");
    directory.file("lib/one.h", "#define ONE 1\n");
    directory.file("more/c.bt", "import \"../lib/a.bt\"; begin { printf(\"c\"); }");
    directory.file("more/README", "this is no script");
    let main =
        directory.file("main.bt", "import \"lib/a.bt\"; import \"more\"; begin { printf(\"%d\", a); }");
    let (done, text) = types(&main);
    assert!(done, "{text}");
    assert_eq!(text.matches("begin").count(), 2, "{text}");
    let (first, second) = (text.find("action0()"), text.find("(42)"));
    assert!(first.is_some() && second.is_some() && first < second, "{text}");
}

#[test]
fn byte_order_marks_say_nothing() {
    let directory = Directory::new("marks");
    directory.file("a.bt", "\u{feff}macro a() { 40 }");
    directory.file("all/b.bt", "\u{feff}#!/usr/bin/env rtscript\nmacro b() { 1 }");
    directory.file("c.h", "\u{feff}#define C 1\n");
    let main = directory.file(
        "main.bt",
        "\u{feff}#include \"c.h\"\nimport \"a.bt\"; import \"all\";\nbegin { printf(\"%d\", a + b + C); exit() }",
    );
    let (done, text) = types(&main);
    assert!(done && text.contains("(42)"), "{text}");
}

#[test]
fn what_is_wrong_with_an_import_is_said() {
    let directory = Directory::new("wrong-imports");
    directory.file("config.bt", "config = { max_strlen = 64 }");
    directory.file("program.bpf.c", "int f(int x) { return y; }");
    directory.file("data.bpf.c", "int x; int f(void) { return x++; }");
    directory.file("many.bpf.c", "int f(struct { int a; } x) { return x.a; }");
    directory.file("program.c", "int x;");
    directory.file("syntax.bt", "macro a( { }");
    directory.file("README", "text");
    directory.file("open/a.bt", "macro a() { 1 }");
    fs::set_permissions(directory.0.join("open"), fs::Permissions::from_mode(0o777)).expect("its mode");
    for (path, expected) in [
        ("config.bt", "has no settings"),
        ("program.c", "cannot be imported"),
        ("syntax.bt", "syntax.bt:1:"),
        ("README", "cannot be imported"),
        ("missing.bt", "cannot read"),
        ("open", "everybody can write"),
        ("open/a.bt", "everybody can write"),
    ] {
        let main = directory.file("main.bt", &format!("import \"{path}\"; begin {{ exit() }}"));
        let (done, text) = types(&main);
        assert!(!done && text.contains(expected), "{path}: {text}");
    }
    for (path, expected) in [
        ("program.bpf.c", "use of undeclared identifier"),
        ("data.bpf.c", "data of its own"),
        ("many.bpf.c", "neither a number nor a pointer"),
    ] {
        let main = directory.file("main.bt", &format!("import \"{path}\"; begin {{ exit() }}"));
        let (done, text) = types(&main);
        let text = text.replace("\n  │ ", " ");
        assert!(
            !done && (text.contains(expected) || text.contains("clang is not installed")),
            "{path}: {text}"
        );
    }
}

#[test]
fn calls_of_functions_in_c_are_checked() {
    let directory = Directory::new("calls-of-c");
    directory.file("a.bpf.c", "int f(int a, char *b) { return a + *b; }");
    for (call, expected) in [("f(1)", "takes 2 arguments"), ("f(\"x\", 1)", "an argument of `f`")] {
        let main =
            directory.file("main.bt", &format!("import \"a.bpf.c\"; begin {{ print({call}); exit() }}"));
        let (done, text) = types(&main);
        let text = text.replace("\n  │ ", " ");
        assert!(
            !done && (text.contains(expected) || text.contains("clang is not installed")),
            "{call}: {text}"
        );
    }
}

#[test]
fn formatting_prints_or_replaces() {
    let directory = Directory::new("fmt");
    let script = directory.file("a.bt", "begin{printf(\"x\");exit()} // end");
    let formatted = "begin {\n    printf(\"x\");\n    exit()\n} // end\n";
    assert_eq!(run(&["--fmt"], &script), (true, formatted.to_owned()));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("its mode");
    let name = script.to_string_lossy().into_owned();
    assert_eq!(run(&["--fmt", "-o", &name], &script), (true, String::new()));
    assert_eq!(fs::read_to_string(&script).expect("it is there"), formatted);
    assert_eq!(fs::metadata(&script).expect("it is there").permissions().mode() & 0o777, 0o755);
    // A script that is wrong stays as it is.
    let wrong = directory.file("wrong.bt", "begin {");
    let name = wrong.to_string_lossy().into_owned();
    assert!(!run(&["--fmt", "-o", &name], &wrong).0);
    assert_eq!(fs::read_to_string(&wrong).expect("it is there"), "begin {");
    assert_eq!(fs::read_dir(&directory.0).expect("the directory").count(), 2);
}

#[test]
fn a_pipe_that_is_written_to_stays_a_pipe() {
    let directory = Directory::new("pipe");
    let script = directory.file("a.bt", "begin{}");
    let pipe = directory.0.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("it starts").success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe)
    });
    assert_eq!(run(&["--fmt", "-o", &pipe.to_string_lossy()], &script), (true, String::new()));
    assert_eq!(reader.join().expect("it ends").expect("it is read"), "begin {}\n");
    assert!(!fs::metadata(&pipe).expect("it is there").is_file());
}

#[test]
fn a_program_of_its_own_carries_all_that_its_script_needs() {
    let directory = Directory::new("aot");
    directory.file("lib/twice.bt", "macro twice(x) { x * 2 }");
    directory.file("include/more.h", "#define MORE 21\n");
    let include = directory.0.join("include").to_string_lossy().into_owned();
    let main = directory.file(
        "main.bt",
        "#include <more.h>\nimport \"lib\"; begin { print((twice(MORE), $1, getopt(\"n\", 3))); system(\"true\") }",
    );
    let tool = directory.0.join("tool");
    let make = ["--unsafe", "-I", &include, "--aot", &tool.to_string_lossy()];
    assert_eq!(run(&make, &main), (true, String::new()));
    assert_eq!(fs::metadata(&tool).expect("it is there").permissions().mode() & 0o777, 0o755);
    fs::remove_file(&main).expect("it is there");
    fs::remove_dir_all(directory.0.join("lib")).expect("it is there");
    fs::remove_dir_all(&include).expect("it is there");
    let of = |args: &[&str]| {
        let output = Command::new(&tool).args(args).output().expect("it starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let types = of(&["--emit", "types", "5", "--", "--n=7"]);
    assert!(types.contains("((42, 5, 7))"), "{types}");
    assert_eq!(of(&["-l"]), "begin\n");
    assert!(of(&["-e", "begin {}"]).contains("has its script"));
    // What is wrong with the script is said before anything is written, by its own lines.
    let wrong = directory.file("wrong.bt", "begin { print($x) }");
    let (done, text) = run(&["--aot", &directory.0.join("other").to_string_lossy()], &wrong);
    assert!(!done && text.contains("wrong.bt:1:15"), "{text}");
    assert!(!directory.0.join("other").exists());
}

#[test]
fn a_program_of_its_own_that_is_cut_short_says_so() {
    let directory = Directory::new("cut");
    let main = directory.file("main.bt", "begin { exit() }");
    let tool = directory.0.join("tool");
    assert!(run(&["--aot", &tool.to_string_lossy()], &main).0);
    let mut program = fs::read(&tool).expect("it is there");
    // The length of the script, in front of the 16 bytes of the mark.
    let length = program.len() - 24;
    program[length..length + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&tool, program).expect("it is written");
    let output = Command::new(&tool).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the script in this program is damaged"));
}

#[test]
fn conditionals_know_the_macros_of_included_files() {
    let directory = Directory::new("conditionals");
    directory.file(
        "my.h",
        "#ifndef MY_H\n#define MY_H\n#include \"sub/deep.h\"\n#if defined(BEFORE) && DEEP > 2\n#define MINE (DEEP + 2)\n#endif\n#endif\n",
    );
    directory.file(
        "sub/deep.h",
        "#pragma once\n#include \"../my.h\"\n#define DEEP 3\n#define GONE\n#undef GONE\n",
    );
    let script = directory.file(
        "main.bt",
        "#define BEFORE\n#include \"my.h\"\n#include \"my.h\"\n#if MINE == 5 && !defined(GONE)\n\
         begin { printf(\"%d\", MINE); }\n#else\nbegin { wrong }\n#endif\n#ifdef MY_H\nend { exit(); }\n#endif\n",
    );
    let (good, text) = types(&script);
    assert!(good && text.contains("end"), "{text}");

    directory.file("sub/deep.h", "#if 1 +\n#endif\n");
    let (good, text) = types(&script);
    assert!(!good && text.contains("sub/deep.h:1") && text.contains("cannot be decided"), "{text}");
}
