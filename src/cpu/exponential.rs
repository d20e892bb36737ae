//! Exponentials, logarithms and error functions that the compiler keeps in vector registers: plain products, sums and bits, which every target has, and no
//! branch. Exponentials write x = k ln 2 + r with a whole k and sum Taylor's series of e^r, of which |r| is at most ln 2 / 2 and little more; logarithms go the
//! same way back.

#![expect(clippy::redundant_closure, reason = "a closure is inlined always where it says so; a function that is passed goes by way of another")]

use crate::types::Activation;
use crate::types::activation::gelu_tanh_argument;
use pulp::{Arch, Simd, WithSimd};

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

/// The same in f32, within 6 units of roundoff: e^-|x| has 4, the sum and the quotient one each.
#[inline(always)]
fn logistic_in_f32(x: f32) -> f32 {
    let e = exp_below_0(-x.abs());
    let above = if x < 0.0 { e } else { 1.0 };
    above / (1.0 + e)
}

/// tanh in f32, within 6 units of roundoff: (1 - e) / (1 + e) with e = e^-2|x|; below 5/8, where the difference loses digits, x + x^3 P(x^2), where P, of
/// degree 4, is interpolated in Chebyshev's nodes with a relative error of 1.7e-8.
#[inline(always)]
fn tanh_in_f32(x: f32) -> f32 {
    const P: [f32; 5] = [-0.333_333_3, 0.133_327_7, -0.053_850_91, 0.020_997_18, -0.006_096_714];
    let (size, square) = (x.abs(), x * x);
    let polynomial = P[0] + square * (P[1] + square * (P[2] + square * (P[3] + square * P[4])));
    let near = x + x * (square * polynomial);
    let e = exp_below_0(-2.0 * size);
    let far = ((1.0 - e) / (1.0 + e)).copysign(x);
    if size < 0.625 { near } else { far }
}

/// e^x - 1, relative error below 1e-9: near 0 by its series, where the difference has no digits.
#[inline(always)]
fn exp_less_1(x: f64) -> f64 {
    let near = x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0)))));
    if x.abs() < 1e-2 { near } else { exp(x) - 1.0 }
}

/// ln((1 + s) / (1 - s)) = 2 (s + s^3 / 3 + s^5 / 5 + ...), relative error below 2e-12 for |s| up to 1/3.
#[inline(always)]
fn ln_of_ratio(s: f64) -> f64 {
    let q = s * s;
    let far = 1.0 / 13.0 + q * (1.0 / 15.0 + q * (1.0 / 17.0 + q * (1.0 / 19.0 + q * (1.0 / 21.0 + q * (1.0 / 23.0)))));
    let near = 1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * far))));
    2.0 * s * (1.0 + q * near)
}

/// ln x of an f32 number, of which all are normal numbers in f64: x = 2^k m with m between sqrt 1/2 and sqrt 2.
#[inline(always)]
fn ln(x: f64) -> f64 {
    /// The bits of sqrt 1/2: what lies above them is m's, and whole exponents.
    const LEAST: u64 = 0x3fe6_a09e_667f_3bcd;
    /// 2^52 + 2^51, whose last bits take a whole number.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    let steps = (x.to_bits().wrapping_sub(LEAST) as i64) >> 52;
    let m = f64::from_bits(x.to_bits().wrapping_sub((steps << 52) as u64));
    let k = f64::from_bits(WHOLE.to_bits().wrapping_add(steps as u64)) - WHOLE;
    let finite = k * std::f64::consts::LN_2 + ln_of_ratio((m - 1.0) / (m + 1.0));
    let above_0 = if x > f64::MAX { x } else { finite };
    let number = if x > 0.0 { above_0 } else { f64::NEG_INFINITY };
    if x >= 0.0 { number } else { f64::NAN }
}

