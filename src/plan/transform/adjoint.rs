//! The planner of adjoints: one element of dx per invocation, which gathers by the lists of a table. Pools have a kernel of
//! their own (`spread.rs`), but for a few. Where no binding holds a tensor, parts of dx gather from the parts of dy that they need.

use crate::ops::Problem;
use crate::ops::adjoint::{AdjointOf, AdjointProblem, Gathered, MOST_AXES};
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::parts::{Divisible, Part, TensorBox, or_divide};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_tensors, chunks};
use crate::plan::transform::gather::check_table;
use crate::plan::transform::spread;
use crate::shader::KernelSpec;
use crate::shader::source::{TRANSFORM_ADJOINT, TRANSFORM_ADJOINT_INDICES};
use crate::shader::uniforms_adjoint::{AdjointParams, GatheredAxis, KeptAxis};
use crate::types::{ElementType, Result, TensorType};

const DIRECT: &str = "direct";
pub(super) const SPREAD: &str = "spread";

/// Axes of a tensor that nothing is gathered along: ranks reach 5, and one at least is.
const KEPT: usize = 4;

/// One coordinate, which gathers itself: what stands for an axis that is not there.
const UNIT: [u32; 4] = [2, 4, 0, 0x3f80_0000];

impl Planned for AdjointProblem {
    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
        if spread::cells(self).is_some() && self.planes_fit(profile) { vec![SPREAD, DIRECT] } else { vec![DIRECT] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let dx = self.dx();
        let whole = self.axes().iter().map(|&axis| Chunk { first: 0, count: dx.extents[axis] as u64 }).collect();
        or_divide(AdjointPart { problem: self.clone(), gathered: whole }.plan(profile, algorithm), self, profile, algorithm)
    }
}

/// Some elements of dx, and what they gather.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AdjointPart {
    /// Of the elements along the axes that are kept.
    problem: AdjointProblem,
    /// By axis that is gathered along, which coordinates of dx.
    gathered: Vec<Chunk>,
}

/// Coordinates of dx along an axis: their lists, as coordinates of those of dy that are in them, of which the first one is given too, and how many they are.
fn lists(problem: &AdjointProblem, axis: usize, own: Chunk) -> (Gathered, Chunk) {
    let Gathered { starts, entries } = problem.gathered(axis);
    let starts = &starts[own.first as usize..=(own.first + own.count) as usize];
    let begin = starts[0];
    let entries = &entries[begin as usize..starts[own.count as usize] as usize];
    let all = || entries.iter().map(|(o, _)| *o);
    let (first, end) = (all().min().unwrap_or(0), all().max().map_or(1, |last| last + 1));
    let of = Gathered {
        starts: starts.iter().map(|start| start - begin).collect(),
        entries: entries.iter().map(|(o, weight)| (o - first, *weight)).collect(),
    };
    (of, Chunk { first: first.into(), count: (end - first).into() })
}

/// Most numbers of all tables of a gradient in parts.
const MOST_NUMBERS: u64 = 1 << 24;

/// Most entries of lists that are made once for each part.
const MOST_ENTRIES: u64 = 1 << 20;

impl Divisible for AdjointProblem {
    type Part = AdjointPart;

    /// The axes that are kept, then those that are gathered along.
    fn cut_extents(&self) -> Vec<u64> {
        let dx = self.dx();
        let gathered = if self.entries() > MOST_ENTRIES { vec![] } else { self.axes() };
        self.kept_axes().iter().chain(&gathered).map(|&axis| dx.extents[axis] as u64).collect()
    }

    /// Each has lists of its own where those are cut.
    fn most_parts(&self, counts: &[u64]) -> u64 {
        let kept = self.kept_axes().len();
        let is_cut = counts.len() > kept && counts[kept..] != self.cut_extents()[kept..];
        if is_cut { MOST_NUMBERS / self.entries().max(1) } else { u64::MAX }
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<AdjointPart>> {
        let mut of = self.of.clone();
        let dx = self.dx();
        let mut first = vec![0; dx.rank()];
        for (&axis, range) in self.kept_axes().iter().zip(ranges) {
            first[axis] = range.first;
            let count = range.count as usize;
            match &mut of {
                AdjointOf::Pad(pad) => pad.x.extents[axis] = count,
                AdjointOf::Slice(slice) => (slice.x.extents[axis], slice.ranges[axis].count) = (count, count),
                AdjointOf::Resize(resize) => resize.x.extents[axis] = count,
                AdjointOf::Pool(pool) if axis == 0 => pool.batch = range.count,
                AdjointOf::Pool(pool) => pool.channels = range.count,
            }
        }
        let (axes, kept) = (self.axes(), self.kept_axes().len());
        let whole = |axis: usize| Chunk { first: 0, count: dx.extents[axis] as u64 };
        let gathered: Vec<Chunk> = axes.iter().enumerate().map(|(i, &axis)| ranges.get(kept + i).copied().unwrap_or(whole(axis))).collect();
        let mut of_dy = first.clone();
        for (&axis, own) in axes.iter().zip(&gathered) {
            (first[axis], of_dy[axis]) = (own.first, if *own == whole(axis) { 0 } else { lists(self, axis, *own).1.first });
        }
        let part = AdjointPart { problem: Self { of }, gathered };
        let (dy, dx) = part.tensors();
        let given = |spec: TensorSpec| TensorBox { first: of_dy.clone(), spec };
        let mut inputs = vec![given(TensorSpec::of("dy", &dy))];
        inputs.extend(self.has_indices().then(|| given(TensorSpec::of("indices", &TensorType { element: ElementType::U32, ..dy }))));
        let outputs = vec![TensorBox { first, spec: TensorSpec::of("dx", &dx) }];
        Ok(Part { problem: part, inputs, outputs })
    }

    fn plan_part(part: &AdjointPart, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.plan(profile, algorithm)
    }
}

impl AdjointProblem {
    /// The axes that nothing is gathered along, the slowest first.
    fn kept_axes(&self) -> Vec<usize> {
        let (dx, gathered) = (self.dx(), self.axes());
        dx.layout.memory_order(dx.rank()).into_iter().filter(|axis| !gathered.contains(axis)).collect()
    }

