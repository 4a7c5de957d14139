//! Debug information of programs: the parameters of functions with their types, and the addresses of lines.
//!
//! DWARF, versions 2 to 5, from the file itself or from the one that has its debug information, read by the crate `gimli`. Nothing is
//! read before it is asked for, and then only the units that may have it: a function is found by its symbol's address, and
//! the unit of an address by `.debug_aranges` or by the ranges that each unit says at its head.
//!
//! It is untrusted: what makes no sense is as if it was not there. Left out are `.debug_types` of DWARF 4, split files
//! (`.dwo`), and what `dwz` has moved into a file of its own.

mod handed;
mod lines;
mod types;

use std::path::{Path, PathBuf};

use gimli::{
    AttributeValue, DebugInfoOffset, DebuggingInformationEntry, EndianSlice, LittleEndian, SectionId,
    UnitOffset,
};
use rtscript_lang::types::{Structs, Type};

pub use handed::Handed;

use crate::elf::{DEBUG_DIRS, Elf, ElfError, debug_file};
use crate::providers::ARCH;

type Slice<'d> = EndianSlice<'d, LittleEndian>;
type Info<'d> = gimli::Dwarf<Slice<'d>>;
type Unit<'d> = gimli::Unit<Slice<'d>>;
type Entry<'d> = DebuggingInformationEntry<Slice<'d>>;

/// A program or library with its debug information.
#[derive(Debug)]
pub struct Dwarf {
    elf: Elf,
    /// The file that has the debug information, where that is another one.
    debug: Option<Elf>,
    /// Sections that had to be uncompressed.
    uncompressed: Vec<(SectionId, Vec<u8>)>,
}

/// A function as its source declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Of its first instruction, as the file has it.
    pub address: u64,
    pub parameters: Vec<Parameter>,
    /// `None`: it returns nothing.
    pub result: Option<Type>,
    /// The type of the result as its source writes it; empty where nothing is returned.
    pub result_in_c: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Empty where the source has none.
    pub name: String,
    pub ty: Type,
    /// The type as its source writes it: `const char*`.
    pub in_c: String,
    /// Where it is when the function is entered; `None` where it is not in one word of its own: floating-point numbers, and
    /// structures by value.
    pub handed: Option<Handed>,
}

impl Dwarf {
    /// Debug information is looked for in the file itself, then in `dirs`, or where distributions put it.
    pub fn open(path: &Path, dirs: Option<&[PathBuf]>) -> Result<Dwarf, ElfError> {
        let elf = Elf::open(path)?;
        let usual: Vec<PathBuf>;
        let dirs = match dirs {
            Some(dirs) => dirs,
            None => {
                usual = DEBUG_DIRS.iter().map(PathBuf::from).collect();
                &usual
            }
        };
        let has_own = elf.section(".debug_info").is_some();
        let debug = if has_own { None } else { debug_file(&elf, dirs) };
        let mut dwarf = Dwarf { elf, debug, uncompressed: Vec::new() };
        if !has_own && dwarf.debug.is_none() {
            return Ok(dwarf);
        }
        dwarf.uncompressed = SECTIONS
            .iter()
            .filter_map(|&id| match dwarf.file().section(id.name())? {
                std::borrow::Cow::Owned(data) => Some((id, data)),
                std::borrow::Cow::Borrowed(_) => None,
            })
            .collect();
        Ok(dwarf)
    }

    /// The program itself.
    pub fn elf(&self) -> &Elf {
        &self.elf
    }

    /// Whether there is any debug information.
    pub fn exists(&self) -> bool {
        !self.section(SectionId::DebugInfo).is_empty()
    }

    /// A function by its symbol's name (or, where no symbol has it, by its name in the source). Types of its parameters are added
    /// to `structs`.
    pub fn function(&self, name: &str, structs: &mut Structs) -> Option<Function> {
        let info = self.info()?;
        let symbol = self.elf.symbol(name).or_else(|| self.debug.as_ref()?.symbol(name));
        match symbol {
            Some(symbol) => {
                let unit = self.unit_of(&info, symbol.address)?;
                self.function_in(&info, &unit, |_, low| low == symbol.address, structs)
            }
            None => {
                let mut units = info.units();
                while let Ok(Some(header)) = units.next() {
                    let Ok(unit) = info.unit(header) else { continue };
                    let found = self.function_in(
                        &info,
                        &unit,
                        |entry, _| names(&info, &unit, entry).contains(&name.as_bytes()),
                        structs,
                    );
                    if found.is_some() {
                        return found;
                    }
                }
                None
            }
        }
    }

    /// The addresses at which the code of a line begins, ascending; `file` is a name, or a path's end. Empty where the line
    /// has no code.
    pub fn addresses(&self, file: &str, line: u64, column: Option<u64>) -> Vec<u64> {
        self.info().map_or_else(Vec::new, |info| lines::addresses(&info, file, line, column))
    }

    /// The function with code of its own that is `wanted`, given its entry and address.
    fn function_in<'d>(
        &self,
        info: &Info<'d>,
        unit: &Unit<'d>,
        wanted: impl Fn(&Entry<'d>, u64) -> bool,
        structs: &mut Structs,
    ) -> Option<Function> {
        let mut entries = unit.entries();
        while let Ok(Some(entry)) = entries.next_dfs() {
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let Some(address) = low_address(info, unit, entry) else { continue };
            if wanted(entry, address) {
                let at = entry.offset();
                let mut types = types::Decoder::new(info, unit, self.file().identity(), structs);
                let returned = attribute(unit, entry, gimli::DW_AT_type);
                let result = returned.map(|value| types.of(value));
                let result_in_c = returned.map_or_else(String::new, |value| types.in_c(value));
                let class = returned.zip(result.as_ref()).map(|(value, ty)| types.class(value, ty));
                let parameters = self.parameters(info, unit, at, &mut types, class);
                return Some(Function { address, parameters, result, result_in_c });
            }
        }
        None
    }

