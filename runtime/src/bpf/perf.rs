//! Perf events: what `tracepoint`, `perf_event` and uprobe programs are attached to.
//!
//! An event counts from the moment it is opened; dropping its descriptor closes it. Reading samples from perf buffers is left out:
//! programs write to a ring buffer of their own.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use perf_event_open_sys::bindings::{
    PERF_COUNT_SW_CPU_CLOCK, PERF_COUNT_SW_TASK_CLOCK, PERF_FLAG_FD_CLOEXEC, PERF_TYPE_SOFTWARE,
    PERF_TYPE_TRACEPOINT, perf_event_attr,
};
use perf_event_open_sys::ioctls;

use super::last_error;

/// Which events count: those of a thread, of a CPU, or of a thread while on a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    thread: libc::pid_t,
    cpu: libc::c_int,
}

impl Target {
    /// Whatever runs on `cpu`.
    pub fn cpu(cpu: u32) -> Target {
        Target { thread: -1, cpu: cpu as libc::c_int }
    }

    /// The thread `tid`, wherever it runs.
    pub fn thread(tid: u32) -> Target {
        Target { thread: tid as libc::pid_t, cpu: -1 }
    }

    pub fn this_thread() -> Target {
        Target { thread: 0, cpu: -1 }
    }
}

/// How often a clock event is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Once in this many nanoseconds.
    PeriodNs(u64),
    /// This many times a second. More than `/proc/sys/kernel/perf_event_max_sample_rate` is `EINVAL`.
    Hertz(u64),
}

/// The clocks that need no hardware counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// A CPU's clock, which goes on while the CPU is idle.
    Cpu,
    /// A thread's time on CPUs.
    Task,
}

/// The tracepoint with this number, which is in tracefs: `events/<category>/<name>/id`.
///
/// With a CPU as its target, a program that is attached to it runs for the events of all CPUs; so one is enough.
pub fn open_tracepoint(id: u64, target: Target) -> io::Result<OwnedFd> {
    let mut attr = attr(PERF_TYPE_TRACEPOINT, id);
    attr.__bindgen_anon_1.sample_period = 1;
    open(&mut attr, target)
}

/// An event that happens by the clock. It has no effect until a program is attached.
pub fn open_clock(clock: Clock, sampling: Sampling, target: Target) -> io::Result<OwnedFd> {
    let clock = match clock {
        Clock::Cpu => PERF_COUNT_SW_CPU_CLOCK,
        Clock::Task => PERF_COUNT_SW_TASK_CLOCK,
    };
    open_software(clock, sampling, target)
}

/// One of the kernel's software events by its number in the ABI (`PERF_COUNT_SW_*`). Where it counts something other than
/// nanoseconds, a period is a number of those.
pub fn open_software(event: u32, sampling: Sampling, target: Target) -> io::Result<OwnedFd> {
    let mut attr = attr(PERF_TYPE_SOFTWARE, event.into());
    match sampling {
        Sampling::PeriodNs(period) => attr.__bindgen_anon_1.sample_period = period,
        Sampling::Hertz(frequency) => {
            attr.set_freq(1);
            attr.__bindgen_anon_1.sample_freq = frequency;
        }
    }
    open(&mut attr, target)
}

/// An instruction of a file that any process has mapped (with a thread as its target: that thread's process), or the return of
/// the function that begins there. `offset` is in bytes from the start of the file. Linux 4.17 and later.
pub fn open_uprobe(path: &CStr, offset: u64, returns: bool, target: Target) -> io::Result<OwnedFd> {
    let kind = sysfs_number("type").ok_or_else(no_uprobes)?;
    let mut attr = attr(kind as u32, 0);
    if returns {
        let bit = sysfs_number("format/retprobe").filter(|&bit| bit < 64).ok_or_else(no_uprobes)?;
        attr.config = 1 << bit;
    }
    attr.__bindgen_anon_3.uprobe_path = path.as_ptr() as u64;
    attr.__bindgen_anon_4.probe_offset = offset;
    open(&mut attr, target)
}

