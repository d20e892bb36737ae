//! Seconds of repeated runs, raw, and what is told of them.

use serde::{Deserialize, Serialize};

/// Seconds of repeated runs.
#[derive(Serialize, Deserialize, Clone)]
pub struct Samples {
    pub seconds: Vec<f64>,
}

impl Samples {
    /// The sample below which such a share of them lies; NaN of none.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(((sorted.len().saturating_sub(1)) as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    /// Half the distance between the 10th and the 90th percentile, as a share of the median.
    pub fn spread(&self) -> f64 {
        if self.seconds.len() < 2 {
            return f64::NAN; // one run has none
        }
        (self.quantile(0.9) - self.quantile(0.1)) / 2.0 / self.median()
    }

    /// Of each round.
    pub fn ratios(over: &Self, under: &Self) -> Self {
        Self { seconds: over.seconds.iter().zip(&under.seconds).map(|(over, under)| over / under).collect() }
    }
}
