//! Times of both engines by turns in one run, so that a drift of the machine hits both.

use crate::bridge::Failure;
use burn::tensor::Device;
use std::time::{Duration, Instant};

/// The quartiles of some samples, in milliseconds.
pub struct Quartiles([f64; 3]);

impl Quartiles {
    fn new(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self([1, 2, 3].map(|quarter| samples[quarter * (samples.len() - 1) / 4]))
    }
}

impl std::fmt::Display for Quartiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [low, median, high] = self.0;
        write!(f, "{median:.3} ({low:.3} to {high:.3})")
    }
}

/// Times of two runs, burn's first, and the quartiles of their ratio, pair by pair.
pub struct Pair {
    pub times: [Quartiles; 2],
    pub ratio: Quartiles,
    pub count: usize,
}

/// Runs both by turns for about `budget`, each with the wait for the device, and after each has run twice: burn tunes itself then, and wgconv compiles.
pub fn time(device: &Device, budget: Duration, runs: [&mut dyn FnMut() -> Result<(), Failure>; 2]) -> Result<Pair, Failure> {
    let [burn, wgconv] = runs;
    let once = |run: &mut dyn FnMut() -> Result<(), Failure>| -> Result<f64, Failure> {
        let start = Instant::now();
        run()?;
        device.sync().map_err(|why| format!("waiting for the device: {why:?}"))?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    for _ in 0..2 {
        once(burn)?;
        once(wgconv)?;
    }
    let (start, mut times, mut ratios) = (Instant::now(), [vec![], vec![]], vec![]);
    while ratios.len() < 9 || start.elapsed() < budget {
        let pair = if ratios.len().is_multiple_of(2) {
            let first = once(burn)?;
            [first, once(wgconv)?]
        } else {
            let first = once(wgconv)?;
            [once(burn)?, first]
        };
        times.iter_mut().zip(pair).for_each(|(times, time)| times.push(time));
        ratios.push(pair[0] / pair[1]);
    }
    let count = ratios.len();
    Ok(Pair { times: times.map(Quartiles::new), ratio: Quartiles::new(ratios), count })
}
