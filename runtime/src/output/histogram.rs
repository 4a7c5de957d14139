//! Histograms: a line with a bar for each bucket.

use rtscript_lang::aggregate::Aggregate;

use super::number;

const LABEL: usize = 16;
const COUNT: usize = 8;
const BAR: usize = 52;

/// Appends a line for each bucket from the first to the last that is not empty.
pub fn lines(aggregate: &Aggregate, counts: &[u64], div: u64, out: &mut Vec<u8>) {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    for (bucket, count) in between(counts) {
        let start = out.len();
        label(aggregate, bucket, out);
        pad_to(out, start + LABEL);
        let digits = number::Digits::decimal(count.checked_div(div).unwrap_or(count));
        let digits = digits.as_bytes();
        let filled = out.len() + COUNT.saturating_sub(digits.len());
        pad_to(out, filled);
        out.extend_from_slice(digits);
        out.extend_from_slice(b" |");
        let bar = out.len();
        let length = (u128::from(count) * BAR as u128 / u128::from(most)) as usize;
        out.resize(bar + length, b'@');
        pad_to(out, bar + BAR);
        out.extend_from_slice(b"|\n");
    }
}

/// Appends the same buckets as JSON: `[{"min": 2, "max": 3, "count": 1},…]`; ends that are open are absent.
pub fn json(aggregate: &Aggregate, counts: &[u64], div: u64, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, (bucket, count)) in between(counts).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let (low, high) = aggregate.bucket_range(bucket);
        out.push(b'{');
        if let Some(low) = low {
            out.extend_from_slice(b"\"min\": ");
            super::json::signed(low, out);
            out.extend_from_slice(b", ");
        }
        if let Some(high) = high {
            out.extend_from_slice(b"\"max\": ");
            super::json::signed(high - 1, out);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(b"\"count\": ");
        super::json::unsigned(count.checked_div(div).unwrap_or(count), out);
        out.push(b'}');
    }
    out.push(b']');
}

/// The buckets from the first to the last that is not empty, with their counts.
fn between(counts: &[u64]) -> impl Iterator<Item = (u32, u64)> {
    let first = counts.iter().position(|&count| count > 0).unwrap_or(counts.len());
    let last = counts.iter().rposition(|&count| count > 0).map_or(first, |last| last + 1);
    (first as u32..).zip(counts[first..last].iter().copied())
}

fn label(aggregate: &Aggregate, bucket: u32, out: &mut Vec<u8>) {
    let end = |value: i64, out: &mut Vec<u8>| number_label(aggregate, value, out);
    match aggregate.bucket_range(bucket) {
        (None, None) => {}
        (None, Some(high)) => {
            out.extend_from_slice(b"(..., ");
            end(high, out);
            out.push(b')');
        }
        (Some(low), None) => {
            out.push(b'[');
            end(low, out);
            out.extend_from_slice(b", ...)");
        }
        (Some(low), Some(high)) => {
            out.push(b'[');
            end(low, out);
            if high - low > 1 || matches!(aggregate, Aggregate::Lhist { .. }) {
                out.extend_from_slice(b", ");
                end(high, out);
                out.push(b')');
            } else {
                out.push(b']');
            }
        }
    }
}

/// A power of 1024 gets a letter: in plain `hist` from 1K on, in `lhist` where its steps are such.
fn number_label(aggregate: &Aggregate, value: i64, out: &mut Vec<u8>) {
    let letters: &[u8] = match aggregate {
        Aggregate::Hist { bits: 0 } => b"KMGTPE",
        Aggregate::Lhist { step, .. } if step % 1024 == 0 => b"KM",
        Aggregate::Hist { .. }
        | Aggregate::Lhist { .. }
        | Aggregate::Count
        | Aggregate::Sum { .. }
        | Aggregate::Min { .. }
        | Aggregate::Max { .. }
        | Aggregate::Avg { .. }
        | Aggregate::Stats { .. } => b"",
    };
    let (mut value, mut letter) = (value, None);
    for next in letters {
        if value == 0 || value % 1024 != 0 {
            break;
        }
        value /= 1024;
        letter = Some(*next);
    }
    number::signed(value, out);
    out.extend(letter);
}

fn pad_to(out: &mut Vec<u8>, length: usize) {
    if out.len() < length {
        out.resize(length, b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(aggregate: &Aggregate, values: &[(i64, u64)]) -> Vec<u64> {
        let mut counts = vec![0; aggregate.slots() as usize];
        for (value, count) in values {
            counts[aggregate.bucket(*value).unwrap() as usize] += count;
        }
        counts
    }

    fn labels(aggregate: Aggregate, values: &[i64]) -> Vec<String> {
        let all: Vec<(i64, u64)> = values.iter().map(|value| (*value, 1)).collect();
        let mut out = Vec::new();
        lines(&aggregate, &counts(&aggregate, &all), 1, &mut out);
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| line[..LABEL].trim_end().to_owned()).collect()
    }

    #[test]
    fn the_layout_is_that_of_the_language() {
        let hist = Aggregate::Hist { bits: 0 };
        let mut out = Vec::new();
        let values = [(-1, 2), (0, 5), (1, 1), (4, 23)];
        lines(&hist, &counts(&hist, &values), 1, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "(..., 0)               2 |@@@@                                                |\n\
             [0]                    5 |@@@@@@@@@@@                                         |\n\
             [1]                    1 |@@                                                  |\n\
             [2, 4)                 0 |                                                    |\n\
             [4, 8)                23 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n"
        );
    }

    #[test]
    fn labels_have_letters_where_they_are_powers_of_1024() {
        assert_eq!(labels(Aggregate::Hist { bits: 0 }, &[512, 1024]), ["[512, 1K)", "[1K, 2K)"]);
        assert_eq!(labels(Aggregate::Hist { bits: 0 }, &[1 << 20]), ["[1M, 2M)"]);
        assert_eq!(labels(Aggregate::Hist { bits: 2 }, &[5]), ["[5]"]);
        assert_eq!(labels(Aggregate::Hist { bits: 2 }, &[8]), ["[8, 10)"]);
        assert_eq!(labels(Aggregate::Hist { bits: 2 }, &[900]), ["[896, 1024)"]);
        let lhist = Aggregate::Lhist { min: 0, max: 100, step: 10 };
        assert_eq!(labels(lhist, &[-5]), ["(..., 0)"]);
        assert_eq!(labels(lhist, &[15]), ["[10, 20)"]);
        assert_eq!(labels(lhist, &[500]), ["[100, ...)"]);
        assert_eq!(labels(Aggregate::Lhist { min: 0, max: 4096, step: 1024 }, &[2048]), ["[2K, 3K)"]);
        assert_eq!(labels(Aggregate::Lhist { min: 0, max: 4096, step: 1024 }, &[0]), ["[0, 1K)"]);
        assert!(labels(Aggregate::Hist { bits: 0 }, &[]).is_empty());
    }

    #[test]
    fn json_has_inclusive_ends() {
        let hist = Aggregate::Hist { bits: 0 };
        let mut out = Vec::new();
        json(&hist, &counts(&hist, &[(-3, 1), (0, 2)]), 1, &mut out);
        assert_eq!(out, br#"[{"max": -1, "count": 1},{"min": 0, "max": 0, "count": 2}]"#);
    }
}
