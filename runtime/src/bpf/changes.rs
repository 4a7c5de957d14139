//! What processes map, and when they are made and end, as the kernel tells it: the side records of perf events.
//!
//! An event that never counts (`PERF_COUNT_SW_DUMMY`) is opened for every CPU, and its buffer gets a record for each
//! executable mapping, each fork and each exit of any process. `linux/perf_event.h` describes the records. They are read
//! as untrusted bytes.
//!
//! ```text
//! page 0              perf_event_mmap_page: data_head (written by the kernel), data_tail (by us)
//! pages 1 … 2^n       the records, each { u32 type, u16 misc, u16 size, … }, which may wrap around
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use perf_event_open_sys::bindings::{
    PERF_COUNT_SW_DUMMY, PERF_RECORD_EXIT, PERF_RECORD_FORK, PERF_RECORD_LOST, PERF_RECORD_MMAP2,
    PERF_SAMPLE_TIME, PERF_TYPE_SOFTWARE, perf_event_mmap_page,
};

use super::mapped::{Mapping, page_size};
use super::{errno, perf};

/// The records' memory of each CPU, in bytes: a power of two pages.
const ROOM: usize = 128 << 10;
/// Whoever waits is woken when so many bytes have come together: those of about one program's start.
const WAKEUP: u32 = 512;

/// What happened to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It mapped something executable.
    Mapped(MappedPart),
    /// It was made by another, whose memory it has.
    Forked { pid: u32, parent: u32 },
    /// Its first thread has ended.
    Ended { pid: u32 },
    /// There was no room for some records.
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedPart {
    pub pid: u32,
    pub start: u64,
    pub end: u64,
    /// Of `start` in the file.
    pub offset: u64,
    /// Zero where there is no file.
    pub inode: u64,
    /// Major number in the upper half, minor number in the lower one.
    pub device: u64,
    /// As the process sees it; `[vdso]`, `//anon` and the like where there is no file.
    pub name: String,
}

/// The changes from now on, of all processes.
#[derive(Debug)]
pub struct Changes {
    rings: Vec<Ring>,
}

#[derive(Debug)]
struct Ring {
    event: OwnedFd,
    memory: Mapping,
}

impl Changes {
    pub fn open() -> io::Result<Changes> {
        let mut rings = Vec::new();
        for cpu in 0..super::possible_cpus()? as u32 {
            match Ring::open(cpu) {
                Ok(ring) => rings.push(ring),
                // It is not switched on.
                Err(error) if errno(&error) == Some(libc::ENODEV) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Changes { rings })
    }

    /// Readable where something has happened.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.rings.iter().map(|ring| ring.event.as_fd())
    }

    /// Takes what has happened, in its order.
    pub fn take(&mut self) -> Vec<Change> {
        let mut records = Vec::new();
        for ring in &mut self.rings {
            ring.take(&mut |record| records.extend(parse(record)));
        }
        records.sort_by_key(|&(time, _)| time);
        records.into_iter().map(|(_, change)| change).collect()
    }
}

impl Ring {
    fn open(cpu: u32) -> io::Result<Ring> {
        let mut attr = perf::attr(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY.into());
        attr.set_mmap(1);
        attr.set_mmap2(1);
        attr.set_task(1);
        attr.set_sample_id_all(1);
        attr.sample_type = PERF_SAMPLE_TIME.into();
        attr.set_watermark(1);
        attr.__bindgen_anon_2.wakeup_watermark = WAKEUP;
        let event = perf::open(&mut attr, perf::Target::cpu(cpu))?;
        let memory = Mapping::new(event.as_fd(), 0, page_size() + ROOM, libc::PROT_READ | libc::PROT_WRITE)?;
        Ok(Ring { event, memory })
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: both words that are asked for lie in the first page of the mapping, aligned; the kernel and we access
        // them atomically.
        unsafe { AtomicU64::from_ptr(self.memory.start.as_ptr().add(offset).cast()) }
    }

