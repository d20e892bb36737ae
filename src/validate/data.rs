//! Input data of the proofs: small integers for the exact one, real numbers for the bounded one, from a seeded generator.

use crate::element::ElementType;
use crate::op::{Domain, TensorSpec};

/// A small seeded generator (splitmix64, public domain, Sebastiano Vigna): the same seed, the same data, on every machine.
#[derive(Debug, Clone)]
pub struct Generator(u64);

impl Generator {
    /// A generator whose data depend on `text` alone, so that a case id names its data too.
    pub fn from_text(text: &str) -> Self {
        // FNV-1a.
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [-1, 1).
    pub fn real(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Uniform among -limit ..= limit.
    pub fn integer(&mut self, limit: u64) -> f64 {
        self.below(2 * limit + 1) as f64 - limit as f64
    }

    /// Uniform among 0 .. end.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// What the inputs of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Small integers: every product and partial sum is exact, so the result must be equal bit for bit.
    Exact,
    /// Real numbers in [-1, 1).
    Real,
}

impl Data {
    /// The largest error that the proofs' integers and real numbers may have, relative to that of operands of magnitude 1: theirs
    /// multiplied, for products of two operands.
    pub(crate) fn largest(self) -> f64 {
        match self {
            Data::Exact => 16.0,
            Data::Real => 1.0,
        }
    }

    /// Values for `spec`, as the stored type holds them; `depth` is the most terms that one output sums.
    ///
    /// Integers reach 4, so sums stay below 2^24 to a depth of 10^6; where results are stored as f16, which counts to 2048, they reach
    /// 3 to depth 128, and are -1, 0 and 1 beyond, exact to depth 2047.
    pub fn fill(self, spec: &TensorSpec, depth: u64, generator: &mut Generator) -> Vec<f64> {
        let limit = match spec.element {
            ElementType::F16 if depth > 128 => 1,
            ElementType::F16 => 3, // 9 x 128 + 3 < 2048
            _ => 4,
        };
        let stored = |v: f64| match spec.element {
            ElementType::F16 => f64::from(half::f16::from_f64(v)),
            _ => f64::from(v as f32),
        };
        (0..spec.count())
            .map(|_| match (spec.domain, self) {
                (Domain::Index(end), _) => generator.below(end) as f64,
                (Domain::Real, Data::Exact) => generator.integer(limit),
                (Domain::Real, Data::Real) => stored(generator.real()),
                (Domain::Positive, Data::Exact) => generator.integer(limit).abs() + 1.0,
                (Domain::Positive, Data::Real) => stored(generator.real().abs() + 0.25),
                (Domain::NonZero, Data::Exact) => [-2.0, -1.0, 1.0, 2.0][generator.below(4) as usize],
                (Domain::NonZero, Data::Real) => {
                    let v = generator.real();
                    stored(v + 0.25f64.copysign(v))
                }
            })
            .collect()
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
