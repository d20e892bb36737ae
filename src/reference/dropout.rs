//! Dropout straight from its definition, one element after the other.

use crate::numeric::bound::UNDERFLOW;
use crate::ops::dropout::{DropoutKey, DropoutProblem};
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// x times the f32 factor, one rounding, where the element's word is not below the threshold; elsewhere exactly 0. A device may take an x below the
/// smallest normal number for zero, and so lose the factor times that.
pub fn dropout(problem: &DropoutProblem, x: &[f64], key: DropoutKey) -> Bounded {
    let (scale, threshold) = (f64::from(problem.scale()), problem.threshold());
    let (mut value, mut error) = (vec![], vec![]);
    for (i, &x) in x.iter().enumerate() {
        let is_kept = problem.words(key, i as u64 / 4)[i % 4] >= threshold;
        let y = if is_kept { x * scale } else { 0.0 };
        value.push(y);
        error.push(if is_kept { ElementType::F32.unit_roundoff() * y.abs() + UNDERFLOW * scale } else { 0.0 });
    }
    Bounded { value, error }
}

impl Referenced for DropoutProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![dropout(self, inputs[0], DropoutKey::from_halves(std::array::from_fn(|i| inputs[1][i])))]
    }
}
