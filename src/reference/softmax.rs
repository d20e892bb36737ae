//! Softmax straight from its definition.

use crate::numeric::bound::gamma;
use crate::ops::softmax::SoftmaxProblem;
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// Softmax or its logarithm.
///
/// With d = x - max and e = exp(d): the difference is rounded (u |d|), WGSL allows the exponential 3 + 2 |d| units in the last place (2 u each),
/// so e has the relative error r = (6 + 5 |d|) u. The sum S of n such terms has the relative error R = sum(e r) / S + gamma_n. The
/// quotient adds 2.5 units. The logarithm turns R into an absolute error and adds its own: 2^-21, or 3 units; the last difference is
/// rounded once.
pub fn softmax(problem: &SoftmaxProblem, x: &[f64]) -> Bounded {
    let u = ElementType::F32.unit_roundoff();
    let length = problem.extents[problem.axis];
    let inner: usize = problem.extents[problem.axis + 1..].iter().product();
    let (mut value, mut error) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    for line in 0..x.len() / length {
        let start = line / inner * length * inner + line % inner;
        let at = |i: usize| start + i * inner;
        let largest = (0..length).map(|i| x[at(i)]).fold(f64::NEG_INFINITY, |m, v| if v > m || v.is_nan() { v } else { m });
        let terms: Vec<(f64, f64, f64)> = (0..length)
            .map(|i| {
                let d = x[at(i)] - largest;
                (d, d.exp(), (6.0 + 5.0 * d.abs()) * u)
            })
            .collect();
        let sum: f64 = terms.iter().map(|(_, e, _)| e).sum();
        let relative = terms.iter().filter(|(_, e, _)| *e > 0.0).map(|(_, e, r)| e * r).sum::<f64>() / sum + gamma(length as u64, u);
        for (i, &(d, e, r)) in terms.iter().enumerate() {
            let (y, allowed) = if problem.logarithm {
                let log = sum.ln();
                let y = d - log;
                (y, relative + (6.0 * u * log.abs()).max(2f64.powi(-21)) + u * d.abs() + u * y.abs())
            } else {
                let y = e / sum;
                (y, if y > 0.0 { y * (r + relative + 5.0 * u) } else { 0.0 } + f64::from(f32::MIN_POSITIVE))
            };
            value[at(i)] = y;
            error[at(i)] = allowed;
        }
    }
    Bounded { value, error }
}

impl Referenced for SoftmaxProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![softmax(self, inputs[0])]
    }
}
