//! Reductions as [`Op`]s: a sequence of passes, each over one run of axes that lie together in memory.

use crate::numeric::sum_unit;
use crate::ops::Problem;
use crate::ops::reduce::{ArgmaxProblem, ReduceKind, ReduceProblem, output_axes};
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::parts::{self, Divisible, or_divide};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::row_threads::{LONGEST_SERIAL_LINE, line_at_once, lines_per_workgroup, row_consts, row_iterations, threads};
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_parts, check_tensors};
use crate::shader::KernelSpec;
use crate::shader::source::{REDUCE, REDUCE_ARGMAX, REDUCE_ARGMAX_PART, REDUCE_FIRST, REDUCE_LAST};
use crate::shader::uniforms::ReduceParams;
use crate::types::strided_axes::StridedAxes;
use crate::types::{ElementType, Error, Layout, Result};

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

    /// The element of x that a row begins with: a row is a chunk of an outer coordinate.
    fn begin(&self, row: u64) -> u64 {
        (row / self.chunks * self.total + row % self.chunks * self.length()) * self.inner
    }

    /// Rows one by one, each `at_once` elements of its lines after the other.
    fn parts_of_lines(&self, at_once: u64, element: ElementType, profile: &DeviceProfile) -> Result<Vec<Part>> {
        let pieces = self.total.div_ceil(at_once);
        check_parts("x", u128::from(self.outer) * u128::from(pieces))?;
        let part = |row: u64, first: u64| {
            let count = at_once.min(self.total - first);
            let range = Chunk { first: row * self.total + first, count }.range(self.inner, element, profile);
            let x_first = range.first / element.bytes();
            Part { first: row, end: row + 1, from: range.first, bytes: range.bytes, x_first, line: [first, count] }
        };
        Ok((0..self.outer).flat_map(|row| (0..pieces).map(move |piece| part(row, piece * at_once))).collect())
    }

    /// Rows whose elements fit one binding each.
    fn parts(&self, element: ElementType, profile: &DeviceProfile) -> Result<Vec<Part>> {
        let (rows, bytes) = (self.outer * self.chunks, element.bytes());
        let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
        let longest = self.length() * self.inner * bytes;
        let each = if self.begin(rows) * bytes <= limit { rows } else { limit.saturating_sub(profile.storage_alignment) / longest };
        if each == 0 {
            let (argument, limit_name) = ("one line of x and those beside it".into(), "max_storage_buffer_binding_size");
            return Err(Error::TooLarge { argument, needed: longest.into(), unit: "bytes", limit_name, limit });
        }
        check_parts("x", rows.div_ceil(each).into())?;
        let part = |first: u64| {
            let end = (first + each).min(rows);
            let from = self.begin(first) * bytes / profile.storage_alignment * profile.storage_alignment;
            Part { first, end, from, bytes: self.begin(end) * bytes - from, x_first: from / bytes, line: [0, self.length()] }
        };
        Ok((0..rows.div_ceil(each)).map(|i| part(i * each)).collect())
    }
}

/// Rows `first .. end` of a pass, and the range of x that they are in.
struct Part {
    first: u64,
    end: u64,
    from: u64,
    bytes: u64,
    /// The element that the range begins with.
    x_first: u64,
    /// Of each line the first element, and how many.
    line: [u64; 2],
}

/// Fewest results that fill a device with lines of their own.
const FEW_RESULTS: u64 = 256;

/// Elements of a chunk where a line is cut.
const CHUNK: u64 = 4096;

