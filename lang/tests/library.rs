//! Every module of the library parses, and what it defines are the macros that the table of builtins knows.

use rtscript_lang::builtins::{BUILTINS, Means};
use rtscript_lang::syntax::ast::Item;
use rtscript_lang::syntax::parse;
use rtscript_lang::syntax::source::Source;

#[test]
fn the_library_is_what_the_table_says() {
    let mut defined = Vec::new();
    for (name, text) in rtscript_stdlib::MODULES {
        let script = parse(&Source::new(*name, *text)).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        for item in script.items {
            let Item::Macro(item) = item else { panic!("{name} has an item that is no macro") };
            // The line by which the macro is looked for.
            assert!(text.contains(&format!("\nmacro {}(", item.name.name)), "{}", item.name.name);
            if name == &rtscript_stdlib::HEADERS.0 {
                continue;
            }
            defined.push((item.name.name, item.params.len()));
        }
    }
    for (name, count) in &defined {
        // A macro may be a form of a builtin.
        let in_library = |means| matches!(means, Means::Library | Means::Computed(..));
        let row = BUILTINS.iter().find(|row| row.name == name && in_library(row.means));
        let (least, most) = row.unwrap_or_else(|| panic!("no row for {name}")).arity;
        assert!((least..=most).contains(count), "{name} of {count}");
    }
    for row in BUILTINS.iter().filter(|row| row.means == Means::Library) {
        for count in [row.arity.0, row.arity.1] {
            assert!(defined.iter().any(|found| found.0 == row.name && found.1 == count), "{}", row.name);
        }
    }
}
