//! Taking events out of the rings, in their order, and waiting for the next ones.
//!
//! Programs submit without waking anybody, which would cost them some 8 µs each. While events come, this side naps for
//! a few milliseconds between two looks, the longer the emptier the ring is. When a look after a nap finds nothing, it
//! says so in the globals (`WANT_WAKEUP`) and sleeps until the next event, which sees that and wakes it: so output is
//! prompt when events are rare, and nothing polls when there are none.
//!
//! Control events that found the main ring full lie in the reserve ring, each behind the main ring's position of that
//! time; they are taken when the main ring has been read up to there.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use super::globals::Globals;
use crate::bpf::Ring;

/// The shortest and the longest time between two looks while events come. At a million events of 100 bytes a second, a
/// ring of 4 MiB is full after 40 ms.
const SHORTEST_NAP: Duration = Duration::from_millis(1);
const LONGEST_NAP: Duration = Duration::from_millis(8);
/// Events between two looks at what else may have happened.
const BATCH: usize = 8192;

/// The rings of a loaded script.
#[derive(Debug)]
pub struct Events {
    main: Ring,
    reserve: Option<Ring>,
    /// Control events that were taken out of the reserve ring and whose turn has not come.
    held: VecDeque<(u64, Vec<u8>)>,
    nap: Duration,
}

/// How a look at the rings ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// `take` said that it is enough, or there may be more: look again before sleeping.
    More,
    /// There were events; now there are none.
    Some,
    /// There was nothing.
    Nothing,
}

impl Events {
    pub fn new(main: Ring, reserve: Option<Ring>) -> Events {
        Events { main, reserve, held: VecDeque::new(), nap: SHORTEST_NAP }
    }

    /// Hands out what is there, at most a batch. It stops behind an event for which `take` says `false`.
    pub fn look(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> Look {
        self.nap = if self.is_filling() { SHORTEST_NAP } else { (self.nap * 2).min(LONGEST_NAP) };
        // Read before the reserve ring is: what a program sent behind a control event of the reserve lies behind this.
        let end = self.main.position() + self.main.available();
        self.hold_reserved();
        let mut count = 0;
        loop {
            let position = self.main.position();
            while let Some((_, event)) = self.held.pop_front_if(|(at, _)| *at <= position) {
                count += 1;
                if !take(&event) {
                    return Look::More;
                }
            }
            if count >= BATCH {
                return Look::More;
            }
            let until = self.held.front().map_or(end, |(at, _)| end.min(*at));
            let mut go_on = true;
            count += self.main.drain_while(BATCH - count, until, |record| {
                go_on = take(record);
                go_on
            });
            if !go_on {
                return Look::More;
            }
            if self.main.position() == position {
                break;
            }
        }
        match count {
            0 => Look::Nothing,
            _ if self.is_filling() => Look::More,
            _ => Look::Some,
        }
    }

    /// Whether the main ring may be full soon.
    fn is_filling(&self) -> bool {
        self.main.available() > self.main.capacity() / 4
    }

    fn hold_reserved(&mut self) {
        let Some(reserve) = &mut self.reserve else { return };
        if reserve.available() == 0 {
            return;
        }
        reserve.drain(BATCH, |record| {
            if let Some((position, event)) = record.split_first_chunk::<8>() {
                self.held.push_back((u64::from_ne_bytes(*position), event.to_vec()));
            }
        });
    }

    /// Whether nothing is left, not even a record that is still being written.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
            && self.main.available() == 0
            && self.reserve.as_ref().is_none_or(|ring| ring.available() == 0)
    }
}

/// Waits for events, or for one of `others` to have what it is polled for, or for the time to run out. `events` is absent
/// where the script sends none.
///
/// `last` is how the last look ended.
pub fn wait(
    events: Option<&Events>,
    last: Look,
    globals: &Globals,
    others: &mut Vec<libc::pollfd>,
    timeout: Option<Duration>,
) -> io::Result<()> {
    let at_most = |nap: Duration| Some(timeout.map_or(nap, |timeout| timeout.min(nap)));
    let events = match (events, last) {
        (None, _) => return poll(others, timeout),
        (Some(_), Look::More) => return poll(others, Some(Duration::ZERO)),
        (Some(events), Look::Some) => return poll(others, at_most(events.nap)),
        (Some(events), Look::Nothing) => events,
    };
    globals.want_wakeup();
    // An event that was sent by somebody who did not see the wish is seen here.
    if events.is_empty() {
        let own = others.len();
        others.push(readable(events.main.as_fd()));
        others.extend(events.reserve.as_ref().map(|ring| readable(ring.as_fd())));
        let polled = poll(others, timeout);
        others.truncate(own);
        polled?;
    }
    globals.want_no_wakeup();
    Ok(())
}

