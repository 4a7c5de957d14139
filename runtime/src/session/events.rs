//! Taking events out of the rings, in their order, and waiting for the next ones.
//!
//! Programs submit without waking anybody. While events are many, this side sleeps a few milliseconds between two
//! looks. When a look finds nothing, it says so in the globals (`WANT_WAKEUP`) and sleeps until the next event, which
//! sees that and wakes it: so output is prompt when events are rare, and nothing polls when there are none.
//!
//! Control events that found the main ring full lie in the reserve ring, each behind the main ring's position of that
//! time; they are taken when the main ring has been read up to there.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{Ordering, fence};

use rtscript_lang::record::globals;

use crate::bpf::{Mapped, Ring};

/// How long to sleep between two looks while events come, in milliseconds.
const NAP: i32 = 2;
/// Events between two looks at what else may have happened.
const BATCH: usize = 4096;

/// The rings of a loaded script.
#[derive(Debug)]
pub struct Events {
    main: Ring,
    reserve: Option<Ring>,
    /// Control events that were taken out of the reserve ring and whose turn has not come.
    held: VecDeque<(u64, Vec<u8>)>,
}

impl Events {
    pub fn new(main: Ring, reserve: Option<Ring>) -> Events {
        Events { main, reserve, held: VecDeque::new() }
    }

    /// Hands out what is there, at most a batch; returns how many events that were. It stops after an event for which
    /// `take` says `false`.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> usize {
        if let Some(reserve) = &mut self.reserve {
            reserve.drain(BATCH, |record| {
                if let Some((position, event)) = record.split_first_chunk::<8>() {
                    self.held.push_back((u64::from_ne_bytes(*position), event.to_vec()));
                }
            });
        }
        let mut count = 0;
        let mut go_on = true;
        while go_on && count < BATCH {
            // With control events waiting, each record may be the one that they come behind.
            let most = if self.held.is_empty() { BATCH - count } else { 1 };
            let position = self.main.position();
            while let Some((_, event)) = self.held.pop_front_if(|(at, _)| *at <= position) {
                count += 1;
                go_on &= take(&event);
            }
            let taken = self.main.drain_while(most, |record| {
                go_on = take(record);
                go_on
            });
            count += taken;
            if taken == 0 {
                // Nothing of the main ring is left, so that nothing comes before them.
                while let Some((_, event)) = self.held.pop_front() {
                    count += 1;
                    take(&event);
                }
                break;
            }
        }
        count
    }

    /// Waits until events may be there, or one of `others` is readable, or `timeout` milliseconds have passed.
    ///
    /// `busy` says whether the last look found events.
    pub fn wait(
        &self,
        busy: bool,
        globals: &Mapped,
        others: &[BorrowedFd<'_>],
        timeout: Option<i32>,
    ) -> io::Result<()> {
        if busy {
            return poll(others, Some(timeout.map_or(NAP, |timeout| timeout.min(NAP))));
        }
        let want = globals.u32(globals::WANT_WAKEUP as usize);
        if let Some(want) = want {
            want.store(1, Ordering::Relaxed);
        }
        // An event that was submitted before the flag was seen must be seen here.
        fence(Ordering::SeqCst);
        let pending = self.main.available() > 0;
        if !pending {
            let mut all = others.to_vec();
            all.push(self.main.as_fd());
            all.extend(self.reserve.as_ref().map(|ring| ring.as_fd()));
            poll(&all, timeout)?;
        }
        if let Some(want) = want {
            want.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Waits until one of the descriptors is readable or closed by its other side.
pub fn poll(fds: &[BorrowedFd<'_>], timeout: Option<i32>) -> io::Result<()> {
    let mut polled: Vec<libc::pollfd> =
        fds.iter().map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: as many records as said.
    let result =
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout.unwrap_or(-1)) };
    if result < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}
