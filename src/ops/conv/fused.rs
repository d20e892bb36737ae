//! The pool that may follow a convolution: windows of 2 side by side, as VGG, U-Net and LeNet have them.

use crate::ops::conv::problem::ConvProblem;
use crate::ops::pool::descriptor::PoolKind;
use crate::ops::pool::problem::PoolProblem;
use crate::types::shape::{WindowAxis, axis_name};
use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};

/// Extent and stride of the window along every spatial axis of the call.
pub(crate) const WINDOW: u64 = 2;

/// A pool over the result of a convolution: bias, residual and activation come first. Windows have extent 2 and stride 2 along every
/// spatial axis of the call, without padding; the last row or column of an odd extent belongs to no window and is dropped, as in a pool
/// without `ceil_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FusedPool {
    /// The largest element; NaN wins.
    Max,
    /// The mean.
    Average,
}

impl FusedPool {
    /// `maxpool` or `avgpool`, as ids have it.
    pub const fn name(self) -> &'static str {
        match self {
            FusedPool::Max => "maxpool",
            FusedPool::Average => "avgpool",
        }
    }

    /// The same as a kind of the pool op.
    pub const fn kind(self) -> PoolKind {
        match self {
            FusedPool::Max => PoolKind::MAX,
            FusedPool::Average => PoolKind::AVERAGE,
        }
    }
}

impl ConvProblem {
    /// The same convolution with this pool after it, or with none.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the convolution's output is shorter than a window along an axis.
    pub fn with_pool(self, pool: Option<FusedPool>) -> Result<Self> {
        let short = self.spatial().iter().enumerate().find(|(_, axis)| pool.is_some() && axis.output < WINDOW);
        if let (Some((i, axis)), Some(pool)) = (short, pool) {
            return Err(Error::invalid(
                format!("pool ({})", axis_name(i, self.rank)),
                pool.name(),
                format!("its window of {WINDOW} must fit into the convolution's output, {}", axis.output),
            ));
        }
        Ok(Self { pool, ..self })
    }

    /// The convolution alone, without the pool after it.
    pub fn convolution(&self) -> Self {
        Self { pool: None, ..self.clone() }
    }

    /// Extents of the pool's window along depth, height and width; 1 where nothing is pooled.
    pub(crate) fn pool_window(&self) -> [u64; 3] {
        std::array::from_fn(|axis| if self.pool.is_some() && axis >= 3 - self.rank { WINDOW } else { 1 })
    }

    /// The pool as an op of its own, of any kind, over the convolution's output.
    pub(crate) fn pool_problem(&self, kind: PoolKind) -> PoolProblem {
        let windows = self.pool_window();
        let axes = std::array::from_fn(|i| {
            let (input, filter) = (self.axes[i].output, windows[i]);
            WindowAxis { input, filter, output: input / filter, stride: filter, ..WindowAxis::UNIT }
        });
        let (batch, channels) = (self.batch, self.out_channels);
        PoolProblem { kind, rank: self.rank, batch, channels, axes, adaptive: false, element: self.element, layout: self.y_layout }
    }
}
