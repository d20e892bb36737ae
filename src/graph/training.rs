//! Ops of networks that learn, made of the ops that there are: batch normalisation by the statistics of its own batch.

use super::{Graph, Recipe, ValueId};
use crate::ops::norm::rows::{LayerNormDescriptor, NormInputs, NormProblem};
use crate::ops::reduce::ReduceDescriptor;
use crate::types::{Error, Result, TensorType};
use serde::{Deserialize, Serialize};

/// Batch normalisation by the statistics of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchStatisticsDescriptor {
    /// Added to the variance.
    pub epsilon: f32,
    /// How much of the running statistics stays (ONNX's; PyTorch's momentum is what enters).
    pub momentum: f32,
    /// Whether the variance that enters is that of count - 1 (PyTorch), or of count (ONNX).
    pub unbiased: bool,
}

impl Default for BatchStatisticsDescriptor {
    /// PyTorch's.
    fn default() -> Self {
        Self { epsilon: 1e-5, momentum: 0.9, unbiased: true }
    }
}

/// What a batch normalisation by its own statistics gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchStatistics {
    /// The result.
    pub y: ValueId,
    /// Running mean and variance, the batch's mixed in, where there were some: \[C\] each.
    pub running: Option<[ValueId; 2]>,
}

impl Graph {
    /// (x - mean) / sqrt(variance + epsilon) scale + bias with the mean and the biased variance of each channel over the batch and all positions, x N C ....
    /// Gradients go through y; running statistics have none.
    ///
    /// # Errors
    /// x below rank 2, or with an open extent; vectors of another length than there are channels; one element a channel, whose unbiased variance is
    /// undefined.
    pub fn batch_norm_training(
        &mut self,
        x: ValueId,
        affine: [Option<ValueId>; 2],
        running: Option<[ValueId; 2]>,
        descriptor: &BatchStatisticsDescriptor,
    ) -> Result<BatchStatistics> {
        self.check("x", x)?;
        let Some(extents) = self.extents(x).filter(|extents| extents.len() >= 2) else {
            return Err(Error::invalid("x", self.shape(x), "it is N C ... with known extents: Graph::closed binds an open one"));
        };
        let (rank, channels) = (extents.len(), extents[1]);
        let count = extents.iter().product::<usize>() / channels;
        if running.is_some() && descriptor.unbiased && count == 1 {
            return Err(Error::invalid("x", self.shape(x), "an unbiased variance is of two elements a channel or more"));
        }
        for (name, vector) in ["scale", "bias"].into_iter().zip(affine).filter_map(|(name, v)| Some((name, v?))) {
            self.per_channel(name, vector, channels)?;
        }
        // Channels as rows.
        let perm: Vec<usize> = [1, 0].into_iter().chain(2..rank).collect();
        let turned = self.transpose(x, &perm)?;
        let rows = self.reshape(turned, &[channels as isize, count as isize])?;
        let inputs = NormInputs { x: TensorType::f32(&[channels, count]), scale: None, bias: None };
        let norm = NormProblem::layer(&inputs, &LayerNormDescriptor { axis: 1, epsilon: descriptor.epsilon })?.with_statistics(true);
        let normed = self.node(Recipe::Fixed(Box::new(norm.into())), &[rows])?;
        let back: Vec<isize> = perm.iter().map(|&axis| extents[axis] as isize).collect();
        let back = self.reshape(normed[0], &back)?;
        let mut y = self.transpose(back, &perm)?;
        let wide: Vec<isize> = std::iter::once(channels as isize).chain(std::iter::repeat_n(1, rank - 2)).collect();
        if let Some(scale) = affine[0] {
            let scale = self.reshape(scale, &wide)?;
            y = self.mul(y, scale)?;
        }
        if let Some(bias) = affine[1] {
            let bias = self.reshape(bias, &wide)?;
            y = self.add(y, bias)?;
        }
        let Some([old_mean, old_variance]) = running else { return Ok(BatchStatistics { y, running: None }) };
        self.per_channel("the running mean", old_mean, channels)?;
        self.per_channel("the running variance", old_variance, channels)?;
        let centred = self.sub(rows, normed[1])?;
        let square = self.mul(centred, centred)?;
        let variance = self.reduce(square, &ReduceDescriptor::mean(&[1]))?;
        let factor = if descriptor.unbiased { count as f32 / (count as f32 - 1.0) } else { 1.0 };
        let variance = self.times(variance, factor)?;
        let mean = self.reshape(normed[1], &[channels as isize])?;
        let mut mix = |old: ValueId, new: ValueId| -> Result<ValueId> {
            let old = self.times(old, descriptor.momentum)?;
            let new = self.times(new, 1.0 - descriptor.momentum)?;
            self.add(old, new)
        };
        let running = [mix(old_mean, mean)?, mix(old_variance, variance)?];
        Ok(BatchStatistics { y, running: Some(running) })
    }

    fn per_channel(&self, name: &str, vector: ValueId, channels: usize) -> Result<()> {
        self.check(name, vector)?;
        if self.extents(vector).as_deref() == Some(&[channels]) {
            return Ok(());
        }
        Err(Error::invalid(name, self.shape(vector), format!("it has one value per channel: [{channels}]")))
    }
}
