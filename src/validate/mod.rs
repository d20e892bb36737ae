//! Checks on the machine at hand: every algorithm is forced over a grid of problems that walks the edges, and each run is held to
//! four checks: exact, bounded, guarded, repeatable (see docs/verification.md).

pub mod compare;
pub mod data;
mod elsewhere;
mod evidence;
pub mod grid;
mod grid_bands;
mod grid_conv;
mod grid_conv_blocks;
mod grid_conv_phases;
mod grid_elementwise;
mod grid_gradient;
mod grid_image;
mod grid_matmul;
mod grid_parts;
mod grid_pool;
mod grid_positions;
mod grid_rows;
mod grid_transform;

pub use elsewhere::Elsewhere;
pub use evidence::{Call, Evidence, Operand, Written, evidence};

use crate::gpu::Gpu;
use crate::gpu::adapter::AdapterReport;
use crate::gpu::prepared::Prepared;
use crate::gpu::tensor::Tensor;
use crate::numeric::{Generator, bound};
use crate::ops::spec::TensorSpec;
use crate::ops::{Op, Problem};
use crate::plan::Planned;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::Plan;
use crate::reference::{Bounded, Referenced};
use crate::types::{Element, ElementType, Error, Result};
use crate::validate::data::Data;
use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use std::ops::ControlFlow;
use web_time::Instant;

/// Limits below those of every adapter, on which ops are computed in parts or refused with need and limit.
pub fn tiny_limits() -> wgpu::Limits {
    wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 20,
        max_compute_workgroups_per_dimension: 64,
        max_storage_buffers_per_shader_stage: 4,
        max_compute_workgroup_storage_size: 16 << 10,
        ..wgpu::Limits::downlevel_defaults()
    }
}

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only cases whose id contains this.
    pub only: Option<String>,
    /// The full grid instead of the quick one.
    pub full: bool,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "detail")]
pub enum Outcome {
    /// All four checks hold.
    Passed,
    /// Which check failed, and where.
    Failed(String),
    /// Why the case cannot run here.
    Skipped(String),
}

/// One algorithm on one problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// `<op>/<algorithm>/<problem>`; give it to `--only` to run this case again.
    pub id: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How far a run has come; sent after each case.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Cases done.
    pub done: usize,
    /// Cases to do.
    pub total: usize,
    /// The case just done.
    pub result: &'a CaseResult,
    /// What it took: both kinds of data, the reference, every run. The pipelines of neighbouring cases are made beforehand, several at once;
    /// that time is in none of them.
    pub seconds: f64,
}

/// A whole run, to be sent on.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The adapter.
    pub adapter: AdapterReport,
    /// Version of this crate.
    pub version: &'static str,
    /// Every case.
    pub results: Vec<CaseResult>,
}

impl Report {
    /// Passed, failed, skipped.
    pub fn counts(&self) -> [usize; 3] {
        let count = |wanted: fn(&Outcome) -> bool| self.results.iter().filter(|r| wanted(&r.outcome)).count();
        [count(|o| matches!(o, Outcome::Passed)), count(|o| matches!(o, Outcome::Failed(_))), count(|o| matches!(o, Outcome::Skipped(_)))]
    }
}

/// An op and the algorithm that it is forced to.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The problem.
    pub op: Op,
    /// One of its algorithms, with a tile where the case is about one.
    pub algorithm: String,
    /// What is different about the device that it is planned for.
    pub elsewhere: Option<Elsewhere>,
}

impl Case {
    /// `op` by `algorithm`, planned for the device at hand.
    pub fn new(op: impl Into<Op>, algorithm: impl Into<String>) -> Self {
        Self { op: op.into(), algorithm: algorithm.into(), elsewhere: None }
    }

    /// `<op>/<algorithm>/<problem>`: what `--only` matches.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.op.name(), self.algorithm, self.problem_id())
    }

    /// The problem, and what is different about the device: what its data depend on.
    fn problem_id(&self) -> String {
        self.elsewhere.map_or_else(|| self.op.to_string(), |elsewhere| format!("{}{elsewhere}", self.op))
    }

    /// The profile that it is planned for on a device of this one.
    pub fn profile(&self, profile: &DeviceProfile) -> DeviceProfile {
        self.elsewhere.map_or(*profile, |elsewhere| elsewhere.profile(profile))
    }

    /// Its plan on a device of this profile.
    ///
    /// # Errors
    /// As [`Planned::plan`].
    pub fn plan(&self, profile: &DeviceProfile) -> Result<Plan> {
        self.op.plan(&self.profile(profile), Some(&self.algorithm))
    }
}

