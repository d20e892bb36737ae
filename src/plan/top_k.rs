//! The planner of the first elements of an order: `direct` counts for each element those before it, n of them for each of n; `bitonic` sorts chunks of a line in
//! workgroup memory, keeps the first k of each, and sorts those, until a single chunk is left. Where no binding holds a tensor, lines are taken one after another.

use crate::ops::Problem;
use crate::ops::top_k::{TopKOrder, TopKProblem};
use crate::plan::Planned;
use crate::plan::parts::{Divisible, Part, or_divide};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_tensors};
use crate::shader::KernelSpec;
use crate::shader::source::{TOP_K, TOP_K_SORT};
use crate::shader::uniforms::TopKParams;
use crate::types::Result;

const DIRECT: &str = "direct";
const BITONIC: &str = "bitonic";

/// Most candidates that a workgroup sorts: 8 KiB of its memory, which every device has.
const MOST: u64 = 1024;

/// Longest line whose elements are counted. On lavapipe, where barriers cost, 256 lines of 64 take a sixth of the time so, and 8 of 1000 3.5 times as long; no
/// GPU has been asked.
fn few(profile: &DeviceProfile) -> u64 {
    if profile.is_cpu { 256 } else { 64 }
}

impl TopKProblem {
    /// Chunks that keep less than half of their candidates become fewer with each call.
    fn is_sorted_in_chunks(&self) -> bool {
        self.in_memory()[1] <= MOST || self.k as u64 <= MOST / 2
    }
}

impl Planned for TopKProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if self.is_sorted_in_chunks() { vec![DIRECT, BITONIC] } else { vec![DIRECT] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        or_divide(Self::plan_part(self, profile, algorithm), self, profile, algorithm)
    }
}

impl Divisible for TopKProblem {
    type Part = Self;

    fn cut_extents(&self) -> Vec<u64> {
        self.other_axes().iter().map(|&axis| self.x.extents[axis] as u64).collect()
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<Self>> {
        let mut part = self.clone();
        let mut first = vec![0; self.x.rank()];
        for (&axis, range) in self.other_axes().iter().zip(ranges) {
            (part.x.extents[axis], first[axis]) = (range.count as usize, range.first);
        }
        Ok(Part::of(part, vec![first.clone()], vec![first.clone(), first]))
    }

    fn plan_part(part: &Self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.plan_lines(profile, algorithm)
    }
}

impl TopKProblem {
    /// The axes that no line runs along, the slowest first.
    fn other_axes(&self) -> Vec<usize> {
        self.x.layout.memory_order(self.x.rank()).into_iter().filter(|axis| *axis != self.axis).collect()
    }

    /// The plan of all lines at once.
    fn plan_lines(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let [outer, length, inner] = self.in_memory();
        let preferred = if length > few(profile) && self.is_sorted_in_chunks() { BITONIC } else { DIRECT };
        let algorithm = pick(&self.algorithms(profile), algorithm, preferred)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        let tensors: Vec<_> = plan.inputs.iter().chain(&plan.outputs).collect();
        check_tensors(self.name(), &tensors, profile)?;
        tensors.iter().try_for_each(|tensor| check_binding(&tensor.name, tensor.bytes(), profile))?;
        let (element, k) = (self.x.element, self.k as u64);
        let smallest = ("SMALLEST", u32::from(self.order == TopKOrder::Smallest));
        let [x, y, indices] = [BufferRef::input(0, &plan.inputs), BufferRef::output(0, &plan.outputs), BufferRef::output(1, &plan.outputs)];
        // Every cast is in range: x has less than 2^31 elements, and so have lines and chunks.
        let of = |items: u64, candidates: u64, chunks: u64| TopKParams {
            length: length as u32,
            inner: inner as u32,
            k: k as u32,
            items: items as u32,
            candidates: candidates as u32,
            chunks: chunks as u32,
            unused0: 0,
            unused1: 0,
        };
        if algorithm == DIRECT {
            profile.check_iterations(algorithm, length)?;
            let overrides = [smallest].into_iter().filter(|(_, value)| *value != 0).collect();
            let kernel = KernelSpec { source: &TOP_K, element, consts: vec![], overrides };
            let items = outer * length * inner;
            let refs = vec![x, BufferRef::Nothing, BufferRef::Nothing, y, indices];
            plan.steps.push(Step::new(kernel, &of(items, length, 1), refs, items.div_ceil(64), profile)?);
            return Ok(plan);
        }
        let lines = outer * inner;
        let threads = 1u32 << profile.max_workgroup_invocations.clamp(64, 256).ilog2();
        let (mut candidates, mut kept) = (length, BufferRef::Nothing);
        loop {
            let chunk = candidates.next_power_of_two().clamp(128, MOST);
            let chunks = candidates.div_ceil(chunk);
            let is_last = chunks == 1;
            let keeps = if is_last {
                BufferRef::Nothing
            } else {
                let bytes = lines * chunks * k * 8;
                check_binding("the candidates that chunks keep", bytes, profile)?;
                plan.scratch.push(bytes);
                BufferRef::Scratch(plan.scratch.len() - 1)
            };
            let kernel = KernelSpec {
                source: &TOP_K_SORT,
                element,
                consts: vec![("CHUNK", chunk as u32), ("WG_SIZE", threads.min(chunk as u32 / 2))],
                overrides: [smallest].into_iter().filter(|(_, value)| *value != 0).collect(),
            };
            let [y, indices] = if is_last { [y, indices] } else { [BufferRef::Nothing; 2] };
            let refs = vec![x, kept, keeps, y, indices];
            plan.steps.push(Step::new(kernel, &of(lines * chunks, candidates, chunks), refs, lines * chunks, profile)?);
            if is_last {
                return Ok(plan);
            }
            (candidates, kept) = (chunks * k, keeps);
        }
    }
}
