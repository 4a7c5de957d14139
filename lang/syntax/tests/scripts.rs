//! The scripts of this repository parse.

use std::path::Path;

use rtscript_syntax::parse;
use rtscript_syntax::source::Source;

#[test]
fn all_scripts_parse() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut count = 0;
    for directory in ["scripts", "stdlib"] {
        for entry in std::fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "bt") {
                let source = Source::new(path.display().to_string(), std::fs::read_to_string(&path).unwrap());
                if let Err(errors) = parse(&source) {
                    panic!("{}: {errors:#?}", path.display());
                }
                count += 1;
            }
        }
    }
    assert!(count > 0, "no scripts found");
}
