//! Normalisation on all cores, channels-first.

use crate::cpu::Computed;
use crate::cpu::epilogue::finish;
use crate::cpu::reduce::sum_of;
use crate::ops::norm::batch::BatchNormProblem;
use crate::ops::norm::lrn::LrnProblem;
use crate::ops::norm::rows::NormProblem;
use crate::types::Layout;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Layer, group and instance normalisation: channels-first, every row is contiguous.
pub(crate) fn norm(problem: &NormProblem, inputs: &[&[f32]], y: &mut [f32]) {
    statistics(problem, inputs, y);
}

/// The same, with mean and inverse deviation of every row.
fn statistics(problem: &NormProblem, inputs: &[&[f32]], y: &mut [f32]) -> Vec<[f32; 2]> {
    let rows = problem.rows(Layout::ChannelsFirst);
    let scale = problem.has_scale.then(|| inputs[1]);
    let bias = problem.has_bias.then(|| inputs[inputs.len() - 1]);
    let arch = Arch::new();
    let statistics = y.par_chunks_mut(rows.length).zip(inputs[0].par_chunks(rows.length)).enumerate().map(|(row, (y, x))| {
        // Neighbours that share a scale go together: a channel's plane, or single elements.
        let [first, last] = [0, rows.length - 1].map(|i| rows.element(row, i)[1]);
        let step = rows.length / (last - first + 1);
        let [scale, bias] = [scale, bias].map(|numbers| numbers.map(|numbers| &numbers[first..=last]));
        arch.dispatch(Row { epsilon: problem.epsilon.into(), x, scale, bias, step, y })
    });
    statistics.collect()
}

/// One row; each number of scale and bias serves `step` neighbours.
struct Row<'a> {
    epsilon: f64,
    x: &'a [f32],
    scale: Option<&'a [f32]>,
    bias: Option<&'a [f32]>,
    step: usize,
    y: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    /// Mean and inverse deviation.
    type Output = [f32; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [f32; 2] {
        let Self { epsilon, x, scale, bias, step, y } = self;
        // f64 holds the squares of all f32 numbers, and more digits than a row of them has.
        let n = x.len() as f64;
        let mean = sum_of(x, f64::from) / n;
        let variance = sum_of(x, |v| (f64::from(v) - mean) * (f64::from(v) - mean)) / n;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        let normal = |x: f32, s: f64, b: f64| ((f64::from(x) - mean) * s + b) as f32;
        match (scale, bias) {
            (Some(scale), Some(bias)) if step == 1 => {
                y.iter_mut().zip(x).zip(scale.iter().zip(bias)).for_each(|((y, x), (s, b))| *y = normal(*x, f64::from(*s) * inverse, f64::from(*b)));
            }
            (Some(scale), None) if step == 1 => {
                y.iter_mut().zip(x).zip(scale).for_each(|((y, x), s)| *y = normal(*x, f64::from(*s) * inverse, 0.0));
            }
            (None, None) => y.iter_mut().zip(x).for_each(|(y, x)| *y = normal(*x, inverse, 0.0)),
            _ => {
                for (i, (y, x)) in y.chunks_mut(step).zip(x.chunks(step)).enumerate() {
                    let s = scale.map_or(1.0, |s| f64::from(s[i])) * inverse;
                    let b = bias.map_or(0.0, |b| f64::from(b[i]));
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = normal(*x, s, b));
                }
            }
        }
        [mean as f32, inverse as f32]
    }
}

/// Batch normalisation of a trained network.
pub(crate) fn batch_norm(problem: &BatchNormProblem, inputs: &[&[f32]], y: &mut [f32]) {
    let (channels, inner) = (problem.x[1], problem.x[2..].iter().product::<usize>());
    let scale = problem.has_scale.then(|| inputs[1]);
    let bias = problem.has_bias.then(|| inputs[inputs.len() - 3]);
    let (mean, variance) = (inputs[inputs.len() - 2], inputs[inputs.len() - 1]);
    y.par_chunks_mut(inner).zip(inputs[0].par_chunks(inner)).enumerate().for_each(|(plane, (y, x))| {
        let c = plane % channels;
        let m = scale.map_or(1.0, |s| s[c]) / (variance[c] + problem.epsilon).sqrt();
        let b = bias.map_or(0.0, |b| b[c]);
        y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean[c]) * m + b);
        finish(y, 0.0, problem.activation);
    });
}

/// Local response normalisation.
pub(crate) fn lrn(problem: &LrnProblem, x: &[f32], y: &mut [f32]) {
    let (channels, inner) = (problem.x[1], problem.x[2..].iter().product::<usize>());
    let [before, after] = problem.reach();
    let numbers = &problem.descriptor;
    let factor = f64::from(numbers.alpha) / numbers.size as f64;
    let (beta, bias) = (f64::from(numbers.beta), f64::from(numbers.bias));
    y.par_chunks_mut(inner).enumerate().for_each(|(plane, y)| {
        let (n, c) = (plane / channels, plane % channels);
        let mut squares = vec![0.0f64; inner]; // of f32 numbers: those of the largest fit f64 alone
        for k in c.saturating_sub(before)..c.saturating_add(after).saturating_add(1).min(channels) {
            let other = &x[(n * channels + k) * inner..][..inner];
            squares.iter_mut().zip(other).for_each(|(sum, v)| *sum += f64::from(*v) * f64::from(*v));
        }
        let own = &x[plane * inner..][..inner];
        y.iter_mut().zip(own).zip(squares).for_each(|((y, v), sum)| *y = (f64::from(*v) / (bias + factor * sum).powf(beta)) as f32);
    });
}

impl Computed for BatchNormProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        batch_norm(self, inputs, y);
        Some(())
    }
}

impl Computed for LrnProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        lrn(self, inputs[0], y);
        Some(())
    }
}

impl Computed for NormProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        norm(self, inputs, y);
        Some(())
    }

    fn compute_several(&self, inputs: &[&[f32]]) -> Option<Vec<Vec<f32>>> {
        let mut y = vec![0.0; inputs[0].len()];
        let statistics = statistics(self, inputs, &mut y);
        let (mean, inverse) = statistics.into_iter().map(|[mean, inverse]| (mean, inverse)).unzip();
        self.statistics.then_some(vec![y, mean, inverse])
    }
}
