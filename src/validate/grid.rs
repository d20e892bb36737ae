//! The cases of the proofs: every op's problems, each with every algorithm that a plain device admits. Problems walk the edges on
//! purpose; each family of ops has its own file beside this one.

use super::Case;
use crate::gpu::{DeviceProfile, MatrixUnits};
use crate::op::{Op, Operands, Tile};
use crate::types::Result;

/// f16, matrix units and room for their tiles are a matter of the device, not of the algorithm: whoever lacks them skips the case and says so.
pub(super) fn rich() -> DeviceProfile {
    let matrix = Some(MatrixUnits { extent: 16, subgroup: 32, loads_vectors: true, splits: true });
    DeviceProfile { has_f16: true, matrix, max_workgroup_memory: 48 << 10, max_workgroup_invocations: 1024, ..DeviceProfile::MINIMAL }
}

/// Every case.
///
/// # Errors
/// None, unless the grid itself is wrong; then the error of the problem that does not resolve.
pub fn cases(full: bool) -> Result<Vec<Case>> {
    let profile = rich();
    let mut cases = Vec::new();
    for (number, make) in ops(full)?.into_iter().enumerate() {
        for algorithm in make().algorithms(&profile) {
            if is_wanted(algorithm, number, if full { 4 } else { 16 }) {
                cases.push(Case { op: make(), algorithm: algorithm.to_string() });
            }
        }
    }
    // Every tile that a tuner may choose, over a few problems.
    for (number, make) in tiled(full)?.into_iter().enumerate() {
        for algorithm in make().candidates(&profile).into_iter().filter(|label| label.contains(' ')) {
            if is_wanted(&algorithm, number, if full { 1 } else { 3 }) {
                cases.push(Case { op: make(), algorithm });
            }
        }
    }
    // Every tile of the workgroup core, each over a few of the problems that are about it, or over all.
    for (i, tile) in Tile::every().enumerate() {
        for (j, make) in workgroup_tiled()?.into_iter().enumerate() {
            let op = make();
            let has_tile = |name: &&str| name.ends_with("_workgroup") || (*name == "winograd_f2" && tile.splits == 1);
            for algorithm in op.algorithms(&profile).into_iter().filter(has_tile).filter(|_| full || (i + j) % 4 == 0) {
                cases.push(Case { op: make(), algorithm: format!("{algorithm} {tile}") });
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    cases.retain(|case| seen.insert(case.id()));
    Ok(cases)
}

/// Whether problem `number` is a case of an algorithm. The cores on matrix units share loaders and epilogues with the workgroup core, which meets
/// every problem; software drivers take seconds to compile one of them, so they meet every so manieth.
fn is_wanted(algorithm: &str, number: usize, every: usize) -> bool {
    let name = algorithm.split(' ').next().unwrap_or(algorithm);
    let of_units = [Operands::Whole, Operands::Split].into_iter().any(|operands| name.ends_with(operands.suffix()));
    !of_units || number.is_multiple_of(every)
}

/// Makes the same problem again: each case owns its own.
pub(super) type Make = Box<dyn Fn() -> Box<dyn Op>>;

/// Every problem once.
fn ops(full: bool) -> Result<Vec<Make>> {
    let mut all: Vec<Make> = Vec::new();
    add(&mut all, super::grid_conv::problems(full)?);
    add(&mut all, super::grid_conv_blocks::sliced()?);
    add(&mut all, super::grid_conv_blocks::on_other_processor()?);
    add(&mut all, super::grid_elementwise::unary(full)?);
    add(&mut all, super::grid_elementwise::binary(full)?);
    add(&mut all, super::grid_pool::pools(full)?);
    add(&mut all, super::grid_pool::sliced()?);
    add(&mut all, super::grid_pool::unpools()?);
    add(&mut all, super::grid_matmul::problems(full)?);
    add(&mut all, super::grid_matmul::sliced()?);
    add(&mut all, super::grid_matmul::on_other_processor()?);
    add(&mut all, super::grid_rows::reductions(full)?);
    add(&mut all, super::grid_rows::argmaxes()?);
    add(&mut all, super::grid_rows::softmaxes(full)?);
    add(&mut all, super::grid_rows::norms(full)?);
    add(&mut all, super::grid_rows::batch_norms()?);
    add(&mut all, super::grid_rows::lrns()?);
    super::grid_transform::add_problems(&mut all, full)?;
    let mut seen = std::collections::HashSet::new();
    all.retain(|make| {
        let op = make();
        seen.insert(format!("{}/{op}", op.name()))
    });
    Ok(all)
}

/// Problems that fill every tile, and some that leave a rest of rows, columns and steps.
fn tiled(full: bool) -> Result<Vec<Make>> {
    let mut all: Vec<Make> = Vec::new();
    add(&mut all, super::grid_conv::tiled(full)?);
    add(&mut all, super::grid_matmul::tiled(full)?);
    add(&mut all, super::grid_matmul::sliced_tiled()?);
    if full {
        add(&mut all, super::grid_conv_blocks::on_other_processor()?);
        add(&mut all, super::grid_matmul::on_other_processor()?);
    }
    Ok(all)
}

/// Problems about the workgroup core's tiles.
fn workgroup_tiled() -> Result<Vec<Make>> {
    let mut all: Vec<Make> = Vec::new();
    add(&mut all, super::grid_conv::workgroup_tiled()?);
    add(&mut all, super::grid_matmul::workgroup_tiled()?);
    Ok(all)
}

/// Adds the problems of one op.
pub(super) fn add<T: Op + Clone + 'static>(all: &mut Vec<Make>, problems: Vec<T>) {
    for problem in problems {
        all.push(Box::new(move || Box::new(problem.clone())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique() {
        for full in [false, true] {
            let cases = cases(full).unwrap();
            let ids: std::collections::HashSet<String> = cases.iter().map(Case::id).collect();
            assert_eq!(ids.len(), cases.len());
        }
    }
}
