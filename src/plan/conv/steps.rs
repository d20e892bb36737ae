//! From an algorithm to kernel calls: the filter is packed once; for every slice of the batch that fits the bindings the kernels are called and, where
//! several workgroups share a depth, their partial sums added up.

use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::conv::{BIAS, FILTER, implicit_gemm, matrix};
use crate::plan::gemm::magnitudes::range;
use crate::plan::gemm::method::Method;
use crate::plan::gemm::splits::{partial_sums, sum_items};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Place, Plan, Step, check_binding, slices};
use crate::shader::KernelSpec;
use crate::shader::source_gemm::CONV_PACK_FILTER;
use crate::shader::uniforms::{ConvParams, PackParams};
use crate::types::shape::PaddingMode;
use crate::types::{ElementType, Result};

/// Plans the calls of all slices.
pub(crate) fn plan_slices(problem: &ConvProblem, profile: &DeviceProfile, method: &Method, plan: &mut Plan) -> Result<()> {
    check_binding("filter", plan.inputs[FILTER].bytes(), profile)?;
    let params = ConvParams::new(problem);
    let weights = match method.memory.packed[0] {
        None => Place::input(FILTER, &plan.inputs),
        Some(packed) => {
            let [multiple, _] = packed.panels(problem.filters_per_group());
            let bytes = PackParams::count(problem, multiple, problem.taps()).saturating_mul(problem.element.bytes());
            check_binding("the packed filter", bytes, profile)?;
            let pack = PackParams::new(problem, multiple, problem.taps());
            plan.scratch.push(bytes);
            let kernel = KernelSpec { source: &CONV_PACK_FILTER, element: problem.element, consts: vec![], overrides: vec![] };
            let places = vec![Place::input(FILTER, &plan.inputs), Place::Scratch(0)];
            plan.prepare.push(Step::new(kernel, &pack, places, u64::from(pack.items).div_ceil(64), profile)?);
            Place::Scratch(0)
        }
    };
    let is_ranged = method.on_matrix_units && problem.element == ElementType::F32;
    let mut filter_range = Place::Nothing;
    if is_ranged {
        let filter = Place::input(FILTER, &plan.inputs);
        let (steps, range) = range(plan, filter, &matrix::filter_lines(problem), profile)?;
        plan.prepare.extend(steps);
        filter_range = range;
    }
    let x_image = problem.input_count() / problem.batch;
    let y_image = problem.output_count() / problem.batch;
    let element = problem.element;
    let bytes = |elements: u64| elements * element.bytes();
    let slices = slices(problem.batch, &[("one image of x", bytes(x_image)), ("one image of the output", bytes(y_image))], profile)?;
    let splits = method.memory.splits;
    let partials = Place::Scratch(plan.scratch.len());
    if splits > 1 {
        let images = slices.iter().map(|slice| slice.count).max().unwrap_or(1);
        plan.scratch.push(partial_sums(&implicit_gemm::shape(problem, images), splits, profile)?);
    }
    for slice in slices {
        let (x, y) = (slice.range(x_image, element, profile), slice.range(y_image, element, profile));
        let shape = implicit_gemm::shape(problem, slice.count);
        let mut params = ConvParams { batch: slice.count as u32, x_base: x.base, y_base: y.base, ..params };
        let bias = if problem.has_bias { Place::input(BIAS, &plan.inputs) } else { Place::Nothing };
        let residual = match problem.has_residual {
            true => Place::Input { index: plan.inputs.len() - 1, first: y.first, bytes: y.bytes },
            false => Place::Nothing,
        };
        let output = Place::Output { index: 0, first: y.first, bytes: y.bytes };
        let x_place = Place::Input { index: 0, first: x.first, bytes: x.bytes };
        let mut ranges = if method.on_matrix_units { vec![filter_range, Place::Nothing] } else { vec![] };
        if is_ranged {
            let (steps, x_range) = range(plan, x_place, &matrix::pixel_lines(problem, slice.count, x.base), profile)?;
            plan.steps.extend(steps);
            ranges[1] = x_range;
        }
        let target = if splits > 1 { [Place::Nothing, Place::Nothing, partials] } else { [bias, residual, output] };
        for call in &method.calls {
            let count = call.work.count(&shape);
            let [tiles_m, tiles_n] = count.tiles.map(|tiles| tiles as u32);
            let columns = if tiles_n > 0 { shape.columns as u32 } else { 0 };
            params = ConvParams { columns, tiles_m, tiles_n, items: count.items as u32, ..params };
            let places = target.into_iter().chain([x_place, weights]).chain(ranges.iter().copied()).collect();
            plan.steps.push(Step::new(call.kernel(&shape, element, profile), &params, places, count.workgroups, profile)?);
        }
        if splits > 1 {
            let items = sum_items(&shape);
            params.items = items as u32;
            let places = vec![bias, residual, output, partials, Place::Nothing];
            plan.steps.push(Step::new(implicit_gemm::sum(problem, splits, profile), &params, places, items.div_ceil(64), profile)?);
        }
    }
    Ok(())
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
