//! Perf maps: names of code that a process made while it ran.
//!
//! By a convention of `perf`, such a process writes a line `START SIZE NAME` for each function, in hexadecimal, to
//! `/tmp/perf-PID.map`. The file grows, so it is read again when it has changed. Later lines win, since memory is used
//! again.

use std::fs;
use std::time::SystemTime;

use rustc_hash::FxHashMap;

use super::Call;

/// A larger file is left alone.
const LARGEST: u64 = 256 << 20;
/// The maps of so many processes are kept.
const PROCESSES: usize = 64;

/// The perf maps of processes.
#[derive(Debug, Default)]
pub struct PerfMaps {
    processes: FxHashMap<u32, PerfMap>,
}

#[derive(Debug)]
struct PerfMap {
    state: (u64, Option<SystemTime>),
    functions: Vec<Function>,
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    start: u64,
    size: u64,
    name: String,
}

impl PerfMaps {
    /// The function at an address.
    pub fn find(&mut self, pid: u32, address: u64) -> Option<Call> {
        self.refresh(pid);
        let functions = &self.processes.get(&pid)?.functions;
        let found = functions
            .iter()
            .rev()
            .find(|function| address >= function.start && address - function.start < function.size)?;
        Some(Call { name: found.name.clone(), offset: Some(address - found.start), source: None })
    }

    fn refresh(&mut self, pid: u32) {
        // A process in a container writes into its own `/tmp`, and there under the number that it has there.
        let inner = inner_pid(pid).unwrap_or(pid);
        let paths = [format!("/proc/{pid}/root/tmp/perf-{inner}.map"), format!("/tmp/perf-{pid}.map")];
        let Some((path, data)) = paths.iter().find_map(|path| Some((path, fs::metadata(path).ok()?))) else {
            return;
        };
        let state = (data.len(), data.modified().ok());
        if self.processes.get(&pid).is_some_and(|known| known.state == state) || data.len() > LARGEST {
            return;
        }
        if let Ok(text) = fs::read(path) {
            let functions = text.split(|&byte| byte == b'\n').filter_map(parse).collect();
            if self.processes.len() >= PROCESSES {
                self.processes.clear();
            }
            self.processes.insert(pid, PerfMap { state, functions });
        }
    }
}

/// The number of a process in its own pid namespace.
fn inner_pid(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

fn parse(line: &[u8]) -> Option<Function> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.splitn(3, ' ');
    let mut hex = || u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok();
    let (start, size) = (hex()?, hex()?);
    Some(Function { start, size, name: words.next()?.trim_end().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_perf_maps() {
        let function = |start, size, name: &str| Some(Function { start, size, name: name.to_string() });
        assert_eq!(parse(b"7f00 10 LazyCompile:~f x.js:1"), function(0x7f00, 16, "LazyCompile:~f x.js:1"));
        assert_eq!(parse(b"0x7f00 0x10 f"), function(0x7f00, 16, "f"));
        for other in [&b""[..], b"7f00", b"7f00 10", b"x 10 f", b"\xff \xff \xff"] {
            assert_eq!(parse(other), None);
        }
    }

    #[test]
    fn a_map_is_read_again_when_it_has_grown() {
        let pid = std::process::id();
        let path = format!("/tmp/perf-{pid}.map");
        fs::write(&path, "1000 10 one\n").unwrap();
        let mut maps = PerfMaps::default();
        let first = maps.find(pid, 0x1004);
        fs::write(&path, "1000 10 one\n1000 8 two\n").unwrap();
        let second = maps.find(pid, 0x1004);
        fs::remove_file(&path).unwrap();
        let call = |name: &str| Some(Call { name: name.to_string(), offset: Some(4), source: None });
        assert_eq!(first, call("one"));
        assert_eq!(second, call("two"));
        assert_eq!(maps.find(pid, 0x1010), None);
    }
}