/// An entry of [`poll`]: something to read.
pub fn readable(fd: BorrowedFd<'_>) -> libc::pollfd {
    libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}

/// Waits until one of the descriptors has what it is polled for, is closed by its other side, or the time is over.
pub fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<()> {
    let time = timeout.map(|time| libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: as many entries as said; the time is absent or outlives the call; no mask is passed.
    let result = unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, time, std::ptr::null()) };
    if result < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::bpf::test::memory_file;

    const PAGE: usize = 4096;
    const BUSY: u32 = 1 << 31;

    /// A ring of one page in a file, which holds records of eight bytes each; a busy one is `None`.
    fn ring(records: &[Option<u64>]) -> (Ring, File) {
        let file = memory_file(4 * PAGE as u64);
        let mut at = 2 * PAGE as u64;
        for record in records {
            let header = if record.is_some() { 8u32 } else { 8 | BUSY };
            file.write_all_at(&header.to_ne_bytes(), at).unwrap();
            file.write_all_at(&record.unwrap_or(0).to_ne_bytes(), at + 8).unwrap();
            at += 16;
        }
        produced(&file, records.len());
        (Ring::over(file.as_fd(), PAGE).unwrap(), file)
    }

    fn produced(file: &File, records: usize) {
        file.write_all_at(&(records as u64 * 16).to_ne_bytes(), PAGE as u64).unwrap();
    }

    /// A ring of control events, with the position that each stands behind.
    fn reserve(events: &[(u64, u64)]) -> (Ring, File) {
        let file = memory_file(4 * PAGE as u64);
        let mut at = 2 * PAGE as u64;
        for (position, event) in events {
            file.write_all_at(&16u32.to_ne_bytes(), at).unwrap();
            file.write_all_at(&position.to_ne_bytes(), at + 8).unwrap();
            file.write_all_at(&event.to_ne_bytes(), at + 16).unwrap();
            at += 24;
        }
        file.write_all_at(&(events.len() as u64 * 24).to_ne_bytes(), PAGE as u64).unwrap();
        (Ring::over(file.as_fd(), PAGE).unwrap(), file)
    }

    fn look(events: &mut Events) -> (Look, Vec<u64>) {
        let mut seen = Vec::new();
        let look = events.look(|event| {
            seen.push(u64::from_ne_bytes(event.try_into().unwrap()));
            true
        });
        (look, seen)
    }

    #[test]
    fn control_events_come_where_they_would_have_stood() {
        let (main, _main) = ring(&[Some(1), Some(2), Some(3), Some(4)]);
        let (reserve, _reserve) = reserve(&[(0, 10), (32, 11), (32, 12), (64, 13)]);
        let mut events = Events::new(main, Some(reserve));
        assert_eq!(look(&mut events), (Look::Some, vec![10, 1, 2, 11, 12, 3, 4, 13]));
        assert!(events.is_empty());
        assert_eq!(look(&mut events), (Look::Nothing, vec![]));
    }

    #[test]
    fn a_control_event_waits_for_a_record_that_is_still_being_written() {
        let (main, file) = ring(&[Some(1), None, Some(3)]);
        let (reserve, _reserve) = reserve(&[(32, 10)]);
        let mut events = Events::new(main, Some(reserve));
        assert_eq!(look(&mut events), (Look::Some, vec![1]));
        assert_eq!(look(&mut events), (Look::Nothing, vec![]));
        assert!(!events.is_empty());
        file.write_all_at(&8u32.to_ne_bytes(), 2 * PAGE as u64 + 16).unwrap();
        assert_eq!(look(&mut events), (Look::Some, vec![0, 10, 3]));
    }

    #[test]
    fn it_stops_where_it_is_told_to() {
        let (main, _main) = ring(&[Some(1), Some(2), Some(3)]);
        let mut events = Events::new(main, None);
        let mut seen = 0;
        assert_eq!(
            events.look(|_| {
                seen += 1;
                seen < 2
            }),
            Look::More
        );
        assert_eq!(look(&mut events), (Look::Some, vec![3]));
    }
}
