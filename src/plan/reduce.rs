//! Reductions as [`Op`]s: a sequence of passes, each over one run of axes that lie together in memory.

use crate::numeric::sum_unit;
use crate::ops::Problem;
use crate::ops::reduce::{ArgmaxProblem, ReduceKind, ReduceProblem, output_axes};
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::row_threads::{LONGEST_SERIAL_LINE, lines_per_workgroup, row_consts, row_iterations, threads};
use crate::plan::step::{BufferRef, Plan, Step, check_binding, check_tensors};
use crate::shader::KernelSpec;
use crate::shader::source::{REDUCE, REDUCE_ARGMAX, REDUCE_FIRST, REDUCE_LAST};
use crate::shader::uniforms::ReduceParams;
use crate::types::strided_axes::StridedAxes;
use crate::types::{ElementType, Result};

/// One result per invocation, or lines that several invocations share, a long one first cut into chunks.
const DIRECT: &str = "direct";

const TREE: &str = "tree";

/// x as [outer][total][inner] becomes [outer][chunks][inner].
#[derive(Clone, Copy)]
struct Pass {
    outer: u64,
    total: u64,
    inner: u64,
    chunks: u64,
}

impl Pass {
    fn results(&self) -> u64 {
        self.outer * self.chunks * self.inner
    }

    fn length(&self) -> u64 {
        self.total.div_ceil(self.chunks)
    }
}

/// Fewest results that fill a device with lines of their own.
const FEW_RESULTS: u64 = 256;

/// Elements of a chunk where a line is cut.
const CHUNK: u64 = 4096;

/// The passes over x's axes in memory order, the longest run of reduced axes first: what it leaves is smallest.
fn passes(extents: &[(u64, bool)], cut: bool) -> Vec<Pass> {
    let mut runs: Vec<(u64, bool)> = Vec::new();
    for &(extent, reduced) in extents {
        match runs.last_mut() {
            Some((whole, same)) if *same == reduced => *whole *= extent,
            _ => runs.push((extent, reduced)),
        }
    }
    let mut passes = Vec::new();
    while let Some((i, _)) = runs.iter().enumerate().filter(|(_, (_, reduced))| *reduced).max_by_key(|(_, (extent, _))| *extent) {
        let product = |part: &[(u64, bool)]| part.iter().map(|(extent, _)| extent).product::<u64>();
        let (outer, total, inner) = (product(&runs[..i]), runs[i].0, product(&runs[i + 1..]));
        let chunks = if cut && (total > 16 * CHUNK || (outer * inner < FEW_RESULTS && total >= 4 * CHUNK)) { total.div_ceil(CHUNK) } else { 1 };
        // Whole chunks: rounding the length up may leave the last ones empty.
        let chunks = total.div_ceil(total.div_ceil(chunks));
        passes.push(Pass { outer, total, inner, chunks });
        if chunks > 1 {
            runs[i].0 = chunks;
        } else {
            runs.remove(i);
        }
    }
    if passes.is_empty() {
        passes.push(Pass { outer: 1, total: 1, inner: product_of(extents), chunks: 1 }); // nothing to reduce: a copy
    }
    passes
}

fn product_of(extents: &[(u64, bool)]) -> u64 {
    extents.iter().map(|(extent, _)| extent).product()
}

fn step(
    kernel: KernelSpec,
    pass: &Pass,
    strided_axes: &StridedAxes,
    [divisor, unit]: [f32; 2],
    row_threads: u32,
    refs: Vec<BufferRef>,
    profile: &DeviceProfile,
) -> Result<Step> {
    let params = ReduceParams {
        axes: strided_axes.padded(),
        items: pass.results() as u32,
        inner: pass.inner as u32,
        total: pass.total as u32,
        length: pass.length() as u32,
        chunks: pass.chunks as u32,
        divisor,
        unit,
        unused1: 0,
    };
    Step::new(kernel, &params, refs, pass.results().div_ceil(lines_per_workgroup(row_threads)), profile)
}

fn check(op: &str, plan: &Plan, profile: &DeviceProfile) -> Result<()> {
    let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
    check_tensors(op, &tensors, profile)?;
    tensors.iter().try_for_each(|tensor| check_binding(&tensor.name, tensor.bytes(), profile))
}

/// Axes of x in memory order: extent, whether it is reduced.
fn memory_axes(x: &[usize], reduced: &[bool], layout: crate::types::shape::Layout) -> Vec<(u64, bool)> {
    layout.memory_order(x.len()).into_iter().map(|axis| (x[axis] as u64, reduced[axis])).collect()
}

