//! The files that a script brings: those of this machine, or those that a program of its own carries (`aot.rs`).
//!
//! What is read from the machine is remembered, so that it can be carried away.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The bit of a file's mode that lets everybody write.
const OTHERS_WRITE: u32 = 0o002;

/// Where files are read. By default that is this machine.
#[derive(Debug, Default)]
pub struct Files {
    is_carried: bool,
    known: RefCell<BTreeMap<PathBuf, Entry>>,
}

/// What is known of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The files in a directory, sorted.
    Directory(Vec<PathBuf>),
    /// A script or a header, and its path without links.
    Text { resolved: PathBuf, text: String },
    /// The ELF object that was made of a program in C, and the program's path without links.
    Object { resolved: PathBuf, elf: Vec<u8> },
}

impl Files {
    /// Files that are there whatever the machine has; others are not.
    pub fn carried(known: BTreeMap<PathBuf, Entry>) -> Files {
        Files { is_carried: true, known: RefCell::new(known) }
    }

    /// What was read so far, by the paths that were asked for.
    pub fn known(&self) -> BTreeMap<PathBuf, Entry> {
        self.known.borrow().clone()
    }

    pub fn is_carried(&self) -> bool {
        self.is_carried
    }

    pub fn is_file(&self, path: &Path) -> bool {
        if !self.is_carried {
            return path.is_file();
        }
        matches!(self.get(path), Ok(Entry::Text { .. } | Entry::Object { .. }))
    }

    pub fn is_directory(&self, path: &Path) -> io::Result<bool> {
        if !self.is_carried {
            return Ok(fs::metadata(path)?.is_dir());
        }
        Ok(matches!(self.get(path)?, Entry::Directory(_)))
    }

    /// Whether everybody may change what is in a directory. Nobody changes what is carried.
    pub fn is_open_to_all(&self, directory: &Path) -> io::Result<bool> {
        Ok(!self.is_carried && fs::metadata(directory)?.mode() & OTHERS_WRITE != 0)
    }

    /// A path without links.
    pub fn resolved(&self, path: &Path) -> io::Result<PathBuf> {
        if !self.is_carried {
            return fs::canonicalize(path);
        }
        match self.get(path)? {
            Entry::Text { resolved, .. } | Entry::Object { resolved, .. } => Ok(resolved),
            Entry::Directory(_) => Ok(path.to_owned()),
        }
    }

    /// The paths in a directory, sorted.
    pub fn entries(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        if self.is_carried {
            return match self.get(path)? {
                Entry::Directory(entries) => Ok(entries),
                Entry::Text { .. } | Entry::Object { .. } => Err(io::ErrorKind::NotADirectory.into()),
            };
        }
        let mut entries = fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<PathBuf>>>()?;
        entries.sort();
        self.keep(path, Entry::Directory(entries.clone()));
        Ok(entries)
    }

    /// The bytes of a script or a header.
    pub fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.is_carried {
            return match self.get(path)? {
                Entry::Text { text, .. } => Ok(text.into_bytes()),
                Entry::Object { elf, .. } => Ok(elf),
                Entry::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
            };
        }
        let bytes = fs::read(path)?;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            self.keep_text(path, text);
        }
        Ok(bytes)
    }

    /// The text of a script or a header, without a byte order mark.
    pub fn text(&self, path: &Path) -> io::Result<String> {
        let no_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
        String::from_utf8(self.bytes(path)?).map(without_mark).map_err(no_text)
    }

    /// The object of a program in C, which `compile` makes where there is none yet.
    pub fn object<E>(&self, path: &Path, compile: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        if self.is_carried
            && let Ok(Entry::Object { elf, .. }) = self.get(path)
        {
            return Ok(elf);
        }
        let elf = compile()?;
        let resolved = self.resolved(path).unwrap_or_else(|_| path.to_owned());
        self.keep(path, Entry::Object { resolved, elf: elf.clone() });
        Ok(elf)
    }

    /// Remembers a text under a path, which need not be one of a file.
    pub fn keep_text(&self, path: &Path, text: &str) {
        let resolved = self.resolved(path).unwrap_or_else(|_| path.to_owned());
        self.keep(path, Entry::Text { resolved, text: text.to_owned() });
    }

    fn keep(&self, path: &Path, entry: Entry) {
        self.known.borrow_mut().insert(path.to_owned(), entry);
    }

    fn get(&self, path: &Path) -> io::Result<Entry> {
        self.known.borrow().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A text without the byte order mark that some editors put in front.
pub fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
}
