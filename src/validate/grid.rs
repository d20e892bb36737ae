//! The cases of the checks: every op's problems, each with every algorithm that a plain device admits. Problems walk the edges on
//! purpose; each family of ops has its own file beside this one.

use crate::numeric::Operands;
use crate::ops::{Op, Problem};
use crate::plan::Planned;
use crate::plan::gemm::workgroup::WorkgroupTile;
use crate::plan::profile::{CoopMatrix, DeviceProfile};
use crate::types::Result;
use crate::validate::Case;
use crate::validate::elsewhere::Elsewhere;

/// f16, cooperative matrices and room for their tiles are a matter of the device, not of the algorithm: whoever lacks them skips the case and says so.
pub(crate) fn rich() -> DeviceProfile {
    let matrix = Some(CoopMatrix { extent: 16, subgroup: 32, loads_vectors: true, splits: true, along_k: false });
    DeviceProfile { has_f16: true, matrix, max_workgroup_memory: 48 << 10, max_workgroup_invocations: 1024, ..DeviceProfile::MINIMAL }
}

/// Every case.
///
/// # Errors
/// None, unless the grid itself is wrong; then the error of the problem that does not resolve.
pub fn cases(full: bool) -> Result<Vec<Case>> {
    let profile = rich();
    let mut cases = Vec::new();
    let on = |elsewhere: Option<Elsewhere>| elsewhere.map_or(profile, |elsewhere| elsewhere.profile(&profile));
    // Bindings that hold what other cores pack may hold nothing that cooperative matrices of either extent read, or the panels of either kind of device.
    let is_admitted = |op: &Op, algorithm: &str, elsewhere: Option<Elsewhere>| {
        let small = CoopMatrix { extent: 8, subgroup: 8, loads_vectors: true, splits: true, along_k: false };
        let kinds = [profile, DeviceProfile { matrix: Some(small), ..profile }, DeviceProfile { is_cpu: !profile.is_cpu, ..profile }];
        let kinds = match op {
            _ if is_of_units(algorithm) => &kinds[..2],
            Op::FilterGradient(_) if algorithm.starts_with("winograd") => &kinds[..],
            _ => &[],
        };
        let plans = |profile: &DeviceProfile| elsewhere.is_some_and(|other| op.plan(&other.profile(profile), Some(algorithm)).is_ok());
        !matches!(elsewhere, Some(Elsewhere::Binding(_))) || kinds.iter().all(plans)
    };
    for (number, (op, elsewhere)) in ops(full)?.into_iter().enumerate() {
        for algorithm in op.algorithms(&on(elsewhere)) {
            if is_wanted(algorithm, number, if full { 4 } else { 16 }) && is_admitted(&op, algorithm, elsewhere) {
                cases.push(Case { op: op.clone(), algorithm: algorithm.to_string(), elsewhere });
            }
        }
    }
    // Every tile that a tuner may choose, over a few problems.
    for (number, (op, elsewhere)) in tiled(full)?.into_iter().enumerate() {
        for algorithm in op.candidates(&on(elsewhere)).into_iter().filter(|label| label.contains(' ')) {
            if is_wanted(&algorithm, number, if full { 1 } else { 3 }) {
                cases.push(Case { op: op.clone(), algorithm, elsewhere });
            }
        }
    }
    // Depths that several workgroups share on cooperative matrices: a tuner tries that where they are longer than those of the grid.
    for (number, (op, elsewhere)) in tiled(full)?.into_iter().enumerate() {
        for algorithm in op.algorithms(&on(elsewhere)).into_iter().filter(|name| is_of_units(name)) {
            for tile in ["32x32x32/2", "64x64x32/4", "32x32x32k/4"].iter().filter(|_| full || number.is_multiple_of(3)) {
                cases.push(Case { op: op.clone(), algorithm: format!("{algorithm} {tile}"), elsewhere });
            }
        }
    }
    // Every tile of the workgroup core, each over a few of the problems that are about it, or over all.
    for (i, tile) in WorkgroupTile::every().enumerate() {
        for (j, (op, elsewhere)) in workgroup_tiled()?.into_iter().enumerate() {
            let has_tile = |name: &&str| name.ends_with("_workgroup") || (*name == "winograd_f2" && tile.splits == 1);
            for algorithm in op.algorithms(&profile).into_iter().filter(has_tile).filter(|_| full || (i + j) % 4 == 0) {
                cases.push(Case { op: op.clone(), algorithm: format!("{algorithm} {tile}"), elsewhere });
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    cases.retain(|case| seen.insert(case.id()));
    Ok(cases)
}

/// Whether problem `number` is a case of an algorithm. The cores on cooperative matrices share loaders and epilogues with the workgroup core, which meets
/// every problem; software drivers take seconds to compile one of them, so they meet every so manieth.
fn is_wanted(algorithm: &str, number: usize, every: usize) -> bool {
    let name = algorithm.split(' ').next().unwrap_or(algorithm);
    !is_of_units(name) || number.is_multiple_of(every)
}

fn is_of_units(name: &str) -> bool {
    [Operands::F16, Operands::F16x2].into_iter().any(|operands| name.ends_with(operands.suffix()))
}

/// A problem, and what is different about the device that it is planned for.
pub(crate) type Subject = (Op, Option<Elsewhere>);

/// Every problem once.
fn ops(full: bool) -> Result<Vec<Subject>> {
    let mut all: Vec<Subject> = Vec::new();
    add(&mut all, super::grid_conv::problems(full)?);
    add_elsewhere(&mut all, super::grid_conv_blocks::sliced()?);
    add_elsewhere(&mut all, super::grid_conv_blocks::on_other_processor()?);
    add_elsewhere(&mut all, super::grid_conv_blocks::on_other_kind()?);
    add(&mut all, super::grid_elementwise::unary(full)?);
    add(&mut all, super::grid_elementwise::binary(full)?);
    add(&mut all, super::grid_elementwise::casts()?);
    add_elsewhere(&mut all, super::grid_elementwise::sliced_casts()?);
    add(&mut all, super::grid_elementwise::wheres()?);
    add_elsewhere(&mut all, super::grid_elementwise::sliced_wheres()?);
    add_elsewhere(&mut all, super::grid_elementwise::sliced_binaries()?);
    add(&mut all, super::grid_pool::pools(full)?);
    add_elsewhere(&mut all, super::grid_pool::sliced()?);
    add_elsewhere(&mut all, super::grid_pool::sliced_planes()?);
    add(&mut all, super::grid_pool::unpools()?);
    add(&mut all, super::grid_matmul::problems(full)?);
    add_elsewhere(&mut all, super::grid_matmul::sliced()?);
    add_elsewhere(&mut all, super::grid_matmul::on_other_processor()?);
    add(&mut all, super::grid_rows::reductions(full)?);
    add_elsewhere(&mut all, super::grid_rows::sliced()?);
    add(&mut all, super::grid_rows::argmaxes()?);
    add(&mut all, super::grid_rows::softmaxes(full)?);
    add(&mut all, super::grid_rows::norms(full)?);
    add(&mut all, super::grid_rows::batch_norms()?);
    add(&mut all, super::grid_rows::lrns()?);
    super::grid_transform::add_problems(&mut all, full)?;
    add(&mut all, super::grid_positions::samples(full)?);
    add_elsewhere(&mut all, super::grid_positions::sliced_samples()?);
    add(&mut all, super::grid_positions::gathers()?);
    add_elsewhere(&mut all, super::grid_positions::sliced_gathers()?);
    add(&mut all, super::grid_positions::scatters()?);
    add(&mut all, super::grid_positions::top_ks(full)?);
    add(&mut all, super::grid_gradient::adjoints(full)?);
    add_elsewhere(&mut all, super::grid_gradient::sliced()?);
    add(&mut all, super::grid_gradient::unpools()?);
    add(&mut all, super::grid_gradient::data()?);
    add(&mut all, super::grid_gradient::filters(full)?);
    add(&mut all, super::grid_gradient::optimizers()?);
    add(&mut all, super::grid_elementwise::dropouts()?);
    add_elsewhere(&mut all, super::grid_elementwise::sliced_dropouts()?);
    add_elsewhere(&mut all, super::grid_gradient::sliced_filters()?);
    add(&mut all, super::grid_image::problems()?);
    add_elsewhere(&mut all, super::grid_bands::convolutions()?);
    add_elsewhere(&mut all, super::grid_bands::pools()?);
    add_elsewhere(&mut all, super::grid_bands::transposes()?);
    add_elsewhere(&mut all, super::grid_bands::slices()?);
    add_elsewhere(&mut all, super::grid_bands::layouts()?);
    add_elsewhere(&mut all, super::grid_bands::concats()?);
    add_elsewhere(&mut all, super::grid_bands::blocks()?);
    add_elsewhere(&mut all, super::grid_bands::pads_of_elements()?);
    add_elsewhere(&mut all, super::grid_bands::resizes()?);
    add_elsewhere(&mut all, super::grid_bands::batch_norms()?);
    add_elsewhere(&mut all, super::grid_bands::images()?);
    add_elsewhere(&mut all, super::grid_parts::convolutions()?);
    add_elsewhere(&mut all, super::grid_parts::others()?);
    let mut seen = std::collections::HashSet::new();
    all.retain(|(op, elsewhere)| seen.insert(format!("{}/{op}{}", op.name(), elsewhere.map_or_else(String::new, |elsewhere| elsewhere.to_string()))));
    Ok(all)
}

/// Problems that fill every tile, and some that leave a rest of rows, columns and steps.
fn tiled(full: bool) -> Result<Vec<Subject>> {
    let mut all: Vec<Subject> = Vec::new();
    add(&mut all, super::grid_conv::tiled(full)?);
    add(&mut all, super::grid_matmul::tiled(full)?);
    add_elsewhere(&mut all, super::grid_matmul::sliced_tiled()?);
    if full {
        add_elsewhere(&mut all, super::grid_conv_blocks::on_other_processor()?);
        add_elsewhere(&mut all, super::grid_matmul::on_other_processor()?);
    }
    Ok(all)
}

/// Problems about the workgroup core's tiles.
fn workgroup_tiled() -> Result<Vec<Subject>> {
    let mut all: Vec<Subject> = Vec::new();
    add(&mut all, super::grid_conv::workgroup_tiled()?);
    add(&mut all, super::grid_matmul::workgroup_tiled()?);
    Ok(all)
}

/// Adds the problems of one op.
pub(crate) fn add(all: &mut Vec<Subject>, problems: Vec<impl Into<Op>>) {
    all.extend(problems.into_iter().map(|problem| (problem.into(), None)));
}

/// As [`add`], planned for another device.
fn add_elsewhere(all: &mut Vec<Subject>, problems: Vec<(impl Into<Op>, Elsewhere)>) {
    all.extend(problems.into_iter().map(|(problem, elsewhere)| (problem.into(), Some(elsewhere))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::step::BufferRef;
    use crate::shader::BindingKind;

    #[test]
    fn ids_are_unique() {
        for full in [false, true] {
            let cases = cases(full).unwrap();
            let ids: std::collections::HashSet<String> = cases.iter().map(Case::id).collect();
            assert_eq!(ids.len(), cases.len());
        }
    }

    /// What a call reads of a plan's own memory a call before it wrote: one made when the op is prepared reads nothing that only recordings write, such as
    /// the range of an operand that is not there yet.
    #[test]
    fn no_call_reads_memory_that_none_before_it_wrote() {
        let (mut plans, mut reads) = (0, 0);
        for case in cases(true).unwrap() {
            for is_cpu in [false, true] {
                let profile = DeviceProfile { is_cpu, ..rich() };
                let profile = case.elsewhere.map_or(profile, |elsewhere| elsewhere.profile(&profile));
                // Not every device admits each case.
                let Ok(plan) = case.op.plan(&profile, Some(&case.algorithm)) else { continue };
                plans += 1;
                let mut written = std::collections::HashSet::new();
                for step in plan.prepare.iter().chain(&plan.steps) {
                    let own = step.kernel.bindings().filter_map(|(binding, kind)| match step.refs.get((binding as usize).checked_sub(1)?)? {
                        BufferRef::Scratch(index) | BufferRef::ScratchPart { index, .. } => Some((*index, kind)),
                        _ => None,
                    });
                    let (to, from): (Vec<_>, Vec<_>) = own.partition(|(_, kind)| *kind == BindingKind::Write);
                    for (index, _) in from {
                        assert!(written.contains(&index), "{}: {} reads scratch {index}", case.id(), step.kernel.label());
                        reads += 1;
                    }
                    written.extend(to.into_iter().map(|(index, _)| index));
                }
            }
        }
        assert!(plans > 10_000 && reads > 10_000, "{plans} plans, {reads} reads");
    }
}
