//! A pool whose image, or plane, fits no binding, in bands of its outputs ([`crate::plan::bands`]).

use crate::ops::Problem;
use crate::ops::pool::problem::PoolProblem;
use crate::plan::Planned;
use crate::plan::bands::{self, Band, gathering, outputs_per_band};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::Plan;
use crate::types::Result;
use crate::types::shape::{PaddingMode, WindowAxis};

/// The bands of `problem`. `None` where every image fits, where no cut helps, and where a window depends on its place: adaptive ones, and indices.
fn cut(problem: &PoolProblem, profile: &DeviceProfile) -> Option<(usize, Vec<Band<PoolProblem>>)> {
    if problem.adaptive || problem.indices().is_some() {
        return None;
    }
    (0..3).find_map(|at| {
        let axis = &problem.axes[at];
        let row = |extent: fn(&WindowAxis) -> u64| {
            let others = (0..3).filter(|other| *other != at).map(|other| extent(&problem.axes[other])).product::<u64>();
            others * problem.channels * problem.element.bytes()
        };
        let reach = |outputs: u64| axis.input.min((outputs - 1) * axis.stride + axis.window_extent());
        let count = outputs_per_band(axis, [row(|a| a.input), row(|a| a.output)], (problem.batch, 1), reach, profile)?;
        let of_axis = |axis: WindowAxis| {
            let mut band = PoolProblem { batch: 1, ..problem.clone() };
            band.axes[at] = axis;
            band
        };
        // What stands in the padding of a pool is nothing.
        Some((at, gathering(axis, PaddingMode::Zeros, count)?.into_iter().map(|band| band.of(of_axis)).collect()))
    })
}

/// Plans the bands of a pool; `None` where there are none.
pub(crate) fn plan(problem: &PoolProblem, profile: &DeviceProfile, algorithm: &str) -> Option<Result<Plan>> {
    let (at, bands) = cut(problem, profile)?;
    let axis = at + problem.rank - 1; // N and C come before the axes that the caller used
    let plan = Plan::new(problem.name(), String::new(), problem.inputs(), problem.outputs());
    Some(bands::fill(plan, (problem.batch, axis), &bands, None, |band| band.plan(profile, Some(algorithm)), profile))
}
