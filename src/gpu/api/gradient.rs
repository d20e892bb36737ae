//! Gradients as methods of [`Recorder`], for programs that keep a tape of their own.

use crate::fragments::{Item, Of, backward};
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::Op;
use crate::ops::adjoint::{AdjointOf, AdjointProblem};
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::ops::pool::descriptor::PoolDescriptor;
use crate::ops::pool::problem::PoolProblem;
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use ndarray::ArrayD;

impl Recorder<'_> {
    /// Records the gradients of an op: of the inputs that are `wanted`, from what it read (`inputs`), what it gave (`outputs`) and the gradient of its first
    /// output. None where an input has no gradient.
    ///
    /// ```no_run
    /// # use wgconv::{Gpu, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, filter: &Tensor, y: &Tensor, dy: &Tensor) -> Result<()> {
    /// use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
    /// let conv = ConvProblem::forward(&ConvInputs::of(x, filter, None), &Conv2dDescriptor::default())?;
    /// let gradients = gpu.run(|r| r.backward(conv, &[x, filter], &[y], dy, &[true, true]))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`gradient::backward`](crate::gradient::backward); tensors of other types than the op's, or of another device.
    pub fn backward(
        &mut self,
        op: impl Into<Op>,
        inputs: &[&Tensor],
        outputs: &[&Tensor],
        upstream: &Tensor,
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let op = op.into();
        let specs = [crate::ops::Problem::inputs(&op), crate::ops::Problem::outputs(&op)];
        for (specs, given) in specs.iter().zip([inputs, outputs]) {
            if specs.len() != given.len() {
                return Err(Error::invalid("tensors", given.len(), format!("the op has {} of them", specs.len())));
            }
        }
        let fragment = backward(&op, wanted)?;
        let mut made: Vec<Vec<Tensor>> = vec![];
        let find = |of: Of, made: &[Vec<Tensor>], recorder: &Self| -> Result<Tensor> {
            Ok(match of {
                Of::Input(i) => inputs[i].clone(),
                Of::Output(i) => outputs[i].clone(),
                Of::Upstream => upstream.clone(),
                Of::Item { item, output } => made[item][output].clone(),
                Of::Constant(number) => recorder.gpu().upload(&ArrayD::<f32>::from_elem(ndarray::IxDyn(&[]), number))?,
            })
        };
        for item in &fragment.items {
            let outputs = match item {
                Item::View { of, extents } => {
                    let extents: Vec<isize> = extents.iter().map(|&extent| extent as isize).collect();
                    vec![find(*of, &made, self)?.reshape(&extents)?]
                }
                Item::Op { op, inputs } => {
                    let read: Vec<Tensor> = inputs.iter().map(|of| find(*of, &made, self)).collect::<Result<_>>()?;
                    self.op(op.as_ref(), &read.iter().collect::<Vec<_>>())?
                }
            };
            made.push(outputs);
        }
        fragment.gradients.iter().map(|of| of.map(|of| find(of, &made, self)).transpose()).collect()
    }

    /// Records the gradient of a convolution by its input, whose type is `x`: dy and the filter give dx.
    ///
    /// ```no_run
    /// # use wgconv::{Gpu, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, filter: &Tensor, dy: &Tensor) -> Result<()> {
    /// use wgconv::conv::Conv2dDescriptor;
    /// let dx = gpu.run(|r| r.conv_backward_data(&x.tensor_type(), filter, dy, &Conv2dDescriptor::default()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ConvProblem::forward`] and [`ConvProblem::data_gradient`]; a dy of another shape than y.
    pub fn conv_backward_data<const N: usize>(
        &mut self,
        x: &TensorType,
        filter: &Tensor,
        dy: &Tensor,
        descriptor: &ConvDescriptor<N>,
    ) -> Result<Tensor> {
        let inputs = ConvInputs { x: x.clone(), filter: filter.shape().extents(), bias: None, y_layout: dy.layout() };
        self.op1(ConvProblem::forward(&inputs, descriptor)?.data_gradient()?, &[dy, filter])
    }

    /// Records the gradient of a convolution by its filter, of these extents: f32, channels-first. An x or dy that is channels-last or of f16 is converted
    /// first.
    ///
    /// ```no_run
    /// # use wgconv::{Gpu, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, filter: &Tensor, dy: &Tensor) -> Result<()> {
    /// use wgconv::conv::Conv2dDescriptor;
    /// let dw = gpu.run(|r| r.conv_backward_filter(x, filter.shape().extents(), dy, &Conv2dDescriptor::default()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ConvProblem::forward`] and [`FilterGradient::new`]; a dy of another shape than y.
    pub fn conv_backward_filter<const N: usize>(
        &mut self,
        x: &Tensor,
        filter: &[usize],
        dy: &Tensor,
        descriptor: &ConvDescriptor<N>,
    ) -> Result<Tensor> {
        let inputs = ConvInputs { x: x.tensor_type(), filter, bias: None, y_layout: dy.layout() };
        self.filter_gradient(ConvProblem::forward(&inputs, descriptor)?, x, dy)
    }

    /// Records the gradient of a transposed convolution by its filter, of these extents.
    ///
    /// # Errors
    /// As [`Recorder::conv_backward_filter`].
    pub fn conv_transpose_backward_filter<const N: usize>(
        &mut self,
        x: &Tensor,
        filter: &[usize],
        dy: &Tensor,
        descriptor: &ConvTransposeDescriptor<N>,
    ) -> Result<Tensor> {
        let inputs = ConvInputs { x: x.tensor_type(), filter, bias: None, y_layout: dy.layout() };
        self.filter_gradient(ConvProblem::transposed(&inputs, descriptor)?, x, dy)
    }

    /// The filter gradient of a convolution of these tensors, which are converted to what its kernels read: f32, channels-first.
    fn filter_gradient(&mut self, conv: ConvProblem, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let (element, first) = (ElementType::F32, Layout::ChannelsFirst);
        let gradient = FilterGradient::new(&ConvProblem { element, x_layout: first, y_layout: first, ..conv })?;
        let mut read = vec![];
        for tensor in [x, dy] {
            let mut tensor = tensor.clone();
            if tensor.element() == ElementType::F16 {
                tensor = self.cast(&tensor, element)?;
            }
            if tensor.layout() != first {
                tensor = self.to_layout(&tensor, first)?;
            }
            read.push(tensor);
        }
        self.op1(gradient, &read.iter().collect::<Vec<_>>())
    }

    /// Records the gradient of a max pool by its input, whose type is `x`, from the indices that the pool gave (row-major order).
    ///
    /// # Errors
    /// As [`PoolProblem::new`] and [`AdjointProblem::new`]; a dy or indices of another shape than y.
    pub fn max_pool_backward<const N: usize>(
        &mut self,
        x: &TensorType,
        dy: &Tensor,
        indices: &Tensor,
        descriptor: &PoolDescriptor<N>,
    ) -> Result<Tensor> {
        let pool = PoolProblem::new(x, descriptor)?.with_indices();
        self.op1(AdjointProblem::new(AdjointOf::Pool(pool))?, &[dy, indices])
    }

    /// Records the gradient of an average pool by its input, whose type is `x`.
    ///
    /// # Errors
    /// As [`PoolProblem::new`] and [`AdjointProblem::new`]; a maximum; a dy of another shape than y.
    pub fn average_pool_backward<const N: usize>(&mut self, x: &TensorType, dy: &Tensor, descriptor: &PoolDescriptor<N>) -> Result<Tensor> {
        self.op1(AdjointProblem::new(AdjointOf::Pool(PoolProblem::new(x, descriptor)?))?, &[dy])
    }
}
