//! The planner of softmax: a line per invocation, or lines that several share.

use crate::ops::Problem;
use crate::ops::softmax::SoftmaxProblem;
use crate::plan::Planned;
use crate::plan::lanes::{LONGEST_SERIAL_LINE, lane_consts, lane_turns, lanes, lines_per_workgroup};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Place, Plan, Step, check_tensors, slices};
use crate::shader::KernelSpec;
use crate::shader::source::{SOFTMAX, SOFTMAX_IN_PLACE};
use crate::shader::uniforms::SoftmaxParams;
use crate::types::Result;

/// One line per invocation, or lines that several share.
const DIRECT: &str = "direct";

const ROWS: &str = "rows";

impl Planned for SoftmaxProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if self.lines()[1] <= LONGEST_SERIAL_LINE { vec![DIRECT, ROWS] } else { vec![ROWS] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&self.algorithms(profile), algorithm, ROWS)?;
        let [outer, length, inner] = self.lines();
        let lane_count = if algorithm == ROWS { lanes(length, outer * inner, profile) } else { 1 };
        profile.check_turns(algorithm, lane_turns(length, lane_count))?;
        let mut plan = Plan::new(self.name(), format!("{algorithm} {lane_count}"), self.inputs(), self.outputs());
        check_tensors("a softmax", &plan.outputs.iter().collect::<Vec<_>>(), profile)?;
        let flags = [("LOGARITHM", u32::from(self.logarithm)), ("LANE_FASTEST", u32::from(inner == 1))];
        let kernel = KernelSpec {
            source: if self.in_place { &SOFTMAX_IN_PLACE } else { &SOFTMAX },
            element: self.element,
            consts: lane_consts(lane_count),
            overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
        };
        let slab = length * inner;
        for slice in slices(outer, &[("one slab of x", slab * self.element.bytes())], profile)? {
            let range = slice.range(slab, self.element, profile);
            let items = slice.count * inner;
            let params = SoftmaxParams { items: items as u32, inner: inner as u32, length: length as u32, base: range.base };
            let output = Place::Output { index: 0, first: range.first, bytes: range.bytes };
            let places = match self.in_place {
                false => vec![Place::Input { index: 0, first: range.first, bytes: range.bytes }, output],
                true => vec![output],
            };
            plan.steps.push(Step::new(kernel.clone(), &params, places, items.div_ceil(lines_per_workgroup(lane_count)), profile)?);
        }
        Ok(plan)
    }
}
