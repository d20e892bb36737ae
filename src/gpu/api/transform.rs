//! Shape ops on tensors.

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::{DepthToSpace, DepthToSpaceDescriptor};
use crate::ops::transform::grid_sample::{GridSample, GridSampleDescriptor};
use crate::ops::transform::pad::{Pad, PadDescriptor};
use crate::ops::transform::resize::{Resize, ResizeDescriptor};
use crate::ops::transform::slice::{Slice, SliceDescriptor};
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::types::{Layout, Result};

impl Recorder<'_> {
    /// Records a concatenation along `axis`, one dispatch per input; the output has the layout of the first. A negative axis counts from
    /// the end.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.concat(&[a, b], 1))?; // channels of a, then of b
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Concat::new`]; sizes past the device's limits.
    pub fn concat(&mut self, xs: &[&Tensor], axis: isize) -> Result<Tensor> {
        self.op1(&Concat::new(&xs.iter().map(|x| x.tensor_type()).collect::<Vec<_>>(), axis)?, xs)
    }

    /// Records depth to space: blocks of channels become blocks of positions. The output keeps x's layout.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::transform::DepthToSpaceDescriptor;
    /// let y = gpu.run(|r| r.depth_to_space(x, &DepthToSpaceDescriptor::default()))?; // blocks of 2 x 2
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`DepthToSpace::new`]; sizes past the device's limits.
    pub fn depth_to_space(&mut self, x: &Tensor, descriptor: &DepthToSpaceDescriptor) -> Result<Tensor> {
        self.op1(&DepthToSpace::new(&x.tensor_type(), descriptor)?, &[x])
    }

    /// Records space to depth, which undoes [`Recorder::depth_to_space`]. The output keeps x's layout.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::transform::DepthToSpaceDescriptor;
    /// let y = gpu.run(|r| r.space_to_depth(x, &DepthToSpaceDescriptor::default()))?; // blocks of 2 x 2
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`DepthToSpace::inverse`]; sizes past the device's limits.
    pub fn space_to_depth(&mut self, x: &Tensor, descriptor: &DepthToSpaceDescriptor) -> Result<Tensor> {
        self.op1(&DepthToSpace::inverse(&x.tensor_type(), descriptor)?, &[x])
    }

    /// Records sampling of the spatial axes of x N C \[D\] \[H\] W at the positions of a grid; the output has x's layout. See [`GridSample`] for
    /// what a position is.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, grid: &Tensor) -> Result<()> {
    /// use wgconv::transform::{GridSampleDescriptor, GridSamplePadding};
    /// let descriptor = GridSampleDescriptor { padding: GridSamplePadding::Border, ..Default::default() };
    /// let y = gpu.run(|r| r.grid_sample(x, grid, &descriptor))?; // x N C H W, grid N H' W' 2: y N C H' W'
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`GridSample::new`]; sizes past the device's limits.
    pub fn grid_sample(&mut self, x: &Tensor, grid: &Tensor, descriptor: &GridSampleDescriptor) -> Result<Tensor> {
        self.op1(&GridSample::new(&x.tensor_type(), &grid.tensor_type(), descriptor)?, &[x, grid])
    }

    /// Records a pad over all axes. The output keeps x's layout.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::transform::{PadDescriptor, PadMode};
    /// let frame = PadDescriptor { pads: vec![0, 0, 1, 1, 0, 0, 1, 1], mode: PadMode::Reflect };
    /// let y = gpu.run(|r| r.pad(x, &frame))?; // one row and column on every side
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Pad::new`]; sizes past the device's limits.
    pub fn pad(&mut self, x: &Tensor, descriptor: &PadDescriptor) -> Result<Tensor> {
        self.op1(&Pad::new(&x.tensor_type(), descriptor)?, &[x])
    }

    /// Records a resize of the spatial axes of x N C \[D\] \[H\] W; the output keeps x's layout.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::transform::{ResizeDescriptor, ResizeMode};
    /// let y = gpu.run(|r| r.resize(x, &ResizeDescriptor { sizes: vec![224, 224], mode: ResizeMode::Linear, ..Default::default() }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Resize::new`]; sizes past the device's limits.
    pub fn resize(&mut self, x: &Tensor, descriptor: &ResizeDescriptor) -> Result<Tensor> {
        self.op1(&Resize::new(&x.tensor_type(), descriptor)?, &[x])
    }

    /// Records a slice by numpy's rules; the output keeps x's layout.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::transform::SliceDescriptor;
    /// let middle = SliceDescriptor { starts: vec![1, 1], ends: vec![-1, -1], axes: vec![2, 3], ..Default::default() };
    /// let y = gpu.run(|r| r.slice(x, &middle))?; // x[:, :, 1:-1, 1:-1]
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Slice::new`]; sizes past the device's limits.
    pub fn slice(&mut self, x: &Tensor, descriptor: &SliceDescriptor) -> Result<Tensor> {
        self.op1(&Slice::new(&x.tensor_type(), descriptor)?, &[x])
    }

    /// Records a transpose: axis i of the output is axis `perm[i]` of x. The output is channels-first.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.transpose(x, &[1, 0]))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A `perm` that does not name every axis once; sizes past the device's limits.
    pub fn transpose(&mut self, x: &Tensor, perm: &[usize]) -> Result<Tensor> {
        self.op1(&Transpose::new(&x.tensor_type(), perm)?, &[x])
    }

    /// x in `layout`: x itself where it is stored so already, else a recorded copy.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.to_layout(x, Layout::ChannelsLast))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Sizes past the device's limits.
    pub fn to_layout(&mut self, x: &Tensor, layout: Layout) -> Result<Tensor> {
        if let Some(same) = x.relabelled(layout) {
            return Ok(same);
        }
        self.op1(&ToLayout::new(&x.tensor_type(), layout)?, &[x])
    }
}