impl Planned for ReduceProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        let longest = passes(&memory_axes(&self.x, &self.reduced, self.layout), false).iter().map(|pass| pass.total).max();
        if longest <= Some(LONGEST_SERIAL_LINE) { vec![DIRECT, TREE] } else { vec![TREE] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&self.algorithms(profile), algorithm, TREE)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check("a reduction", &plan, profile)?;
        let passes = passes(&memory_axes(&self.x, &self.reduced, self.layout), algorithm == TREE);
        let mut source = BufferRef::input(0, &plan.inputs);
        for (i, pass) in passes.iter().enumerate() {
            let (first, last) = (i == 0, i + 1 == passes.len());
            let row_threads = if algorithm == TREE { threads(pass.length(), pass.results(), profile) } else { 1 };
            let (kernel_source, element) = match (first, last) {
                (true, true) => (&REDUCE, self.element),
                (true, false) => (&REDUCE_FIRST, self.element),
                (false, true) => (&REDUCE_LAST, self.element),
                (false, false) => (&REDUCE, ElementType::F32),
            };
            let strided_axes = if last {
                output_axes(&self.x, &self.reduced, self.layout, &self.y(), self.y_layout(), self.keepdims)?
            } else {
                StridedAxes::new(&[(pass.results(), [0, 0, 1])])
            };
            let target = if last {
                BufferRef::output(0, &plan.outputs)
            } else {
                check_binding("partial results of the reduction", pass.results() * 4, profile)?;
                plan.scratch.push(pass.results() * 4);
                BufferRef::Scratch(plan.scratch.len() - 1)
            };
            let kind = match self.kind {
                ReduceKind::Sum | ReduceKind::Mean => 0,
                ReduceKind::Max => 1,
                ReduceKind::Min => 2,
                ReduceKind::Prod => 3,
            };
            let mean = last && self.kind == ReduceKind::Mean;
            let flags = [("KIND", kind), ("MEAN", u32::from(mean)), ("THREAD_FASTEST", u32::from(pass.inner == 1))];
            let kernel = KernelSpec {
                source: kernel_source,
                element,
                consts: [("AXES", strided_axes.axes.len() as u32)].into_iter().chain(row_consts(row_threads)).collect(),
                overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
            };
            // A mean sums in a unit of which no sum leaves f32.
            let unit = if self.kind == ReduceKind::Mean { sum_unit(self.reduced_count()) } else { 1.0 };
            let divisor = if mean { self.reduced_count() as f32 * unit } else { 1.0 };
            let unit = if first { unit } else { 1.0 };
            plan.steps.push(step(kernel, pass, &strided_axes, [divisor, unit], row_threads, vec![source, target], profile)?);
            source = target;
        }
        Ok(plan)
    }
}

impl Planned for ArgmaxProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        let longest = passes(&memory_axes(&self.x, &self.reduced(), self.layout), false).iter().map(|pass| pass.total).max();
        if longest <= Some(LONGEST_SERIAL_LINE) { vec![DIRECT, TREE] } else { vec![TREE] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&self.algorithms(profile), algorithm, TREE)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check("an argmax", &plan, profile)?;
        let reduced = self.reduced();
        // One run of axes: one axis, or all of them.
        let pass = passes(&memory_axes(&self.x, &reduced, self.layout), false)[0];
        let row_threads = if algorithm == TREE { threads(pass.total, pass.results(), profile) } else { 1 };
        profile.check_iterations(algorithm, row_iterations(pass.total, row_threads))?;
        let strided_axes = output_axes(&self.x, &reduced, self.layout, &self.y(), self.y_layout(), self.keepdims)?;
        let flags = [("SELECT_LAST", u32::from(self.select_last)), ("THREAD_FASTEST", u32::from(pass.inner == 1))];
        let kernel = KernelSpec {
            source: &REDUCE_ARGMAX,
            element: self.element,
            consts: [("AXES", strided_axes.axes.len() as u32)].into_iter().chain(row_consts(row_threads)).collect(),
            overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
        };
        let refs = vec![BufferRef::input(0, &plan.inputs), BufferRef::output(0, &plan.outputs)];
        plan.steps.push(step(kernel, &pass, &strided_axes, [1.0; 2], row_threads, refs, profile)?);
        Ok(plan)
    }
}