    /// Whether a binding holds what is gathered along, of dx, of dy and of its indices.
    fn planes_fit(&self, profile: &DeviceProfile) -> bool {
        let bytes = |tensor: TensorType, element: u64| self.axes().iter().map(|&axis| tensor.extents[axis] as u64).fold(element, u64::saturating_mul);
        let (dx, dy) = (self.dx(), self.dy());
        let element = dx.element.bytes();
        let of_dy = if self.has_indices() { ElementType::U32.bytes() } else { element };
        bytes(dx, element).max(bytes(dy, of_dy)) <= profile.max_binding_bytes.min(profile.max_buffer_bytes)
    }

    /// Most numbers of its table.
    fn entries(&self) -> u64 {
        let dx = self.dx();
        let own = |&axis: &usize| self.most_entries(axis).saturating_mul(2).saturating_add(dx.extents[axis] as u64 + 1);
        self.axes().iter().map(own).fold(UNIT.len() as u64, u64::saturating_add)
    }
}

impl AdjointPart {
    /// dy and dx.
    fn tensors(&self) -> (TensorType, TensorType) {
        let (mut dy, mut dx) = (self.problem.dy(), self.problem.dx());
        for (axis, own) in self.problem.axes().into_iter().zip(&self.gathered) {
            if own.count < dx.extents[axis] as u64 {
                let (_, rows) = lists(&self.problem, axis, *own);
                (dx.extents[axis], dy.extents[axis]) = (own.count as usize, rows.count as usize);
            }
        }
        (dy, dx)
    }

    /// Whether whole axes are gathered along.
    fn is_whole(&self) -> bool {
        let extents = self.problem.dx().extents;
        self.problem.axes().iter().zip(&self.gathered).all(|(&axis, own)| own.count == extents[axis] as u64)
    }

    /// The plan by whole images.
    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let problem = &self.problem;
        let (mut inputs, mut outputs) = (problem.inputs(), problem.outputs());
        check_tensors(problem.name(), &inputs.iter().chain(&outputs).collect::<Vec<_>>(), profile)?;
        profile.check_iterations(problem.name(), problem.terms())?;
        let algorithms = problem.algorithms(profile);
        // Part of a plane gathers: cells have no place in a larger plane.
        let algorithm = pick(&algorithms, algorithm, if self.is_whole() { algorithms[0] } else { DIRECT })?;
        if let Some(cells) = spread::cells(problem).filter(|_| algorithm == SPREAD) {
            return spread::plan(problem, &cells, profile);
        }
        check_table(problem.entries(), profile)?;
        let plane = problem.dx().extents;
        let (dy, dx) = self.tensors();
        inputs.iter_mut().for_each(|spec| spec.tensor.extents.clone_from(&dy.extents));
        outputs.iter_mut().for_each(|spec| spec.tensor.extents.clone_from(&dx.extents));
        let (dx_strides, dy_strides) = (dx.strides(), dy.strides());
        let gathered_axes = problem.axes();

        // Parts of the slowest axis, where nothing is gathered along it.
        let bytes = |tensor: &TensorType| tensor.extents.iter().map(|&e| e as u64).product::<u64>() * tensor.element.bytes();
        let images = match dx.extents.first() {
            Some(&images) if !gathered_axes.contains(&0) => images as u64,
            _ => {
                check_binding("dy", bytes(&dy), profile)?;
                check_binding("dx", bytes(&dx), profile)?;
                1
            }
        };
        let [dx_image, dy_image] = [&dx, &dy].map(|tensor| tensor.extents.iter().map(|&e| e as u64).product::<u64>() / images);
        let images = Images { count: images, dy: dy_image, dx: dx_image };
        let chunks = images.chunks(problem, profile)?;

