//! `interval`: now and again, on one CPU. By the clock of that CPU, which ticks on while it is idle.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, ProgramKind, Provider, Target};
use rtscript_lang::syntax::literal::plain;
use rtscript_lang::types::{Space, Structs};

use crate::attach::{Attach, Environment};
use crate::bpf::attach_perf_event;
use crate::bpf::counter::online_cpus;
use crate::bpf::perf::{self, Clock, Sampling};

pub struct Interval;

const FORM: &str = "interval:s:N, interval:ms:N, interval:us:N, interval:hz:N, or a duration: interval:100ms";

/// The kernel throttles a clock event that comes oftener, and a microsecond is less than one costs.
const SHORTEST_NS: u64 = 1000;

impl Provider for Interval {
    fn names(&self) -> &'static [&'static str] {
        &["interval", "i"]
    }

    fn doc(&self) -> &'static str {
        "Runs at regular times, on one CPU."
    }

    fn expand(&self, point: &str, _: &dyn Kernel) -> Result<Expansion, AttachError> {
        let point = named(point).ok_or(AttachError::Form { expected: FORM })?;
        let target = Target { provider: "interval", name: format!("interval:{point}") };
        Ok(Expansion { targets: vec![target], wildcard: false })
    }

    fn context(&self, _: &Target, _: &dyn Kernel, _: &mut Structs) -> Result<Context, AttachError> {
        Ok(Context {
            program: ProgramKind::PerfEvent,
            args: Vec::new(),
            words: Vec::new(),
            retval: None,
            space: Space::Kernel,
        })
    }

    fn list(&self, pattern: &str, _: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        Ok(units("interval", pattern))
    }

    fn describe(&self, _: &Target, _: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        Ok(Vec::new())
    }
}

impl Attach for Interval {
    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        _: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        let period =
            period_ns(target.point()).ok_or_else(|| io::Error::other(format!("not of the form {FORM}")))?;
        // The first that is online, which need not be number 0.
        let first = online_cpus()?.into_iter().next().unwrap_or(0);
        let event = perf::open_clock(Clock::Cpu, Sampling::PeriodNs(period), perf::Target::cpu(first))?;
        let link = attach_perf_event(program, event.as_fd(), cookie)?;
        Ok(vec![link, event])
    }
}

/// The units of a provider that match a pattern, as they are listed.
pub fn units(provider: &'static str, pattern: &str) -> Vec<Target> {
    let units = ["hz", "ms", "s", "us"].map(|unit| format!("{unit}:"));
    let matching = units.into_iter().filter(|unit| super::pattern::matches(pattern, unit));
    matching.map(|unit| Target { provider, name: format!("{provider}:{unit}") }).collect()
}

/// The unit and the number of an attach point, as `probe` prints them: a duration counts whole microseconds there.
pub fn named(point: &str) -> Option<String> {
    let named = match point.split_once(':') {
        Some((unit @ ("hz" | "s" | "ms" | "us"), count)) => format!("{unit}:{}", plain(count)?),
        Some(_) => return None,
        None => {
            let at = point.rfind(|c: char| c.is_ascii_digit()).map_or(0, |last| last + 1);
            let (count, unit) = point.split_at(at);
            format!("us:{}", plain(count)?.checked_mul(unit_ns(unit)?)? / 1000)
        }
    };
    period_ns(&named).map(|_| named)
}

/// The time between two runs of an attach point with a unit and a number.
pub fn period_ns(named: &str) -> Option<u64> {
    let (unit, count) = named.split_once(':')?;
    let count = plain(count)?;
    let period = match unit {
        "hz" => 1_000_000_000_u64.checked_div(count),
        _ => unit_ns(unit)?.checked_mul(count),
    }?;
    // The kernel takes a period of 63 bits.
    (period >= SHORTEST_NS && i64::try_from(period).is_ok()).then_some(period)
}

/// The units of the language's durations; without one they count nanoseconds.
fn unit_ns(unit: &str) -> Option<u64> {
    const SECOND: u64 = 1_000_000_000;
    Some(match unit {
        "" | "ns" => 1,
        "us" => 1000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        "d" => 86_400 * SECOND,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_units() {
        for (point, name, ns) in [
            ("s:1", "s:1", 1_000_000_000),
            ("ms:10", "ms:10", 10_000_000),
            ("ms:1e2", "ms:100", 100_000_000),
            ("ms:0x10", "ms:16", 16_000_000),
            ("us:1_000", "us:1000", 1_000_000),
            ("hz:99", "hz:99", 10_101_010),
            ("1s", "us:1000000", 1_000_000_000),
            ("100ms", "us:100000", 100_000_000),
            ("0x64ms", "us:100000", 100_000_000),
            ("1e2ms", "us:100000", 100_000_000),
            ("1_000us", "us:1000", 1_000_000),
            ("1500ns", "us:1", 1_000),
            ("5000", "us:5", 5_000),
            ("2m", "us:120000000", 120_000_000_000),
            ("1h", "us:3600000000", 3_600_000_000_000),
        ] {
            assert_eq!(named(point).as_deref(), Some(name), "{point}");
            assert_eq!(period_ns(name), Some(ns), "{point}");
        }
    }

    #[test]
    fn what_is_no_period_is_told() {
        for point in [
            "",
            "s",
            "s:",
            "ns:9999",
            "m:1",
            "s:0",
            "hz:0",
            "5",
            "s:x",
            "s:-1",
            "s:1u",
            "x:5",
            "10ns",
            "us:0",
            "s:99999999999",
            "hz:2000000000",
        ] {
            assert_eq!(named(point), None, "{point}");
        }
    }
}
