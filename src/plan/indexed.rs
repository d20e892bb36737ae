//! The planners of gather and scatter at indices that are computed: one output per invocation. Where no binding holds a tensor, coordinates that the indices
//! do not name are taken in parts; rows of indices too in a gather, and the elements of a named axis in a scatter, which drops the updates of the others.

use crate::ops::Problem;
use crate::ops::indexed::{GatherProblem, Geometry, Indexing, ScatterProblem, ScatterReduction};
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::parts::{Divisible, Part, TensorBox, or_divide};
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

/// An axis along which parts are independent: its extent, and which axis it is of x, of the indices, and of what has a row for each of those.
struct Along {
    extent: usize,
    x: Option<usize>,
    indices: Option<usize>,
    rows: Option<usize>,
}

/// An axis from the front.
fn front(axis: isize, rank: usize) -> usize {
    if axis < 0 { (axis + rank as isize) as usize } else { axis as usize }
}

/// The axes that indices do not name, and those of their rows.
fn along(x: &TensorType, indices: &TensorType, geometry: &Geometry, indexing: Indexing) -> Vec<Along> {
    let rank = x.rank();
    let of_x = |axis: usize, indices: Option<usize>, rows: usize| Along { extent: x.extents[axis], x: Some(axis), indices, rows: Some(rows) };
    let of_rows = |axis: usize, rows: usize| Along { extent: indices.extents[axis], x: None, indices: Some(axis), rows: Some(rows) };
    match indexing {
        Indexing::Slices { axis } => {
            let (axis, own) = (front(axis, rank), indices.rank());
            let before = (0..axis).map(|a| of_x(a, None, a));
            let rows = (0..own).map(|a| of_rows(a, axis + a));
            before.chain(rows).chain((axis + 1..rank).map(|a| of_x(a, None, a - 1 + own))).collect()
        }
        Indexing::Elements { axis } => {
            let axis = front(axis, rank);
            (0..rank).map(|a| if a == axis { of_rows(a, a) } else { of_x(a, Some(a), a) }).collect()
        }
        Indexing::Places { batch_axes } => {
            let (rows, named) = (indices.rank() - 1, geometry.extents.len());
            let before = (0..batch_axes).map(|a| of_x(a, Some(a), a));
            let behind = (batch_axes + named..rank).map(|a| of_x(a, None, rows + a - batch_axes - named));
            before.chain((batch_axes..rows).map(|a| of_rows(a, a))).chain(behind).collect()
        }
    }
}

/// Leaves these ranges of x and of the indices; the first coordinates in x, the indices and what has a row for each of them.
fn cut(along: &[Along], ranges: &[Chunk], x: &mut TensorType, indices: &mut TensorType, rows: usize) -> [Vec<u64>; 3] {
    let mut first = [vec![0; x.rank()], vec![0; indices.rank()], vec![0; rows]];
    for (along, range) in along.iter().zip(ranges) {
        let count = range.count as usize;
        if let Some(axis) = along.x {
            (x.extents[axis], first[0][axis]) = (count, range.first);
        }
        if let Some(axis) = along.indices {
            (indices.extents[axis], first[1][axis]) = (count, range.first);
        }
        if let Some(axis) = along.rows {
            first[2][axis] = range.first;
        }
    }
    first
}

impl Planned for GatherProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![DIRECT]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        or_divide(Self::plan_part(self, profile, algorithm), self, profile, algorithm)
    }
}

impl Divisible for GatherProblem {
    type Part = Self;

    fn cut_extents(&self) -> Vec<u64> {
        along(&self.x, &self.indices, &self.geometry, self.indexing).iter().map(|along| along.extent as u64).collect()
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<Self>> {
        let along = along(&self.x, &self.indices, &self.geometry, self.indexing);
        let (mut x, mut indices) = (self.x.clone(), self.indices.clone());
        let [of_x, of_indices, of_y] = cut(&along, ranges, &mut x, &mut indices, self.y().len());
        Ok(Part::of(Self::new(&x, &indices, self.indexing)?, vec![of_x, of_indices], vec![of_y]))
    }

    fn plan_part(part: &Self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.plan_places(profile, algorithm)
    }
}

impl GatherProblem {
    /// The plan by outer coordinates, then by places of x.
    fn plan_places(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
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
        let named = Chunk { first: 0, count: self.geometry.extents.first().copied().unwrap_or(1) };
        or_divide(Self::plan_part(&(self.clone(), named), profile, algorithm), self, profile, algorithm)
    }
}

impl ScatterProblem {
    /// The first axis of x that indices name, if they name one.
    fn named_axis(&self) -> Option<usize> {
        let axis = match self.descriptor.indexing {
            Indexing::Slices { axis } | Indexing::Elements { axis } => front(axis, self.x.rank()),
            Indexing::Places { batch_axes } => batch_axes,
        };
        (!self.geometry.extents.is_empty()).then_some(axis)
    }

