//! What `count()`, `hist()` and their kin come to over all CPUs, as text and as JSON.

use rtscript_lang::aggregate::Aggregate;

use super::series::Series;
use super::value::word;
use super::{histogram, json, number};

/// An aggregate over all CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Summary {
    /// Of `count`, `sum`, `min`, `max` and `avg`.
    Number(i128),
    Stats {
        count: u64,
        average: i128,
        total: i128,
    },
    Buckets(Vec<u64>),
    Series(Series),
}

impl Summary {
    /// Merges what each CPU has. Of nothing, all is zero.
    pub fn of(aggregate: &Aggregate, cpus: &[Vec<u8>]) -> Summary {
        let total =
            |slot: usize| cpus.iter().map(|cpu| slot_of(cpu, slot)).fold(0, |a: u64, b| a.wrapping_add(b));
        let with_sign = |bits: u64, signed: bool| match signed {
            true => i128::from(bits as i64),
            false => i128::from(bits),
        };
        // The best rank on any CPU; of nothing, the value is zero.
        let best = |signed: bool| {
            let ranks = cpus.iter().filter(|cpu| slot_of(cpu, 1) != 0).map(|cpu| slot_of(cpu, 0));
            let mask = aggregate.rank_mask().unwrap_or(0);
            Summary::Number(ranks.max().map_or(0, |rank| with_sign(rank ^ mask, signed)))
        };
        match *aggregate {
            Aggregate::Count => Summary::Number(i128::from(total(0))),
            Aggregate::Sum { signed } => Summary::Number(with_sign(total(0), signed)),
            Aggregate::Min { signed } | Aggregate::Max { signed } => best(signed),
            Aggregate::Avg { signed } => {
                Summary::Number(with_sign(total(0), signed) / i128::from(total(1).max(1)))
            }
            Aggregate::Stats { signed } => {
                let (total, count) = (with_sign(total(0), signed), total(1));
                Summary::Stats { count, average: total / i128::from(count.max(1)), total }
            }
            Aggregate::Tseries { keep, signed, intervals, .. } => {
                Summary::Series(Series::of(keep, signed, intervals, cpus))
            }
            Aggregate::Hist { .. } | Aggregate::Lhist { .. } => {
                Summary::Buckets((0..aggregate.slots() as usize).map(total).collect())
            }
        }
    }

    /// By what the elements of a map are sorted.
    pub fn rank(&self) -> i128 {
        match self {
            Summary::Number(value) => *value,
            Summary::Stats { average, .. } => *average,
            Summary::Series(series) => i128::from(series.updated),
            Summary::Buckets(counts) => counts.iter().map(|&count| i128::from(count)).sum(),
        }
    }

    /// Appends it; a histogram or a series with the end of its last line and an empty one.
    pub fn text(&self, aggregate: &Aggregate, div: i64, out: &mut Vec<u8>) {
        match self {
            Summary::Number(value) => number::wide(number::divided(*value, div), out),
            Summary::Stats { count, average, total } => {
                out.extend_from_slice(b"{ .count = ");
                number::unsigned(*count, out);
                out.extend_from_slice(b", .average = ");
                number::wide(number::divided(*average, div), out);
                out.extend_from_slice(b", .total = ");
                number::wide(*total, out);
                out.extend_from_slice(b" }");
            }
            Summary::Buckets(counts) => histogram::text(aggregate, counts, div, out),
            Summary::Series(series) => series.text(aggregate, div, out),
        }
    }

    pub fn json(&self, aggregate: &Aggregate, div: i64, out: &mut Vec<u8>) {
        match self {
            Summary::Number(value) => json::number(number::divided(*value, div), out),
            Summary::Stats { count, average, total } => {
                out.extend_from_slice(b"{\"count\": ");
                json::number(i128::from(*count), out);
                out.extend_from_slice(b", \"average\": ");
                json::number(number::divided(*average, div), out);
                out.extend_from_slice(b", \"total\": ");
                json::number(*total, out);
                out.push(b'}');
            }
            Summary::Buckets(counts) => histogram::json(aggregate, counts, div, out),
            Summary::Series(series) => series.json(aggregate, div, out),
        }
    }
}