/// A probe of a program's own, as [`open_uprobe`]. While it is open, the kernel counts up the 16 bits at the offset `semaphore` of the file in
/// every process that has it mapped (Linux 4.20 and later).
pub fn open_usdt(path: &CStr, offset: u64, semaphore: Option<u64>, target: Target) -> io::Result<OwnedFd> {
    let kind = sysfs_number("type").ok_or_else(no_uprobes)?;
    let mut attr = attr(kind as u32, 0);
    if let Some(semaphore) = semaphore {
        // `config:32-63`.
        let bits = u32::try_from(semaphore).map_err(io::Error::other)?;
        attr.config = u64::from(bits) << 32;
    }
    attr.__bindgen_anon_3.uprobe_path = path.as_ptr() as u64;
    attr.__bindgen_anon_4.probe_offset = offset;
    open(&mut attr, target)
}

/// A number that the kernel says about uprobes: `8`, or the bit of `config:0`.
fn sysfs_number(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/sys/bus/event_source/devices/uprobe/{name}")).ok()?;
    text.trim().trim_start_matches("config:").parse().ok()
}

fn no_uprobes() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this kernel has no uprobes (CONFIG_UPROBE_EVENTS)")
}

/// The beginning of a function of the kernel, an instruction `at` bytes into it, or one at the address `at` (without a name);
/// or a function's end. `pmu` is the number in `/sys/bus/event_source/devices/kprobe/type` (Linux 4.17).
///
/// `ENOENT`: no such function; `EADDRNOTAVAIL`: several of that name; `EILSEQ`: no instruction begins there.
pub fn open_kprobe(pmu: u32, name: Option<&CStr>, at: u64, at_end: bool) -> io::Result<OwnedFd> {
    let mut attr = attr(pmu, u64::from(at_end));
    attr.__bindgen_anon_3.kprobe_func = name.map_or(0, |name| name.as_ptr() as u64);
    attr.__bindgen_anon_4.probe_offset = at;
    // The program runs on all CPUs.
    open(&mut attr, Target::cpu(0))
}

/// Has a program run whenever the event happens, until the event is closed.
pub(super) fn set_program(event: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both descriptors are open; no address is passed.
    if unsafe { ioctls::SET_BPF(event.as_raw_fd(), program.as_raw_fd() as u32) } < 0 {
        return Err(last_error("PERF_EVENT_IOC_SET_BPF"));
    }
    Ok(())
}

/// Starts an event that [`disable`] has stopped.
pub fn enable(event: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open; no address is passed.
    if unsafe { ioctls::ENABLE(event.as_raw_fd(), 0) } < 0 {
        return Err(last_error("PERF_EVENT_IOC_ENABLE"));
    }
    Ok(())
}

/// Stops an event, which stays open.
pub fn disable(event: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open; no address is passed.
    if unsafe { ioctls::DISABLE(event.as_raw_fd(), 0) } < 0 {
        return Err(last_error("PERF_EVENT_IOC_DISABLE"));
    }
    Ok(())
}

pub(super) fn attr(kind: u32, config: u64) -> perf_event_attr {
    perf_event_attr {
        type_: kind,
        size: size_of::<perf_event_attr>() as u32,
        config,
        ..perf_event_attr::default()
    }
}

pub(super) fn open(attr: &mut perf_event_attr, target: Target) -> io::Result<OwnedFd> {
    // SAFETY: the attribute says its own size; an address in it is that of a string that outlives the call.
    let fd = unsafe {
        perf_event_open_sys::perf_event_open(attr, target.thread, target.cpu, -1, PERF_FLAG_FD_CLOEXEC.into())
    };
    if fd < 0 {
        return Err(last_error("perf_event_open"));
    }
    // SAFETY: the kernel has just made this descriptor for us, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::super::errno;
    use super::*;

    #[test]
    fn clocks_open_by_period_and_by_frequency() {
        for sampling in [Sampling::PeriodNs(10_000_000), Sampling::Hertz(99)] {
            for clock in [Clock::Cpu, Clock::Task] {
                match open_clock(clock, sampling, Target::this_thread()) {
                    Ok(event) => {
                        disable(event.as_fd()).unwrap();
                        enable(event.as_fd()).unwrap();
                    }
                    Err(error) if matches!(errno(&error), Some(libc::EPERM | libc::EACCES)) => {
                        return println!("skipped: {error}");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn a_tracepoint_that_is_not_there_is_an_error_with_the_calls_name() {
        let error = open_tracepoint(u32::MAX.into(), Target::cpu(0)).unwrap_err();
        assert!(error.to_string().starts_with("perf_event_open: "), "{error}");
    }
}
