//! Dropout in training: elements are set to zero at random, the others grow so that the mean stays (Srivastava and others, 2014, inverted).
//!
//! Which elements, follows from a seed, a step and the element's index in channels-first order by Philox ([`mod@crate::numeric::philox`]): the same on every
//! engine, in every layout, and again in the gradient, so that no mask is kept. What changes from step to step is a small tensor ([`DropoutKey`]).

use crate::numeric::philox::philox;
use crate::ops::Problem;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::bits::by_bits;
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

/// What a dropout does.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropoutDescriptor {
    /// The probability that an element becomes zero, from 0 to below 1.
    pub probability: f32,
    /// Sets dropouts of one network apart that read the same key: those of one number drop the same elements.
    pub stream: u32,
}

/// The numbers of one step, of which the tensor `key` holds the halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct DropoutKey {
    /// The same for all steps.
    pub seed: u32,
    /// Another one at each step.
    pub step: u32,
}

impl DropoutKey {
    /// How many numbers the tensor has.
    pub const COUNT: usize = 4;

    /// The tensor `key`: low and high 16 bits of the seed, then of the step. Such numbers are exact in f32, in which sessions and the CPU engine take them.
    pub fn to_array(self) -> [f32; Self::COUNT] {
        [self.seed & 0xffff, self.seed >> 16, self.step & 0xffff, self.step >> 16].map(|half| half as f32)
    }

    /// The key that a tensor holds; what is no whole number below 2^16 is cut to one.
    pub(crate) fn from_halves(halves: [f64; Self::COUNT]) -> Self {
        let [a, b, c, d] = halves.map(|half| half as u32 & 0xffff);
        Self { seed: a | b << 16, step: c | d << 16 }
    }
}

/// y = x / (1 - p) where an element is kept, 0 where it is dropped, whatever x is there: NaN and infinities too.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Dropout", into = "crate::ops::written::Dropout")]
pub struct DropoutProblem {
    pub(crate) probability: f32,
    pub(crate) stream: u32,
    pub(crate) x: TensorType,
}

by_bits! { DropoutProblem { stream, x } bits { probability } }

impl DropoutProblem {
    /// Resolves a dropout.
    ///
    /// # Errors
    /// Extents that make no tensor; a probability outside 0 to below 1.
    pub fn new(x: &TensorType, descriptor: &DropoutDescriptor) -> Result<Self> {
        let &DropoutDescriptor { probability, stream } = descriptor;
        if !(0.0..1.0).contains(&probability) {
            return Err(Error::invalid("probability", probability, "it is from 0 to below 1"));
        }
        x.checked_float("x")?;
        Ok(Self { probability, stream, x: x.clone() })
    }

    /// What it does.
    pub fn descriptor(&self) -> DropoutDescriptor {
        DropoutDescriptor { probability: self.probability, stream: self.stream }
    }

    /// What it takes and gives.
    pub fn tensor(&self) -> &TensorType {
        &self.x
    }

    /// 1 / (1 - p), rounded to f32: the factor of what is kept.
    pub fn scale(&self) -> f32 {
        (1.0 / (1.0 - f64::from(self.probability))) as f32
    }

    /// Words below this are dropped: p 2^32, which is below 2^32 since p is an f32 below 1.
    pub(crate) fn threshold(&self) -> u32 {
        (f64::from(self.probability) * 2f64.powi(32)).round() as u32
    }

    /// The words of the elements 4 `block` to 4 `block` + 3.
    pub(crate) fn words(&self, key: DropoutKey, block: u64) -> [u32; 4] {
        philox([block as u32, (block >> 32) as u32, key.step, 0], [key.seed, self.stream])
    }
}

impl Problem for DropoutProblem {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let key = TensorSpec::new("key", &[DropoutKey::COUNT], ElementType::F32, Layout::ChannelsFirst).with_domain(Domain::Index(1 << 16));
        vec![TensorSpec::of("x", &self.x), key]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("y", &self.x)]
    }

    /// Where the factor is a power of two.
    fn is_exact(&self) -> bool {
        self.scale().to_bits() << 9 == 0
    }

    fn flops(&self) -> f64 {
        self.x.extents.iter().map(|&e| e as f64).product()
    }
}

impl std::fmt::Display for DropoutProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p{}", self.probability)?;
        if self.stream != 0 {
            write!(f, "_s{}", self.stream)?;
        }
        crate::ops::spec::write_tensor(f, &self.x.extents, self.x.element, self.x.layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropout(probability: f32) -> Result<DropoutProblem> {
        DropoutProblem::new(&TensorType::f32(&[4]), &DropoutDescriptor { probability, stream: 0 })
    }

    #[test]
    fn a_probability_is_from_0_to_below_1() {
        for wrong in [1.0, -0.1, 1.5, f32::NAN, f32::INFINITY, -f32::MIN_POSITIVE] {
            let error = dropout(wrong).unwrap_err().to_string();
            assert!(error.starts_with("probability is ") && error.contains("from 0 to below 1"), "{error}");
        }
        let most = f32::from_bits(1f32.to_bits() - 1);
        assert_eq!(dropout(most).map(|p| (p.threshold(), p.scale())), Ok((u32::MAX - 255, 16_777_216.0)));
        assert_eq!(dropout(0.0).map(|p| (p.threshold(), p.scale())), Ok((0, 1.0)));
        assert_eq!(dropout(0.5).map(|p| (p.threshold(), p.scale())), Ok((1 << 31, 2.0)));
        assert_eq!([0.0, 0.5, 0.75, 0.1].map(|p| dropout(p).is_ok_and(|p| p.is_exact())), [true, true, true, false]);
    }

    #[test]
    fn a_key_goes_through_its_tensor() {
        for key in [DropoutKey { seed: 0xfedc_ba98, step: 0x0123_4567 }, DropoutKey { seed: u32::MAX, step: 0 }] {
            assert_eq!(DropoutKey::from_halves(key.to_array().map(f64::from)), key);
        }
    }
}
