//! Normalisation: layer, group and instance norm on one row kernel ([`NormProblem`]), batch norm of a trained network and its folding
//! into a convolution ([`BatchNormProblem`], [`fold_batch_norm`](crate::norm::fold_batch_norm)), local response norm ([`LrnProblem`]).

use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::norm::batch::{BatchNormProblem, BatchNormVectors};
use crate::ops::norm::lrn::{LrnDescriptor, LrnProblem};
use crate::ops::norm::rows::NormProblem;
use crate::types::{Error, Result};

fn extents(tensor: Option<&Tensor>) -> Option<&[usize]> {
    tensor.map(|t| t.shape().extents())
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
    /// Added to the variance.
    pub epsilon: f32,
}

impl<'a> BatchNorm<'a> {
    fn problem(&self, x: &Tensor) -> Result<BatchNormProblem> {
        let vectors = BatchNormVectors {
            scale: extents(self.scale),
            bias: extents(self.bias),
            mean: self.mean.shape().extents(),
            variance: self.variance.shape().extents(),
        };
        BatchNormProblem::new(x.shape().extents(), &vectors, self.epsilon, x.element(), x.layout())
    }

    fn vectors(&self) -> Vec<&'a Tensor> {
        self.scale.into_iter().chain(self.bias).chain([self.mean, self.variance]).collect()
    }
}

impl Recorder<'_> {
    /// Records layer normalisation over the axes from `axis` on (negative: from the end).
    ///
    /// # Errors
    /// As [`NormProblem::layer`]; a tensor of another device.
    pub fn layer_norm(&mut self, x: &Tensor, axis: isize, scale: Option<&Tensor>, bias: Option<&Tensor>, epsilon: f32) -> Result<Tensor> {
        let problem = NormProblem::layer(x.shape().extents(), axis, extents(scale), extents(bias), epsilon, x.element(), x.layout())?;
        self.op1(&problem, &[x].into_iter().chain(scale).chain(bias).collect::<Vec<_>>())
    }

    /// Records layer normalisation that also gives each row's mean and inverse standard deviation: y, mean, inverse.
    ///
    /// # Errors
    /// As [`Recorder::layer_norm`].
    pub fn layer_norm_statistics(
        &mut self,
        x: &Tensor,
        axis: isize,
        scale: Option<&Tensor>,
        bias: Option<&Tensor>,
        epsilon: f32,
    ) -> Result<[Tensor; 3]> {
        let problem = NormProblem::layer(x.shape().extents(), axis, extents(scale), extents(bias), epsilon, x.element(), x.layout())?;
        let problem = problem.with_statistics(true);
        let outputs = self.op(&problem, &[x].into_iter().chain(scale).chain(bias).collect::<Vec<_>>())?;
        <[Tensor; 3]>::try_from(outputs)
            .map_err(|outputs| Error::Internal { label: "layer_norm".into(), message: format!("{} outputs in place of three", outputs.len()) })
    }

    /// Records group normalisation of x N C ....
    ///
    /// # Errors
    /// As [`NormProblem::group`]; a tensor of another device.
    pub fn group_norm(&mut self, x: &Tensor, groups: usize, scale: Option<&Tensor>, bias: Option<&Tensor>, epsilon: f32) -> Result<Tensor> {
        let problem = NormProblem::group(x.shape().extents(), groups, extents(scale), extents(bias), epsilon, x.element(), x.layout())?;
        self.op1(&problem, &[x].into_iter().chain(scale).chain(bias).collect::<Vec<_>>())
    }

    /// Records instance normalisation of x N C ....
    ///
    /// # Errors
    /// As [`NormProblem::instance`]; a tensor of another device.
    pub fn instance_norm(&mut self, x: &Tensor, scale: Option<&Tensor>, bias: Option<&Tensor>, epsilon: f32) -> Result<Tensor> {
        let problem = NormProblem::instance(x.shape().extents(), extents(scale), extents(bias), epsilon, x.element(), x.layout())?;
        self.op1(&problem, &[x].into_iter().chain(scale).chain(bias).collect::<Vec<_>>())
    }

    /// Records batch normalisation of a trained network. Where a convolution comes before, [`fold_batch_norm`](crate::norm::fold_batch_norm) costs nothing.
    ///
    /// # Errors
    /// As [`BatchNormProblem::new`]; a tensor of another device.
    pub fn batch_norm(&mut self, x: &Tensor, norm: &BatchNorm<'_>) -> Result<Tensor> {
        self.op1(&norm.problem(x)?, &[x].into_iter().chain(norm.vectors()).collect::<Vec<_>>())
    }

    /// Records x = batch normalisation of x.
    ///
    /// # Errors
    /// As [`Recorder::batch_norm`].
    pub fn batch_norm_in_place(&mut self, x: &Tensor, norm: &BatchNorm<'_>) -> Result<()> {
        let plan = self.gpu().plan(norm.problem(x)?.in_place())?;
        Prepared::recorded(self, plan, &norm.vectors())?.record(self, &[], &[x])
    }

    /// Records local response normalisation.
    ///
    /// # Errors
    /// As [`LrnProblem::new`]; a tensor of another device.
    pub fn lrn(&mut self, descriptor: &LrnDescriptor, x: &Tensor) -> Result<Tensor> {
        self.op1(&LrnProblem::new(descriptor, x.shape().extents(), x.element(), x.layout())?, &[x])
    }
}
