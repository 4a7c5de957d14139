//! Histograms: what their buckets are called, and their bars.

use rtscript_lang::aggregate::Aggregate;

use super::{json, number};

/// Columns of a label, of a count, and of the bar of the largest count.
const LABEL: usize = 16;
const COUNT: usize = 8;
const BAR: usize = 52;

/// Each is 1024 times the one before.
const SUFFIXES: &[u8; 7] = b"\0KMGTPE";

/// Appends a line for each bucket from the first to the last that is not empty, and an empty line. The counts are
/// divided by `div`, unless the buckets are linear.
pub fn text(aggregate: &Aggregate, buckets: &[u64], div: i64, out: &mut Vec<u8>) {
    let div = divisor(aggregate, div);
    let shown = shown(buckets);
    let largest = buckets.iter().max().map_or(0, |count| count / div);
    for (bucket, count) in shown.clone().zip(&buckets[shown]) {
        let count = count / div;
        let start = out.len();
        label(aggregate, bucket as u32, out);
        out.resize(out.len().max(start + LABEL), b' ');
        let digits = number::Digits::decimal(count);
        out.resize(out.len() + COUNT.saturating_sub(digits.as_bytes().len()), b' ');
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(b" |");
        let start = out.len();
        let columns = u128::from(count) * BAR as u128 / u128::from(largest.max(1));
        out.resize(start + columns as usize, b'@');
        out.resize(start + BAR, b' ');
        out.extend_from_slice(b"|\n");
    }
    out.push(b'\n');
}

/// Appends the same buckets as a JSON array. `max` is inclusive; an end that is open has none.
pub fn json(aggregate: &Aggregate, buckets: &[u64], div: i64, out: &mut Vec<u8>) {
    let div = divisor(aggregate, div);
    let shown = shown(buckets);
    out.push(b'[');
    for (index, (bucket, count)) in shown.clone().zip(&buckets[shown]).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let (low, high) = aggregate.bucket_range(bucket as u32);
        out.push(b'{');
        if let Some(low) = low {
            out.extend_from_slice(b"\"min\": ");
            json::number(low, out);
            out.extend_from_slice(b", ");
        }
        if let Some(high) = high {
            out.extend_from_slice(b"\"max\": ");
            json::number(high - 1, out);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(b"\"count\": ");
        json::number(i128::from(count / div), out);
        out.push(b'}');
    }
    out.push(b']');
}

fn divisor(aggregate: &Aggregate, div: i64) -> u64 {
    match aggregate {
        Aggregate::Lhist { .. } | Aggregate::Tseries { .. } => 1,
        Aggregate::Hist { .. }
        | Aggregate::Count
        | Aggregate::Sum { .. }
        | Aggregate::Min { .. }
        | Aggregate::Max { .. }
        | Aggregate::Avg { .. }
        // Counts have no sign: by a negative number they are divided as by a very large one.
        | Aggregate::Stats { .. } => (div as u64).max(1),
    }
}

/// From the first to the last bucket that is not empty.
fn shown(buckets: &[u64]) -> std::ops::Range<usize> {
    match buckets.iter().position(|&count| count > 0) {
        Some(first) => first..buckets.iter().rposition(|&count| count > 0).map_or(first, |last| last + 1),
        None => 0..0,
    }
}

fn label(aggregate: &Aggregate, bucket: u32, out: &mut Vec<u8>) {
    match aggregate.bucket_range(bucket) {
        (Some(low), Some(high)) if high == low + 1 => {
            out.push(b'[');
            bound(aggregate, low, out);
            out.push(b']');
        }
        (low, high) => {
            match low {
                Some(low) => {
                    out.push(b'[');
                    bound(aggregate, low, out);
                }
                None => out.extend_from_slice(b"(..."),
            }
            out.extend_from_slice(b", ");
            match high {
                Some(high) => bound(aggregate, high, out),
                None => out.extend_from_slice(b"..."),
            }
            out.push(b')');
        }
    }
}

