//! From an algorithm to kernel calls: the filter is packed once; for every chunk of the batch that fits the bindings the kernels are called and, where
//! several workgroups share a depth, their partial sums added up.

use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::conv::{BIAS, FILTER, implicit_gemm, matrix};
use crate::plan::gemm::magnitudes::range;
use crate::plan::gemm::method::{Method, Work};
use crate::plan::gemm::splits::{partial_sums, sum_items};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_binding, chunks};
use crate::plan::transform::gather::check_table;
use crate::shader::KernelSpec;
use crate::shader::source_gemm::CONV_PACK_FILTER;
use crate::shader::uniforms::{ConvParams, PackParams};
use crate::types::shape::PaddingMode;
use crate::types::{ElementType, Result};

/// Plans the calls of all chunks.
pub(crate) fn plan_chunks(problem: &ConvProblem, profile: &DeviceProfile, method: &Method, plan: &mut Plan) -> Result<()> {
    check_binding("filter", plan.inputs[FILTER].bytes(), profile)?;
    let params = ConvParams::new(problem);
    let weights = match method.memory.packed[0] {
        None => BufferRef::input(FILTER, &plan.inputs),
        Some(packed) => {
            let [multiple, _] = packed.panels(problem.filters_per_group());
            let bytes = PackParams::count(problem, multiple, problem.taps()).saturating_mul(problem.element.bytes());
            check_binding("the packed filter", bytes, profile)?;
            let pack = PackParams::new(problem, multiple, problem.taps());
            plan.scratch.push(bytes);
            let kernel = KernelSpec { source: &CONV_PACK_FILTER, element: problem.element, consts: vec![], overrides: vec![] };
            let refs = vec![BufferRef::input(FILTER, &plan.inputs), order_of_taps(problem, plan, profile)?, BufferRef::Scratch(0)];
            plan.prepare.push(Step::new(kernel, &pack, refs, u64::from(pack.items).div_ceil(64), profile)?);
            BufferRef::Scratch(0)
        }
    };
    let is_ranged = method.on_coop_matrix && problem.element == ElementType::F32;
    let mut filter_range = BufferRef::Nothing;
    if is_ranged {
        let filter = BufferRef::input(FILTER, &plan.inputs);
        let (steps, range) = range(plan, filter, &matrix::filter_lines(problem), profile)?;
        plan.prepare.extend(steps);
        filter_range = range;
    }
    let x_image = problem.input_count() / problem.batch;
    let y_image = problem.output_count() / problem.batch;
    let element = problem.element;
    let bytes = |elements: u64| elements * element.bytes();
    let chunks = chunks(problem.batch, &[("one image of x", bytes(x_image)), ("one image of the output", bytes(y_image))], profile)?;
    let splits = method.memory.splits;
    let partials = BufferRef::Scratch(plan.scratch.len());
    if splits > 1 {
        let images = chunks.iter().map(|chunk| chunk.count).max().unwrap_or(1);
        plan.scratch.push(partial_sums(&implicit_gemm::shape(problem, images), splits, profile)?);
    }
    for chunk in chunks {
        let (x, y) = (chunk.range(x_image, element, profile), chunk.range(y_image, element, profile));
        let (shape, outputs) = (implicit_gemm::shape(problem, chunk.count), implicit_gemm::outputs_shape(problem, chunk.count));
        let mut params = ConvParams { batch: chunk.count as u32, x_base: x.base, y_base: y.base, ..params };
        let bias = if problem.has_bias { BufferRef::input(BIAS, &plan.inputs) } else { BufferRef::Nothing };
        let residual = match problem.has_residual {
            true => BufferRef::Input { index: plan.inputs.len() - 1, first: y.first, bytes: y.bytes },
            false => BufferRef::Nothing,
        };
        let output = BufferRef::Output { index: 0, first: y.first, bytes: y.bytes };
        let x_place = BufferRef::Input { index: 0, first: x.first, bytes: x.bytes };
        let mut ranges = if method.on_coop_matrix { vec![filter_range, BufferRef::Nothing] } else { vec![] };
        if is_ranged {
            let (steps, x_range) = range(plan, x_place, &matrix::pixel_lines(problem, chunk.count, x.base), profile)?;
            plan.steps.extend(steps);
            ranges[1] = x_range;
        }
        let target = if splits > 1 { [BufferRef::Nothing, BufferRef::Nothing, partials] } else { [bias, residual, output] };
        for call in &method.calls {
            let count = if let Work::Tiles(_) = call.work { call.work.count(&shape) } else { call.work.count(&outputs) };
            let [tiles_m, tiles_n] = count.tiles.map(|tiles| tiles as u32);
            let columns = if tiles_n > 0 { shape.columns as u32 } else { 0 };
            params = ConvParams { columns, tiles_m, tiles_n, items: count.items as u32, ..params };
            let refs = target.into_iter().chain([x_place, weights]).chain(ranges.iter().copied()).collect();
            plan.steps.push(Step::new(call.kernel(&shape, element, profile), &params, refs, count.workgroups, profile)?);
        }
        if splits > 1 {
            let items = sum_items(&shape);
            params.items = items as u32;
            let refs = vec![bias, residual, output, partials, BufferRef::Nothing];
            plan.steps.push(Step::new(implicit_gemm::sum(problem, splits, profile), &params, refs, items.div_ceil(64), profile)?);
        }
    }
    Ok(())
}

/// A table of the taps in the order in which they are packed; nothing where that is their own.
fn order_of_taps(problem: &ConvProblem, plan: &mut Plan, profile: &DeviceProfile) -> Result<BufferRef> {
    if problem.taps_of_output() == problem.taps() {
        return Ok(BufferRef::Nothing);
    }
    check_table(problem.taps(), profile)?;
    plan.tables.push(problem.taps_by_phase().into_iter().map(|tap| tap as u32).collect());
    Ok(BufferRef::Table(plan.tables.len() - 1))
}

/// The overrides that every convolution kernel shares.
pub(crate) fn overrides(problem: &ConvProblem) -> Vec<(&'static str, u32)> {
    let mut overrides = Vec::new();
    let mut set = |name, value| {
        if value != 0 {
            overrides.push((name, value)); // 0 is every override's default
        }
    };
    set("ACTIVATION", problem.activation.shader_id());
    set("PADDING_MODE", PaddingMode::ALL.iter().position(|m| *m == problem.padding_mode).unwrap_or(0) as u32);
    set("TRANSPOSED", u32::from(problem.direction == Direction::Transposed));
    set("HAS_BIAS", u32::from(problem.has_bias));
    set("HAS_RESIDUAL", u32::from(problem.has_residual));
    overrides
}
