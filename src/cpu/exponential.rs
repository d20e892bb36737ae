//! Exponentials that the compiler keeps in vector registers: plain products, sums and bits, which every target has, and no branch. Both write x = k ln 2 + r
//! with a whole k and sum Taylor's series of e^r, of which |r| is at most ln 2 / 2 and little more.

use crate::types::Activation;
use crate::types::activation::gelu_tanh_argument;
use pulp::Arch;

/// ln 2 in two parts, of which the first has few enough digits that k times it is exact in f32.
const HIGH: f32 = 355.0 / 512.0;
const LOW: f32 = -2.121_944_4e-4;

/// e^d for d up to 0, within 2 units in the last place; 0 below the normal numbers. The rest of the series is below 6e-9.
#[inline(always)]
pub(crate) fn exp_below_0(d: f32) -> f32 {
    /// Added to a number below 2^22, it leaves its nearest integer in the last bits.
    const ROUND: f32 = 12_582_912.0;
    const LEAST: f32 = -87.3;
    let shifted = d * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (d - k * HIGH) - k * LOW;
    let tail = r * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let series = 1.0 + (r + r * r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + tail)))));
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    if d < LEAST { 0.0 } else { series * power }
}

/// e^x, relative error below 1e-12: more digits than an f32 number has. An infinity or 0 beyond +-708.
#[inline(always)]
fn exp(x: f64) -> f64 {
    /// As above, of numbers below 2^51.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const MOST: f64 = 708.0;
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = x - k * std::f64::consts::LN_2;
    let far = 1.0 / 40_320.0 + r * (1.0 / 362_880.0 + r * (1.0 / 3_628_800.0));
    let near = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0 + r * far)));
    let series = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * near)));
    let power = f64::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(1023) << 52);
    let inside = if x < -MOST { 0.0 } else { series * power };
    if x > MOST { f64::INFINITY } else { inside }
}

#[inline(always)]
fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// Near 0 by its series, where the difference has no digits.
#[inline(always)]
fn tanh(x: f64) -> f64 {
    let square = x * x;
    let near = x * (1.0 - square * (1.0 / 3.0 - square * (2.0 / 15.0)));
    if x.abs() < 1e-3 { near } else { 2.0 * logistic(2.0 * x) - 1.0 }
}

/// values = activation(values + bias), computed in f64 and rounded once, of those activations that are made of exponentials alone; `false` of all others.
pub(crate) fn activate(values: &mut [f32], bias: f32, activation: Activation) -> bool {
    match activation {
        Activation::Sigmoid => each(values, bias, logistic),
        Activation::Silu => each(values, bias, |x| x * logistic(x)),
        Activation::GeluTanh => each(values, bias, |x| x * logistic(gelu_tanh_argument(x))),
        Activation::Tanh => each(values, bias, tanh),
        _ => return false,
    }
    true
}

/// 1 / (1 + e^-x) times what it lacks to 1.
#[inline(always)]
fn logistic_slope(x: f64) -> f64 {
    let e = exp(-x.abs());
    e / ((1.0 + e) * (1.0 + e))
}

/// y = dy times the derivative at x, computed in f64 and rounded once, of some activations that are made of exponentials alone; `false` of all others.
pub(crate) fn gradients(activation: Activation, x: &[f32], dy: &[f32], y: &mut [f32]) -> bool {
    match activation {
        Activation::Sigmoid => each_slope(x, dy, y, logistic_slope),
        Activation::Tanh => each_slope(x, dy, y, |x| 4.0 * logistic_slope(2.0 * x)),
        Activation::Silu => each_slope(x, dy, y, |x| {
            // An infinite x times a slope of 0.
            let slope = logistic_slope(x);
            logistic(x) + if slope == 0.0 { 0.0 } else { x * slope }
        }),
        _ => return false,
    }
    true
}

#[inline(always)]
fn each_slope(x: &[f32], dy: &[f32], y: &mut [f32], slope: impl Fn(f64) -> f64) {
    Arch::new().dispatch(
        #[inline(always)]
        || y.iter_mut().zip(x).zip(dy).for_each(|((y, x), dy)| *y = (f64::from(*dy) * slope(f64::from(*x))) as f32),
    );
}

