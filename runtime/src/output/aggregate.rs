//! What `count()` and its kin kept on every CPU, put together.

use rtscript_lang::aggregate::Aggregate;

use super::value::unsigned;

/// The result of an aggregate over all CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    Number(Number),
    Average {
        total: Number,
        count: u64,
    },
    Stats {
        total: Number,
        count: u64,
    },
    /// A count for each bucket.
    Buckets(Vec<u64>),
}

/// A number of 64 bits with its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Signed(i64),
    Unsigned(u64),
}

impl Number {
    fn new(value: u64, signed: bool) -> Number {
        if signed { Number::Signed(value as i64) } else { Number::Unsigned(value) }
    }

    /// Rounded towards zero; by zero it is zero.
    pub fn divided_by(self, by: u64) -> Number {
        match self {
            Number::Signed(value) => {
                // A divisor of more than 63 bits is larger than any such number, except in one case that is -1.
                let quotient = i128::from(value).checked_div(i128::from(by)).unwrap_or(0);
                Number::Signed(quotient as i64)
            }
            Number::Unsigned(value) => Number::Unsigned(value.checked_div(by).unwrap_or(0)),
        }
    }

    pub fn wide(self) -> i128 {
        match self {
            Number::Signed(value) => value.into(),
            Number::Unsigned(value) => value.into(),
        }
    }
}

impl Merged {
    /// `values` are the slots as each CPU has them.
    pub fn of(aggregate: &Aggregate, values: &[Vec<u8>]) -> Merged {
        let slot = |value: &[u8], index: usize| unsigned(value.get(index * 8..).unwrap_or_default(), 8);
        let sum = |index: usize| values.iter().fold(0u64, |sum, value| sum.wrapping_add(slot(value, index)));
        // Of those CPUs that have one.
        let all = || values.iter().filter(|value| slot(value, 1) != 0).map(|value| slot(value, 0));
        match aggregate {
            Aggregate::Count => Merged::Number(Number::Unsigned(sum(0))),
            Aggregate::Sum { signed } => Merged::Number(Number::new(sum(0), *signed)),
            Aggregate::Min { signed: true } => {
                Merged::Number(Number::Signed(all().map(|value| value as i64).min().unwrap_or(0)))
            }
            Aggregate::Min { signed: false } => Merged::Number(Number::Unsigned(all().min().unwrap_or(0))),
            Aggregate::Max { signed: true } => {
                Merged::Number(Number::Signed(all().map(|value| value as i64).max().unwrap_or(0)))
            }
            Aggregate::Max { signed: false } => Merged::Number(Number::Unsigned(all().max().unwrap_or(0))),
            Aggregate::Avg { signed } => {
                Merged::Average { total: Number::new(sum(0), *signed), count: sum(1) }
            }
            Aggregate::Stats { signed } => {
                Merged::Stats { total: Number::new(sum(0), *signed), count: sum(1) }
            }
            Aggregate::Hist { .. } | Aggregate::Lhist { .. } => {
                Merged::Buckets((0..aggregate.slots() as usize).map(sum).collect())
            }
        }
    }

    /// What elements are sorted by.
    pub fn weight(&self) -> i128 {
        match self {
            Merged::Number(number) => number.wide(),
            Merged::Average { total, count } | Merged::Stats { total, count } => {
                total.divided_by(*count).wide()
            }
            Merged::Buckets(counts) => counts.iter().map(|&count| i128::from(count)).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(aggregate: Aggregate, cpus: &[&[i64]]) -> Merged {
        let bytes = |slots: &&[i64]| slots.iter().flat_map(|slot| slot.to_le_bytes()).collect::<Vec<u8>>();
        let values: Vec<Vec<u8>> = cpus.iter().map(bytes).collect();
        Merged::of(&aggregate, &values)
    }

    #[test]
    fn cpus_are_put_together() {
        let signed = |value| Merged::Number(Number::Signed(value));
        let unsigned = |value| Merged::Number(Number::Unsigned(value));
        assert_eq!(merged(Aggregate::Count, &[&[2], &[3]]), unsigned(5));
        assert_eq!(merged(Aggregate::Sum { signed: true }, &[&[-2], &[1]]), signed(-1));
        assert_eq!(merged(Aggregate::Sum { signed: false }, &[&[-1], &[0]]), unsigned(u64::MAX));
        // The CPU without a value does not count.
        assert_eq!(merged(Aggregate::Min { signed: true }, &[&[0, 0], &[5, 1], &[-3, 1]]), signed(-3));
        assert_eq!(merged(Aggregate::Min { signed: false }, &[&[0, 0], &[5, 1], &[-3, 1]]), unsigned(5));
        assert_eq!(merged(Aggregate::Max { signed: true }, &[&[0, 0], &[-5, 1], &[-3, 1]]), signed(-3));
        assert_eq!(merged(Aggregate::Max { signed: false }, &[&[0, 0], &[0, 0]]), unsigned(0));
        let average = merged(Aggregate::Avg { signed: true }, &[&[-7, 1], &[0, 1]]);
        assert_eq!(average.weight(), -3);
        assert_eq!(merged(Aggregate::Avg { signed: false }, &[&[0, 0]]).weight(), 0);
        let buckets =
            merged(Aggregate::Lhist { min: 0, max: 2, step: 1 }, &[&[1, 2, 0, 4], &[0, 1, 0, 0], &[]]);
        assert_eq!(buckets, Merged::Buckets(vec![1, 3, 0, 4]));
        assert_eq!(buckets.weight(), 8);
    }
}
