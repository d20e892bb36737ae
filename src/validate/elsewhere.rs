//! Problems planned as for another device than the one they run on: one with small bindings, one with another processor. What their kernels
//! need, every device has.

use crate::gpu::DeviceProfile;
use crate::op::{Op, Plan, TensorSpec};
use crate::reference::Bounded;
use crate::types::Result;

/// A problem, and what is different about the device that it is planned for.
#[derive(Clone)]
pub(super) struct Elsewhere<T> {
    problem: T,
    difference: Difference,
}

#[derive(Clone, Copy)]
enum Difference {
    /// A binding holds so many bytes: what is larger is computed in parts.
    Binding(u64),
    /// Wide vectors are slow where here they are not, and the other way round: the tile cores read quads another way.
    WideVectors,
}

impl<T> Elsewhere<T> {
    /// On a device whose bindings hold `bytes`, less than the problem's tensors have.
    pub(super) fn sliced(problem: T, bytes: u64) -> Self {
        Self { problem, difference: Difference::Binding(bytes) }
    }

    /// On a processor of the other kind.
    pub(super) fn other_processor(problem: T) -> Self {
        Self { problem, difference: Difference::WideVectors }
    }

    fn profile(&self, profile: &DeviceProfile) -> DeviceProfile {
        match self.difference {
            // The coarsest alignment there is: parts begin inside their bindings on every device.
            Difference::Binding(bytes) => {
                DeviceProfile { max_binding_bytes: bytes, storage_alignment: profile.storage_alignment.max(256), ..*profile }
            }
            Difference::WideVectors => DeviceProfile { wide_vectors_slow: !profile.wide_vectors_slow, ..*profile },
        }
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Elsewhere<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.difference {
            Difference::Binding(bytes) => write!(f, "{}_binding{bytes}", self.problem),
            Difference::WideVectors => write!(f, "{}_other_processor", self.problem),
        }
    }
}

impl<T: Op> Op for Elsewhere<T> {
    fn name(&self) -> &'static str {
        self.problem.name()
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        self.problem.inputs()
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        self.problem.outputs()
    }

    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
        self.problem.algorithms(&self.profile(profile))
    }

    fn candidates(&self, profile: &DeviceProfile) -> Vec<String> {
        self.problem.candidates(&self.profile(profile))
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        self.problem.plan(&self.profile(profile), algorithm)
    }

    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        self.problem.reference(inputs)
    }

    fn reference_for(&self, algorithm: &str, inputs: &[&[f64]]) -> Vec<Bounded> {
        self.problem.reference_for(algorithm, inputs)
    }

    fn error_ratio(&self, algorithm: &str) -> f64 {
        self.problem.error_ratio(algorithm)
    }

    fn is_exact(&self) -> bool {
        self.problem.is_exact()
    }

    fn is_exact_for(&self, algorithm: &str) -> bool {
        self.problem.is_exact_for(algorithm)
    }

    fn is_local(&self, algorithm: &str) -> bool {
        self.problem.is_local(algorithm)
    }

    fn largest_error(&self, algorithm: &str) -> Option<f64> {
        self.problem.largest_error(algorithm)
    }

    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        self.problem.compute(inputs, y)
    }

    fn flops(&self) -> f64 {
        self.problem.flops()
    }

    fn depth(&self) -> u64 {
        self.problem.depth()
    }
}
