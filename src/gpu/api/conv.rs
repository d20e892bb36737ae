//! Convolutions on tensors.

use crate::gpu::api::Addends;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::types::Result;

impl<'a> ConvInputs<'a> {
    /// These tensors, with y in the layout of x: to prepare a convolution of them.
    ///
    /// ```no_run
    /// # use wgconv::{Gpu, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, filter: &Tensor, bias: &Tensor) -> Result<()> {
    /// use wgconv::{conv::{Conv2dDescriptor, ConvInputs, ConvProblem}, op::Prepared};
    /// let problem = ConvProblem::forward(&ConvInputs::of(x, filter, Some(bias)), &Conv2dDescriptor::default())?;
    /// let conv = Prepared::new(gpu, problem, &[filter, bias])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn of(x: &Tensor, filter: &'a Tensor, bias: Option<&'a Tensor>) -> Self {
        Self { x: x.tensor_type(), filter: filter.shape().extents(), bias: bias.map(|b| b.shape().extents()), y_layout: x.layout() }
    }
}

impl Recorder<'_> {
    /// Records a convolution, x N C \[D\] \[H\] W with filter O C/g \[kD\] \[kH\] kW and bias \[O\], and returns its output, in the layout of `x`.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, filter: &Tensor) -> Result<()> {
    /// use wgconv::{Padding, conv::Conv2dDescriptor};
    /// let layer = Conv2dDescriptor { padding: Padding::Same, activation: Activation::Relu, ..Default::default() };
    /// let y = gpu.run(|r| r.conv(x, filter, None, &layer))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ConvProblem::forward`]; a tensor of another device.
    pub fn conv<const N: usize>(&mut self, x: &Tensor, filter: &Tensor, bias: Option<&Tensor>, descriptor: &ConvDescriptor<N>) -> Result<Tensor> {
        self.op1(ConvProblem::forward(&ConvInputs::of(x, filter, bias), descriptor)?, &tensors(x, filter, bias))
    }

    /// Records a transposed convolution, filter C O/g ..., and returns its output, in the layout of `x`.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, filter: &Tensor) -> Result<()> {
    /// use wgconv::conv::ConvTranspose2dDescriptor;
    /// let double = ConvTranspose2dDescriptor { stride: [2, 2], ..Default::default() };
    /// let y = gpu.run(|r| r.conv_transpose(x, filter, None, &double))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ConvProblem::transposed`]; a tensor of another device.
    pub fn conv_transpose<const N: usize>(
        &mut self,
        x: &Tensor,
        filter: &Tensor,
        bias: Option<&Tensor>,
        descriptor: &ConvTransposeDescriptor<N>,
    ) -> Result<Tensor> {
        self.op1(ConvProblem::transposed(&ConvInputs::of(x, filter, bias), descriptor)?, &tensors(x, filter, bias))
    }

    /// Records activation(conv(x) + bias + residual); the residual has the shape and layout of the output.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, filter: &Tensor, residual: &Tensor) -> Result<()> {
    /// use wgconv::{conv::Conv2dDescriptor, op::Addends};
    /// let y = gpu.run(|r| r.conv_residual(x, filter, Addends { bias: None, residual }, &Conv2dDescriptor::default()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::conv`]; a residual of another shape.
    pub fn conv_residual<const N: usize>(
        &mut self,
        x: &Tensor,
        filter: &Tensor,
        addends: Addends<'_>,
        descriptor: &ConvDescriptor<N>,
    ) -> Result<Tensor> {
        let problem = ConvProblem::forward(&ConvInputs::of(x, filter, addends.bias), descriptor)?.with_residual(true);
        self.op1(&problem, &[x, filter].into_iter().chain(addends.tensors()).collect::<Vec<_>>())
    }
}

fn tensors<'a>(x: &'a Tensor, filter: &'a Tensor, bias: Option<&'a Tensor>) -> Vec<&'a Tensor> {
    [x, filter].into_iter().chain(bias).collect()
}

macro_rules! ranks {
    ($($name:ident, $on:ident, $descriptor:ident, $rank:literal, $what:literal;)*) => {
        impl Recorder<'_> {
            $(
                #[doc = concat!("Records a ", $what, " and returns its output: [`Recorder::", stringify!($on), "`] of this rank.")]
                ///
                #[doc = concat!("```no_run\n# use wgconv::{Gpu, Tensor};\n# fn example(gpu: &Gpu, x: &Tensor, filter: &Tensor) -> wgconv::Result<()> {\nlet y = gpu.run(|r| r.", stringify!($name), "(x, filter, None, &Default::default()))?;\n# Ok(())\n# }\n```")]
                ///
                /// # Errors
                #[doc = concat!("As [`Recorder::", stringify!($on), "`].")]
                pub fn $name(&mut self, x: &Tensor, filter: &Tensor, bias: Option<&Tensor>, descriptor: &$descriptor<$rank>) -> Result<Tensor> {
                    self.$on(x, filter, bias, descriptor)
                }
            )*
        }
    };
}

ranks! {
    conv1d, conv, ConvDescriptor, 1, "1-D convolution";
    conv2d, conv, ConvDescriptor, 2, "2-D convolution";
    conv3d, conv, ConvDescriptor, 3, "3-D convolution";
    conv_transpose1d, conv_transpose, ConvTransposeDescriptor, 1, "1-D transposed convolution";
    conv_transpose2d, conv_transpose, ConvTransposeDescriptor, 2, "2-D transposed convolution";
    conv_transpose3d, conv_transpose, ConvTransposeDescriptor, 3, "3-D transposed convolution";
}
