//! Functions in C that a script imports: clang compiles the file, and what it made is taken apart.
//!
//! The functions stand in `.text`, their types in BTF. They may call each other and the kernel's helpers. Data of their own, maps, and
//! accesses that depend on the kernel's structures would need more than code, and are refused.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::elf::STT_FUNC;
use object::read::elf::ElfFile64;
use object::{
    LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SymbolFlags,
};
use rtscript_codegen::insn::{AluOp, Insn, Operand, Reg};
use rtscript_lang::btf::{self, Btf, Kind, TypeId};
use rtscript_lang::foreign::{ForeignFunction, MOST_PARAMETERS};
use rtscript_lang::syntax::source::Span;
use rtscript_lang::types::{Int, Space, Type};

const CLANG: &str = "clang";
/// `R_BPF_64_32`: the offset of a call.
const R_BPF_64_32: u32 = 10;
/// What of the compiler's errors is shown.
const LINES: usize = 20;
/// Bytes of an instruction.
const SLOT: u64 = 8;
/// Where the header of `.BTF.ext` has the size of its relocations of kernel structures.
const CORE_RELOCATIONS: std::ops::Range<usize> = 28..32;
/// A frame is never larger.
const LARGEST_FRAME: i32 = 512;
/// The headers of the machine's own C library, where a distribution has one for each machine.
const MACHINE_HEADERS: &str = "/usr/include/x86_64-linux-gnu";

/// Why a file's functions cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    #[error("it needs a C compiler: {CLANG} is not installed")]
    NoCompiler,
    #[error("{CLANG} cannot be run: {0}")]
    Compiler(io::Error),
    #[error("{CLANG} refuses it:\n{0}")]
    Refused(String),
    #[error("{CLANG} made something else than a program of eBPF")]
    Malformed,
    #[error("`{0}` has more than five parameters, or one that is neither a number nor a pointer")]
    Type(String),
    #[error("`{0}` uses data of its own or a map, which is not linked")]
    Data(String),
    #[error("`{0}` is not defined in it")]
    Undefined(String),
    #[error(
        "it reads members of the kernel's structures by relocations, which is not linked; hand over what it needs"
    )]
    Structures,
}

/// Compiles a file to an ELF object.
pub fn compile(path: &Path, include_dirs: &[PathBuf]) -> Result<Vec<u8>, ForeignError> {
    let mut command = Command::new(CLANG);
    command.args([
        "-target",
        "bpf",
        "-mcpu=v3",
        "-O2",
        "-g",
        "-c",
        "-o",
        "-",
        "-fno-crash-diagnostics",
        "-idirafter",
        MACHINE_HEADERS,
    ]);
    for dir in include_dirs {
        command.arg("-I").arg(dir);
    }
    let output = command.arg(path).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ForeignError::NoCompiler,
        _ => ForeignError::Compiler(error),
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first: Vec<&str> = said.lines().take(LINES).collect();
        return Err(ForeignError::Refused(first.join("\n")));
    }
    Ok(output.stdout)
}

/// Where a function lies in `.text`.
struct Extent<'f> {
    name: &'f str,
    start: u64,
    end: u64,
}

/// The functions of an object that clang made. `span` is where the script imports them.
pub fn functions(file: &[u8], span: Span) -> Result<Vec<ForeignFunction>, ForeignError> {
    let file: ElfFile64<'_, LittleEndian> = ElfFile64::parse(file).map_err(|_| ForeignError::Malformed)?;
    let section = |name| file.section_by_name(name).and_then(|section| section.data().ok());
    let Some(text) = file.section_by_name(".text") else { return Ok(Vec::new()) };
    let code = text.data().map_err(|_| ForeignError::Malformed)?;
    let types =
        section(".BTF").and_then(|bytes| Btf::parse(bytes.to_vec()).ok()).ok_or(ForeignError::Malformed)?;
    let relocations = section(".BTF.ext").and_then(|ext| ext.get(CORE_RELOCATIONS)).unwrap_or(&[0; 4]);
    if relocations != [0; 4] {
        return Err(ForeignError::Structures);
    }
    let mut extents: Vec<Extent<'_>> = Vec::new();
    for symbol in file.symbols() {
        let SymbolFlags::Elf { st_info, .. } = symbol.flags() else { continue };
        if st_info & 0xf == STT_FUNC && symbol.section_index() == Some(text.index()) {
            let (start, size) = (symbol.address(), symbol.size());
            let name = symbol.name().map_err(|_| ForeignError::Malformed)?;
            extents.push(Extent { name, start, end: start.saturating_add(size) });
        }
    }
    extents.sort_by_key(|extent| extent.start);
    let calls = calls(&file, &text, code, &extents)?;
    let mut functions = Vec::with_capacity(extents.len());
    for extent in &extents {
        let code = code.get(extent.start as usize..extent.end as usize).ok_or(ForeignError::Malformed)?;
        let (params, result) =
            signature(&types, extent.name).ok_or_else(|| ForeignError::Type(extent.name.to_owned()))?;
        let own = calls.iter().filter(|(at, _)| (extent.start..extent.end).contains(at));
        functions.push(ForeignFunction {
            name: extent.name.to_owned(),
            params,
            result,
            span,
            code: code.to_vec(),
            calls: own.map(|(at, callee)| (((at - extent.start) / SLOT) as u32, *callee)).collect(),
            frame: frame(code)?,
        });
    }
    Ok(functions)
}

