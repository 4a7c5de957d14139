//! What processes map, and the files behind it.
//!
//! It is told of what processes map from now on ([`Spaces::apply`]), and asks them (`/proc/PID/maps`) for what they had
//! before. Files are opened at once, through the process's own view: so it does not matter whether they are deleted
//! later, or lie in another mount namespace.
//!
//! What was mapped once is kept, also when the process executes another program, or ends: addresses of before may still be
//! asked for. Where two mappings overlap, the later one counts. Only what is executable is of interest.
//!
//! All of it has bounds, since a tracer may run for months: processes that ended long ago are forgotten, and with them the files that
//! nobody else maps; files of ended processes are closed where too many are open, and found by their names from then on.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::bpf::changes::{Change, MappedPart};

/// So many processes that have ended are kept.
const ENDED: usize = 16 << 10;
/// So many mappings of a process are kept: a process that makes code while it runs may map and unmap without end.
const MAPPINGS: usize = 4 << 10;
/// So many files stay open.
const OPEN: usize = 1 << 10;

/// Address spaces of processes.
#[derive(Debug, Default)]
pub struct Spaces {
    processes: FxHashMap<u32, Process>,
    /// Those that have ended, the first one first.
    ended: VecDeque<u32>,
    /// A number is given once, so that whoever has kept one never finds another file.
    files: BTreeMap<FileId, MappedFile>,
    next_file: u32,
    /// By device and inode.
    by_inode: FxHashMap<(u64, u64), FileId>,
    vdso: Option<FileId>,
    /// How many files are open, or were so before they were forgotten.
    open: usize,
    /// How often files were closed.
    closed: u64,
}

#[derive(Debug, Default)]
struct Process {
    /// Later ones behind earlier ones. Shared by processes that were forked.
    mappings: Arc<Vec<Mapping>>,
    /// Whether it was asked for what it had mapped before it was followed.
    asked: bool,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// An address as an offset of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub file: FileId,
    pub offset: u64,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Place(Place),
    /// Memory that no file lies behind.
    Nameless,
    Nothing,
    /// Nothing yet: the process may know more.
    Unknown,
}

/// A file that is, or was, mapped somewhere.
#[derive(Debug)]
pub struct MappedFile {
    /// As the process calls it, or `[vdso]`.
    pub name: Arc<str>,
    inode: u64,
    /// `None` where it could not be opened, or is closed again.
    file: Option<Arc<File>>,
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
    /// The file that lies at an address of a process, as far as is known.
    pub fn find(&self, pid: u32, address: u64) -> Found {
        let Some(process) = self.processes.get(&pid) else { return Found::Unknown };
        let mut later_first = process.mappings.iter().rev();
        match later_first.find(|mapping| (mapping.start..mapping.end).contains(&address)) {
            Some(mapping) => match mapping.file {
                Some(file) => Found::Place(Place { file, offset: address - mapping.start + mapping.offset }),
                None => Found::Nameless,
            },
            None if process.asked || process.ended => Found::Nothing,
            None => Found::Unknown,
        }
    }

    /// Asks a process what it maps, unless it was asked already.
    pub fn ask_once(&mut self, pid: u32) {
        if !self.processes.get(&pid).is_some_and(|process| process.asked) {
            self.ask(pid);
        }
    }

    /// Asks a process what it maps now.
    pub fn ask(&mut self, pid: u32) {
        let Some(maps) = fs::read(format!("/proc/{pid}/maps")).ok().filter(|maps| !maps.is_empty()) else {
            return;
        };
        for part in maps.split(|&byte| byte == b'\n').filter_map(|line| part_of_line(pid, line)) {
            self.add(&part);
        }
        self.processes.entry(pid).or_default().asked = true;
    }

