//! Writes `.BTF.ext`: which instructions are functions, which lines they come from, and which of them depend on where a
//! member lies. Records are grouped by section, their instruction offsets are bytes from the section's start.

const MAGIC: u16 = 0xeb9f;
const HEADER: u32 = 32;

/// The records of one section, each as it stands in the file.
#[derive(Debug)]
pub struct Section {
    /// The section's name, as an offset into BTF's strings.
    pub name: u32,
    /// `insn_off, type_id`
    pub functions: Vec<[u32; 2]>,
    /// `insn_off, file_name_off, line_off, line_col`
    pub lines: Vec<[u32; 4]>,
    /// `insn_off, type_id, access_str_off, kind`
    pub relocations: Vec<[u32; 4]>,
}

/// The whole section.
pub fn write(sections: &[Section]) -> Vec<u8> {
    let functions = group(sections, |section| &section.functions);
    let lines = group(sections, |section| &section.lines);
    let relocations = group(sections, |section| &section.relocations);
    let mut out = Vec::new();
    out.extend(MAGIC.to_le_bytes());
    // Version 1, no flags.
    out.extend([1, 0]);
    out.extend(HEADER.to_le_bytes());
    let mut offset = 0;
    for part in [&functions, &lines, &relocations] {
        out.extend((offset as u32).to_le_bytes());
        out.extend((part.len() as u32).to_le_bytes());
        offset += part.len();
    }
    for part in [functions, lines, relocations] {
        out.extend(part);
    }
    out
}

/// The size of a record, then for each section that has any its name, their number, and the records.
fn group<const N: usize>(sections: &[Section], records: impl Fn(&Section) -> &Vec<[u32; N]>) -> Vec<u8> {
    let mut out = Vec::new();
    for section in sections.iter().filter(|section| !records(section).is_empty()) {
        if out.is_empty() {
            out.extend((N as u32 * 4).to_le_bytes());
        }
        out.extend(section.name.to_le_bytes());
        out.extend((records(section).len() as u32).to_le_bytes());
        for word in records(section).iter().flatten() {
            out.extend(word.to_le_bytes());
        }
    }
    out
}