/// The passes over x's axes in memory order, the longest run of reduced axes first: what it leaves is smallest. `most` elements are a chunk with all lines
/// beside it at most.
fn passes(extents: &[(u64, bool)], cut: bool, most: u64) -> Vec<Pass> {
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
        let pieces = if total * inner > most { chunks.max((total * inner).div_ceil(most)) } else { chunks };
        // A line that cannot be halved is refused where its parts are made.
        let chunks = if pieces > total / 2 { 1 } else { pieces };
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
    (part, refs): (&Part, Vec<BufferRef>),
    profile: &DeviceProfile,
) -> Result<Step> {
    let params = ReduceParams {
        axes: strided_axes.padded(),
        items: (part.end * pass.inner) as u32,
        inner: pass.inner as u32,
        total: pass.total as u32,
        length: part.line[1] as u32,
        chunks: pass.chunks as u32,
        divisor,
        unit,
        first_item: (part.first * pass.inner) as u32,
        x_first: part.x_first as u32,
        first: part.line[0] as u32,
        unused1: 0,
        unused2: 0,
    };
    let results = (part.end - part.first) * pass.inner;
    Step::new(kernel, &params, refs, results.div_ceil(lines_per_workgroup(row_threads)), profile)
}

/// Elements of f32 that a binding holds wherever they begin.
fn most(profile: &DeviceProfile) -> u64 {
    (profile.max_binding_bytes.min(profile.max_buffer_bytes).saturating_sub(profile.storage_alignment) / 4).max(1)
}

/// What a part of a pass reads.
fn source_of(source: BufferRef, part: &Part) -> BufferRef {
    match source {
        BufferRef::Scratch(index) => BufferRef::ScratchPart { index, first: part.from, bytes: part.bytes },
        _ => BufferRef::Input { index: 0, first: part.from, bytes: part.bytes },
    }
}

/// x may be read in parts; y is bound whole.
fn check(op: &str, plan: &Plan, profile: &DeviceProfile) -> Result<()> {
    let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
    check_tensors(op, &tensors, profile)?;
    plan.outputs.iter().try_for_each(|tensor| check_binding(&tensor.name, tensor.bytes(), profile))
}

/// Axes of x in memory order: extent, whether it is reduced.
fn memory_axes(x: &[usize], reduced: &[bool], layout: Layout) -> Vec<(u64, bool)> {
    layout.memory_order(x.len()).into_iter().map(|axis| (x[axis] as u64, reduced[axis])).collect()
}

/// The axes that stay, the slowest first.
fn kept_axes(reduced: &[bool], layout: Layout) -> Vec<usize> {
    layout.memory_order(reduced.len()).into_iter().filter(|axis| !reduced[*axis]).collect()
}

/// Leaves these ranges of the axes that stay; the first coordinates in x and in y.
fn cut(x: &mut [usize], reduced: &[bool], layout: Layout, keepdims: bool, ranges: &[Chunk]) -> (Vec<u64>, Vec<u64>) {
    let mut first = vec![0; x.len()];
    for (axis, range) in kept_axes(reduced, layout).into_iter().zip(ranges) {
        (x[axis], first[axis]) = (range.count as usize, range.first);
    }
    let y = first.iter().zip(reduced).filter(|(_, reduced)| keepdims || !**reduced).map(|(first, _)| *first).collect();
    (first, y)
}

impl Planned for ReduceProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        let longest = passes(&memory_axes(&self.x, &self.reduced, self.layout), false, u64::MAX).iter().map(|pass| pass.total).max();
        if longest <= Some(LONGEST_SERIAL_LINE) { vec![DIRECT, TREE] } else { vec![TREE] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        or_divide(Self::plan_part(self, profile, algorithm), self, profile, algorithm)
    }
}

impl Divisible for ReduceProblem {
    type Part = Self;

    fn cut_extents(&self) -> Vec<u64> {
        kept_axes(&self.reduced, self.layout).iter().map(|&axis| self.x[axis] as u64).collect()
    }

    fn part(&self, ranges: &[Chunk]) -> Result<parts::Part<Self>> {
        let mut part = self.clone();
        let reduced = self.reduced.clone();
        let (x, y) = cut(&mut part.x, &reduced, self.layout, self.keepdims, ranges);
        Ok(parts::Part::of(part, vec![x], vec![y]))
    }

    fn plan_part(part: &Self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.plan_passes(profile, algorithm)
    }
}

