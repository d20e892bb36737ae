//! Normalisation: layer, group and instance norm on one row kernel ([`NormProblem`]), batch norm of a trained network and its folding
//! into a convolution ([`BatchNormProblem`], [`fold_batch_norm`](crate::norm::fold_batch_norm)), local response norm ([`LrnProblem`]).

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::norm::batch::{BatchNormDescriptor, BatchNormProblem, BatchNormVectors};
use crate::ops::norm::lrn::{LrnDescriptor, LrnProblem};
use crate::ops::norm::rows::{GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, NormInputs, NormProblem};
use crate::types::{Error, Result};

fn extents(tensor: Option<&Tensor>) -> Option<&[usize]> {
    tensor.map(|t| t.shape().extents())
}

fn inputs<'a>(x: &'a Tensor, scale: Option<&'a Tensor>, bias: Option<&'a Tensor>) -> NormInputs<'a> {
    NormInputs { x: x.tensor_type(), scale: extents(scale), bias: extents(bias) }
}

fn tensors<'a>(x: &'a Tensor, scale: Option<&'a Tensor>, bias: Option<&'a Tensor>) -> Vec<&'a Tensor> {
    [x].into_iter().chain(scale).chain(bias).collect()
}

/// The tensors of a batch normalisation, each one value per channel.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'a> {
    /// gamma; none for 1.
    pub scale: Option<&'a Tensor>,
    /// beta; none for 0.
    pub bias: Option<&'a Tensor>,
    /// Running mean.
    pub mean: &'a Tensor,
    /// Running variance.
    pub variance: &'a Tensor,
}

impl<'a> BatchNorm<'a> {
    fn problem(&self, x: &Tensor, descriptor: &BatchNormDescriptor) -> Result<BatchNormProblem> {
        let vectors = BatchNormVectors {
            scale: extents(self.scale),
            bias: extents(self.bias),
            mean: self.mean.shape().extents(),
            variance: self.variance.shape().extents(),
        };
        BatchNormProblem::new(&x.tensor_type(), &vectors, descriptor)
    }

    fn vectors(&self) -> Vec<&'a Tensor> {
        self.scale.into_iter().chain(self.bias).chain([self.mean, self.variance]).collect()
    }
}

impl Recorder<'_> {
    /// Records layer normalisation over the axes from the descriptor's on; scale and bias have their extents.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, scale: &Tensor, bias: &Tensor) -> Result<()> {
    /// use wgconv::norm::LayerNormDescriptor;
    /// let y = gpu.run(|r| r.layer_norm(x, Some(scale), Some(bias), &LayerNormDescriptor::default()))?; // the last axis
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`NormProblem::layer`]; a tensor of another device.
    pub fn layer_norm(&mut self, x: &Tensor, scale: Option<&Tensor>, bias: Option<&Tensor>, descriptor: &LayerNormDescriptor) -> Result<Tensor> {
        self.op1(NormProblem::layer(&inputs(x, scale, bias), descriptor)?, &tensors(x, scale, bias))
    }

    /// Records layer normalisation that also gives each row's mean and inverse standard deviation, of x's extents with 1 on normalised axes: y, mean, inverse.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::norm::LayerNormDescriptor;
    /// let [y, mean, inverse] = gpu.run(|r| r.layer_norm_statistics(x, None, None, &LayerNormDescriptor::default()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::layer_norm`].
    pub fn layer_norm_statistics(
        &mut self,
        x: &Tensor,
        scale: Option<&Tensor>,
        bias: Option<&Tensor>,
        descriptor: &LayerNormDescriptor,
    ) -> Result<[Tensor; 3]> {
        let problem = NormProblem::layer(&inputs(x, scale, bias), descriptor)?.with_statistics(true);
        let outputs = self.op(&problem, &tensors(x, scale, bias))?;
        <[Tensor; 3]>::try_from(outputs)
            .map_err(|outputs| Error::Internal { label: "layer_norm".into(), message: format!("{} outputs in place of three", outputs.len()) })
    }

    /// Records group normalisation of x N C ...; scale and bias \[C\].
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::norm::GroupNormDescriptor;
    /// let y = gpu.run(|r| r.group_norm(x, None, None, &GroupNormDescriptor { groups: 8, ..Default::default() }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`NormProblem::group`]; a tensor of another device.
    pub fn group_norm(&mut self, x: &Tensor, scale: Option<&Tensor>, bias: Option<&Tensor>, descriptor: &GroupNormDescriptor) -> Result<Tensor> {
        self.op1(NormProblem::group(&inputs(x, scale, bias), descriptor)?, &tensors(x, scale, bias))
    }

    /// Records instance normalisation of x N C ...; scale and bias \[C\].
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::norm::InstanceNormDescriptor;
    /// let y = gpu.run(|r| r.instance_norm(x, None, None, &InstanceNormDescriptor::default()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`NormProblem::instance`]; a tensor of another device.
    pub fn instance_norm(
        &mut self,
        x: &Tensor,
        scale: Option<&Tensor>,
        bias: Option<&Tensor>,
        descriptor: &InstanceNormDescriptor,
    ) -> Result<Tensor> {
        self.op1(NormProblem::instance(&inputs(x, scale, bias), descriptor)?, &tensors(x, scale, bias))
    }

    /// Records batch normalisation of a trained network, x N C .... Where a convolution comes before, [`fold_batch_norm`](crate::norm::fold_batch_norm) costs nothing.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, mean: &Tensor, variance: &Tensor) -> Result<()> {
    /// use wgconv::norm::{BatchNorm, BatchNormDescriptor};
    /// let norm = BatchNorm { scale: None, bias: None, mean, variance };
    /// let y = gpu.run(|r| r.batch_norm(x, &norm, &BatchNormDescriptor::default()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`BatchNormProblem::new`]; a tensor of another device.
    pub fn batch_norm(&mut self, x: &Tensor, norm: &BatchNorm<'_>, descriptor: &BatchNormDescriptor) -> Result<Tensor> {
        self.op1(norm.problem(x, descriptor)?, &[x].into_iter().chain(norm.vectors()).collect::<Vec<_>>())
    }

    /// Records x = batch normalisation of x.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, mean: &Tensor, variance: &Tensor) -> Result<()> {
    /// use wgconv::norm::{BatchNorm, BatchNormDescriptor};
    /// let norm = BatchNorm { scale: None, bias: None, mean, variance };
    /// gpu.run(|r| r.batch_norm_in_place(x, &norm, &BatchNormDescriptor::default()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::batch_norm`].
    pub fn batch_norm_in_place(&mut self, x: &Tensor, norm: &BatchNorm<'_>, descriptor: &BatchNormDescriptor) -> Result<()> {
        self.op_into(norm.problem(x, descriptor)?.in_place(), &norm.vectors(), &[x])
    }

    /// Records local response normalisation of x N C ....
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::norm::LrnDescriptor;
    /// let y = gpu.run(|r| r.lrn(x, &LrnDescriptor::default()))?; // AlexNet's
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`LrnProblem::new`]; a tensor of another device.
    pub fn lrn(&mut self, x: &Tensor, descriptor: &LrnDescriptor) -> Result<Tensor> {
        self.op1(LrnProblem::new(&x.tensor_type(), descriptor)?, &[x])
    }
}
