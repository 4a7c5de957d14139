//! The kernel's `bpf()` and `perf_event_open()` calls as safe functions.
//!
//! A thin layer over the kernel ABI of `aya_obj::generated`, for what the `aya` crate lacks: cookies, batch look-ups, `core_relos`,
//! keys and values whose size is known at run time only, and logs on success. Every object is an [`OwnedFd`]; dropping it is
//! letting go of it. Nothing here is global, caches or prints.
//!
//! A failed call is an [`io::Error`] that names the command; [`errno`] gives its number back.
//!
//! | file | what |
//! |---|---|
//! | `map.rs` | create, read and write maps, one element or all |
//! | `program.rs` | load, test-run and ask about programs; program BTF |
//! | `link.rs` | attach programs |
//! | `programs.rs` | the programs that are loaded, whoever loaded them |
//! | `iterator.rs` | programs that run for each of the kernel's objects |
//! | `perf.rs` | perf events that programs are attached to |
//! | `counter.rs` | perf events that count: clocks, faults, cycles, accesses to an address |
//! | `mapped.rs` | an array map as shared memory |
//! | `ring.rs` | the consumer of a ring buffer |
//! | `changes.rs` | what processes map, as perf events tell it |

use std::ffi::{c_char, c_long};
use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use aya_obj::generated::{bpf_attr, bpf_cmd};

pub mod changes;
pub mod counter;
mod iterator;
mod link;
mod map;
mod mapped;
pub mod perf;
mod program;
pub mod programs;
mod ring;
#[cfg(test)]
pub(crate) mod test;

pub use iterator::{IterateOver, attach_iterator, open_iterator, pin};
pub use link::{
    BPF_TRACE_KPROBE_SESSION, Ends, attach_kprobe_multi, attach_perf_event, attach_raw_tracepoint,
    attach_tracing, attach_uprobe_multi,
};
pub use map::{Entries, Map, MapSpec, possible_cpus};
pub use mapped::Mapped;
pub use program::{
    Program, ProgramInfo, ProgramSpec, Rejection, TestRun, TestRunResult, enable_run_time_stats, load_btf,
    module_btf,
};
pub use ring::Ring;

/// The error number behind an error of this layer, or of the standard library.
pub fn errno(error: &io::Error) -> Option<i32> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Failed>()) {
        Some(failed) => Some(failed.errno),
        None => error.raw_os_error(),
    }
}

/// Lets this process have as much locked memory as it wants.
pub fn lift_memory_limit() -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) } < 0 {
        return Err(last_error("setrlimit"));
    }
    Ok(())
}

/// Lets this process have as many descriptors as it may: each program, map and link is one. Many systems allow 1024 unless more are
/// asked for.
pub fn lift_descriptor_limit() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit outlives the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) < 0 {
            return Err(last_error("getrlimit"));
        }
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_NOFILE, &limit) < 0 {
            return Err(last_error("setrlimit"));
        }
    }
    Ok(())
}

/// A system call failed: which one, and with which number.
#[derive(Debug)]
struct Failed {
    call: &'static str,
    errno: i32,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, io::Error::from_raw_os_error(self.errno))
    }
}

impl std::error::Error for Failed {}

/// The error of the system call that failed last on this thread.
fn last_error(call: &'static str) -> io::Error {
    let error = io::Error::last_os_error();
    let errno = error.raw_os_error().unwrap_or(0);
    io::Error::new(error.kind(), Failed { call, errno })
}

fn invalid_input(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// An all-zero argument: the kernel asks that the fields it is not told to use are zero.
fn zeroed_attr() -> bpf_attr {
    // SAFETY: bpf_attr is a union of structs of integers, for all of which zero is a value.
    unsafe { std::mem::zeroed() }
}

/// Calls `bpf(command, attr)`. The kernel may write to `attr`.
///
/// # Safety
/// Every address in the part of `attr` that `command` uses must point to memory as large as the kernel reads or writes there.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<c_long> {
    // SAFETY: `attr` outlives the call and its size is passed; the caller vouches for the addresses in it.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command as u32, attr as *mut bpf_attr, size_of::<bpf_attr>()) };
    if result < 0 { Err(last_error(name_of(command))) } else { Ok(result) }
}

