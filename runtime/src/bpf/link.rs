//! Attaching a program. A link is a descriptor: dropping it detaches.
//!
//! The cookie is a number that the program reads with `bpf_get_attach_cookie`: it tells the attach points of one program apart.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_cmd};

use super::{bpf_fd, errno, invalid_input, perf, zeroed_attr};

/// From the kernel's ABI: the functions' ends are meant.
const BPF_F_KPROBE_MULTI_RETURN: u32 = 1;
/// The `bpf_attach_type` of programs that run at both ends of functions (Linux 6.10).
pub const BPF_TRACE_KPROBE_SESSION: u32 = 56;

const BPF_F_UPROBE_MULTI_RETURN: u32 = 1;

/// Attaches a `raw_tracepoint` program to the tracepoint called `name`.
///
/// Before Linux 6.10 there are no cookies here, and no program can ask for one: it is left out. `ENOENT`: no such tracepoint.
pub fn attach_raw_tracepoint(program: impl AsFd, name: &CStr, cookie: u64) -> io::Result<OwnedFd> {
    match open_raw_tracepoint(program.as_fd(), name, cookie) {
        Err(error) if cookie != 0 && errno(&error) == Some(libc::EINVAL) => {
            open_raw_tracepoint(program.as_fd(), name, 0)
        }
        result => result,
    }
}

fn open_raw_tracepoint(program: BorrowedFd<'_>, name: &CStr, cookie: u64) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.raw_tracepoint.name = name.as_ptr() as u64;
    attr.raw_tracepoint.prog_fd = program.as_raw_fd() as u32;
    attr.raw_tracepoint.cookie = cookie;
    // SAFETY: the name ends in a NUL and outlives the call.
    unsafe { bpf_fd(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr) }
}

/// Attaches a `tracing` program to what it was loaded for (its `attach_btf_id`); `kind` is its expected attach type.
///
/// Before Linux 5.19 (6.10 for `tp_btf`) there are no cookies here, and no program can ask for one: it is left out.
pub fn attach_tracing(program: impl AsFd, kind: bpf_attach_type, cookie: u64) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_fd().as_raw_fd() as u32;
    attr.link_create.attach_type = kind as u32;
    attr.link_create.__bindgen_anon_3.tracing.cookie = cookie;
    // SAFETY: this command uses no address for this kind of link.
    match unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr) } {
        Err(error) if errno(&error) == Some(libc::EINVAL) => {
            let mut attr = zeroed_attr();
            attr.raw_tracepoint.prog_fd = program.as_fd().as_raw_fd() as u32;
            // SAFETY: without a name it uses no address.
            unsafe { bpf_fd(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr) }.map_err(|_| error)
        }
        result => result,
    }
}

/// Attaches a `tracepoint`, `kprobe` (uprobes too) or `perf_event` program to an event of [`perf`](super::perf).
///
/// The event must be kept open as long as the link. Before Linux 5.15 there is neither a link nor a cookie: the program belongs
/// to the event, and what is returned is the event once more.
pub fn attach_perf_event(program: impl AsFd, event: BorrowedFd<'_>, cookie: u64) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_fd().as_raw_fd() as u32;
    attr.link_create.__bindgen_anon_2.target_fd = event.as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
    attr.link_create.__bindgen_anon_3.perf_event.bpf_cookie = cookie;
    // SAFETY: this command uses no address for this kind of link.
    let link = unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr) };
    match link {
        Err(error) if errno(&error) == Some(libc::EINVAL) => {
            perf::set_program(event, program.as_fd()).map_err(|_| error)?;
            event.try_clone_to_owned()
        }
        result => result,
    }
}

/// Where in functions a program runs that is attached to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    Begin,
    End,
    /// A session.
    Both,
}

/// Attaches a `kprobe` program to many functions at once (Linux 5.18 with CONFIG_FPROBE); it must have been loaded with
/// `BPF_TRACE_KPROBE_MULTI`, or for both ends with `BPF_TRACE_KPROBE_SESSION`. One cookie for each name.
///
/// `ESRCH`: there is no function of one of the names, or it cannot be traced.
pub fn attach_kprobe_multi(
    program: impl AsFd,
    names: &[CString],
    cookies: &[u64],
    ends: Ends,
) -> io::Result<OwnedFd> {
    if names.len() != cookies.len() {
        return Err(invalid_input("there must be a cookie for each function"));
    }
    let addresses: Vec<u64> = names.iter().map(|name| name.as_ptr() as u64).collect();
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_fd().as_raw_fd() as u32;
    attr.link_create.attach_type = match ends {
        Ends::Begin | Ends::End => bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32,
        Ends::Both => BPF_TRACE_KPROBE_SESSION,
    };
    // SAFETY: the attribute is all zero, so that this struct of integers in the union is valid.
    let multi = unsafe { &mut attr.link_create.__bindgen_anon_3.kprobe_multi };
    multi.flags = if ends == Ends::End { BPF_F_KPROBE_MULTI_RETURN } else { 0 };
    multi.cnt = names.len() as u32;
    multi.syms = addresses.as_ptr() as u64;
    multi.cookies = cookies.as_ptr() as u64;
    // SAFETY: both tables have as many entries as said; each name ends in a NUL; all outlive the call.
    unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

/// Attaches a `kprobe` program to many instructions of a file at once (Linux 6.6); it must have been loaded with
/// `BPF_TRACE_UPROBE_MULTI`. `places` are offsets in the file, each with its cookie; `counters`, one for each of them, are the offsets of
/// counters of those who listen, or 0. With a process, only that one is traced.
pub fn attach_uprobe_multi(
    program: impl AsFd,
    path: &CStr,
    places: &[(u64, u64)],
    counters: Option<&[u64]>,
    at_end: bool,
    process: Option<u32>,
) -> io::Result<OwnedFd> {
    if counters.is_some_and(|counters| counters.len() != places.len()) {
        return Err(invalid_input("there must be a counter for each place"));
    }
    let (offsets, cookies): (Vec<u64>, Vec<u64>) = places.iter().copied().unzip();
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_fd().as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
    // SAFETY: the attribute is all zero, so that this struct of integers in the union is valid.
    let multi = unsafe { &mut attr.link_create.__bindgen_anon_3.uprobe_multi };
    multi.path = path.as_ptr() as u64;
    multi.offsets = offsets.as_ptr() as u64;
    multi.cookies = cookies.as_ptr() as u64;
    multi.ref_ctr_offsets = counters.map_or(0, |counters| counters.as_ptr() as u64);
    multi.cnt = places.len() as u32;
    multi.flags = if at_end { BPF_F_UPROBE_MULTI_RETURN } else { 0 };
    multi.pid = process.unwrap_or(0);
    // SAFETY: all tables have as many entries as said; the path ends in a NUL; all outlive the call.
    unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

#[cfg(test)]
mod tests {
    use aya_obj::generated::bpf_prog_type;

    use super::super::test::{add_cookie, requires_bpf, total};
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
