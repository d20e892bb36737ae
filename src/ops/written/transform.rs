//! The written forms of shape ops.

use super::{same, signed};
use crate::ops::transform::slice::{SliceDescriptor, SliceRange};
use crate::ops::transform::{concat, depth_to_space, grid_sample, pad, resize, slice, transpose};
use crate::types::TensorType;
use crate::types::{Error, Layout, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resize {
    x: TensorType,
    descriptor: resize::ResizeDescriptor,
}

impl From<resize::Resize> for Resize {
    fn from(p: resize::Resize) -> Self {
        Self { x: p.x, descriptor: p.descriptor }
    }
}

impl TryFrom<Resize> for resize::Resize {
    type Error = Error;

    fn try_from(w: Resize) -> Result<Self> {
        resize::Resize::new(&w.x, &w.descriptor)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GridSample {
    x: TensorType,
    grid: Vec<usize>,
    descriptor: grid_sample::GridSampleDescriptor,
}

impl From<grid_sample::GridSample> for GridSample {
    fn from(p: grid_sample::GridSample) -> Self {
        Self { x: p.x, grid: p.grid, descriptor: p.descriptor }
    }
}

impl TryFrom<GridSample> for grid_sample::GridSample {
    type Error = Error;

    fn try_from(w: GridSample) -> Result<Self> {
        let grid = TensorType::new(&w.grid, w.x.element, Layout::ChannelsFirst);
        grid_sample::GridSample::new(&w.x, &grid, &w.descriptor)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pad {
    x: TensorType,
    descriptor: pad::PadDescriptor,
}

impl From<pad::Pad> for Pad {
    fn from(p: pad::Pad) -> Self {
        Self { x: p.x, descriptor: pad::PadDescriptor { pads: [p.begin, p.end].concat(), mode: p.mode } }
    }
}

impl TryFrom<Pad> for pad::Pad {
    type Error = Error;

    fn try_from(w: Pad) -> Result<Self> {
        pad::Pad::new(&w.x, &w.descriptor)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slice {
    x: TensorType,
    ranges: Vec<SliceRange>,
}

impl From<slice::Slice> for Slice {
    fn from(p: slice::Slice) -> Self {
        Self { x: p.x, ranges: p.ranges }
    }
}

impl TryFrom<Slice> for slice::Slice {
    type Error = Error;

    fn try_from(w: Slice) -> Result<Self> {
        let starts = w.ranges.iter().map(|range| signed("ranges", range.first)).collect::<Result<_>>()?;
        let end = |range: &SliceRange| {
            let last = range.first as i128 + (range.step as i128).saturating_mul(range.count as i128 - 1);
            match range.step.signum() {
                // Before the first element lies no index, and a negative one would count from the end.
                -1 if last < 1 => isize::MIN,
                -1 => isize::try_from(last - 1).unwrap_or(isize::MAX),
                _ => isize::try_from(last + 1).unwrap_or(isize::MAX),
            }
        };
        let steps = w.ranges.iter().map(|range| range.step).collect();
        let descriptor = SliceDescriptor { starts, ends: w.ranges.iter().map(end).collect(), axes: vec![], steps };
        let problem = slice::Slice::new(&w.x, &descriptor)?;
        same("ranges", &w.ranges, &problem.ranges)?;
        Ok(problem)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Concat {
    inputs: Vec<TensorType>,
    axis: usize,
}

impl From<concat::Concat> for Concat {
    fn from(p: concat::Concat) -> Self {
        Self { inputs: p.inputs, axis: p.axis }
    }
}

impl TryFrom<Concat> for concat::Concat {
    type Error = Error;

    fn try_from(w: Concat) -> Result<Self> {
        concat::Concat::new(&w.inputs, signed("axis", w.axis)?)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transpose {
    x: TensorType,
    perm: Vec<usize>,
}

impl From<transpose::Transpose> for Transpose {
    fn from(p: transpose::Transpose) -> Self {
        Self { x: p.x, perm: p.perm }
    }
}

impl TryFrom<Transpose> for transpose::Transpose {
    type Error = Error;

    fn try_from(w: Transpose) -> Result<Self> {
        transpose::Transpose::new(&w.x, &w.perm)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToLayout {
    x: TensorType,
    layout: Layout,
}

impl From<transpose::ToLayout> for ToLayout {
    fn from(p: transpose::ToLayout) -> Self {
        Self { x: p.x, layout: p.layout }
    }
}

impl TryFrom<ToLayout> for transpose::ToLayout {
    type Error = Error;

    fn try_from(w: ToLayout) -> Result<Self> {
        transpose::ToLayout::new(&w.x, w.layout)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DepthToSpace {
    x: TensorType,
    inverse: bool,
    descriptor: depth_to_space::DepthToSpaceDescriptor,
}

impl From<depth_to_space::DepthToSpace> for DepthToSpace {
    fn from(p: depth_to_space::DepthToSpace) -> Self {
        let descriptor = depth_to_space::DepthToSpaceDescriptor { block: p.block, mode: p.mode };
        Self { x: p.x, inverse: p.inverse, descriptor }
    }
}

impl TryFrom<DepthToSpace> for depth_to_space::DepthToSpace {
    type Error = Error;

    fn try_from(w: DepthToSpace) -> Result<Self> {
        let make = if w.inverse { depth_to_space::DepthToSpace::inverse } else { depth_to_space::DepthToSpace::new };
        make(&w.x, &w.descriptor)
    }
}