    /// Takes note of a change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Mapped(part) => self.add(part),
            Change::Forked { pid, parent } => {
                self.ask_once(*parent);
                let Some(parent) = self.processes.get(parent) else { return };
                let (asked, mut mappings) = (parent.asked, Arc::clone(&parent.mappings));
                // What is known of the number already is of a process that had it before.
                if let Some(process) = self.processes.get(pid)
                    && !process.ended
                {
                    Arc::make_mut(&mut mappings).extend_from_slice(&process.mappings);
                }
                self.processes.insert(*pid, Process { mappings, asked, ended: false });
            }
            Change::Ended { pid } => {
                self.processes.entry(*pid).or_default().ended = true;
                self.ended.push_back(*pid);
                if self.ended.len() > ENDED
                    && let Some(first) = self.ended.pop_front()
                    && self.processes.get(&first).is_some_and(|process| process.ended)
                {
                    self.processes.remove(&first);
                }
            }
            // They may have been anyone's: all that still live are asked again when they are asked for.
            Change::Lost => self.processes.values_mut().for_each(|process| process.asked = false),
        }
    }

    /// Adds a mapping, in place of those that it covers.
    fn add(&mut self, part: &MappedPart) {
        let file = if part.name == "[vdso]" { self.vdso() } else { self.mapped_file(part) };
        let new = Mapping { start: part.start, end: part.end, offset: part.offset, file };
        let mappings = &mut self.processes.entry(part.pid).or_default().mappings;
        if !mappings.contains(&new) {
            let mappings = Arc::make_mut(mappings);
            mappings.retain(|old| old.start < new.start || old.end > new.end);
            if mappings.len() >= MAPPINGS {
                mappings.drain(..MAPPINGS / 4);
            }
            mappings.push(new);
        }
    }

    /// `None` for one that nobody maps any more.
    pub fn file(&self, id: FileId) -> Option<&MappedFile> {
        self.files.get(&id)
    }

    /// How often files were closed so far, whose descriptors may be others' since.
    pub fn closed(&self) -> u64 {
        self.closed
    }

    fn mapped_file(&mut self, part: &MappedPart) -> Option<FileId> {
        if part.inode == 0 || !part.name.starts_with('/') {
            return None;
        }
        let key = (part.device, part.inode);
        if let Some(&known) = self.by_inode.get(&key)
            && self.file(known).is_some_and(|file| file.file.is_some())
        {
            return Some(known);
        }
        let (pid, name) = (part.pid, part.name.strip_suffix(" (deleted)").unwrap_or(&part.name));
        let is_same = |file: &File| file.metadata().is_ok_and(|data| data.ino() == part.inode);
        // A process that has ended has no view any more. Ours may be the same.
        let file = File::open(format!("/proc/{pid}/map_files/{:x}-{:x}", part.start, part.end))
            .or_else(|_| File::open(format!("/proc/{pid}/root{name}")))
            .or_else(|_| File::open(name))
            .ok()
            .filter(is_same)
            .map(Arc::new);
        let id = self.add_file(MappedFile { name: name.into(), inode: part.inode, file });
        self.by_inode.insert(key, id);
        Some(id)
    }

    /// The code that the kernel maps into every process: the same for all, so it is copied from ours.
    fn vdso(&mut self) -> Option<FileId> {
        if self.vdso.is_none() {
            let file = own_vdso()?;
            let file = MappedFile { name: "[vdso]".into(), inode: 0, file: Some(Arc::new(file)) };
            self.vdso = Some(self.add_file(file));
        }
        self.vdso
    }

    fn add_file(&mut self, file: MappedFile) -> FileId {
        if self.open >= OPEN {
            self.sweep();
        }
        self.open += usize::from(file.file.is_some());
        let id = FileId(self.next_file);
        self.next_file += 1;
        self.files.insert(id, file);
        id
    }

    /// Forgets the files that no process maps, and closes the oldest where too many are open, first those that only ended processes map.
    fn sweep(&mut self) {
        let of = |ended: bool| {
            let processes = self.processes.values().filter(move |process| process.ended == ended);
            processes.flat_map(|process| process.mappings.iter().filter_map(|mapping| mapping.file))
        };
        let live: FxHashSet<FileId> = of(false).chain(self.vdso).collect();
        let ended: FxHashSet<FileId> = of(true).collect();
        self.files.retain(|id, _| live.contains(id) || ended.contains(id));
        self.by_inode.retain(|_, id| self.files.contains_key(id));
        let is_open = |(id, file): (&FileId, &MappedFile)| file.file.is_some().then_some(*id);
        let mut open: Vec<FileId> = self.files.iter().filter_map(is_open).collect();
        open.sort_by_key(|id| (live.contains(id), *id));
        let more = open.len().saturating_sub(OPEN / 2);
        for id in open.drain(..more).filter(|id| Some(*id) != self.vdso) {
            self.files.entry(id).and_modify(|file| file.file = None);
        }
        self.open = open.len();
        self.closed += 1;
    }
}

