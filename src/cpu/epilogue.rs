//! Bias and activation over a stretch of one output plane, while it is in cache.

use crate::cpu::exponential::activate;
use crate::types::Activation;
use rayon::prelude::*;

/// values = activation(values + bias). Piecewise-linear activations stay in f32 so that the loop vectorises.
pub(crate) fn finish(values: &mut [f32], bias: f32, activation: Activation) {
    let clip = |v: f32, min: f32, max: f32| {
        if v < min {
            min
        } else if v > max {
            max
        } else {
            v
        }
    };
    match activation {
        Activation::None if bias == 0.0 => {}
        Activation::None => values.iter_mut().for_each(|v| *v += bias),
        Activation::Relu => each(values, bias, |v| if v < 0.0 { 0.0 } else { v }),
        Activation::LeakyRelu { alpha } => each(values, bias, |v| if v < 0.0 { alpha * v } else { v }),
        Activation::Relu6 => each(values, bias, |v| clip(v, 0.0, 6.0)),
        Activation::Clip { min, max } => each(values, bias, |v| clip(v, min, max)),
        // The transcendental ones: the definition in f64, rounded once.
        other if activate(values, bias, other) => {}
        other => each(values, bias, |v| other.apply(f64::from(v)) as f32),
    }
}

#[inline(always)]
fn each(values: &mut [f32], bias: f32, f: impl Fn(f32) -> f32) {
    values.iter_mut().for_each(|v| *v = f(*v + bias));
}

/// values = activation(values + residual), on all cores.
pub(crate) fn add_and_activate(values: &mut [f32], residual: &[f32], activation: Activation) {
    values.par_chunks_mut(BLOCK).zip(residual.par_chunks(BLOCK)).for_each(|(values, residual)| {
        values.iter_mut().zip(residual).for_each(|(v, r)| *v += r);
        finish(values, 0.0, activation);
    });
}

/// Elements that one task takes: enough to pay for handing it out, few enough to stay in a core's cache.
pub(crate) const BLOCK: usize = 16_384;
