//! Normalisation straight from its definitions.

use crate::numeric::bound::{UNDERFLOW, activation_error, gamma, power_error};
use crate::ops::norm::batch::BatchNormProblem;
use crate::ops::norm::lrn::LrnProblem;
use crate::ops::norm::rows::NormProblem;
use crate::reference::{Bounded, Referenced};
use crate::types::{ElementType, Layout};

/// y, and mean and inverse standard deviation where the problem wants them.
///
/// With n elements of a row, u the unit roundoff, A the mean of |x - x_0|, d = x - mean, D the mean of |d| and v the variance: the first mean m
/// errs by e = gamma_(n + 6) A + 3 u |mean|. The differences from it are rounded, u (|d| + e); their mean c errs by
/// e_c = gamma_(n + 8) (D + e), so that d comes out within u (|d| + e) + e_c + u |d|. The variance is the mean square of the differences less c^2:
/// it errs by gamma_(n + 9) (v + e^2) + 2 e e_c + e_c^2 + 2 u (e + e_c)^2, and is never taken below 0. With the relative error r of v + epsilon its
/// inverse root errs by at most 1 / sqrt(1 - r) - 1, or what 1 / sqrt(epsilon) is away, and 3 units of its own (6 u); y = d inverse scale + bias
/// takes three roundings more.
pub fn norm(problem: &NormProblem, inputs: &[&[f64]]) -> Vec<Bounded> {
    let u = ElementType::F32.unit_roundoff();
    let x = inputs[0];
    let scale = problem.has_scale.then(|| inputs[1]);
    let bias = problem.has_bias.then(|| inputs[inputs.len() - 1]);
    let rows = problem.rows(Layout::ChannelsFirst);
    let n = rows.length as f64;
    let epsilon = f64::from(problem.epsilon);
    let (mut value, mut error) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut means, mut inverses) = (Bounded::exact(vec![]), Bounded::exact(vec![]));
    for row in 0..rows.rows {
        let at: Vec<[usize; 2]> = (0..rows.length).map(|i| rows.element(row, i)).collect();
        let average = |f: &dyn Fn(f64) -> f64| at.iter().map(|[i, _]| f(x[*i])).sum::<f64>() / n;
        let first = x[at[0][0]];
        // About the first element, as f64 rounds the sum of a constant row too.
        let mean = first + average(&|v| v - first);
        let mean = if mean.is_nan() { average(&|v| v) } else { mean };
        let variance = average(&|v| (v - mean).powi(2));
        let deviation = average(&|v| (v - mean).abs());
        let first_error = gamma(rows.length as u64 + 6, u) * average(&|v| (v - first).abs()) + 3.0 * u * mean.abs() + UNDERFLOW;
        let mean_error = gamma(rows.length as u64 + 8, u) * (deviation + first_error);
        let variance_error = gamma(rows.length as u64 + 9, u) * (variance + first_error.powi(2))
            + 2.0 * first_error * mean_error
            + mean_error.powi(2)
            + 2.0 * u * (first_error + mean_error).powi(2);
        let base = variance + epsilon;
        let inverse = 1.0 / base.sqrt();
        // What rounding leaves of the base: a variance that is not below 0, and epsilon.
        let least = (base - variance_error).max(epsilon);
        let relative = (base / least).sqrt().max((variance_error / base + 1.0).sqrt()) - 1.0 + 6.0 * u;
        for &[i, from_scale] in &at {
            let d = x[i] - mean;
            let (s, b) = (scale.map_or(1.0, |s| s[from_scale]), bias.map_or(0.0, |b| b[from_scale]));
            let product = d * inverse * s;
            value[i] = product + b;
            let centred = u * (d.abs() + first_error) + mean_error + u * d.abs();
            let spread = (d.abs() + centred) * relative;
            error[i] = (centred + spread) * (inverse * s).abs() + 3.0 * u * product.abs() + u * value[i].abs() + UNDERFLOW * (1.0 + s.abs());
        }
        means.value.push(mean);
        means.error.push(mean_error + u * (mean.abs() + first_error) + UNDERFLOW);
        inverses.value.push(inverse);
        inverses.error.push(inverse * relative + UNDERFLOW);
    }
    let mut outputs = vec![Bounded { value, error }];
    if problem.statistics {
        outputs.extend([means, inverses]);
    }
    outputs
}