    fn parameters<'d>(
        &self,
        info: &Info<'d>,
        unit: &Unit<'d>,
        function: UnitOffset,
        types: &mut types::Decoder<'_, 'd>,
        result: Option<handed::Class>,
    ) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        let mut hands = handed::Hands::new(ARCH, result);
        let Ok(mut tree) = unit.entries_tree(Some(function)) else { return parameters };
        let Ok(root) = tree.root() else { return parameters };
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            let entry = child.entry();
            if entry.tag() != gimli::DW_TAG_formal_parameter {
                continue;
            }
            let Some(value) = attribute(unit, entry, gimli::DW_AT_type) else { continue };
            let ty = types.of(value);
            let name = attribute(unit, entry, gimli::DW_AT_name);
            let name = name.and_then(|name| info.attr_string(unit, name).ok());
            let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let handed = hands.next(types.class(value, &ty));
            parameters.push(Parameter { name, ty, in_c: types.in_c(value), handed });
        }
        parameters
    }

    /// The unit that has the code at an address.
    fn unit_of<'d>(&self, info: &Info<'d>, address: u64) -> Option<Unit<'d>> {
        if let Some(offset) = in_aranges(info, address)
            && let Ok(header) = info.unit_header(offset)
        {
            return info.unit(header).ok();
        }
        let mut units = info.units();
        while let Ok(Some(header)) = units.next() {
            let Ok(unit) = info.unit(header) else { continue };
            let Ok(mut ranges) = info.unit_ranges(&unit) else { continue };
            while let Ok(Some(range)) = ranges.next() {
                if (range.begin..range.end).contains(&address) {
                    return Some(unit);
                }
            }
        }
        None
    }

    fn info(&self) -> Option<Info<'_>> {
        if !self.exists() {
            return None;
        }
        let load = |id| Ok::<_, gimli::Error>(EndianSlice::new(self.section(id), LittleEndian));
        gimli::Dwarf::load(load).ok()
    }

    fn section(&self, id: SectionId) -> &[u8] {
        if let Some((_, data)) = self.uncompressed.iter().find(|(known, _)| *known == id) {
            return data;
        }
        match self.file().section(id.name()) {
            Some(std::borrow::Cow::Borrowed(data)) => data,
            Some(std::borrow::Cow::Owned(_)) | None => &[],
        }
    }

    /// The file that has the debug information.
    fn file(&self) -> &Elf {
        self.debug.as_ref().unwrap_or(&self.elf)
    }
}

/// The sections that are read.
const SECTIONS: &[SectionId] = &[
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

fn in_aranges(info: &Info<'_>, address: u64) -> Option<DebugInfoOffset> {
    let mut headers = info.debug_aranges.headers();
    while let Ok(Some(header)) = headers.next() {
        let mut entries = header.entries();
        while let Ok(Some(entry)) = entries.next() {
            if address.checked_sub(entry.address()).is_some_and(|into| into < entry.length()) {
                return Some(header.debug_info_offset());
            }
        }
    }
    None
}

/// Where the code of an entry begins.
fn low_address(info: &Info<'_>, unit: &Unit<'_>, entry: &Entry<'_>) -> Option<u64> {
    if let Some(low) = entry.attr_value(gimli::DW_AT_low_pc) {
        return info.attr_address(unit, low).ok()?;
    }
    // The first of several ranges is the one that it is entered by.
    let ranges = info.attr_ranges(unit, entry.attr_value(gimli::DW_AT_ranges)?).ok()?;
    Some(ranges?.next().ok()??.begin)
}

/// The names of a function: that of its symbol and that in the source.
fn names<'d>(info: &Info<'d>, unit: &Unit<'d>, entry: &Entry<'d>) -> Vec<&'d [u8]> {
    let kinds = [gimli::DW_AT_linkage_name, gimli::DW_AT_MIPS_linkage_name, gimli::DW_AT_name];
    let values = kinds.into_iter().filter_map(|kind| attribute(unit, entry, kind));
    values.filter_map(|value| info.attr_string(unit, value).ok()).map(|name| name.slice()).collect()
}

/// An attribute of an entry, or of the declaration that the entry completes or is an instance of.
fn attribute<'d>(unit: &Unit<'d>, entry: &Entry<'d>, name: gimli::DwAt) -> Option<AttributeValue<Slice<'d>>> {
    let mut found = entry.attr_value(name);
    let mut next = origin(entry);
    // A sound file needs two steps.
    for _ in 0..8 {
        if found.is_some() {
            return found;
        }
        let entry = unit.entry(next?).ok()?;
        found = entry.attr_value(name);
        next = origin(&entry);
    }
    found
}

fn origin(entry: &Entry<'_>) -> Option<UnitOffset> {
    let value = entry
        .attr_value(gimli::DW_AT_abstract_origin)
        .or_else(|| entry.attr_value(gimli::DW_AT_specification))?;
    match value {
        AttributeValue::UnitRef(offset) => Some(offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
