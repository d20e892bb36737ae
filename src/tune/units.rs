//! Cooperative matrices are a claim of the driver until this process has seen them keep it: drivers have announced units that were wrong, or a
//! thousand times slower than plain arithmetic. Before the planner's rules may choose them, they are held to the checks on one product
//! with tails on every side, and to the clock on a large one.

use crate::gpu::Gpu;
use crate::gpu::prepared::Prepared;
use crate::gpu::tensor::Tensor;
use crate::numeric::Accuracy;
use crate::ops::Op;
use crate::ops::matmul::MatMulProblem;
use crate::plan::Planned;
use crate::plan::profile::{CoopMatrix, DeviceProfile};
use crate::plan::step::{Plan, STORAGE_BUFFERS};
use crate::types::{ElementType, Error, Result};
use crate::validate::Case;
use crate::validate::{Outcome, verify};

/// The plain kernel that the units have to beat.
const PLAIN: &str = "gemm_workgroup";

/// Rows and columns of the product that is timed: on a GPU as many as keep all of it busy; a software driver would take seconds for that.
fn extent(profile: &DeviceProfile) -> usize {
    if profile.is_cpu { 512 } else { 2048 }
}

/// Why cooperative matrices are not to be used, each way apart; `None`: they passed the checks and beat plain arithmetic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoopDoubts {
    /// For f16 operands, and f32 ones rounded to f16.
    pub whole: Option<String>,
    /// For f32 operands split in two f16.
    pub split: Option<String>,
}

/// Holds the cooperative matrices of `gpu` to the checks and to the clock. Takes as long as a few pipelines take to compile and a few products to
/// run.
///
/// # Errors
/// Loss of the device.
pub fn doubt_coop_matrix(gpu: &Gpu) -> Result<CoopDoubts> {
    let [whole, split] = ["gemm_coop", "gemm_f16x2"].map(|way| doubt(gpu, way));
    Ok(CoopDoubts { whole: whole?, split: split? })
}

fn doubt(gpu: &Gpu, way: &str) -> Result<Option<String>> {
    let profile = gpu.profile();
    let odd = MatMulProblem::matmul(&[67, 141], &[141, 75], ElementType::F32)?.with_accuracy(Accuracy::Reduced);
    if !odd.algorithms(profile).contains(&way) {
        return Ok(Some(format!("the device does not admit {way}")));
    }
    for label in odd.candidates(profile).iter().filter(|label| label.split(' ').next() == Some(way)) {
        match verify(gpu, &Case::new(&odd, label)) {
            Ok(Outcome::Passed) => {}
            Ok(Outcome::Failed(why)) | Ok(Outcome::Skipped(why)) => return Ok(Some(format!("{label} on {odd}: {why}"))),
            Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
            Err(error) => return Ok(Some(format!("{label} on {odd}: {error}"))),
        }
    }
    let extents = [extent(profile); 2];
    let large = MatMulProblem::matmul(&extents, &extents, ElementType::F32)?.with_accuracy(Accuracy::Reduced);
    let [a, b] = [0.75, -1.25].map(|v| gpu.upload(&ndarray::Array2::from_elem(extents, v as f32)));
    let operands = [a?, b?];
    let (plain, own) = (seconds(gpu, &large, PLAIN, &operands)?, seconds(gpu, &large, way, &operands)?);
    Ok((own >= plain).then(|| format!("{way} takes {:.3} ms for {large}, {PLAIN} {:.3} ms", own * 1e3, plain * 1e3)))
}

/// Median of a few runs.
fn seconds(gpu: &Gpu, op: &MatMulProblem, algorithm: &str, operands: &[Tensor; 2]) -> Result<f64> {
    let prepared = Prepared::with_algorithm(gpu, op, algorithm, &[])?;
    let outputs = prepared.outputs()?;
    let (given, written) = (operands.each_ref(), outputs.iter().collect::<Vec<_>>());
    Ok(gpu.time(3, &mut |recorder| prepared.record(recorder, &given, &written))?.median())
}

/// What is left of the units once they have been doubted; said in the log.
pub(crate) fn trusted(gpu: &Gpu) -> Option<CoopMatrix> {
    let doubts = match doubt_coop_matrix(gpu) {
        Ok(doubts) => doubts,
        Err(error) => CoopDoubts { whole: Some(error.to_string()), split: None },
    };
    for doubt in [&doubts.whole, &doubts.split].into_iter().flatten() {
        log::warn!("{gpu:?}: cooperative matrices are left alone: {doubt}");
    }
    let units = gpu.profile().matrix.filter(|_| doubts.whole.is_none())?;
    Some(CoopMatrix { splits: units.splits && doubts.split.is_none(), ..units })
}

/// The planner's own choice for `op`, with no more of the cooperative matrices than is trusted. Where its kernels bind more storage buffers than the
/// device allows, the first candidate whose kernels do not: Winograd and split depths store what they sum before they read the rest.
pub(crate) fn heuristic(gpu: &Gpu, op: &Op) -> Result<Plan> {
    let plan = match op.plan(gpu.profile(), None) {
        Err(refused @ Error::TooLarge { limit_name: STORAGE_BUFFERS, .. }) => {
            let others = op.candidates(gpu.profile());
            others.iter().find_map(|label| op.plan(gpu.profile(), Some(label)).ok()).ok_or(refused)?
        }
        other => other?,
    };
    let uses_units = plan.steps.iter().any(|step| step.kernel.uses_coop_matrix());
    if !uses_units {
        return Ok(plan);
    }
    match gpu.tuner()?.trusted_coop(gpu) {
        trusted if trusted == gpu.profile().matrix => Ok(plan),
        matrix => op.plan(&DeviceProfile { matrix, ..*gpu.profile() }, None),
    }
}
