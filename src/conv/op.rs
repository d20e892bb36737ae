//! Convolution as an [`Op`].

use super::descriptor::Algorithm;
use super::fused::{self, FusedPool};
use super::plan::{admitted, plan, plan_tile};
use super::problem::{ConvProblem, Direction};
use super::winograd::Transform;
use super::{implicit_gemm, matrix};
use crate::gpu::DeviceProfile;
use crate::numeric::bound;
use crate::op::{MatrixTile, Op, Operands, Plan, RegisterTile, TensorSpec, Tile};
use crate::reference::Bounded;
use crate::types::Result;
use crate::types::element::ElementType;

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
            inputs.push(TensorSpec::new("residual", &self.convolution().output_extents(), self.element, self.y_layout));
        }
        inputs
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.output_extents(), self.element, self.y_layout)]
    }

    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
        admitted(self, profile).into_iter().map(Algorithm::name).collect()
    }

    fn candidates(&self, profile: &DeviceProfile) -> Vec<String> {
        let conv = self.convolution();
        let register = || RegisterTile::candidates(self.filters_per_group(), self.channels_per_group()).iter().map(ToString::to_string).collect();
        let workgroup = || Tile::candidates(&implicit_gemm::shape(&conv, self.batch), profile).iter().map(ToString::to_string).collect();
        let with_tiles = |algorithm: Algorithm| {
            let tiles: Vec<String> = match (algorithm, matrix::operands(algorithm)) {
                (_, Some(operands)) => MatrixTile::candidates(operands, profile).iter().map(ToString::to_string).collect(),
                (Algorithm::ImplicitGemmRegister | Algorithm::PointwiseRegister, _) => register(),
                (Algorithm::WinogradF2 | Algorithm::WinogradF4, _) if profile.is_cpu => register(),
                (Algorithm::ImplicitGemmWorkgroup | Algorithm::PointwiseWorkgroup, _) => workgroup(),
                (Algorithm::WinogradF2 | Algorithm::WinogradF4, _) => super::winograd::tiles(algorithm, self, profile),
                (Algorithm::Dense, _) => return super::dense::candidates(&conv, profile),
                _ => return vec![algorithm.to_string()],
            };
            tiles.into_iter().map(|tile| format!("{algorithm} {tile}")).collect()
        };
        admitted(self, profile).into_iter().filter(|a| self.algorithm.is_none_or(|forced| forced == *a)).flat_map(with_tiles).collect()
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let Some(label) = algorithm else { return plan(self, profile) };
        let (name, tile) = label.split_once(' ').map_or((label, None), |(name, tile)| (name, Some(tile)));
        plan_tile(&self.clone().with_algorithm(Some(name.parse()?)), profile, tile)
    }

    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        if let Some(pool) = self.pool {
            return vec![fused::pooled(self, pool, &self.convolution().reference(inputs)[0])];
        }
        let (bias, residual) = (self.has_bias.then(|| inputs[2]), self.has_residual.then(|| inputs[inputs.len() - 1]));
        let conv = crate::reference::conv::terms(self, inputs[0], inputs[1], bias, residual);
        let error = conv.sum.iter().zip(&conv.magnitude).map(|(&sum, &magnitude)| crate::reference::conv_error(self, sum, magnitude)).collect();
        vec![Bounded { value: conv.output(self.activation), error }]
    }

    fn reference_for(&self, algorithm: &str, inputs: &[&[f64]]) -> Vec<Bounded> {
        if let Some(pool) = self.pool {
            return vec![fused::pooled(self, pool, &self.convolution().reference_for(algorithm, inputs)[0])];
        }
        let mut outputs = self.reference(inputs);
        if let Some(operands) = matrix_operands(algorithm) {
            self.bound_by_matrix_units(operands, inputs, &mut outputs[0]);
        } else if let Some(transform) = transform(algorithm) {
            let (bias, residual) = (self.has_bias.then(|| inputs[2]), self.has_residual.then(|| inputs[inputs.len() - 1]));
            let plain = crate::reference::conv::terms(self, inputs[0], inputs[1], bias, residual);
            let magnitude = crate::reference::winograd::magnitude(self, transform, inputs[0], inputs[1], bias, residual);
            let gamma = bound::gamma(transform.roundings(self), ElementType::F32.unit_roundoff());
            for output in &mut outputs {
                for (i, error) in output.error.iter_mut().enumerate() {
                    *error = bound::activation_error(self.activation, gamma * magnitude[i], plain.sum[i], output.value[i]);
                }
            }
        }
        outputs
    }

    fn is_exact(&self) -> bool {
        // A mean is a quotient, which is rounded.
        self.activation.is_exact() && self.pool != Some(FusedPool::Average)
    }

    fn is_exact_for(&self, algorithm: &str) -> bool {
        self.is_exact() && transform(algorithm).is_none_or(Transform::is_exact)
    }

    fn is_local(&self, algorithm: &str) -> bool {
        transform(algorithm).is_none()
    }

    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let (bias, residual) = (self.has_bias.then(|| inputs[2]), self.has_residual.then(|| inputs[inputs.len() - 1]));
        crate::cpu::conv_residual(self, inputs[0], inputs[1], bias, residual, y).ok()
    }

    fn proxy(&self) -> Option<Box<dyn Op>> {
        super::proxy::proxy(self).map(|proxy| Box::new(proxy) as Box<dyn Op>)
    }

    fn largest_error(&self, algorithm: &str) -> Option<f64> {
        if !self.is_exact() || self.element != ElementType::F32 {
            return None; // it may be steeper than 1, or rounds again
        }
        let depth = self.reduction_depth();
        let plain = (depth + 2) as f64 * bound::gamma(depth + 4, ElementType::F32.unit_roundoff());
        Some(plain * self.error_ratio(algorithm).max(1.0))
    }

    fn error_ratio(&self, algorithm: &str) -> f64 {
        match (transform(algorithm), matrix_operands(algorithm)) {
            (Some(transform), _) => transform.relative_error(self),
            (_, Some(operands)) => matrix::relative_error(operands, self),
            _ => 1.0,
        }
    }

    fn tuning_key(&self) -> String {
        format!("{}/{self}/{}", self.name(), self.accuracy.name())
    }

    fn flops(&self) -> f64 {
        ConvProblem::flops(self)
    }

    fn depth(&self) -> u64 {
        self.reduction_depth()
    }
}

