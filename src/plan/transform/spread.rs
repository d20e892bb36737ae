//! The planner of adjoints of pools by cells of dx: one cell of a stride per invocation, to which the windows that reach into it add their elements of dy.

use crate::ops::Problem;
use crate::ops::adjoint::{AdjointProblem, Cells};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Plan, Step};
use crate::plan::transform::adjoint::Images;
use crate::shader::KernelSpec;
use crate::shader::source::{TRANSFORM_SPREAD, TRANSFORM_SPREAD_INDICES};
use crate::shader::uniforms_adjoint::{SpreadAxis, SpreadParams};
use crate::types::{Layout, Result};

/// The most elements that one invocation writes, and windows that it reads: of larger ones the gather has more invocations.
const MOST_ELEMENTS: u64 = 16;
const MOST_WINDOWS: u64 = 64;

/// The cells of a problem that has small ones.
pub(super) fn cells(problem: &AdjointProblem) -> Option<[Cells; 3]> {
    let product = |axes: &[Cells; 3], of: fn(&Cells) -> u64| axes.iter().map(of).fold(1, u64::saturating_mul);
    problem.cells().filter(|axes| product(axes, |axis| axis.stride) <= MOST_ELEMENTS && product(axes, Cells::reach) <= MOST_WINDOWS)
}

/// Plans the adjoint by cells of dx, images in chunks where bindings hold no more.
pub(crate) fn plan(problem: &AdjointProblem, axes: &[Cells; 3], profile: &DeviceProfile) -> Result<Plan> {
    let dx = problem.dx();
    let mut plan = Plan::new(problem.name(), super::adjoint::SPREAD.to_string(), problem.inputs(), problem.outputs());
    let [images, channels] = [dx.extents[0] as u64, dx.extents[1] as u64];
    let image = |extent: fn(&Cells) -> u64| channels * axes.iter().map(extent).product::<u64>();
    let (dx_image, dy_image, cells) = (image(|axis| axis.extent), image(|axis| axis.windows), image(|axis| axis.cells));
    let images = Images { count: images, dy: dy_image, dx: dx_image };
    // Every cast is in range: tensors have less than 2^31 elements, and so have extents.
    let names = [["STRIDE_D", "WINDOW_D", "REACH_D"], ["STRIDE_H", "WINDOW_H", "REACH_H"], ["STRIDE_W", "WINDOW_W", "REACH_W"]];
    let consts = names.iter().zip(axes).flat_map(|(names, axis)| {
        let numbers = [axis.stride, axis.filter, axis.reach()];
        names.iter().zip(numbers).map(|(name, number)| (*name, number as u32))
    });
    let source = if problem.has_indices() { &TRANSFORM_SPREAD_INDICES } else { &TRANSFORM_SPREAD };
    let kernel = KernelSpec { source, element: dx.element, consts: consts.collect(), overrides: vec![] };
    let spread = axes.map(|axis| SpreadAxis {
        cells: axis.cells as u32,
        windows: axis.windows as u32,
        extent: axis.extent as u32,
        pad: axis.pad as u32,
        weight: axis.weights[0],
        last_weight: axis.weights[1],
        unused0: 0,
        unused1: 0,
    });
    let inner = if dx.layout == Layout::ChannelsLast { channels as u32 } else { 1 };
    for chunk in images.chunks(problem, profile)? {
        let (refs, [dy_base, index_base, dx_base]) = images.bind(problem, &chunk, &[], profile);
        let items = chunk.count * cells;
        let params = SpreadParams { items: items as u32, inner, dy_base, index_base, dx_base, unused0: 0, unused1: 0, unused2: 0, axes: spread };
        plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(64), profile)?);
    }
    Ok(plan)
}
