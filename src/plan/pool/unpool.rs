//! The planner of max unpooling and of its gradient: a scatter finds the winner of each position, which is always the same.

use crate::ops::Problem;
use crate::ops::pool::unpool::{MaxUnpoolGradient, MaxUnpoolProblem};
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

/// Clears, finds the winners, and writes by the kernel's pass `last`: y by each winner, or dx by whether it won.
fn scatter(of: &MaxUnpoolProblem, op: &dyn Problem, last: u32, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
    let algorithm = pick(&[SCATTER], algorithm, SCATTER)?;
    let mut plan = Plan::new(op.name(), algorithm.to_string(), op.inputs(), op.outputs());
    let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
    check_tensors("an unpool", &tensors, profile)?;
    for tensor in tensors {
        check_binding(&tensor.name, tensor.bytes(), profile)?;
    }
    let [outputs, elements] = [&of.y, &of.x].map(|extents| extents.iter().map(|&e| e as u64).product::<u64>());
    check_binding("the winners of the unpool", outputs * 4, profile)?;
    plan.scratch.push(outputs * 4);
    let [positions_x, positions_y] = of.positions();
    let planes = of.x[0] * of.x[1];
    let params = UnpoolParams { planes: planes as u32, channels: of.x[1] as u32, positions_x: positions_x as u32, positions_y: positions_y as u32 };
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

impl Planned for MaxUnpoolProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![SCATTER]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        scatter(self, self, 2, profile, algorithm)
    }
}

impl Planned for MaxUnpoolGradient {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![SCATTER]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        scatter(&self.of, self, 3, profile, algorithm)
    }
}
