//! The parser of tracefs' `format` files.
//!
//! ```text
//! name: task_rename
//! ID: 139
//! format:
//!         field:unsigned short common_type;       offset:0;       size:2; signed:0;
//!         field:int common_pid;   offset:4;       size:4; signed:1;
//!
//!         field:char oldcomm[16]; offset:12;      size:16;        signed:0;
//!
//! print fmt: "oldcomm=%s", REC->oldcomm
//! ```
//!
//! Assumes nothing. Fields whose lines make no sense are an error, for all offsets are taken from here. The
//! print format is ignored.

use super::{FieldLocation, KernelError, TracepointField, TracepointFormat};

/// The kernel locates fields by 16 bits, and its records are smaller still.
const MAX_RECORD: u32 = 1 << 16;

impl TracepointFormat {
    /// Parses a `format` file. `what` names the event in errors.
    pub fn parse(what: &str, text: &str) -> Result<TracepointFormat, KernelError> {
        let mut format = TracepointFormat::default();
        let mut has_id = false;
        for line in text.lines().map(str::trim) {
            if let Some(id) = line.strip_prefix("ID:") {
                format.id = id.trim().parse().map_err(|_| malformed(what, line))?;
                has_id = true;
            } else if line.starts_with("field:") {
                let field = parse_field(line).ok_or_else(|| malformed(what, line))?;
                if !field.name.starts_with("common_") {
                    format.fields.push(field);
                }
            }
        }
        if has_id { Ok(format) } else { Err(malformed(what, "it has no ID")) }
    }
}

fn malformed(what: &str, reason: &str) -> KernelError {
    KernelError::Malformed { what: format!("the format of {what}"), reason: reason.to_owned() }
}

/// `field:DECLARATION; offset:N; size:N; signed:N;`. Only the declaration may hold another `:` or `;`, so that
/// the rest is taken from the end.
fn parse_field(line: &str) -> Option<TracepointField> {
    let (rest, signed) = take_last(line, "signed:").or(Some((line, 0)))?;
    let (rest, size) = take_last(rest, "size:")?;
    let (rest, offset) = take_last(rest, "offset:")?;
    let declaration = rest.strip_prefix("field:")?.trim().trim_end_matches(';').trim_end();
    let (ty, name, array, location) = parse_declaration(declaration)?;
    let is_inside = offset <= MAX_RECORD && size <= MAX_RECORD && array.is_none_or(|length| length <= size);
    if !is_inside {
        return None;
    }
    Some(TracepointField { ty, name, array, offset, size, signed: signed != 0, location })
}

/// Splits `… key:N;` into what stands before the key, and the number.
fn take_last<'a>(line: &'a str, key: &str) -> Option<(&'a str, u32)> {
    let (rest, value) = line.rsplit_once(key)?;
    Some((rest, value.trim().trim_end_matches(';').trim().parse().ok()?))
}

/// `char comm[16]`, `__data_loc char[] filename`, `const char * name`, `unsigned long args[6]`.
fn parse_declaration(text: &str) -> Option<(String, String, Option<u32>, FieldLocation)> {
    let (text, location) = if let Some(rest) = text.strip_prefix("__data_loc ") {
        (rest, FieldLocation::DataLoc)
    } else if let Some(rest) = text.strip_prefix("__rel_loc ") {
        (rest, FieldLocation::RelLoc)
    } else {
        (text, FieldLocation::Inline)
    };
    // An array's brackets stand behind the name, or, of unknown length, behind the type. Events of other tools
    // write a name of a macro where the length should be: then the size tells.
    let (text, array) = match text.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
        Some((rest, length)) => (rest.trim_end(), length.trim().parse().ok().or(Some(0))),
        None => (text, None),
    };
    let (ty, name) =
        text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len());
    let ty = ty.trim().trim_end_matches("[]").trim_end();
    if ty.is_empty() || name.is_empty() {
        return None;
    }
    Some((ty.to_owned(), name.to_owned(), array, location))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RENAME: &str = include_str!("../../../tests/fixtures/events/task/task_rename.format");
    const EXEC: &str = include_str!("../../../tests/fixtures/events/sched/sched_process_exec.format");

    fn field(format: &TracepointFormat, name: &str) -> TracepointField {
        format.fields.iter().find(|field| field.name == name).cloned().expect("the field is there")
    }

    #[test]
    fn fields_have_types_and_places() {
        let format = TracepointFormat::parse("task:task_rename", RENAME).unwrap();
        let names: Vec<_> = format.fields.iter().map(|field| field.name.as_str()).collect();
        assert!(names.contains(&"newcomm") && !names.contains(&"common_pid"), "{names:?}");
        let newcomm = field(&format, "newcomm");
        assert_eq!((newcomm.ty.as_str(), newcomm.array, newcomm.size), ("char", Some(16), 16));
        let oom = field(&format, "oom_score_adj");
        assert_eq!((oom.ty.as_str(), oom.size, oom.signed), ("short", 2, true));
    }

    #[test]
    fn data_locations_are_told_from_fields_in_place() {
        let format = TracepointFormat::parse("sched:sched_process_exec", EXEC).unwrap();
        let filename = field(&format, "filename");
        assert_eq!((filename.ty.as_str(), filename.location), ("char", FieldLocation::DataLoc));
        assert_eq!(field(&format, "pid").location, FieldLocation::Inline);
    }

    #[test]
    fn odd_declarations_parse() {
        let parse = |text| parse_declaration(text).map(|(ty, name, array, _)| (ty, name, array));
        let owned = |ty: &str, name: &str, array| Some((ty.to_owned(), name.to_owned(), array));
        assert_eq!(parse("const char * filename"), owned("const char *", "filename", None));
        assert_eq!(parse("const char *name"), owned("const char *", "name", None));
        assert_eq!(parse("unsigned long args[6]"), owned("unsigned long", "args", Some(6)));
        assert_eq!(parse("char prev_comm[TASK_COMM_LEN]"), owned("char", "prev_comm", Some(0)));
        assert_eq!(parse("__data_loc u8[] buf"), owned("u8", "buf", None));
        assert_eq!(parse("int"), None);
    }

    #[test]
    fn nonsense_is_an_error() {
        let parse = |text| TracepointFormat::parse("a:b", text);
        assert!(parse("").is_err());
        assert!(parse("ID: x\n").is_err());
        assert!(parse("ID: 1\nfield:int;\toffset:0;\tsize:4;\tsigned:1;\n").is_err());
        assert!(parse("ID: 1\nfield:int x;\toffset:zero;\tsize:4;\tsigned:1;\n").is_err());
        assert!(parse("ID: 1\nfield:int x;\toffset:8;\tsize:70000;\tsigned:1;\n").is_err());
        assert!(parse("ID: 1\nfield:int x[9];\toffset:8;\tsize:4;\tsigned:1;\n").is_err());
    }

    proptest! {
        #[test]
        fn damaged_text_never_panics(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..16),
        ) {
            let mut bytes = EXEC.as_bytes().to_vec();
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = TracepointFormat::parse("a:b", &String::from_utf8_lossy(&bytes));
        }
    }
}
