//! `interval`: now and again, on one CPU. By the clock of that CPU, which ticks on while it is idle.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{AttachError, Context, Expansion, ProgramKind, Provider, Target};
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
        period_ns(point)?;
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
            period_ns(target.point()).map_err(|_| io::Error::other(format!("not of the form {FORM}")))?;
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

/// The time between two runs: `s:1`, `hz:99`, `100ms`.
pub fn period_ns(point: &str) -> Result<u64, AttachError> {
    let period = match point.split_once(':') {
        Some((unit, count)) => number(count).and_then(|count| match unit {
            "hz" => 1_000_000_000_u64.checked_div(count),
            _ => unit_ns(unit)?.checked_mul(count),
        }),
        None => {
            let at = point.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(point.len());
            let (count, unit) = point.split_at(at);
            number(count).and_then(|count| unit_ns(unit)?.checked_mul(count))
        }
    };
    // The kernel takes a period of 63 bits.
    match period {
        Some(period) if period >= SHORTEST_NS && i64::try_from(period).is_ok() => Ok(period),
        Some(_) | None => Err(AttachError::Form { expected: FORM }),
    }
}

fn number(text: &str) -> Option<u64> {
    text.replace('_', "").parse().ok()
}

/// The units of the language's durations.
fn unit_ns(unit: &str) -> Option<u64> {
    const SECOND: u64 = 1_000_000_000;
    Some(match unit {
        "ns" => 1,
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
        for (point, ns) in [
            ("s:1", 1_000_000_000),
            ("ms:10", 10_000_000),
            ("us:50", 50_000),
            ("hz:99", 10_101_010),
            ("1s", 1_000_000_000),
            ("100ms", 100_000_000),
            ("1_000us", 1_000_000),
            ("2m", 120_000_000_000),
        ] {
            assert_eq!(period_ns(point).unwrap(), ns, "{point}");
        }
    }

    #[test]
    fn what_is_no_period_is_told() {
        for point in [
            "",
            "s",
            "s:",
            "ns:999",
            "s:0",
            "hz:0",
            "5",
            "s:x",
            "x:5",
            "10ns",
            "us:0",
            "s:99999999999",
            "hz:2000000000",
        ] {
            assert!(matches!(period_ns(point), Err(AttachError::Form { .. })), "{point}");
        }
    }
}