/// A bound of a bucket. Those of `hist` have the largest suffix of which the bucket is as wide as one at least, so that
/// neighbours have the same one; those of linear buckets have one where all of them are whole multiples of 1024.
fn bound(aggregate: &Aggregate, value: i128, out: &mut Vec<u8>) {
    let (mut value, mut suffix) = (value, 0);
    match aggregate {
        Aggregate::Hist { bits } => {
            let width = value.checked_ilog2().unwrap_or(0).saturating_sub(u32::from(*bits));
            suffix = (width as usize / 10).min(SUFFIXES.len() - 1);
            value >>= suffix * 10;
        }
        Aggregate::Lhist { step, .. } if step % 1024 == 0 => {
            while suffix < 2 && value != 0 && value % 1024 == 0 {
                value /= 1024;
                suffix += 1;
            }
        }
        Aggregate::Lhist { .. }
        | Aggregate::Tseries { .. }
        | Aggregate::Count
        | Aggregate::Sum { .. }
        | Aggregate::Min { .. }
        | Aggregate::Max { .. }
        | Aggregate::Avg { .. }
        | Aggregate::Stats { .. } => {}
    }
    number::wide(value, out);
    if suffix > 0 {
        out.push(SUFFIXES[suffix]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG2: Aggregate = Aggregate::Hist { bits: 0 };

    fn buckets(aggregate: &Aggregate, values: &[(i64, u64)]) -> Vec<u64> {
        let mut buckets = vec![0; aggregate.slots() as usize];
        for (value, count) in values {
            buckets[aggregate.bucket(*value).unwrap() as usize] += count;
        }
        buckets
    }

    fn label_of(aggregate: &Aggregate, value: i64) -> String {
        let mut out = vec![];
        label(aggregate, aggregate.bucket(value).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn labels() {
        let two_bits = Aggregate::Hist { bits: 2 };
        let linear = |min, max, step| Aggregate::Lhist { min, max, step };
        let cases = [
            (LOG2, -1, "(..., 0)"),
            (LOG2, 0, "[0]"),
            (LOG2, 1, "[1]"),
            (LOG2, 3, "[2, 4)"),
            (LOG2, 1000, "[512, 1K)"),
            (LOG2, 1 << 19, "[512K, 1M)"),
            (LOG2, 1 << 30, "[1G, 2G)"),
            (LOG2, 1 << 40, "[1T, 2T)"),
            (LOG2, 1 << 59, "[512P, 1E)"),
            (LOG2, i64::MAX, "[4E, 8E)"),
            (two_bits, 5, "[5]"),
            (two_bits, 9, "[8, 10)"),
            (two_bits, 1000, "[896, 1024)"),
            (two_bits, 1024, "[1024, 1280)"),
            (two_bits, -7, "(..., 0)"),
            (linear(0, 100, 10), -1, "(..., 0)"),
            (linear(0, 100, 10), 0, "[0, 10)"),
            (linear(0, 100, 10), 100, "[100, ...)"),
            (linear(0, 105, 10), 104, "[100, 105)"),
            (linear(0, 3, 1), 2, "[2]"),
            (Aggregate::Hist { bits: 1 }, 1536, "[1536, 2K)"),
            (Aggregate::Hist { bits: 2 }, 4096, "[4K, 5K)"),
            (Aggregate::Hist { bits: 5 }, 1 << 20, "[1024K, 1056K)"),
            (linear(0, 4096, 1024), 0, "[0, 1K)"),
            (linear(0, 4096, 1024), 2500, "[2K, 3K)"),
            (linear(0, 4096, 1024), 4096, "[4K, ...)"),
            (linear(0, 1 << 31, 1 << 30), 1 << 30, "[1024M, 2048M)"),
            (linear(1000, 4000, 1000), 2500, "[2000, 3000)"),
            (linear(10, 2058, 1024), 10, "[10, 1034)"),
        ];
        for (aggregate, value, expected) in cases {
            assert_eq!(label_of(&aggregate, value), expected, "{aggregate:?} {value}");
        }
        let mut out = vec![];
        label(&LOG2, LOG2.slots() - 1, &mut out);
        assert_eq!(out, b"[8E, ...)");
    }

    #[test]
    fn bars() {
        let buckets = buckets(&LOG2, &[(-1, 2), (0, 5), (1, 1), (1500, 23)]);
        let mut out = vec![];
        text(&LOG2, &buckets, 1, &mut out);
        let expected = "\
(..., 0)               2 |@@@@                                                |
[0]                    5 |@@@@@@@@@@@                                         |
[1]                    1 |@@                                                  |
[2, 4)                 0 |                                                    |
[4, 8)                 0 |                                                    |
[8, 16)                0 |                                                    |
[16, 32)               0 |                                                    |
[32, 64)               0 |                                                    |
[64, 128)              0 |                                                    |
[128, 256)             0 |                                                    |
[256, 512)             0 |                                                    |
[512, 1K)              0 |                                                    |
[1K, 2K)              23 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn counts_are_divided_but_not_linear_ones() {
        let buckets_of_16 = buckets(&LOG2, &[(16, 1000), (32, 100)]);
        let mut out = vec![];
        text(&LOG2, &buckets_of_16, 100, &mut out);
        let expected = "\
[16, 32)              10 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[32, 64)               1 |@@@@@                                               |

";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let linear = Aggregate::Lhist { min: 0, max: 10, step: 5 };
        let mut out = vec![];
        text(&linear, &buckets(&linear, &[(7, 123_456_789)]), 100, &mut out);
        let expected = "\
[5, 10)         123456789 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn nothing_but_zeros_is_an_empty_line() {
        let mut out = vec![];
        text(&LOG2, &[0; 66], 1, &mut out);
        assert_eq!(out, b"\n");
        // More buckets than there can be: nothing panics.
        text(&LOG2, &[u64::MAX; 100], 0, &mut out);
        json(&LOG2, &[u64::MAX; 100], 0, &mut out);
    }

    #[test]
    fn as_json() {
        let mut out = vec![];
        json(&LOG2, &buckets(&LOG2, &[(-5, 1), (0, 3), (1, 2), (2, 1)]), 1, &mut out);
        let expected = r#"[{"max": -1, "count": 1},{"min": 0, "max": 0, "count": 3},{"min": 1, "max": 1, "count": 2},{"min": 2, "max": 3, "count": 1}]"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let linear = Aggregate::Lhist { min: 0, max: 10, step: 5 };
        let mut out = vec![];
        json(&linear, &buckets(&linear, &[(7, 1), (12, 2)]), 1, &mut out);
        let expected = r#"[{"min": 5, "max": 9, "count": 1},{"min": 10, "count": 2}]"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