/// Batch normalisation: the multiplier m has the sum variance + epsilon (u / 2), 2 units of the inverse square root (4 u) and a rounding; x - mean is
/// rounded, so are its product with m and the sum with the bias.
pub fn batch_norm(problem: &BatchNormProblem, inputs: &[&[f64]]) -> Bounded {
    let u = ElementType::F32.unit_roundoff();
    let (x, channels) = (inputs[0], problem.x[1]);
    let inner: usize = problem.x[2..].iter().product();
    let scale = problem.has_scale.then(|| inputs[1]);
    let bias = problem.has_bias.then(|| inputs[inputs.len() - 3]);
    let (mean, variance) = (inputs[inputs.len() - 2], inputs[inputs.len() - 1]);
    let element = |(i, &x): (usize, &f64)| {
        let c = i / inner % channels;
        let m = scale.map_or(1.0, |s| s[c]) / (variance[c] + f64::from(problem.epsilon)).sqrt();
        let product = (x - mean[c]) * m;
        let sum = product + bias.map_or(0.0, |b| b[c]);
        let error = 8.0 * u * product.abs() + u * sum.abs() + UNDERFLOW * (1.0 + m.abs());
        let y = problem.activation.apply(sum);
        (y, activation_error(problem.activation, error, sum, y))
    };
    let (value, error) = x.iter().enumerate().map(element).unzip();
    Bounded { value, error }
}

/// Local response normalisation: the sum of squares errs by gamma_(size + 3), the base is one fused multiply-add of a rounded factor, its
/// power has the error of [`power_error`] and beta times that of its base, the quotient 2.5 units (5 u). Where the squares leave f32, the base is
/// 2^-2e times as large, with e = 65 and half the octaves of the window's length, and its power that of two more, of which a fraction of the exponent
/// is computed (4 units), and three products.
pub fn lrn(problem: &LrnProblem, x: &[f64]) -> Bounded {
    let u = ElementType::F32.unit_roundoff();
    let (channels, inner) = (problem.x[1], problem.x[2..].iter().product::<usize>());
    let [before, after] = problem.reach();
    let numbers = &problem.descriptor;
    let (alpha, beta, bias) = (f64::from(numbers.alpha), f64::from(numbers.beta), f64::from(numbers.bias));
    let element = |(i, &v): (usize, &f64)| {
        let c = i / inner % channels;
        let down = 65.0 + (numbers.size as f64).log2() / 2.0;
        let window = c.saturating_sub(before)..(c + after + 1).min(channels);
        let sum: f64 = window.map(|k| x[i + k * inner - c * inner].powi(2)).sum();
        let mean = alpha / numbers.size as f64 * sum;
        let base = bias + mean;
        let relative = (gamma(numbers.size as u64 + 3, u) * mean) / base + 2.0 * u;
        let relative = if base.is_finite() { relative } else { 0.0 };
        let y = v / base.powf(beta);
        let overflows = sum.max(base) > f64::from(f32::MAX) / 2.0;
        let scaled = if overflows { power_error(base * (-2.0 * down).exp2(), beta) + 20.0 * u + 2.0 * u * down * beta.abs() } else { 0.0 };
        // A base that is known within `relative` has a power within (1 + relative)^beta.
        let carried = (beta.abs() * relative.ln_1p()).exp_m1();
        (y, y.abs() * (carried + power_error(base, beta).max(scaled) + 5.0 * u) + UNDERFLOW)
    };
    let (value, error) = x.iter().enumerate().map(element).unzip();
    Bounded { value, error }
}

impl Referenced for BatchNormProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![batch_norm(self, inputs)]
    }
}

impl Referenced for LrnProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![lrn(self, inputs[0])]
    }
}

impl Referenced for NormProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        norm(self, inputs)
    }
}
