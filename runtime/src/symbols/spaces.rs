//! What processes map, and the files behind it.
//!
//! A process is asked (`/proc/PID/maps`) when its first address is printed, and again when an address lies nowhere
//! that is known: it may have loaded a library, or executed another program. Files are opened at once, through the
//! process's own view: so it does not matter whether they are deleted later, or lie in another mount namespace.
//!
//! Only what is executable is of interest.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustc_hash::FxHashMap;

/// Address spaces of processes.
#[derive(Debug)]
pub struct Spaces {
    /// Whether what a process mapped is kept.
    keep: bool,
    processes: FxHashMap<u32, Vec<Mapping>>,
    files: Vec<MappedFile>,
    /// By device and inode.
    by_inode: FxHashMap<(u64, u64), FileId>,
    vdso: Option<FileId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(u32);

/// An address as an offset of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub file: FileId,
    pub offset: u64,
}

/// A file that is, or was, mapped somewhere.
#[derive(Debug)]
pub struct MappedFile {
    /// As the process calls it, or `[vdso]`.
    pub name: Rc<str>,
    /// `None` where it could not be opened.
    file: Option<File>,
}

/// An executable part of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    /// Of `start` in the file.
    offset: u64,
    /// `None` for memory that no file lies behind.
    file: Option<FileId>,
}

impl Spaces {
    pub fn new(keep: bool) -> Spaces {
        Spaces {
            keep,
            processes: FxHashMap::default(),
            files: Vec::new(),
            by_inode: FxHashMap::default(),
            vdso: None,
        }
    }

    /// The file that lies at an address of a process.
    pub fn find(&mut self, pid: u32, address: u64) -> Option<Place> {
        if self.keep
            && let Some(mapping) = self.processes.get(&pid).and_then(|mappings| find(mappings, address))
        {
            return mapping.place(address);
        }
        let mappings = self.read(pid)?;
        let found = find(&mappings, address);
        self.processes.insert(pid, mappings);
        found?.place(address)
    }

    pub fn file(&self, id: FileId) -> &MappedFile {
        &self.files[id.0 as usize]
    }

    /// What a process maps now; `None` if it has ended.
    fn read(&mut self, pid: u32) -> Option<Vec<Mapping>> {
        let maps = fs::read(format!("/proc/{pid}/maps")).ok().filter(|maps| !maps.is_empty())?;
        let lines = maps.split(|&byte| byte == b'\n').filter_map(Line::parse);
        Some(lines.map(|line| self.mapping(pid, &line)).collect())
    }

    fn mapping(&mut self, pid: u32, line: &Line<'_>) -> Mapping {
        let file = if line.name == "[vdso]" { self.vdso() } else { self.mapped_file(pid, line) };
        Mapping { start: line.start, end: line.end, offset: line.offset, file }
    }

    fn mapped_file(&mut self, pid: u32, line: &Line<'_>) -> Option<FileId> {
        if line.inode == 0 || !line.name.starts_with('/') {
            return None;
        }
        let key = (line.device, line.inode);
        if let Some(&known) = self.by_inode.get(&key) {
            return Some(known);
        }
        let name = line.name.strip_suffix(" (deleted)").unwrap_or(line.name);
        let same = |file: &File| file.metadata().is_ok_and(|data| data.ino() == line.inode);
        let file = File::open(format!("/proc/{pid}/map_files/{:x}-{:x}", line.start, line.end))
            .or_else(|_| File::open(format!("/proc/{pid}/root{name}")))
            .ok()
            .filter(same);
        let id = self.add(MappedFile { name: name.into(), file });
        self.by_inode.insert(key, id);
        Some(id)
    }

    /// The code that the kernel maps into every process: the same for all, so it is copied from ours.
    fn vdso(&mut self) -> Option<FileId> {
        if self.vdso.is_none() {
            let file = own_vdso()?;
            self.vdso = Some(self.add(MappedFile { name: "[vdso]".into(), file: Some(file) }));
        }
        self.vdso
    }

    fn add(&mut self, file: MappedFile) -> FileId {
        self.files.push(file);
        FileId(self.files.len() as u32 - 1)
    }
}

