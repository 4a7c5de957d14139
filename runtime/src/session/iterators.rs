//! Iterators: they run as they are read, each from its first object to its last.
//!
//! Where half of the ring is full, their programs leave for the time being (`codegen`'s `lower/iteration.rs`), and reading fails with
//! `EAGAIN`; so between two reads events are taken out, and none is lost. Those with a pin are not read here: the pin
//! keeps them, for others to read.

use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::bpf::{open_iterator, pin};

/// Bytes that are read at a time; a program prints none there unless it is pinned.
const CHUNK: usize = 4096;

/// The links of a session's iterators.
#[derive(Debug, Default)]
pub struct Iterators {
    /// The files of those that are not read to their end yet, in the order of the script.
    files: VecDeque<File>,
    pins: Vec<PathBuf>,
}

impl Iterators {
    /// Opens the iterator of a link for reading.
    pub fn open(&mut self, link: &OwnedFd) -> io::Result<()> {
        self.files.push_back(File::from(open_iterator(link)?));
        Ok(())
    }

    /// Pins a link.
    pub fn pin(&mut self, link: &OwnedFd, path: &Path) -> io::Result<()> {
        let name = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
        pin(link, &name)?;
        self.pins.push(path.to_owned());
        Ok(())
    }

    /// Where links are pinned.
    pub fn pins(&self) -> &[PathBuf] {
        &self.pins
    }

    /// Takes the pins back, where not all could be made.
    pub fn unpin(&mut self) {
        for path in self.pins.drain(..) {
            // Who removed it before us has done the same.
            let _ = fs::remove_file(path);
        }
    }

    /// Whether all are read to their ends.
    pub fn are_done(&self) -> bool {
        self.files.is_empty()
    }

    /// Reads on until an iterator ends, or has to wait.
    pub fn read(&mut self) -> io::Result<()> {
        let Some(file) = self.files.front_mut() else { return Ok(()) };
        match file.read(&mut [0; CHUNK]) {
            Ok(0) => {
                self.files.pop_front();
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
