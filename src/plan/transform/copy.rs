//! The strided copy: y\[y_base + sum c_i y_i\] = x\[x_base + sum c_i x_i\] over up to 6 axes. Ops list such copies over their logical
//! axes; this merges axes that lie on one line in both tensors, and plans them.
//!
//! Algorithms: `direct` (one element per invocation), `rows` (the outer coordinates are decoded once per workgroup, whose threads run
//! along one axis) and `tiled` (32 x 32 through workgroup memory, so that both sides are read and written along their own fastest axis).

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::DepthToSpace;
use crate::ops::transform::moves::Moves;
use crate::ops::transform::slice::Slice;
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_parts, check_tensors};
use crate::plan::transform::{is_row, row_part};
use crate::shader::KernelSpec;
use crate::shader::source::{KernelSource, TRANSFORM_COPY, TRANSFORM_TILE};
use crate::shader::uniforms::{CopyAxis, CopyParams};
use crate::types::strided::StridedCopy;
use crate::types::{ElementType, Error, Result};

/// Most axes of a copy, as the shader's uniform has them.
const MAX_AXES: usize = 6;

/// Side of a tile of `tiled`, twin of TILE in `shaders/transform/tile.wgsl`.
const TILE: u64 = 32;

/// Invocations of a workgroup of `tiled`, and the bytes of its tile at 4 bytes an element, one column of padding included.
const TILE_INVOCATIONS: u32 = 256;

const TILE_BYTES: u32 = (TILE * (TILE + 1) * 4) as u32;

/// The algorithms that can make all of these merged copies.
fn admitted(copies: &[StridedCopy], profile: &DeviceProfile) -> Vec<&'static str> {
    let tiles = profile.max_workgroup_invocations >= TILE_INVOCATIONS
        && profile.max_workgroup_memory >= TILE_BYTES
        && copies.iter().all(|c| c.tile_axes().is_some());
    if tiles { vec!["direct", "rows", "tiled"] } else { vec!["direct", "rows"] }
}

/// The algorithms that can make all of these copies.
pub(crate) fn algorithms(copies: Vec<StridedCopy>, profile: &DeviceProfile) -> Vec<&'static str> {
    admitted(&copies.into_iter().map(StridedCopy::merged).collect::<Vec<_>>(), profile)
}

