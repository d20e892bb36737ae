//! Linear interpolation along 1 to 3 spatial axes, by tables of two source offsets and the second one's weight per axis.
//!
//! Algorithms: `direct` (one output per invocation) and `rows` (the outer coordinates are decoded once per workgroup, whose threads run
//! along the axis that is contiguous in memory).

use crate::ops::Problem;
use crate::ops::transform::linear::taps;
use crate::ops::transform::resize::Resize;
use crate::plan::bands::Cuttable;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_tensors};
use crate::plan::transform::sources::{Reads, Sources};
use crate::plan::transform::{gather, is_row, row_part};
use crate::shader::KernelSpec;
use crate::shader::source::TRANSFORM_RESIZE_LINEAR;
use crate::shader::uniforms::{ResizeAxis, ResizeParams};
use crate::types::{Error, Layout, Result};

pub(crate) fn plan(problem: &Resize, profile: &DeviceProfile, forced: Option<&str>) -> Result<Plan> {
    let (inputs, outputs) = (problem.inputs(), problem.outputs());
    check_tensors(problem.name(), &inputs.iter().chain(&outputs).collect::<Vec<_>>(), profile)?;
    gather::check_entries(entries(problem.sizes()))?;
    let sources = Sources { x: problem.x.clone(), y: problem.kind(), reads: Reads::Two(taps(problem)) };
    plan_sources(problem.name(), &sources, profile, forced)
}

/// Numbers of a table: two offsets and a weight for each coordinate of y, and one of an axis that is not there.
fn entries(sizes: &[usize]) -> u64 {
    3 * (1 + sizes.iter().map(|&size| size as u64).sum::<u64>())
}

fn plan_sources(op: &'static str, sources: &Sources, profile: &DeviceProfile, forced: Option<&str>) -> Result<Plan> {
    let plan_band = |band: &Sources| plan_sources(op, band, profile, forced);
    if let Some(bands) = sources.in_bands(op, plan_band, profile) {
        return bands;
    }
    let (x_spec, y_spec, Sources { x, y, .. }) = (sources.tensor(Some(0)), sources.tensor(None), sources);
    let Reads::Two(taps) = &sources.reads else {
        return Err(Error::Internal { label: "a linear resize".into(), message: "it reads two elements for each".into() });
    };
    gather::check_table(entries(&y.extents[2..]), profile)?;
    // Every cast is in range: both tensors have less than 2^31 elements, and so have extents, strides and offsets.
    let strides = x.strides();
    let spatial = taps.len();
    let mut table: Vec<u32> = Vec::new();
    let mut axes = [ResizeAxis { extent: 1, first: 0, unused0: 0, unused1: 0 }; 3];
    // Axes that are not there read offset 0 with weight 0.
    table.extend([0, 0, 0f32.to_bits()]);
    for (axis, taps) in taps.iter().enumerate() {
        axes[3 - spatial + axis] = ResizeAxis { extent: taps.len() as u32, first: table.len() as u32, unused0: 0, unused1: 0 };
        let stride = strides[2 + axis] as u32;
        table.extend(taps.iter().flat_map(|t| [t.first as u32 * stride, t.second as u32 * stride, t.weight.to_bits()]));
    }
    let [depth, height, width] = axes;
    let count = y_spec.count();
    let channels_last = x.layout == Layout::ChannelsLast;
    let run = if channels_last { x.extents[1] as u64 } else { u64::from(width.extent) };
    let algorithm = pick(&gather::ALGORITHMS, forced, if is_row(run, profile.is_cpu) { "rows" } else { "direct" })?;
    let mut overrides = vec![("AXES", spatial as u32)];
    if channels_last {
        overrides.push(("CHANNELS_LAST", 1));
    }
    let mut params = ResizeParams {
        depth,
        height,
        width,
        items: count as u32,
        run: run as u32,
        row_part: 0,
        row_parts: 0,
        channels: x.extents[1] as u32,
        x_stride_n: strides[0] as u32,
        x_stride_c: strides[1] as u32,
        unused: 0,
    };
    let workgroups = if algorithm == "rows" {
        overrides.push(("ROWS", 1));
        let row_part = row_part(run, profile.is_cpu);
        let (rows, row_parts) = (count / run, run.div_ceil(row_part));
        (params.items, params.row_part, params.row_parts) = (rows as u32, row_part as u32, row_parts as u32);
        rows * row_parts
    } else {
        count.div_ceil(64)
    };
    let mut plan = Plan::new(op, algorithm.to_string(), vec![x_spec], vec![y_spec]);
    plan.tables.push(table);
    let kernel = KernelSpec { source: &TRANSFORM_RESIZE_LINEAR, element: x.element, consts: vec![profile.together()], overrides };
    let refs = vec![BufferRef::input(0, &plan.inputs), BufferRef::Table(0), BufferRef::output(0, &plan.outputs)];
    plan.steps.push(Step::new(kernel, &params, refs, workgroups, profile)?);
    Ok(plan)
}
