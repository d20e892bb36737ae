//! The planner of softmax: a line per invocation, or lines that several share.

use crate::ops::Problem;
use crate::ops::softmax::SoftmaxProblem;
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::row_threads::{LONGEST_SERIAL_LINE, lines_per_workgroup, row_consts, row_iterations, threads};
use crate::plan::step::{BufferRef, Plan, Step, check_tensors, chunks};
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
        let row_threads = if algorithm == ROWS { threads(length, outer * inner, profile) } else { 1 };
        profile.check_iterations(algorithm, row_iterations(length, row_threads))?;
        let mut plan = Plan::new(self.name(), format!("{algorithm} {row_threads}"), self.inputs(), self.outputs());
        check_tensors("a softmax", &plan.outputs.iter().collect::<Vec<_>>(), profile)?;
        let flags = [("LOGARITHM", u32::from(self.logarithm)), ("THREAD_FASTEST", u32::from(inner == 1))];
        let kernel = KernelSpec {
            source: if self.in_place { &SOFTMAX_IN_PLACE } else { &SOFTMAX },
            element: self.element,
            consts: row_consts(row_threads),
            overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
        };
        let slab = length * inner;
        for chunk in chunks(outer, &[("one slab of x", slab * self.element.bytes())], profile)? {
            let range = chunk.range(slab, self.element, profile);
            let items = chunk.count * inner;
            let params = SoftmaxParams { items: items as u32, inner: inner as u32, length: length as u32, base: range.base };
            let output = BufferRef::Output { index: 0, first: range.first, bytes: range.bytes };
            let refs = match self.in_place {
                false => vec![BufferRef::Input { index: 0, first: range.first, bytes: range.bytes }, output],
                true => vec![output],
            };
            plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(lines_per_workgroup(row_threads)), profile)?);
        }
        Ok(plan)
    }
}
