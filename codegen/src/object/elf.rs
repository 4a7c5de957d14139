//! Writes an object as ELF, as libbpf and aya load it. The only module that knows the `object` crate.
//!
//! ```text
//!   raw_tp/task_rename …   instructions, one section for each attach point, a global symbol for each program
//!   .text                  the callbacks of all programs
//!   .maps                  nothing but a symbol for each map; the definitions are in BTF
//!   .bss, or .data         the globals
//!   license
//!   .BTF  .BTF.ext
//! ```
//!
//! The same object gives the same bytes.

use object::write::{Object as File, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope,
};
use rtscript_lang::provider::ProgramKind;

use super::btf::{Member, Writer};
use super::ext::{self, Section};
use super::{Line, MapKind, MapRef, Object, Program, RelocationKind};
use crate::insn::{Imm64, Insn};

/// `R_BPF_64_64`: the 64-bit immediate of a `ld_imm64`.
const R_BPF_64_64: u32 = 1;
/// `R_BPF_64_32`: the offset of a call.
const R_BPF_64_32: u32 = 10;
/// Bytes of a map's variable in `.maps`: five pointers.
const MAP_VARIABLE: u64 = 40;

const BPF_F_NO_PREALLOC: u32 = 1;

impl Object {
    /// The bytes of an ELF file.
    ///
    /// # Errors
    /// The `object` crate's own, if the file could not be put together.
    pub fn to_elf(&self) -> Result<Vec<u8>, object::write::Error> {
        Elf::new(self).write()
    }
}

struct Elf<'a> {
    object: &'a Object,
    file: File<'static>,
    btf: Writer,
    sections: Vec<(String, SectionId, Section)>,
    map_symbols: Vec<(MapRef, SymbolId)>,
    globals: SymbolId,
    accesses: Vec<(u32, String)>,
}

impl<'a> Elf<'a> {
    fn new(object: &'a Object) -> Self {
        let mut file = File::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        let mut btf = Writer::default();
        let accesses = btf.accesses(object.accesses.values(), &object.manifest.structs);
        let map_symbols = add_maps(object, &mut file, &mut btf);
        let globals = add_globals(object, &mut file, &mut btf);
        Elf { object, file, btf, sections: Vec::new(), map_symbols, globals, accesses }
    }

    fn write(mut self) -> Result<Vec<u8>, object::write::Error> {
        for (index, program) in self.object.programs.iter().enumerate() {
            self.program(index, program)?;
        }
        let license = self.file.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
        let mut text = self.object.manifest.config.license.clone().into_bytes();
        text.push(0);
        self.file.append_section_data(license, &text, 1);
        let records: Vec<Section> = self.sections.into_iter().map(|(_, _, section)| section).collect();
        let ext = ext::write(&records);
        let section = self.file.add_section(Vec::new(), b".BTF".to_vec(), SectionKind::Other);
        self.file.append_section_data(section, &self.btf.finish(), 8);
        let section = self.file.add_section(Vec::new(), b".BTF.ext".to_vec(), SectionKind::Other);
        self.file.append_section_data(section, &ext, 8);
        self.file.write()
    }

    fn program(&mut self, index: usize, program: &Program) -> Result<(), object::write::Error> {
        // Loaders find a callback by its place in the section.
        let mut callbacks = Vec::with_capacity(program.callbacks.len());
        if !program.callbacks.is_empty() {
            let text = self.section(".text");
            let used = self.file.section(self.sections[text].1).data().len() as u32;
            let starts = program.callback_starts();
            callbacks.extend(starts.iter().map(|start| (used + (start - starts[0]) * 8) as i32));
        }
        for callback in &program.callbacks {
            let at = self.section(".text");
            let function = self.btf.callback(&callback.name, callback.role);
            let code = (&callback.insns[..], &callback.relocations[..], &callback.lines[..]);
            let base = self.code(at, function, code, &callbacks)?;
            self.symbol(at, &callback.name, (base, &callback.insns), SymbolScope::Compilation);
        }
        let at = self.section(&self.section_name(index, program));
        let function = self.btf.function(&program.name);
        let code = (&program.insns[..], &program.relocations[..], &program.lines[..]);
        let base = self.code(at, function, code, &callbacks)?;
        self.symbol(at, &program.name, (base, &program.insns), SymbolScope::Dynamic);
        Ok(())
    }

