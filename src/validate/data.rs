//! Input data of the checks: small integers for the exact one, real numbers for the bounded one, from a seeded generator.

use crate::numeric::Generator;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::ElementType;

/// What the inputs of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Small integers: every product and partial sum is exact, so the result must be equal bit for bit.
    Exact,
    /// Real numbers in [-1, 1).
    Real,
    /// What networks hold and tame data do not: a mask of -1e9, an image 2^30 times as large as the others, magnitudes from 2^-40 to 2^40 side by
    /// side, rows of one number, subnormal numbers.
    Mixed,
    /// NaN, infinities, zeros of both signs and very large numbers among real ones, in what is no constant. No subnormal numbers: one that a device
    /// takes for zero, times an infinity, is NaN.
    Special,
}

/// A number that f32 cannot hold exactly, far from 0: rows of it have a mean that rounding misses.
const CONSTANT: f64 = 12_345.678;

impl Data {
    /// The largest error that the checks' integers and real numbers may have, relative to that of operands of magnitude 1: theirs
    /// multiplied, for products of two operands.
    pub(crate) fn largest(self) -> f64 {
        match self {
            Data::Exact => 16.0,
            Data::Real => 1.0,
            Data::Mixed | Data::Special => f64::INFINITY,
        }
    }

    /// Values for `spec`, as the stored type holds them; `depth` is the most terms that one output sums.
    ///
    /// Integers reach 4, so sums stay below 2^24 to a depth of 10^6; where results are stored as f16, which counts to 2048, they reach
    /// 3 to depth 128, and are -1, 0 and 1 beyond, exact to depth 2047.
    pub fn fill(self, spec: &TensorSpec, depth: u64, generator: &mut Generator) -> Vec<f64> {
        let limit = match spec.tensor.element {
            ElementType::F16 if depth > 128 => 1,
            ElementType::F16 => 3, // 9 x 128 + 3 < 2048
            _ => 4,
        };
        let stored = |v: f64| spec.tensor.element.rounded(v);
        let count = spec.count();
        let first = self.special(spec, depth, generator);
        (0..count)
            .map(|i| match (spec.domain, self) {
                (Domain::Index(end), _) => generator.below(end) as f64,
                (Domain::Places { ends, numbers }, _) => {
                    let end = ends[i as usize % numbers];
                    let (number, from_end) = (generator.below(end) as f64, generator.below(4) == 0);
                    if from_end && spec.tensor.element != ElementType::U32 { number - end as f64 } else { number }
                }
                (Domain::Real | Domain::Halves | Domain::Factor, Data::Exact) => generator.integer(limit),
                (Domain::Real | Domain::Factor, Data::Real) => stored(generator.real()),
                (Domain::Halves, Data::Real) => generator.integer(9) / 2.0,
                (Domain::Real | Domain::Halves | Domain::Factor, Data::Mixed) => stored(mixed(i, spec, generator)),
                (Domain::Real | Domain::Halves | Domain::Factor, Data::Special) => {
                    let here = (i + count - first.0) % count;
                    stored(first.1.get(here as usize).copied().unwrap_or_else(|| generator.real()))
                }
                (Domain::Few, Data::Exact) => generator.integer(1),
                (Domain::Few, kind) => {
                    let few: &[f64] = match kind {
                        Data::Mixed => &[0.0, -0.0, 3e-40, 6e-40, -3e-40, 1.0],
                        Data::Special => &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1.0],
                        _ => &[-0.5, 0.25, 1.0],
                    };
                    stored(few[generator.below(few.len() as u64) as usize])
                }
                (Domain::NearOne, Data::Exact) => [-1.0, 1.0][generator.below(2) as usize],
                (Domain::NearOne, _) => {
                    let v = generator.real();
                    stored((1.0 + v / 1024.0).copysign(v))
                }
                (Domain::Position, Data::Exact) => generator.integer(3) / 2.0,
                (Domain::Position, kind) => stored(position(kind, spec.tensor.element, generator)),
                (Domain::Positive, Data::Exact) => generator.integer(limit).abs() + 1.0,
                (Domain::Positive, _) => stored(generator.real().abs() + 0.25),
                (Domain::NonZero, Data::Exact) => [-2.0, -1.0, 1.0, 2.0][generator.below(4) as usize],
                (Domain::NonZero, _) => {
                    let v = generator.real();
                    stored(v + 0.25f64.copysign(v))
                }
            })
            .collect()
    }

    /// The special numbers of a tensor, and where the first stands. One of each kind, a step apart from the others, so that most windows and rows
    /// hold one or none.
    fn special(self, spec: &TensorSpec, depth: u64, generator: &mut Generator) -> (u64, Vec<f64>) {
        if self != Data::Special || spec.constant || spec.tensor.element == ElementType::U32 {
            return (0, vec![]);
        }
        let half = spec.tensor.element == ElementType::F16;
        // Sums of the very largest numbers leave f32 on the way, in whatever order they are added.
        let large = if half {
            6e4 / depth.min(1000) as f64
        } else if spec.domain == Domain::Factor {
            1e18
        } else if depth > 1 {
            1e30
        } else {
            f64::from(f32::MAX)
        };
        let kinds = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, large, -large];
        let apart = (spec.count() / (2 * kinds.len() as u64)).clamp(1, 37) as usize;
        let filler = kinds.iter().flat_map(|kind| std::iter::once(*kind).chain((1..apart).map(|_| generator.real())).collect::<Vec<_>>());
        let numbers = filler.collect();
        (generator.below(spec.count()), numbers)
    }
}

