//! Where output goes: standard output or a file, with a buffer in between.
//!
//! Nothing here waits but [`Writer::close`]. A pipe or a terminal whose other side does not read is written to as far
//! as it takes bytes, and then is [blocked](Writer::watched): whoever produces output stops, and waits for the
//! descriptor and for whatever else it must not miss. For that the pipe is opened once more, since the flag that keeps
//! a write from waiting belongs to the description which other processes share with us. What cannot be opened again (a
//! socket) is asked before each write, which then is a small one.
//!
//! The first error ends all writing. It is kept, and what comes later is dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::session::events::{poll, readable};

/// As many bytes are collected while events come in a flood. One write of them costs a hundredth of producing them.
const LARGE: usize = 1 << 16;
/// More memory than this is given back once it is not needed any more.
const KEPT: usize = 1 << 20;
/// What a descriptor takes that says it is writable; of a pipe this is promised (PIPE_BUF).
const SMALL_WRITE: usize = 4096;

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

/// A place to write to.
#[derive(Debug)]
pub struct Writer {
    target: Target,
    buffering: Buffering,
    /// What was not written yet begins at `start`.
    buffer: Vec<u8>,
    start: usize,
    is_blocked: bool,
    broken: Option<io::Error>,
}

#[derive(Debug)]
enum Target {
    /// A write ends by itself.
    File(File),
    /// A write waits for nobody: it takes what there is room for.
    Stream(File),
    /// A write of more than there is room for would wait.
    Shared(File),
}

impl Writer {
    /// Standard output.
    pub fn to_stdout(buffering: Buffering) -> io::Result<Writer> {
        let own = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Writer::new(File::from(own), buffering))
    }

    /// A file, which is made, or emptied.
    pub fn to_file(path: &Path, buffering: Buffering) -> io::Result<Writer> {
        Ok(Writer::new(File::create(path)?, buffering))
    }

    pub(super) fn new(file: File, buffering: Buffering) -> Writer {
        Writer {
            target: Target::of(file),
            buffering,
            buffer: Vec::new(),
            start: 0,
            is_blocked: false,
            broken: None,
        }
    }

    /// Lets `write` append something, and says whether it did. Hands on what must not stay here.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.broken.is_some() {
            return false;
        }
        let before = self.buffer.len();
        write(&mut self.buffer);
        let has_more = self.buffer.len() > before;
        let now = match self.buffering {
            Buffering::None => has_more,
            Buffering::Line | Buffering::Full => self.buffer.len() - self.start >= LARGE,
        };
        if now && !self.is_blocked {
            self.write_all();
        }
        has_more
    }

    /// Hands on what is buffered, now that nothing more comes for the moment. With full buffering it stays, until it
    /// is much.
    pub fn flush(&mut self) {
        let is_much = self.buffer.len() - self.start >= LARGE;
        match self.buffering {
            Buffering::Full if !is_much && !self.is_blocked => {}
            Buffering::Full | Buffering::None | Buffering::Line => self.write_all(),
        }
    }

    /// Hands on everything, however long that takes; or as long as something is taken within every `patience`.
    /// Returns how many bytes were not taken.
    pub fn close(&mut self, patience: Option<Duration>) -> usize {
        loop {
            let before = self.buffer.len() - self.start;
            self.write_all();
            let rest = self.buffer.len() - self.start;
            if rest == 0 {
                return 0;
            }
            // A signal may end the waiting early: that is no end of the patience.
            let asked = Instant::now();
            let mut polled = [writable(self.target.file().as_fd())];
            let waited = poll(&mut polled, patience);
            let is_over = polled[0].revents == 0 && patience.is_some_and(|time| asked.elapsed() >= time);
            if waited.is_err() || is_over && rest == before {
                self.drop_buffer();
                return rest;
            }
        }
    }

    /// The descriptor by which it is told that the other side is gone or reads again, and whether more would only lie
    /// in memory now since the other side does not read. A file has no other side.
    pub fn watched(&self) -> Option<(BorrowedFd<'_>, bool)> {
        match &self.target {
            Target::File(_) => None,
            Target::Stream(file) | Target::Shared(file) => Some((file.as_fd(), self.is_blocked)),
        }
    }

    /// Why nothing is written any more. Where the other side is gone, this is a `BrokenPipe`.
    pub fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    /// Writes as much as is taken now.
    fn write_all(&mut self) {
        self.is_blocked = false;
        while self.start < self.buffer.len() {
            match self.target.write(&self.buffer[self.start..]) {
                Ok(0) => return self.fail(io::ErrorKind::WriteZero.into()),
                Ok(length) => self.start += length,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => {
                        self.is_blocked = true;
                        self.buffer.drain(..self.start);
                        self.start = 0;
                        return;
                    }
                    _ => return self.fail(error),
                },
            }
        }
        self.drop_buffer();
    }

    fn fail(&mut self, error: io::Error) {
        self.broken = Some(error);
        self.drop_buffer();
    }

    fn drop_buffer(&mut self) {
        self.buffer.clear();
        self.start = 0;
        if self.buffer.capacity() > KEPT {
            self.buffer.shrink_to(2 * LARGE);
        }
    }
}

impl Target {
    fn of(file: File) -> Target {
        let Ok(kind) = file.metadata().map(|data| data.file_type()) else { return Target::File(file) };
        if kind.is_socket() {
            return Target::Shared(file);
        }
        if !kind.is_fifo() && !kind.is_char_device() {
            return Target::File(file);
        }
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let again = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
        match again {
            Ok(own) => Target::Stream(own),
            Err(_) => Target::Shared(file),
        }
    }

