//! The errors of products on cooperative matrices, which multiply f16 and sum f32.

use crate::numeric::bound::gamma;
use crate::types::ElementType;

/// What operands become for the units, which multiply f16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operands {
    /// One f16 each: as they are, or f32 numbers scaled and rounded.
    F16,
    /// Two f16 each, which together hold 22 bits or more of an f32.
    F16x2,
}

impl Operands {
    /// What the names of all algorithms end in that make this of their operands.
    pub fn suffix(self) -> &'static str {
        match self {
            Operands::F16 => "_coop",
            Operands::F16x2 => "_f16x2",
        }
    }

    /// f16 for each number.
    pub fn parts(self) -> u32 {
        match self {
            Operands::F16 => 1,
            Operands::F16x2 => 2,
        }
    }
}

/// Octaves by which the largest magnitude of an operand may exceed that of one of its lines: `SPREAD` of `shaders/gemm/scale.wgsl`. What is
/// spread wider is computed by a plain kernel.
pub(crate) const SPREAD: i32 = 13;

/// How much a product of `depth` steps on cooperative matrices errs: by gamma of so many roundings, times the sum of the absolute products, plus
/// `relative` times that sum, plus `absolute` times (X sum of |w| + W sum of |x|), plus `tiny` times depth X W, where X and W are the largest
/// magnitudes of what the output's own row and column read. An operand is scaled as a whole, by its largest magnitude, which is at most
/// 2^(SPREAD + 1) of those.
///
/// What the units do: products of f16 are exact, and each addition errs by at most 2 u relative to the sum of absolute values so far, for it
/// may cut off instead of round (Fasi, Higham, Mikaitis and Pranesh, Numerical behavior of NVIDIA tensor cores, 2021). The standard asks for
/// less; a device that does not keep it fails the checks.
///
/// **Split.** With the operand's largest magnitude Y scaled into \[2^14, 2^15), x = high + low 2^-11 + d. The high part rounds x to 11 bits, so the rest has 12 bits and a sign
/// and is exact; the low part rounds it to 11: |d| <= 2 u |x|. Numbers below 2^-14 have no high part and a low one of 11 bits, or none if it
/// would be subnormal: |d| <= 2^-25, which is 2^-39 X. The product of the low parts is left out: |low| 2^-11 <= 2^-11 |x| + 2^-28 Y. In all
/// (2 + 2 + 4) u |x||w| + 2^-38 (Y |w| + V |x|) + 2^-56 Y V with the other operand's V, terms of higher order in the ninth u and twice the last. The high products are summed by the unit over `extent`
/// steps, 2 `extent` roundings, and by f32 arithmetic over the rest, depth / `extent`; the 2 `depth` others by the unit alone, 4 `depth`
/// roundings of a sum that weighs 2^-10. The last sum is one more.
///
/// **Whole.** Of f32 numbers: |d| <= 2^-11 |x|, or 2^-28 Y below f16's normal range, which a device may flush to zero. Products of such err by
/// 2 times that, and the units sum all of it, 2 `depth` roundings. Numbers that are f16 already err by that sum alone.
pub(crate) struct MatrixError {
    roundings: u64,
    relative: f64,
    absolute: f64,
    /// The same of depth X W.
    tiny: f64,
}

impl MatrixError {
    /// `more` are the roundings after the product: bias, residual and the like.
    pub fn new(operands: Operands, element: ElementType, depth: u64, more: u64) -> Self {
        let spread = 2f64.powi(SPREAD + 1);
        match (operands, element) {
            (Operands::F16x2, _) => {
                // The worse of both extents, so that the bound is that of a problem, not of a device.
                let high = [8u64, 16].into_iter().map(|extent| 2 * extent + depth.div_ceil(extent)).fold(0, u64::max);
                Self {
                    roundings: 9 + high + depth.div_ceil(256) + 1 + more,
                    relative: 0.0,
                    absolute: 2f64.powi(-38) * spread,
                    tiny: 2f64.powi(-55) * spread * spread,
                }
            }
            (Operands::F16, ElementType::F32) => {
                let relative = 2f64.powi(-10) + 2f64.powi(-21);
                Self { roundings: 2 * depth + more, relative, absolute: 2f64.powi(-27) * spread, tiny: 2f64.powi(-55) * spread * spread }
            }
            (Operands::F16, _) => Self { roundings: 2 * depth + more, relative: 0.0, absolute: 0.0, tiny: 0.0 },
        }
    }

    /// For the sums of absolute values of an output: of its products and what is added to them, of the products with either operand
    /// replaced by the largest magnitude that the output's row or column reads of it, and with both.
    pub fn bound(&self, magnitude: f64, [lhs, rhs]: [f64; 2], both: f64) -> f64 {
        let plain = gamma(self.roundings, ElementType::F32.unit_roundoff()) + self.relative;
        plain * magnitude + self.absolute * (lhs + rhs) + self.tiny * both
    }

