//! A prepared convolution: shapes known, pipelines compiled, filter packed. Recording it binds tensors and dispatches, and
//! compiles, plans and submits nothing.

use super::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use super::plan::{ConvPlan, plan};
use super::problem::{ConvInputs, ConvProblem};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Recorder};
use crate::kernel::{Binding, Dispatch, Kernel};
use crate::tensor::Tensor;
use std::sync::Arc;

/// A convolution that is ready to record: [`ConvPlan`] with its pipelines and its filter on the device.
///
/// The filter is read when this is made (packed, where the algorithm wants it); what is written to it later may go unseen.
#[derive(Debug, Clone)]
pub struct Conv {
    gpu: Gpu,
    problem: ConvProblem,
    plan: ConvPlan,
    kernel: Arc<Kernel>,
    weights: Binding,
    bias: Binding,
    uniforms: Vec<Binding>,
}

/// Prepared convolutions name their rank in the descriptor; the prepared thing is the same for all.
pub type Conv2d = Conv;

impl Conv {
    /// Prepares a convolution for inputs of the shape, element type and layout of `x`; the output has the layout of `x`.
    ///
    /// # Errors
    /// As [`ConvProblem::forward`] and [`plan`]; a tensor of another device.
    pub fn prepare<const N: usize>(gpu: &Gpu, descriptor: &ConvDescriptor<N>, x: &Tensor, filter: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        Self::from_problem(gpu, &ConvProblem::forward(descriptor, &inputs(x, filter, bias))?, filter, bias)
    }

    /// As [`Conv::prepare`], for a transposed convolution.
    ///
    /// # Errors
    /// As [`ConvProblem::transposed`] and [`plan`]; a tensor of another device.
    pub fn prepare_transposed<const N: usize>(
        gpu: &Gpu,
        descriptor: &ConvTransposeDescriptor<N>,
        x: &Tensor,
        filter: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Self> {
        Self::from_problem(gpu, &ConvProblem::transposed(descriptor, &inputs(x, filter, bias))?, filter, bias)
    }

    /// Prepares a resolved problem, and packs the filter in a submit of its own.
    ///
    /// # Errors
    /// As [`plan`]; tensors that do not fit the problem; a tensor of another device.
    pub fn from_problem(gpu: &Gpu, problem: &ConvProblem, filter: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let mut recorder = gpu.recorder();
        let conv = Self::recorded(&mut recorder, problem, filter, bias)?;
        recorder.submit()?;
        Ok(conv)
    }

    /// Prepares with the packing recorded into `recorder`, so that a filter computed earlier in the same recording is seen.
    pub(crate) fn recorded(recorder: &mut Recorder<'_>, problem: &ConvProblem, filter: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let gpu = recorder.gpu().clone();
        check_device(&gpu, "filter", filter)?;
        check_tensor("filter", filter, &problem.filter_extents(), problem)?;
        if let Some(bias) = bias {
            check_device(&gpu, "bias", bias)?;
            check_tensor("bias", bias, &[problem.out_channels as usize], problem)?;
        }
        if bias.is_some() != problem.has_bias {
            return Err(Error::invalid("bias", bias.map_or("absent", |_| "given"), "the problem was made for the other case"));
        }
        if filter.layout() != crate::shape::Layout::ChannelsFirst {
            return Err(Error::invalid("filter", filter.layout().name(), "a filter is stored as its extents are written: upload it channels_first"));
        }
        let plan = plan(problem, gpu.profile())?;
        let kernel = gpu.kernels().get(&gpu, &plan.kernel)?;
        let weights = match &plan.pack {
            None => filter.binding(0, filter.byte_size()),
            Some(pack) => {
                let packing = gpu.kernels().get(&gpu, &pack.kernel)?;
                let packed = gpu.storage("wgconv packed filter", pack.bytes)?;
                let uniform = gpu.uniform("conv_pack_filter params", bytemuck::bytes_of(&pack.params))?;
                let bindings = [Binding::whole(&uniform), filter.binding(0, filter.byte_size()), Binding::whole(&packed)];
                let dispatch = gpu.scoped(&packing.label, || Ok(Dispatch::new(&gpu, &packing, &bindings, pack.workgroups)))?;
                recorder.dispatch(&dispatch);
                Binding::whole(&packed)
            }
        };
        let bias = match bias {
            Some(bias) => bias.binding(0, bias.byte_size()),
            None => Binding::whole(&gpu.placeholder()?),
        };
        let uniforms =
            plan.slices.iter().map(|s| Ok(Binding::whole(&gpu.uniform("conv params", bytemuck::bytes_of(&s.params))?))).collect::<Result<_>>()?;
        Ok(Self { gpu, problem: problem.clone(), plan, kernel, weights, bias, uniforms })
    }

    /// The resolved problem.
    pub fn problem(&self) -> &ConvProblem {
        &self.problem
    }

    /// The plan that was prepared.
    pub fn plan(&self) -> &ConvPlan {
        &self.plan
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
        if *recorder.gpu() != self.gpu {
            return Err(Error::OtherDevice { argument: "the recorder" });
        }
        check_device(&self.gpu, "x", x)?;
        check_device(&self.gpu, "y", y)?;
        check_tensor("x", x, &self.problem.input_extents(), &self.problem)?;
        check_tensor("y", y, &self.problem.output_extents(), &self.problem)?;
        for (argument, tensor, layout) in [("x", x, self.problem.x_layout), ("y", y, self.problem.y_layout)] {
            if tensor.layout() != layout {
                return Err(Error::invalid(argument, tensor.layout().name(), format!("the convolution was prepared for {}", layout.name())));
            }
        }
        if [x.buffer(), &self.weights.buffer, &self.bias.buffer].contains(&y.buffer()) {
            return Err(Error::invalid(
                "y",
                "a range of the buffer of x, filter or bias",
                "a kernel cannot read and write one buffer at once, not even separate ranges of it",
            ));
        }
        let dispatches = self.gpu.scoped(&self.kernel.label, || {
            let slices = self.plan.slices.iter().zip(&self.uniforms);
            let dispatch = |(slice, uniform): (&super::plan::BatchSlice, &Binding)| {
                let [x_first, x_bytes] = slice.x_bytes;
                let [y_first, y_bytes] = slice.y_bytes;
                let bindings = [uniform.clone(), x.binding(x_first, x_bytes), self.weights.clone(), self.bias.clone(), y.binding(y_first, y_bytes)];
                Dispatch::new(&self.gpu, &self.kernel, &bindings, slice.workgroups)
            };
            Ok(slices.map(dispatch).collect::<Vec<_>>())
        })?;
        for dispatch in &dispatches {
            recorder.dispatch(dispatch);
        }
        Ok(())
    }
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

fn check_device(gpu: &Gpu, argument: &'static str, tensor: &Tensor) -> Result<()> {
    if tensor.gpu() == gpu { Ok(()) } else { Err(Error::OtherDevice { argument }) }
}

fn check_tensor(argument: &str, tensor: &Tensor, extents: &[usize], problem: &ConvProblem) -> Result<()> {
    if tensor.shape().extents() != extents {
        return Err(Error::invalid(argument, tensor.shape(), format!("the convolution takes a {argument} of shape {extents:?}")));
    }
    if tensor.element() != problem.element {
        return Err(Error::invalid(argument, tensor.element(), format!("every tensor of the convolution holds {}, as x does", problem.element)));
    }
    Ok(())
}

/// The ops, eager on a [`Gpu`] and recorded on a [`Recorder`].
impl Recorder<'_> {
    /// Records a convolution and returns its output, in the layout of `x`.
    ///
    /// # Errors
    /// As [`Conv::prepare`].
    pub fn conv<const N: usize>(&mut self, descriptor: &ConvDescriptor<N>, x: &Tensor, filter: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let problem = ConvProblem::forward(descriptor, &inputs(x, filter, bias))?;
        self.conv_problem(&problem, x, filter, bias)
    }

    /// Records a transposed convolution and returns its output, in the layout of `x`.
    ///
    /// # Errors
    /// As [`Conv::prepare_transposed`].
    pub fn conv_transpose<const N: usize>(
        &mut self,
        descriptor: &ConvTransposeDescriptor<N>,
        x: &Tensor,
        filter: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let problem = ConvProblem::transposed(descriptor, &inputs(x, filter, bias))?;
        self.conv_problem(&problem, x, filter, bias)
    }

    fn conv_problem(&mut self, problem: &ConvProblem, x: &Tensor, filter: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        check_device(self.gpu(), "x", x)?;
        let conv = Conv::recorded(self, problem, filter, bias)?;
        let y = conv.output()?;
        conv.record(self, x, &y)?;
        Ok(y)
    }
}

macro_rules! eager {
    ($($name:ident, $on:ident, $descriptor:ident, $rank:literal, $what:literal;)*) => {
        impl Gpu {
            $(
                #[doc = concat!("Computes a ", $what, " at once: plans, submits, and returns the output without waiting for it.")]
                ///
                /// # Errors
                /// As [`Conv::prepare`] or [`Conv::prepare_transposed`].
                pub fn $name(&self, descriptor: &$descriptor<$rank>, x: &Tensor, filter: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
                    self.$on(descriptor, x, filter, bias)
                }
            )*
        }
        impl Recorder<'_> {
            $(
                #[doc = concat!("Records a ", $what, " and returns its output.")]
                ///
                /// # Errors
                /// As [`Conv::prepare`] or [`Conv::prepare_transposed`].
                pub fn $name(&mut self, descriptor: &$descriptor<$rank>, x: &Tensor, filter: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
                    self.$on(descriptor, x, filter, bias)
                }
            )*
        }
    };
}

