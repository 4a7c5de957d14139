//! Signals as something to wait for, together with everything else.
//!
//! SIGINT and SIGTERM are blocked and read from a descriptor: the first ends tracing in good order. A second one,
//! while that goes on, ends the process at once, as if it had never been caught.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// SIGINT and SIGTERM. While this lives they do not end the process.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    set: libc::sigset_t,
}

impl Signals {
    pub fn block() -> io::Result<Signals> {
        // SAFETY: `sigset_t` is an array of integers, for which zero is a value; the calls fill it in.
        let set = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGINT);
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            set
        };
        change_mask(libc::SIG_BLOCK, &set)?;
        // SAFETY: the set is initialised.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            let _ = change_mask(libc::SIG_UNBLOCK, &set);
            return Err(error);
        }
        // SAFETY: the kernel has just made it for us.
        Ok(Signals { fd: unsafe { OwnedFd::from_raw_fd(fd) }, set })
    }

    /// Takes one signal that has come, if there is one.
    pub fn take(&self) -> Option<i32> {
        // SAFETY: a struct of integers, for all of which zero is a value.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of_val(&info);
        // SAFETY: there is room for one record.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), size) };
        (read == size as isize).then_some(info.ssi_signo as i32)
    }

    /// From now on they end the process again; one that waits does so now.
    pub fn release(&self) {
        let _ = change_mask(libc::SIG_UNBLOCK, &self.set);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.release();
    }
}

fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: the set is initialised; the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(how, set, std::ptr::null_mut()) } {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_taken_and_does_not_end_the_process() {
        let signals = Signals::block().unwrap();
        assert_eq!(signals.take(), None);
        // To this thread alone: other tests run beside it.
        // SAFETY: the signal is blocked here.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGTERM) };
        assert_eq!(signals.take(), Some(libc::SIGTERM));
        assert_eq!(signals.take(), None);
    }
}
