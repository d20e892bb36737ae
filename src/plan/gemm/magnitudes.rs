//! The range of an operand of a product on cooperative matrices, found by `shaders/gemm/magnitudes.wgsl`: how far it must be scaled to lie in f16's range, and
//! whether one scale serves all of its lines.

use crate::plan::profile::DeviceProfile;
use crate::plan::row_threads::{row_iterations, threads};
use crate::plan::step::{BufferRef, Plan, Step};
use crate::shader::KernelSpec;
use crate::shader::source_gemm::{MAGNITUDES, MAGNITUDES_JOIN};
use crate::shader::uniforms::{MagnitudeJoinParams, MagnitudeParams};
use crate::types::strided_axes::OperandAxis;
use crate::types::{ElementType, Result};

/// Ranges that one workgroup of `shaders/gemm/magnitudes_join.wgsl` joins.
const CHUNK: u64 = 16_384;

/// f32 numbers that a GPU's memory delivers at once: so many neighbouring lines are read together at least.
const NEIGHBOURS: u32 = 8;

const WG_SIZE: &str = "WG_SIZE";

/// Threads of a workgroup, and those of a line. `lie_apart`: a line's elements do, and neighbours in memory are of neighbouring lines.
fn workgroup(length: u64, lines: u64, lie_apart: bool, profile: &DeviceProfile) -> [u32; 2] {
    let row_threads = threads(length, lines, profile);
    if profile.is_cpu {
        return [row_threads.max(64), row_threads];
    }
    let size = 1 << profile.max_workgroup_invocations.clamp(64, 256).ilog2();
    let few = row_threads.min(size / NEIGHBOURS);
    let serves = lie_apart && row_iterations(length, few) <= profile.max_loop_iterations;
    [size, if serves { few } else { row_threads }]
}

/// The lines of an f32 operand: what one row or column of the product reads of it, or a part of that. Strides count elements, and all lie below
/// 2^31.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lines {
    /// Extents and strides of the axes over which the lines repeat.
    pub batch: [[u64; 2]; 3],
    pub base: u32,
    /// Lines of one place of the batch, and how far apart they begin.
    pub lines: [u64; 2],
    /// Elements of a line, and how far apart they lie.
    pub elements: [u64; 2],
}

/// Steps that leave in a scratch buffer of `plan` the bits of the largest magnitude in `x`, and of the least magnitude that is the largest of a line
/// which is not all zeros.
pub(crate) fn range(plan: &mut Plan, x: BufferRef, lines: &Lines, profile: &DeviceProfile) -> Result<(Vec<Step>, BufferRef)> {
    let [length, stride] = lines.elements;
    let items = lines.batch.iter().map(|[extent, _]| extent).product::<u64>() * lines.lines[0];
    // Threads take neighbours in memory where a line's elements are that, lines where they are.
    let along = stride == 1 && length > 1;
    let [size, row_threads] = workgroup(length, items, !along, profile);
    profile.check_iterations("the range of an operand", row_iterations(length, row_threads))?;
    let params = MagnitudeParams {
        batch: lines.batch.map(|[extent, stride]| OperandAxis { strides: [stride as i32, 0, 0], extent: extent as u32 }),
        base: lines.base,
        lines: lines.lines[0] as u32,
        line_stride: lines.lines[1] as u32,
        items: items as u32,
        length: length as u32,
        stride: stride as u32,
        unused0: 0,
        unused1: 0,
    };
    let mut groups = items.div_ceil(u64::from(size / row_threads));
    let mut scratch = |groups: u64| {
        plan.scratch.push(groups * 8);
        BufferRef::Scratch(plan.scratch.len() - 1)
    };
    let mut output = scratch(groups);
    let overrides = if along { vec![("THREAD_FASTEST", 1)] } else { vec![] };
    let kernel = |source, consts, overrides| KernelSpec { source, element: ElementType::F32, consts, overrides };
    let mut steps = vec![Step::new(
        kernel(&MAGNITUDES, vec![(WG_SIZE, size), ("ROW_THREADS", row_threads)], overrides),
        &params,
        vec![x, output],
        groups,
        profile,
    )?];
    while groups > 1 {
        let (count, from) = (groups, output);
        groups = count.div_ceil(CHUNK);
        output = scratch(groups);
        let params = MagnitudeJoinParams { count: count as u32, unused0: 0, unused1: 0, unused2: 0 };
        steps.push(Step::new(kernel(&MAGNITUDES_JOIN, vec![(WG_SIZE, size)], vec![]), &params, vec![from, output], groups, profile)?);
    }
    Ok((steps, output))
}