impl ConvProblem {
    /// Sets the errors to those that matrix units may make.
    fn bound_by_matrix_units(&self, operands: Operands, inputs: &[&[f64]], output: &mut Bounded) {
        let (bias, residual) = (self.has_bias.then(|| inputs[2]), self.has_residual.then(|| inputs[inputs.len() - 1]));
        let [x, filter] = [inputs[0], inputs[1]];
        let plain = crate::reference::conv::terms(self, x, filter, bias, residual);
        let own = crate::reference::conv::operands(self, x, filter);
        let units = matrix::error(operands, self);
        for (i, error) in output.error.iter_mut().enumerate() {
            let [x, w] = own.largest[i];
            let [sum_x, sum_w] = own.sums[i];
            let sum = units.bound(plain.magnitude[i], [x * sum_w, w * sum_x], self.reduction_depth() as f64 * x * w);
            *error = bound::activation_error(self.activation, sum, plain.sum[i], output.value[i]);
        }
    }
}

/// The algorithm that a label names.
fn named(label: &str) -> Option<Algorithm> {
    label.split(' ').next()?.parse().ok()
}

fn matrix_operands(label: &str) -> Option<Operands> {
    named(label).and_then(matrix::operands)
}

/// The transform of the algorithm that a label names.
fn transform(label: &str) -> Option<&'static Transform> {
    named(label).and_then(Transform::of)
}