/// Runs the grid on `gpu`: [`run_cases`] over those of its cases that `options` admit.
///
/// # Errors
/// As [`run_cases`].
pub fn run(gpu: &Gpu, options: &Options, progress: &mut dyn FnMut(&Progress<'_>)) -> Result<Report> {
    let wanted = |case: &Case| options.only.as_deref().is_none_or(|only| case.id().contains(only));
    let cases: Vec<Case> = grid::cases(options.full)?.into_iter().filter(wanted).collect();
    let results = run_cases(gpu, &cases, &mut |done| {
        progress(done);
        ControlFlow::Continue(())
    })?;
    Ok(Report { adapter: gpu.report().clone(), version: env!("CARGO_PKG_VERSION"), results })
}

/// Runs `cases` in turn and tells `progress` of each when it is done; `Break` ends the run there. Thousands of pipelines would take many
/// gigabytes on a software driver; those used last are kept ([`Gpu::set_pipeline_limit`]).
///
/// # Errors
/// Loss of the device. Whatever else goes wrong in a case is that case's failure.
pub fn run_cases(gpu: &Gpu, cases: &[Case], progress: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>) -> Result<Vec<CaseResult>> {
    let mut results = Vec::with_capacity(cases.len());
    // Cases whose pipelines are made at once, on all cores: most of a run is the driver's compiler. Few for each core, so that a run which is
    // to end need not wait for long.
    let together = 4 * rayon::current_num_threads();
    let mut known = Known::default();
    for together in cases.chunks(together) {
        let plans: Vec<_> = together.iter().filter_map(|case| case.plan(gpu.profile()).ok()).collect();
        // What cannot be planned or compiled is found once more by the case that needs it, and named there.
        let _ = gpu.compile(&plans.iter().collect::<Vec<_>>());
        for case in together {
            let start = Instant::now();
            let outcome = match verify_known(gpu, case, &mut known) {
                Ok(outcome) => outcome,
                Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
                Err(error) => Outcome::Failed(error.to_string()),
            };
            let seconds = start.elapsed().as_secs_f64();
            let result = CaseResult { id: case.id(), outcome };
            let next = progress(&Progress { done: results.len() + 1, total: cases.len(), result: &result, seconds });
            results.push(result);
            if next.is_break() {
                return Ok(results);
            }
        }
    }
    Ok(results)
}

/// Holds one algorithm on one problem to the four checks.
///
/// # Errors
/// What preparing or running it returns.
pub fn verify(gpu: &Gpu, case: &Case) -> Result<Outcome> {
    verify_known(gpu, case, &mut Known::default())
}

/// As [`verify`], with what is known of the problem from the case before.
fn verify_known(gpu: &Gpu, case: &Case, known: &mut Known) -> Result<Outcome> {
    let (op, algorithm) = (&case.op, case.algorithm.as_str());
    let halves = op.inputs().iter().chain(&op.outputs()).any(|spec| spec.tensor.element == ElementType::F16);
    if halves && !gpu.profile().has_f16 {
        return Ok(Outcome::Skipped("the device has no f16".into()));
    }
    let name = algorithm.split(' ').next().unwrap_or(algorithm);
    if !op.algorithms(&case.profile(gpu.profile())).contains(&name) {
        return Ok(Outcome::Skipped(format!("the device does not admit {algorithm}")));
    }
    // A tile that the device cannot hold is skipped, and so is what needs more than a limit allows where another algorithm computes the op or the limit is one
    // that WebGPU's defaults are above; with the reason. Those defaults have enough for all.
    match case.plan(gpu.profile()) {
        Err(Error::Unsupported { reason, .. }) if algorithm.contains(' ') => return Ok(Outcome::Skipped(reason)),
        Err(error @ Error::TooLarge { .. }) if gpu.profile().is_below_defaults() || op.plan(gpu.profile(), None).is_ok() => {
            return Ok(Outcome::Skipped(error.to_string()));
        }
        _ => {}
    }
    for data in [Data::Exact, Data::Real, Data::Mixed, Data::Special] {
        if data == Data::Special && !op.is_local(algorithm) {
            continue;
        }
        if let Some(failure) = verify_data(gpu, case, data, known)? {
            return Ok(Outcome::Failed(failure));
        }
    }
    Ok(Outcome::Passed)
}

/// Runs twice on one kind of data; `Some` says which check failed.
fn verify_data(gpu: &Gpu, case: &Case, data: Data, known: &mut Known) -> Result<Option<String>> {
    Ok(observe(gpu, case, data, false, known)?.failure(&case.op, &case.algorithm, data))
}

/// What went into the runs on one kind of data and what came out of them.
pub(crate) struct Observed {
    /// What in-out tensors hold beforehand, then the inputs.
    operands: Vec<Vec<f64>>,
    expected: Vec<Bounded>,
    /// By output, after the first run: whether its guard words are untouched, and how many of its elements were never written.
    guards: Vec<(bool, usize)>,
    got: Vec<Vec<f64>>,
    /// Of the second run; none where the first had already failed, unless it was asked for.
    again: Option<Vec<Vec<f64>>>,
}

/// Operands and what the reference makes of them, of one problem: cases that differ by their algorithm alone follow each other.
#[derive(Default)]
pub(crate) struct Known {
    problem: String,
    sets: Vec<(Data, Vec<Vec<f64>>, Vec<Bounded>)>,
}

impl Known {
    /// Operands of a case for one kind of data, and the expected outputs with the errors that its algorithm may make.
    fn of(&mut self, case: &Case, data: Data) -> (Vec<Vec<f64>>, Vec<Bounded>) {
        let problem = format!("{}/{}", case.op.name(), case.problem_id());
        if self.problem != problem {
            *self = Self { problem, sets: vec![] };
        }
        let known = match self.sets.iter().position(|(kind, ..)| *kind == data) {
            Some(known) => known,
            None => {
                let mut generator = Generator::from_text(&case.problem_id());
                let (inputs, outputs) = (case.op.inputs(), case.op.outputs());
                let specs = outputs.iter().filter(|spec| spec.in_out).chain(&inputs);
                let operands: Vec<Vec<f64>> = specs.map(|spec| data.fill(spec, case.op.terms(), &mut generator)).collect();
                let expected = case.op.reference(&operands.iter().map(Vec::as_slice).collect::<Vec<_>>());
                self.sets.push((data, operands, expected));
                self.sets.len() - 1
            }
        };
        let (_, operands, mut expected) = self.sets[known].clone();
        case.op.bound_for(&case.algorithm, &operands.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut expected);
        (operands, expected)
    }
}

/// Runs `algorithm` on one kind of data, and once more if all was right or `twice` asks for it.
pub(crate) fn observe(gpu: &Gpu, case: &Case, data: Data, twice: bool, known: &mut Known) -> Result<Observed> {
    let (op, algorithm) = (&case.op, case.algorithm.as_str());
    let (inputs, outputs) = (op.inputs(), op.outputs());
    let (operands, expected) = known.of(case, data);
    let mut observed = Observed { operands, expected, guards: vec![], got: vec![], again: None };
    if observed.verifies_nothing(&outputs) && !twice {
        return Ok(observed);
    }
    let (held, given) = observed.operands.split_at(observed.operands.len() - inputs.len());
    let tensors: Vec<Tensor> = inputs.iter().zip(given).map(|(spec, values)| upload(gpu, spec, values)).collect::<Result<_>>()?;
    let part =
        |constant: bool| -> Vec<&Tensor> { inputs.iter().zip(&tensors).filter(|(spec, _)| spec.constant == constant).map(|(_, t)| t).collect() };
    let prepared = Prepared::with_plan(gpu, case.plan(gpu.profile())?, &part(true))?;
    let run = || -> Result<(Vec<Tensor>, Vec<Vec<f64>>)> {
        let mut held = held.iter();
        let guarded: Vec<Tensor> =
            outputs.iter().map(|spec| guard(gpu, spec, if spec.in_out { held.next() } else { None })).collect::<Result<_>>()?;
        let mut recorder = gpu.recorder();
        prepared.record(&mut recorder, &part(false), &guarded.iter().collect::<Vec<_>>())?;
        recorder.submit()?;
        let values = guarded.iter().map(download).collect::<Result<_>>()?;
        Ok((guarded, values))
    };
    let (guarded, got) = run()?;
    for tensor in &guarded {
        let read = tensor.read_guarded()?;
        observed.guards.push((read.untouched_guards, read.unwritten));
    }
    drop(guarded);
    observed.got = got;
    // Mixed data take the same arithmetic as real numbers, which two runs have shown to repeat.
    if twice || (data != Data::Mixed && observed.failure(op, algorithm, data).is_none()) {
        observed.again = Some(run()?.1);
    }
    Ok(observed)
}

impl Observed {
    /// As benchdnn's trust check: a case whose results are all zero tests nothing.
    fn verifies_nothing(&self, outputs: &[TensorSpec]) -> bool {
        outputs.iter().zip(&self.expected).all(|(spec, e)| spec.tensor.element != ElementType::U32 && e.value.iter().all(|v| *v == 0.0))
    }

    /// Which check failed, and where.
    fn failure(&self, op: &Op, algorithm: &str, data: Data) -> Option<String> {
        let outputs = op.outputs();
        if self.verifies_nothing(&outputs) {
            return Some("every expected value is zero, so the case verifies nothing".into());
        }
        for (spec, (untouched, unwritten)) in outputs.iter().zip(&self.guards) {
            if !untouched {
                return Some(format!("guarded: a guard word beside {} was overwritten", spec.name));
            }
            if *unwritten > 0 {
                return Some(format!("guarded: {unwritten} of {} elements of {} were never written", spec.count(), spec.name));
            }
        }
        let exact = data == Data::Exact && op.is_exact_for(algorithm);
        let lost = if data == Data::Mixed { lost_below_normal(op, &self.operands) } else { 0.0 };
        for (output, ((spec, got), want)) in outputs.iter().zip(&self.got).zip(&self.expected).enumerate() {
            let check = if exact { "exact" } else { "bounded" };
            let allowed = |i: usize| if exact { 0.0 } else { want.allowed(i, spec.tensor.element) + lost };
            if let Some(i) = (0..want.value.len()).find(|&i| want.value[i].is_finite() && !allowed(i).is_finite()) {
                let at = compare::unravel(i, &spec.tensor.extents);
                return Some(format!("{check}: {}: the bound of {at:?} is {}, which says nothing ({data:?} data)", spec.name, allowed(i)));
            }
            let want: Vec<f64> = want.value.iter().map(|v| spec.tensor.element.held(*v)).collect();
            let got: Vec<f64> = got.iter().enumerate().map(|(i, got)| compare::settled(*got, want[i], allowed(i), spec.tensor.element)).collect();
            let want = if spec.tensor.element == ElementType::U32 && data == Data::Mixed { self.or_flushed(op, output, &got, want) } else { want };
            if let Some(mismatch) = compare::compare(&got, &want, allowed) {
                return Some(format!("{check}: {}: {} ({data:?} data)", spec.name, mismatch.describe(&spec.tensor.extents)));
            }
        }
        let bits = |all: &[Vec<f64>]| -> Vec<u64> { all.iter().flatten().map(|v| v.to_bits()).collect() };
        match &self.again {
            Some(again) if bits(&self.got) != bits(again) => Some("repeatable: a second run gave other bits".into()),
            _ => None,
        }
    }

    /// Expected indices, or what was got where a device gives it that compares subnormal numbers as zeros: WGSL lets each comparison do so
    /// or not, and several numbers then share the place of the largest.
    fn or_flushed(&self, op: &Op, output: usize, got: &[f64], want: Vec<f64>) -> Vec<f64> {
        if got == want {
            return want;
        }
        let specs = op.outputs().into_iter().filter(|spec| spec.in_out).chain(op.inputs());
        let operands: Vec<Vec<f64>> = specs.zip(&self.operands).map(|(spec, values)| flushed(values, spec.tensor.element)).collect();
        let zeros = op.reference(&operands.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let either = |((got, want), zeros): ((&f64, f64), &f64)| if got == zeros { *got } else { want };
        got.iter().zip(want).zip(&zeros[output].value).map(either).collect()
    }
}

/// What an output may lose where a device takes numbers below the smallest normal one for zero (WGSL, "Floating point evaluation"), in every term, whatever
/// that is then multiplied with.
pub(crate) fn lost_below_normal(op: &Op, operands: &[impl AsRef<[f64]>]) -> f64 {
    let numbers = operands.iter().flat_map(|values| values.as_ref());
    let largest = numbers.filter(|v| v.is_finite()).fold(1.0f64, |largest, v| largest.max(v.abs()));
    bound::UNDERFLOW * (op.terms() as f64 + 8.0) * largest
}

/// `values` as a device reads them that takes subnormal numbers for zero.
fn flushed(values: &[f64], element: ElementType) -> Vec<f64> {
    values.iter().map(|v| if v.abs() < element.smallest_normal() { 0.0f64.copysign(*v) } else { *v }).collect()
}

/// A guarded tensor of an output, holding `values` where it is in-out.
pub(crate) fn guard(gpu: &Gpu, spec: &TensorSpec, values: Option<&Vec<f64>>) -> Result<Tensor> {
    fn holding<T: Element>(gpu: &Gpu, spec: &TensorSpec, values: &[f64]) -> Result<Tensor> {
        let guarded = |bytes: &[u8]| Tensor::guarded(gpu, &spec.tensor.extents, spec.tensor.element, spec.tensor.layout, Some(bytes));
        crate::gpu::tensor::in_memory_order(&array::<T>(spec, values)?, spec.tensor.layout, guarded)
    }
    match (values, spec.tensor.element) {
        (None, _) => Tensor::guarded(gpu, &spec.tensor.extents, spec.tensor.element, spec.tensor.layout, None),
        (Some(values), ElementType::F32) => holding::<f32>(gpu, spec, values),
        (Some(values), ElementType::F16) => holding::<half::f16>(gpu, spec, values),
        (Some(values), ElementType::U32) => holding::<u32>(gpu, spec, values),
    }
}

fn array<T: Element>(spec: &TensorSpec, values: &[f64]) -> Result<ArrayD<T>> {
    let elements: Vec<T> = values.iter().map(|&v| T::from_f64(v)).collect();
    ArrayD::from_shape_vec(IxDyn(&spec.tensor.extents), elements)
        .map_err(|e| Error::invalid(spec.name.clone(), format!("{} values", values.len()), e.to_string()))
}

/// A tensor of these values, which are in logical order and as the stored type holds them.
///
/// # Errors
/// As [`Gpu::upload`]; another number of values than the spec has elements.
pub fn upload(gpu: &Gpu, spec: &TensorSpec, values: &[f64]) -> Result<Tensor> {
    match spec.tensor.element {
        ElementType::F32 => gpu.upload_as(&array::<f32>(spec, values)?, spec.tensor.layout),
        ElementType::F16 => gpu.upload_as(&array::<half::f16>(spec, values)?, spec.tensor.layout),
        ElementType::U32 => gpu.upload_as(&array::<u32>(spec, values)?, spec.tensor.layout),
    }
}

/// The values of a tensor in logical order; every stored value is exact in f64.
///
/// # Errors
/// As [`Tensor::download`].
pub fn download(tensor: &Tensor) -> Result<Vec<f64>> {
    fn as_type<T: Element>(tensor: &Tensor) -> Result<Vec<f64>> {
        Ok(tensor.download::<T, IxDyn>()?.iter().map(|v| v.to_f64()).collect())
    }
    match tensor.element() {
        ElementType::F32 => as_type::<f32>(tensor),
        ElementType::F16 => as_type::<half::f16>(tensor),
        ElementType::U32 => as_type::<u32>(tensor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::reduce::{ArgmaxDescriptor, ArgmaxProblem};
    use crate::types::TensorType;

    #[test]
    fn an_index_may_be_that_of_a_device_without_subnormal_numbers_and_no_other() {
        let descriptor = ArgmaxDescriptor { axis: Some(1), ..Default::default() };
        let op: Op = ArgmaxProblem::new(&TensorType::f32(&[3, 3]), &descriptor).unwrap().into();
        let observed = |got: [f64; 3]| {
            let operands = vec![vec![1e-40, 2e-40, -1.0, 0.0, 1e-40, 1.0, -2.0, -1e-39, -1e-40]];
            let expected = op.reference(&[&operands[0]]);
            Observed { operands, expected, guards: vec![], got: vec![got.to_vec()], again: None }
        };
        for right in [[1.0, 2.0, 2.0], [0.0, 2.0, 1.0], [0.0, 2.0, 2.0]] {
            assert_eq!(observed(right).failure(&op, "direct", Data::Mixed), None, "{right:?}");
        }
        for wrong in [[2.0, 2.0, 2.0], [1.0, 1.0, 2.0], [1.0, 2.0, 0.0]] {
            assert!(observed(wrong).failure(&op, "direct", Data::Mixed).is_some(), "{wrong:?}");
        }
        assert!(observed([0.0, 2.0, 2.0]).failure(&op, "direct", Data::Real).is_some(), "real numbers hold none");
    }
}