impl ReduceProblem {
    /// The plan of all results.
    fn plan_passes(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&self.algorithms(profile), algorithm, TREE)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check("a reduction", &plan, profile)?;
        let passes = passes(&memory_axes(&self.x, &self.reduced, self.layout), algorithm == TREE, most(profile));
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
            for part in pass.parts(if first { self.element } else { ElementType::F32 }, profile)? {
                let refs = vec![source_of(source, &part), target];
                plan.steps.push(step(kernel.clone(), pass, &strided_axes, [divisor, unit], row_threads, (&part, refs), profile)?);
            }
            source = target;
        }
        Ok(plan)
    }
}

impl Planned for ArgmaxProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        let longest = passes(&memory_axes(&self.x, &self.reduced(), self.layout), false, u64::MAX).iter().map(|pass| pass.total).max();
        if longest <= Some(LONGEST_SERIAL_LINE) { vec![DIRECT, TREE] } else { vec![TREE] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        or_divide(Self::plan_part(self, profile, algorithm), self, profile, algorithm)
    }
}

impl Divisible for ArgmaxProblem {
    type Part = Self;

    fn cut_extents(&self) -> Vec<u64> {
        kept_axes(&self.reduced(), self.layout).iter().map(|&axis| self.x[axis] as u64).collect()
    }

    fn part(&self, ranges: &[Chunk]) -> Result<parts::Part<Self>> {
        let mut part = self.clone();
        let reduced = self.reduced();
        let (x, y) = cut(&mut part.x, &reduced, self.layout, self.keepdims, ranges);
        Ok(parts::Part::of(part, vec![x], vec![y]))
    }

    fn plan_part(part: &Self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.plan_lines(profile, algorithm)
    }
}

impl ArgmaxProblem {
    /// The plan of all results.
    fn plan_lines(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&self.algorithms(profile), algorithm, TREE)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check("an argmax", &plan, profile)?;
        let reduced = self.reduced();
        // One run of axes: one axis, or all of them.
        let pass = passes(&memory_axes(&self.x, &reduced, self.layout), false, u64::MAX)[0];
        let at_once = line_at_once([pass.outer, pass.total, pass.inner], self.element, profile)?;
        let is_whole = at_once == pass.total;
        let lines = if is_whole { pass.results() } else { pass.inner };
        let row_threads = if algorithm == TREE { threads(at_once, lines, profile) } else { 1 };
        profile.check_iterations(algorithm, row_iterations(at_once, row_threads))?;
        let strided_axes = output_axes(&self.x, &reduced, self.layout, &self.y(), self.y_layout(), self.keepdims)?;
        let flags = [("SELECT_LAST", u32::from(self.select_last)), ("THREAD_FASTEST", u32::from(pass.inner == 1))];
        let kernel = KernelSpec {
            source: if is_whole { &REDUCE_ARGMAX } else { &REDUCE_ARGMAX_PART },
            element: self.element,
            consts: [("AXES", strided_axes.axes.len() as u32)].into_iter().chain(row_consts(row_threads)).collect(),
            overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
        };
        let parts = if is_whole { pass.parts(self.element, profile)? } else { pass.parts_of_lines(at_once, self.element, profile)? };
        if !is_whole {
            check_binding("the best of lines so far", 8 * pass.inner, profile)?;
            plan.scratch.push(8 * pass.inner);
        }
        for part in parts {
            let mut refs = vec![source_of(BufferRef::input(0, &plan.inputs), &part), BufferRef::output(0, &plan.outputs)];
            let mut kernel = kernel.clone();
            if !is_whole {
                refs.push(BufferRef::Scratch(0));
                let [first, count] = part.line;
                let ends = [("FIRST", u32::from(first == 0)), ("LAST", u32::from(first + count == pass.total))];
                kernel.overrides.extend(ends.into_iter().filter(|(_, value)| *value != 0));
            }
            plan.steps.push(step(kernel, &pass, &strided_axes, [1.0; 2], row_threads, (&part, refs), profile)?);
        }
        Ok(plan)
    }
}
