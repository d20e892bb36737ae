//! Products on matrix units: f16 operands as they are, f32 ones scaled into f16's range and rounded, or split in two. What cannot be scaled is
//! computed by a plain kernel, which is recorded beside the other (see `src/plan/conv/matrix.rs`).

use crate::numeric::Operands;
use crate::ops::matmul::{MatMulProblem, operands_of};
use crate::plan::gemm::matrix::{MatrixTile, check_accuracy};
use crate::plan::gemm::tile_workgroup::Tile;
use crate::plan::matmul::packing::packed;
use crate::plan::matmul::slices::Memory;
use crate::plan::matmul::steps::{Call, Method, Work};
use crate::plan::profile::DeviceProfile;
use crate::reference::matmul::MORE;
use crate::shader::source_gemm::{MATMUL_FALLBACK, MATMUL_MATRIX};
use crate::types::{ElementType, Error, Result};

pub(crate) fn supports(algorithm: &str, problem: &MatMulProblem, profile: &DeviceProfile) -> Result<()> {
    let Some(operands) = operands_of(algorithm) else { return Ok(()) };
    if operands == Operands::Split && profile.matrix.is_some_and(|units| !units.splits) {
        return Err(Error::Unsupported {
            algorithm: algorithm.into(),
            reason: "this backend cannot add matrices of sums, or its units were found wanting".into(),
        });
    }
    check_accuracy(algorithm, operands, problem.element, problem.accuracy, problem.k, MORE)?;
    profile.check_turns(algorithm, Tile::turns(problem.k))?;
    MatrixTile::choose(algorithm, operands, [problem.m, problem.n], None, profile).map(|_| ())
}

pub(crate) fn candidates(algorithm: &str, profile: &DeviceProfile) -> Vec<String> {
    let tiles = operands_of(algorithm).map(|operands| MatrixTile::candidates(operands, profile)).unwrap_or_default();
    tiles.into_iter().map(|tile| format!("{algorithm} {tile}")).collect()
}

pub(crate) fn gemm(problem: &MatMulProblem, profile: &DeviceProfile, algorithm: &str, wanted: Option<&str>) -> Result<Method> {
    let parts = operands_of(algorithm).unwrap_or(Operands::Whole);
    let tile = MatrixTile::choose(algorithm, parts, [problem.m, problem.n], wanted, profile)?;
    let call = |source, consts, m: u32, n: u32| {
        let work = Work::Tiles { m: u64::from(m), n: u64::from(n), splits: 1 };
        Call { source, consts, overrides: vec![], work }
    };
    let mut calls = vec![call(&MATMUL_MATRIX, tile.consts(parts, profile), tile.m, tile.n)];
    if problem.element == ElementType::F32 {
        let plain = Tile::of_rows(tile.m);
        calls.push(call(&MATMUL_FALLBACK, plain.consts(1, problem.k, profile), plain.m, plain.n));
    }
    let memory = Memory { packed: packed(problem, u64::from(tile.m), 0), splits: 1 };
    Ok(Method { label: format!("{algorithm} {tile}"), calls, memory, on_matrix_units: true })
}
