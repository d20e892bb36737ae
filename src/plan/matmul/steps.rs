//! From an algorithm to kernel calls: for every part of a product (see `gemm::parts`) its operands are packed, its kernels called and, where several
//! shares of the depth leave partial sums, those added up.

use crate::ops::matmul::MatMulProblem;
use crate::plan::gemm::magnitudes::{Lines, range};
use crate::plan::gemm::method::{Call, Method, Store, Work};
use crate::plan::gemm::packing::{Bound, Packs, own_batch};
use crate::plan::gemm::parts::{Part, parts};
use crate::plan::gemm::splits::{partial_sums, sum_items};
use crate::plan::matmul::shape;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Range, Step};
use crate::shader::KernelSpec;
use crate::shader::source_gemm::MATMUL_SUM;
use crate::shader::uniforms::MatMulParams;
use crate::types::strided_axes::OperandAxis;
use crate::types::{ElementType, Result};

/// The kernel of a call for a part, with its epilogue and store.
fn kernel(call: &Call, part: &MatMulProblem, store: Store, profile: &DeviceProfile) -> KernelSpec {
    let KernelSpec { source, element, mut consts, overrides: own } = call.kernel(&shape(part), part.element, profile);
    let is_partial = store == Store::Partials;
    match call.work {
        Work::Tiles(_) => consts.extend(store.consts(element, profile)),
        _ if is_partial => consts.push(("PARTIAL", 1)),
        _ => {}
    }
    let overrides = if is_partial { own } else { [overrides(part), own].concat() };
    KernelSpec { source, element, consts, overrides }
}

/// Plans the calls of all parts.
pub(crate) fn plan_parts(problem: &MatMulProblem, profile: &DeviceProfile, method: &Method, plan: &mut Plan) -> Result<()> {
    let addend = if problem.reads_addend() { plan.inputs.get(2) } else { None };
    let parts = parts(problem, &method.memory, [&plan.inputs[0], &plan.inputs[1], &plan.outputs[0]], addend, profile)?;
    let mut packs = Packs::default();
    let mut measured = Vec::new();
    let mut partials = None;
    // The parts after the first are like it, but for rests that are multiples of four too.
    let in_vec4 = parts.iter().flatten().next().is_some_and(|part| part.in_vec4(problem));
    let store = if in_vec4 { Store::Columns } else { Store::Scalars };
    for depths in &parts {
        let shares = depths.len() as u64 * method.memory.splits;
        for (i, part) in depths.iter().enumerate() {
            let own = part.problem(problem);
            let (bounds, mut params) = bind(problem, part, &own, plan, profile);
            let [a, b, addend, residual, y] = bounds;
            // The first part is the largest: its partial sums leave room for those of the others.
            let target = match partials {
                _ if shares == 1 => y.place,
                Some(place) => place,
                None => {
                    plan.scratch.push(partial_sums(&shape(&own), shares, profile)?);
                    *partials.insert(BufferRef::Scratch(plan.scratch.len() - 1))
                }
            };
            params.first_part = i as u32 * method.memory.splits as u32;
            let ranges = match method.memory.halves {
                Some(_) => Some([measure(0, &own, a, plan, &mut measured, profile)?, measure(1, &own, b, plan, &mut measured, profile)?]),
                None => None,
            };
            for call in &method.calls {
                let mut params = params;
                let packed = method.memory.packed;
                let operands = match (&method.memory.halves, ranges) {
                    (Some(halves), Some(ranges)) if call.reads_halves() => packs.halves(&own, halves, [a, b], ranges, &mut params, plan, profile)?,
                    _ if packed[0].is_some() => packs.operands(&own, packed, [a, b], ranges, &mut params, plan, profile)?,
                    _ => [a.place, b.place],
                };
                let finishing = if shares == 1 { store } else { Store::Partials };
                let count = call.work.count(&shape(&own));
                (params.tiles_m, params.tiles_n, params.items) = (count.tiles[0] as u32, count.tiles[1] as u32, count.items as u32);
                let kernel = kernel(call, &own, finishing, profile);
                let added = if shares == 1 { [addend.place, residual.place] } else { [BufferRef::Nothing; 2] };
                let refs = operands.into_iter().chain(added).chain([target]).chain(ranges.into_iter().flatten()).collect();
                plan.steps.push(Step::new(kernel, &params, refs, count.workgroups, profile)?);
            }
            if shares > 1 && i + 1 == depths.len() {
                let items = sum_items(&shape(&own));
                params.items = items as u32;
                let mut consts = vec![("SPLITS", shares as u32)];
                consts.extend(store.consts(problem.element, profile));
                let kernel = KernelSpec { source: &MATMUL_SUM, element: problem.element, consts, overrides: overrides(problem) };
                let refs = vec![target, BufferRef::Nothing, addend.place, residual.place, y.place];
                plan.steps.push(Step::new(kernel, &params, refs, items.div_ceil(64), profile)?);
            }
        }
    }
    Ok(())
}

