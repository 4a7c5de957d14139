//! Attaching a program. A link is a descriptor: dropping it detaches.
//!
//! The cookie is a number that the program reads with `bpf_get_attach_cookie`: it tells the attach points of one program apart.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_cmd};

use super::{bpf_fd, zeroed_attr};

/// Attaches a `raw_tracepoint` program to the tracepoint called `name`.
///
/// A cookie other than 0 needs Linux 6.10. `ENOENT`: no such tracepoint.
pub fn attach_raw_tracepoint(program: impl AsFd, name: &CStr, cookie: u64) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.raw_tracepoint.name = name.as_ptr() as u64;
    attr.raw_tracepoint.prog_fd = program.as_fd().as_raw_fd() as u32;
    attr.raw_tracepoint.cookie = cookie;
    // SAFETY: the name ends in a NUL and outlives the call.
    unsafe { bpf_fd(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr) }
}

/// Attaches a `tracing` program to what it was loaded for (its `attach_btf_id`); `kind` is its expected attach type.
///
/// Linux 5.19 and later; a cookie for `tp_btf` needs 6.10.
pub fn attach_tracing(program: impl AsFd, kind: bpf_attach_type, cookie: u64) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_fd().as_raw_fd() as u32;
    attr.link_create.attach_type = kind as u32;
    attr.link_create.__bindgen_anon_3.tracing.cookie = cookie;
    // SAFETY: this command uses no address for this kind of link.
    unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

/// Attaches a `tracepoint`, `kprobe` (uprobes too) or `perf_event` program to an event of [`perf`](super::perf).
///
/// The event must be kept open as long as the link. Linux 5.15 and later.
pub fn attach_perf_event(program: impl AsFd, event: BorrowedFd<'_>, cookie: u64) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_fd().as_raw_fd() as u32;
    attr.link_create.__bindgen_anon_2.target_fd = event.as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
    attr.link_create.__bindgen_anon_3.perf_event.bpf_cookie = cookie;
    // SAFETY: this command uses no address for this kind of link.
    unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

#[cfg(test)]
mod tests {
    use aya_obj::generated::bpf_prog_type;

    use super::super::test::{add_cookie, requires_bpf, total};
    use super::super::{errno, perf};
    use super::*;

    #[test]
    fn a_raw_tracepoint_tells_its_cookie_and_is_silent_once_dropped() {
        if !requires_bpf() {
            return;
        }
        let (program, map) = add_cookie(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT);
        let links = [1000, 1].map(|cookie| attach_raw_tracepoint(&program, c"sys_enter", cookie).unwrap());
        // SAFETY: getppid has no preconditions.
        unsafe { libc::getppid() };
        drop(links);
        let seen = total(&map);
        // Each link added its own cookie, for getppid at least.
        assert!(seen >= 1000 && !seen.is_multiple_of(1000), "{seen}");
        // SAFETY: as above.
        unsafe { libc::getppid() };
        assert_eq!(total(&map), seen);
    }

    #[test]
    fn an_unknown_tracepoint_is_enoent() {
        if !requires_bpf() {
            return;
        }
        let (program, _map) = add_cookie(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT);
        let error = attach_raw_tracepoint(&program, c"no_such_tracepoint", 0).unwrap_err();
        assert_eq!(errno(&error), Some(libc::ENOENT));
    }

    #[test]
    fn a_clock_event_tells_its_cookie() {
        if !requires_bpf() {
            return;
        }
        let (program, map) = add_cookie(bpf_prog_type::BPF_PROG_TYPE_PERF_EVENT);
        let target = perf::Target::this_thread();
        let event = match perf::open_clock(perf::Clock::Cpu, perf::Sampling::PeriodNs(1_000_000), target) {
            Ok(event) => event,
            Err(error) => return println!("skipped: {error}"),
        };
        let link = attach_perf_event(&program, event.as_fd(), 3).unwrap();
        // Computing until the clock has ticked: it counts this thread's own time.
        let started = std::time::Instant::now();
        while total(&map) == 0 && started.elapsed().as_secs() < 60 {}
        drop(link);
        let seen = total(&map);
        assert!(seen > 0 && seen.is_multiple_of(3), "{seen}");
    }
}
