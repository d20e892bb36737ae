//! Problems whose tensors no binding holds whole.

use crate::error::Result;
use crate::gpu::DeviceProfile;
use crate::op::{Op, Plan, TensorSpec};
use crate::reference::Bounded;

/// Bytes that a binding holds, unless a problem wants another size.
const BINDING: u64 = 4096;

/// A problem on a device with small bindings: it is computed in parts.
#[derive(Clone)]
pub(super) struct Sliced<T> {
    problem: T,
    binding: u64,
}

impl<T> Sliced<T> {
    pub(super) fn new(problem: T) -> Self {
        Self { problem, binding: BINDING }
    }

    /// The same with bindings of so many bytes.
    pub(super) fn with_binding(self, binding: u64) -> Self {
        Self { binding, ..self }
    }

    fn profile(&self, profile: &DeviceProfile) -> DeviceProfile {
        // The coarsest alignment there is: parts begin inside their bindings on every device.
        DeviceProfile { max_binding_bytes: self.binding, storage_alignment: profile.storage_alignment.max(256), ..*profile }
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Sliced<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_binding{}", self.problem, self.binding)
    }
}

impl<T: Op> Op for Sliced<T> {
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
