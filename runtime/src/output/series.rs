//! Series of values over time, as `tseries` keeps them: a chart of one row for each interval, and JSON.
//!
//! ```text
//!              -10                                                20
//! hh:mm:ss.ms  |___________________________________________________|
//! 12:00:01.500 *                 .                                 | -10
//! 12:00:02.000 |                 .                                 * 20
//!              v___________________________________________________v
//!              -10                                                20
//! ```

use std::collections::BTreeMap;

use rtscript_lang::aggregate::{Aggregate, Keep, series};

use super::time;
use super::value::word;
use super::{json, number};

/// Columns of the chart with its ends, and of the smallest value above it.
const CHART: usize = 53;
const LEAST: usize = 21;

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;
const MICROSECOND: u64 = 1_000;

/// The intervals that have a value, by their number since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    pub points: BTreeMap<u64, i128>,
    /// When the last value came, in nanoseconds of CLOCK_BOOTTIME.
    pub updated: u64,
}

struct Point {
    value: u64,
    number: u64,
    updated: u64,
}

impl Series {
    /// Merges what each CPU has of the last `intervals`.
    pub fn of(keep: Keep, signed: bool, intervals: u32, cpus: &[Vec<u8>]) -> Series {
        let wide = |bits: u64| if signed { i128::from(bits as i64) } else { i128::from(bits) };
        let mut points: BTreeMap<u64, Point> = BTreeMap::new();
        let mut latest = 0;
        for entry in cpus.iter().flat_map(|cpu| cpu.chunks_exact(series::SLOTS as usize * 8)) {
            let slot = |index: i32| word(entry.get(index as usize * 8..).unwrap_or_default());
            if slot(series::INTERVAL) as i64 == series::FRESH {
                continue;
            }
            // 0 says that there is nothing.
            let Some(interval) = slot(series::INTERVAL).checked_sub(1) else { continue };
            let new = Point {
                value: slot(series::VALUE),
                number: slot(series::NUMBER),
                updated: slot(series::UPDATED),
            };
            latest = latest.max(new.updated);
            let Some(old) = points.get_mut(&interval) else {
                points.insert(interval, new);
                continue;
            };
            old.value = match keep {
                Keep::Last if new.updated > old.updated => new.value,
                Keep::Last => old.value,
                Keep::Sum | Keep::Avg => old.value.wrapping_add(new.value),
                Keep::Min if wide(new.value) < wide(old.value) => new.value,
                Keep::Max if wide(new.value) > wide(old.value) => new.value,
                Keep::Min | Keep::Max => old.value,
            };
            old.number = old.number.wrapping_add(new.number);
            old.updated = old.updated.max(new.updated);
        }
        let last = points.keys().next_back().copied().unwrap_or(0);
        let points = points
            .into_iter()
            .filter(|(interval, _)| interval.saturating_add(u64::from(intervals)) > last)
            .map(|(interval, point)| match keep {
                Keep::Avg => (interval, wide(point.value) / i128::from(point.number.max(1))),
                Keep::Last | Keep::Sum | Keep::Min | Keep::Max => (interval, wide(point.value)),
            })
            .collect();
        Series { points, updated: latest }
    }

    /// Appends the chart and an empty line.
    pub fn text(&self, aggregate: &Aggregate, div: i64, out: &mut Vec<u8>) {
        let Aggregate::Tseries { interval, .. } = *aggregate else { return };
        let values: Vec<i128> = self.points.values().map(|value| number::divided(*value, div)).collect();
        let (Some(&least), Some(&most)) = (values.iter().min(), values.iter().max()) else {
            return out.extend_from_slice(b"<no data>\n\n");
        };
        // Where there is one value, it stands in the middle.
        let (least, most) = if least == most { (least - 1, most + 1) } else { (least, most) };
        let column = |value: i128| match (most - least) as u128 {
            0 => 0,
            range => ((value - least) as u128 * (CHART as u128 - 1) / range) as usize,
        };
        // A single row is as precise as can be.
        let unit = if self.points.len() == 1 { ".ns" } else { unit(interval) };
        let width = time_width(unit);
        ends(least, most, width, out);
        let label = format!("hh:mm:ss{unit}");
        out.extend_from_slice(format!("{label:width$}|{}|\n", "_".repeat(CHART - 2)).as_bytes());
        let (Some(&first), Some(&last)) = (self.points.keys().next(), self.points.keys().next_back()) else {
            return;
        };
        for number in first..=last {
            let start = out.len();
            time(number, interval, unit, out);
            out.resize(out.len().max(start + width), b' ');
            let mut chart = vec![b' '; CHART];
            (chart[0], chart[CHART - 1]) = (b'|', b'|');
            if least < 0 && most > 0 {
                chart[column(0)] = b'.';
            }
            let value = self.points.get(&number).map(|value| number::divided(*value, div));
            if let Some(value) = value {
                chart[column(value)] = b'*';
            }
            out.append(&mut chart);
            out.push(b' ');
            match value {
                Some(value) => number::wide(value, out),
                None => out.push(b'-'),
            }
            out.push(b'\n');
        }
        out.extend_from_slice(format!("{:width$}v{}v\n", "", "_".repeat(CHART - 2)).as_bytes());
        ends(least, most, width, out);
        out.push(b'\n');
    }

