//! What is known of a convolution: its tensors, its operations.

use crate::ops::Problem;
use crate::ops::conv::fused::FusedPool;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::spec::TensorSpec;

impl Problem for ConvProblem {
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
            inputs.push(TensorSpec::new("residual", &self.convolution().output_extents(), self.element, self.y_layout));
        }
        inputs
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.output_extents(), self.element, self.y_layout)]
    }

    fn is_exact(&self) -> bool {
        // A mean is a quotient, which is rounded.
        self.activation.is_exact() && self.pool != Some(FusedPool::Average)
    }

    fn flops(&self) -> f64 {
        ConvProblem::flops(self)
    }

    fn depth(&self) -> u64 {
        self.reduction_depth()
    }
}
