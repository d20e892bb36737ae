//! Linear interpolation along 1 to 3 spatial axes, by tables of two source offsets and the second one's weight per axis.
//!
//! Algorithms: `direct` (one output per invocation) and `rows` (the outer coordinates are decoded once per workgroup, whose threads run
//! along the axis that is contiguous in memory).

use crate::ops::Problem;
use crate::ops::transform::linear::tap;
use crate::ops::transform::resize::Resize;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_binding, check_tensors};
use crate::plan::transform::{gather, is_row, row_part};
use crate::shader::KernelSpec;
use crate::shader::source::TRANSFORM_RESIZE_LINEAR;
use crate::shader::uniforms::{ResizeAxis, ResizeParams};
use crate::types::{Layout, Result};

pub(crate) fn plan(problem: &Resize, profile: &DeviceProfile, forced: Option<&str>) -> Result<Plan> {
    let (inputs, outputs) = (problem.inputs(), problem.outputs());
    check_tensors(problem.name(), &inputs.iter().chain(&outputs).collect::<Vec<_>>(), profile)?;
    for spec in inputs.iter().chain(&outputs) {
        check_binding(&spec.name, spec.bytes(), profile)?;
    }
    // Every cast is in range: both tensors have less than 2^31 elements, and so have extents, strides and offsets.
    let strides = problem.x.strides();
    let spatial = problem.sizes().len();
    let mut table: Vec<u32> = Vec::new();
    gather::check_table(3 * (1 + problem.sizes().iter().map(|&size| size as u64).sum::<u64>()), profile)?;
    let mut axes = [ResizeAxis { extent: 1, first: 0, unused0: 0, unused1: 0 }; 3];
    // Axes that are not there read offset 0 with weight 0.
    table.extend([0, 0, 0f32.to_bits()]);
    for (axis, &size) in problem.sizes().iter().enumerate() {
        axes[3 - spatial + axis] = ResizeAxis { extent: size as u32, first: table.len() as u32, unused0: 0, unused1: 0 };
        let stride = strides[2 + axis] as u32;
        let taps = (0..size).map(|o| tap(problem, axis, o));
        table.extend(taps.flat_map(|t| [t.first as u32 * stride, t.second as u32 * stride, t.weight.to_bits()]));
    }
    let [depth, height, width] = axes;
    let count = outputs[0].count();
    let channels_last = problem.x.layout == Layout::ChannelsLast;
    let run = if channels_last { problem.x.extents[1] as u64 } else { u64::from(width.extent) };
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
        channels: problem.x.extents[1] as u32,
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
    let mut plan = Plan::new(problem.name(), algorithm.to_string(), inputs, outputs);
    plan.tables.push(table);
    let kernel = KernelSpec { source: &TRANSFORM_RESIZE_LINEAR, element: problem.x.element, consts: vec![profile.together()], overrides };
    let refs = vec![BufferRef::input(0, &plan.inputs), BufferRef::Table(0), BufferRef::output(0, &plan.outputs)];
    plan.steps.push(Step::new(kernel, &params, refs, workgroups, profile)?);
    Ok(plan)
}
