//! From an algorithm to kernel calls: the filter is packed once; for every chunk of the batch that fits the bindings the kernels are called and, where
//! several workgroups share a depth, their partial sums added up.

use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::conv::matrix::Halves;
use crate::plan::conv::{BIAS, FILTER, implicit_gemm, matrix};
use crate::plan::gemm::magnitudes::range;
use crate::plan::gemm::method::{Memory, Method, Work};
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
    let halves = method.memory.halves.map(|halves| Halves::new(problem, halves.parts, halves.along_k));
    // What is f32 is measured before it is scaled, and may have to be computed by a kernel that reads it as it is.
    let is_ranged = halves.is_some() && problem.element == ElementType::F32;
    let filter = BufferRef::input(FILTER, &plan.inputs);
    let mut filter_range = BufferRef::Nothing;
    if is_ranged {
        let (steps, range) = range(plan, filter, &matrix::filter_lines(problem), profile)?;
        plan.prepare.extend(steps);
        filter_range = range;
    }
    let [weights, weight_halves] = pack_filters(problem, method, halves.as_ref().map(|halves| (halves, filter_range)), plan, profile)?;
    let x_image = problem.input_count() / problem.batch;
    let y_image = problem.output_count() / problem.batch;
    let halves_image = halves.map_or(0, |halves| halves.image_bytes(problem));
    let element = problem.element;
    let bytes = |elements: u64| elements * element.bytes();
    let tensors =
        [("one image of x", bytes(x_image)), ("one image of the output", bytes(y_image)), ("one image of x for cooperative matrices", halves_image)];
    let chunks = chunks(problem.batch, &tensors[..if halves_image > 0 { 3 } else { 2 }], profile)?;
    let images = chunks.iter().map(|chunk| chunk.count).max().unwrap_or(1);
    let mut scratch = |bytes: u64| {
        plan.scratch.push(bytes);
        BufferRef::Scratch(plan.scratch.len() - 1)
    };
    let x_halves = if halves_image > 0 { scratch(images * halves_image) } else { BufferRef::Nothing };
    let splits = method.memory.splits;
    let partials = if splits > 1 { scratch(partial_sums(&implicit_gemm::shape(problem, images), splits, profile)?) } else { BufferRef::Nothing };
    for chunk in chunks {
        let (x, y) = (chunk.range(x_image, element, profile), chunk.range(y_image, element, profile));
        let (shape, outputs) = (implicit_gemm::shape(problem, chunk.count), implicit_gemm::outputs_shape(problem, chunk.count));
        let params = ConvParams { batch: chunk.count as u32, x_base: x.base, y_base: y.base, ..params };
        let bias = if problem.has_bias { BufferRef::input(BIAS, &plan.inputs) } else { BufferRef::Nothing };
        let residual = match problem.has_residual {
            true => BufferRef::Input { index: plan.inputs.len() - 1, first: y.first, bytes: y.bytes },
            false => BufferRef::Nothing,
        };
        let output = BufferRef::Output { index: 0, first: y.first, bytes: y.bytes };
        let x_place = BufferRef::Input { index: 0, first: x.first, bytes: x.bytes };
        let mut x_range = BufferRef::Nothing;
        if is_ranged {
            let (steps, found) = range(plan, x_place, &matrix::pixel_lines(problem, chunk.count, x.base), profile)?;
            plan.steps.extend(steps);
            x_range = found;
        }
        if let Some(halves) = &halves {
            plan.steps.extend(halves.pack_input(problem, chunk.count, x.base, [x_place, x_range, x_halves], profile)?);
        }
        let ranges = halves.map(|_| [filter_range, x_range]);
        let target = if splits > 1 { [BufferRef::Nothing, BufferRef::Nothing, partials] } else { [bias, residual, output] };
        for call in &method.calls {
            let count = if let Work::Tiles(_) = call.work { call.work.count(&shape) } else { call.work.count(&outputs) };
            let [tiles_m, tiles_n] = count.tiles.map(|tiles| tiles as u32);
            let columns = if tiles_n > 0 { shape.columns as u32 } else { 0 };
            let params = ConvParams { columns, tiles_m, tiles_n, items: count.items as u32, ..params };
            let (params, operands) = match &halves {
                Some(halves) if call.reads_halves() => {
                    let x = if halves_image > 0 { x_halves } else { x_place };
                    (halves.params(problem, params), [x, weight_halves])
                }
                _ => (params, [x_place, weights]),
            };
            let refs = target.into_iter().chain(operands).chain(ranges.into_iter().flatten()).collect();
            plan.steps.push(Step::new(call.kernel(&shape, element, profile), &params, refs, count.workgroups, profile)?);
        }
        if splits > 1 {
            let items = sum_items(&shape);
            let params = ConvParams { columns: shape.columns as u32, items: items as u32, ..params };
            let refs = vec![bias, residual, output, partials, BufferRef::Nothing];
            plan.steps.push(Step::new(implicit_gemm::sum(problem, splits, profile), &params, refs, items.div_ceil(64), profile)?);
        }
    }
    Ok(())
}

/// Plans the packing of the filter as the kernels of `method` want it: for the cores that read its own numbers, and with its range as f16 for cooperative
/// matrices. The filter itself where no kernel wants it packed.
fn pack_filters(
    problem: &ConvProblem,
    method: &Method,
    halves: Option<(&Halves, BufferRef)>,
    plan: &mut Plan,
    profile: &DeviceProfile,
) -> Result<[BufferRef; 2]> {
    let filter = BufferRef::input(FILTER, &plan.inputs);
    let Memory { packed: [packed, _], halves: tiles, .. } = method.memory;
    let mut refs = [filter, BufferRef::Nothing];
    if packed.is_none() && tiles.is_none() {
        return Ok(refs);
    }
    let order = order_of_taps(problem, plan, profile)?;
    if let Some(packed) = packed {
        let [multiple, _] = packed.panels(problem.filters_per_group());
        let bytes = PackParams::count(problem, multiple, problem.taps()).saturating_mul(problem.element.bytes());
        check_binding("the packed filter", bytes, profile)?;
        let pack = PackParams::new(problem, multiple, problem.taps());
        plan.scratch.push(bytes);
        refs[0] = BufferRef::Scratch(plan.scratch.len() - 1);
        let kernel = KernelSpec { source: &CONV_PACK_FILTER, element: problem.element, consts: vec![], overrides: vec![] };
        plan.prepare.push(Step::new(kernel, &pack, vec![filter, order, refs[0]], u64::from(pack.items).div_ceil(64), profile)?);
    }
    if let (Some((halves, range)), Some(tiles)) = (halves, tiles) {
        let multiple = tiles.widths[0];
        let bytes = halves.filter_bytes(problem, multiple);
        check_binding("the packed filter", bytes, profile)?;
        plan.scratch.push(bytes);
        refs[1] = BufferRef::Scratch(plan.scratch.len() - 1);
        plan.prepare.push(halves.pack_filter(problem, multiple, [filter, order, range, refs[1]], profile)?);
    }
    Ok(refs)
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
