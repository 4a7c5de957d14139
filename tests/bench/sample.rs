//! Medians and quartiles of a few measured values.

/// Values of the same thing from different rounds.
#[derive(Default)]
pub struct Sample(Vec<f64>);

impl Sample {
    pub fn push(&mut self, value: f64) {
        let place = self.0.partition_point(|smaller| *smaller < value);
        self.0.insert(place, value);
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value below which `share` (0 to 1) of the values lie; not a number where there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let place = (last as f64 * share).round() as usize;
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }

    /// `[25th..75th]` percentile.
    pub fn spread(&self, digits: usize) -> String {
        format!("[{:.digits$}..{:.digits$}]", self.quantile(0.25), self.quantile(0.75))
    }
}

/// A single value, such as a limit.
impl From<f64> for Sample {
    fn from(value: f64) -> Self {
        Self(vec![value])
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sample = Self::default();
        values.into_iter().for_each(|value| sample.push(value));
        sample
    }
}

/// Whether a goal was met: `sample` should be at most `limit`. Where only their spreads overlap, that is noise.
pub fn verdict(sample: &Sample, limit: &Sample) -> &'static str {
    if sample.median() <= limit.median() {
        "met"
    } else if sample.quantile(0.25) <= limit.quantile(0.75) {
        "within noise"
    } else {
        "MISSED"
    }
}
