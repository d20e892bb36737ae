//! Parts: where no binding holds a tensor of an op, the op runs as smaller problems, each over boxes of its tensors.
//!
//! A box that lies in one piece, where a binding may begin, is bound as it is; any other is copied to scratch memory, or from there where it is an output.
//! Every output is the sum that it is in one piece, by the same algorithm. Boxes of constants are copied when the op is prepared and have memory of their
//! own; all parts share the rest.

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::plan::compose::Taken;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Range, STORAGE_BUFFERS, Step, check_parts, check_tensors};
use crate::plan::transform::copy;
use crate::types::strided::{StridedAxis, StridedCopy};
use crate::types::{Error, Result};

/// Part of a tensor, as a tensor of its own.
#[derive(Debug, Clone)]
pub(crate) struct TensorBox {
    /// Its first coordinate along each axis of the tensor.
    pub first: Vec<u64>,
    pub spec: TensorSpec,
}

/// A smaller problem, and the boxes that its tensors are.
#[derive(Debug, Clone)]
pub(crate) struct Part<P> {
    pub problem: P,
    pub inputs: Vec<TensorBox>,
    pub outputs: Vec<TensorBox>,
}

impl<P: Problem> Part<P> {
    /// A problem of the same kind, whose tensors begin at these coordinates.
    pub fn of(problem: P, inputs: Vec<Vec<u64>>, outputs: Vec<Vec<u64>>) -> Self {
        let boxes =
            |firsts: Vec<Vec<u64>>, specs: Vec<TensorSpec>| firsts.into_iter().zip(specs).map(|(first, spec)| TensorBox { first, spec }).collect();
        let (inputs, outputs) = (boxes(inputs, problem.inputs()), boxes(outputs, problem.outputs()));
        Self { problem, inputs, outputs }
    }
}

/// An op that parts of it compute.
pub(crate) trait Divisible: Problem {
    /// The problem of a part.
    type Part: PartialEq;

    /// The extents that may be cut, in the order in which they are: what is computed at one coordinate needs no other.
    fn cut_extents(&self) -> Vec<u64>;

    /// What is computed at these coordinates, by each of the extents.
    ///
    /// # Errors
    /// None, unless a range is no part of its extent.
    fn part(&self, ranges: &[Chunk]) -> Result<Part<Self::Part>>;

