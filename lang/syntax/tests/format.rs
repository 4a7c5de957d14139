//! Formatting keeps the tree and every comment, and formatting again changes nothing.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rtscript_syntax::source::Source;
use rtscript_syntax::{format, parse};

/// All scripts of the repository, wrong ones among them.
fn scripts(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            scripts(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "bt" || extension == "test") {
            found.push(path);
        }
    }
}

/// The text without white space, which is all that formatting may change.
fn ink(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// The formatted text, if the text is a script.
fn formatted(name: &str, text: &str) -> Option<String> {
    let source = Source::new(name, text);
    let tree = parse(&source).ok()?.to_string();
    let once = format(&source).unwrap();
    let again = Source::new(name, once.as_str());
    assert_eq!(parse(&again).unwrap().to_string(), tree, "{name}: another tree\n{once}");
    assert_eq!(format(&again).unwrap(), once, "{name}: not the same when formatted again");
    Some(once)
}

#[test]
fn all_scripts_of_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    scripts(&root, &mut files);
    let mut count = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        // The script of a runtime case is one of its sections.
        let script = match text.split_once("--- script\n") {
            Some((_, rest)) => rest.split_once("\n--- ").map_or(rest, |(script, _)| script),
            None => &text,
        };
        if let Some(formatted) = formatted(&path.display().to_string(), script) {
            assert_eq!(ink(&formatted), ink(script), "{}: something is lost", path.display());
            count += 1;
        }
    }
    assert!(count > 100, "only {count} scripts were found");
}

#[test]
fn an_example() {
    let text = "#!/usr/bin/env rtscript\n\n\n// head\n#define X   1\nstruct a {\n  int  x;   // kept\n};\n\nbegin{printf(\"x\");// why\n\n\n  $x=( uint8 )-1 ;if($x>1){exit( )}else{ @a [ 1,2 ]++ }}\nt:a:b,\n t:c:d /pid==1&&\n cpid>2/ { $y = 1 +\n 2 *  -$x; /* end */ }\n// tail";
    let expected = "#!/usr/bin/env rtscript\n\n// head\n#define X   1\nstruct a {\n  int  x;   // kept\n};\n\nbegin {\n    printf(\"x\"); // why\n\n    $x = (uint8)-1;\n    if ($x > 1) { exit() } else { @a[1, 2]++ }\n}\nt:a:b,\nt:c:d / pid == 1 &&\n    cpid > 2 / {\n    $y = 1 +\n        2 * -$x; /* end */\n}\n// tail\n";
    assert_eq!(formatted("example", text).unwrap(), expected);
}

/// Pieces of scripts; most sequences of them are none.
const PIECES: &[&str] = &[
    "$x",
    "@m",
    "@m[1, $x]",
    "pid",
    "1",
    "\"a // b\"",
    "f(1)",
    "(uint8)",
    "(struct a *)",
    "-",
    "+",
    "*",
    "&",
    "&&",
    "!",
    "~",
    "++",
    "--",
    "==",
    "?",
    ":",
    "(",
    ")",
    "=",
    ";",
    ";\n",
    "{",
    "}",
    "if",
    "else",
    "while",
    "let",
    "return",
    "// c\n",
    "/* c */",
    "/* a\n * b\n c */",
    "\n",
    "\n\n\n",
    "sizeof(struct a)",
    "..",
    "->a",
    ".0",
    ",",
    "const",
    "unroll",
    "for ($i : 0..3)",
    "comptime",
    "#ifdef A\n",
    "\n#endif\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn random_bodies(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..14)) {
        formatted("random", &format!("begin {{ {} }}", pieces.join(" ")));
    }

    #[test]
    fn random_statements(
        statements in prop::collection::vec(
            prop::sample::select(vec![
                "$x = 1;", "@m[1] = -$x", "if ($x) { f(1); }", "{ f(1) }", "// c\n", "/* c */", "\n", "\n\n\n", "  ",
                "while $x > 1 { $x--; break; }", "else { f(2) }", "$y = { $z = 1; $z + 1 };", "f(1,\n2);", ";",
                "$x = a ?\n b : - -c;", "#ifdef A\n", "\n#endif\n", "(const char *)1;",
            ]),
            0..12,
        ),
        head in prop::sample::select(vec![
            "begin", "a:b,c:d", "a:b,\n// x\nc:d", "a:b /pid/", "a:b\n/ *$x /\n", "macro f($x, @m)", "x=a:b", "// c\nend",
            "struct a {\n int x; /* y */\n};\n\nbegin", "import \"a.bt\"\nbegin", "let @m = hash(1); begin",
        ]),
    ) {
        formatted("random", &format!("{head} {{ {} }} end {{}}", statements.join(" ")));
    }
}