eager! {
    conv1d, conv, ConvDescriptor, 1, "1-D convolution";
    conv2d, conv, ConvDescriptor, 2, "2-D convolution";
    conv3d, conv, ConvDescriptor, 3, "3-D convolution";
    conv_transpose1d, conv_transpose, ConvTransposeDescriptor, 1, "1-D transposed convolution";
    conv_transpose2d, conv_transpose, ConvTransposeDescriptor, 2, "2-D transposed convolution";
    conv_transpose3d, conv_transpose, ConvTransposeDescriptor, 3, "3-D transposed convolution";
}

impl Gpu {
    /// Computes a convolution at once: plans, submits, and returns the output without waiting for it.
    ///
    /// # Errors
    /// As [`Conv::prepare`].
    pub fn conv<const N: usize>(&self, descriptor: &ConvDescriptor<N>, x: &Tensor, filter: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let mut recorder = self.recorder();
        let y = recorder.conv(descriptor, x, filter, bias)?;
        recorder.submit()?;
        Ok(y)
    }

    /// Computes a transposed convolution at once: plans, submits, and returns the output without waiting for it.
    ///
    /// # Errors
    /// As [`Conv::prepare_transposed`].
    pub fn conv_transpose<const N: usize>(
        &self,
        descriptor: &ConvTransposeDescriptor<N>,
        x: &Tensor,
        filter: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let mut recorder = self.recorder();
        let y = recorder.conv_transpose(descriptor, x, filter, bias)?;
        recorder.submit()?;
        Ok(y)
    }
}
