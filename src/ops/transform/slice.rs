//! Slicing by numpy's rules: a start, an end and a step per axis, each possibly negative.

use crate::ops::transform::moves::Moves;
use crate::types::shape::front_axis;
use crate::types::strided::{StridedAxis, StridedCopy};
use crate::types::tensor_type::{TensorType, joined};
use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};

/// A slice by numpy's rules: along `axes[i]` from `starts[i]` to before `ends[i]` by `steps[i]`.
///
/// Negative starts and ends count from the end of the axis; those past it are cut.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SliceDescriptor {
    /// First elements.
    pub starts: Vec<isize>,
    /// Ends, not taken; as many as there are starts.
    pub ends: Vec<isize>,
    /// The axes, negative: from the end; none: the first ones.
    pub axes: Vec<isize>,
    /// The steps; none: all 1. Negative ones walk backwards.
    pub steps: Vec<isize>,
}

/// y takes, along each axis, every `step`-th element of x from `first` on, `count` of them. y keeps x's layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Slice", into = "crate::ops::written::Slice")]
pub struct Slice {
    pub(crate) x: TensorType,
    pub(crate) ranges: Vec<SliceRange>,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl Slice {
    /// The input.
    pub fn x(&self) -> &TensorType {
        &self.x
    }

    /// Per axis of x.
    pub fn ranges(&self) -> &[SliceRange] {
        &self.ranges
    }
}

/// What is taken along one axis, resolved: `first + i step` for i below `count`, all inside the axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceRange {
    /// First element.
    pub first: usize,
    /// Distance to the next, shorter than the axis; negative walks backwards, never 0. 1 where there is no next one.
    pub step: isize,
    /// How many.
    pub count: usize,
}

impl Slice {
    /// A slice of `x`.
    ///
    /// # Errors
    /// Lists of different lengths, an axis outside the rank or named twice, a step of 0, an axis on which nothing is left.
    pub fn new(x: &TensorType, descriptor: &SliceDescriptor) -> Result<Self> {
        let x = x.clone().checked("x")?;
        let SliceDescriptor { starts, ends, axes, steps } = descriptor;
        for (name, list, optional) in [("ends", ends, false), ("axes", axes, true), ("steps", steps, true)] {
            if list.len() != starts.len() && !(optional && list.is_empty()) {
                return Err(Error::invalid(
                    name,
                    format!("{list:?}"),
                    format!("it must have one entry per start, {}, not {}", starts.len(), list.len()),
                ));
            }
        }
        let mut ranges: Vec<SliceRange> = x.extents.iter().map(|&count| SliceRange { first: 0, step: 1, count }).collect();
        let mut named = vec![false; x.rank()];
        for (i, (&start, &end)) in starts.iter().zip(ends).enumerate() {
            let axis = front_axis("axes", axes.get(i).copied().unwrap_or(i as isize), x.rank())?;
            if std::mem::replace(&mut named[axis], true) {
                return Err(Error::invalid("axes", format!("{axes:?}"), format!("axis {axis} is named twice")));
            }
            ranges[axis] = SliceRange::new(axis, x.extents[axis], start, end, steps.get(i).copied().unwrap_or(1))?;
        }
        Ok(Self { x, ranges })
    }

    /// Extents of y.
    pub fn output_extents(&self) -> Vec<usize> {
        self.ranges.iter().map(|r| r.count).collect()
    }
}

impl SliceRange {
    /// numpy's rules, in i128 so that no start or end overflows.
    pub(crate) fn new(axis: usize, extent: usize, start: isize, end: isize, step: isize) -> Result<Self> {
        if step == 0 {
            return Err(Error::invalid("steps", step, format!("the step along axis {axis} cannot be 0")));
        }
        let (n, step) = (extent as i128, step as i128);
        // Backwards, one before the first element is a place too: where a walk to the very front ends.
        let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
        let place = |at: isize| {
            let at = at as i128;
            (if at < 0 { at + n } else { at }).clamp(low, high)
        };
        let (first, last) = (place(start), place(end));
        let count = if step > 0 { (last - first + step - 1) / step } else { (first - last - step - 1) / -step };
        if count < 1 {
            return Err(Error::invalid(
                "starts",
                start,
                format!("from {start} to {end} by {step} nothing is left of the extent {extent} of axis {axis}, and every extent must be at least 1"),
            ));
        }
        let step = if count == 1 { 1 } else { step };
        Ok(Self { first: first as usize, step: step as isize, count: count as usize }) // all within the axis
    }
}

impl Moves for Slice {
    fn op_name(&self) -> &'static str {
        "slice"
    }

    fn kinds(&self) -> Vec<TensorType> {
        vec![self.x.clone()]
    }

    fn kind(&self) -> TensorType {
        TensorType { extents: self.output_extents(), ..self.x.clone() }
    }

    fn copies(&self, x: &[Vec<i64>], y: &[i64]) -> Vec<StridedCopy> {
        let mut copy = StridedCopy { input: 0, x_base: 0, y_base: 0, axes: Vec::with_capacity(self.ranges.len()) };
        for ((range, &x), &y) in self.ranges.iter().zip(&x[0]).zip(y) {
            copy.x_base += range.first as i64 * x;
            copy.axes.push(StridedAxis { extent: range.count as u64, x: range.step as i64 * x, y });
        }
        vec![copy]
    }
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ranges: Vec<String> = self.ranges.iter().map(|r| format!("{}+{}x{}", r.first, r.count, r.step)).collect();
        write!(f, "{}_take{}", self.x, joined(&ranges, ","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_numpy() {
        let range = |extent, start, end, step| SliceRange::new(0, extent, start, end, step).map(|r| (r.first, r.count));
        assert_eq!(range(9, 2, 7, 2).unwrap(), (2, 3));
        assert_eq!(range(9, -3, isize::MAX, 1).unwrap(), (6, 3));
        assert_eq!(range(9, isize::MAX, isize::MIN, -1).unwrap(), (8, 9));
        assert_eq!(range(20, 20, 0, -1).unwrap(), (19, 19));
        assert_eq!(range(10, 10, 0, -3).unwrap(), (9, 3));
        assert_eq!(range(5, 4, 1, -2).unwrap(), (4, 2));
        assert_eq!(range(5, isize::MIN, isize::MAX, isize::MAX).unwrap(), (0, 1));
        assert_eq!(range(5, -1, isize::MIN, isize::MIN).unwrap(), (4, 1));
        assert!(range(5, 3, 3, 1).is_err() && range(5, 9, 12, 1).is_err() && range(5, 0, 3, -1).is_err() && range(5, 0, 3, 0).is_err());
    }
}
