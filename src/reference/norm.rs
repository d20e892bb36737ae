//! Normalisation straight from its definitions.

use super::Bounded;
use crate::element::ElementType;
use crate::norm::{BatchNormProblem, LrnProblem, NormProblem};
use crate::shape::Layout;
use crate::validate::bound::{activation_error, gamma, power_error};

/// y, and mean and inverse standard deviation where the problem wants them.
///
/// With n elements of a row, u the unit roundoff, d = x - mean and v the variance: the mean errs by e_m = gamma_(n + 6) mean|x| (a sum and a
/// division of 2.5 units). Centring errs by e_m + u |d|, so the variance by gamma_(n + 8) v + 2 (e_m + u mean|d|) mean|d| + (e_m + u max|d|)^2.
/// The inverse square root has the relative error of v + epsilon divided by 2, and 2 units of its own (4 u); y = d inverse scale + bias
/// takes three roundings more.
pub fn norm(problem: &NormProblem, inputs: &[&[f64]]) -> Vec<Bounded> {
    let u = ElementType::F32.unit_roundoff();
    let x = inputs[0];
    let scale = problem.has_scale.then(|| inputs[1]);
    let bias = problem.has_bias.then(|| inputs[inputs.len() - 1]);
    let rows = problem.rows(Layout::ChannelsFirst);
    let n = rows.length as f64;
    let (mut value, mut error) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut means, mut inverses) = (Bounded::exact(vec![]), Bounded::exact(vec![]));
    for row in 0..rows.rows {
        let at: Vec<[usize; 2]> = (0..rows.length).map(|i| rows.element(row, i)).collect();
        let average = |f: &dyn Fn(f64) -> f64| at.iter().map(|[i, _]| f(x[*i])).sum::<f64>() / n;
        let mean = average(&|v| v);
        let mean_error = gamma(rows.length as u64 + 6, u) * average(&f64::abs);
        let variance = average(&|v| (v - mean).powi(2));
        let deviation = average(&|v| (v - mean).abs());
        let largest = at.iter().map(|[i, _]| (x[*i] - mean).abs()).fold(0.0, f64::max);
        let variance_error =
            gamma(rows.length as u64 + 8, u) * variance + 2.0 * (mean_error + u * deviation) * deviation + (mean_error + u * largest).powi(2);
        let base = variance + f64::from(problem.epsilon);
        let inverse = 1.0 / base.sqrt();
        // Where the base may be as small as its error, the inverse is known up to its own size.
        let relative = if variance_error < base / 2.0 { variance_error / base + 6.0 * u } else { f64::INFINITY };
        for &[i, from_scale] in &at {
            let d = x[i] - mean;
            let (s, b) = (scale.map_or(1.0, |s| s[from_scale]), bias.map_or(0.0, |b| b[from_scale]));
            let product = d * inverse * s;
            value[i] = product + b;
            let centred = mean_error + u * d.abs();
            let spread = if d == 0.0 && centred == 0.0 { 0.0 } else { (d.abs() + centred) * relative };
            error[i] = (centred + spread) * (inverse * s).abs() + 3.0 * u * product.abs() + u * value[i].abs();
        }
        means.value.push(mean);
        means.error.push(mean_error);
        inverses.value.push(inverse);
        inverses.error.push(inverse * relative);
    }
    let mut outputs = vec![Bounded { value, error }];
    if problem.statistics {
        outputs.extend([means, inverses]);
    }
    outputs
}

/// Batch normalisation as a multiplier m and an offset o per channel: m has 2 units of the inverse square root and two roundings (6 u), the
/// product mean m one more, the offset another; y is one fused multiply-add.
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
        let (shift, b) = (mean[c] * m, bias.map_or(0.0, |b| b[c]));
        let sum = x * m - shift + b;
        let error = 6.0 * u * (x * m).abs() + 8.0 * u * shift.abs() + 2.0 * u * b.abs() + u * sum.abs();
        let y = problem.activation.apply(sum);
        (y, activation_error(problem.activation, error, sum, y))
    };
    let (value, error) = x.iter().enumerate().map(element).unzip();
    Bounded { value, error }
}

/// Local response normalisation: the sum of squares errs by gamma_(size + 3), the base is one fused multiply-add of a rounded factor, its
/// power has the error of [`power_error`] and beta times that of its base, the quotient 2.5 units (5 u).
pub fn lrn(problem: &LrnProblem, x: &[f64]) -> Bounded {
    let u = ElementType::F32.unit_roundoff();
    let (channels, inner) = (problem.x[1], problem.x[2..].iter().product::<usize>());
    let [before, after] = problem.reach();
    let numbers = &problem.descriptor;
    let (alpha, beta, bias) = (f64::from(numbers.alpha), f64::from(numbers.beta), f64::from(numbers.bias));
    let element = |(i, &v): (usize, &f64)| {
        let c = i / inner % channels;
        let window = c.saturating_sub(before)..(c + after + 1).min(channels);
        let sum: f64 = window.map(|k| x[i + k * inner - c * inner].powi(2)).sum();
        let mean = alpha / numbers.size as f64 * sum;
        let base = bias + mean;
        let relative = (gamma(numbers.size as u64 + 3, u) * mean) / base + 2.0 * u;
        let y = v / base.powf(beta);
        (y, y.abs() * (beta.abs() * relative + power_error(base, beta) + 5.0 * u) + f64::from(f32::MIN_POSITIVE))
    };
    let (value, error) = x.iter().enumerate().map(element).unzip();
    Bounded { value, error }
}
