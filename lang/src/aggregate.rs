//! What `count()`, `hist()` and their kin keep, slot by slot.
//!
//! Every aggregate is an array of `u64` slots, kept once per CPU. Updating (in code generation), merging
//! and printing (in user space) all read the slot layout and the bucket arithmetic here, and match
//! exhaustively, so a new aggregate does not compile until each of them knows it.

/// A running summary of many values. `signed` is the sign of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Slots: `[number of updates]`.
    Count,
    /// Slots: `[total]`.
    Sum { signed: bool },
    /// Slots: `[rank of the smallest, whether there is one]`, see [`Aggregate::rank_mask`].
    Min { signed: bool },
    /// Slots: `[rank of the largest, whether there is one]`.
    Max { signed: bool },
    /// Slots: `[total, number]`.
    Avg { signed: bool },
    /// Slots: `[total, number]`.
    Stats { signed: bool },
    /// A slot per bucket. Each power of two is split into `2^bits` buckets; `bits` is at most 5.
    Hist { bits: u8 },
    /// A slot per bucket: below `min`, each `step` of `min..max`, and `max` or more.
    Lhist { min: i64, max: i64, step: i64 },
    /// A ring of so many `intervals` of `interval` nanoseconds each; [`series`] has the slots of one.
    Tseries { keep: Keep, signed: bool, interval: u64, intervals: u32 },
}

/// What a series keeps of the values of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keep {
    Last,
    Sum,
    Min,
    Max,
    Avg,
}

/// The slots of an interval of a series. Interval `n` since 1970 stands at place `n % intervals`; so intervals begin at
/// whole seconds, minutes and hours of the day.
pub mod series {
    /// The number of the interval, plus 1; 0 where there was none yet, and [`FRESH`] while a new one is begun.
    pub const INTERVAL: i32 = 0;
    pub const FRESH: i64 = -1;
    /// The value; of an average, the total.
    pub const VALUE: i32 = 1;
    /// How many values there were, for sums and averages.
    pub const NUMBER: i32 = 2;
    /// When the last one came, in nanoseconds of CLOCK_BOOTTIME.
    pub const UPDATED: i32 = 3;
    pub const SLOTS: u32 = 4;
    /// As many intervals as a value of each CPU has room for (32 KiB, `PCPU_MIN_UNIT_SIZE`), in round figures.
    pub const MOST_INTERVALS: u32 = 1000;
}

impl Aggregate {
    /// The name of the function that makes it.
    pub fn name(&self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Sum { .. } => "sum",
            Aggregate::Min { .. } => "min",
            Aggregate::Max { .. } => "max",
            Aggregate::Avg { .. } => "avg",
            Aggregate::Stats { .. } => "stats",
            Aggregate::Hist { .. } => "hist",
            Aggregate::Lhist { .. } => "lhist",
            Aggregate::Tseries { .. } => "tseries",
        }
    }

    /// The sign of the number that it comes to over all CPUs; `None` where it is no number.
    pub fn sign(&self) -> Option<bool> {
        match *self {
            Aggregate::Count => Some(false),
            Aggregate::Sum { signed }
            | Aggregate::Min { signed }
            | Aggregate::Max { signed }
            | Aggregate::Avg { signed } => Some(signed),
            Aggregate::Stats { .. }
            | Aggregate::Hist { .. }
            | Aggregate::Lhist { .. }
            | Aggregate::Tseries { .. } => None,
        }
    }

    /// The number of `u64` slots.
    pub fn slots(&self) -> u32 {
        match self {
            Aggregate::Count | Aggregate::Sum { .. } => 1,
            Aggregate::Min { .. }
            | Aggregate::Max { .. }
            | Aggregate::Avg { .. }
            | Aggregate::Stats { .. } => 2,
            Aggregate::Hist { bits } => log2_bucket(u64::MAX, *bits) + 2,
            Aggregate::Tseries { intervals, .. } => intervals * series::SLOTS,
            Aggregate::Lhist { min, max, step } => {
                u32::try_from((max - min + step - 1) / step).unwrap_or(u32::MAX - 2) + 2
            }
        }
    }

    /// A value's rank is the value with the bits of this mask flipped, and the value is the rank with the same bits flipped.
    /// As unsigned numbers ranks are the higher the better a value is, and 0 is the rank of the worst; so memory that is still
    /// zero needs no case of its own, and one atomic instruction keeps the best. `None` for what keeps no best value.
    pub fn rank_mask(&self) -> Option<u64> {
        const SIGN: u64 = 1 << 63;
        match *self {
            Aggregate::Max { signed: false } => Some(0),
            Aggregate::Max { signed: true } => Some(SIGN),
            Aggregate::Min { signed: false } => Some(!0),
            Aggregate::Min { signed: true } => Some(!SIGN),
            Aggregate::Count
            | Aggregate::Sum { .. }
            | Aggregate::Avg { .. }
            | Aggregate::Stats { .. }
            | Aggregate::Hist { .. }
            | Aggregate::Lhist { .. }
            | Aggregate::Tseries { .. } => None,
        }
    }

    /// The bucket that `value` belongs to; `None` for aggregates without buckets.
    ///
    /// Bucket 0 of a `hist` counts negative values, and bucket 0 of an `lhist` those below `min`.
    pub fn bucket(&self, value: i64) -> Option<u32> {
        match self {
            Aggregate::Hist { .. } if value < 0 => Some(0),
            Aggregate::Hist { bits } => Some(log2_bucket(value as u64, *bits) + 1),
            Aggregate::Lhist { min, .. } if value < *min => Some(0),
            Aggregate::Lhist { max, .. } if value >= *max => Some(self.slots() - 1),
            Aggregate::Lhist { min, step, .. } => Some(((value - min) / step) as u32 + 1),
            Aggregate::Count
            | Aggregate::Sum { .. }
            | Aggregate::Min { .. }
            | Aggregate::Max { .. }
            | Aggregate::Avg { .. }
            | Aggregate::Stats { .. }
            | Aggregate::Tseries { .. } => None,
        }
    }

    /// The values of a bucket as a half-open range; `None` at an end that is open.
    pub fn bucket_range(&self, bucket: u32) -> (Option<i128>, Option<i128>) {
        match self {
            Aggregate::Hist { .. } if bucket == 0 => (None, Some(0)),
            Aggregate::Hist { bits } => {
                let low = log2_bucket_start(bucket - 1, *bits);
                let high = log2_bucket_start(bucket, *bits);
                (low.map(i128::from), high.map(i128::from))
            }
            Aggregate::Lhist { min, .. } if bucket == 0 => (None, Some(i128::from(*min))),
            Aggregate::Lhist { max, .. } if bucket == self.slots() - 1 => (Some(i128::from(*max)), None),
            Aggregate::Lhist { min, max, step } => {
                let low = min + i64::from(bucket - 1) * step;
                (Some(i128::from(low)), Some(i128::from((low + step).min(*max))))
            }
            Aggregate::Count
            | Aggregate::Sum { .. }
            | Aggregate::Min { .. }
            | Aggregate::Max { .. }
            | Aggregate::Avg { .. }
            | Aggregate::Stats { .. }
            | Aggregate::Tseries { .. } => (None, None),
        }
    }
}