fn preferred(copies: &[StridedCopy], admitted: &[&'static str], profile: &DeviceProfile) -> &'static str {
    // What is best for the largest copy is used for all.
    let Some(copy) = copies.iter().max_by_key(|c| c.count()) else { return "direct" };
    let worth_tiles = |(p, q): (usize, usize)| copy.axes[p].extent.min(copy.axes[q].extent) >= TILE / 2;
    if !profile.is_cpu && admitted.contains(&"tiled") && copy.tile_axes().is_some_and(worth_tiles) {
        return "tiled";
    }
    if is_row(copy.axes[copy.run_axis(profile.is_cpu)].extent, profile.is_cpu) { "rows" } else { "direct" }
}

/// Plans an op that is nothing but these copies into its one output, one dispatch each.
pub(crate) fn plan(
    op: &'static str,
    inputs: Vec<TensorSpec>,
    output: TensorSpec,
    copies: Vec<StridedCopy>,
    profile: &DeviceProfile,
    forced: Option<&str>,
) -> Result<Plan> {
    check_tensors(op, &inputs.iter().chain([&output]).collect::<Vec<_>>(), profile)?;
    let copies: Vec<StridedCopy> = copies.into_iter().map(StridedCopy::merged).collect();
    let admitted = admitted(&copies, profile);
    let algorithm = pick(&admitted, forced, preferred(&copies, &admitted, profile))?;
    let mut plan = Plan::new(op, algorithm.to_string(), inputs, vec![output]);
    for copy in &copies {
        let element = plan.outputs[0].tensor.element;
        let (x, y) = (&plan.inputs[copy.input], &plan.outputs[0]);
        let ends = [(BufferRef::input(copy.input, &plan.inputs), x.bytes()), (BufferRef::output(0, &plan.outputs), y.bytes())];
        let calls = calls(copy, algorithm, element, ends, profile)?;
        plan.steps.extend(calls);
    }
    Ok(plan)
}

/// The calls of one copy, by the algorithm that is best for it, between tensors or scratch buffers of these bytes.
pub(crate) fn between(copy: StridedCopy, element: ElementType, ends: [(BufferRef, u64); 2], profile: &DeviceProfile) -> Result<Vec<Step>> {
    let copies = [copy.merged()];
    let algorithm = preferred(&copies, &admitted(&copies, profile), profile);
    calls(&copies[0], algorithm, element, ends, profile)
}

/// The calls of a merged copy between tensors or scratch buffers of these bytes: one, or as many as it takes until what each of them reaches of a
/// buffer larger than a binding fits one.
fn calls(copy: &StridedCopy, algorithm: &str, element: ElementType, ends: [(BufferRef, u64); 2], profile: &DeviceProfile) -> Result<Vec<Step>> {
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
    // A part may start up to one alignment before its first element.
    let room = (limit.saturating_sub(profile.storage_alignment) / element.bytes()).max(1);
    let is_cut = ends.map(|(_, bytes)| bytes > limit);
    let extents = copy.part_extents(is_cut.map(|is_cut| if is_cut { room } else { u64::MAX }));
    check_parts("a copy", copy.axes.iter().zip(&extents).map(|(axis, extent)| u128::from(axis.extent.div_ceil(*extent))).product())?;
    let call = |mut part: StridedCopy| {
        let mut refs = ends.map(|(place, _)| place);
        for (side, (first, count)) in part.spans().into_iter().enumerate().filter(|(side, _)| is_cut[*side]) {
            let range = Chunk { first, count }.range(1, element, profile);
            let base = if side == 0 { &mut part.x_base } else { &mut part.y_base };
            *base -= (range.first / element.bytes()) as i64;
            refs[side] = refs[side].part(range);
        }
        let part = part.merged();
        // A part may have lost one of the axes that make a tile.
        let algorithm = if algorithm == "tiled" && part.tile_axes().is_none() { "direct" } else { algorithm };
        step(&part, algorithm, element, refs.to_vec(), profile)
    };
    copy.parts(&extents).into_iter().map(call).collect()
}

fn step(copy: &StridedCopy, algorithm: &str, element: ElementType, refs: Vec<BufferRef>, profile: &DeviceProfile) -> Result<Step> {
    // Every cast is in range: elements are below 2^31, and so is every partial sum of offsets, since each is an element's place.
    let count = copy.count();
    let mut params = CopyParams {
        items: count as u32,
        x_base: copy.x_base as i32,
        y_base: copy.y_base as u32,
        row_part: 0,
        row_parts: 0,
        tiles_p: 0,
        tiles_q: 0,
        unused: 0,
        axes: [CopyAxis { extent: 1, x_stride: 0, y_stride: 0, unused: 0 }; MAX_AXES],
    };
    let (source, overrides, axes, workgroups): (&'static KernelSource, _, _, _) = match (algorithm, copy.tile_axes()) {
        ("tiled", Some((p, q))) => {
            let axes = copy.with_last(&[p, q]);
            let tiles = [p, q].map(|i| copy.axes[i].extent.div_ceil(TILE));
            let outer = count / (copy.axes[p].extent * copy.axes[q].extent);
            (params.items, params.tiles_p, params.tiles_q) = (outer as u32, tiles[0] as u32, tiles[1] as u32);
            (&TRANSFORM_TILE, vec![], axes, outer * tiles[0] * tiles[1])
        }
        ("rows", _) => {
            let run = copy.run_axis(profile.is_cpu);
            let extent = copy.axes[run].extent;
            let row_part = row_part(extent, profile.is_cpu);
            let (rows, row_parts) = (count / extent, extent.div_ceil(row_part));
            (params.items, params.row_part, params.row_parts) = (rows as u32, row_part as u32, row_parts as u32);
            (&TRANSFORM_COPY, vec![("ROWS", 1)], copy.with_last(&[run]), rows * row_parts)
        }
        _ => (&TRANSFORM_COPY, vec![], copy.axes.clone(), count.div_ceil(64)),
    };
    if axes.len() > MAX_AXES {
        return Err(Error::Internal { label: "a strided copy".into(), message: format!("{} axes are more than {MAX_AXES}", axes.len()) });
    }
    for (slot, axis) in params.axes.iter_mut().zip(&axes) {
        *slot = CopyAxis { extent: axis.extent as u32, x_stride: axis.x as i32, y_stride: axis.y as u32, unused: 0 };
    }
    // f32 is moved as bits: what a NaN carries and what is subnormal arrive as they were.
    let element = if element == ElementType::F32 { ElementType::U32 } else { element };
    let mut consts = vec![("RANK", axes.len() as u32)];
    if algorithm != "tiled" {
        consts.push(profile.together());
    }
    let kernel = KernelSpec { source, element, consts, overrides };
    Step::new(kernel, &params, refs, workgroups, profile)
}

macro_rules! moves {
    ($($problem:ident),*) => {
        $(impl Planned for $problem {
            fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
                algorithms(self.stored_copies(), profile)
            }

            fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
                let (inputs, output) = (self.inputs(), TensorSpec::of("y", &self.kind()));
                check_tensors(self.op_name(), &inputs.iter().chain([&output]).collect::<Vec<_>>(), profile)?;
                plan(self.op_name(), inputs, output, self.stored_copies(), profile, algorithm)
            }
        })*
    };
}

moves!(Slice, Concat, Transpose, ToLayout, DepthToSpace);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::strided::StridedAxis;

    fn copy(axes: &[(u64, i64, i64)]) -> StridedCopy {
        let axes = axes.iter().map(|&(extent, x, y)| StridedAxis { extent, x, y }).collect();
        StridedCopy { input: 0, x_base: 0, y_base: 0, axes }
    }

    #[test]
    fn axes_on_one_line_are_merged_and_others_are_not() {
        // A plain copy is one axis, in whatever order its axes come.
        assert_eq!(copy(&[(5, 1, 1), (2, 20, 20), (4, 5, 5), (1, 99, 7)]).merged(), copy(&[(40, 1, 1)]));
        // N C H W to N H W C: the positions merge, and y's order comes first.
        assert_eq!(copy(&[(2, 60, 60), (3, 20, 1), (4, 5, 15), (5, 1, 3)]).merged(), copy(&[(2, 60, 60), (20, 1, 3), (3, 20, 1)]));
        // Backwards along both axes of a plane is one line backwards; along one of them it is not.
        assert_eq!(copy(&[(4, -5, 5), (5, -1, 1)]).merged(), copy(&[(20, -1, 1)]));
        assert_eq!(copy(&[(4, 5, 5), (5, -1, 1)]).merged().axes.len(), 2);
        assert_eq!(copy(&[]).merged(), copy(&[(1, 1, 1)]));
    }
}
