//! The planner of max unpooling: two scatters, so that the winner of a position is always the same.

use crate::ops::Problem;
use crate::ops::pool::unpool::MaxUnpoolProblem;
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_binding, check_tensors};
use crate::shader::KernelSpec;
use crate::shader::source::POOL_MAX_UNPOOL;
use crate::shader::uniforms::UnpoolParams;
use crate::types::{Layout, Result};

const SCATTER: &str = "scatter";

impl Planned for MaxUnpoolProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![SCATTER]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&[SCATTER], algorithm, SCATTER)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
        check_tensors("an unpool", &tensors, profile)?;
        for tensor in tensors {
            check_binding(&tensor.name, tensor.bytes(), profile)?;
        }
        let count = plan.outputs[0].count();
        check_binding("the winners of the unpool", count * 4, profile)?;
        plan.scratch.push(count * 4);
        let [positions_x, positions_y] = self.positions();
        let planes = self.x[0] * self.x[1];
        let params =
            UnpoolParams { planes: planes as u32, channels: self.x[1] as u32, positions_x: positions_x as u32, positions_y: positions_y as u32 };
        for (pass, items) in [(0, count), (1, plan.inputs[0].count()), (2, count)] {
            let layout = u32::from(self.layout == Layout::ChannelsLast);
            let overrides = [("PASS", pass), ("CHANNELS_LAST", layout)].into_iter().filter(|(_, value)| *value != 0).collect();
            let kernel = KernelSpec { source: &POOL_MAX_UNPOOL, element: self.element, consts: vec![], overrides };
            let inputs = [BufferRef::input(0, &plan.inputs), BufferRef::input(1, &plan.inputs)];
            let refs = inputs.into_iter().chain([BufferRef::Scratch(0), BufferRef::output(0, &plan.outputs)]).collect();
            plan.steps.push(Step::new(kernel, &params, refs, items.div_ceil(64), profile)?);
        }
        Ok(plan)
    }
}