/// y = e^x.
pub(crate) fn exponentials(x: &[f32], y: &mut [f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || y.iter_mut().zip(x).for_each(|(y, x)| *y = exp(f64::from(*x)) as f32),
    );
}

#[inline(always)]
fn each(values: &mut [f32], bias: f32, f: impl Fn(f64) -> f64) {
    Arch::new().dispatch(
        #[inline(always)]
        || values.iter_mut().for_each(|v| *v = f(f64::from(*v + bias)) as f32),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_have_their_digits() {
        let numbers = (0..2_000_000u32).map(|i| -(i as f32) * 4.4e-5).chain([0.0, -0.0, -1e-30, -1e-40, -87.29]);
        for d in numbers.filter(|d| *d >= -87.3) {
            let want = f64::from(d).exp();
            let error = (f64::from(exp_below_0(d)) - want).abs() / want;
            assert!(error <= 2.0 * f64::from(f32::EPSILON), "e^{d}: {} instead of {want}", exp_below_0(d));
        }
        assert!([-87.4, -1e9, f32::MIN, f32::NEG_INFINITY].iter().all(|d| exp_below_0(*d) == 0.0) && exp_below_0(f32::NAN).is_nan());
        for x in (-70_000..70_000).map(|i| f64::from(i) * 0.0101) {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-12, "e^{x}: {} instead of {}", exp(x), x.exp());
        }
    }

    /// Over all of f32, and what is no number.
    fn numbers() -> Vec<f32> {
        let sizes = (-148..154).map(|i| 10f64.powf(f64::from(i) / 4.0) as f32).flat_map(|v| [v, -v]);
        sizes.chain([0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY]).chain((-3000..3000).map(|i| i as f32 / 100.0)).collect()
    }

    /// The definition, but for the last digit where it lies between two.
    #[test]
    fn gradients_are_their_definitions() {
        let x = numbers();
        for activation in [Activation::Sigmoid, Activation::Silu, Activation::Tanh] {
            for dy in [1.0, -3.5, 0.0, 1e30, f32::INFINITY, f32::NAN] {
                let (all, mut got) = (vec![dy; x.len()], vec![0.0; x.len()]);
                assert!(gradients(activation, &x, &all, &mut got));
                for (x, got) in x.iter().zip(got) {
                    let want = activation.gradient(f64::from(*x), f64::from(dy)) as f32;
                    let near = f64::from(want.abs()) * f64::from(f32::EPSILON) + f64::from(f32::MIN_POSITIVE);
                    let is_near = (f64::from(got) - f64::from(want)).abs() <= near;
                    assert!(got == want || got.is_nan() && want.is_nan() || is_near, "{activation:?} at {x}, dy {dy}: {got} instead of {want}");
                }
            }
        }
        assert!(!gradients(Activation::Gelu, &x, &x, &mut x.clone()));
    }

    /// The definition, but for the last digit where it lies between two.
    #[test]
    fn activations_are_their_definitions() {
        let numbers = numbers();
        for activation in [Activation::Sigmoid, Activation::Silu, Activation::GeluTanh, Activation::Tanh] {
            let mut got = numbers.clone();
            assert!(activate(&mut got, 0.0, activation));
            for (x, got) in numbers.iter().zip(got) {
                let want = activation.apply(f64::from(*x)) as f32;
                let is_near =
                    (f64::from(got) - f64::from(want)).abs() <= f64::from(want.abs()) * f64::from(f32::EPSILON) + f64::from(f32::MIN_POSITIVE);
                assert!(got == want || got.is_nan() && want.is_nan() || is_near, "{activation:?} of {x}: {got} instead of {want}");
            }
        }
        let mut got = numbers.clone();
        exponentials(&numbers, &mut got);
        for (x, got) in numbers.iter().zip(got) {
            let want = f64::from(*x).exp() as f32;
            assert!(got == want || got.is_nan() && want.is_nan() || (got - want).abs() <= want * f32::EPSILON, "e^{x}: {got} instead of {want}");
        }
    }
}
