//! The planner of adjoints: one element of dx per invocation, which gathers by the lists of a table. Pools have a kernel of their
//! own (`spread.rs`), but for a few.

use crate::ops::Problem;
use crate::ops::adjoint::{AdjointProblem, MOST_AXES};
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_tensors, chunks};
use crate::plan::transform::gather::check_table;
use crate::plan::transform::spread;
use crate::shader::KernelSpec;
use crate::shader::source::{TRANSFORM_ADJOINT, TRANSFORM_ADJOINT_INDICES};
use crate::shader::uniforms_adjoint::{AdjointParams, GatheredAxis, KeptAxis};
use crate::types::{ElementType, Result};

const DIRECT: &str = "direct";
pub(super) const SPREAD: &str = "spread";

/// Axes of a tensor that nothing is gathered along: ranks reach 5, and one at least is.
const KEPT: usize = 4;

/// One coordinate, which gathers itself: what stands for an axis that is not there.
const UNIT: [u32; 4] = [2, 4, 0, 0x3f80_0000];

impl Planned for AdjointProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if spread::cells(self).is_some() { vec![SPREAD, DIRECT] } else { vec![DIRECT] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        check_tensors(self.name(), &inputs.iter().chain(&outputs).collect::<Vec<_>>(), profile)?;
        profile.check_iterations(self.name(), self.terms())?;
        let algorithms = self.algorithms(profile);
        let algorithm = pick(&algorithms, algorithm, algorithms[0])?;
        if let Some(cells) = spread::cells(self).filter(|_| algorithm == SPREAD) {
            return spread::plan(self, &cells, profile);
        }
        let (dx, dy) = (self.dx(), self.dy());
        let (dx_strides, dy_strides) = (dx.strides(), dy.strides());
        let gathered_axes = self.axes();
        let entries = |axis: usize| self.most_entries(axis).saturating_mul(2).saturating_add(dx.extents[axis] as u64 + 1);
        check_table(gathered_axes.iter().map(|&axis| entries(axis)).fold(UNIT.len() as u64, u64::saturating_add), profile)?;

        // Every cast is in range: tensors have less than 2^31 elements, and so have extents, strides and tables.
        let mut table = UNIT.to_vec();
        let mut gathered =
            [GatheredAxis { extent: 1, dx_stride: 1, dy_stride: 0, plane_stride: 0, first: 0, unused0: 0, unused1: 0, unused2: 0 }; MOST_AXES];
        for (slot, &axis) in gathered.iter_mut().zip(&gathered_axes) {
            let lists = self.gathered(axis);
            let first = table.len() as u32;
            let begin = first + lists.starts.len() as u32;
            table.extend(lists.starts.iter().map(|start| begin + 2 * start));
            table.extend(lists.entries.iter().flat_map(|(o, weight)| [*o, weight.to_bits()]));
            let plane_stride = dx.extents[axis + 1..].iter().product::<usize>() as u32;
            *slot = GatheredAxis {
                extent: dx.extents[axis] as u32,
                dx_stride: dx_strides[axis] as u32,
                dy_stride: dy_strides[axis] as u32,
                plane_stride,
                first,
                unused0: 0,
                unused1: 0,
                unused2: 0,
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
        // Parts of the slowest axis, where nothing is gathered along it.
        let bytes = |tensor: &crate::types::TensorType| tensor.extents.iter().map(|&e| e as u64).product::<u64>() * tensor.element.bytes();
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
        let source = if self.has_indices() { &TRANSFORM_ADJOINT_INDICES } else { &TRANSFORM_ADJOINT };
        let kernel = KernelSpec { source, element: dx.element, consts: vec![("KEPT", kept.len() as u32)], overrides: vec![] };
        let unit = KeptAxis { extent: 1, dx_stride: 1, dy_stride: 0, unused: 0 };
        let kept = kept.iter().map(|&(extent, [dx, dy])| KeptAxis { extent: extent as u32, dx_stride: dx as u32, dy_stride: dy as u32, unused: 0 });
        let mut axes = [unit; KEPT];
        axes.iter_mut().zip(kept).for_each(|(slot, axis)| *slot = axis);

        let mut plan = Plan::new(self.name(), algorithm.to_string(), inputs, outputs);
        plan.tables.push(table);
        for chunk in images.chunks(self, profile)? {
            let (refs, [dy_base, index_base, dx_base]) = images.bind(self, &chunk, &[BufferRef::Table(0)], profile);
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
