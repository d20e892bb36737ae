//! Input data of the proofs: small integers for the exact one, real numbers for the bounded one, from a seeded generator.

use crate::conv::ConvProblem;
use crate::element::{Element, ElementType};

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
        (self.next() % (2 * limit + 1)) as f64 - limit as f64
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
    /// `count` inputs. Integers reach 4, so sums stay below 2^24 to a depth of 10^6; where results are stored as f16, which counts
    /// to 2048, they are -1, 0 and 1 beyond depth 128, and exact to depth 2047.
    pub fn fill<T: Element>(self, problem: &ConvProblem, count: u64, generator: &mut Generator) -> Vec<T> {
        let limit = match problem.element {
            ElementType::F32 => 4,
            ElementType::F16 if problem.reduction_depth() <= 128 => 3, // 9 x 128 + 3 < 2048
            ElementType::F16 => 1,
        };
        let value = |generator: &mut Generator| match self {
            Data::Exact => generator.integer(limit),
            Data::Real => generator.real(),
        };
        (0..count).map(|_| T::from_f64(value(generator))).collect()
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
