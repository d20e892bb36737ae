//! The planners of gather and scatter at indices that are computed: one output per invocation.

use crate::ops::Problem;
use crate::ops::indexed::{GatherProblem, Geometry, ScatterProblem, ScatterReduction};
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Range, Step, check_binding, check_parts, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::{TRANSFORM_GATHER_INDEXED, TRANSFORM_SCATTER_INDEXED};
use crate::shader::uniforms::IndexParams;
use crate::types::{ElementType, Result, TensorType};

const DIRECT: &str = "direct";
const SCATTER: &str = "scatter";

/// The numbers that all calls share; every cast is in range, as all tensors have less than 2^31 elements.
fn params(geometry: &Geometry) -> IndexParams {
    let mut extents = [[1; 4]; 2];
    extents.as_flattened_mut().iter_mut().zip(&geometry.extents).for_each(|(own, &extent)| *own = extent as u32);
    let [step_outer, step_row, step_inner] = geometry.steps.map(|step| step as u32);
    IndexParams {
        extents,
        rows: geometry.rows as u32,
        places: geometry.places() as u32,
        inner: geometry.inner as u32,
        items: 0,
        step_outer,
        step_row,
        step_inner,
        first_place: 0,
        x_base: 0,
        index_base: 0,
        y_base: 0,
        unused: 0,
    }
}

fn consts(geometry: &Geometry, indices: &TensorType) -> Vec<(&'static str, u32)> {
    vec![("NUMBERS", geometry.extents.len() as u32), ("FLOATS", (indices.element == ElementType::F32).into())]
}

impl Planned for GatherProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![DIRECT]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&[DIRECT], algorithm, DIRECT)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check_tensors(self.name(), &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
        let (geometry, element) = (&self.geometry, self.x.element);
        let Geometry { outer, inner, rows, .. } = *geometry;
        let (places, bytes) = (geometry.places(), element.bytes());
        let has_own = geometry.steps[0] > 0;
        if !has_own {
            check_binding("the indices", plan.inputs[1].bytes(), profile)?;
        }
        let own_indices = if has_own { geometry.steps[0] } else { 0 };
        let tensors = [("the indices of one outer coordinate", own_indices * 4), ("the outputs of one outer coordinate", rows * inner * bytes)];
        let of_x = ("one outer coordinate of x", places * inner * bytes);
        // Several outer coordinates at once with all of their places, or one with some.
        let wide = chunks(outer, &[tensors[0], tensors[1], of_x], profile);
        let parts: Vec<(Chunk, Chunk)> = match wide {
            Ok(wide) => wide.into_iter().map(|chunk| (chunk, Chunk { first: 0, count: places })).collect(),
            Err(_) => {
                let some = chunks(places, &[("one place of x", inner * bytes)], profile)?;
                check_parts("x", u128::from(outer) * some.len() as u128)?;
                tensors.iter().try_for_each(|(name, bytes)| check_binding(name, bytes + profile.storage_alignment, profile))?;
                (0..outer).flat_map(|first| some.iter().map(move |some| (Chunk { first, count: 1 }, *some))).collect()
            }
        };
        let kernel = KernelSpec { source: &TRANSFORM_GATHER_INDEXED, element, consts: consts(geometry, &self.indices), overrides: vec![] };
        for (chunk, some) in parts {
            let in_x = Chunk { first: chunk.first * places + some.first, count: (chunk.count - 1) * places + some.count };
            let (of_x, of_y) = (in_x.range(inner, element, profile), chunk.range(rows * inner, element, profile));
            let of_indices = match has_own {
                true => chunk.range(own_indices, ElementType::U32, profile),
                false => Range { first: 0, bytes: plan.inputs[1].bytes(), base: 0 },
            };
            let items = chunk.count * rows * inner;
            let params = IndexParams {
                places: some.count as u32,
                items: items as u32,
                first_place: some.first as u32,
                x_base: of_x.base,
                index_base: of_indices.base,
                y_base: of_y.base,
                ..params(geometry)
            };
            let refs = vec![
                BufferRef::Input { index: 0, first: of_x.first, bytes: of_x.bytes },
                BufferRef::Input { index: 1, first: of_indices.first, bytes: of_indices.bytes },
                BufferRef::Output { index: 0, first: of_y.first, bytes: of_y.bytes },
            ];
            plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(64), profile)?);
        }
        Ok(plan)
    }
}

impl Planned for ScatterProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![SCATTER]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&[SCATTER], algorithm, SCATTER)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        let tensors: Vec<_> = plan.inputs.iter().chain(&plan.outputs).collect();
        check_tensors(self.name(), &tensors, profile)?;
        tensors.iter().try_for_each(|tensor| check_binding(&tensor.name, tensor.bytes(), profile))?;
        let geometry = &self.geometry;
        let reduction = match self.descriptor.reduction {
            ScatterReduction::Last => 0,
            ScatterReduction::Add => 1,
            ScatterReduction::Mul => 2,
            ScatterReduction::Max => 3,
            ScatterReduction::Min => 4,
        };
        if reduction != 0 {
            profile.check_iterations(algorithm, geometry.rows)?;
        }
        // Coordinates with indices of their own.
        let outer = if geometry.steps[0] > 0 { geometry.outer } else { 1 };
        let inner = if geometry.steps[2] > 0 { geometry.inner } else { 1 };
        let ends = 2 * outer * geometry.places() * inner;
        check_binding("the first and last updates of the scatter", ends * 4, profile)?;
        plan.scratch.push(ends * 4);
        let (rows, outputs) = (outer * geometry.rows * inner, plan.outputs[0].count());
        let mut next = BufferRef::Nothing;
        if reduction != 0 {
            check_binding("the next updates of the scatter", rows * 4, profile)?;
            plan.scratch.push(rows * 4);
            next = BufferRef::Scratch(1);
        }
        for (pass, items) in [(0, ends.max(outputs)), (1, rows), (2, rows), (3, outputs)] {
            if pass == 2 && reduction == 0 {
                continue;
            }
            let kernel = KernelSpec {
                source: &TRANSFORM_SCATTER_INDEXED,
                element: self.x.element,
                consts: consts(geometry, &self.indices).into_iter().chain([("PASS", pass)]).collect(),
                overrides: if pass == 3 && reduction > 1 { vec![("REDUCTION", reduction)] } else { vec![] },
            };
            // No pass binds more than four buffers, which every device has.
            let (x, y) = (BufferRef::input(0, &plan.inputs), BufferRef::output(0, &plan.outputs));
            let [indices, updates] = [1, 2].map(|index| BufferRef::input(index, &plan.inputs));
            let (nothing, found) = (BufferRef::Nothing, BufferRef::Scratch(0));
            let refs = match pass {
                0 => vec![x, nothing, nothing, found, y, nothing],
                1 => vec![nothing, indices, nothing, found, nothing, nothing],
                2 => vec![nothing, indices, nothing, found, nothing, next],
                _ => vec![nothing, nothing, updates, found, y, next],
            };
            let mut params = IndexParams { items: items as u32, ..params(geometry) };
            if pass == 0 {
                (params.rows, params.places) = (ends as u32, outputs as u32);
            }
            plan.steps.push(Step::new(kernel, &params, refs, items.div_ceil(64), profile)?);
        }
        Ok(plan)
    }
}