    fn symbol(&mut self, at: usize, name: &str, (value, insns): (u64, &[Insn]), scope: SymbolScope) {
        self.file.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value,
            size: insns.iter().map(|insn| insn.slots() as u64 * 8).sum(),
            kind: SymbolKind::Text,
            scope,
            weak: false,
            section: SymbolSection::Section(self.sections[at].1),
            flags: SymbolFlags::None,
        });
    }

    /// The section of this name, by its place in `sections`.
    fn section(&mut self, name: &str) -> usize {
        if let Some(at) = self.sections.iter().position(|(known, _, _)| known == name) {
            return at;
        }
        let id = self.file.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Text);
        let section = Section {
            name: self.btf.string(name),
            functions: Vec::new(),
            lines: Vec::new(),
            relocations: Vec::new(),
        };
        self.sections.push((name.to_owned(), id, section));
        self.sections.len() - 1
    }

    /// Adds the code of a function to a section, and tells where it begins there.
    fn code(
        &mut self,
        at: usize,
        function: u32,
        (insns, relocations, lines): (&[Insn], &[super::Relocation], &[Line]),
        callbacks: &[i32],
    ) -> Result<u64, object::write::Error> {
        let id = self.sections[at].1;
        let mut code = Vec::new();
        let mut starts = Vec::with_capacity(insns.len());
        let mut calls = relocations.iter().filter_map(|relocation| match relocation.kind {
            RelocationKind::Callback(index) | RelocationKind::Call(index) => Some((relocation.insn, index)),
            RelocationKind::Map(_)
            | RelocationKind::Global(_)
            | RelocationKind::Kfunc(_)
            | RelocationKind::Field(..) => None,
        });
        let mut call = calls.next();
        for (index, insn) in (0..).zip(insns) {
            starts.push(code.len() as u64);
            let mut insn = *insn;
            if let Some((_, callback)) = call.filter(|(at, _)| *at == index) {
                let start = callbacks.get(callback as usize).copied().unwrap_or(0);
                match &mut insn {
                    Insn::LdImm64 { imm, .. } => *imm = Imm64::Func(start),
                    // In slots, from the section's first one on.
                    Insn::CallLocal { offset } => *offset = start / 8 - 1,
                    _ => {}
                }
                call = calls.next();
            }
            insn.encode(&mut code);
        }
        let base = self.file.append_section_data(id, &code, 8);
        self.sections[at].2.functions.push([base as u32, function]);
        self.lines(at, base, &starts, lines);
        for relocation in relocations {
            let Some(offset) = starts.get(relocation.insn as usize).map(|start| base + start) else {
                continue;
            };
            let r_type = match relocation.kind {
                RelocationKind::Call(_) => R_BPF_64_32,
                _ => R_BPF_64_64,
            };
            let symbol = match relocation.kind {
                RelocationKind::Map(map) => {
                    self.map_symbols.iter().find(|(known, _)| *known == map).map(|(_, symbol)| *symbol)
                }
                RelocationKind::Global(_) => Some(self.globals),
                RelocationKind::Callback(_) | RelocationKind::Call(_) => {
                    let text = self.section(".text");
                    Some(self.file.section_symbol(self.sections[text].1))
                }
                RelocationKind::Field(access, info) => {
                    if let Some((root, path)) = self.accesses.get(access.as_u32() as usize) {
                        let path = self.btf.string(path);
                        let record = [offset as u32, *root, path, info as u32];
                        self.sections[at].2.relocations.push(record);
                    }
                    None
                }
                // Saved objects are compiled for a target that calls none.
                RelocationKind::Kfunc(_) => None,
            };
            if let Some(symbol) = symbol {
                let flags = RelocationFlags::Elf { r_type };
                self.file.add_relocation(id, Relocation { offset, symbol, addend: 0, flags })?;
            }
        }
        Ok(base)
    }

    /// `raw_tp/task_rename`: the name says the program's type and what it is for.
    fn section_name(&self, index: usize, program: &Program) -> String {
        let info = self.object.manifest.programs.get(index);
        let target = info.and_then(|info| info.targets.first()).map(|(target, _)| target.name.as_str());
        let target = target.unwrap_or(&program.name);
        let last = |target: &str| target.rsplit(':').next().unwrap_or_default().to_owned();
        match program.kind {
            ProgramKind::RawTracepoint => format!("raw_tp/{}", last(target)),
            ProgramKind::Tracepoint => {
                let point = target.split_once(':').map_or(target, |(_, point)| point);
                format!("tracepoint/{}", point.replace(':', "/"))
            }
            ProgramKind::PerfEvent => "perf_event".to_string(),
            ProgramKind::Uprobe => {
                let name = if target.starts_with("uretprobe") { "uretprobe" } else { "uprobe" };
                if program.sleepable { format!("{name}.s") } else { name.to_string() }
            }
            ProgramKind::Kprobe => format!("kprobe/{}", last(target)),
            ProgramKind::Kretprobe => format!("kretprobe/{}", last(target)),
            ProgramKind::Fentry => format!("fentry/{}", last(target)),
            ProgramKind::Fexit => format!("fexit/{}", last(target)),
            ProgramKind::Iter => {
                let name = if program.sleepable { "iter.s" } else { "iter" };
                format!("{name}/{}", target.split(':').nth(1).unwrap_or_default())
            }
        }
    }

    /// The lines of the script, where they change.
    fn lines(&mut self, at: usize, base: u64, starts: &[u64], lines: &[Line]) {
        for line in lines {
            let Some(source) = self.object.sources.find(line.span) else { continue };
            let Some(start) = starts.get(line.insn as usize) else { continue };
            let (number, column) = source.line_col(line.span.start);
            let file = self.btf.string(&source.name);
            let text = self.btf.string(source.line(number).unwrap_or_default().trim_end());
            let position = number << 10 | column.min(1023);
            self.sections[at].2.lines.push([(base + start) as u32, file, text, position]);
        }
    }
}

