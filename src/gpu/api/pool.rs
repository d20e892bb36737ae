//! Pooling, 1-D to 3-D: max (with indices if wanted), average and Lp over windows that slide ([`PoolDescriptor`]), adapt to an output
//! size, or cover the plane; and max unpooling. Window geometry is convolution's ([`crate::types::shape::WindowAxis`]).

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::MaxUnpoolProblem;
use crate::ops::pool::{global, values};
use crate::types::{Error, Result};

impl Recorder<'_> {
    /// Records a pooling of any kind over x N C \[D\] \[H\] W; the output has the layout of `x`.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::pool::{PoolDescriptor, PoolKind};
    /// let halves = PoolDescriptor::window([2, 2]);
    /// let largest = gpu.run(|r| r.pool(x, &halves))?;
    /// let mean = gpu.run(|r| r.pool(x, &halves.with_kind(PoolKind::AVERAGE)))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`PoolProblem::new`]; a tensor of another device.
    pub fn pool<const N: usize>(&mut self, x: &Tensor, descriptor: &PoolDescriptor<N>) -> Result<Tensor> {
        let descriptor = descriptor.with_kind(values(descriptor.kind));
        self.op1(PoolProblem::new(&x.tensor_type(), &descriptor)?, &[x])
    }

    /// Records a max pooling that also gives where each maximum stands: a u32 tensor of the output's shape, flat inside each channel plane,
    /// row-major unless the kind says another order.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::pool::PoolDescriptor;
    /// let (y, indices) = gpu.run(|r| r.pool_indices(x, &PoolDescriptor::window([2, 2])))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::pool`]; another kind than [`PoolKind::Max`].
    pub fn pool_indices<const N: usize>(&mut self, x: &Tensor, descriptor: &PoolDescriptor<N>) -> Result<(Tensor, Tensor)> {
        let descriptor = descriptor.with_kind(indexed(descriptor.kind)?);
        pair(self.op(PoolProblem::new(&x.tensor_type(), &descriptor)?, &[x])?)
    }

    /// Records a pooling whose windows adapt to the spatial extents of the output.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::pool::{AdaptivePoolDescriptor, PoolKind};
    /// let y = gpu.run(|r| r.adaptive_pool(x, &AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [7, 7] }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`PoolProblem::adaptive`]; a tensor of another device.
    pub fn adaptive_pool<const N: usize>(&mut self, x: &Tensor, descriptor: &AdaptivePoolDescriptor<N>) -> Result<Tensor> {
        let descriptor = AdaptivePoolDescriptor { kind: values(descriptor.kind), ..*descriptor };
        self.op1(PoolProblem::adaptive(&x.tensor_type(), &descriptor)?, &[x])
    }

    /// Records an adaptive max pooling that also gives where each maximum stands, as [`Recorder::pool_indices`] does.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::pool::AdaptivePoolDescriptor;
    /// let (y, indices) = gpu.run(|r| r.adaptive_pool_indices(x, &AdaptivePoolDescriptor { output: [7, 7], ..Default::default() }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::adaptive_pool`]; another kind than [`PoolKind::Max`].
    pub fn adaptive_pool_indices<const N: usize>(&mut self, x: &Tensor, descriptor: &AdaptivePoolDescriptor<N>) -> Result<(Tensor, Tensor)> {
        let descriptor = AdaptivePoolDescriptor { kind: indexed(descriptor.kind)?, ..*descriptor };
        pair(self.op(PoolProblem::adaptive(&x.tensor_type(), &descriptor)?, &[x])?)
    }

    /// Records one window over each whole channel plane; spatial extents become 1.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::pool::PoolKind;
    /// let y = gpu.run(|r| r.global_pool(x, PoolKind::AVERAGE))?; // N C H W to N C 1 1
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// x of a rank other than 3 to 5; a tensor of another device.
    pub fn global_pool(&mut self, x: &Tensor, kind: PoolKind) -> Result<Tensor> {
        self.op1(global(&x.tensor_type(), kind)?, &[x])
    }

    /// Records max unpooling: zero but where `indices`, of x's shape, point. See [`MaxUnpoolProblem`].
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::pool::{MaxUnpoolDescriptor, PoolDescriptor};
    /// let pool = PoolDescriptor::window([2, 2]);
    /// let (y, indices) = gpu.run(|r| r.pool_indices(x, &pool))?;
    /// let back = gpu.run(|r| r.max_unpool(&y, &indices, &MaxUnpoolDescriptor { pool, output_shape: None }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`MaxUnpoolProblem::new`]; a tensor of another device.
    pub fn max_unpool<const N: usize>(&mut self, x: &Tensor, indices: &Tensor, descriptor: &MaxUnpoolDescriptor<N>) -> Result<Tensor> {
        let problem = MaxUnpoolProblem::new(&x.tensor_type(), indices.shape().extents(), descriptor)?;
        self.op1(&problem, &[x, indices])
    }
}

/// The same kind with indices.
fn indexed(kind: PoolKind) -> Result<PoolKind> {
    match kind {
        PoolKind::Max { indices } => Ok(PoolKind::Max { indices: Some(indices.unwrap_or(IndexOrder::RowMajor)) }),
        PoolKind::Average { .. } | PoolKind::Lp { .. } => {
            Err(Error::invalid("kind", format!("{kind:?}"), "only maxima have indices: the kind is Max"))
        }
    }
}

fn pair(outputs: Vec<Tensor>) -> Result<(Tensor, Tensor)> {
    <[Tensor; 2]>::try_from(outputs)
        .map(|[y, indices]| (y, indices))
        .map_err(|outputs| Error::Internal { label: "max_pool".into(), message: format!("{} outputs in place of two", outputs.len()) })
}