    fn file(&self) -> &File {
        match self {
            Target::File(file) | Target::Stream(file) | Target::Shared(file) => file,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Target::File(file) | Target::Stream(file) => file.write(bytes),
            Target::Shared(file) => {
                let mut polled = [writable(file.as_fd())];
                poll(&mut polled, Some(Duration::ZERO))?;
                if polled[0].revents == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                file.write(&bytes[..bytes.len().min(SMALL_WRITE)])
            }
        }
    }
}

/// An entry of [`poll`]: room to write.
fn writable(fd: BorrowedFd<'_>) -> libc::pollfd {
    libc::pollfd { events: libc::POLLOUT, ..readable(fd) }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, pipe};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn over_pipe(buffering: Buffering) -> (PipeReader, Writer) {
        let (reader, writer) = pipe().unwrap();
        (reader, Writer::new(File::from(OwnedFd::from(writer)), buffering))
    }

    fn available(reader: &PipeReader) -> usize {
        let mut bytes = 0;
        // SAFETY: FIONREAD stores an int.
        assert_eq!(unsafe { libc::ioctl(reader.as_raw_fd(), libc::FIONREAD, &raw mut bytes) }, 0);
        bytes as usize
    }

    fn is_blocked(writer: &Writer) -> bool {
        matches!(writer.watched(), Some((_, true)))
    }

    #[test]
    fn when_it_is_handed_on() {
        for (buffering, after_append, after_flush) in
            [(Buffering::None, 5, 5), (Buffering::Line, 0, 5), (Buffering::Full, 0, 0)]
        {
            let (reader, mut writer) = over_pipe(buffering);
            assert!(writer.append(|out| out.extend_from_slice(b"text\n")));
            assert!(!writer.append(|_| {}));
            assert_eq!(available(&reader), after_append, "{buffering:?}");
            writer.flush();
            assert_eq!(available(&reader), after_flush, "{buffering:?}");
            assert_eq!(writer.close(None), 0);
            assert_eq!(available(&reader), 5, "{buffering:?}");
        }
        let (reader, mut writer) = over_pipe(Buffering::Full);
        writer.append(|out| out.resize(LARGE, b'x'));
        assert_eq!(available(&reader), LARGE);
    }

    #[test]
    fn a_full_pipe_blocks_and_loses_nothing() {
        let (mut reader, mut writer) = over_pipe(Buffering::Line);
        let text: Vec<u8> = (0..300_000u32).map(|index| (index % 251) as u8).collect();
        for part in text.chunks(1000) {
            writer.append(|out| out.extend_from_slice(part));
        }
        writer.flush();
        assert!(is_blocked(&writer));
        let mut seen = vec![0; 1 << 16];
        reader.read_exact(&mut seen).unwrap();
        writer.flush();
        assert!(is_blocked(&writer));
        let rest = std::thread::spawn(move || {
            reader.read_to_end(&mut seen).unwrap();
            seen
        });
        assert_eq!(writer.close(None), 0);
        drop(writer);
        assert_eq!(rest.join().unwrap(), text);
    }

    #[test]
    fn a_pipe_that_nobody_reads_does_not_get_the_rest() {
        let (reader, mut writer) = over_pipe(Buffering::Line);
        writer.append(|out| out.resize(1 << 20, b'x'));
        let dropped = writer.close(Some(Duration::from_millis(1)));
        assert_eq!(dropped, (1 << 20) - available(&reader));
        assert!(dropped > 0 && writer.broken().is_none());
        assert_eq!(writer.close(None), 0);
    }

    #[test]
    fn a_closed_pipe_is_told_and_swallows_the_rest() {
        let (reader, mut writer) = over_pipe(Buffering::Line);
        drop(reader);
        writer.append(|out| out.extend_from_slice(b"text\n"));
        writer.flush();
        assert_eq!(writer.broken().map(io::Error::kind), Some(io::ErrorKind::BrokenPipe));
        assert!(!writer.append(|out| out.extend_from_slice(b"more\n")));
        assert_eq!(writer.close(None), 0);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut writer = Writer::new(full, Buffering::None);
        writer.append(|out| out.push(b'x'));
        assert_eq!(writer.broken().and_then(io::Error::raw_os_error), Some(libc::ENOSPC));
    }

    #[test]
    fn a_socket_that_is_not_read_blocks_as_well() {
        let (mut reader, socket) = UnixStream::pair().unwrap();
        let mut writer = Writer::new(File::from(OwnedFd::from(socket)), Buffering::Line);
        writer.append(|out| out.resize(4 << 20, b'x'));
        assert!(is_blocked(&writer));
        let rest = std::thread::spawn(move || {
            let mut seen = Vec::new();
            reader.read_to_end(&mut seen).unwrap();
            seen.len()
        });
        assert_eq!(writer.close(None), 0);
        drop(writer);
        assert_eq!(rest.join().unwrap(), 4 << 20);
    }

    #[test]
    fn a_file_has_no_other_side() {
        let file = crate::bpf::test::memory_file(0);
        let mut writer = Writer::new(file.try_clone().unwrap(), Buffering::Line);
        assert!(writer.watched().is_none());
        writer.append(|out| out.extend_from_slice(b"text\n"));
        writer.flush();
        assert_eq!(file.metadata().unwrap().len(), 5);
        assert!(Writer::to_file(Path::new("/dev/null/none"), Buffering::Line).is_err());
    }
}
