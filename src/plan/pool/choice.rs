//! Which algorithm a pool gets: the last of those that apply, each of which does the same work as the ones before it in fewer steps.

use crate::ops::pool::descriptor::PoolKind;
use crate::ops::pool::problem::PoolProblem;
use crate::ops::reduce::{ReduceDescriptor, ReduceKind, ReduceProblem};
use crate::plan::pool::{DIRECT, TREE, UNROLLED};
use crate::plan::profile::DeviceProfile;
use crate::types::TensorType;
use crate::types::shape::WindowAxis;

/// All algorithms, the preferred last.
const ALL: [&str; 3] = [DIRECT, UNROLLED, TREE];

/// Largest window that is unrolled.
const MOST_UNROLLED: u64 = 25;

/// Neighbouring outputs of a row that an invocation computes where working out its place costs as much as a window: on a processor, 1.8 and 2.2 times
/// as fast as one (benchmarks/notebook/2026-11-21-what-was-learnt.md). Even, for the kernel that takes columns in pairs.
pub(crate) const STRIP_CPU: u64 = 4;

/// Those that apply, the preferred last.
pub(crate) fn admitted(problem: &PoolProblem, profile: &DeviceProfile) -> Vec<&'static str> {
    ALL.into_iter().filter(|algorithm| applies(algorithm, problem, profile)).collect()
}

fn applies(algorithm: &str, problem: &PoolProblem, profile: &DeviceProfile) -> bool {
    let runs = problem.iterations() <= profile.max_loop_iterations;
    match algorithm {
        UNROLLED => runs && is_unrollable(problem),
        TREE => {
            // A reduction binds all of x, where the others take it image by image.
            let bytes = (problem.batch * problem.channels * problem.input_positions()).saturating_mul(problem.element.bytes());
            bytes <= profile.max_binding_bytes.min(profile.max_buffer_bytes) && as_reduction(problem).is_some()
        }
        _ => runs,
    }
}

fn is_unrollable(problem: &PoolProblem) -> bool {
    !problem.adaptive && problem.taps() <= MOST_UNROLLED
}

/// The same as a reduction over the spatial axes, where the one window of a plane is all of it, too large to be unrolled, and its values' sum or
/// maximum is wanted.
pub(crate) fn as_reduction(problem: &PoolProblem) -> Option<ReduceProblem> {
    let kind = match problem.kind {
        PoolKind::Average { .. } => ReduceKind::Mean,
        PoolKind::Max { indices: None } => ReduceKind::Max,
        _ => return None,
    };
    let is_whole = |a: &WindowAxis| a.output == 1 && a.filter == a.input && a.dilation == 1 && (a.pad_begin, a.pad_end) == (0, 0);
    let spatial: Vec<isize> = (2..2 + problem.rank as isize).collect();
    if !problem.axes.iter().all(is_whole) || is_unrollable(problem) {
        return None;
    }
    let descriptor = ReduceDescriptor::new(kind, &spatial).with_keepdims(true);
    ReduceProblem::new(&TensorType::new(&problem.input_extents(), problem.element, problem.layout), &descriptor).ok()
}
