//! Proofs on the machine at hand: every algorithm is forced over a grid of problems that walks the edges, and each run is held to
//! four proofs: exact, bounded, guarded, repeatable (see ARCHITECTURE.md, "Proof").

pub mod bound;
pub mod compare;
pub mod data;
mod elsewhere;
pub mod grid;
mod grid_conv;
mod grid_conv_blocks;
mod grid_elementwise;
mod grid_matmul;
mod grid_pool;
mod grid_rows;
mod grid_transform;

use crate::element::{Element, ElementType};
use crate::error::{Error, Result};
use crate::gpu::{AdapterReport, Gpu};
use crate::op::{Op, Prepared, TensorSpec};
use crate::tensor::Tensor;
use data::{Data, Generator};
use ndarray::{ArrayD, IxDyn};
use serde::Serialize;

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
    /// All four proofs hold.
    Passed,
    /// Which proof failed, and where.
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
pub struct Case {
    /// The problem.
    pub op: Box<dyn Op>,
    /// One of its algorithms, with a tile where the case is about one.
    pub algorithm: String,
}

impl Case {
    /// `<op>/<algorithm>/<problem>`: what `--only` matches.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.op.name(), self.algorithm, self.op)
    }
}

/// Runs the grid on `gpu`. Its thousands of pipelines would take many gigabytes on a software driver; those used last are kept
/// ([`Gpu::set_pipeline_limit`]).
///
/// # Errors
/// Loss of the device. Whatever else goes wrong in a case is that case's failure.
pub fn run(gpu: &Gpu, options: &Options, progress: &mut dyn FnMut(&Progress<'_>)) -> Result<Report> {
    let wanted = |case: &Case| options.only.as_deref().is_none_or(|only| case.id().contains(only));
    let cases: Vec<Case> = grid::cases(options.full)?.into_iter().filter(wanted).collect();
    let mut results = Vec::with_capacity(cases.len());
    /// Cases whose pipelines are made at once, on all cores: most of a run is the driver's compiler.
    const TOGETHER: usize = 64;
    for together in cases.chunks(TOGETHER) {
        let plans: Vec<_> = together.iter().filter_map(|case| case.op.plan(gpu.profile(), Some(&case.algorithm)).ok()).collect();
        // What cannot be planned or compiled is found once more by the case that needs it, and named there.
        let _ = gpu.compile(&plans.iter().collect::<Vec<_>>());
        for case in together {
            let outcome = match prove(gpu, case.op.as_ref(), &case.algorithm) {
                Ok(outcome) => outcome,
                Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
                Err(error) => Outcome::Failed(error.to_string()),
            };
            results.push(CaseResult { id: case.id(), outcome });
            if let Some(result) = results.last() {
                progress(&Progress { done: results.len(), total: cases.len(), result });
            }
        }
    }
    Ok(Report { adapter: gpu.report().clone(), version: env!("CARGO_PKG_VERSION"), results })
}

/// Holds one algorithm on one problem to the four proofs.
///
/// # Errors
/// What preparing or running it returns.
pub fn prove(gpu: &Gpu, op: &dyn Op, algorithm: &str) -> Result<Outcome> {
    let halves = op.inputs().iter().chain(&op.outputs()).any(|spec| spec.element == ElementType::F16);
    if halves && !gpu.profile().has_f16 {
        return Ok(Outcome::Skipped("the device has no f16".into()));
    }
    let name = algorithm.split(' ').next().unwrap_or(algorithm);
    if !op.algorithms(gpu.profile()).contains(&name) {
        return Ok(Outcome::Skipped(format!("the device does not admit {algorithm}")));
    }
    // A tile that the device cannot hold is skipped, with the reason.
    if let (true, Err(Error::Unsupported { reason, .. })) = (algorithm.contains(' '), op.plan(gpu.profile(), Some(algorithm))) {
        return Ok(Outcome::Skipped(reason));
    }
    for data in [Data::Exact, Data::Real] {
        if let Some(failure) = prove_data(gpu, op, algorithm, data)? {
            return Ok(Outcome::Failed(failure));
        }
    }
    Ok(Outcome::Passed)
}

/// Runs twice on one kind of data; `Some` says which proof failed.
fn prove_data(gpu: &Gpu, op: &dyn Op, algorithm: &str, data: Data) -> Result<Option<String>> {
    let mut generator = Generator::from_text(&op.to_string());
    let (inputs, outputs) = (op.inputs(), op.outputs());
    // Operands: what updated outputs hold beforehand, then the inputs.
    let operands = outputs.iter().filter(|spec| spec.updated).chain(&inputs);
    let values: Vec<Vec<f64>> = operands.map(|spec| data.fill(spec, op.depth(), &mut generator)).collect();
    let (held, given) = values.split_at(values.len() - inputs.len());
    let expected = op.reference_for(algorithm, &values.iter().map(Vec::as_slice).collect::<Vec<_>>());
    // As benchdnn's trust check: a case whose results are all zero tests nothing.
    if outputs.iter().zip(&expected).all(|(spec, e)| spec.element != ElementType::U32 && e.value.iter().all(|v| *v == 0.0)) {
        return Ok(Some("every expected value is zero, so the case proves nothing".into()));
    }

    let tensors: Vec<Tensor> = inputs.iter().zip(given).map(|(spec, values)| upload(gpu, spec, values)).collect::<Result<_>>()?;
    let part = |fixed: bool| -> Vec<&Tensor> { inputs.iter().zip(&tensors).filter(|(spec, _)| spec.fixed == fixed).map(|(_, t)| t).collect() };
    let prepared = Prepared::with_algorithm(gpu, op, algorithm, &part(true))?;
    let run = || -> Result<(Vec<Tensor>, Vec<Vec<f64>>)> {
        let mut held = held.iter();
        let guarded: Vec<Tensor> =
            outputs.iter().map(|spec| guard(gpu, spec, if spec.updated { held.next() } else { None })).collect::<Result<_>>()?;
        let mut recorder = gpu.recorder();
        prepared.record(&mut recorder, &part(false), &guarded.iter().collect::<Vec<_>>())?;
        recorder.submit()?;
        let values = guarded.iter().map(download).collect::<Result<_>>()?;
        Ok((guarded, values))
    };

    let (guarded, got) = run()?;
    for (spec, tensor) in outputs.iter().zip(&guarded) {
        let read = tensor.read_guarded()?;
        if !read.untouched_guards {
            return Ok(Some(format!("guarded: a guard word beside {} was overwritten", spec.name)));
        }
        if read.unwritten > 0 {
            return Ok(Some(format!("guarded: {} of {} elements of {} were never written", read.unwritten, spec.count(), spec.name)));
        }
    }
    let exact = data == Data::Exact && op.is_exact_for(algorithm);
    for ((spec, got), want) in outputs.iter().zip(&got).zip(&expected) {
        let allowed = |i: usize| if exact { 0.0 } else { want.allowed(i, spec.element) };
        if let Some(mismatch) = compare::compare(got, &want.value, allowed) {
            let proof = if exact { "exact" } else { "bounded" };
            return Ok(Some(format!("{proof}: {}: {}", spec.name, mismatch.describe(&spec.extents))));
        }
    }
    let (_, again) = run()?;
    let bits = |all: &[Vec<f64>]| -> Vec<u64> { all.iter().flatten().map(|v| v.to_bits()).collect() };
    if bits(&got) != bits(&again) {
        return Ok(Some("repeatable: a second run gave other bits".into()));
    }
    Ok(None)
}

/// A guarded tensor of an output, holding `values` where it is updated.
fn guard(gpu: &Gpu, spec: &TensorSpec, values: Option<&Vec<f64>>) -> Result<Tensor> {
    fn holding<T: Element>(gpu: &Gpu, spec: &TensorSpec, values: &[f64]) -> Result<Tensor> {
        let guarded = |bytes: &[u8]| Tensor::guarded(gpu, &spec.extents, spec.element, spec.layout, Some(bytes));
        crate::tensor::in_memory_order(&array::<T>(spec, values)?, spec.layout, guarded)
    }
    match (values, spec.element) {
        (None, _) => Tensor::guarded(gpu, &spec.extents, spec.element, spec.layout, None),
        (Some(values), ElementType::F32) => holding::<f32>(gpu, spec, values),
        (Some(values), ElementType::F16) => holding::<half::f16>(gpu, spec, values),
        (Some(values), ElementType::U32) => holding::<u32>(gpu, spec, values),
    }
}

fn array<T: Element>(spec: &TensorSpec, values: &[f64]) -> Result<ArrayD<T>> {
    let elements: Vec<T> = values.iter().map(|&v| T::from_f64(v)).collect();
    ArrayD::from_shape_vec(IxDyn(&spec.extents), elements)
        .map_err(|e| Error::invalid(spec.name.clone(), format!("{} values", values.len()), e.to_string()))
}

/// A tensor of these values, which are in logical order and as the stored type holds them.
///
/// # Errors
/// As [`Gpu::upload`]; another number of values than the spec has elements.
pub fn upload(gpu: &Gpu, spec: &TensorSpec, values: &[f64]) -> Result<Tensor> {
    match spec.element {
        ElementType::F32 => gpu.upload_as(&array::<f32>(spec, values)?, spec.layout),
        ElementType::F16 => gpu.upload_as(&array::<half::f16>(spec, values)?, spec.layout),
        ElementType::U32 => gpu.upload_as(&array::<u32>(spec, values)?, spec.layout),
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
