//! Perf events that count something, and happen each time so many have been counted: clocks, faults, switches, a
//! processor's own events, and accesses to an address.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use perf_event_open_sys::bindings::{PERF_TYPE_BREAKPOINT, PERF_TYPE_HARDWARE, PERF_TYPE_SOFTWARE};

use super::errno;
use super::perf::{self, Target};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// One of the kernel's own events, by its number in the ABI (`PERF_COUNT_SW_*`). Clocks count nanoseconds.
    Software(u32),
    /// One of the processor's events by its number in the ABI (`PERF_COUNT_HW_*`).
    Hardware(u32),
    /// Accesses to memory by the processor's debug registers: `kinds` is a sum of `HW_BREAKPOINT_*`.
    Breakpoint { address: u64, length: u64, kinds: u32 },
}

/// Whose events are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of every CPU that is online.
    AllCpus,
    /// Those of a process: of its threads, and of those that it will start.
    Process(u32),
}

/// Opens an event for each CPU or thread. It happens once in `period`, counted for each of them.
///
/// Threads that a process starts count with the one that started them, on Linux 5.13 and later. `ENOENT`: the machine cannot count this.
pub fn open_counters(counter: Counter, period: u64, scope: Scope) -> io::Result<Vec<OwnedFd>> {
    let (targets, inherit) = match scope {
        Scope::AllCpus => (online_cpus()?.into_iter().map(Target::cpu).collect(), false),
        Scope::Process(pid) => (threads(pid)?, true),
    };
    let mut events = Vec::with_capacity(targets.len());
    let mut gone = None;
    for target in targets {
        match open(counter, period, target, inherit) {
            Ok(event) => events.push(event),
            // A CPU that was just taken away, a thread that has just ended.
            Err(error) if matches!(errno(&error), Some(libc::ENODEV | libc::ESRCH)) => gone = Some(error),
            Err(error) => return Err(error),
        }
    }
    match gone {
        Some(error) if events.is_empty() => Err(error),
        Some(_) | None => Ok(events),
    }
}

fn open(counter: Counter, period: u64, target: Target, inherit: bool) -> io::Result<OwnedFd> {
    let mut attr = match counter {
        Counter::Software(event) => perf::attr(PERF_TYPE_SOFTWARE, event.into()),
        Counter::Hardware(event) => perf::attr(PERF_TYPE_HARDWARE, event.into()),
        Counter::Breakpoint { address, length, kinds } => {
            let mut attr = perf::attr(PERF_TYPE_BREAKPOINT, 0);
            attr.bp_type = kinds;
            attr.__bindgen_anon_3.bp_addr = address;
            attr.__bindgen_anon_4.bp_len = length;
            attr
        }
    };
    attr.__bindgen_anon_1.sample_period = period;
    if inherit {
        attr.set_inherit(1);
        attr.set_inherit_thread(1);
        match perf::open(&mut attr, target) {
            // Before Linux 5.13 a thread could not be told from a process here; then what it starts is left out.
            Err(error) if errno(&error) == Some(libc::EINVAL) => {
                attr.set_inherit(0);
                attr.set_inherit_thread(0);
            }
            result => return result,
        }
    }
    perf::open(&mut attr, target)
}

fn threads(pid: u32) -> io::Result<Vec<Target>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
    Ok(ids.map(Target::thread).collect())
}

/// The CPUs that are online, in their order: at least one.
pub fn online_cpus() -> io::Result<Vec<u32>> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online")?;
    let cpus = parse_cpus(&text);
    if cpus.is_empty() { Err(io::Error::other(format!("no CPUs are online: {text}"))) } else { Ok(cpus) }
}

/// `0-3,5` names five.
fn parse_cpus(text: &str) -> Vec<u32> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use perf_event_open_sys::bindings::PERF_COUNT_SW_CPU_CLOCK;

    use super::*;

    #[test]
    fn lists_of_cpus_have_ranges() {
        assert_eq!(parse_cpus("0-3,5\n"), [0, 1, 2, 3, 5]);
        assert_eq!(parse_cpus("2"), [2]);
        assert!(parse_cpus("x,3-1,").is_empty());
        assert!(!online_cpus().unwrap().is_empty());
    }

    #[test]
    fn there_is_an_event_for_each_cpu_and_for_each_thread() {
        let clock = Counter::Software(PERF_COUNT_SW_CPU_CLOCK);
        let events = match open_counters(clock, 1 << 40, Scope::AllCpus) {
            Ok(events) => events,
            Err(error) if matches!(errno(&error), Some(libc::EPERM | libc::EACCES)) => {
                return println!("skipped: {error}");
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(events.len(), online_cpus().unwrap().len());
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || stopped.recv());
        let events = open_counters(clock, 1 << 40, Scope::Process(std::process::id())).unwrap();
        assert!(events.len() >= 2, "{}", events.len());
        drop(stop);
        assert!(other.join().unwrap().is_err());
        assert!(open_counters(clock, 1 << 40, Scope::Process(u32::MAX >> 1)).is_err());
    }
}
