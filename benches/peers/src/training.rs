//! A training step of the LeNet-5 of `wgconv bench --suite lenet5 --train` at batch 64: forward pass, cross-entropy, backward pass, Adam.
//!
//! First numbers and the batch follow from the formula of the shapes, so every peer takes the same steps: its losses before the first, after one and after
//! five say whether it did. `torch_training.py` beside this package has the same numbers.

use crate::shape::values;
use crate::{Clock, Failure};
use serde_json::{Value, json};
use std::time::Instant;

pub const NAME: &str = "lenet5, batch 64";
pub const BATCH: usize = 64;
pub const CLASSES: usize = 10;
pub const INPUT: [usize; 4] = [BATCH, 1, 32, 32];
pub const RATE: f64 = 1e-3;

/// Name, extents (filters and rows of dense layers first) and the factor that brings the formula's numbers to about Glorot's bound. The place in this list
/// is the formula's stretch.
pub const PARAMETERS: [(&str, &[usize], f32); 10] = [
    ("conv1.weight", &[6, 1, 5, 5], 0.5),
    ("conv1.bias", &[6], 0.125),
    ("conv2.weight", &[16, 6, 5, 5], 0.25),
    ("conv2.bias", &[16], 0.125),
    ("conv3.weight", &[120, 16, 5, 5], 0.125),
    ("conv3.bias", &[120], 0.125),
    ("dense1.weight", &[84, 120], 0.25),
    ("dense1.bias", &[84], 0.125),
    ("dense2.weight", &[10, 84], 0.5),
    ("dense2.bias", &[10], 0.125),
];

/// The first numbers of the parameter at `place` in the list.
pub fn parameter(place: usize) -> Vec<f32> {
    let (_, extents, factor) = PARAMETERS[place];
    values(extents, 1 + place as u32).into_iter().map(|v| factor * v).collect()
}

/// The samples, from -1 to 1.
pub fn input() -> Vec<f32> {
    values(&INPUT, 0).into_iter().map(|v| 2.0 * v).collect()
}

/// The class of each sample.
pub fn labels() -> Vec<u32> {
    (0..BATCH as u32).map(|sample| sample % CLASSES as u32).collect()
}

/// A network on one engine, with its optimizer.
pub trait Learner {
    /// What it runs on.
    fn device(&self) -> String;
    /// One step on the batch, from the host's arrays, and the wait for it.
    fn step(&mut self) -> Result<(), Failure>;
    /// The loss of the batch as the parameters are now.
    fn loss(&mut self) -> Result<f64, Failure>;
}

/// The fields of the line: the losses, then times of further steps.
pub fn measure(learner: &mut dyn Learner, seconds: f64) -> Result<Value, Failure> {
    let mut losses = vec![learner.loss()?];
    let start = Instant::now();
    learner.step()?;
    let first_ms = start.elapsed().as_secs_f64() * 1e3;
    losses.push(learner.loss()?);
    for _ in 1..5 {
        learner.step()?;
    }
    losses.push(learner.loss()?);
    let mut clock = Clock { seconds, first_ms: 0.0, samples_ms: Vec::new() };
    clock.time(|| learner.step())?;
    clock.first_ms = first_ms; // that of the first step, which compiled
    let mut fields = clock.fields();
    fields["losses"] = json!(losses);
    Ok(fields)
}
