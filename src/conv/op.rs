//! Convolution as an [`Op`].

use super::descriptor::Algorithm;
use super::plan::{admitted, plan};
use super::problem::{ConvProblem, Direction};
use crate::error::Result;
use crate::gpu::DeviceProfile;
use crate::op::{Op, Plan, TensorSpec};
use crate::reference::Bounded;
use crate::validate::bound;

impl Op for ConvProblem {
    fn name(&self) -> &'static str {
        match self.direction {
            Direction::Forward => "conv",
            Direction::Transposed => "conv_transpose",
        }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let mut inputs = vec![
            TensorSpec::new("x", &self.input_extents(), self.element, self.x_layout),
            TensorSpec::fixed("filter", &self.filter_extents(), self.element),
        ];
        if self.has_bias {
            inputs.push(TensorSpec::fixed("bias", &[self.out_channels as usize], self.element));
        }
        if self.has_residual {
            inputs.push(TensorSpec::new("residual", &self.output_extents(), self.element, self.y_layout));
        }
        inputs
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.output_extents(), self.element, self.y_layout)]
    }

    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
        admitted(self, profile).into_iter().map(Algorithm::name).collect()
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = algorithm.map(str::parse::<Algorithm>).transpose()?.or(self.algorithm);
        plan(&ConvProblem { algorithm, ..self.clone() }, profile)
    }

    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        let (bias, residual) = (self.has_bias.then(|| inputs[2]), self.has_residual.then(|| inputs[inputs.len() - 1]));
        let conv = crate::reference::conv::terms(self, inputs[0], inputs[1], bias, residual);
        let error = conv.sum.iter().zip(&conv.magnitude).map(|(&sum, &magnitude)| bound::computed(self, sum, magnitude)).collect();
        vec![Bounded { value: conv.output(self.activation), error }]
    }

    fn is_exact(&self) -> bool {
        self.activation.is_exact()
    }

    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let (bias, residual) = (self.has_bias.then(|| inputs[2]), self.has_residual.then(|| inputs[inputs.len() - 1]));
        crate::cpu::conv_residual(self, inputs[0], inputs[1], bias, residual, y).ok()
    }

    fn flops(&self) -> f64 {
        ConvProblem::flops(self)
    }

    fn depth(&self) -> u64 {
        self.reduction_depth()
    }
}
