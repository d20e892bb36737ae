//! The strided copy: y\[y_base + sum c_i y_i\] = x\[x_base + sum c_i x_i\] over up to 6 axes. Ops list such copies over their logical
//! axes; this merges axes that lie on one line in both tensors, and plans them.
//!
//! Algorithms: `direct` (one element per invocation), `rows` (the outer coordinates are decoded once per workgroup, whose lanes run
//! along one axis) and `tiled` (32 x 32 through workgroup memory, so that both sides are read and written along their own fastest axis).

use super::params::{CopyAxis, CopyParams};
use super::{is_row, segment};
use crate::gpu::DeviceProfile;
use crate::kernel::{KernelSource, KernelSpec, TRANSFORM_COPY, TRANSFORM_TILE};
use crate::op::{Place, Plan, Step, TensorSpec, check_binding, check_tensors, pick};
use crate::types::element::ElementType;
use crate::types::{Error, Result};

/// Most axes of a copy, as the shader's uniform has them.
const MAX_AXES: usize = 6;
/// Side of a tile of `tiled`, twin of TILE in `shaders/transform_tile.wgsl`.
const TILE: u64 = 32;
/// Invocations of a workgroup of `tiled`, and the bytes of its tile at 4 bytes an element, one column of padding included.
const TILE_INVOCATIONS: u32 = 256;
const TILE_BYTES: u32 = (TILE * (TILE + 1) * 4) as u32;

/// One axis of a strided copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StridedAxis {
    pub extent: u64,
    /// Step in x; negative where x is walked backwards.
    pub x: i64,
    /// Step in y.
    pub y: i64,
}

/// One strided copy from input `input` into the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StridedCopy {
    pub input: usize,
    pub x_base: i64,
    pub y_base: i64,
    pub axes: Vec<StridedAxis>,
}

impl StridedCopy {
    /// The same copy with as few axes as do: those of extent 1 left out, the rest in the memory order of y, neighbours on one line in
    /// both tensors joined. At least one axis remains.
    pub fn merged(mut self) -> Self {
        self.axes.retain(|a| a.extent > 1);
        self.axes.sort_by_key(|a| std::cmp::Reverse(a.y));
        let mut merged: Vec<StridedAxis> = Vec::with_capacity(self.axes.len());
        for inner in self.axes {
            match merged.last_mut() {
                Some(outer) if outer.x == inner.x * inner.extent as i64 && outer.y == inner.y * inner.extent as i64 => {
                    *outer = StridedAxis { extent: outer.extent * inner.extent, ..inner };
                }
                _ => merged.push(inner),
            }
        }
        if merged.is_empty() {
            merged.push(StridedAxis { extent: 1, x: 1, y: 1 });
        }
        Self { axes: merged, ..self }
    }

    pub fn count(&self) -> u64 {
        self.axes.iter().map(|a| a.extent).product()
    }

    /// The axis that `rows` runs along: the one that is contiguous in y where it is long, so that writes are too, else the longest. A
    /// processor pays more for a workgroup than for a scattered write.
    fn run_axis(&self, is_cpu: bool) -> usize {
        let last = self.axes.len() - 1;
        if self.axes[last].extent >= if is_cpu { 512 } else { 64 } {
            return last;
        }
        (0..=last).max_by_key(|&i| self.axes[i].extent).unwrap_or(last)
    }

    /// The axes that are contiguous in x and in y, where they differ: the sides of a tile.
    fn tile_axes(&self) -> Option<(usize, usize)> {
        let p = self.axes.iter().position(|a| a.x.abs() == 1)?;
        let q = self.axes.iter().position(|a| a.y == 1)?;
        (p != q).then_some((p, q))
    }