/// erfc(z), relative error below 1e-10. From 0 on, erfc(z) e^(z^2) = t P(t) with t = 3 / (3 + z), where P, of degree 12, is interpolated in Chebyshev's nodes for z
/// up to 10, beyond which the exponential has ended it; below 0 it is 2 - erfc(-z).
#[inline(always)]
fn erfc(z: f64) -> f64 {
    const P: [f64; 13] = [
        0.437_823_725_892_589_5,
        0.310_681_249_477_840_3,
        0.166_974_605_473_918_01,
        0.065_918_974_753_945_05,
        0.017_287_639_785_772_822,
        0.001_929_441_927_319_619_8,
        -0.000_455_278_661_783_025_34,
        -0.000_180_098_146_387_396_82,
        8.284_022_160_943_212e-6,
        1.235_348_906_909_101_2e-5,
        -1.822_519_074_674_791_4e-7,
        -7.391_269_226_432_122e-7,
        2.335_220_223_212_747_4e-8,
    ];
    let size = z.abs();
    let t = 3.0 / (3.0 + size);
    // -1 to 1 over z from 10 to 0.
    let u = (t - 8.0 / 13.0) * (13.0 / 5.0);
    let mut sum = P[12];
    for p in P[..12].iter().rev() {
        sum = sum * u + p;
    }
    let upper = t * sum * exp(-size * size);
    if z < 0.0 { 2.0 - upper } else { upper }
}

/// Near 0 by Taylor's series, where 1 - erfc has no digits.
#[inline(always)]
fn erf(x: f64) -> f64 {
    let q = x * x;
    let far = 1.0 / 216.0 - q * (1.0 / 1320.0 - q * (1.0 / 9360.0 - q * (1.0 / 75_600.0)));
    let series = 1.0 - q * (1.0 / 3.0 - q * (1.0 / 10.0 - q * (1.0 / 42.0 - q * far)));
    let near = x * std::f64::consts::FRAC_2_SQRT_PI * series;
    let above_0 = 1.0 - erfc(x.abs());
    if q < 0.16 { near } else { above_0.copysign(x) }
}

#[inline(always)]
fn gelu(x: f64) -> f64 {
    x * (0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2))
}

/// max(x, 0) + ln(1 + e) with e = e^-|x|, whose s is e / (2 + e).
#[inline(always)]
fn softplus(x: f64) -> f64 {
    let e = exp(-x.abs());
    ln_of_ratio(e / (2.0 + e)) + if x < 0.0 { 0.0 } else { x }
}

/// tanh(ln(1 + e)) = e (e + 2) / (e (e + 2) + 2) with e = e^x; 1 to more digits than f32 has from 20 on.
#[inline(always)]
fn mish(x: f64) -> f64 {
    let e = exp(if x > 20.0 { 20.0 } else { x });
    let product = e * (e + 2.0);
    x * (product / (product + 2.0))
}

/// values = activation(values + bias) of all activations that are no piece of a line; `false` of those. Computed in f64 and rounded once, but for sigmoid,
/// SiLU, tanh and hard swish, which whole networks are full of.
pub(crate) fn activate(values: &mut [f32], bias: f32, activation: Activation) -> bool {
    match activation {
        Activation::Sigmoid => Arch::new().dispatch(Single(
            values,
            bias,
            #[inline(always)]
            |x| logistic_in_f32(x),
        )),
        Activation::Silu => Arch::new().dispatch(Single(
            values,
            bias,
            #[inline(always)]
            |x| x * logistic_in_f32(x),
        )),
        Activation::Gelu => each(
            values,
            bias,
            #[inline(always)]
            |x| gelu(x),
        ),
        Activation::GeluTanh => each(
            values,
            bias,
            #[inline(always)]
            |x| x * logistic(gelu_tanh_argument(x)),
        ),
        Activation::Tanh => Arch::new().dispatch(Single(
            values,
            bias,
            #[inline(always)]
            |x| tanh_in_f32(x),
        )),
        Activation::Elu { alpha } => exponential_below_0(values, bias, 1.0, alpha.into()),
        Activation::Selu { alpha, gamma } => exponential_below_0(values, bias, gamma.into(), f64::from(gamma) * f64::from(alpha)),
        Activation::Celu { alpha } => {
            let alpha = f64::from(alpha);
            each(
                values,
                bias,
                #[inline(always)]
                |x| if x < 0.0 { alpha * exp_less_1(x / alpha) } else { x },
            );
        }
        Activation::Softplus => each(
            values,
            bias,
            #[inline(always)]
            |x| softplus(x),
        ),
        Activation::Mish => each(
            values,
            bias,
            #[inline(always)]
            |x| mish(x),
        ),
        // A sum that is exact where it is small, a quotient and a product: 3 units.
        Activation::HardSwish => Arch::new().dispatch(Single(
            values,
            bias,
            #[inline(always)]
            |x| x * (clip_in_f32(x + 3.0, 0.0, 6.0) / 6.0),
        )),
        Activation::HardSigmoid { alpha, beta } => {
            let (alpha, beta) = (f64::from(alpha), f64::from(beta));
            each(
                values,
                bias,
                #[inline(always)]
                |x| clip(alpha * x + beta, 0.0, 1.0),
            );
        }
        Activation::Softsign => each(
            values,
            bias,
            #[inline(always)]
            |x| x / (1.0 + x.abs()),
        ),
        _ => return false,
    }
    true
}