impl MappedFile {
    /// By which path the file can be opened now: its own, where that still is the same file, since its debug
    /// information may lie beside it; otherwise the path of our descriptor, which is open as long as what is returned with it is kept.
    pub fn path(&self) -> Option<(PathBuf, Option<Arc<File>>)> {
        let path = Path::new(&*self.name);
        let at_path = fs::metadata(path).ok();
        let Some(file) = &self.file else {
            let is_same = self.inode != 0 && at_path.is_some_and(|data| data.ino() == self.inode);
            return is_same.then(|| (path.to_path_buf(), None));
        };
        let data = file.metadata().ok()?;
        Some(match at_path {
            Some(other) if (other.dev(), other.ino()) == (data.dev(), data.ino()) => {
                (path.to_path_buf(), None)
            }
            Some(_) | None => (format!("/proc/self/fd/{}", file.as_raw_fd()).into(), Some(Arc::clone(file))),
        })
    }
}

/// A line of `/proc/PID/maps`: `55d0c2a00000-55d0c2a28000 r-xp 00002000 08:01 1311 /usr/bin/cat`. `None` for what is not
/// executable.
fn part_of_line(pid: u32, line: &[u8]) -> Option<MappedPart> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let flags = words.next()?;
    let offset = words.next()?;
    let (major, minor) = words.next()?.split_once(':')?;
    let inode = words.next()?;
    let hex = |digits| u64::from_str_radix(digits, 16).ok();
    flags.contains('x').then_some(MappedPart {
        pid,
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        device: hex(major)? << 32 | hex(minor)?,
        inode: inode.parse().ok()?,
        name: words.next().unwrap_or("").trim_start().to_owned(),
    })
}

