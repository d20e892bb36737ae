//! Proofs on the machine at hand: every algorithm is forced over a grid of problems that walks the edges, and each run is held to
//! four proofs: exact, bounded, guarded, repeatable (see ARCHITECTURE.md, "Proof").

pub mod bound;
pub mod compare;
pub mod data;
pub mod grid;

use crate::conv::{Algorithm, Conv, ConvProblem, supports};
use crate::element::{Element, ElementType};
use crate::error::{Error, Result};
use crate::gpu::{AdapterReport, Gpu};
use crate::reference;
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
    /// `conv/<algorithm>/<problem>`; give it to `--only` to run this case again.
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

/// Id of a case.
pub fn case_id(algorithm: Algorithm, problem: &ConvProblem) -> String {
    format!("conv/{algorithm}/{problem}")
}

/// Runs the grid on `gpu`.
///
/// # Errors
/// Loss of the device. Whatever else goes wrong in a case is that case's failure.
pub fn run(gpu: &Gpu, options: &Options, progress: &mut dyn FnMut(&Progress<'_>)) -> Result<Report> {
    let wanted = |id: &str| options.only.as_deref().is_none_or(|only| id.contains(only));
    let cases: Vec<(Algorithm, ConvProblem)> =
        grid::cases(options.full)?.into_iter().filter(|(algorithm, problem)| wanted(&case_id(*algorithm, problem))).collect();
    let mut results = Vec::with_capacity(cases.len());
    for (algorithm, problem) in &cases {
        let id = case_id(*algorithm, problem);
        let outcome = match prove(gpu, problem, *algorithm) {
            Ok(outcome) => outcome,
            Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        results.push(CaseResult { id, outcome });
        if let Some(result) = results.last() {
            progress(&Progress { done: results.len(), total: cases.len(), result });
        }
    }
    Ok(Report { adapter: gpu.report().clone(), version: env!("CARGO_PKG_VERSION"), results })
}

/// Holds one algorithm on one problem to the four proofs.
///
/// # Errors
/// What preparing or running it returns.
pub fn prove(gpu: &Gpu, problem: &ConvProblem, algorithm: Algorithm) -> Result<Outcome> {
    if problem.element == ElementType::F16 && !gpu.profile().has_f16 {
        return Ok(Outcome::Skipped("the device has no f16".into()));
    }
    if let Err(Error::Unsupported { reason, .. }) = supports(algorithm, problem, gpu.profile()) {
        return Ok(Outcome::Skipped(reason));
    }
    let problem = ConvProblem { algorithm: Some(algorithm), ..problem.clone() };
    match problem.element {
        ElementType::F32 => prove_as::<f32>(gpu, &problem, algorithm),
        ElementType::F16 => prove_as::<half::f16>(gpu, &problem, algorithm),
    }
}

fn prove_as<T: Element>(gpu: &Gpu, problem: &ConvProblem, algorithm: Algorithm) -> Result<Outcome> {
    for data in [Data::Exact, Data::Real] {
        if let Some(failure) = prove_data::<T>(gpu, problem, algorithm, data)? {
            return Ok(Outcome::Failed(failure));
        }
    }
    Ok(Outcome::Passed)
}

/// Runs twice on one kind of data; `Some` says which proof failed.
fn prove_data<T: Element>(gpu: &Gpu, problem: &ConvProblem, algorithm: Algorithm, data: Data) -> Result<Option<String>> {
    let mut generator = Generator::from_text(&problem.to_string());
    let x: Vec<T> = data.fill(problem, problem.input_count(), &mut generator);
    let filter: Vec<T> = data.fill(problem, problem.filter_count(), &mut generator);
    let bias: Option<Vec<T>> = problem.has_bias.then(|| data.fill(problem, problem.out_channels, &mut generator));
    let expected = reference::conv(problem, &x, &filter, bias.as_deref())?;
    // As benchdnn's trust check: a case whose sums are all zero tests nothing.
    if expected.sum.iter().all(|s| *s == 0.0) {
        return Ok(Some("every expected sum is zero, so the case proves nothing".into()));
    }
    let want = expected.output(problem.activation);

    let tensor = |extents: &[usize], elements: Vec<T>, layout| -> Result<Tensor> {
        let array =
            ArrayD::from_shape_vec(IxDyn(extents), elements).map_err(|e| Error::Internal { label: "validate".into(), message: e.to_string() })?;
        gpu.upload_as(&array, layout)
    };
    let first = crate::shape::Layout::ChannelsFirst;
    let x = tensor(&problem.input_extents(), x, problem.x_layout)?;
    let filter = tensor(&problem.filter_extents(), filter, first)?;
    let bias = bias.map(|b| tensor(&[problem.out_channels as usize], b, first)).transpose()?;
    let conv = Conv::from_problem(gpu, problem, &filter, bias.as_ref())?;
    let extents = problem.output_extents();
    let run = || -> Result<(Tensor, ArrayD<T>)> {
        let y = Tensor::guarded(gpu, &extents, problem.element, problem.y_layout)?;
        let mut recorder = gpu.recorder();
        conv.record(&mut recorder, &x, &y)?;
        recorder.submit()?;
        let elements = y.download::<T, IxDyn>()?;
        Ok((y, elements))
    };

    let (y, got) = run()?;
    let guarded = y.read_guarded()?;
    if !guarded.untouched_guards {
        return Ok(Some("guarded: a guard word beside the output was overwritten".into()));
    }
    if guarded.unwritten > 0 {
        return Ok(Some(format!("guarded: {} of {} outputs were never written", guarded.unwritten, want.len())));
    }
    let values: Vec<f64> = got.iter().map(|v| v.to_f64()).collect();
    let exact = data == Data::Exact && problem.activation.is_exact();
    let allowed = |i: usize| if exact { 0.0 } else { bound::allowed(problem, algorithm, expected.sum[i], expected.magnitude[i]) };
    if let Some(mismatch) = compare::compare(&values, &want, allowed) {
        let proof = if exact { "exact" } else { "bounded" };
        return Ok(Some(format!("{proof}: {}", mismatch.describe(&extents))));
    }
    let (_, again) = run()?;
    let bits = |array: &ArrayD<T>| -> Vec<u8> { array.iter().flat_map(|v| bytemuck::bytes_of(v).to_vec()).collect() };
    if bits(&got) != bits(&again) {
        return Ok(Some("repeatable: a second run gave other bits".into()));
    }
    Ok(None)
}