    /// Plans a part, without further parts.
    ///
    /// # Errors
    /// As [`crate::plan::Planned::plan`].
    fn plan_part(part: &Self::Part, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan>;

    /// The most parts of so many coordinates that it may have.
    fn most_parts(&self, _counts: &[u64]) -> u64 {
        u64::MAX
    }

    /// The algorithm of all parts, where the first one's plan is this one.
    fn algorithm_of_all(first: &Plan) -> String {
        first.algorithm().to_string()
    }
}

/// `planned`, or parts where that is too large.
pub(crate) fn or_divide<P: Divisible>(planned: Result<Plan>, problem: &P, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
    match planned {
        Err(error) if is_too_large(&error) => divide(problem, profile, algorithm).unwrap_or(Err(error)),
        planned => planned,
    }
}

fn is_too_large(error: &Error) -> bool {
    matches!(error, Error::TooLarge { limit_name, .. } if *limit_name != STORAGE_BUFFERS)
}

/// Plans an op in parts, as few as halves of its extents make; `None` where no parts fit.
pub(crate) fn divide<P: Divisible>(problem: &P, profile: &DeviceProfile, algorithm: Option<&str>) -> Option<Result<Plan>> {
    let plan = Plan::new(problem.name(), String::new(), problem.inputs(), problem.outputs());
    check_tensors(problem.name(), &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile).ok()?;
    let extents = problem.cut_extents();
    let mut counts = extents.clone();
    let part = |counts: &[u64]| problem.part(&counts.iter().map(|&count| Chunk { first: 0, count }).collect::<Vec<_>>());
    let first = |counts: &[u64]| P::plan_part(&part(counts)?.problem, profile, algorithm);
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
    let boxes_fit = |counts: &[u64]| {
        let fits = |(own, whole): (&TensorBox, &TensorSpec)| own.spec.tensor.extents == whole.tensor.extents || own.spec.bytes() <= limit;
        part(counts).is_ok_and(|part| part.inputs.iter().zip(&plan.inputs).chain(part.outputs.iter().zip(&plan.outputs)).all(fits))
    };
    for axis in 0..counts.len() {
        while counts[axis] > 1 {
            counts[axis] = counts[axis].div_ceil(2);
            let mut found = match first(&counts) {
                Ok(found) => found,
                Err(error) if is_too_large(&error) => continue,
                Err(error) => return Some(Err(error)),
            };
            // What was cut before may have been of no use: where boxes fit a binding without, it is not.
            let mut fewest = counts.clone();
            for earlier in 0..axis {
                let cut = std::mem::replace(&mut fewest[earlier], extents[earlier]);
                match if boxes_fit(&fewest) { first(&fewest).ok() } else { None } {
                    Some(larger) => found = larger,
                    None => fewest[earlier] = cut,
                }
            }
            // A tile that was asked for is that of all parts.
            let of_all = algorithm.filter(|label| label.contains(' ')).map_or_else(|| P::algorithm_of_all(&found), String::from);
            match fill(plan.clone(), problem, (&extents, &fewest), (profile, &of_all), found.label) {
                Err(error) if is_too_large(&error) => {} // parts inside may need more than the first
                planned => return Some(planned),
            }
        }
    }
    None
}

/// Fills `plan`, which has its tensors, with parts of `counts` coordinates.
fn fill<P: Divisible>(
    mut plan: Plan,
    problem: &P,
    (extents, counts): (&[u64], &[u64]),
    (profile, algorithm): (&DeviceProfile, &str),
    label: String,
) -> Result<Plan> {
    plan.label = label;
    let pieces = extents.iter().zip(counts).map(|(extent, count)| extent.div_ceil(*count));
    let pieces = pieces.map(u128::from).fold(1, u128::saturating_mul);
    check_parts(problem.name(), if pieces > problem.most_parts(counts).into() { u128::MAX } else { pieces })?;
    let mut all: Vec<Vec<Chunk>> = vec![vec![]];
    for (&extent, &count) in extents.iter().zip(counts) {
        let chunk = |first: u64| Chunk { first, count: count.min(extent - first) };
        let along: Vec<Chunk> = (0..extent).step_by(count as usize).map(chunk).collect();
        all = all.iter().flat_map(|head| along.iter().map(move |own| head.iter().copied().chain([*own]).collect())).collect();
    }
    let parts: Vec<Part<P::Part>> = all.iter().map(|ranges| problem.part(ranges)).collect::<Result<_>>()?;
    let mut memory = Memory { shared: vec![None; plan.inputs.len() + plan.outputs.len()], constants: vec![] };
    let mut transient = vec![];
    let mut taken: Vec<(&P::Part, Vec<BufferRef>, Taken)> = Vec::new();
    for part in &parts {
        let (mut before, mut after) = (vec![], vec![]);
        let mut inputs = Vec::with_capacity(part.inputs.len());
        for (index, own) in part.inputs.iter().enumerate() {
            let whole = (BufferRef::input(index, &plan.inputs), plan.inputs[index].clone());
            let largest = || parts.iter().map(|part| part.inputs[index].spec.bytes()).max().unwrap_or(0);
            let (place, steps) = match bound(&whole, own, profile) {
                Some(place) => (place, vec![]),
                None if own.spec.constant => (memory.constant(&mut plan, (index, &whole), own, profile)?, vec![]),
                None => {
                    let place = memory.shared(&mut plan, index, largest);
                    (place, copies(&whole, own, place, false, profile)?)
                }
            };
            inputs.push(place);
            before.extend(steps);
        }
        let mut outputs = Vec::with_capacity(part.outputs.len());
        for (index, own) in part.outputs.iter().enumerate() {
            let whole = (BufferRef::output(index, &plan.outputs), plan.outputs[index].clone());
            let largest = || parts.iter().map(|part| part.outputs[index].spec.bytes()).max().unwrap_or(0);
            let place = match bound(&whole, own, profile) {
                Some(place) => place,
                None => {
                    let slot = plan.inputs.len() + index;
                    let place = memory.shared(&mut plan, slot, largest);
                    if own.spec.in_out {
                        before.extend(copies(&whole, own, place, false, profile)?);
                    }
                    after.extend(copies(&whole, own, place, true, profile)?);
                    place
                }
            };
            outputs.push(place);
        }
        // What is made of constants when the op is prepared is of these constants.
        let constants: Vec<BufferRef> = part.inputs.iter().zip(&inputs).filter(|(own, _)| own.spec.constant).map(|(_, place)| *place).collect();
        let known = taken.iter().position(|(problem, places, _)| **problem == part.problem && *places == constants);
        let known = match known {
            Some(known) => known,
            None => {
                let own = P::plan_part(&part.problem, profile, Some(algorithm))?;
                let own = plan.take(own, &mut transient, &inputs, &outputs);
                check_own_bytes(&plan)?;
                taken.push((&part.problem, constants, own));
                taken.len() - 1
            }
        };
        let calls = taken[known].2.calls(&inputs, &outputs);
        plan.steps.extend(before.into_iter().chain(calls).chain(after));
        // A part may be cut further, and is a few calls.
        check_parts(problem.name(), (plan.prepare.len() + plan.steps.len()) as u128 / 8)?;
    }
    Ok(plan)
}

/// Most memory of a plan in parts, in bytes of its tensors: tiles that are padded for few channels each hold far more than those.
const MOST_MEMORY: u64 = 32;

fn check_own_bytes(plan: &Plan) -> Result<()> {
    let tensors = plan.inputs.iter().chain(&plan.outputs).map(TensorSpec::bytes).fold(0, u64::saturating_add);
    let (needed, limit) = (plan.own_bytes(), tensors.saturating_mul(MOST_MEMORY));
    if needed <= limit {
        return Ok(());
    }
    let argument = format!("the scratch memory of {}, cut to fit the device's bindings,", plan.op);
    Err(Error::TooLarge { argument, needed: needed.into(), unit: "bytes", limit_name: "32 times the bytes of its tensors", limit })
}

/// Scratch memory for boxes.
struct Memory {
    /// By tensor, inputs before outputs.
    shared: Vec<Option<BufferRef>>,
    /// An input, the first coordinates of a box of it, its extents, its memory.
    constants: Vec<(usize, Vec<u64>, Vec<usize>, BufferRef)>,
}

impl Memory {
    /// Memory that all boxes of one tensor have in turn.
    fn shared(&mut self, plan: &mut Plan, tensor: usize, largest: impl Fn() -> u64) -> BufferRef {
        *self.shared[tensor].get_or_insert_with(|| new_memory(plan, largest()))
    }

