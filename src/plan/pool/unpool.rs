//! The planner of max unpooling and of its gradient: a scatter finds the winner of each position, which is always the same. Where no binding holds a
//! tensor, images are computed one after another, then planes, then rows of the unpooled plane, which leave out the indices of the others.

use crate::ops::Problem;
use crate::ops::pool::unpool::{MaxUnpoolGradient, MaxUnpoolProblem};
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::parts::{Divisible, Part, or_divide};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_tensors};
use crate::shader::KernelSpec;
use crate::shader::source::POOL_MAX_UNPOOL;
use crate::shader::uniforms::UnpoolParams;
use crate::types::{Layout, Result};

const SCATTER: &str = "scatter";

/// The axis of rows: the first spatial one.
const ROWS: usize = 2;

/// Some planes of an unpooling, and which rows of what is unpooled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnpoolPart {
    of: MaxUnpoolProblem,
    rows: Chunk,
}

impl UnpoolPart {
    fn whole(of: &MaxUnpoolProblem) -> Self {
        Self { of: of.clone(), rows: Chunk { first: 0, count: of.y[ROWS] as u64 } }
    }

    /// These images, planes and rows, and their first coordinates in x and in y.
    fn of_ranges(of: &MaxUnpoolProblem, ranges: &[Chunk]) -> (Self, Vec<u64>, Vec<u64>) {
        let mut part = Self { of: of.clone(), rows: ranges[ROWS] };
        let (mut x, mut y) = (vec![0; of.x.len()], vec![0; of.y.len()]);
        for (axis, range) in ranges[..ROWS].iter().enumerate() {
            (part.of.x[axis], part.of.y[axis], x[axis], y[axis]) = (range.count as usize, range.count as usize, range.first, range.first);
        }
        y[ROWS] = part.rows.first;
        (part, x, y)
    }

    /// Clears, finds the winners, and writes by the kernel's pass `last`: y by each winner, or dx by whether it won.
    fn scatter(&self, op: &dyn Problem, unpooled: BufferRef, last: u32, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&[SCATTER], algorithm, SCATTER)?;
        let of = &self.of;
        let mut plan = Plan::new(op.name(), algorithm.to_string(), op.inputs(), op.outputs());
        check_tensors("an unpool", &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
        let rows = self.rows.count as usize;
        match unpooled {
            BufferRef::Input { index, .. } => plan.inputs[index].tensor.extents[ROWS] = rows,
            BufferRef::Output { index, .. } => plan.outputs[index].tensor.extents[ROWS] = rows,
            _ => {}
        }
        let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
        tensors.iter().try_for_each(|tensor| check_binding(&tensor.name, tensor.bytes(), profile))?;
        let [positions_x, plane] = of.positions();
        let row = plane / of.y[ROWS] as u64;
        let planes = (of.x[0] * of.x[1]) as u64;
        let (outputs, elements) = (planes * self.rows.count * row, planes * positions_x);
        check_binding("the winners of the unpool", outputs * 4, profile)?;
        plan.scratch.push(outputs * 4);
        let params = UnpoolParams {
            planes: planes as u32,
            channels: of.x[1] as u32,
            positions_x: positions_x as u32,
            positions_y: (self.rows.count * row) as u32,
            first_y: (self.rows.first * row) as u32,
            plane_y: plane as u32,
            unused0: 0,
            unused1: 0,
        };
        for (pass, items) in [(0, outputs), (1, elements), (last, plan.outputs[0].count())] {
            let layout = u32::from(of.layout == Layout::ChannelsLast);
            let overrides = [("PASS", pass), ("CHANNELS_LAST", layout)].into_iter().filter(|(_, value)| *value != 0).collect();
            let kernel = KernelSpec { source: &POOL_MAX_UNPOOL, element: of.element, consts: vec![], overrides };
            let inputs = [BufferRef::input(0, &plan.inputs), BufferRef::input(1, &plan.inputs)];
            let refs = inputs.into_iter().chain([BufferRef::Scratch(0), BufferRef::output(0, &plan.outputs)]).collect();
            plan.steps.push(Step::new(kernel, &params, refs, items.div_ceil(64), profile)?);
        }
        Ok(plan)
    }
}

/// Images, the planes of each, and rows of y: a part of an image takes its rows one after another.
fn cut_extents(of: &MaxUnpoolProblem) -> Vec<u64> {
    of.y[..=ROWS].iter().map(|&extent| extent as u64).collect()
}

/// What is cut by rows; an index or the gradient of an element is never.
const Y: BufferRef = BufferRef::Output { index: 0, first: 0, bytes: 0 };

const DY: BufferRef = BufferRef::Input { index: 0, first: 0, bytes: 0 };

impl Planned for MaxUnpoolProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![SCATTER]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        or_divide(Self::plan_part(&UnpoolPart::whole(self), profile, algorithm), self, profile, algorithm)
    }
}

impl Divisible for MaxUnpoolProblem {
    type Part = UnpoolPart;

    fn cut_extents(&self) -> Vec<u64> {
        cut_extents(self)
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<UnpoolPart>> {
        let (part, x, y) = UnpoolPart::of_ranges(self, ranges);
        let Part { inputs, mut outputs, .. } = Part::of(part.of.clone(), vec![x.clone(), x], vec![y]);
        outputs[0].spec.tensor.extents[ROWS] = part.rows.count as usize;
        Ok(Part { problem: part, inputs, outputs })
    }

    fn plan_part(part: &UnpoolPart, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.scatter(&part.of, Y, 2, profile, algorithm)
    }
}

impl Planned for MaxUnpoolGradient {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![SCATTER]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        or_divide(Self::plan_part(&UnpoolPart::whole(&self.of), profile, algorithm), self, profile, algorithm)
    }
}

impl Divisible for MaxUnpoolGradient {
    type Part = UnpoolPart;

    fn cut_extents(&self) -> Vec<u64> {
        cut_extents(&self.of)
    }

    /// Rows of dy write the elements of dx that went there, and the first ones those that went nowhere.
    fn part(&self, ranges: &[Chunk]) -> Result<Part<UnpoolPart>> {
        let (part, x, y) = UnpoolPart::of_ranges(&self.of, ranges);
        let Part { mut inputs, mut outputs, .. } = Part::of(Self { of: part.of.clone() }, vec![y, x.clone()], vec![x]);
        inputs[0].spec.tensor.extents[ROWS] = part.rows.count as usize;
        outputs[0].spec.in_out = part.rows.first > 0;
        Ok(Part { problem: part, inputs, outputs })
    }

    fn plan_part(part: &UnpoolPart, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.scatter(&MaxUnpoolGradient { of: part.of.clone() }, DY, 3, profile, algorithm)
    }
}
