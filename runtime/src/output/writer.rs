//! Where output goes: a file, a pipe or a terminal, with a buffer before it.
//!
//! Nothing that is slow to take output may hold up the tracer, which must also hear of signals and of its child. So
//! what can block (a pipe, a terminal, a socket) is written to only as far as it says that it has room, in pieces that
//! then fit; the rest stays here until it has. The descriptor is shared with others, so it is not made non-blocking.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use crate::session::events::poll;

/// Once so much is waiting it is written, whatever the buffering mode is.
const FULL: usize = 64 << 10;
/// A pipe that is writable has room for so much (`PIPE_BUF`).
const PIECE: usize = 4096;

/// When what was printed is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffering {
    /// After each event.
    None,
    /// Before waiting for more: whoever reads sees whole lines at once.
    Line,
    /// When a good deal has come together.
    Full,
}

#[derive(Debug)]
pub struct Writer {
    fd: OwnedFd,
    can_block: bool,
    buffering: Buffering,
    /// What was printed and not written yet, from `written` on.
    pub buffer: Vec<u8>,
    written: usize,
    /// The last attempt found no room.
    is_blocked: bool,
    broken: Option<io::Error>,
}

impl Writer {
    pub fn to_stdout(buffering: Buffering) -> io::Result<Writer> {
        Ok(Writer::new(io::stdout().as_fd().try_clone_to_owned()?, buffering))
    }

    /// Makes a file, or empties one.
    pub fn to_file(path: &Path, buffering: Buffering) -> io::Result<Writer> {
        Ok(Writer::new(File::create(path)?.into(), buffering))
    }

    fn new(fd: OwnedFd, buffering: Buffering) -> Writer {
        // SAFETY: a struct of integers, for all of which zero is a value; the call fills it in.
        let (status, mode) = unsafe {
            let mut data: libc::stat = std::mem::zeroed();
            (libc::fstat(fd.as_raw_fd(), &raw mut data), data.st_mode & libc::S_IFMT)
        };
        // A device that is no terminal (/dev/null) takes everything.
        let is_terminal = || std::io::IsTerminal::is_terminal(&fd);
        let can_block = status == 0
            && (matches!(mode, libc::S_IFIFO | libc::S_IFSOCK) || mode == libc::S_IFCHR && is_terminal());
        Writer { fd, can_block, buffering, buffer: Vec::new(), written: 0, is_blocked: false, broken: None }
    }

    /// To be called when an event was printed.
    pub fn printed(&mut self) {
        if self.buffering == Buffering::None || self.buffer.len() - self.written >= FULL {
            self.write(Some(Duration::ZERO));
        }
    }

    /// To be called before waiting.
    pub fn flush(&mut self) {
        if self.buffering != Buffering::Full || self.is_blocked {
            self.write(Some(Duration::ZERO));
        }
    }

    /// Writes everything, however long that takes; or as long as something is taken within every `patience`. Returns
    /// how many bytes were not taken.
    pub fn close(&mut self, patience: Option<Duration>) -> usize {
        self.write(patience);
        let rest = self.buffer.len() - self.written;
        self.buffer.clear();
        self.written = 0;
        rest
    }

    /// The descriptor, where its other side may go away; and whether it had no room.
    pub fn watched(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.can_block.then(|| (self.fd.as_fd(), self.is_blocked))
    }

    pub fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    /// Writes what is waiting, as long as there is room within `patience`; without one, until all is written.
    fn write(&mut self, patience: Option<Duration>) {
        self.is_blocked = false;
        while self.broken.is_none() && self.written < self.buffer.len() {
            let rest = &self.buffer[self.written..];
            let piece = if self.can_block { &rest[..rest.len().min(PIECE)] } else { rest };
            if self.can_block {
                let mut room = [libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 }];
                match poll(&mut room, patience) {
                    Ok(()) if room[0].revents == 0 && patience.is_some() => {
                        self.is_blocked = true;
                        break;
                    }
                    Ok(()) if room[0].revents == 0 => continue,
                    Ok(()) => {}
                    Err(error) => {
                        self.broken = Some(error);
                        break;
                    }
                }
            }
            // SAFETY: as many bytes as the piece has.
            let result = unsafe { libc::write(self.fd.as_raw_fd(), piece.as_ptr().cast(), piece.len()) };
            match usize::try_from(result) {
                Ok(count) => self.written += count,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    // Somebody else made it non-blocking.
                    error if error.kind() == io::ErrorKind::WouldBlock => {
                        self.can_block = true;
                        if patience.is_some() {
                            self.is_blocked = true;
                            break;
                        }
                    }
                    error => self.broken = Some(error),
                },
            }
        }
        if self.broken.is_some() || self.written == self.buffer.len() {
            self.buffer.clear();
            self.written = 0;
        } else if self.written > FULL {
            self.buffer.drain(..self.written);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};

    use super::*;

    #[test]
    fn a_full_pipe_keeps_the_rest_and_does_not_block() {
        let (mut reader, writer) = pipe().unwrap();
        let mut out = Writer::new(writer.into(), Buffering::Line);
        let text: Vec<u8> = (0..300_000u32).map(|i| i as u8).collect();
        out.buffer.extend_from_slice(&text);
        out.flush();
        assert!(matches!(out.watched(), Some((_, true))));
        let mut read = vec![0; 10_000];
        reader.read_exact(&mut read).unwrap();
        out.flush();
        let thread = std::thread::spawn(move || {
            let mut all = read;
            reader.read_to_end(&mut all).unwrap();
            all
        });
        assert_eq!(out.close(None), 0);
        assert!(out.broken().is_none());
        drop(out);
        assert!(thread.join().unwrap() == text);
    }

    #[test]
    fn a_closed_pipe_is_broken_and_swallows_the_rest() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut out = Writer::new(writer.into(), Buffering::None);
        out.buffer.extend_from_slice(b"text");
        out.printed();
        assert_eq!(out.broken().map(io::Error::kind), Some(io::ErrorKind::BrokenPipe));
        out.buffer.extend_from_slice(b"text");
        out.close(None);
        assert!(out.buffer.is_empty());
    }

    #[test]
    fn a_pipe_that_nobody_reads_does_not_get_the_rest() {
        let (_reader, writer) = pipe().unwrap();
        let mut out = Writer::new(writer.into(), Buffering::Line);
        out.buffer.resize(1 << 20, b'x');
        let dropped = out.close(Some(Duration::from_millis(1)));
        assert!(dropped > 0 && dropped < 1 << 20);
        assert!(out.buffer.is_empty() && out.broken().is_none());
    }

    #[test]
    fn buffering_says_when_it_is_written() {
        let (mut reader, writer) = pipe().unwrap();
        let mut out = Writer::new(writer.into(), Buffering::Full);
        out.buffer.extend_from_slice(b"one");
        out.printed();
        out.flush();
        assert_eq!(out.buffer, b"one");
        out.buffering = Buffering::Line;
        out.printed();
        assert_eq!(out.buffer, b"one");
        out.flush();
        assert!(out.buffer.is_empty());
        let mut read = [0; 3];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"one");
    }

    #[test]
    fn a_full_disk_is_told() {
        let mut out = Writer::to_file(Path::new("/dev/full"), Buffering::Line).unwrap();
        out.buffer.extend_from_slice(b"text");
        out.flush();
        assert_eq!(out.broken().and_then(io::Error::raw_os_error), Some(libc::ENOSPC));
    }
}
