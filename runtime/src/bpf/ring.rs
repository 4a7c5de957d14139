//! The consumer of a BPF ring buffer.
//!
//! The ring is three mappings of one map: a page with the consumer's position, which we write; a page with the producers'; and the
//! data, mapped twice in a row so that a record is never cut. Positions only grow; the place of one is its remainder.
//!
//! ```text
//!               consumer            producer
//!                  |                    |
//!   ---- free -----| len,flags | record | len,flags | record |---- free ----
//!                    8 bytes     padded to 8 bytes
//! ```
//!
//! A record's header has a bit for "busy" (still being written: everything behind it waits, since order is kept) and one for
//! "discarded".
//!
//! *Ordering.* The producer's position is loaded with Acquire, so that headers below it are visible; a header with Acquire, so that
//! a record that is not busy is visible; and our position is stored with Release, so that we are done with a record when the kernel
//! writes over it.
//!
//! *Why not `aya`'s ring.* Version 0.14 publishes the position and issues a full fence (on x86 some 20 cycles, in which nothing
//! overlaps) for every record. The fence is needed only so that a producer which wakes us adaptively cannot miss that we are about to
//! sleep: once for each time the ring is found empty is enough. And every store to the position takes its cache line from the
//! producers, which read it for each reservation. Here both happen once for many records.
//!
//! There must be one `Ring` for a map at most: two consumers would write over each other's position.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use aya_obj::generated::{BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ, bpf_map_type};

use super::mapped::{Mapping, page_size};
use super::{Map, invalid_input};

const HEADER: u64 = BPF_RINGBUF_HDR_SZ as u64;

/// Room is given back to the producers after this many bytes, even in the middle of a batch: before they run out of it, and often
/// enough that the memory is still in a cache.
const PUBLISH_AFTER: u64 = 64 << 10;

