//! Programs and libraries as files: symbols, addresses, notes, and where their debug information is.
//!
//! A file is mapped, and only what is asked for is read. It is untrusted: nothing panics, what makes no sense is as if it
//! was not there. 64-bit little-endian ELF alone is understood.

mod debug;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use object::elf::{ET_DYN, FileHeader64, PF_X, PT_LOAD, STT_GNU_IFUNC};
use object::read::elf::{ElfFile64, ElfSymbol64, FileHeader, ProgramHeader};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, SymbolFlags, SymbolKind};
use rustc_hash::FxHashSet;

pub use debug::{DEBUG_DIRS, debug_file};

/// An ELF file.
pub struct Elf {
    path: PathBuf,
    data: Mmap,
    /// Device and inode: paths may be many.
    identity: (u64, u64),
}

/// A function or an object that a file defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol<'f> {
    pub name: &'f str,
    /// As the file has it: what a process adds to it, it adds to all.
    pub address: u64,
    /// In bytes; 0 where the file does not say.
    pub size: u64,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Function,
    /// A function that chooses another one when the program starts.
    Resolver,
    Data,
}

/// The code of a file, which many addresses may be looked up in.
pub struct Code<'f> {
    data: &'f [u8],
    segments: Vec<Segment>,
}

struct Segment {
    address: u64,
    offset: u64,
    size: u64,
}

impl Code<'_> {
    /// Where in the file an address is.
    pub fn offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.address)?;
            (into < segment.size).then(|| segment.offset.checked_add(into))?
        })
    }

    /// The address of what is there in the file.
    pub fn address(&self, offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let into = offset.checked_sub(segment.offset)?;
            (into < segment.size).then(|| segment.address.checked_add(into))?
        })
    }

    /// The bytes from an address on; none where there is no code.
    pub fn at(&self, address: u64) -> &[u8] {
        let bytes = self.offset(address).and_then(|offset| self.data.get(offset as usize..));
        bytes.unwrap_or_default()
    }
}

/// Why a file cannot be used.
#[derive(Debug)]
pub enum ElfError {
    Io(io::Error),
    /// It is something else.
    NotElf,
}

impl Elf {
    pub fn open(path: &Path) -> Result<Elf, ElfError> {
        let file = File::open(path).map_err(ElfError::Io)?;
        let data = file.metadata().map_err(ElfError::Io)?;
        if !data.is_file() {
            return Err(ElfError::NotElf);
        }
        // SAFETY: a private mapping, which is only read. Somebody may change the file meanwhile: then what is read makes no
        // sense, for which all of this is prepared.
        let map = unsafe { Mmap::map(&file) }.map_err(ElfError::Io)?;
        let elf = Elf { path: path.to_path_buf(), data: map, identity: (data.dev(), data.ino()) };
        if elf.parsed().is_some() { Ok(elf) } else { Err(ElfError::NotElf) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Whether it lies elsewhere in every process: a library, or a position-independent program.
    pub fn is_relocatable(&self) -> bool {
        self.parsed().is_some_and(|file| file.elf_header().e_type(LittleEndian) == ET_DYN)
    }

    /// All functions and objects that it defines, in the file's order; of those that the dynamic table has again, one.
    pub fn symbols(&self) -> Vec<Symbol<'_>> {
        let Some(file) = self.parsed() else { return Vec::new() };
        let mut symbols: Vec<Symbol<'_>> = file.symbols().filter_map(|symbol| defined(&symbol)).collect();
        if symbols.is_empty() {
            let versions = self.section(VERSIONS).unwrap_or_default();
            let all: Vec<(Symbol<'_>, bool)> = file
                .dynamic_symbols()
                .filter_map(|symbol| Some((defined(&symbol)?, is_superseded(&versions, symbol.index().0))))
                .collect();
            let current: FxHashSet<&str> =
                all.iter().filter(|(_, is_old)| !is_old).map(|(symbol, _)| symbol.name).collect();
            let wanted = all.into_iter().filter(|(symbol, is_old)| !is_old || !current.contains(symbol.name));
            symbols = wanted.map(|(symbol, _)| symbol).collect();
        }
        symbols
    }

    /// The symbol with this name. Those of the symbol table come first, then those that others may link to: of several versions,
    /// the one that programs are linked to now.
    pub fn symbol(&self, name: &str) -> Option<Symbol<'_>> {
        let file = self.parsed()?;
        let named = |symbol: &ElfSymbol64<'_, '_, LittleEndian>| {
            defined(symbol).is_some_and(|symbol| symbol.name == name)
        };
        if let Some(symbol) = file.symbols().find(named) {
            return defined(&symbol);
        }
        let mut all = file.dynamic_symbols().filter(named).peekable();
        all.peek()?;
        let versions = self.section(VERSIONS).unwrap_or_default();
        let best = all.min_by_key(|symbol| is_superseded(&versions, symbol.index().0))?;
        defined(&best)
    }

    /// Where in the file the code at an address is.
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        self.code().offset(address)
    }

