//! Following what all processes map while a script runs, so that the symbols of those that have ended are known.
//!
//! A thread waits for what the kernel tells ([`Changes`]) and takes note of it; it has asked all processes first, since a
//! process may end before its symbols are printed. Both sides share the [`Spaces`] behind a lock; whoever looks an address
//! up takes what was told meanwhile first.
//!
//! Where the kernel tells nothing (there is no perf, or it is not allowed), processes are asked when it is needed.

use std::fs;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::spaces::{Found, MappedFile, Place, Spaces};
use crate::bpf::changes::Changes;
use crate::session::events::{poll, readable};

/// Which processes that run already are of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    All,
    One(u32),
    /// Only those that are still to come.
    New,
}

/// Address spaces that are kept up to date.
#[derive(Debug)]
pub struct Followed {
    shared: Arc<Mutex<Shared>>,
    /// The thread ends when this is closed.
    stop: Option<std::io::PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    spaces: Spaces,
    changes: Option<Changes>,
}

impl Shared {
    fn take_note(&mut self) {
        if let Some(changes) = &mut self.changes {
            for change in changes.take() {
                self.spaces.apply(&change);
            }
        }
    }
}

impl Followed {
    /// Nothing is followed: processes are asked.
    pub fn nothing() -> Followed {
        Followed { shared: Arc::default(), stop: None, thread: None }
    }

    /// From now on.
    pub fn start(interest: Interest) -> Followed {
        let Ok(changes) = Changes::open() else { return Followed::nothing() };
        // The lock guards the descriptors too, but waiting needs them without it.
        let fds: Option<Vec<_>> = changes.fds().map(|fd| fd.try_clone_to_owned().ok()).collect();
        let (Some(fds), Ok((closed, stop))) = (fds, std::io::pipe()) else { return Followed::nothing() };
        let shared = Arc::new(Mutex::new(Shared { spaces: Spaces::default(), changes: Some(changes) }));
        let theirs = Arc::clone(&shared);
        let follow = move || {
            for pid in running(interest) {
                lock(&theirs).spaces.ask_once(pid);
            }
            let mut polled: Vec<_> = fds.iter().map(|fd| readable(fd.as_fd())).collect();
            polled.push(readable(closed.as_fd()));
            while poll(&mut polled, None).is_ok() {
                if polled.last().is_none_or(|closed| closed.revents != 0) {
                    return;
                }
                lock(&theirs).take_note();
            }
        };
        // A thread takes the signals that it does not block, and those are the session's.
        let thread = without_signals(|| thread::Builder::new().name("symbols".to_owned()).spawn(follow));
        match thread {
            Ok(thread) => Followed { shared, stop: Some(stop), thread: Some(thread) },
            Err(_) => Followed::nothing(),
        }
    }

    /// Calls `then` with the file that lies at an address of a process, and with how often files were closed.
    pub fn find<T>(
        &self,
        pid: u32,
        address: u64,
        then: impl FnOnce(Option<(Place, &MappedFile)>, u64) -> T,
    ) -> T {
        let mut shared = lock(&self.shared);
        let shared = &mut *shared;
        let mut found = shared.spaces.find(pid, address);
        if matches!(found, Found::Nothing | Found::Unknown) {
            shared.take_note();
            found = shared.spaces.find(pid, address);
        }
        let is_followed = shared.changes.is_some();
        if found == Found::Unknown || !is_followed {
            shared.spaces.ask(pid);
            found = shared.spaces.find(pid, address);
        }
        let found = match found {
            Found::Place(place) => shared.spaces.file(place.file).map(|file| (place, file)),
            Found::Nameless | Found::Nothing | Found::Unknown => None,
        };
        then(found, shared.spaces.closed())
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `action` while this thread takes no signals; threads that it makes never do.
fn without_signals<T>(action: impl FnOnce() -> T) -> T {
    // SAFETY: the sets are initialised by the calls before they are used.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let result = action();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        result
    }
}

/// The processes that run now.
fn running(interest: Interest) -> Vec<u32> {
    match interest {
        Interest::New => Vec::new(),
        Interest::One(pid) => vec![pid],
        Interest::All => {
            let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
        }
    }
}