    /// As [`Self::axes`], with the axes of these indices taken out and put last, in this order.
    fn with_last(&self, last: &[usize]) -> Vec<StridedAxis> {
        let others = (0..self.axes.len()).filter(|i| !last.contains(i));
        others.chain(last.iter().copied()).map(|i| self.axes[i]).collect()
    }
}

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
    for spec in inputs.iter().chain([&output]) {
        check_binding(&spec.name, spec.bytes(), profile)?;
    }
    let copies: Vec<StridedCopy> = copies.into_iter().map(StridedCopy::merged).collect();
    let admitted = admitted(&copies, profile);
    let algorithm = pick(&admitted, forced, preferred(&copies, &admitted, profile))?;
    let mut plan = Plan::new(op, algorithm.to_string(), inputs, vec![output]);
    for copy in &copies {
        let element = plan.outputs[0].element;
        let places = vec![Place::input(copy.input, &plan.inputs), Place::output(0, &plan.outputs)];
        plan.steps.push(step(copy, algorithm, element, places, profile)?);
    }
    Ok(plan)
}

fn step(copy: &StridedCopy, algorithm: &str, element: ElementType, places: Vec<Place>, profile: &DeviceProfile) -> Result<Step> {
    // Every cast is in range: elements are below 2^31, and so is every partial sum of offsets, since each is an element's place.
    let count = copy.count();
    let mut params = CopyParams {
        items: count as u32,
        x_base: copy.x_base as i32,
        y_base: copy.y_base as u32,
        segment: 0,
        segments: 0,
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
            let segment = segment(extent, profile.is_cpu);
            let (rows, segments) = (count / extent, extent.div_ceil(segment));
            (params.items, params.segment, params.segments) = (rows as u32, segment as u32, segments as u32);
            (&TRANSFORM_COPY, vec![("ROWS", 1)], copy.with_last(&[run]), rows * segments)
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
    Step::new(kernel, &params, places, workgroups, profile)
}

/// Makes ops of copies out of problems: `$problem` has `kinds()` (inputs), `kind()` (output), `copies(x_strides, y_strides)` and `reference_of(inputs)`.
macro_rules! moves {
    ($problem:ident) => {
        impl $crate::op::Op for $problem {
            fn name(&self) -> &'static str {
                self.op_name()
            }

            fn inputs(&self) -> Vec<$crate::op::TensorSpec> {
                let kinds = self.kinds();
                let name = |i: usize| if kinds.len() == 1 { "x".to_string() } else { format!("x{i}") };
                kinds.iter().enumerate().map(|(i, kind)| kind.spec(name(i))).collect()
            }

            fn outputs(&self) -> Vec<$crate::op::TensorSpec> {
                vec![self.kind().spec("y")]
            }

            fn algorithms(&self, profile: &$crate::gpu::DeviceProfile) -> Vec<&'static str> {
                $crate::transform::copy::algorithms(self.stored_copies(), profile)
            }

            fn plan(&self, profile: &$crate::gpu::DeviceProfile, algorithm: Option<&str>) -> $crate::types::Result<$crate::op::Plan> {
                let (inputs, output) = (self.inputs(), self.kind().spec("y"));
                $crate::op::check_tensors(self.op_name(), &inputs.iter().chain([&output]).collect::<Vec<_>>(), profile)?;
                $crate::transform::copy::plan(self.op_name(), inputs, output, self.stored_copies(), profile, algorithm)
            }

            fn reference(&self, inputs: &[&[f64]]) -> Vec<$crate::reference::Bounded> {
                vec![$crate::reference::Bounded::exact(self.reference_of(inputs))]
            }

            fn is_exact(&self) -> bool {
                true
            }

            fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
                let strides: Vec<Vec<i64>> = self.kinds().iter().map(|kind| kind.logical_strides()).collect();
                for copy in self.copies(&strides, &self.kind().logical_strides()) {
                    $crate::cpu::transform::copy(&copy.clone().merged(), inputs.get(copy.input)?, y);
                }
                Some(())
            }

            fn flops(&self) -> f64 {
                0.0
            }
        }

        impl $problem {
            /// The copies between the tensors as they lie in memory.
            fn stored_copies(&self) -> Vec<$crate::transform::StridedCopy> {
                let strides: Vec<Vec<i64>> = self.kinds().iter().map(|kind| kind.strides()).collect();
                self.copies(&strides, &self.kind().strides())
            }
        }
    };
}

pub(crate) use moves;

#[cfg(test)]
mod tests {
    use super::*;

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
