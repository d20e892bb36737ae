//! The planner of batch normalisation.

use crate::ops::Problem;
use crate::ops::norm::batch::BatchNormProblem;
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::{NORM_BATCH, NORM_BATCH_FOLD, NORM_BATCH_IN_PLACE};
use crate::shader::uniforms::{BatchFoldParams, BatchNormParams};
use crate::types::Result;

/// One element per invocation, or lines of one channel.
const DIRECT: &str = "direct";

const ROWS: &str = "rows";

/// Elements of a line that one workgroup takes, as in the shader.
const ROW_BLOCK: u64 = 1024;

impl Planned for BatchNormProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if self.channels(self.layout)[1] > 1 { vec![DIRECT, ROWS] } else { vec![DIRECT] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let [channels, inner] = self.channels(self.layout);
        let preferred = if inner >= 64 { ROWS } else { DIRECT };
        let algorithm = pick(&self.algorithms(profile), algorithm, preferred)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
        check_tensors("a batch normalisation", &tensors, profile)?;
        // Inner lines, as many at a time as the bindings hold.
        let lines = chunks(plan.outputs[0].count() / inner, &[("one line of x", inner * self.element.bytes())], profile)?;
        let place = |name: &str| match plan.inputs.iter().position(|spec| spec.name == name) {
            Some(index) => BufferRef::input(index, &plan.inputs),
            None => BufferRef::Nothing,
        };
        let flags = [("HAS_SCALE", u32::from(self.has_scale)), ("HAS_BIAS", u32::from(self.has_bias))];
        let fold = KernelSpec {
            source: &NORM_BATCH_FOLD,
            element: self.element,
            consts: vec![],
            overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
        };
        let params = BatchFoldParams { items: channels as u32, epsilon: self.epsilon, unused0: 0, unused1: 0 };
        let refs = vec![place("scale"), place("bias"), place("mean"), place("var"), BufferRef::Scratch(0)];
        plan.prepare.push(Step::new(fold, &params, refs, channels.div_ceil(64), profile)?);
        plan.scratch.push(channels * 16); // a vec4 each

        let flags = [("ACTIVATION", self.activation.shader_id()), ("ROWS", u32::from(algorithm == ROWS))];
        let kernel = KernelSpec {
            source: if self.in_place { &NORM_BATCH_IN_PLACE } else { &NORM_BATCH },
            element: self.element,
            consts: vec![profile.together()],
            overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
        };
        let row_blocks = inner.div_ceil(ROW_BLOCK);
        let [alpha, beta] = self.activation.parameters();
        for chunk in lines {
            let range = chunk.range(inner, self.element, profile);
            let (count, base) = (chunk.count * inner, range.base);
            let params = BatchNormParams {
                items: count as u32,
                channels: channels as u32,
                inner: inner as u32,
                row_blocks: row_blocks as u32,
                alpha,
                beta,
                base,
                first_line: (chunk.first % channels) as u32,
            };
            let x = (!self.in_place).then(|| BufferRef::input(0, &plan.inputs).part(range));
            let y = BufferRef::output(0, &plan.outputs).part(range);
            let refs = x.into_iter().chain([BufferRef::Scratch(0), y]).collect();
            let workgroups = if algorithm == ROWS { chunk.count * row_blocks } else { count.div_ceil(64) };
            plan.steps.push(Step::new(kernel.clone(), &params, refs, workgroups, profile)?);
        }
        Ok(plan)
    }
}
