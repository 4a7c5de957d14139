//! From a line of a source to the addresses of its code.
//!
//! A unit's line table says for each address which line it belongs to, and where a good place to stop is. Code of a line
//! comes in runs: a loop's head has one before the body and one behind it, and a function that was inlined has one in every
//! place. A line's addresses are where those runs begin; of several within one function's own code, the first.

use gimli::{AttributeValue, LineProgramHeader};

use super::{Info, Slice, Unit, low_address};

/// The addresses, ascending.
pub fn addresses(info: &Info<'_>, file: &str, line: u64, column: Option<u64>) -> Vec<u64> {
    let mut found = Vec::new();
    let mut units = info.units();
    while let Ok(Some(header)) = units.next() {
        let Ok(unit) = info.unit(header) else { continue };
        let starts = in_unit(info, &unit, file, line, column);
        if !starts.is_empty() {
            found.extend(first_of_each(starts, &bodies(info, &unit)));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Where the runs of a line begin.
fn in_unit(info: &Info<'_>, unit: &Unit<'_>, file: &str, line: u64, column: Option<u64>) -> Vec<u64> {
    let Some(program) = unit.line_program.clone() else { return Vec::new() };
    let header = program.header();
    let wanted: Vec<bool> = (0..=header.file_names().len() as u64)
        .map(|index| path(info, unit, header, index).is_some_and(|path| ends_with(&path, file)))
        .collect();
    if !wanted.contains(&true) {
        return Vec::new();
    }
    let mut starts = Vec::new();
    let mut within = false;
    let mut rows = program.rows();
    while let Ok(Some((_, row))) = rows.next_row() {
        let is_column = match (column, row.column()) {
            (None, _) => true,
            (Some(column), gimli::ColumnType::Column(found)) => found.get() == column,
            (Some(_), gimli::ColumnType::LeftEdge) => false,
        };
        let is_wanted = !row.end_sequence()
            && row.line().is_some_and(|found| found.get() == line)
            && is_column
            && wanted.get(row.file_index() as usize) == Some(&true);
        // Address 0 is where linkers put code that they left out.
        if is_wanted && row.is_stmt() && !within && row.address() != 0 {
            starts.push(row.address());
        }
        within = is_wanted && (within || row.is_stmt());
    }
    starts
}

/// A piece of code that the compiler made from one function: its own, or where it was inlined.
struct Body {
    ranges: Vec<gimli::Range>,
}

fn bodies(info: &Info<'_>, unit: &Unit<'_>) -> Vec<Body> {
    let mut bodies = Vec::new();
    let mut entries = unit.entries();
    while let Ok(Some(entry)) = entries.next_dfs() {
        let is_body = matches!(entry.tag(), gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine);
        if !is_body || low_address(info, unit, entry).is_none() {
            continue;
        }
        let Ok(mut all) = info.die_ranges(unit, entry) else { continue };
        let mut ranges = Vec::new();
        while let Ok(Some(range)) = all.next() {
            ranges.push(range);
        }
        bodies.push(Body { ranges });
    }
    bodies
}

/// The lowest address within each body; the innermost one counts.
fn first_of_each(starts: Vec<u64>, bodies: &[Body]) -> Vec<u64> {
    let mut first: Vec<Option<u64>> = vec![None; bodies.len()];
    let mut others = Vec::new();
    for start in starts {
        let holds = |body: &Body| body.ranges.iter().any(|range| (range.begin..range.end).contains(&start));
        // Inner ones stand behind those that hold them.
        match bodies.iter().rposition(holds) {
            Some(body) => first[body] = Some(first[body].map_or(start, |known| known.min(start))),
            None => others.push(start),
        }
    }
    first.into_iter().flatten().chain(others).collect()
}

/// The path of a file of the line table.
fn path<'d>(
    info: &Info<'d>,
    unit: &Unit<'d>,
    header: &LineProgramHeader<Slice<'d>>,
    index: u64,
) -> Option<String> {
    let file = header.file(index)?;
    let text = |value: AttributeValue<Slice<'d>>| {
        info.attr_string(unit, value).ok().map(|text| text.to_string_lossy().into_owned())
    };
    let name = text(file.path_name())?;
    if name.starts_with('/') {
        return Some(name);
    }
    match file.directory(header).and_then(text) {
        Some(directory) => Some(format!("{directory}/{name}")),
        None => Some(name),
    }
}

/// Whether a path is `end`, or ends in it at a slash.
fn ends_with(path: &str, end: &str) -> bool {
    let end = end.strip_prefix("./").unwrap_or(end);
    path.strip_suffix(end)
        .is_some_and(|before| before.is_empty() || before.ends_with('/') || end.starts_with('/'))
}