    /// The axes of x that indices do not name.
    fn others(&self) -> Vec<Along> {
        along(&self.x, &self.indices, &self.geometry, self.descriptor.indexing).into_iter().filter(|along| along.x.is_some()).collect()
    }

    /// x, and so y, of these coordinates of the first axis that indices name.
    fn of_named(&self, named: Chunk) -> TensorType {
        let mut x = self.x.clone();
        if let Some(axis) = self.named_axis() {
            x.extents[axis] = named.count as usize;
        }
        x
    }
}

impl Divisible for ScatterProblem {
    /// A scatter, and which coordinates of the first axis that indices name are computed.
    type Part = (Self, Chunk);

    fn cut_extents(&self) -> Vec<u64> {
        let named = self.named_axis().map(|axis| self.x.extents[axis]);
        self.others().iter().map(|along| along.extent).chain(named).map(|extent| extent as u64).collect()
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<Self::Part>> {
        let others = self.others();
        let (mut x, mut indices, mut updates) =
            (self.x.clone(), self.indices.clone(), TensorType { extents: self.updates().to_vec(), ..self.x.clone() });
        let [mut of_x, of_indices, of_updates] = cut(&others, ranges, &mut x, &mut indices, updates.rank());
        for (along, range) in others.iter().zip(ranges) {
            along.rows.into_iter().for_each(|axis| updates.extents[axis] = range.count as usize);
        }
        let problem = Self::new(&x, &indices, &updates, &self.descriptor)?;
        let named = match (self.named_axis(), ranges.get(others.len())) {
            (Some(axis), Some(range)) => {
                of_x[axis] = range.first;
                *range
            }
            _ => Chunk { first: 0, count: 1 },
        };
        let [x, indices, updates]: [TensorSpec; 3] = problem.specs(named);
        let y = TensorBox { first: of_x.clone(), spec: TensorSpec::of("y", &x.tensor) };
        let inputs = [(of_x, x), (of_indices, indices), (of_updates, updates)];
        let inputs = inputs.into_iter().map(|(first, spec)| TensorBox { first, spec }).collect();
        Ok(Part { problem: (problem, named), inputs, outputs: vec![y] })
    }

    fn plan_part((problem, named): &Self::Part, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        problem.plan_named(*named, profile, algorithm)
    }
}

impl ScatterProblem {
    /// Its inputs, x of these coordinates of the first axis that indices name.
    fn specs(&self, named: Chunk) -> [TensorSpec; 3] {
        let updates = TensorType { extents: self.updates().to_vec(), ..self.x.clone() };
        [TensorSpec::of("x", &self.of_named(named)), TensorSpec::of("indices", &self.indices), TensorSpec::of("updates", &updates)]
    }

    /// The plan for these coordinates of the first axis that indices name.
    fn plan_named(&self, named: Chunk, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&[SCATTER], algorithm, SCATTER)?;
        let x = self.of_named(named);
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        (plan.inputs[0].tensor, plan.outputs[0].tensor) = (x.clone(), x);
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
        let all = geometry.extents.first().copied().unwrap_or(1);
        let each = geometry.places() / all; // places of a named coordinate
        let ends = 2 * outer * named.count * each * inner;
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
            let mut params = IndexParams {
                items: items as u32,
                places: (named.count * each) as u32,
                first_place: (named.first * each) as u32,
                ..params(geometry)
            };
            if pass == 0 {
                (params.rows, params.places) = (ends as u32, outputs as u32);
            }
            plan.steps.push(Step::new(kernel, &params, refs, items.div_ceil(64), profile)?);
        }
        Ok(plan)
    }
}
