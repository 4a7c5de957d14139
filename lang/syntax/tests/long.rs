//! Texts whose tokens are long: none is too long for the stack.

use rtscript_syntax::source::Source;
use rtscript_syntax::{parse, parse_header};

const LONG: usize = 1 << 20;

#[test]
fn a_comment_or_a_name_may_be_long() {
    let long = "x".repeat(LONG);
    let lines = "a line\n".repeat(LONG / 7);
    for text in [
        format!("struct s {{ /* {lines} */ int a; }};\nbegin {{ /* {lines} */ }}"),
        format!("begin {{ // {long}\n}}"),
        format!("begin {{ ${long} = 1 }}"),
        format!("begin {{ print(\"{long}\") }}"),
    ] {
        assert!(parse(&Source::new("long", text)).is_ok());
    }
    let header =
        parse_header(&Source::new("long", format!("int f(void); /* {lines} */ struct s {{ int a; }};")));
    assert_eq!((header.definitions.len(), header.errors.len()), (1, 0));
}
