//! Normalisation on all cores, channels-first.

use super::epilogue::finish;
use super::reduce::sum;
use crate::norm::{BatchNormProblem, LrnProblem, NormProblem};
use crate::shape::Layout;
use rayon::prelude::*;

/// Layer, group and instance normalisation: channels-first, every row is contiguous.
pub(crate) fn norm(problem: &NormProblem, inputs: &[&[f32]], y: &mut [f32]) {
    let rows = problem.rows(Layout::ChannelsFirst);
    let scale = problem.has_scale.then(|| inputs[1]);
    let bias = problem.has_bias.then(|| inputs[inputs.len() - 1]);
    y.par_chunks_mut(rows.length).zip(inputs[0].par_chunks(rows.length)).enumerate().for_each(|(row, (y, x))| {
        let n = rows.length as f32;
        let mean = sum(x) / n;
        y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) * (x - mean));
        let inverse = 1.0 / (sum(y) / n + problem.epsilon).sqrt();
        // Neighbours that share a scale go together: a channel's plane, or single elements.
        let [first, last] = [0, rows.length - 1].map(|i| rows.element(row, i)[1]);
        let step = rows.length / (last - first + 1);
        for (i, (y, x)) in y.chunks_mut(step).zip(x.chunks(step)).enumerate() {
            let s = scale.map_or(1.0, |s| s[first + i]) * inverse;
            let b = bias.map_or(0.0, |b| b[first + i]);
            y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) * s + b);
        }
    });
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
        let o = bias.map_or(0.0, |b| b[c]) - mean[c] * m;
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x * m + o);
        finish(y, 0.0, problem.activation);
    });
}

/// Local response normalisation.
pub(crate) fn lrn(problem: &LrnProblem, x: &[f32], y: &mut [f32]) {
    let (channels, inner) = (problem.x[1], problem.x[2..].iter().product::<usize>());
    let [before, after] = problem.reach();
    let numbers = &problem.descriptor;
    let factor = numbers.alpha / numbers.size as f32;
    y.par_chunks_mut(inner).enumerate().for_each(|(plane, y)| {
        let (n, c) = (plane / channels, plane % channels);
        y.fill(0.0);
        for k in c.saturating_sub(before)..(c + after + 1).min(channels) {
            let other = &x[(n * channels + k) * inner..][..inner];
            y.iter_mut().zip(other).for_each(|(y, v)| *y += v * v);
        }
        let own = &x[plane * inner..][..inner];
        y.iter_mut().zip(own).for_each(|(y, v)| *y = v / (numbers.bias + factor * *y).powf(numbers.beta));
    });
}