/// Numbers below `2^(bits + 1)` are their own bucket; above, each power of two has `2^bits` of them.
///
/// ```text
///   value    1 x x y y y y      the highest set bit is bit m
///            `-+-' `--+--'
///        bits + 1    m - bits = shift
///   bucket   (shift << bits) + (value >> shift)
/// ```
fn log2_bucket(value: u64, bits: u8) -> u32 {
    let shift = value.max(1).ilog2().saturating_sub(u32::from(bits));
    (shift << bits) + (value >> shift) as u32
}

/// The smallest value of a bucket, the inverse of [`log2_bucket`]; `None` past the last bucket.
fn log2_bucket_start(bucket: u32, bits: u8) -> Option<u64> {
    let width = 1u32 << bits;
    if bucket < 2 * width {
        return Some(u64::from(bucket));
    }
    let shift = bucket / width - 1;
    let mantissa = u64::from(bucket % width + width);
    if shift + u32::from(bits) > 63 { None } else { Some(mantissa << shift) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_higher_the_better_a_value_is() {
        let values = [0, 1, 2, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX];
        for (a, b) in values.iter().flat_map(|a| values.iter().map(move |b| (*a, *b))) {
            let ranks = |aggregate: Aggregate| {
                let mask = aggregate.rank_mask().unwrap();
                (a ^ mask).cmp(&(b ^ mask))
            };
            assert_eq!(ranks(Aggregate::Max { signed: false }), a.cmp(&b));
            assert_eq!(ranks(Aggregate::Max { signed: true }), (a as i64).cmp(&(b as i64)));
            assert_eq!(ranks(Aggregate::Min { signed: false }), b.cmp(&a));
            assert_eq!(ranks(Aggregate::Min { signed: true }), (b as i64).cmp(&(a as i64)));
        }
    }

    #[test]
    fn every_value_lies_in_the_range_of_its_bucket() {
        let values = (0..64).flat_map(|m| [1u64 << m, (1 << m) - 1, (1 << m) + 1, (1 << m) | 1 << (m / 2)]);
        let values: Vec<i64> =
            values.flat_map(|v| [v as i64, (v as i64).wrapping_neg()]).chain([i64::MIN, i64::MAX]).collect();
        let lhists = [(0, 100, 10), (5, 1000, 7), (0, 1, 1)];
        let all = (0..=5)
            .map(|bits| Aggregate::Hist { bits })
            .chain(lhists.map(|(min, max, step)| Aggregate::Lhist { min, max, step }));
        for aggregate in all {
            for &value in &values {
                let bucket = aggregate.bucket(value).unwrap();
                assert!(bucket < aggregate.slots(), "{aggregate:?} {value}");
                let (low, high) = aggregate.bucket_range(bucket);
                assert!(low.is_none_or(|low| low <= value.into()), "{aggregate:?} {value} {low:?}");
                assert!(high.is_none_or(|high| i128::from(value) < high), "{aggregate:?} {value} {high:?}");
            }
        }
    }
}
