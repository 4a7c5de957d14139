//! Times as `strftime` writes them, from stamps of the kernel's clocks.

use std::cell::OnceCell;
use std::ffi::CString;

use rtscript_lang::types::Clock;

const SECOND: i64 = 1_000_000_000;

/// How far CLOCK_REALTIME is ahead of the clocks that stamps are taken from, measured when the first is printed.
#[derive(Debug, Default)]
pub struct Clocks {
    offsets: OnceCell<Offsets>,
}

/// In nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Offsets {
    boot: i64,
    monotonic: i64,
    tai: i64,
}

impl Clocks {
    /// The time of day of a stamp: seconds since 1970, and nanoseconds.
    pub fn time_of_day(&self, stamp: u64, clock: Clock) -> (i64, u32) {
        let offsets = self.offsets.get_or_init(|| Offsets {
            boot: ahead_of(libc::CLOCK_BOOTTIME),
            monotonic: ahead_of(libc::CLOCK_MONOTONIC),
            tai: ahead_of(libc::CLOCK_TAI),
        });
        let offset = match clock {
            Clock::Boot => offsets.boot,
            Clock::Monotonic => offsets.monotonic,
            Clock::Tai => offsets.tai,
        };
        // A stamp of more than 292 years is no time, but it must not panic either.
        let time = (stamp as i64).saturating_add(offset);
        (time.div_euclid(SECOND), time.rem_euclid(SECOND) as u32)
    }

    #[cfg(test)]
    pub fn of(boot: i64, monotonic: i64, tai: i64) -> Clocks {
        Clocks { offsets: OnceCell::from(Offsets { boot, monotonic, tai }) }
    }
}

/// The time of day now: seconds since 1970, and nanoseconds.
pub fn now() -> (i64, u32) {
    let time = read(libc::CLOCK_REALTIME);
    (time.div_euclid(SECOND), time.rem_euclid(SECOND) as u32)
}

/// Appends a time in the local time zone. With `nanos`, `%f` is its microseconds in six digits, `%l` its
/// milliseconds in three, and `%k` its nanoseconds in nine (instead of the hours that the C library writes for
/// the last two).
pub fn strftime(format: &str, seconds: i64, nanos: Option<u32>, out: &mut Vec<u8>) {
    let format = match nanos {
        Some(nanos) if format.contains('%') => with_fraction(format, nanos),
        Some(_) | None => format.to_string(),
    };
    // A result of length 0 means that there was no room, so the result is made to have at least this blank.
    let Ok(format) = CString::new(format + " ") else { return };
    let Some(time) = local(seconds) else { return };
    let mut room = 128;
    while room <= 1 << 16 {
        let mut text = vec![0u8; room];
        // SAFETY: there are `room` bytes at `text`, the format ends in NUL, and `time` was filled by localtime_r.
        let length = unsafe { libc::strftime(text.as_mut_ptr().cast(), room, format.as_ptr(), &time) };
        if length > 0 {
            out.extend_from_slice(&text[..length - 1]);
            return;
        }
        room *= 8;
    }
}

fn with_fraction(format: &str, nanos: u32) -> String {
    let mut result = String::with_capacity(format.len() + 16);
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            result.push(c);
            continue;
        }
        match rest.next() {
            Some('f') => result.push_str(&format!("{:06}", nanos / 1000)),
            Some('l') => result.push_str(&format!("{:03}", nanos / 1_000_000)),
            Some('k') => result.push_str(&format!("{nanos:09}")),
            Some(other) => result.extend(['%', other]),
            None => result.push('%'),
        }
    }
    result
}

fn local(seconds: i64) -> Option<libc::tm> {
    // SAFETY: `tm` is plain data, and its pointer may be null.
    let mut time: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the right types; the result is null on overflow of the year.
    let result = unsafe { libc::localtime_r(&seconds, &mut time) };
    if result.is_null() { None } else { Some(time) }
}

/// CLOCK_REALTIME minus `clock`, both read at the same moment as nearly as can be.
fn ahead_of(clock: libc::clockid_t) -> i64 {
    let before = read(libc::CLOCK_REALTIME);
    let other = read(clock);
    let after = read(libc::CLOCK_REALTIME);
    before + (after - before) / 2 - other
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec. The clocks that are asked for exist since Linux 3.10, so it cannot fail.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec * SECOND + time.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(format: &str, nanos: Option<u32>) -> String {
        let mut out = vec![];
        strftime(format, 0, nanos, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn formats() {
        assert_eq!(formatted("%s", None), "0");
        assert_eq!(formatted("", None), "");
        assert_eq!(formatted("100%% %", None), "100% %");
        assert_eq!(formatted("a%n", None), "a\n");
        assert_eq!(formatted("%s.%f", Some(1_234_567)), "0.001234");
        assert_eq!(formatted("%s.%l %%f %k", Some(1_234_567)), "0.001 %f 001234567");
        assert_eq!(formatted("%f", Some(999_999_999)), "999999");
        let long = "x".repeat(1000);
        assert_eq!(formatted(&long, None), long);
    }

    #[test]
    fn stamps_become_times_of_day() {
        let clocks = Clocks::of(10 * SECOND, 20 * SECOND, -2 * SECOND);
        assert_eq!(clocks.time_of_day(5_000_000_001, Clock::Boot), (15, 1));
        assert_eq!(clocks.time_of_day(0, Clock::Monotonic), (20, 0));
        assert_eq!(clocks.time_of_day(1, Clock::Tai), (-2, 1));
        clocks.time_of_day(u64::MAX, Clock::Boot);
        clocks.time_of_day(i64::MAX as u64, Clock::Boot);
    }

    #[test]
    fn the_measured_offsets_lead_to_now() {
        let clocks = Clocks::default();
        for (clock, id) in [
            (Clock::Boot, libc::CLOCK_BOOTTIME),
            (Clock::Monotonic, libc::CLOCK_MONOTONIC),
            (Clock::Tai, libc::CLOCK_TAI),
        ] {
            let (earliest, _) = now();
            let (seconds, _) = clocks.time_of_day(read(id) as u64, clock);
            let (latest, _) = now();
            assert!((earliest - 1..=latest + 1).contains(&seconds), "{clock:?}");
        }
    }
}