/// The calls of functions by others, by their offsets in `.text`: which function each calls.
fn calls(
    file: &ElfFile64<'_, LittleEndian>,
    text: &object::read::elf::ElfSection64<'_, '_, LittleEndian>,
    code: &[u8],
    extents: &[Extent<'_>],
) -> Result<Vec<(u64, u32)>, ForeignError> {
    let around = |offset: u64| {
        let found = extents.iter().find(|extent| (extent.start..extent.end).contains(&offset));
        found.map_or_else(String::new, |extent| extent.name.to_owned())
    };
    let mut calls = Vec::new();
    // What a relocation says, a call is relative to; without one, to itself.
    let mut relocated: Vec<(u64, u64)> = Vec::new();
    for (offset, relocation) in text.relocations() {
        let RelocationFlags::Elf { r_type: R_BPF_64_32 } = relocation.flags() else {
            return Err(ForeignError::Data(around(offset)));
        };
        let RelocationTarget::Symbol(index) = relocation.target() else {
            return Err(ForeignError::Malformed);
        };
        let symbol = file.symbol_by_index(index).map_err(|_| ForeignError::Malformed)?;
        if symbol.section_index() != Some(text.index()) {
            return Err(ForeignError::Undefined(symbol.name().unwrap_or_default().to_owned()));
        }
        relocated.push((offset, symbol.address()));
    }
    let mut at = 0;
    while (at as usize) < code.len() {
        let insn = Insn::decode(&code[at as usize..]).map_err(|_| ForeignError::Malformed)?;
        if let Insn::CallLocal { offset } = insn {
            let base = relocated.iter().find(|(place, _)| *place == at).map(|(_, base)| *base);
            let base = base.unwrap_or(at) as i64;
            let target = base + (i64::from(offset) + 1) * SLOT as i64;
            let callee = extents.iter().position(|extent| extent.start as i64 == target);
            calls.push((at, callee.ok_or(ForeignError::Malformed)? as u32));
        }
        at += insn.slots() as u64 * SLOT;
    }
    Ok(calls)
}

/// The types of a function's parameters and of its result.
fn signature(types: &Btf, name: &str) -> Option<(Vec<Type>, Type)> {
    let btf::Type::Func(function) = types.ty(types.find(name, Kind::Func)?) else { return None };
    let btf::Type::FuncProto(proto) = types.ty(function.proto) else { return None };
    if proto.params().len() > MOST_PARAMETERS {
        return None;
    }
    let params = proto.params().map(|param| number(types, param.ty)).collect::<Option<_>>()?;
    let is_void = matches!(types.ty(types.resolve(proto.result).id), btf::Type::Void);
    Some((params, if is_void { Type::Void } else { number(types, proto.result)? }))
}

/// What a register can hold.
fn number(types: &Btf, id: TypeId) -> Option<Type> {
    let int = |size: u32, signed| {
        let size = u8::try_from(size).ok().filter(|size| matches!(size, 1 | 2 | 4 | 8))?;
        Some(Type::Int(Int { size, signed }))
    };
    match types.ty(types.resolve(id).id) {
        btf::Type::Int(found) => int(found.size, found.signed),
        btf::Type::Enum(found) => int(found.size, found.signed),
        btf::Type::Ptr(_) => Some(Type::Pointer(Box::new(Type::Void), Space::Kernel)),
        btf::Type::Void
        | btf::Type::Array(_)
        | btf::Type::Struct(_)
        | btf::Type::Union(_)
        | btf::Type::Forward(_)
        | btf::Type::Typedef(_)
        | btf::Type::Volatile(_)
        | btf::Type::Const(_)
        | btf::Type::Restrict(_)
        | btf::Type::Func(_)
        | btf::Type::FuncProto(_)
        | btf::Type::Var(_)
        | btf::Type::DataSec(_)
        | btf::Type::Float(_)
        | btf::Type::DeclTag(_)
        | btf::Type::TypeTag(_) => None,
    }
}

/// The bytes of stack that code uses at the most: how far below its frame it reaches.
fn frame(mut code: &[u8]) -> Result<u32, ForeignError> {
    let mut lowest = 0;
    while !code.is_empty() {
        let insn = Insn::decode(code).map_err(|_| ForeignError::Malformed)?;
        let below = match insn {
            Insn::Load { base: Reg::R10, offset, .. }
            | Insn::LoadSigned { base: Reg::R10, offset, .. }
            | Insn::Store { base: Reg::R10, offset, .. }
            | Insn::Atomic { base: Reg::R10, offset, .. } => i32::from(offset),
            // An address in the frame is made by an addition.
            Insn::Alu { op: AluOp::Add, src: Operand::Imm(imm), .. } => imm,
            _ => 0,
        };
        if below >= -LARGEST_FRAME {
            lowest = lowest.min(below);
        }
        code = &code[insn.slots() * SLOT as usize..];
    }
    Ok(lowest.unsigned_abs())
}