/// Operands, addend, residual and output of a part, and its numbers with the operands as the caller has them.
fn bind(problem: &MatMulProblem, part: &Part, own: &MatMulProblem, plan: &Plan, profile: &DeviceProfile) -> ([Bound; 5], MatMulParams) {
    let [a, b, addend, y] = part.ranges(problem, profile);
    let bound = |place, base| Bound { place, base };
    let input = |index, range: Range| bound(BufferRef::Input { index, first: range.first, bytes: range.bytes }, range.base);
    let nothing = bound(BufferRef::Nothing, 0);
    let addend = if problem.reads_addend() { input(2, addend) } else { nothing };
    let residual = if problem.has_residual { input(plan.inputs.len() - 1, y) } else { nothing };
    let output = bound(BufferRef::Output { index: 0, first: y.first, bytes: y.bytes }, y.base);
    let (a, b) = (input(0, a), input(1, b));
    ([a, b, addend, residual, output], params(own, problem.n, [a.base, b.base, addend.base, output.base]))
}

/// The range of what a part reads of input `index`, by its rows or columns, where it is f32: found once for parts that read the same.
fn measure(
    index: usize,
    part: &MatMulProblem,
    bound: Bound,
    plan: &mut Plan,
    done: &mut Vec<(BufferRef, Lines, BufferRef)>,
    profile: &DeviceProfile,
) -> Result<BufferRef> {
    if part.element != ElementType::F32 {
        return Ok(BufferRef::Nothing);
    }
    let (operand, outer) = if index == 0 { (&part.a, part.m) } else { (&part.b, part.n) };
    let own = own_batch(part, operand);
    let batch = std::array::from_fn(|i| [own[i], operand.batch[i]]);
    let lines = Lines { batch, base: bound.base, lines: [outer, operand.outer], elements: [part.k, operand.depth] };
    if let Some((_, _, found)) = done.iter().find(|(place, as_that, _)| (place, as_that) == (&bound.place, &lines)) {
        return Ok(*found);
    }
    let (steps, found) = range(plan, bound.place, &lines, profile)?;
    if plan.inputs[index].constant {
        plan.prepare.extend(steps);
    } else {
        plan.steps.extend(steps);
    }
    done.push((bound.place, lines, found));
    Ok(found)
}

fn overrides(problem: &MatMulProblem) -> Vec<(&'static str, u32)> {
    let all = [
        ("ACTIVATION", problem.activation.shader_id()),
        ("HAS_ADDEND", u32::from(problem.reads_addend())),
        ("HAS_RESIDUAL", u32::from(problem.has_residual)),
    ];
    all.into_iter().filter(|(_, value)| *value != 0).collect()
}

/// The numbers of a part with the operands as the caller has them; `pitch` is that of y.
fn params(problem: &MatMulProblem, pitch: u64, bases: [u32; 4]) -> MatMulParams {
    let [activation_alpha, activation_beta] = problem.activation.parameters();
    let addend = problem.addend.as_ref();
    let batch = |i: usize| {
        let strides = [problem.a.batch[i], problem.b.batch[i], addend.map_or(0, |c| c.batch[i])];
        OperandAxis { strides: strides.map(|s| s as i32), extent: problem.batch[i] as u32 }
    };
    MatMulParams {
        batch: [batch(0), batch(1), batch(2)],
        base: [bases[0], bases[1], bases[2]],
        y_base: bases[3],
        m: problem.m as u32,
        n: problem.n as u32,
        k: problem.k as u32,
        items: 0, // counted by the call, as tiles are
        tiles_m: 0,
        tiles_n: 0,
        a_stride_m: problem.a.outer as u32,
        a_stride_k: problem.a.depth as u32,
        b_stride_k: problem.b.depth as u32,
        b_stride_n: problem.b.outer as u32,
        addend_stride_m: addend.map_or(0, |c| c.rows as u32),
        addend_stride_n: addend.map_or(0, |c| c.columns as u32),
        alpha: problem.alpha,
        beta: problem.beta,
        activation_alpha,
        activation_beta,
        y_pitch: pitch as u32,
        first_part: 0,
        unused0: 0,
        unused1: 0,
    }
}
