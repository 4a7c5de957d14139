//! Whatever the text: no panic, no endless loop, errors inside the text; and what does parse prints as itself.

use proptest::prelude::*;
use rtscript_syntax::source::Source;
use rtscript_syntax::{SyntaxError, parse};

/// Words that mean something to the driver or to the grammar.
const WORDS: &[&str] = &[
    "begin",
    "kprobe:f",
    "uprobe:/bin/x:f",
    "BEGIN",
    "config",
    "=",
    "import",
    "let",
    "macro",
    "fn",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "/",
    "/ {",
    ",",
    ";",
    ":",
    "?",
    "?:",
    ".",
    "..",
    "->",
    "+",
    "-",
    "*",
    "&",
    "&&",
    "||",
    "==",
    "!",
    "~",
    "++",
    "--",
    "+=",
    "<<",
    "<<=",
    "if",
    "else",
    "for",
    "while",
    "unroll",
    "return",
    "break",
    "comptime",
    "sizeof",
    "offsetof",
    "typeof",
    "typeinfo",
    "struct",
    "union",
    "enum",
    "typedef",
    "true",
    "x",
    "pid_t",
    "uint64",
    "unsigned",
    "const",
    "_",
    "$x",
    "$1",
    "$0",
    "$#",
    "@",
    "@m",
    "1",
    "0x1f",
    "1e3",
    "10ms",
    "089",
    "\"s\"",
    "\"\\q\"",
    "\"open",
    "'c'",
    "//",
    "/*",
    "*/",
    "\n",
    "#if 1\n",
    "#ifdef X\n",
    "#else\n",
    "#endif\n",
    "#define X 1\n",
    "#define F(a) a\n",
    "#include <x>\n",
    "#",
    "§",
    "é",
    "\\\n",
    "__attribute__((packed))",
    "__attribute__((",
    "int",
];

fn check(text: &str) -> Result<(), TestCaseError> {
    let source = Source::new("random", text);
    match parse(&source) {
        Ok(script) => {
            let printed = script.to_string();
            let again = parse(&Source::new("printed", printed.as_str()));
            prop_assert_eq!(again.map(|script| script.to_string()), Ok(printed));
        }
        Err(errors) => {
            prop_assert!(!errors.is_empty());
            for SyntaxError { span, kind } in errors {
                prop_assert!(span.start <= span.end && source.contains(span), "{:?} at {:?}", kind, span);
                // A span begins and ends between characters.
                prop_assert!(text.get(span.start as usize..span.end as usize).is_some());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_ascii(text in "[ -~\n]{0,200}") {
        check(&text)?;
    }

    #[test]
    fn token_soup(words in prop::collection::vec(prop::sample::select(WORDS), 0..60), glue in "[ \n]?") {
        check(&words.join(&glue))?;
    }

    #[test]
    fn soup_in_a_body(words in prop::collection::vec(prop::sample::select(WORDS), 0..12)) {
        check(&format!("begin {{ {} }}", words.join(" ")))?;
        check(&format!("begin {{ $x = {}; }}", words.join(" ")))?;
        check(&format!("struct s {{ {} }};", words.join(" ")))?;
    }

    /// A script with a piece cut out, as while it is being typed.
    #[test]
    fn cut_script(start in 0usize..2000, length in 0usize..40) {
        let text = include_str!("cases/expressions.bt");
        let start = start % text.len();
        let end = (start + length).min(text.len());
        if let (Some(head), Some(tail)) = (text.get(..start), text.get(end..)) {
            check(&format!("{head}{tail}"))?;
        }
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = 10_000;
    for (open, close) in [
        ("(", ")"),
        ("{", "}"),
        ("[", "]"),
        ("@[", "]"),
        ("f(", ")"),
        ("!", ""),
        ("-", ""),
        ("1 + ", ""),
        ("a ? ", " : b"),
        ("a ?: ", ""),
        ("(u8)", ""),
        ("if a { ", "}"),
        ("if a { } else ", ""),
        ("{ if a { } else if b { } else { ", "} }"),
        ("sizeof(", ")"),
        ("sizeof(typeof(", "))"),
        ("comptime (", ")"),
        ("(x = ", ")"),
        ("f({ return ", " })"),
        ("a.", ""),
    ] {
        let middle = format!("{}1{}", open.repeat(deep), close.repeat(deep));
        for text in [
            format!("begin {{ $x = {middle}; }}"),
            format!("begin {{ {middle} }}"),
            format!("begin /{middle}/ {{ }}"),
            format!("#define X {middle}\n"),
            format!("#if {middle}\n#endif\n"),
            format!("struct s {{ int x[{middle}]; }};"),
            format!("begin {{ $x = {}", open.repeat(deep)),
        ] {
            match parse(&Source::new("deep", text)) {
                Ok(script) => drop(script.to_string()),
                Err(errors) => assert!(errors.len() < 150, "{open}: {} errors", errors.len()),
            }
        }
    }
    for (open, middle, close) in [
        ("a", "", ".b"),
        ("a", "", "[1]"),
        ("a", "", "->b"),
        ("a", "", "++"),
        ("(u8", "", "*"),
        ("(u8", "", "[1]"),
    ] {
        let text = format!("begin {{ $x = {open}{middle}{}; }}", close.repeat(deep));
        assert!(parse(&Source::new("deep", text)).is_err());
    }
    for (open, close) in [("struct { ", "} a;"), ("struct s { int (*", ")(int); }"), ("int (", ");")] {
        let text = format!("struct s {{ {} int x; {} }};", open.repeat(deep), close.repeat(deep));
        assert!(parse(&Source::new("deep", text)).is_err());
    }
    let text = format!("struct s {{ int {}x; }};", "*".repeat(deep));
    assert!(parse(&Source::new("deep", text)).is_err());
    let text = format!("struct s {{ int x{}; }};", "[1]".repeat(deep));
    assert!(parse(&Source::new("deep", text)).is_err());
}

#[test]
fn what_is_too_deep_says_so() {
    let text = format!("begin {{ $x = {}1{}; }}", "(".repeat(300), ")".repeat(300));
    let errors = parse(&Source::new("deep", text)).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].to_string(), "this is nested too deeply");
    // Ordinary depth is fine.
    let text = format!("begin {{ $x = {}1{}; }}", "(".repeat(200), ")".repeat(200));
    assert!(parse(&Source::new("deep", text)).is_ok());
}
