//! Reading and writing at indices that are computed, and the first elements of an order.

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem};
use crate::ops::top_k::{TopKDescriptor, TopKProblem};
use crate::types::{Error, Result};

impl Recorder<'_> {
    /// Records reading x at indices, u32 or f32 numbers that are whole; the output is channels-first. See [`Indexing`] for what an index names.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, table: &Tensor, tokens: &Tensor) -> Result<()> {
    /// use wgconv::indexed::Indexing;
    /// let rows = gpu.run(|r| r.gather(table, tokens, Indexing::Slices { axis: 0 }))?; // an embedding
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`GatherProblem::new`]; sizes past the device's limits.
    pub fn gather(&mut self, x: &Tensor, indices: &Tensor, indexing: Indexing) -> Result<Tensor> {
        self.op1(GatherProblem::new(&x.tensor_type(), &indices.tensor_type(), indexing)?, &[x, indices])
    }

    /// Records x with updates at indices, always in the same order. See [`ScatterProblem`] for what that costs.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, sums: &Tensor, cells: &Tensor, points: &Tensor) -> Result<()> {
    /// use wgconv::indexed::{Indexing, ScatterDescriptor, ScatterReduction};
    /// let descriptor = ScatterDescriptor { indexing: Indexing::Slices { axis: 0 }, reduction: ScatterReduction::Add };
    /// let y = gpu.run(|r| r.scatter(sums, cells, points, &descriptor))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ScatterProblem::new`]; sizes past the device's limits.
    pub fn scatter(&mut self, x: &Tensor, indices: &Tensor, updates: &Tensor, descriptor: &ScatterDescriptor) -> Result<Tensor> {
        let problem = ScatterProblem::new(&x.tensor_type(), &indices.tensor_type(), &updates.tensor_type(), descriptor)?;
        self.op1(problem, &[x, indices, updates])
    }

    /// Records the first elements of an order along an axis, and where they stand: a u32 tensor of the same shape.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, scores: &Tensor) -> Result<()> {
    /// use wgconv::reduce::{TopKDescriptor, TopKOrder};
    /// let (best, places) = gpu.run(|r| r.top_k(scores, &TopKDescriptor { k: 5, axis: -1, order: TopKOrder::Largest }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`TopKProblem::new`]; sizes past the device's limits.
    pub fn top_k(&mut self, x: &Tensor, descriptor: &TopKDescriptor) -> Result<(Tensor, Tensor)> {
        let mut outputs = self.op(TopKProblem::new(&x.tensor_type(), descriptor)?, &[x])?.into_iter();
        match (outputs.next(), outputs.next()) {
            (Some(y), Some(indices)) => Ok((y, indices)),
            _ => Err(Error::Internal { label: "top_k".into(), message: "an op of two outputs gave another number".into() }),
        }
    }
}
