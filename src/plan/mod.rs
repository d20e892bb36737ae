//! Decisions, made before a device is touched: from an [`Op`] and a [`DeviceProfile`] (plain numbers) to a [`Plan`], which lists kernel calls.
//!
//! Each family has its planner; `gemm` holds what all products share: tiles of every core, ranges for cooperative matrices.

pub(crate) mod bands;
pub(crate) mod compose;
pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod gemm;
pub(crate) mod image;
pub(crate) mod indexed;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod packing;
pub(crate) mod parts;
pub(crate) mod pool;
pub(crate) mod profile;
#[cfg(test)]
mod properties;
pub(crate) mod reduce;
pub(crate) mod row_threads;
pub(crate) mod sharing;
pub(crate) mod softmax;
pub(crate) mod step;
pub(crate) mod top_k;
pub(crate) mod transform;
pub(crate) mod window;

use crate::ops::{Op, Problem};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::Plan;
use crate::types::{Error, Result};

/// The algorithm to plan with: the forced one if it is admitted, else `preferred`.
///
/// # Errors
/// [`Error::Unsupported`] where the forced one does not apply.
pub(crate) fn pick(admitted: &[&'static str], forced: Option<&str>, preferred: &'static str) -> Result<&'static str> {
    match forced {
        None => Ok(preferred),
        Some(name) => admitted
            .iter()
            .find(|a| **a == name)
            .copied()
            .ok_or_else(|| Error::Unsupported { algorithm: name.to_string(), reason: format!("this problem admits {}", admitted.join(", ")) }),
    }
}

/// Why an algorithm does not apply, without its name.
pub(crate) fn reason(error: Error) -> String {
    if let Error::Unsupported { reason, .. } = error { reason } else { error.to_string() }
}

/// A problem that plans itself.
pub trait Planned: Problem {
    /// The algorithms that can compute it on a device like `profile`. The naive one, one output per invocation, is first; it is left out
    /// where its loops would be too long.
    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str>;

    /// The plans worth timing on a device like `profile`, by label: algorithms, with every tile of those that have several. Each is taken by
    /// [`Planned::plan`].
    fn candidates(&self, profile: &DeviceProfile) -> Vec<String> {
        self.algorithms(profile).into_iter().map(String::from).collect()
    }

    /// Decides how to compute it on a device like `profile`; the same problem and profile always give the same plan.
    ///
    /// # Errors
    /// A forced algorithm that does not apply, by name; sizes past the arithmetic or the device, with need and limit; f16 where the
    /// device has none.
    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan>;

    /// Every algorithm that the planner does not choose on a device like `profile`, and why: the condition that does not hold, or what is preferred.
    fn not_chosen(&self, profile: &DeviceProfile) -> Vec<(&'static str, String)> {
        let chosen = self.plan(profile, None).map_or_else(|_| String::new(), |plan| plan.algorithm().to_string());
        let others = self.algorithms(profile).into_iter().filter(|name| *name != chosen);
        others.map(|name| (name, format!("it applies; {chosen} is preferred"))).collect()
    }

    /// The largest error of this algorithm over inputs of magnitude 1, relative to that of plain f32 sums: 1 where it has no bound of its own.
    fn error_ratio(&self, _algorithm: &str) -> f64 {
        1.0
    }

    /// Whether small integers give results without any rounding with this algorithm.
    fn is_exact_for(&self, _algorithm: &str) -> bool {
        self.is_exact()
    }

    /// Whether every output of this algorithm is made of its own terms alone: one that transforms its operands mixes neighbours in, and with them
    /// what no arithmetic undoes, infinities and NaN.
    fn is_local(&self, _algorithm: &str) -> bool {
        true
    }

    /// A small problem of the same class, on which checks take no time: what a tuner verifies its candidates on. `None`: there is none.
    fn proxy(&self) -> Option<Op> {
        None
    }

    /// The largest error of any output, over all inputs of magnitude 1, of this algorithm; `None` where no such bound is known.
    fn largest_error(&self, _algorithm: &str) -> Option<f64> {
        None
    }

    /// What a tuner's verdicts about it are filed under.
    fn tuning_key(&self) -> String {
        format!("{}/{self}", self.name())
    }
}

/// The planner of each problem.
fn planner(op: &Op) -> &dyn Planned {
    match op {
        Op::Conv(problem) => problem,
        Op::MatMul(problem) => problem,
        Op::Pool(problem) => problem,
        Op::MaxUnpool(problem) => problem,
        Op::Binary(problem) => problem,
        Op::Unary(problem) => problem,
        Op::Cast(problem) => problem,
        Op::Where(problem) => problem,
        Op::Dropout(problem) => problem,
        Op::Image(problem) => problem,
        Op::Softmax(problem) => problem,
        Op::Norm(problem) => problem,
        Op::BatchNorm(problem) => problem,
        Op::Lrn(problem) => problem,
        Op::Reduce(problem) => problem,
        Op::Argmax(problem) => problem,
        Op::TopK(problem) => problem,
        Op::Gather(problem) => problem,
        Op::Scatter(problem) => problem,
        Op::Resize(problem) => problem,
        Op::GridSample(problem) => problem,
        Op::Pad(problem) => problem,
        Op::Slice(problem) => problem,
        Op::Concat(problem) => problem,
        Op::Transpose(problem) => problem,
        Op::ToLayout(problem) => problem,
        Op::DepthToSpace(problem) => problem,
        Op::Adjoint(problem) => problem,
        Op::MaxUnpoolGradient(problem) => problem,
        Op::FilterGradient(problem) => problem,
        Op::Optimizer(problem) => problem,
    }
}

impl Planned for Op {
    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
        planner(self).algorithms(profile)
    }

    fn candidates(&self, profile: &DeviceProfile) -> Vec<String> {
        planner(self).candidates(profile)
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        planner(self).plan(profile, algorithm)
    }

    fn not_chosen(&self, profile: &DeviceProfile) -> Vec<(&'static str, String)> {
        planner(self).not_chosen(profile)
    }

    fn error_ratio(&self, algorithm: &str) -> f64 {
        planner(self).error_ratio(algorithm)
    }

    fn is_exact_for(&self, algorithm: &str) -> bool {
        planner(self).is_exact_for(algorithm)
    }

    fn is_local(&self, algorithm: &str) -> bool {
        planner(self).is_local(algorithm)
    }

    fn proxy(&self) -> Option<Op> {
        planner(self).proxy()
    }

    fn largest_error(&self, algorithm: &str) -> Option<f64> {
        planner(self).largest_error(algorithm)
    }

    fn tuning_key(&self) -> String {
        planner(self).tuning_key()
    }
}