impl MappedFile {
    /// By which path the file can be opened now. Its own, where that still is the same file, since its debug
    /// information may lie beside it.
    pub fn path(&self) -> Option<PathBuf> {
        let file = self.file.as_ref()?;
        let data = file.metadata().ok()?;
        let path = Path::new(&*self.name);
        let is_same =
            fs::metadata(path).is_ok_and(|other| (other.dev(), other.ino()) == (data.dev(), data.ino()));
        Some(if is_same { path.to_path_buf() } else { format!("/proc/self/fd/{}", file.as_raw_fd()).into() })
    }
}

fn find(mappings: &[Mapping], address: u64) -> Option<Mapping> {
    mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address)).copied()
}

impl Mapping {
    /// An address of it as an offset of the file.
    fn place(&self, address: u64) -> Option<Place> {
        Some(Place { file: self.file?, offset: address - self.start + self.offset })
    }
}

/// A line of `/proc/PID/maps`: `55d0c2a00000-55d0c2a28000 r-xp 00002000 08:01 1311 /usr/bin/cat`.
#[derive(Debug, PartialEq, Eq)]
struct Line<'t> {
    start: u64,
    end: u64,
    offset: u64,
    device: u64,
    inode: u64,
    /// Empty for memory that no file lies behind.
    name: &'t str,
}

impl<'t> Line<'t> {
    /// `None` for what is not executable.
    fn parse(line: &'t [u8]) -> Option<Line<'t>> {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let flags = words.next()?;
        let offset = words.next()?;
        let (major, minor) = words.next()?.split_once(':')?;
        let inode = words.next()?;
        let hex = |digits| u64::from_str_radix(digits, 16).ok();
        flags.contains('x').then_some(Line {
            start: hex(start)?,
            end: hex(end)?,
            offset: hex(offset)?,
            device: hex(major)? << 32 | hex(minor)?,
            inode: inode.parse().ok()?,
            name: words.next().unwrap_or("").trim_start(),
        })
    }
}

/// A copy of our own process's vdso, as a file that has no name.
fn own_vdso() -> Option<File> {
    let maps = fs::read("/proc/self/maps").ok()?;
    let mut lines = maps.split(|&byte| byte == b'\n').filter_map(Line::parse);
    let line = lines.find(|line| line.name == "[vdso]")?;
    let mut image = vec![0; usize::try_from(line.end - line.start).ok()?];
    File::open("/proc/self/mem").ok()?.read_exact_at(&mut image, line.start).ok()?;
    // SAFETY: a valid C string.
    let fd = unsafe { libc::memfd_create(c"vdso".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the kernel has just made this descriptor for us, nobody else owns it.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all(&image).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let line = Line::parse(b"55d0c2a00000-55d0c2a28000 r-xp 00002000 08:01 1311    /usr/bin/a cat");
        let expected = Line {
            start: 0x55d0c2a00000,
            end: 0x55d0c2a28000,
            offset: 0x2000,
            device: 8 << 32 | 1,
            inode: 1311,
            name: "/usr/bin/a cat",
        };
        assert_eq!(line, Some(expected));
        let anonymous = Line::parse(b"7f0000000000-7f0000001000 rwxp 00000000 00:00 0 ").unwrap();
        assert_eq!((anonymous.inode, anonymous.name), (0, ""));
        for other in
            [&b"7f0000000000-7f0000001000 r--p 00000000 00:00 0"[..], b"", b"x", b"1-2 r-xp", b"\xff"]
        {
            assert_eq!(Line::parse(other), None);
        }
    }

    #[test]
    fn a_function_of_our_own_is_in_our_own_file() {
        for keep in [true, false] {
            let mut spaces = Spaces::new(keep);
            let address = a_function_of_our_own_is_in_our_own_file as *const () as u64;
            let place = spaces.find(std::process::id(), address).unwrap();
            let own = std::env::current_exe().unwrap();
            assert_eq!(spaces.file(place.file).path(), Some(own));
            assert_eq!(spaces.find(std::process::id(), 1), None);
        }
    }

    #[test]
    fn a_process_that_has_ended_maps_nothing() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(Spaces::new(true).find(child.id(), 0x1000), None);
    }

    #[test]
    fn the_vdso_is_an_object() {
        let Some(file) = own_vdso() else { return println!("skipped: there is no vdso") };
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, 0).unwrap();
        assert_eq!(&magic, b"\x7fELF");
    }
}