/// Calls `bpf` for a command that returns a new file descriptor. The kernel makes it close-on-exec.
///
/// # Safety
/// As for [`bpf`], and `command` must return a file descriptor.
unsafe fn bpf_fd(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the caller vouches for both.
    let fd = unsafe { bpf(command, attr)? };
    // SAFETY: the kernel has just made this descriptor for us, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

fn name_of(command: bpf_cmd) -> &'static str {
    match command {
        bpf_cmd::BPF_MAP_CREATE => "BPF_MAP_CREATE",
        bpf_cmd::BPF_MAP_LOOKUP_ELEM => "BPF_MAP_LOOKUP_ELEM",
        bpf_cmd::BPF_MAP_UPDATE_ELEM => "BPF_MAP_UPDATE_ELEM",
        bpf_cmd::BPF_MAP_DELETE_ELEM => "BPF_MAP_DELETE_ELEM",
        bpf_cmd::BPF_MAP_GET_NEXT_KEY => "BPF_MAP_GET_NEXT_KEY",
        bpf_cmd::BPF_MAP_LOOKUP_BATCH => "BPF_MAP_LOOKUP_BATCH",
        bpf_cmd::BPF_MAP_LOOKUP_AND_DELETE_BATCH => "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
        bpf_cmd::BPF_MAP_DELETE_BATCH => "BPF_MAP_DELETE_BATCH",
        bpf_cmd::BPF_MAP_FREEZE => "BPF_MAP_FREEZE",
        bpf_cmd::BPF_PROG_LOAD => "BPF_PROG_LOAD",
        bpf_cmd::BPF_PROG_TEST_RUN => "BPF_PROG_TEST_RUN",
        bpf_cmd::BPF_OBJ_GET_INFO_BY_FD => "BPF_OBJ_GET_INFO_BY_FD",
        bpf_cmd::BPF_RAW_TRACEPOINT_OPEN => "BPF_RAW_TRACEPOINT_OPEN",
        bpf_cmd::BPF_BTF_LOAD => "BPF_BTF_LOAD",
        bpf_cmd::BPF_BTF_GET_NEXT_ID => "BPF_BTF_GET_NEXT_ID",
        bpf_cmd::BPF_PROG_GET_NEXT_ID => "BPF_PROG_GET_NEXT_ID",
        bpf_cmd::BPF_PROG_GET_FD_BY_ID => "BPF_PROG_GET_FD_BY_ID",
        bpf_cmd::BPF_BTF_GET_FD_BY_ID => "BPF_BTF_GET_FD_BY_ID",
        bpf_cmd::BPF_LINK_CREATE => "BPF_LINK_CREATE",
        bpf_cmd::BPF_ITER_CREATE => "BPF_ITER_CREATE",
        bpf_cmd::BPF_OBJ_PIN => "BPF_OBJ_PIN",
        bpf_cmd::BPF_ENABLE_STATS => "BPF_ENABLE_STATS",
        // The commands of the kernel's own enum that this layer does not use.
        _ => "bpf",
    }
}

/// A name as the kernel wants it: at most 15 bytes, of letters, digits, `_` and `.` alone. Other bytes become `_`.
fn object_name(name: &str) -> [c_char; 16] {
    let mut out = [0; 16];
    for (to, from) in out[..15].iter_mut().zip(name.bytes()) {
        *to = if from.is_ascii_alphanumeric() || from == b'.' { from } else { b'_' } as c_char;
    }
    out
}

/// What the kernel knows about the object behind `fd`.
///
/// # Safety
/// `T` must be the info struct of that kind of object, and all its zeroes a value of it.
unsafe fn object_info<T>(fd: std::os::fd::BorrowedFd<'_>) -> io::Result<T> {
    use std::os::fd::AsRawFd;
    // SAFETY: the caller says that zeroes are a value.
    let mut info: T = unsafe { std::mem::zeroed() };
    let mut attr = zeroed_attr();
    attr.info.bpf_fd = fd.as_raw_fd() as u32;
    attr.info.info_len = size_of::<T>() as u32;
    attr.info.info = &raw mut info as u64;
    // SAFETY: `info` is as large as `info_len` says and outlives the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)? };
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_kernels_alphabet() {
        let text = |name| {
            object_name(name).iter().take_while(|c| **c != 0).map(|c| *c as u8 as char).collect::<String>()
        };
        assert_eq!(text("@start"), "_start");
        assert_eq!(text("a.name-that is too long"), "a.name_that_is_");
    }

    #[test]
    fn an_error_names_its_command_and_keeps_its_number() {
        let mut attr = zeroed_attr();
        attr.__bindgen_anon_2.map_fd = u32::MAX;
        // SAFETY: the command fails on the descriptor before it looks at any address.
        let error = unsafe { bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr) }.unwrap_err();
        assert!(error.to_string().starts_with("BPF_MAP_FREEZE: "), "{error}");
        assert!(matches!(errno(&error), Some(libc::EBADF | libc::EPERM | libc::ENOSYS)), "{error}");
        assert_eq!(errno(&io::Error::from_raw_os_error(libc::EPERM)), Some(libc::EPERM));
        assert_eq!(errno(&invalid_input("no")), None);
    }
}