    /// Calls `record` with each record.
    fn take(&mut self, record: &mut dyn FnMut(&[u8])) {
        let head = self.word(std::mem::offset_of!(perf_event_mmap_page, data_head)).load(Ordering::Acquire);
        let tail = self.word(std::mem::offset_of!(perf_event_mmap_page, data_tail));
        let mut at = tail.load(Ordering::Relaxed);
        let mut bytes = Vec::new();
        while at < head {
            let size = usize::from(u16::from_ne_bytes([self.byte(at + 6), self.byte(at + 7)]));
            if size < 8 || size as u64 > head - at {
                break;
            }
            bytes.clear();
            bytes.extend((at..at + size as u64).map(|at| self.byte(at)));
            record(&bytes);
            at += size as u64;
        }
        tail.store(head, Ordering::Release);
    }

    fn byte(&self, at: u64) -> u8 {
        let offset = page_size() + at as usize % ROOM;
        // SAFETY: inside the mapping. Between tail and head, which is where this reads, the kernel writes nothing.
        unsafe { self.memory.start.as_ptr().add(offset).read_volatile() }
    }
}

/// A record with its time, in nanoseconds of the kernel's clock.
fn parse(record: &[u8]) -> Option<(u64, Change)> {
    let u32_at = |at: usize| Some(u32::from_ne_bytes(*record.get(at..)?.first_chunk()?));
    let u64_at = |at: usize| Some(u64::from_ne_bytes(*record.get(at..)?.first_chunk()?));
    // `sample_id_all` puts what `sample_type` asks for behind every record.
    let end = record.len().checked_sub(8)?;
    let time = u64_at(end)?;
    let change = match u32_at(0)? {
        PERF_RECORD_MMAP2 => {
            let name = record.get(72..end)?;
            let name = &name[..name.iter().position(|&byte| byte == 0).unwrap_or(name.len())];
            let start = u64_at(16)?;
            Change::Mapped(MappedPart {
                pid: u32_at(8)?,
                start,
                end: start.checked_add(u64_at(24)?)?,
                offset: u64_at(32)?,
                device: u64::from(u32_at(40)?) << 32 | u64::from(u32_at(44)?),
                inode: u64_at(48)?,
                name: String::from_utf8_lossy(name).into_owned(),
            })
        }
        PERF_RECORD_FORK => {
            let (pid, parent) = (u32_at(8)?, u32_at(12)?);
            // A new thread has the number of its process.
            (pid != parent).then_some(Change::Forked { pid, parent })?
        }
        PERF_RECORD_EXIT => {
            let (pid, tid) = (u32_at(8)?, u32_at(16)?);
            (pid == tid).then_some(Change::Ended { pid })?
        }
        PERF_RECORD_LOST => Change::Lost,
        _ => return None,
    };
    Some((time, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_started_is_told_of() {
        let mut changes = match Changes::open() {
            Ok(changes) => changes,
            Err(error) => return println!("skipped: {error}"),
        };
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        child.wait().unwrap();
        let seen = changes.take();
        let pid = child.id();
        let parent = std::process::id();
        assert!(seen.contains(&Change::Forked { pid, parent }), "{seen:?}");
        assert!(seen.contains(&Change::Ended { pid }));
        let mapped = |change: &Change| match change {
            Change::Mapped(part) => part.pid == pid && part.name.ends_with("/true") && part.start < part.end,
            Change::Forked { .. } | Change::Ended { .. } | Change::Lost => false,
        };
        assert!(seen.iter().any(mapped));
    }

    #[test]
    fn records_that_are_cut_are_nothing() {
        let mut record = vec![0; 88];
        record[0] = PERF_RECORD_MMAP2 as u8;
        record[72..75].copy_from_slice(b"/ab");
        record[80] = 7;
        assert!(matches!(parse(&record), Some((7, Change::Mapped(part))) if part.name == "/ab"));
        for length in 0..80 {
            assert_eq!(parse(&record[..length]), None);
        }
        record[16..32].fill(0xff);
        assert_eq!(parse(&record), None);
    }
}