/// `.maps`: one variable for each map, whose type says what the map is.
fn add_maps(object: &Object, file: &mut File<'static>, btf: &mut Writer) -> Vec<(MapRef, SymbolId)> {
    let maps: Vec<_> = object.maps.iter().filter(|(map, _)| *map != object.globals).collect();
    if maps.is_empty() {
        return Vec::new();
    }
    let section = file.add_section(Vec::new(), b".maps".to_vec(), SectionKind::Data);
    let mut symbols = Vec::new();
    let mut variables = Vec::new();
    for (map, def) in maps {
        // Names of maps repeat; symbols must not.
        let name = format!("{}_{}", def.name, map.as_u32());
        let flags = match def.kind {
            MapKind::PerCpuHash => BPF_F_NO_PREALLOC,
            MapKind::Hash
            | MapKind::LruHash
            | MapKind::PerCpuLruHash
            | MapKind::Array
            | MapKind::PerCpuArray
            | MapKind::ArrayByCpu
            | MapKind::RingBuf
            | MapKind::MappedArray => 0,
        };
        let fields = [
            ("type", type_number(def.kind)),
            ("key_size", def.key_size),
            ("value_size", def.value_size),
            ("max_entries", def.max_entries),
            ("map_flags", flags),
        ];
        let members: Vec<Member<'_>> = fields
            .iter()
            .zip(0..)
            .map(|((name, value), index)| Member {
                name,
                ty: btf.number(*value),
                offset_bits: index * 64,
                bits: 0,
            })
            .collect();
        let ty = btf.structure(false, "", MAP_VARIABLE as u32, &members);
        let variable = btf.variable(&name, ty);
        let offset = file.append_section_data(section, &[0; MAP_VARIABLE as usize], 8);
        variables.push((variable, offset as u32, MAP_VARIABLE as u32));
        symbols.push((map, add_data_symbol(file, name, section, offset, MAP_VARIABLE)));
    }
    btf.section(".maps", variables.len() as u32 * MAP_VARIABLE as u32, &variables);
    symbols
}

/// `.bss`, or `.data` where there are tables: the globals, one variable.
fn add_globals(object: &Object, file: &mut File<'static>, btf: &mut Writer) -> SymbolId {
    let size = object.maps[object.globals].value_size;
    let tables = &object.manifest.tables;
    let (name, kind) = if tables.is_empty() {
        (".bss", SectionKind::UninitializedData)
    } else {
        (".data", SectionKind::Data)
    };
    let section = file.add_section(Vec::new(), name.as_bytes().to_vec(), kind);
    if tables.is_empty() {
        file.append_section_bss(section, u64::from(size), 8);
    } else {
        let mut bytes = vec![0; size as usize];
        for table in tables {
            let entries = table.entries.iter().flat_map(|entry| entry.to_le_bytes());
            bytes.iter_mut().skip(table.offset as usize).zip(entries).for_each(|(at, byte)| *at = byte);
        }
        file.append_section_data(section, &bytes, 8);
    }
    let byte = btf.int("unsigned char", 1, 0);
    let ty = btf.array(byte, size);
    let variable = btf.variable("globals", ty);
    btf.section(name, size, &[(variable, 0, size)]);
    add_data_symbol(file, "globals".to_string(), section, 0, u64::from(size))
}

fn add_data_symbol(
    file: &mut File<'static>,
    name: String,
    section: SectionId,
    value: u64,
    size: u64,
) -> SymbolId {
    file.add_symbol(Symbol {
        name: name.into_bytes(),
        value,
        size,
        kind: SymbolKind::Data,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    })
}

/// The kernel's `enum bpf_map_type`.
fn type_number(kind: MapKind) -> u32 {
    match kind {
        MapKind::Hash => 1,
        MapKind::Array | MapKind::ArrayByCpu | MapKind::MappedArray => 2,
        MapKind::PerCpuHash => 5,
        MapKind::PerCpuArray => 6,
        MapKind::LruHash => 9,
        MapKind::PerCpuLruHash => 10,
        MapKind::RingBuf => 27,
    }
}
