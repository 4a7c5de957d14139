//! Signals as a descriptor: SIGINT, SIGTERM and SIGHUP end tracing in order, a second one at once; SIGUSR1 is for the script, if
//! it asks for it. Where SIGHUP is ignored already (nohup), it stays so.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// SIGINT, SIGTERM and SIGHUP, and perhaps SIGUSR1, blocked and readable. Dropping it gives them their usual effect again.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Nothing,
    /// Tracing is to end.
    End,
    /// SIGUSR1.
    User,
}

impl Signals {
    /// Takes the signals over, SIGUSR1 only with `user`; also lets a closed pipe be an error instead of a signal.
    pub fn take(user: bool) -> io::Result<Signals> {
        let set = set(user);
        // SAFETY: a valid set; the descriptor is new and owned here alone.
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Signals { fd: OwnedFd::from_raw_fd(fd) })
        }
    }

    /// Takes one signal that has come, if one has; behind one that ends tracing, the next one ends the process at once.
    pub fn received(&self) -> Received {
        let mut info = std::mem::MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: room for one record.
        let read =
            unsafe { libc::read(std::os::fd::AsRawFd::as_raw_fd(&self.fd), info.as_mut_ptr().cast(), size) };
        if read != size as isize {
            return Received::Nothing;
        }
        // SAFETY: the kernel has filled a whole record in.
        let number = unsafe { info.assume_init() }.ssi_signo;
        if number == libc::SIGUSR1 as u32 {
            return Received::User;
        }
        unblock();
        Received::End
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        unblock();
    }
}

/// SIGUSR1 stays blocked: one that comes too late must not end the process.
fn unblock() {
    let set = set(false);
    // SAFETY: a valid set.
    unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
}

fn ignores(signal: libc::c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: room for an action; zeroes are one as well.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

fn set(user: bool) -> libc::sigset_t {
    // SAFETY: an empty set is made of zeroed memory, then filled by the library.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        if !ignores(libc::SIGHUP) {
            libc::sigaddset(&raw mut set, libc::SIGHUP);
        }
        if user {
            libc::sigaddset(&raw mut set, libc::SIGUSR1);
        }
        set
    }
}
