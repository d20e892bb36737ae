//! A prepared convolution: [`Prepared`] with the names that convolution has, and the recorded calls.

use crate::gpu::Gpu;
use crate::gpu::api::Addends;
use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::conv::descriptor::{Algorithm, ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::plan::step::Plan;
use crate::types::{Error, Result};

/// A convolution that is ready to record: its plan with pipelines, and its filter on the device.
///
/// The filter is read when this is made (packed, where the algorithm wants it); what is written to it later may go unseen.
#[must_use = "what was compiled and packed is lost with it"]
#[derive(Debug, Clone)]
pub struct Conv {
    gpu: Gpu,
    problem: ConvProblem,
    prepared: Prepared,
}

/// Prepared convolutions name their rank in the descriptor; the prepared thing is the same for all.
pub type Conv2d = Conv;

impl Conv {
    /// Prepares a convolution for inputs of the shape, element type and layout of `x`; the output has the layout of `x`.
    ///
    /// # Errors
    /// As [`ConvProblem::forward`] and [`Gpu::plan`]; a tensor of another device.
    pub fn prepare<const N: usize>(gpu: &Gpu, descriptor: &ConvDescriptor<N>, x: &Tensor, filter: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        Self::from_problem(gpu, &ConvProblem::forward(&inputs(x, filter, bias), descriptor)?, filter, bias)
    }

    /// As [`Conv::prepare`], for a transposed convolution.
    ///
    /// # Errors
    /// As [`ConvProblem::transposed`] and [`Gpu::plan`]; a tensor of another device.
    pub fn prepare_transposed<const N: usize>(
        gpu: &Gpu,
        descriptor: &ConvTransposeDescriptor<N>,
        x: &Tensor,
        filter: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Self> {
        Self::from_problem(gpu, &ConvProblem::transposed(&inputs(x, filter, bias), descriptor)?, filter, bias)
    }

    /// Prepares a resolved problem, and packs the filter in a submit of its own. For `activation(conv(x) + bias + residual)` set
    /// [`ConvProblem::has_residual`] and record with [`Conv::record_residual`].
    ///
    /// # Errors
    /// As [`Gpu::plan`]; tensors that do not fit the problem; a tensor of another device.
    pub fn from_problem(gpu: &Gpu, problem: &ConvProblem, filter: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        check_bias(problem, bias)?;
        let fixed: Vec<&Tensor> = [filter].into_iter().chain(bias).collect();
        let prepared = Prepared::with_plan(gpu, gpu.plan(problem)?, &fixed)?;
        Ok(Self { gpu: gpu.clone(), problem: problem.clone(), prepared })
    }

    /// The resolved problem.
    pub fn problem(&self) -> &ConvProblem {
        &self.problem
    }

    /// The plan that was prepared.
    pub fn plan(&self) -> &Plan {
        self.prepared.plan()
    }

    /// The same as an op of any kind: its inputs are x and, where the problem has one, the residual. [`Prepared::bind`] is for tensors that stay.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// The algorithm that was planned.
    pub fn algorithm(&self) -> Algorithm {
        let name = self.plan().algorithm();
        Algorithm::ALL.into_iter().find(|a| a.name() == name).unwrap_or(Algorithm::Direct)
    }

    /// A new tensor of the output's shape, element type and layout.
    ///
    /// # Errors
    /// Out of memory.
    pub fn output(&self) -> Result<Tensor> {
        self.gpu.zeros(&self.problem.output_extents(), self.problem.element, self.problem.y_layout)
    }

    /// Records y = activation(conv(x) + bias).
    ///
    /// # Errors
    /// Tensors of another device, shape, element type or layout than prepared for; x and y in one buffer.
    pub fn record(&self, recorder: &mut Recorder<'_>, x: &Tensor, y: &Tensor) -> Result<()> {
        self.prepared.record(recorder, &[x], &[y])
    }

    /// Records y = activation(conv(x) + bias + residual), of a problem with a residual.
    ///
    /// # Errors
    /// As [`Conv::record`].
    pub fn record_residual(&self, recorder: &mut Recorder<'_>, x: &Tensor, residual: &Tensor, y: &Tensor) -> Result<()> {
        self.prepared.record(recorder, &[x, residual], &[y])
    }
}

fn check_bias(problem: &ConvProblem, bias: Option<&Tensor>) -> Result<()> {
    if bias.is_some() != problem.has_bias {
        return Err(Error::invalid("bias", bias.map_or("absent", |_| "given"), "the problem was made for the other case"));
    }
    Ok(())
}

fn inputs<'a>(x: &'a Tensor, filter: &'a Tensor, bias: Option<&'a Tensor>) -> ConvInputs<'a> {
    ConvInputs {
        x: x.shape().extents(),
        filter: filter.shape().extents(),
        bias: bias.map(|b| b.shape().extents()),
        element: x.element(),
        x_layout: x.layout(),
        y_layout: x.layout(),
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
        self.op1(ConvProblem::forward(&inputs(x, filter, bias), descriptor)?, &tensors(x, filter, bias))
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
        self.op1(ConvProblem::transposed(&inputs(x, filter, bias), descriptor)?, &tensors(x, filter, bias))
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
        let problem = ConvProblem::forward(&inputs(x, filter, addends.bias), descriptor)?.with_residual(true);
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
