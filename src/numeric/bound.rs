//! Error bounds: what a correct kernel may differ from the reference, derived, never picked by feel.

use crate::types::{Activation, ElementType};

/// The relative error of n roundings, of sums in any order and of products: gamma_n = n u / (1 - n u) (Higham, Accuracy and Stability of Numerical
/// Algorithms, 2nd edition, section 3.1) where n u is small. Sums and inner products err by n u at most for every n (Jeannerod and Rump, Improved
/// error bounds for inner products in floating-point arithmetic, 2013), so that the bound stays finite; the 2^-10 makes room for the few roundings
/// of other kinds that n counts too.
pub fn gamma(n: u64, unit_roundoff: f64) -> f64 {
    let nu = n as f64 * unit_roundoff;
    if nu < 1.0 / 1024.0 { nu / (1.0 - nu) } else { nu * (1.0 + 1.0 / 1024.0) }
}

/// What a sum of `depth` products of Fourier transforms, there and back, may err by, relative to the sum of |x| |w|, the Euclidean norms of what is transformed.
/// A transform has so many halvings of its elements, and so many of these multiply by roots of unity other than 1 and -i.
///
/// Each halving adds once; a complex product errs by at most sqrt(5) u (Brent, Percival and Zimmermann, Error bounds on complex floating-point
/// multiplication, 2007), and a root is rounded. Three transforms one after the other and the product between them then err as Percival derives (Rapid
/// multiplication modulo the sum and difference of highly composite numbers, 2003, theorem 5.1): forward, the Euclidean norm grows by as much as the norm
/// of the error; back, every output is a sum over all frequencies, whose absolute values add up to |x| |w| at most by the Cauchy-Schwarz inequality. The
/// sum of `depth` products has twice as many real ones for either part of a number.
pub(crate) fn fourier_error(halvings: u32, products: u32, depth: u64) -> f64 {
    let unit = ElementType::F32.unit_roundoff();
    let sums = f64::from(halvings) * unit.ln_1p();
    let rotations = f64::from(products) * ((5f64.sqrt() * unit).ln_1p() + unit.ln_1p());
    let product = (2f64.sqrt() * gamma(2 * depth, unit)).ln_1p();
    (3.0 * (sums + rotations) + product).exp_m1()
}

/// What is lost where a number is below the smallest normal f32: a device may take it for zero.
pub const UNDERFLOW: f64 = f32::MIN_POSITIVE as f64;

/// What a sum of `terms` products may lose below the normal numbers: each product and each sum of it, and an operand that meets a factor of up to 1. Nothing
/// where all terms are 0.
pub fn underflow(terms: u64, magnitude: f64) -> f64 {
    if magnitude > 0.0 { 2.0 * terms as f64 * UNDERFLOW } else { 0.0 }
}

/// Error of an activation whose argument errs by at most `sum_error`.
pub fn activation_error(activation: Activation, sum_error: f64, sum: f64, output: f64) -> f64 {
    // An infinite or undefined sum errs by nothing: the kernel's is the same.
    let carried = if sum.is_finite() { activation.propagated(sum, sum_error) } else { 0.0 };
    carried + activation.own_error(sum, output)
}

/// Relative error that WGSL allows x^p, which is exp2(p log2 x), whatever p is: log2 errs by 2^-21 in \[0.5, 2\] and 3 units in the last place
/// elsewhere, the product by half a unit, exp2(t) by 3 + 2 |t| units. x >= 0. Zero and infinity have exact powers.
pub fn power_error(x: f64, p: f64) -> f64 {
    let unit = 2.0 * ElementType::F32.unit_roundoff();
    if x == 0.0 || !x.is_finite() {
        return 0.0;
    }
    let (log, p) = (x.log2().abs(), p.abs());
    let of_log = p * (3.0 * unit * log).max(2f64.powi(-21));
    let t = p * log + of_log;
    let absolute = of_log + unit * t;
    // e^a - 1, since the error of the exponent is not always small.
    (std::f64::consts::LN_2 * absolute).exp_m1() * (1.0 + (3.0 + 2.0 * t) * unit) + (3.0 + 2.0 * t) * unit
}

/// Error that WGSL allows ln x of an x above 0: 2^-21 in \[0.5, 2\], 3 units in the last place elsewhere.
pub fn logarithm_error(x: f64) -> f64 {
    if (0.5..=2.0).contains(&x) { 2f64.powi(-21) } else { 3.0 * 2.0 * ElementType::F32.unit_roundoff() * x.ln().abs() }
}

/// Relative error of a square root: an inverse one (2 units) and a division (2.5 units).
pub const SQUARE_ROOT_ERROR: f64 = 4.5 * f32::EPSILON as f64;

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
    fn gamma_is_about_nu_and_always_finite() {
        let u = ElementType::F32.unit_roundoff();
        for n in [1, 100, 1 << 13, 1 << 14, (1 << 14) + 1, 1 << 24, 1 << 40] {
            let ratio = gamma(n, u) / (n as f64 * u);
            assert!((1.0..1.002).contains(&ratio), "{n}: {ratio}");
            assert!(gamma(n + 1, u) >= gamma(n, u), "{n}");
        }
    }
}
