//! Dropout on all cores: four elements a block of random words.

use crate::cpu::Computed;
use crate::ops::dropout::{DropoutKey, DropoutProblem};
use rayon::prelude::*;

/// Elements of a task, whole blocks.
const GRAIN: usize = 1 << 13;

impl Computed for DropoutProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let key = DropoutKey::from_halves(std::array::from_fn(|i| inputs[1][i].into()));
        let (scale, threshold) = (self.scale(), self.threshold());
        y.par_chunks_mut(GRAIN).zip(inputs[0].par_chunks(GRAIN)).enumerate().for_each(|(task, (y, x))| {
            for (block, (y, x)) in y.chunks_mut(4).zip(x.chunks(4)).enumerate() {
                let words = self.words(key, (task * (GRAIN / 4) + block) as u64);
                y.iter_mut().zip(x).zip(words).for_each(|((y, &x), word)| *y = if word < threshold { 0.0 } else { x * scale });
            }
        });
        Some(())
    }
}