fn slot_of(cpu: &[u8], slot: usize) -> u64 {
    word(cpu.get(slot * 8..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(slots: &[&[i64]]) -> Vec<Vec<u8>> {
        slots.iter().map(|cpu| cpu.iter().flat_map(|slot| slot.to_ne_bytes()).collect()).collect()
    }

    fn written(aggregate: Aggregate, slots: &[&[i64]], div: i64) -> (String, String) {
        let summary = Summary::of(&aggregate, &cpus(slots));
        let (mut text, mut json) = (vec![], vec![]);
        summary.text(&aggregate, div, &mut text);
        summary.json(&aggregate, div, &mut json);
        (String::from_utf8(text).unwrap(), String::from_utf8(json).unwrap())
    }

    #[test]
    fn numbers_are_merged_over_the_cpus() {
        let cases: &[(Aggregate, &[&[i64]], &str)] = &[
            (Aggregate::Count, &[&[3], &[0], &[4]], "7"),
            (Aggregate::Sum { signed: true }, &[&[3], &[-10]], "-7"),
            (Aggregate::Sum { signed: false }, &[&[-1], &[0]], "18446744073709551615"),
            (Aggregate::Min { signed: true }, &[&[0, 0], &[7 ^ i64::MAX, 1], &[-2 ^ i64::MAX, 1]], "-2"),
            (Aggregate::Min { signed: false }, &[&[0, 0], &[!7, 1], &[!-2, 1]], "7"),
            (Aggregate::Max { signed: true }, &[&[0, 0], &[-7 ^ i64::MIN, 1]], "-7"),
            (Aggregate::Max { signed: false }, &[&[5, 1], &[-7, 1]], "18446744073709551609"),
            (Aggregate::Max { signed: true }, &[&[9, 0]], "0"),
            (Aggregate::Avg { signed: true }, &[&[10, 1], &[-3, 1]], "3"),
            (Aggregate::Avg { signed: true }, &[&[-7, 2]], "-3"),
            (Aggregate::Avg { signed: true }, &[&[0, 0]], "0"),
            (Aggregate::Avg { signed: true }, &[], "0"),
        ];
        for (aggregate, slots, expected) in cases {
            assert_eq!(written(*aggregate, slots, 1).0, *expected, "{aggregate:?} {slots:?}");
        }
        let large = written(Aggregate::Sum { signed: false }, &[&[-1]], 1).1;
        assert_eq!(large, "\"18446744073709551615\"");
        assert_eq!(written(Aggregate::Sum { signed: true }, &[&[1999]], 1000).0, "1");
    }

    #[test]
    fn stats_are_a_record() {
        let slots: &[&[i64]] = &[&[4, 2], &[2, 1]];
        let (text, json) = written(Aggregate::Stats { signed: true }, slots, 1);
        assert_eq!(text, "{ .count = 3, .average = 2, .total = 6 }");
        assert_eq!(json, r#"{"count": 3, "average": 2, "total": 6}"#);
        let (text, _) = written(Aggregate::Stats { signed: true }, &[&[-6000, 2]], 1000);
        assert_eq!(text, "{ .count = 2, .average = -3, .total = -6000 }");
    }

    #[test]
    fn buckets_are_added_up() {
        let summary = Summary::of(&Aggregate::Hist { bits: 0 }, &cpus(&[&[1, 0, 2], &[0, 5]]));
        let Summary::Buckets(counts) = &summary else { panic!("a histogram has buckets") };
        assert_eq!(counts[..4], [1, 5, 2, 0]);
        assert_eq!(summary.rank(), 8);
    }

    #[test]
    fn bytes_may_be_missing() {
        assert_eq!(Summary::of(&Aggregate::Count, &[vec![1, 2]]), Summary::Number(0x201));
        assert_eq!(Summary::of(&Aggregate::Max { signed: true }, &[vec![]]), Summary::Number(0));
    }
}