    /// The largest error over operands of magnitude 1, relative to that of plain f32 sums; 1 where those are so long that they have no bound.
    pub fn relative_to_plain(&self, depth: u64, more: u64) -> f64 {
        let plain = gamma(depth + more, ElementType::F32.unit_roundoff());
        if plain.is_infinite() { 1.0 } else { self.bound(1.0, [1.0; 2], 1.0) / plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Generator;

    /// As `high_part` of `shaders/gemm/halves.wgsl` and what is done with it.
    fn split(x: f32) -> [f64; 2] {
        let is_normal = x.abs() >= 2f32.powi(-14);
        let high = if is_normal { f32::from_bits((x.to_bits() + 0x1000) & 0xffff_e000) } else { 0.0 };
        [half::f16::from_f32(high), half::f16::from_f32((x - high) * 2048.0)].map(|part| {
            let flushed = part.to_f64().abs() < 2f64.powi(-14); // a device may do that to subnormal numbers
            if flushed { 0.0 } else { part.to_f64() }
        })
    }

    #[test]
    fn the_two_parts_hold_what_the_bound_says() {
        let mut generator = Generator::from_text("split");
        let mut worst = 0.0f64;
        for i in 0..200_000 {
            // From 2^15 down to far below what f16 holds, and the edges of both.
            let x = (generator.real() * 2f64.powi(15 - i % 50)) as f32;
            let x = if i % 97 == 0 { f32::from_bits(x.to_bits() | 0x1fff) } else { x };
            let [high, low] = split(x);
            let error = (f64::from(x) - high - low / 2048.0).abs();
            let allowed = 2f64.powi(-23) * f64::from(x.abs()) + 2f64.powi(-25);
            assert!(error <= allowed, "{x:e}: {high:e} + {low:e} 2^-11 errs by {error:e}, not {allowed:e}");
            assert!(low.abs() / 2048.0 <= 2f64.powi(-11) * f64::from(x.abs()) + 2f64.powi(-14), "{x:e}: the low part is {low:e}");
            worst = worst.max(error / allowed);
        }
        assert!(worst > 0.5, "the bound is loose: {worst}");
    }

    /// The sum towards zero, as units may form it.
    fn cut_off(a: f32, b: f32) -> f32 {
        let exact = f64::from(a) + f64::from(b);
        let sum = exact as f32;
        if f64::from(sum).abs() > exact.abs() { f32::from_bits(sum.to_bits() - 1) } else { sum }
    }

    /// A product of a row and a column as the kernel and the units form it, the operands scaled by 2^-of their largest magnitudes.
    fn product(operands: Operands, x: &[f32], w: &[f32], scales: [i32; 2]) -> f64 {
        let scaled = |v: &[f32], scale: i32| v.iter().map(|v| (f64::from(*v) * 2f64.powi(scale)) as f32).collect::<Vec<_>>();
        let (x, w) = (scaled(x, scales[0]), scaled(w, scales[1]));
        let sum = |terms: &mut dyn Iterator<Item = f32>| terms.fold(0.0f32, cut_off);
        let result = match operands {
            Operands::F16 => {
                let whole = |v: f32| half::f16::from_f32(v).to_f32();
                f64::from(sum(&mut x.iter().zip(&w).map(|(x, w)| whole(*x) * whole(*w))))
            }
            Operands::F16x2 => {
                let parts = |v: &[f32]| v.iter().map(|v| split(*v).map(|part| part as f32)).collect::<Vec<_>>();
                let (x, w) = (parts(&x), parts(&w));
                // The high products of 8 steps by the unit, those sums by f32 arithmetic; the low ones by the unit alone.
                let high = x.chunks(8).zip(w.chunks(8)).map(|(x, w)| sum(&mut x.iter().zip(w).map(|(x, w)| x[0] * w[0]))).sum::<f32>();
                let mixed = x.iter().zip(&w).flat_map(|(x, w)| [x[0] * w[1], x[1] * w[0]]);
                let low = sum(&mut { mixed });
                f64::from(low.mul_add(1.0 / 2048.0, high))
            }
        };
        result * 2f64.powi(-scales[0] - scales[1])
    }

    /// Lines as much smaller than their operands' largest numbers as the kernel admits, numbers of mixed magnitudes in them.
    #[test]
    fn products_of_cut_off_sums_stay_within_their_bound() {
        let mut generator = Generator::from_text("product");
        for operands in [Operands::F16x2, Operands::F16] {
            let mut worst = 0.0f64;
            for trial in 0..4000 {
                let depth = [1, 2, 8, 27, 64, 576, 4608][if trial % 40 == 0 { 6 } else { trial % 6 }];
                let spread = [generator.below(SPREAD as u64 + 1), generator.below(SPREAD as u64 + 1)].map(|e| e as i32);
                let size = generator.integer(30) as i32;
                let mut line = || {
                    let values = (0..depth).map(|i| {
                        let wide = if trial % 3 == 0 { -(generator.below(40) as i32) } else { 0 };
                        let v = if trial % 5 == 0 { 1.0 - generator.real().abs() / 4096.0 } else { generator.real() };
                        if i == 0 { 1.0 } else { (v * 2f64.powi(wide)) as f32 }
                    });
                    values.map(|v| v * 2f32.powi(size)).collect::<Vec<f32>>()
                };
                let (x, w) = (line(), line());
                // The line's largest number is 2^size; the operand's is 2^(size + spread), which is scaled to 2^14.
                let got = product(operands, &x, &w, spread.map(|spread| 14 - spread - size));
                let (mut exact, mut magnitude, mut sums) = (0.0, 0.0, [0.0; 2]);
                for (x, w) in x.iter().zip(&w).map(|(x, w)| (f64::from(*x), f64::from(*w))) {
                    exact += x * w;
                    magnitude += (x * w).abs();
                    sums = [sums[0] + x.abs(), sums[1] + w.abs()];
                }
                let largest = 2f64.powi(size);
                let units = MatrixError::new(operands, ElementType::F32, depth as u64, 0);
                let allowed = units.bound(magnitude, [largest * sums[1], largest * sums[0]], depth as f64 * largest * largest);
                let error = (got - exact).abs();
                assert!(error <= allowed, "{operands:?}, depth {depth}, spread {spread:?}: errs by {error:e}, not {allowed:e}");
                worst = worst.max(error / allowed);
            }
            assert!(worst > 0.1, "{operands:?}: the bound is loose: {worst}");
        }
    }
}