    /// A constant's box, copied when the op is prepared.
    fn constant(
        &mut self,
        plan: &mut Plan,
        (index, whole): (usize, &(BufferRef, TensorSpec)),
        own: &TensorBox,
        profile: &DeviceProfile,
    ) -> Result<BufferRef> {
        let extents = &own.spec.tensor.extents;
        if let Some((.., place)) = self.constants.iter().find(|(i, first, e, _)| *i == index && *first == own.first && e == extents) {
            return Ok(*place);
        }
        let place = new_memory(plan, own.spec.bytes());
        plan.prepare.extend(copies(whole, own, place, false, profile)?);
        self.constants.push((index, own.first.clone(), extents.clone(), place));
        Ok(place)
    }
}

fn new_memory(plan: &mut Plan, bytes: u64) -> BufferRef {
    plan.scratch.push(bytes);
    BufferRef::ScratchPart { index: plan.scratch.len() - 1, first: 0, bytes }
}

/// Where a box begins in its tensor, in elements.
fn begin(whole: &TensorSpec, own: &TensorBox) -> u64 {
    whole.tensor.strides().iter().zip(&own.first).map(|(stride, first)| *stride as u64 * first).sum()
}

/// The box where it is, if it lies in one piece and a binding may begin there.
fn bound((place, whole): &(BufferRef, TensorSpec), own: &TensorBox, profile: &DeviceProfile) -> Option<BufferRef> {
    let (outer, inner) = (&whole.tensor, &own.spec.tensor);
    // From the slowest axis on: extents of 1, then one that is cut, then whole ones.
    let order = outer.layout.memory_order(outer.rank());
    let cut = order.iter().rposition(|&axis| outer.extents[axis] != inner.extents[axis]);
    let is_one_piece = cut.is_none_or(|cut| order[..cut].iter().all(|&axis| inner.extents[axis] == 1));
    let first = begin(whole, own) * outer.element.bytes();
    (is_one_piece && first.is_multiple_of(profile.storage_alignment)).then(|| place.part(Range { first, bytes: own.spec.bytes(), base: 0 }))
}

/// Copies a box to `place`, or with `back` from there.
fn copies((tensor, whole): &(BufferRef, TensorSpec), own: &TensorBox, place: BufferRef, back: bool, profile: &DeviceProfile) -> Result<Vec<Step>> {
    let (x, y) = (whole.tensor.strides(), own.spec.tensor.strides());
    let axes = own.spec.tensor.extents.iter().enumerate().map(|(i, &extent)| StridedAxis { extent: extent as u64, x: x[i], y: y[i] });
    let copy = StridedCopy { input: 0, x_base: begin(whole, own) as i64, y_base: 0, axes: axes.collect() };
    let ends = [(*tensor, whole.bytes()), (place, own.spec.bytes())];
    let (copy, ends) = if back { (copy.reversed(), [ends[1], ends[0]]) } else { (copy, ends) };
    copy::between(copy, whole.tensor.element, ends, profile)
}
