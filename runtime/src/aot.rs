//! `--aot`: a program of its own. It is this program's own file with a script behind it, and everything that the script imports and
//! includes; what is in C is compiled already. It needs nothing else where it is started, and it is compiled there, in the
//! milliseconds that this takes, for the kernel that is found: so it fits every kernel, and has the best form of code for each.
//!
//! ```text
//! ┌──────────────┬───────────────────────┬───────────────────────────┬────────┐
//! │ the ELF file │ the script, as JSON   │ length of the JSON, u64 LE │ MARK   │
//! └──────────────┴───────────────────────┴───────────────────────────┴────────┘
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rtscript_codegen::lower::lower;
use serde_json::{Value, json};

use crate::cli::{CommandLine, Script};
use crate::files::{Entry, Files};
use crate::include::include_dirs;
use crate::kernel::RunningKernel;
use crate::report::Failure;
use crate::trace::{checked, compiled, parsed, replace, running_target};

const MARK: &[u8; 16] = b"\nrtscript-script";
/// Bytes behind the JSON.
const TAIL: u64 = 8 + MARK.len() as u64;
/// The program's own file.
const OWN: &str = "/proc/self/exe";
/// Who may read and start the new program.
const MODE: u32 = 0o755;

/// A script with all that belongs to it.
#[derive(Debug)]
pub struct Carried {
    /// What it was called where the program was made.
    pub script: PathBuf,
    pub allow_unsafe: bool,
    pub include_dirs: Vec<PathBuf>,
    pub includes: Vec<PathBuf>,
    pub files: Files,
}

/// Makes the program, after the script has been compiled for this kernel, so that whatever is wrong with it shows here.
pub fn build(
    script: &Script,
    path: &Path,
    kernel: &RunningKernel,
    line: &CommandLine,
) -> Result<u8, Failure> {
    let parsed = parsed(script, kernel, line)?.expand()?;
    let checked = checked(&parsed, kernel, line, None)?;
    compiled(lower(&checked.program, running_target(kernel, line)), parsed.sources)?;
    let files = line.files.known();
    let carried = json!({
        "script": script.name(),
        "unsafe": line.allow_unsafe,
        "include_dirs": texts_of(&include_dirs(line))?,
        "includes": texts_of(&line.includes)?,
        "files": files.iter().map(entry_to_json).collect::<Result<Vec<Value>, Failure>>()?,
    });
    let mut program = fs::read(OWN).map_err(|error| Failure::line(format!("cannot read {OWN}: {error}")))?;
    let json = carried.to_string();
    program.extend_from_slice(json.as_bytes());
    program.extend_from_slice(&(json.len() as u64).to_le_bytes());
    program.extend_from_slice(MARK);
    replace(path, &program, Some(MODE))
        .map_err(|error| Failure::line(format!("cannot write {}: {error}", path.display())))?;
    Ok(0)
}

/// The script that this program carries, if it does.
pub fn carried() -> io::Result<Option<Carried>> {
    // Without /proc there is nothing to be found, and what is no program of its own does not need it.
    let Ok(file) = File::open(OWN) else { return Ok(None) };
    let length = file.metadata()?.len();
    let mut tail = [0; TAIL as usize];
    let Some(tail_at) = length.checked_sub(TAIL) else { return Ok(None) };
    file.read_exact_at(&mut tail, tail_at)?;
    let (size, mark) = tail.split_at(8);
    if mark != MARK {
        return Ok(None);
    }
    let size = u64::from_le_bytes(size.try_into().map_err(|_| damaged())?);
    let at = tail_at.checked_sub(size).ok_or_else(damaged)?;
    let mut json = vec![0; size as usize];
    file.read_exact_at(&mut json, at)?;
    let value: Value = serde_json::from_slice(&json).map_err(|_| damaged())?;
    from_json(&value).map(Some).ok_or_else(damaged)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the script in this program is damaged")
}

fn from_json(value: &Value) -> Option<Carried> {
    let path = |value: &Value| value.as_str().map(PathBuf::from);
    let paths = |value: &Value| value.as_array()?.iter().map(path).collect::<Option<Vec<PathBuf>>>();
    let entry = |value: &Value| {
        let resolved = path(&value["resolved"]);
        let entry = if let Some(entries) = value.get("directory") {
            Entry::Directory(paths(entries)?)
        } else if let Some(text) = value.get("text") {
            Entry::Text { resolved: resolved?, text: text.as_str()?.to_owned() }
        } else {
            let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
            let elf = value["object"].as_array()?.iter().map(byte).collect::<Option<Vec<u8>>>()?;
            Entry::Object { resolved: resolved?, elf }
        };
        Some((path(&value["path"])?, entry))
    };
    let files = value["files"].as_array()?.iter().map(entry).collect::<Option<BTreeMap<PathBuf, Entry>>>()?;
    Some(Carried {
        script: path(&value["script"])?,
        allow_unsafe: value["unsafe"].as_bool()?,
        include_dirs: paths(&value["include_dirs"])?,
        includes: paths(&value["includes"])?,
        files: Files::carried(files),
    })
}

fn entry_to_json((path, entry): (&PathBuf, &Entry)) -> Result<Value, Failure> {
    let path = text_of(path)?;
    Ok(match entry {
        Entry::Directory(entries) => json!({ "path": path, "directory": texts_of(entries)? }),
        Entry::Text { resolved, text } => {
            json!({ "path": path, "resolved": text_of(resolved)?, "text": text })
        }
        Entry::Object { resolved, elf } => {
            json!({ "path": path, "resolved": text_of(resolved)?, "object": elf })
        }
    })
}

fn texts_of(paths: &[PathBuf]) -> Result<Vec<&str>, Failure> {
    paths.iter().map(|path| text_of(path)).collect()
}

/// JSON is text, and so has no place for names that are not.
fn text_of(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| Failure::line(format!("the name {} is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_the_journey() {
        let files = BTreeMap::from([
            ("lib".into(), Entry::Directory(vec!["lib/a.bt".into()])),
            (
                "lib/a.bt".into(),
                Entry::Text { resolved: "/x/lib/a.bt".into(), text: "begin { \"\" }\n".into() },
            ),
            ("b.bpf.c".into(), Entry::Object { resolved: "/x/b.bpf.c".into(), elf: vec![0x7f, 0, 255] }),
        ]);
        let value = json!({
            "script": "lib/a.bt",
            "unsafe": true,
            "include_dirs": ["include"],
            "includes": [],
            "files": files.iter().map(|entry| entry_to_json(entry).ok()).collect::<Vec<_>>(),
        });
        let carried = from_json(&serde_json::from_str(&value.to_string()).unwrap()).unwrap();
        assert_eq!(carried.files.known(), files);
        assert_eq!(carried.script, Path::new("lib/a.bt"));
        assert!(carried.allow_unsafe);
        assert_eq!(carried.include_dirs, [Path::new("include")]);
    }

    #[test]
    fn what_lacks_a_part_is_damaged() {
        assert!(from_json(&json!({ "script": "a.bt", "files": [] })).is_none());
        assert!(from_json(&Value::Null).is_none());
    }
}
