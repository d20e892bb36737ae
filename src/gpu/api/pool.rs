//! Pooling, 1-D to 3-D: max (with indices if wanted), average and Lp over windows that slide ([`PoolDescriptor`]), adapt to an output
//! size, or cover the plane; and max unpooling. Window geometry is convolution's ([`crate::types::shape::WindowAxis`]).

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::pool::descriptor::{IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use crate::ops::pool::global;
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::MaxUnpoolProblem;
use crate::ops::pool::values;
use crate::types::{Error, Result};

impl Recorder<'_> {
    /// Records a pooling of any kind; the output has the layout of `x`.
    ///
    /// # Errors
    /// As [`PoolProblem::new`]; a tensor of another device.
    pub fn pool<const N: usize>(&mut self, kind: PoolKind, descriptor: &PoolDescriptor<N>, x: &Tensor) -> Result<Tensor> {
        let problem = PoolProblem::new(values(kind), descriptor, x.shape().extents(), x.element(), x.layout())?;
        self.op1(&problem, &[x])
    }

    /// Records max pooling; NaN wins.
    ///
    /// # Errors
    /// As [`Recorder::pool`].
    pub fn max_pool<const N: usize>(&mut self, descriptor: &PoolDescriptor<N>, x: &Tensor) -> Result<Tensor> {
        self.pool(PoolKind::MAX, descriptor, x)
    }

    /// Records max pooling that also gives where each maximum stands: a u32 tensor, flat inside each channel plane.
    ///
    /// # Errors
    /// As [`Recorder::pool`].
    pub fn max_pool_indices<const N: usize>(&mut self, descriptor: &PoolDescriptor<N>, order: IndexOrder, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let kind = PoolKind::Max { indices: Some(order) };
        let problem = PoolProblem::new(kind, descriptor, x.shape().extents(), x.element(), x.layout())?;
        pair(self.op(&problem, &[x])?)
    }

    /// Records average pooling; `count_include_pad` counts padding as zeros.
    ///
    /// # Errors
    /// As [`Recorder::pool`].
    pub fn average_pool<const N: usize>(&mut self, descriptor: &PoolDescriptor<N>, count_include_pad: bool, x: &Tensor) -> Result<Tensor> {
        self.pool(PoolKind::Average { count_include_pad }, descriptor, x)
    }

    /// Records Lp pooling: (sum of |x|^p)^(1/p).
    ///
    /// # Errors
    /// As [`Recorder::pool`]; a p that is not positive.
    pub fn lp_pool<const N: usize>(&mut self, descriptor: &PoolDescriptor<N>, p: f32, x: &Tensor) -> Result<Tensor> {
        self.pool(PoolKind::Lp { p }, descriptor, x)
    }

    /// Records a pooling whose windows adapt to the spatial extents `output`.
    ///
    /// # Errors
    /// As [`PoolProblem::adaptive`]; a tensor of another device.
    pub fn adaptive_pool<const N: usize>(&mut self, kind: PoolKind, output: [usize; N], x: &Tensor) -> Result<Tensor> {
        let problem = PoolProblem::adaptive(values(kind), output, x.shape().extents(), x.element(), x.layout())?;
        self.op1(&problem, &[x])
    }

    /// Records adaptive max pooling that also gives where each maximum stands.
    ///
    /// # Errors
    /// As [`Recorder::adaptive_pool`].
    pub fn adaptive_max_pool_indices<const N: usize>(&mut self, output: [usize; N], x: &Tensor) -> Result<(Tensor, Tensor)> {
        let kind = PoolKind::Max { indices: Some(IndexOrder::RowMajor) };
        let problem = PoolProblem::adaptive(kind, output, x.shape().extents(), x.element(), x.layout())?;
        pair(self.op(&problem, &[x])?)
    }

    /// Records one window over each whole channel plane; spatial extents become 1.
    ///
    /// # Errors
    /// x of a rank other than 3 to 5; a tensor of another device.
    pub fn global_pool(&mut self, kind: PoolKind, x: &Tensor) -> Result<Tensor> {
        let op = global(kind, x.shape().extents(), x.element(), x.layout())?;
        self.op1(op, &[x])
    }

    /// Records max unpooling: zero but where `indices` point. See [`MaxUnpoolProblem`].
    ///
    /// # Errors
    /// As [`MaxUnpoolProblem::new`]; a tensor of another device.
    pub fn max_unpool<const N: usize>(&mut self, descriptor: &MaxUnpoolDescriptor<N>, x: &Tensor, indices: &Tensor) -> Result<Tensor> {
        let problem = MaxUnpoolProblem::new(descriptor, x.shape().extents(), indices.shape().extents(), x.element(), x.layout())?;
        self.op1(&problem, &[x, indices])
    }
}

fn pair(outputs: Vec<Tensor>) -> Result<(Tensor, Tensor)> {
    <[Tensor; 2]>::try_from(outputs)
        .map(|[y, indices]| (y, indices))
        .map_err(|outputs| Error::Internal { label: "max_pool".into(), message: format!("{} outputs in place of two", outputs.len()) })
}
