//! The planner of optimizer steps: one parameter after the other, or four, each read and written once.

use crate::ops::Problem;
use crate::ops::optimizer::{OptimizerProblem, Rule};
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::{OPTIMIZER, OPTIMIZER_1, OPTIMIZER_2, OPTIMIZER_3};
use crate::shader::uniforms::OptimizerParams;
use crate::types::{ElementType, Result};

/// One parameter an item, or four.
const DIRECT: &str = "direct";

const VECTOR: &str = "vector";

/// Items of a workgroup.
const BLOCK: u64 = 256;

/// Parameters that no part is cut in: 256 bytes of them, the coarsest alignment of a binding.
const UNIT: u64 = 64;

impl Planned for OptimizerProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if self.count().is_multiple_of(4) { vec![DIRECT, VECTOR] } else { vec![DIRECT] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let admitted = self.algorithms(profile);
        let algorithm = pick(&admitted, algorithm, admitted[admitted.len() - 1])?;
        let width = if algorithm == VECTOR { 4 } else { 1 };
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check_tensors("an optimizer", &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
        let states = self.rule.state().len();
        let is = |condition: bool| u32::from(condition);
        let consts = vec![
            ("RULE", self.rule.shader_id()),
            ("STATES", states as u32),
            ("VECTOR", is(algorithm == VECTOR)),
            ("RMSPROP", is(matches!(self.rule, Rule::RmsProp { .. }))),
            ("CENTERED", is(matches!(self.rule, Rule::RmsProp { centered: true, .. }))),
            ("ADAM", is(matches!(self.rule, Rule::Adam { .. }))),
            profile.together(),
        ];
        let source = [&OPTIMIZER, &OPTIMIZER_1, &OPTIMIZER_2, &OPTIMIZER_3][states];
        let kernel = KernelSpec { source, element: ElementType::F32, consts, overrides: vec![] };
        let count = self.count();
        for chunk in chunks(count.div_ceil(UNIT), &[("64 parameters", UNIT * 4)], profile)? {
            let elements = (chunk.count * UNIT).min(count - chunk.first * UNIT);
            let range = chunk.range(UNIT, ElementType::F32, profile);
            let bytes = (u64::from(range.base) + elements) * 4;
            let items = elements / width;
            let params = OptimizerParams { items: items as u32, base: range.base / width as u32, unused0: 0, unused1: 0 };
            let mut refs = vec![BufferRef::Input { index: 0, first: range.first, bytes }, BufferRef::input(1, &plan.inputs)];
            refs.extend((0..=states).map(|index| BufferRef::Output { index, first: range.first, bytes }));
            // The kernel counts from the range's first item to the end of its own.
            plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(BLOCK), profile)?);
        }
        Ok(plan)
    }
}
