//! Matrix units are a claim of the driver until this process has seen them keep it: drivers have announced units that were wrong, or a
//! thousand times slower than plain arithmetic. Before the planner's rules may choose them, they are held to the proofs on one product
//! with tails on every side, and to the clock on a large one.

use crate::conv::Accuracy;
use crate::element::ElementType;
use crate::error::{Error, Result};
use crate::gpu::{DeviceProfile, Gpu};
use crate::matmul::MatMulProblem;
use crate::op::{Op, Plan, Prepared};
use crate::tensor::Tensor;
use crate::validate::{Outcome, prove};

/// Each way to use the units, beside the plain kernel that it has to beat.
const ALGORITHMS: [&str; 2] = ["gemm_split", "gemm_matrix"];
const PLAIN: &str = "gemm_workgroup";
/// Rows and columns of the product that is timed.
const EXTENT: usize = 1024;

/// Why the matrix units of `gpu` are not to be used, if there is a reason: the device has none, they fail a proof, or they are slower than
/// plain arithmetic. Takes as long as a few pipelines take to compile and a few products to run.
///
/// # Errors
/// Loss of the device.
pub fn doubt_matrix_units(gpu: &Gpu) -> Result<Option<String>> {
    let odd = MatMulProblem { accuracy: Accuracy::Reduced, ..MatMulProblem::matmul(&[67, 141], &[141, 75], ElementType::F32)? };
    let (admitted, profile) = (odd.algorithms(gpu.profile()), gpu.profile());
    let ways: Vec<&str> = ALGORITHMS.into_iter().filter(|way| admitted.contains(way)).collect();
    if ways.is_empty() {
        return Ok(Some("the device has none that the kernels can use".into()));
    }
    for way in &ways {
        for label in odd.candidates(profile).iter().filter(|label| label.split(' ').next() == Some(*way)) {
            match prove(gpu, &odd, label) {
                Ok(Outcome::Passed) => {}
                Ok(Outcome::Failed(why)) | Ok(Outcome::Skipped(why)) => return Ok(Some(format!("{label} on {odd}: {why}"))),
                Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
                Err(error) => return Ok(Some(format!("{label} on {odd}: {error}"))),
            }
        }
    }
    let large = MatMulProblem { accuracy: Accuracy::Reduced, ..MatMulProblem::matmul(&[EXTENT; 2], &[EXTENT; 2], ElementType::F32)? };
    let [a, b] = [0.75, -1.25].map(|v| gpu.upload(&ndarray::Array2::from_elem((EXTENT, EXTENT), v as f32)));
    let operands = [a?, b?];
    let plain = seconds(gpu, &large, PLAIN, &operands)?;
    for way in ways {
        let own = seconds(gpu, &large, way, &operands)?;
        if own >= plain {
            return Ok(Some(format!("{way} takes {:.3} ms for {large}, {PLAIN} {:.3} ms", own * 1e3, plain * 1e3)));
        }
    }
    Ok(None)
}

/// Median of a few runs.
fn seconds(gpu: &Gpu, op: &dyn Op, algorithm: &str, operands: &[Tensor; 2]) -> Result<f64> {
    let prepared = Prepared::with_algorithm(gpu, op, algorithm, &[])?;
    let outputs = prepared.outputs()?;
    let (given, written) = (operands.each_ref(), outputs.iter().collect::<Vec<_>>());
    Ok(gpu.time(3, &mut |recorder| prepared.record(recorder, &given, &written))?.median())
}

/// The planner's own choice for `op`, without matrix units where they are in doubt.
pub(super) fn heuristic(gpu: &Gpu, op: &dyn Op) -> Result<Plan> {
    let plan = op.plan(gpu.profile(), None)?;
    let uses_units = plan.steps.iter().any(|step| step.kernel.uses_matrix_units());
    if uses_units && !gpu.tuner().trusts_matrix_units(gpu) {
        return op.plan(&DeviceProfile { matrix: None, ..*gpu.profile() }, None);
    }
    Ok(plan)
}
