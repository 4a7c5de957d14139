//! The file of a case: a script, and behind it what is expected, as comments.
//!
//! ```text
//! // What this is about.
//! // emit: types asm
//! begin { print(1 + 2); }
//! //--- types
//! // …
//! ```
//!
//! What is compiled ends before the first `//---`. Keys stand in comments at the top.

use std::fs;
use std::path::Path;

const MARK: &str = "//--- ";

pub struct CaseFile {
    pub name: String,
    pub script: String,
    expected: Vec<(String, String)>,
}

impl CaseFile {
    pub fn read(path: &Path) -> CaseFile {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let end = text.find(&format!("\n{MARK}")).map_or(text.len(), |at| at + 1);
        let (script, rest) = text.split_at(end);
        let mut expected: Vec<(String, String)> = Vec::new();
        for line in rest.lines() {
            match (line.strip_prefix(MARK), expected.last_mut()) {
                (Some(name), _) => expected.push((name.to_owned(), String::new())),
                (None, Some((_, text))) => {
                    text.push_str(line.strip_prefix("// ").or(line.strip_prefix("//")).unwrap_or(line));
                    text.push('\n');
                }
                (None, None) => unreachable!("the first line has the mark"),
            }
        }
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        CaseFile { name, script: script.to_owned(), expected }
    }

    /// The words behind `// KEY:` in the comments at the top.
    pub fn words(&self, key: &str) -> Vec<String> {
        let head = self.script.lines().map_while(|line| line.strip_prefix("//"));
        let values = head.filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'));
        values.flat_map(str::split_whitespace).map(str::to_owned).collect()
    }

    /// `--name=value` and `--name` behind `// key:`.
    pub fn named(&self, key: &str) -> Vec<(String, Option<String>)> {
        let words = self.words(key).into_iter();
        let named = words.map(|word| {
            let word = word.trim_start_matches("--");
            match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.to_owned(), None),
            }
        });
        named.collect()
    }

    /// Compares what was found with what is expected; says what differs. With `BLESS=1` writes it instead.
    pub fn judge(&self, path: &Path, found: &[(String, String)]) -> Result<(), String> {
        if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
            let mut text = self.script.clone();
            for (name, found) in found {
                text.push_str(&format!("{MARK}{name}\n"));
                for line in found.lines() {
                    text.push_str(format!("// {line}").trim_end());
                    text.push('\n');
                }
            }
            fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            return Ok(());
        }
        let names =
            |sections: &[(String, String)]| sections.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if names(&self.expected) != names(found) {
            let (expected, found) = (names(&self.expected).join(", "), names(found).join(", "));
            return Err(format!("{}: expects [{expected}], and there is [{found}]\n", self.name));
        }
        let differing =
            self.expected.iter().zip(found).filter(|((_, expected), (_, found))| expected != found);
        let report: String = differing
            .map(|((name, expected), (_, found))| {
                difference(&format!("{}, {name}", self.name), expected, found)
            })
            .collect();
        if report.is_empty() { Ok(()) } else { Err(report) }
    }
}

/// Where two texts begin to differ.
fn difference(what: &str, expected: &str, found: &str) -> String {
    let same = expected.lines().zip(found.lines()).take_while(|(expected, found)| expected == found).count();
    let part =
        |text: &str| text.lines().skip(same).take(12).map(|line| format!("    {line}\n")).collect::<String>();
    format!("{what}: from line {} on expected\n{}  and found\n{}", same + 1, part(expected), part(found))
}