/// The one consumer of a ring buffer map. Its descriptor can be polled: it is readable while there are records.
#[derive(Debug)]
pub struct Ring {
    fd: OwnedFd,
    consumer: Mapping,
    /// The producers' page, and the data twice.
    producer: Mapping,
    /// Where the data starts in that mapping.
    data_offset: usize,
    /// In bytes, a power of two.
    size: u64,
    /// Ours, as published or further.
    position: u64,
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Ring {
    /// Maps a ring buffer map. It is created by the kernel with a size that is a power of two.
    pub fn new(map: &Map) -> io::Result<Ring> {
        if !map.is_kind(bpf_map_type::BPF_MAP_TYPE_RINGBUF) {
            return Err(invalid_input("only a ring buffer map can be consumed"));
        }
        Ring::over(map.as_fd(), map.max_entries() as usize)
    }

    /// `size` is a power of two.
    pub(crate) fn over(fd: BorrowedFd<'_>, size: usize) -> io::Result<Ring> {
        let page = page_size();
        let consumer = Mapping::new(fd, 0, page, libc::PROT_READ | libc::PROT_WRITE)?;
        let producer = Mapping::new(fd, page, page + 2 * size, libc::PROT_READ)?;
        let mut ring = Ring {
            fd: fd.try_clone_to_owned()?,
            consumer,
            producer,
            data_offset: page,
            size: size as u64,
            position: 0,
        };
        ring.position = ring.consumer_position().load(Ordering::Relaxed);
        Ok(ring)
    }

    /// Hands up to `max` records to `read`, in the order in which they were reserved, and returns how many it were.
    ///
    /// Fewer than `max` mean that the ring was empty, or its next record still being written, *after* our position was published: it
    /// is now safe to wait for the descriptor to become readable, also where producers wake adaptively.
    pub fn drain(&mut self, max: usize, mut read: impl FnMut(&[u8])) -> usize {
        self.drain_while(max, u64::MAX, |record| {
            read(record);
            true
        })
    }

    /// The same, until `read` says `false` (that record is the last one taken), or the position `until` is reached.
    pub fn drain_while(&mut self, max: usize, until: u64, mut read: impl FnMut(&[u8]) -> bool) -> usize {
        let mut count = 0;
        let mut go_on = true;
        loop {
            let before = self.position;
            count += self.drain_once(max - count, until, &mut |record| {
                go_on = read(record);
                go_on
            });
            self.publish();
            if self.position == before || count == max || !go_on {
                return count;
            }
            // A producer that commits a record now must see our position, or we its record.
            fence(Ordering::SeqCst);
        }
    }

    /// Up to where records were taken; the positions of records only grow.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes are in the ring, with headers, padding and records that are still being written.
    pub fn available(&self) -> u64 {
        self.producer_position().load(Ordering::Acquire).saturating_sub(self.position)
    }

    /// The size of the ring, in bytes.
    pub fn capacity(&self) -> u64 {
        self.size
    }

    /// Reads what is complete at the moment.
    fn drain_once(&mut self, max: usize, until: u64, read: &mut impl FnMut(&[u8]) -> bool) -> usize {
        let mut count = 0;
        let mut published = self.position;
        let end = self.producer_position().load(Ordering::Acquire);
        let until = until.min(end);
        while self.position < until && count < max {
            let place = (self.position & (self.size - 1)) as usize;
            let header = self.header(place).load(Ordering::Acquire);
            if header & BPF_RINGBUF_BUSY_BIT != 0 {
                break;
            }
            let len = u64::from(header & !BPF_RINGBUF_DISCARD_BIT);
            let next = self.position + (len + HEADER).next_multiple_of(8);
            if next > end {
                // No kernel writes this; reading on would leave the mapping.
                break;
            }
            let mut go_on = true;
            if header & BPF_RINGBUF_DISCARD_BIT == 0 {
                go_on = read(self.record(place, len as usize));
                count += 1;
            }
            self.position = next;
            if !go_on {
                break;
            }
            if self.position - published >= PUBLISH_AFTER {
                self.publish();
                published = self.position;
            }
        }
        count
    }

    /// Gives the room before our position back to the producers.
    fn publish(&self) {
        self.consumer_position().store(self.position, Ordering::Release);
    }

    fn consumer_position(&self) -> &AtomicU64 {
        // SAFETY: the position is the first word of its page, which is mapped for reading and writing and is only accessed atomically.
        unsafe { AtomicU64::from_ptr(self.consumer.start.as_ptr().cast()) }
    }

    fn producer_position(&self) -> &AtomicU64 {
        // SAFETY: the position is the first word of its page, which the kernel writes atomically; we only load.
        unsafe { AtomicU64::from_ptr(self.producer.start.as_ptr().cast()) }
    }

    fn header(&self, place: usize) -> &AtomicU32 {
        // SAFETY: `place` is below the ring's size, a multiple of 8 (positions are), and the data is mapped twice; we only load.
        unsafe { AtomicU32::from_ptr(self.producer.start.as_ptr().add(self.data_offset + place).cast()) }
    }

    fn record(&self, place: usize, len: usize) -> &[u8] {
        // SAFETY: the record was found to end before the producers' position, which is at most one size ahead of ours, so that it
        // lies in the double mapping. It is not busy, so that no program writes to it, and is not given back while it is borrowed.
        unsafe {
            let start = self.producer.start.as_ptr().add(self.data_offset + place + HEADER as usize);
            std::slice::from_raw_parts(start, len)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use aya_obj::generated::bpf_prog_type;

    use super::super::test::{EXIT, call, insn, load_map, mov, mov_reg, requires_bpf};
    use super::super::{MapSpec, Program, ProgramSpec, TestRun};
    use super::*;

    const NO_WAKEUP: i32 = 1;
    const RESERVE: i32 = 131;
    const SUBMIT: i32 = 132;
    const DISCARD: i32 = 133;

    fn ring_map() -> Map {
        Map::create(&MapSpec::new(bpf_map_type::BPF_MAP_TYPE_RINGBUF, "events", 0, 0, 4096 * 4), 1).unwrap()
    }

    /// A program that writes a record of `len` bytes whose first 8 are its first argument, and ends it with `finish`.
    fn producer(map: &Map, len: i32, finish: i32) -> Program {
        let [lo, hi] = load_map(1, map.as_fd().as_raw_fd());
        let insns = [
            insn(0x79, 6, 1, 0, 0),
            lo,
            hi,
            mov(2, len),
            mov(3, 0),
            call(RESERVE),
            // if r0 == 0 return 1
            insn(0x55, 0, 0, 2, 0),
            mov(0, 1),
            EXIT,
            insn(0x7b, 0, 6, 0, 0),
            mov_reg(1, 0),
            mov(2, NO_WAKEUP),
            call(finish),
            mov(0, 0),
            EXIT,
        ];
        Program::load(&ProgramSpec::new(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, "produce", &insns))
            .unwrap()
    }

    /// True where there was room.
    fn produce(program: &Program, value: u64) -> bool {
        let mut context = value.to_ne_bytes();
        let run = TestRun { context: &mut context, ..TestRun::default() };
        program.test_run(run).unwrap().return_value == 0
    }

    fn first(record: &[u8]) -> u64 {
        u64::from_ne_bytes(record[..8].try_into().unwrap())
    }

    #[test]
    fn records_come_in_order_round_and_round() {
        if !requires_bpf() {
            return;
        }
        let map = ring_map();
        let (short, long) = (producer(&map, 13, SUBMIT), producer(&map, 1001, SUBMIT));
        let mut ring = Ring::new(&map).unwrap();
        let (mut sent, mut seen) = (0, 0);
        for _ in 0..40 {
            for _ in 0..6 {
                assert!(produce(if sent % 3 == 0 { &long } else { &short }, sent));
                sent += 1;
            }
            assert!(ring.available() > 0);
            let count = ring.drain(usize::MAX, |record| {
                assert_eq!(first(record), seen);
                assert_eq!(record.len(), if seen % 3 == 0 { 1001 } else { 13 });
                seen += 1;
            });
            assert_eq!(count, 6);
            assert_eq!(ring.available(), 0);
        }
        assert_eq!(seen, sent);
    }

    #[test]
    fn a_full_ring_has_room_again_after_a_drain_and_max_is_kept() {
        if !requires_bpf() {
            return;
        }
        let map = ring_map();
        let program = producer(&map, 1000, SUBMIT);
        let mut ring = Ring::new(&map).unwrap();
        let mut sent = 0;
        while produce(&program, sent) {
            sent += 1;
        }
        assert_eq!(sent, ring.capacity() / 1008);
        assert_eq!(ring.available(), sent * 1008);
        let mut seen = 0;
        assert_eq!(ring.drain(1, |record| seen += 1 + first(record)), 1);
        assert_eq!(seen, 1);
        assert!(produce(&program, sent));
        assert_eq!(ring.drain(usize::MAX, |_| seen += 1), sent as usize);
        assert_eq!(ring.drain(usize::MAX, |_| seen += 1), 0);
        assert_eq!(ring.drain(0, |_| seen += 1), 0);
        assert_eq!(seen, sent + 1);
    }

    #[test]
    fn discarded_records_are_passed_over() {
        if !requires_bpf() {
            return;
        }
        let map = ring_map();
        let (kept, discarded) = (producer(&map, 16, SUBMIT), producer(&map, 16, DISCARD));
        let mut ring = Ring::new(&map).unwrap();
        for i in 0..10 {
            assert!(produce(if i % 2 == 0 { &kept } else { &discarded }, i));
        }
        let mut seen = vec![];
        assert_eq!(ring.drain(usize::MAX, |record| seen.push(first(record))), 5);
        assert_eq!(seen, [0, 2, 4, 6, 8]);
        assert_eq!(ring.available(), 0);
    }

    #[test]
    fn the_descriptor_is_readable_while_there_are_records() {
        if !requires_bpf() {
            return;
        }
        let map = ring_map();
        let program = producer(&map, 8, SUBMIT);
        let mut ring = Ring::new(&map).unwrap();
        let readable = |ring: &Ring| {
            let mut poll = libc::pollfd { fd: ring.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry is passed.
            unsafe { libc::poll(&mut poll, 1, 0) == 1 }
        };
        assert!(!readable(&ring));
        produce(&program, 1);
        assert!(readable(&ring));
        ring.drain(usize::MAX, |_| ());
        assert!(!readable(&ring));
    }

    /// A ring made by hand: the same layout in a file, whose data the test writes.
    #[test]
    fn a_busy_record_holds_back_those_behind_it_and_a_broken_one_is_not_followed() {
        use std::io::{Seek, SeekFrom, Write};
        let page = page_size() as u64;
        // SAFETY: the name ends in a NUL.
        let fd = unsafe { libc::memfd_create(c"ring".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: the descriptor is new and ours.
        let mut file = unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(fd) };
        file.set_len(4 * page).unwrap();
        let mut write = |offset: u64, bytes: &[u8]| {
            file.seek(SeekFrom::Start(offset)).unwrap();
            file.write_all(bytes).unwrap();
        };
        let data = 2 * page;
        write(page, &64u64.to_ne_bytes());
        write(data, &8u32.to_ne_bytes());
        write(data + 8, &1u64.to_ne_bytes());
        write(data + 16, &(5 | BPF_RINGBUF_BUSY_BIT).to_ne_bytes());
        write(data + 24, &2u64.to_ne_bytes());
        write(data + 32, &8u32.to_ne_bytes());
        write(data + 40, &3u64.to_ne_bytes());
        // Its length goes past the producers' position.
        write(data + 48, &1000u32.to_ne_bytes());

        let mut seen = vec![];
        let mut ring = Ring::over(file.as_fd(), page as usize).unwrap();
        assert_eq!(ring.drain(usize::MAX, |record| seen.push((record.len(), record[0]))), 1);
        assert_eq!(ring.available(), 48);

        let mut file = &file;
        file.seek(SeekFrom::Start(data + 16)).unwrap();
        file.write_all(&5u32.to_ne_bytes()).unwrap();
        assert_eq!(ring.drain(usize::MAX, |record| seen.push((record.len(), record[0]))), 2);
        assert_eq!(seen, [(8, 1), (5, 2), (8, 3)]);
        assert_eq!(ring.available(), 16);
        assert_eq!(ring.drain(usize::MAX, |_| panic!("it is broken")), 0);

        // The position that the kernel would see.
        let mut position = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(file, &mut position, 0).unwrap();
        assert_eq!(u64::from_ne_bytes(position), 48);
    }

    #[test]
    fn another_map_is_no_ring() {
        if !requires_bpf() {
            return;
        }
        let map = Map::create(&MapSpec::new(bpf_map_type::BPF_MAP_TYPE_ARRAY, "array", 4, 4, 1), 1).unwrap();
        assert!(Ring::new(&map).is_err());
    }
}
