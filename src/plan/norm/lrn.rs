//! The planner of local response normalisation.

use crate::ops::Problem;
use crate::ops::norm::lrn::{LrnDescriptor, LrnProblem};
use crate::plan::Planned;
use crate::plan::parts::{Divisible, Part, or_divide};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_tensors};
use crate::shader::KernelSpec;
use crate::shader::source::NORM_LRN;
use crate::shader::uniforms::LrnParams;
use crate::types::{Layout, Result};

impl Planned for LrnProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec!["direct"]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        or_divide(Self::plan_part(self, profile, algorithm), self, profile, algorithm)
    }
}

impl Divisible for LrnProblem {
    type Part = Self;

    /// All axes but the channels.
    fn cut_extents(&self) -> Vec<u64> {
        self.x.iter().enumerate().filter(|(axis, _)| *axis != 1).map(|(_, &extent)| extent as u64).collect()
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<Self>> {
        let mut part = self.clone();
        let mut first = vec![0; self.x.len()];
        for (axis, range) in (0..self.x.len()).filter(|axis| *axis != 1).zip(ranges) {
            (part.x[axis], first[axis]) = (range.count as usize, range.first);
        }
        Ok(Part::of(part, vec![first.clone()], vec![first]))
    }

    fn plan_part(part: &Self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.plan_at_once(profile, algorithm)
    }
}

impl LrnProblem {
    /// The plan of all elements at once.
    fn plan_at_once(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&["direct"], algorithm, "direct")?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check_tensors("a local response normalisation", &plan.inputs.iter().collect::<Vec<_>>(), profile)?;
        check_binding("x", plan.inputs[0].bytes(), profile)?;
        let inner = match self.layout {
            Layout::ChannelsLast if self.x.len() >= 3 => 1,
            _ => self.x[2..].iter().product::<usize>(),
        };
        let [before, after] = self.reach().map(|r| r.min(self.x[1]) as u32); // further than the channels reach is no further
        let LrnDescriptor { size, alpha, beta, bias } = self.descriptor;
        let items = plan.inputs[0].count();
        let params = LrnParams {
            items: items as u32,
            channels: self.x[1] as u32,
            inner: inner as u32,
            before,
            after,
            factor: alpha / size as f32,
            beta,
            bias,
        };
        let kernel = KernelSpec { source: &NORM_LRN, element: self.element, consts: vec![], overrides: vec![] };
        let refs = vec![BufferRef::input(0, &plan.inputs), BufferRef::output(0, &plan.outputs)];
        plan.steps.push(Step::new(kernel, &params, refs, items.div_ceil(64), profile)?);
        Ok(plan)
    }
}