/// slope x above 0, scale (e^x - 1) below.
fn exponential_below_0(values: &mut [f32], bias: f32, slope: f64, scale: f64) {
    each(
        values,
        bias,
        #[inline(always)]
        |x| if x < 0.0 { scale * exp_less_1(x) } else { slope * x },
    );
}

/// NaN stays.
#[inline(always)]
fn clip_in_f32(x: f32, min: f32, max: f32) -> f32 {
    let above = if x < min { min } else { x };
    if above > max { max } else { above }
}

/// NaN stays.
#[inline(always)]
fn clip(x: f64, min: f64, max: f64) -> f64 {
    let above = if x < min { min } else { x };
    if above > max { max } else { above }
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
        Activation::Sigmoid => each_slope(
            x,
            dy,
            y,
            #[inline(always)]
            |x| logistic_slope(x),
        ),
        Activation::Tanh => each_slope(
            x,
            dy,
            y,
            #[inline(always)]
            |x| 4.0 * logistic_slope(2.0 * x),
        ),
        Activation::Silu => each_slope(
            x,
            dy,
            y,
            #[inline(always)]
            |x| {
                // An infinite x times a slope of 0.
                let slope = logistic_slope(x);
                logistic(x) + if slope == 0.0 { 0.0 } else { x * slope }
            },
        ),
        Activation::Gelu => each_slope(
            x,
            dy,
            y,
            #[inline(always)]
            |x| {
                let density = exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
                0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2) + if density == 0.0 { 0.0 } else { x * density }
            },
        ),
        _ => return false,
    }
    true
}

/// y = e^x.
pub(crate) fn exponentials(x: &[f32], y: &mut [f32]) {
    each_to(
        x,
        y,
        #[inline(always)]
        |x| exp(x),
    );
}

/// y = ln x.
pub(crate) fn logarithms(x: &[f32], y: &mut [f32]) {
    each_to(
        x,
        y,
        #[inline(always)]
        |x| ln(x),
    );
}

/// y = erf x.
pub(crate) fn error_functions(x: &[f32], y: &mut [f32]) {
    each_to(
        x,
        y,
        #[inline(always)]
        |x| erf(x),
    );
}

fn each(values: &mut [f32], bias: f32, f: impl Fn(f64) -> f64) {
    Arch::new().dispatch(InPlace(values, bias, f));
}

fn each_to(x: &[f32], y: &mut [f32], f: impl Fn(f64) -> f64) {
    Arch::new().dispatch(To(x, y, f));
}

fn each_slope(x: &[f32], dy: &[f32], y: &mut [f32], slope: impl Fn(f64) -> f64) {
    Arch::new().dispatch(Slopes(x, dy, y, slope));
}

// Loops that are compiled for the vectors of the machine. Types of their own, and closures that are always inlined: a closure that only reads is called by way
// of a function, which the compiler may compile for no vectors but the oldest.

struct InPlace<'a, F>(&'a mut [f32], f32, F);

