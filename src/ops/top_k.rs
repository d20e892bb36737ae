//! The k largest or smallest elements of each line, in order, with where they stand.

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::types::shape::front_axis;
use crate::types::tensor_type::TensorType;
use crate::types::{ElementType, Error, Result};
use serde::{Deserialize, Serialize};

/// Which end of the order is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopKOrder {
    /// The largest first.
    #[default]
    Largest,
    /// The smallest first.
    Smallest,
}

/// The first elements of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopKDescriptor {
    /// How many.
    pub k: usize,
    /// Along which axis; negative: from the end.
    #[serde(default = "last")]
    pub axis: isize,
    /// Largest or smallest first.
    #[serde(default)]
    pub order: TopKOrder,
}

fn last() -> isize {
    -1
}

/// y holds the first k elements along an axis of x in their order, indices where they stand along it (u32). Both are in x's layout.
///
/// Of equal elements the one with the lower index comes first; both zeros are equal. NaN is larger than all numbers, as PyTorch and numpy have it: first
/// among the largest, last among the smallest. What is chosen is moved bit for bit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::TopK", into = "crate::ops::written::TopK")]
pub struct TopKProblem {
    pub(crate) x: TensorType,
    pub(crate) k: usize,
    pub(crate) axis: usize,
    pub(crate) order: TopKOrder,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl TopKProblem {
    /// The input.
    pub fn x(&self) -> &TensorType {
        &self.x
    }

    /// How many elements of each line.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The axis that lines run along.
    pub fn axis(&self) -> usize {
        self.axis
    }

    /// Largest or smallest first.
    pub fn order(&self) -> TopKOrder {
        self.order
    }
}

impl TopKProblem {
    /// Resolves it.
    ///
    /// # Errors
    /// An axis outside the rank; a k of 0 or above the axis's extent; u32.
    pub fn new(x: &TensorType, descriptor: &TopKDescriptor) -> Result<Self> {
        let x = x.clone().checked("x")?;
        x.checked_float("x")?;
        let axis = front_axis("axis", descriptor.axis, x.rank())?;
        let (k, extent) = (descriptor.k, x.extents[axis]);
        if k == 0 || k > extent {
            return Err(Error::invalid("k", k, format!("it is from 1 to the extent of axis {axis}, {extent}")));
        }
        Ok(Self { x, k, axis, order: descriptor.order })
    }

    /// The type of y; indices are alike but of u32.
    pub(crate) fn y(&self) -> TensorType {
        let mut y = self.x.clone();
        y.extents[self.axis] = self.k;
        y
    }

    /// x in memory as \[outer\]\[length\]\[inner\].
    pub(crate) fn in_memory(&self) -> [u64; 3] {
        let order = self.x.layout.memory_order(self.x.rank());
        let product = |axes: &[usize]| axes.iter().map(|&axis| self.x.extents[axis] as u64).product();
        let at = order.iter().position(|&axis| axis == self.axis).unwrap_or(0);
        [product(&order[..at]), self.x.extents[self.axis] as u64, product(&order[at + 1..])]
    }
}

impl std::fmt::Display for TopKProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_k{}_axis{}", self.x, self.k, self.axis)?;
        if self.order == TopKOrder::Smallest { write!(f, "_smallest") } else { Ok(()) }
    }
}

impl Problem for TopKProblem {
    fn name(&self) -> &'static str {
        "top_k"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("x", &self.x)]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        let y = self.y();
        let indices = TensorSpec::new("indices", &y.extents, ElementType::U32, y.layout);
        vec![TensorSpec::of("y", &y), indices]
    }

    fn is_exact(&self) -> bool {
        true
    }

    /// A comparison for each pair of x and its logarithm.
    fn flops(&self) -> f64 {
        let count: f64 = self.x.extents.iter().map(|&e| e as f64).product();
        count * (self.x.extents[self.axis] as f64).log2().ceil()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Layout;

    #[test]
    fn k_is_within_the_axis_and_lines_follow_the_layout() {
        let x = TensorType::new(&[2, 3, 4, 5], ElementType::F32, Layout::ChannelsLast);
        let of = |k, axis| TopKProblem::new(&x, &TopKDescriptor { k, axis, order: TopKOrder::Largest });
        assert_eq!(of(4, 1).unwrap_err().to_string(), "k is 4: it is from 1 to the extent of axis 1, 3");
        assert_eq!(of(0, -1).unwrap_err().to_string(), "k is 0: it is from 1 to the extent of axis 3, 5");
        assert_eq!((of(2, 1).unwrap().in_memory(), of(2, -1).unwrap().in_memory()), ([40, 3, 1], [8, 5, 3]));
        assert_eq!(of(2, 2).unwrap().y().extents, [2, 3, 2, 5]);
    }
}
