//! `import` and `--fmt`: what concerns files. Nothing here needs root.

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