    /// The parts of it that are executed.
    pub fn code(&self) -> Code<'_> {
        let Some(file) = self.parsed() else { return Code { data: &self.data, segments: Vec::new() } };
        let executable = file.elf_program_headers().iter().filter(|segment| {
            segment.p_type(LittleEndian) == PT_LOAD && segment.p_flags(LittleEndian) & PF_X != 0
        });
        let segments = executable
            .map(|segment| Segment {
                address: segment.p_vaddr(LittleEndian),
                offset: segment.p_offset(LittleEndian),
                size: segment.p_filesz(LittleEndian),
            })
            .collect();
        Code { data: &self.data, segments }
    }

    /// Where in the file the data at an address is.
    pub fn data_offset(&self, address: u64) -> Option<u64> {
        let file = self.parsed()?;
        let mut segments = file.elf_program_headers().iter();
        segments.find_map(|segment| {
            let into = address.checked_sub(segment.p_vaddr(LittleEndian))?;
            let is_there = segment.p_type(LittleEndian) == PT_LOAD && into < segment.p_filesz(LittleEndian);
            is_there.then(|| segment.p_offset(LittleEndian).checked_add(into))?
        })
    }

    /// The content of a section, which may have to be uncompressed.
    pub fn section(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.parsed()?.section_by_name(name)?.uncompressed_data().ok().filter(|data| !data.is_empty())
    }

    /// The address that a section is meant for.
    pub fn section_address(&self, name: &str) -> Option<u64> {
        Some(self.parsed()?.section_by_name(name)?.address())
    }

    /// What the linker calls this very build.
    pub fn build_id(&self) -> Option<&[u8]> {
        self.parsed()?.build_id().ok()?
    }

    /// The name of the file that has its debug information, and that file's checksum.
    fn debug_link(&self) -> Option<(&[u8], u32)> {
        self.parsed()?.gnu_debuglink().ok()?
    }

    /// The file's headers: a few bytes, so they are looked at anew each time.
    fn parsed(&self) -> Option<ElfFile64<'_, LittleEndian>> {
        let header = FileHeader64::<LittleEndian>::parse(&*self.data).ok()?;
        header.is_little_endian().then(|| ElfFile64::parse(&*self.data).ok())?
    }
}

/// The version of each dynamic symbol: a `u16`, whose highest bit says that nobody is linked to it any more.
const VERSIONS: &str = ".gnu.version";
const SUPERSEDED: u16 = 1 << 15;

fn is_superseded(versions: &[u8], index: usize) -> bool {
    let version = versions.get(2 * index..).and_then(|bytes| bytes.first_chunk());
    version.is_some_and(|bytes| u16::from_le_bytes(*bytes) & SUPERSEDED != 0)
}

/// The symbol, if it is a function or an object that is defined here.
fn defined<'f>(symbol: &impl ObjectSymbol<'f>) -> Option<Symbol<'f>> {
    let kind = match (symbol.kind(), symbol.flags()) {
        (_, SymbolFlags::Elf { st_info, .. }) if st_info & 0xf == STT_GNU_IFUNC => Kind::Resolver,
        (SymbolKind::Text, _) => Kind::Function,
        (SymbolKind::Data, _) => Kind::Data,
        _ => return None,
    };
    let name = symbol.name().ok().filter(|name| !name.is_empty())?;
    let is_defined = !symbol.is_undefined() && symbol.address() != 0;
    is_defined.then_some(Symbol { name, address: symbol.address(), size: symbol.size(), kind })
}

impl fmt::Debug for Elf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elf").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElfError::Io(error) => error.fmt(f),
            ElfError::NotElf => f.write_str("it is no 64-bit ELF file"),
        }
    }
}

impl std::error::Error for ElfError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_symbols() {
        let own = Elf::open(&std::env::current_exe().unwrap()).unwrap();
        assert!(own.is_relocatable());
        let symbols = own.symbols();
        let function = symbols.iter().find(|symbol| symbol.name.contains("our_own_symbols")).unwrap();
        assert_eq!(function.kind, Kind::Function);
        assert!(function.size > 0);
        assert_eq!(own.symbol(function.name).as_ref(), Some(function));
        // The code of this file is where its text section is.
        let (text, at) = (own.section(".text").unwrap(), own.section_address(".text").unwrap());
        let code = &text[(function.address - at) as usize..][..16];
        let offset = own.file_offset(function.address).unwrap() as usize;
        assert_eq!(&std::fs::read(own.path()).unwrap()[offset..offset + 16], code);
        assert_eq!(own.file_offset(u64::MAX), None);
        assert_eq!(own.symbol("no such symbol"), None);
    }

    #[test]
    fn what_is_no_object() {
        let open = |path: &str| Elf::open(Path::new(path));
        assert!(matches!(open("/etc/passwd"), Err(ElfError::NotElf)));
        assert!(matches!(open("/etc"), Err(ElfError::NotElf)));
        assert!(matches!(open("/no/such/file"), Err(ElfError::Io(_))));
        assert!(matches!(open("/dev/null"), Err(ElfError::NotElf)));
    }

    /// A program of the system, cut off at many places, or with one byte that is wrong.
    #[test]
    fn no_bytes_make_it_panic() {
        let path = std::env::temp_dir().join(format!("rtscript-elf-{}", std::process::id()));
        let whole = std::fs::read("/bin/true").unwrap();
        let ask_everything = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let Ok(elf) = Elf::open(&path) else { return };
            for symbol in elf.symbols() {
                elf.file_offset(symbol.address);
            }
            elf.symbol("main");
            elf.build_id();
            elf.section(".text");
            elf.section_address(".data");
            elf.file_offset(0x1000);
            crate::providers::usdt::notes::sites(&elf);
            debug_file(&elf, &[]);
        };
        let headers = 1024.min(whole.len());
        for length in (0..128).chain((128..whole.len()).step_by(499)).chain([whole.len()]) {
            ask_everything(&whole[..length]);
        }
        // The header, the segments, and at the end the sections.
        let tail = whole.len().saturating_sub(2048);
        for at in (0..64).chain((64..headers).step_by(13)).chain((tail..whole.len()).step_by(17)) {
            for value in [0, 0xff] {
                let mut wrong = whole.clone();
                wrong[at] = value;
                ask_everything(&wrong);
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
}
