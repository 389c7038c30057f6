//! Numbers that were measured more than once.

use std::time::Duration;

use serde_json::{Value, json};

/// Measured values in ascending order, at least one.
#[derive(Clone, Debug)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Put `values` in order. Fails when nothing was measured.
    pub fn of(mut values: Vec<f64>) -> anyhow::Result<Self> {
        anyhow::ensure!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Ok(Self(values))
    }

    /// The value that this share of all values does not exceed.
    pub fn percentile(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank among a few million values"
        )]
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let at = rank.clamp(1, self.0.len()) - 1;
        self.0.get(at).copied().unwrap_or(f64::NAN)
    }

    /// The value in the middle.
    pub fn median(&self) -> f64 {
        self.percentile(0.5)
    }

    /// How many there are, and where they lie.
    pub fn summary(&self) -> Value {
        json!({
            "count": self.0.len(),
            "min": self.percentile(0.0),
            "p50": self.median(),
            "p90": self.percentile(0.9),
            "p99": self.percentile(0.99),
            "max": self.percentile(1.0),
        })
    }

    /// All of them.
    pub fn values(&self) -> &[f64] {
        &self.0
    }
}

/// A length of time in microseconds.
pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A length of time in milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let samples = Samples::of((1..=200).rev().map(f64::from).collect()).unwrap();
        assert_eq!((samples.median(), samples.percentile(0.99), samples.percentile(1.0)), (100.0, 198.0, 200.0));
        assert_eq!(samples.percentile(0.0), 1.0);
        let one = Samples::of(vec![7.0]).unwrap();
        assert_eq!((one.median(), one.percentile(0.99)), (7.0, 7.0));
        assert!(Samples::of(Vec::new()).is_err());
    }
}
