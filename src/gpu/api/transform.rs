//! Shape ops on tensors.

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::{DepthToSpace, DepthToSpaceMode};
use crate::ops::transform::kind::TensorKind;
use crate::ops::transform::pad::{Pad, PadMode};
use crate::ops::transform::resize::{Resize, ResizeDescriptor};
use crate::ops::transform::slice::Slice;
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::types::{Layout, Result};

impl TensorKind {
    /// The kind of `tensor`.
    pub fn of(tensor: &Tensor) -> Self {
        let layout = if tensor.shape().rank() < 3 { Layout::ChannelsFirst } else { tensor.layout() };
        Self { extents: tensor.shape().extents().to_vec(), element: tensor.element(), layout }
    }
}

impl Recorder<'_> {
    /// Records a concatenation along `axis`, one dispatch per input; the output has the layout of the first. A negative axis counts from
    /// the end.
    ///
    /// # Errors
    /// As [`Concat::new`]; sizes past the device's limits.
    pub fn concat(&mut self, xs: &[&Tensor], axis: isize) -> Result<Tensor> {
        self.op1(&Concat::new(xs.iter().map(|x| TensorKind::of(x)).collect(), axis)?, xs)
    }

    /// Records depth to space: blocks of channels become blocks of positions. The output keeps x's layout.
    ///
    /// # Errors
    /// As [`DepthToSpace::new`]; sizes past the device's limits.
    pub fn depth_to_space(&mut self, x: &Tensor, block: usize, mode: DepthToSpaceMode) -> Result<Tensor> {
        self.op1(&DepthToSpace::new(TensorKind::of(x), block, mode)?, &[x])
    }

    /// Records space to depth, which undoes [`Recorder::depth_to_space`]. The output keeps x's layout.
    ///
    /// # Errors
    /// As [`DepthToSpace::inverse`]; sizes past the device's limits.
    pub fn space_to_depth(&mut self, x: &Tensor, block: usize, mode: DepthToSpaceMode) -> Result<Tensor> {
        self.op1(&DepthToSpace::inverse(TensorKind::of(x), block, mode)?, &[x])
    }

    /// Records a pad over all axes: `pads` holds the begins of all axes, then the ends. The output keeps x's layout.
    ///
    /// # Errors
    /// As [`Pad::new`]; sizes past the device's limits.
    pub fn pad(&mut self, x: &Tensor, pads: &[usize], mode: PadMode) -> Result<Tensor> {
        self.op1(&Pad::new(TensorKind::of(x), pads, mode)?, &[x])
    }

    /// Records a resize of the spatial axes to `sizes`; the output keeps x's layout.
    ///
    /// # Errors
    /// As [`Resize::new`]; sizes past the device's limits.
    pub fn resize(&mut self, descriptor: &ResizeDescriptor, x: &Tensor, sizes: &[usize]) -> Result<Tensor> {
        self.op1(&Resize::new(descriptor, TensorKind::of(x), sizes)?, &[x])
    }

    /// Records a slice by numpy's rules (see [`Slice::new`]); the output keeps x's layout.
    ///
    /// # Errors
    /// As [`Slice::new`]; sizes past the device's limits.
    pub fn slice(&mut self, x: &Tensor, starts: &[isize], ends: &[isize], axes: &[isize], steps: &[isize]) -> Result<Tensor> {
        self.op1(&Slice::new(TensorKind::of(x), starts, ends, axes, steps)?, &[x])
    }

    /// Records a transpose: axis i of the output is axis `perm[i]` of x. The output is channels-first.
    ///
    /// # Errors
    /// A `perm` that does not name every axis once; sizes past the device's limits.
    pub fn transpose(&mut self, x: &Tensor, perm: &[usize]) -> Result<Tensor> {
        self.op1(&Transpose::new(TensorKind::of(x), perm)?, &[x])
    }

    /// x in `layout`: x itself where it is stored so already, else a recorded copy.
    ///
    /// # Errors
    /// Sizes past the device's limits.
    pub fn to_layout(&mut self, x: &Tensor, layout: Layout) -> Result<Tensor> {
        if let Some(same) = x.relabelled(layout) {
            return Ok(same);
        }
        self.op1(&ToLayout::new(TensorKind::of(x), layout)?, &[x])
    }
}