/// A copy of our own process's vdso, as a file that has no name.
fn own_vdso() -> Option<File> {
    let maps = fs::read("/proc/self/maps").ok()?;
    let mut parts = maps.split(|&byte| byte == b'\n').filter_map(|line| part_of_line(0, line));
    let line = parts.find(|part| part.name == "[vdso]")?;
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

    const FILE: &str = "55d0c2a00000-55d0c2a28000 r-xp 00002000 08:01 1311    /usr/bin/a cat";

    fn part(pid: u32, start: u64, end: u64) -> MappedPart {
        let name = "//anon".to_owned();
        MappedPart { pid, start, end, offset: 0, device: 0, inode: 0, name }
    }

    #[test]
    fn lines_of_maps() {
        let expected = MappedPart {
            pid: 7,
            start: 0x55d0c2a00000,
            end: 0x55d0c2a28000,
            offset: 0x2000,
            device: 8 << 32 | 1,
            inode: 1311,
            name: "/usr/bin/a cat".to_owned(),
        };
        assert_eq!(part_of_line(7, FILE.as_bytes()), Some(expected));
        let anonymous = part_of_line(7, b"7f0000000000-7f0000001000 rwxp 00000000 00:00 0 ").unwrap();
        assert_eq!((anonymous.inode, anonymous.name), (0, String::new()));
        for other in
            [&b"7f0000000000-7f0000001000 r--p 00000000 00:00 0"[..], b"", b"x", b"1-2 r-xp", b"\xff"]
        {
            assert_eq!(part_of_line(7, other), None);
        }
    }

    #[test]
    fn a_function_of_our_own_is_in_our_own_file() {
        let mut spaces = Spaces::default();
        let (pid, address) = (std::process::id(), lines_of_maps as *const () as u64);
        assert_eq!(spaces.find(pid, address), Found::Unknown);
        spaces.ask_once(pid);
        let Found::Place(place) = spaces.find(pid, address) else { panic!("it is nowhere") };
        let path = spaces.file(place.file).and_then(MappedFile::path).map(|(path, _)| path);
        assert_eq!(path, std::env::current_exe().ok());
        assert_eq!(spaces.find(pid, 1), Found::Nothing);
    }

    #[test]
    fn a_process_that_has_ended_cannot_be_asked() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let mut spaces = Spaces::default();
        spaces.ask(child.id());
        assert_eq!(spaces.find(child.id(), 0x1000), Found::Unknown);
    }

    #[test]
    fn a_forked_process_has_what_its_parent_had() {
        // No process has numbers as large as these.
        let (parent, child) = (u32::MAX, u32::MAX - 1);
        let mut spaces = Spaces::default();
        spaces.apply(&Change::Mapped(part(parent, 0x1000, 0x2000)));
        spaces.apply(&Change::Forked { pid: child, parent });
        spaces.apply(&Change::Mapped(part(parent, 0x3000, 0x4000)));
        spaces.apply(&Change::Mapped(part(child, 0x5000, 0x6000)));
        assert_eq!(spaces.find(child, 0x1fff), Found::Nameless);
        assert_eq!(spaces.find(child, 0x3000), Found::Unknown);
        assert_eq!(spaces.find(parent, 0x5000), Found::Unknown);
        assert_eq!(spaces.find(child, 0x5000), Found::Nameless);
        // After its end it cannot know more.
        spaces.apply(&Change::Ended { pid: child });
        assert_eq!(spaces.find(child, 0x3000), Found::Nothing);
        // Another one with the same number begins anew.
        spaces.apply(&Change::Forked { pid: child, parent });
        assert_eq!(spaces.find(child, 0x5000), Found::Unknown);
        assert_eq!(spaces.find(child, 0x3000), Found::Nameless);
    }

    #[test]
    fn the_later_of_two_mappings_counts() {
        let mut spaces = Spaces::default();
        let pid = u32::MAX;
        spaces.apply(&Change::Mapped(part(pid, 0x1000, 0x2000)));
        spaces.apply(&Change::Mapped(part(pid, 0x1000, 0x3000)));
        spaces.apply(&Change::Mapped(part(pid, 0x1000, 0x3000)));
        assert_eq!(spaces.processes[&pid].mappings.len(), 1);
        spaces.apply(&Change::Mapped(part(pid, 0x2000, 0x2800)));
        assert_eq!(spaces.processes[&pid].mappings.len(), 2);
    }

    #[test]
    fn as_many_as_are_kept_of_those_that_have_ended() {
        let mut spaces = Spaces::default();
        for pid in 0..ENDED as u32 + 10 {
            spaces.apply(&Change::Ended { pid });
        }
        assert_eq!(spaces.processes.len(), ENDED);
    }

    #[test]
    fn a_process_that_maps_without_end_stays_small() {
        let mut spaces = Spaces::default();
        let pid = u32::MAX;
        for at in 0..3 * MAPPINGS as u64 {
            spaces.apply(&Change::Mapped(part(pid, at << 12, (at + 1) << 12)));
        }
        assert!(spaces.processes[&pid].mappings.len() <= MAPPINGS);
        assert_eq!(spaces.find(pid, (3 * MAPPINGS as u64 - 1) << 12), Found::Nameless);
    }

    #[test]
    fn files_are_closed_and_forgotten() {
        let directory = std::env::temp_dir().join(format!("rtscript-spaces-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut spaces = Spaces::default();
        let mapped = |pid: u32, name: &str| {
            let path = directory.join(name);
            fs::write(&path, name).unwrap();
            let name = path.to_string_lossy().into_owned();
            let inode = fs::metadata(&path).unwrap().ino();
            Change::Mapped(MappedPart { pid, start: 0x1000, end: 0x2000, offset: 0, device: 0, inode, name })
        };
        let ours = u32::MAX;
        spaces.apply(&mapped(ours, "ours"));
        let Found::Place(place) = spaces.find(ours, 0x1000) else { panic!("it is nowhere") };
        // The number of each is one that nobody has, and more files are mapped than may be open.
        let others = ours - 3 * OPEN as u32..ours;
        for pid in others.clone() {
            spaces.apply(&mapped(pid, &pid.to_string()));
            spaces.apply(&Change::Ended { pid });
        }
        assert!(spaces.open <= OPEN && spaces.closed() > 0);
        assert_eq!(spaces.file(place.file).unwrap().path().unwrap().0, directory.join("ours"));
        // One that is closed is found by its name, unless that is another file by now.
        let Found::Place(first) = spaces.find(others.start, 0x1000) else { panic!("it is nowhere") };
        let first = spaces.file(first.file).unwrap();
        assert!(first.file.is_none());
        assert_eq!(first.path().unwrap().0, directory.join(others.start.to_string()));
        fs::remove_file(directory.join(others.start.to_string())).unwrap();
        assert!(first.path().is_none());
        // Nobody maps them any more.
        others.clone().for_each(|pid| drop(spaces.processes.remove(&pid)));
        spaces.sweep();
        assert_eq!(spaces.files.len(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn the_vdso_is_an_object() {
        let Some(file) = own_vdso() else { return println!("skipped: there is no vdso") };
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, 0).unwrap();
        assert_eq!(&magic, b"\x7fELF");
    }
}
