//! Axes of several operands at once: an elementwise kernel walks one set of coordinates, and each operand has its own strides.
//! Neighbouring axes along which all operands step alike are merged, so that most tensors have one or two axes left.

use bytemuck::{Pod, Zeroable};

/// Most axes: N C D H W and one more, for ops that split an axis.
pub(crate) const MAX_AXES: usize = 6;

/// One axis: its extent and the stride of each operand, in elements. Twin of `OperandAxis` in `shaders/lib/strided_axes.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct OperandAxis {
    pub strides: [i32; 3],
    pub extent: u32,
}

impl OperandAxis {
    const UNIT: Self = Self { extent: 1, strides: [0; 3] };
}

/// Merged axes, the slowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StridedAxes {
    pub axes: Vec<OperandAxis>,
}

impl StridedAxes {
    /// Merges `axes`, the slowest first. Every extent and stride must fit 31 bits; at least one axis is left.
    pub fn new(axes: &[(u64, [i64; 3])]) -> Self {
        let axis = |(extent, strides): (u64, [i64; 3])| OperandAxis { extent: extent as u32, strides: strides.map(|s| s as i32) };
        Self { axes: merged(axes).into_iter().map(axis).collect() }
    }

    /// Coordinates, all axes together.
    pub fn count(&self) -> u64 {
        self.axes.iter().map(|a| u64::from(a.extent)).product()
    }

    /// The fastest axis.
    pub fn inner(&self) -> OperandAxis {
        self.axes[self.axes.len() - 1]
    }

    /// The axes as a uniform holds them, filled up with unit ones at the end.
    pub fn padded(&self) -> [OperandAxis; MAX_AXES] {
        std::array::from_fn(|i| self.axes.get(i).copied().unwrap_or(OperandAxis::UNIT))
    }
}

/// Neighbouring axes along which all operands step alike as one; the slowest first. At least one axis is left.
pub(crate) fn merged<const N: usize>(axes: &[(u64, [i64; N])]) -> Vec<(u64, [i64; N])> {
    let mut merged: Vec<(u64, [i64; N])> = Vec::new();
    for &(extent, strides) in axes.iter().filter(|(extent, _)| *extent != 1) {
        match merged.last_mut() {
            // The outer axis steps over the whole inner one in every operand.
            Some((outer, outer_strides)) if (0..N).all(|i| outer_strides[i] == strides[i] * extent as i64) => {
                *outer *= extent;
                *outer_strides = strides;
            }
            _ => merged.push((extent, strides)),
        }
    }
    if merged.is_empty() {
        merged.push((1, [0; N]));
    }
    merged
}

/// Where the operands stand at row `number` of the outer axes.
pub(crate) fn offsets(outer: &[OperandAxis], number: usize) -> [usize; 3] {
    let (mut rest, mut at) = (number, [0i64; 3]);
    for axis in outer.iter().rev() {
        let coordinate = (rest % axis.extent as usize) as i64;
        rest /= axis.extent as usize;
        for (offset, stride) in at.iter_mut().zip(axis.strides) {
            *offset += coordinate * i64::from(stride);
        }
    }
    at.map(|offset| offset as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_merge_where_every_operand_steps_alike() {
        // A bias over channels of N C H W: a and y are whole, b steps with C alone.
        let strided_axes = StridedAxes::new(&[(2, [60, 0, 60]), (3, [20, 1, 20]), (4, [5, 0, 5]), (5, [1, 0, 1])]);
        let axis = |extent, strides| OperandAxis { extent, strides };
        assert_eq!(strided_axes.axes, [axis(2, [60, 0, 60]), axis(3, [20, 1, 20]), axis(20, [1, 0, 1])]);
        assert_eq!(StridedAxes::new(&[(2, [15, 15, 15]), (3, [5, 5, 5]), (5, [1, 1, 1])]).axes, [axis(30, [1, 1, 1])]);
        assert_eq!(StridedAxes::new(&[(1, [9, 9, 9])]).count(), 1);
        assert_eq!(offsets(&strided_axes.axes[..2], 4), [80, 1, 80]);
    }
}