/// Element `i` of a tensor of [`Data::Mixed`].
fn mixed(i: u64, spec: &TensorSpec, generator: &mut Generator) -> f64 {
    let v = generator.real();
    let (count, row) = (spec.count(), spec.tensor.extents.last().copied().unwrap_or(1) as u64);
    let image = count / spec.tensor.extents.first().copied().unwrap_or(1) as u64;
    let wide = generator.below(81) as i32 - 40;
    if spec.tensor.element == ElementType::F16 {
        // Its range ends at 65504, and results are stored in it too.
        return match i / row % 3 {
            1 => 12.34,
            2 if i % 3 == 1 => v * 2f64.powi(-15),
            _ => v * 2f64.powi(wide / 8),
        };
    }
    match i {
        _ if i == count / 3 => -1e9,
        _ if i / row % 5 == 1 => CONSTANT,
        _ if i / row % 5 == 2 => CONSTANT + v * 1e-3,
        _ if i / row % 5 == 3 => v * 2f64.powi(wide),
        _ if i / row % 5 == 4 && i % 3 == 1 => v * f64::from(f32::MIN_POSITIVE),
        _ if i / image == 1 => v * 2f64.powi(30),
        _ => v,
    }
}

/// A position on an axis from -1 to 1: a quarter of them outside, and among those of wild data what is far outside or no number.
fn position(data: Data, element: ElementType, generator: &mut Generator) -> f64 {
    let v = 1.25 * generator.real();
    let (wild, wide) = (generator.below(8), generator.below(41) as i32);
    match (data, wild) {
        (Data::Mixed, 0) if element == ElementType::F16 => v * 2f64.powi(wide / 3),
        (Data::Mixed, 0) => v * 2f64.powi(wide),
        (Data::Special, 0) => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0, -1.0, -0.0][generator.below(6) as usize],
        _ => v,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_gives_the_same_numbers_in_range() {
        let mut a = Generator::from_text("case");
        let mut b = Generator::from_text("case");
        let mut other = Generator::from_text("case2");
        let numbers: Vec<f64> = (0..1000).map(|_| a.real()).collect();
        assert!(numbers.iter().all(|v| (-1.0..1.0).contains(v)));
        assert_eq!(numbers, (0..1000).map(|_| b.real()).collect::<Vec<_>>());
        assert_ne!(numbers[0], other.real());
        let integers: Vec<f64> = (0..1000).map(|_| a.integer(4)).collect();
        for wanted in -4..=4 {
            assert!(integers.contains(&f64::from(wanted)), "{wanted} never came");
        }
    }
}