    /// Appends an array of the intervals that have a value.
    pub fn json(&self, aggregate: &Aggregate, div: i64, out: &mut Vec<u8>) {
        let Aggregate::Tseries { interval, .. } = *aggregate else { return };
        out.push(b'[');
        for (index, (&number, &value)) in self.points.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b",{" } else { b"{" });
            out.extend_from_slice(b"\"interval_start\":\"");
            let (seconds, nanos) = beginning(number, interval);
            time::strftime("%Y-%m-%d %H:%M:%S", seconds, None, out);
            out.extend_from_slice(format!(".{nanos:09}").as_bytes());
            out.extend_from_slice(b"\",\"value\":");
            json::number(number::divided(value, div), out);
            out.push(b'}');
        }
        out.push(b']');
    }
}

/// Appends when an interval begins, as precisely as `unit` says.
fn time(number: u64, interval: u64, unit: &str, out: &mut Vec<u8>) {
    let (seconds, nanos) = beginning(number, interval);
    time::strftime("%H:%M:%S", seconds, None, out);
    let digits = match unit {
        "" => String::new(),
        ".ms" => format!(".{:03}", nanos / MILLISECOND),
        ".us" => format!(".{:06}", nanos / MICROSECOND),
        _ => format!(".{nanos:09}"),
    };
    out.extend_from_slice(digits.as_bytes());
}

/// When an interval begins: seconds since 1970, and nanoseconds.
fn beginning(number: u64, interval: u64) -> (i64, u64) {
    let nanos = number.saturating_mul(interval);
    ((nanos / SECOND) as i64, nanos % SECOND)
}

/// The line with the ends of the range.
fn ends(least: i128, most: i128, width: usize, out: &mut Vec<u8>) {
    let rest = CHART - LEAST;
    out.extend_from_slice(format!("{:width$}{least:<LEAST$}{most:>rest$}\n", "").as_bytes());
}

/// Columns of the time, with at least a space behind it.
fn time_width(unit: &str) -> usize {
    match unit {
        "" | ".ms" => 13,
        ".us" => 16,
        _ => 19,
    }
}

/// What a time must show behind its seconds.
fn unit(interval: u64) -> &'static str {
    if interval.is_multiple_of(SECOND) {
        ""
    } else if interval.is_multiple_of(MILLISECOND) {
        ".ms"
    } else if interval.is_multiple_of(MICROSECOND) {
        ".us"
    } else {
        ".ns"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(entries: &[[u64; 4]]) -> Vec<u8> {
        entries.iter().flatten().flat_map(|slot| slot.to_ne_bytes()).collect()
    }

    #[test]
    fn the_cpus_are_merged() {
        // Interval, value, number, time of the last update.
        let cpus = [
            cpu(&[[11, 5, 1, 100], [12, 7, 2, 110], [u64::MAX, 1, 1, 200]]),
            cpu(&[[11, 9, 1, 90], [0; 4], [2, 1, 1, 10]]),
        ];
        let merged = |keep| Series::of(keep, false, 3, &cpus).points.into_values().collect::<Vec<_>>();
        assert_eq!(merged(Keep::Last), [5, 7]);
        assert_eq!(merged(Keep::Sum), [14, 7]);
        assert_eq!(merged(Keep::Min), [5, 7]);
        assert_eq!(merged(Keep::Max), [9, 7]);
        assert_eq!(merged(Keep::Avg), [7, 3]);
        assert_eq!(Series::of(Keep::Last, false, 3, &cpus).updated, 110);
        assert_eq!(Series::of(Keep::Last, true, 20, &cpus).points.len(), 3);
    }

    #[test]
    fn a_chart() {
        let aggregate =
            Aggregate::Tseries { keep: Keep::Last, signed: true, interval: 500 * MILLISECOND, intervals: 4 };
        let cpus = [cpu(&[[3, -10i64 as u64, 1, 1], [4, 16, 1, 2], [6, 42, 1, 3]])];
        let series = Series::of(Keep::Last, true, 4, &cpus);
        let (mut text, mut json) = (Vec::new(), Vec::new());
        series.text(&aggregate, 1, &mut text);
        series.json(&aggregate, 1, &mut json);
        let text = String::from_utf8(text).unwrap();
        // Without the hours, which are those of the time zone.
        let lines: Vec<&str> = text.lines().map(|line| line.get(6..).unwrap_or(line)).collect();
        assert_eq!(
            lines,
            [
                "       -10                                                42",
                "ss.ms  |___________________________________________________|",
                "01.000 *         .                                         | -10",
                "01.500 |         .               *                         | 16",
                "02.000 |         .                                         | -",
                "02.500 |         .                                         * 42",
                "       v___________________________________________________v",
                "       -10                                                42",
                "",
            ]
        );
        let json = String::from_utf8(json).unwrap();
        assert!(json.starts_with("[{\"interval_start\":\"19"), "{json}");
        assert!(json.contains(".500000000\""), "{json}");
        assert!(json.ends_with("\",\"value\":42}]"), "{json}");
        let mut text = Vec::new();
        Series::default().text(&aggregate, 1, &mut text);
        assert_eq!(text, b"<no data>\n\n");
    }
}