impl<F: Fn(f64) -> f64> WithSimd for InPlace<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self(values, bias, f) = self;
        for v in values {
            *v = f(f64::from(*v + bias)) as f32;
        }
    }
}

struct Single<'a, F>(&'a mut [f32], f32, F);

impl<F: Fn(f32) -> f32> WithSimd for Single<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self(values, bias, f) = self;
        for v in values {
            *v = f(*v + bias);
        }
    }
}

struct To<'a, F>(&'a [f32], &'a mut [f32], F);

impl<F: Fn(f64) -> f64> WithSimd for To<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self(x, y, f) = self;
        for (y, x) in y.iter_mut().zip(x) {
            *y = f(f64::from(*x)) as f32;
        }
    }
}

struct Slopes<'a, F>(&'a [f32], &'a [f32], &'a mut [f32], F);

impl<F: Fn(f64) -> f64> WithSimd for Slopes<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self(x, dy, y, slope) = self;
        for ((y, x), dy) in y.iter_mut().zip(x).zip(dy) {
            *y = (f64::from(*dy) * slope(f64::from(*x))) as f32;
        }
    }
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
        for activation in [Activation::Sigmoid, Activation::Silu, Activation::Tanh, Activation::Gelu] {
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
        assert!(!gradients(Activation::Mish, &x, &x, &mut x.clone()));
    }

    /// The definition, but for the last digit where it lies between two.
    #[test]
    fn activations_are_their_definitions() {
        let numbers = numbers();
        let others = [Activation::Celu { alpha: -0.3 }, Activation::Elu { alpha: 2.5 }, Activation::HardSigmoid { alpha: -1.5, beta: 0.25 }];
        for activation in Activation::ALL.into_iter().chain(others) {
            let mut got = numbers.clone();
            if activate(&mut got, 0.0, activation) {
                let units = match activation {
                    Activation::Sigmoid | Activation::Tanh => 6.0,
                    Activation::HardSwish => 3.0,
                    Activation::Silu => 7.0,
                    _ => 2.0,
                };
                same(&activation.to_string(), units, &numbers, &got, |x| activation.apply(x));
            }
        }
        for left in
            [Activation::None, Activation::Relu, Activation::Clip { min: 0.0, max: 1.0 }, Activation::Threshold { threshold: 0.0, value: 1.0 }]
        {
            assert!(!activate(&mut [], 0.0, left), "{left}");
        }
    }

    #[test]
    fn logarithms_and_error_functions_are_their_definitions() {
        let mut numbers = numbers();
        // Both sides of where logarithms change their exponent, of 1, and of where the error function's series ends; numbers below the normal ones.
        for near in [std::f32::consts::FRAC_1_SQRT_2, std::f32::consts::SQRT_2, 1.0, 2.0, 0.4, f32::MIN_POSITIVE, 1e-40] {
            numbers.extend((-40..40).map(|i| f32::from_bits(near.to_bits().wrapping_add_signed(i))));
        }
        let mut got = numbers.clone();
        exponentials(&numbers, &mut got);
        same("exp", 2.0, &numbers, &got, f64::exp);
        logarithms(&numbers, &mut got);
        same("log", 2.0, &numbers, &got, f64::ln);
        error_functions(&numbers, &mut got);
        same("erf", 2.0, &numbers, &got, libm::erf);
    }

    /// The definition rounded, but for so many units of roundoff; numbers below the normal ones may be 0.
    fn same(name: &str, units: f64, x: &[f32], got: &[f32], definition: impl Fn(f64) -> f64) {
        for (x, got) in x.iter().zip(got) {
            let want = definition(f64::from(*x)) as f32;
            // In f32, what is lost where e^-|x| is below the normal numbers is multiplied by x.
            let lost = f64::from(f32::MIN_POSITIVE) * if units > 2.0 { 88.0 } else { 1.0 };
            let near = f64::from(want.abs()) * units * 0.5 * f64::from(f32::EPSILON) + lost;
            let is_near = (f64::from(*got) - f64::from(want)).abs() <= near;
            assert!(*got == want || got.is_nan() && want.is_nan() || is_near, "{name} of {x}: {got} instead of {want}");
        }
    }
}
