//! Other extents for the same elements: views of tensors, which copy nothing where the elements already lie in the right order.

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::transform::reshape::{flatten_extents, reshape_extents};
use crate::types::{Error, Layout, Result, TensorShape};

/// Whether a tensor's memory order in `layout` is its logical order: where the channels or all positions are one, the layouts are too.
pub(crate) fn is_logical(extents: &[usize], layout: Layout) -> bool {
    layout == Layout::ChannelsFirst || extents.len() < 3 || extents[1] == 1 || extents[2..].iter().all(|&e| e == 1)
}

impl Tensor {
    /// The same elements under other extents, channels-first, in the same buffer: nothing is copied. 0 keeps x's extent at that
    /// place, and one -1 is inferred.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(x: &Tensor) -> Result<()> {
    /// let y = x.reshape(&[0, -1])?; // N C H W to N and the product of the others
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`reshape_extents`]; a channels-last tensor whose memory order is not its logical one ([`Recorder::reshape`] converts it).
    pub fn reshape(&self, extents: &[isize]) -> Result<Tensor> {
        self.viewed(&reshape_extents(self.shape().extents(), extents)?)
    }

    /// As [`Tensor::reshape`], to \[product of the extents before `axis`, product of those from it\].
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(x: &Tensor) -> Result<()> {
    /// let y = x.flatten(1)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`flatten_extents`] and [`Tensor::reshape`].
    pub fn flatten(&self, axis: isize) -> Result<Tensor> {
        self.viewed(&flatten_extents(self.shape().extents(), axis)?)
    }

    /// The same buffer under extents of the same count.
    fn viewed(&self, extents: &[usize]) -> Result<Tensor> {
        let shape = TensorShape::new(extents)?;
        if shape == *self.shape() {
            return Ok(self.clone());
        }
        if !is_logical(self.shape().extents(), self.layout()) {
            return Err(Error::invalid(
                "x",
                format!("{} stored {}", self.shape(), self.layout().name()),
                "its memory order is not its logical order, so it cannot be reshaped without a copy: convert it with to_layout first, or use \
                 Recorder::reshape, which does",
            ));
        }
        Ok(self.with_view(shape, Layout::ChannelsFirst))
    }

    /// The same tensor said to be stored in `layout`, where that is as true as what it says now.
    pub(crate) fn relabelled(&self, layout: Layout) -> Option<Tensor> {
        let extents = self.shape().extents();
        let same = layout == self.layout() || (is_logical(extents, self.layout()) && is_logical(extents, layout));
        same.then(|| self.with_view(*self.shape(), layout))
    }
}

impl Recorder<'_> {
    /// [`Tensor::reshape`], with a recorded copy to channels-first where the memory order asks for one.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.reshape(x, &[0, -1]))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`reshape_extents`]; sizes past the device's limits.
    pub fn reshape(&mut self, x: &Tensor, shape: &[isize]) -> Result<Tensor> {
        let extents = reshape_extents(x.shape().extents(), shape)?;
        self.logical(x, &extents)?.viewed(&extents)
    }

    /// [`Tensor::flatten`], with a recorded copy to channels-first where the memory order asks for one.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.flatten(x, 1))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`flatten_extents`]; sizes past the device's limits.
    pub fn flatten(&mut self, x: &Tensor, axis: isize) -> Result<Tensor> {
        let extents = flatten_extents(x.shape().extents(), axis)?;
        self.logical(x, &extents)?.viewed(&extents)
    }

    /// x, or a copy in logical order where a view under `extents` needs one.
    fn logical(&mut self, x: &Tensor, extents: &[usize]) -> Result<Tensor> {
        let kind = x.tensor_type();
        if kind.extents == extents || is_logical(&kind.extents, kind.layout) { Ok(x.clone()) } else { self.to_layout(x, Layout::ChannelsFirst) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_true_channels_last_order_needs_a_copy() {
        assert!(is_logical(&[2, 3, 4], Layout::ChannelsFirst) && is_logical(&[2, 1, 4, 5], Layout::ChannelsLast));
        assert!(is_logical(&[2, 3, 1, 1], Layout::ChannelsLast) && is_logical(&[2, 3], Layout::ChannelsLast));
        assert!(!is_logical(&[2, 3, 4], Layout::ChannelsLast) && !is_logical(&[2, 3, 1, 4], Layout::ChannelsLast));
    }
}
