//! Error bounds: what a correct kernel may differ from the reference, derived, never picked by feel.

use crate::activation::Activation;
use crate::conv::ConvProblem;
use crate::element::ElementType;

/// gamma_n = n u / (1 - n u): the relative error of n roundings in any order (Higham, Accuracy and Stability of Numerical
/// Algorithms, 2nd edition, section 3.1).
pub fn gamma(n: u64, unit_roundoff: f64) -> f64 {
    let nu = n as f64 * unit_roundoff;
    if nu < 1.0 { nu / (1.0 - nu) } else { f64::INFINITY }
}

/// Error that an f32 kernel may make on one output of `problem` before the result is rounded to the stored type: sum `sum` and
/// magnitude `magnitude` of the reference.
///
/// A sum of n products in f32, in any order, with or without fused multiply-add, errs by at most gamma_n times the sum of the
/// absolute products (Higham, equation 3.4); the bias is one more term and one addition more, hence n + 2, the residual another. The
/// activation multiplies that by at most its largest slope and adds its own error.
pub fn computed(problem: &ConvProblem, sum: f64, magnitude: f64) -> f64 {
    let roundings = problem.reduction_depth() + 2 + u64::from(problem.has_residual);
    let output = problem.activation.apply(sum);
    activation_error(problem.activation, gamma(roundings, ElementType::F32.unit_roundoff()) * magnitude, sum, output)
}

/// As [`computed`], with the rounding to the stored type.
pub fn allowed(problem: &ConvProblem, sum: f64, magnitude: f64) -> f64 {
    let computed = computed(problem, sum, magnitude);
    computed + storage_rounding(problem.element, problem.activation.apply(sum).abs() + computed)
}

/// Error of an activation whose argument errs by at most `sum_error`.
pub fn activation_error(activation: Activation, sum_error: f64, sum: f64, output: f64) -> f64 {
    activation.propagated(sum, sum_error) + activation.own_error(sum, output)
}

/// Relative error that WGSL allows x^p, which is exp2(p log2 x): log2 errs by 2^-21 in [0.5, 2] and 3 units in the last place elsewhere,
/// exp2(t) by 3 + 2 |t| units. x >= 0. The powers 1 and 2 are a copy and a product (counted with the sum they go into), 1/2 is a square
/// root: an inverse square root (2 units) and a division (2.5 units).
pub fn power_error(x: f64, p: f64) -> f64 {
    let unit = 2.0 * ElementType::F32.unit_roundoff();
    if p == 1.0 || p == 2.0 || x == 0.0 {
        0.0
    } else if p == 0.5 {
        4.5 * unit
    } else {
        let log = x.log2().abs();
        let t = p * log;
        let absolute = p * (3.0 * unit * log).max(2f64.powi(-21)) + unit * t;
        std::f64::consts::LN_2 * absolute + (3.0 + 2.0 * t) * unit
    }
}

/// One rounding to the stored type: relative u, and half the smallest subnormal where it underflows. f32 results are not rounded
/// again: the sum's last rounding is counted in gamma.
pub fn storage_rounding(element: ElementType, magnitude: f64) -> f64 {
    match element {
        ElementType::F32 | ElementType::U32 => 0.0,
        ElementType::F16 => ElementType::F16.unit_roundoff() * magnitude + 1.0 / 33_554_432.0, // 2^-25
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_is_about_nu_and_ends_at_infinity() {
        let u = ElementType::F32.unit_roundoff();
        assert!((gamma(100, u) / (100.0 * u) - 1.0).abs() < 1e-4);
        assert_eq!(gamma(1 << 24, u), f64::INFINITY);
    }
}