        // Every cast is in range: tensors have less than 2^31 elements, and so have extents, strides and tables.
        let mut table = UNIT.to_vec();
        let mut gathered =
            [GatheredAxis { extent: 1, dx_stride: 1, dy_stride: 0, plane_stride: 0, first: 0, first_place: 0, unused0: 0, unused1: 0 }; MOST_AXES];
        for (slot, (&axis, own)) in gathered.iter_mut().zip(gathered_axes.iter().zip(&self.gathered)) {
            let is_whole = own.count == plane[axis] as u64;
            let lists = if is_whole { problem.gathered(axis) } else { lists(problem, axis, *own).0 };
            let first = table.len() as u32;
            let begin = first + lists.starts.len() as u32;
            table.extend(lists.starts.iter().map(|start| begin + 2 * start));
            table.extend(lists.entries.iter().flat_map(|(o, weight)| [*o, weight.to_bits()]));
            let plane_stride = plane[axis + 1..].iter().product::<usize>() as u32;
            *slot = GatheredAxis {
                extent: dx.extents[axis] as u32,
                dx_stride: dx_strides[axis] as u32,
                dy_stride: dy_strides[axis] as u32,
                plane_stride,
                first,
                first_place: own.first as u32 * plane_stride,
                unused0: 0,
                unused1: 0,
            };
        }
        let mut kept: Vec<(u64, [u64; 2])> = vec![];
        for axis in dx.layout.memory_order(dx.rank()).into_iter().filter(|axis| !gathered_axes.contains(axis) && dx.extents[*axis] > 1) {
            let (extent, strides) = (dx.extents[axis] as u64, [dx_strides[axis] as u64, dy_strides[axis] as u64]);
            match kept.last_mut() {
                Some((outer, outer_strides)) if *outer_strides == strides.map(|stride| stride * extent) => {
                    (*outer, *outer_strides) = (*outer * extent, strides)
                }
                _ => kept.push((extent, strides)),
            }
        }
        let source = if problem.has_indices() { &TRANSFORM_ADJOINT_INDICES } else { &TRANSFORM_ADJOINT };
        let kernel = KernelSpec { source, element: dx.element, consts: vec![("KEPT", kept.len() as u32)], overrides: vec![] };
        let unit = KeptAxis { extent: 1, dx_stride: 1, dy_stride: 0, unused: 0 };
        let kept = kept.iter().map(|&(extent, [dx, dy])| KeptAxis { extent: extent as u32, dx_stride: dx as u32, dy_stride: dy as u32, unused: 0 });
        let mut axes = [unit; KEPT];
        axes.iter_mut().zip(kept).for_each(|(slot, axis)| *slot = axis);

        let mut plan = Plan::new(problem.name(), algorithm.to_string(), inputs, outputs);
        plan.tables.push(table);
        for chunk in chunks {
            let (refs, [dy_base, index_base, dx_base]) = images.bind(problem, &chunk, &[BufferRef::Table(0)], profile);
            let items = chunk.count * dx_image;
            let params = AdjointParams { items: items as u32, dy_base, index_base, dx_base, kept: axes, gathered };
            plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(64), profile)?);
        }
        Ok(plan)
    }
}

/// What every adjoint binds, image by image: dy, the indices of a max pool, dx.
pub(super) struct Images {
    pub count: u64,
    /// Elements of one image.
    pub dy: u64,
    pub dx: u64,
}

impl Images {
    /// So many images at once as bindings hold.
    ///
    /// # Errors
    /// [`crate::types::Error::TooLarge`] where they do not hold one.
    pub fn chunks(&self, problem: &AdjointProblem, profile: &DeviceProfile) -> Result<Vec<Chunk>> {
        let element = problem.dx().element;
        let mut needs = vec![("one image of dy", self.dy * element.bytes()), ("one image of dx", self.dx * element.bytes())];
        if problem.has_indices() {
            needs.push(("one image of the indices", self.dy * ElementType::U32.bytes()));
        }
        chunks(self.count, &needs, profile)
    }

    /// The bindings of a chunk, with `tables` behind dy, and where dy, the indices and dx begin in theirs.
    pub fn bind(&self, problem: &AdjointProblem, chunk: &Chunk, tables: &[BufferRef], profile: &DeviceProfile) -> (Vec<BufferRef>, [u32; 3]) {
        let element = problem.dx().element;
        let [dy, dx] = [self.dy, self.dx].map(|image| chunk.range(image, element, profile));
        let mut refs = vec![BufferRef::Input { index: 0, first: dy.first, bytes: dy.bytes }];
        refs.extend(tables);
        let mut index_base = 0;
        if problem.has_indices() {
            let range = chunk.range(self.dy, ElementType::U32, profile);
            index_base = range.base;
            refs.push(BufferRef::Input { index: 1, first: range.first, bytes: range.bytes });
        }
        refs.push(BufferRef::Output { index: 0, first: dx.first, bytes: dx.bytes });
        (refs, [dy.base, index_base, dx.base])
    }
}
