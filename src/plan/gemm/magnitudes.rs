//! The range of an operand of a product on cooperative matrices, found by `shaders/gemm/magnitudes.wgsl`: how far it must be scaled to lie in f16's range, and
//! whether one scale serves all of its lines.

use crate::plan::profile::DeviceProfile;
use crate::plan::row_threads::{lines_per_workgroup, row_consts, row_iterations, threads};
use crate::plan::step::{BufferRef, Plan, Step};
use crate::shader::KernelSpec;
use crate::shader::source_gemm::{MAGNITUDES, MAGNITUDES_JOIN};
use crate::shader::uniforms::{MagnitudeJoinParams, MagnitudeParams};
use crate::types::strided_axes::OperandAxis;
use crate::types::{ElementType, Result};

/// Ranges that one workgroup of `shaders/gemm/magnitudes_join.wgsl` joins.
const CHUNK: u64 = 4096;

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
    let row_threads = threads(length, items, profile);
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
    let mut groups = items.div_ceil(lines_per_workgroup(row_threads));
    let mut scratch = |groups: u64| {
        plan.scratch.push(groups * 8);
        BufferRef::Scratch(plan.scratch.len() - 1)
    };
    let mut output = scratch(groups);
    // Threads take neighbours in memory where a line's elements are that, lines where they are.
    let overrides = if stride == 1 && length > 1 { vec![("THREAD_FASTEST", 1)] } else { vec![] };
    let kernel = |source, consts, overrides| KernelSpec { source, element: ElementType::F32, consts, overrides };
    let mut steps = vec![Step::new(kernel(&MAGNITUDES, row_consts(row_threads), overrides), &params, vec![x, output], groups, profile)?];
    while groups > 1 {
        let (count, from) = (groups, output);
        groups = count.div_ceil(CHUNK);
        output = scratch(groups);
        let params = MagnitudeJoinParams { count: count as u32, unused0: 0, unused1: 0, unused2: 0 };
        steps.push(Step::new(kernel(&MAGNITUDES_JOIN, vec![], vec![]), &params, vec![from, output], groups, profile)?);
    }
    Ok((steps, output))
}
