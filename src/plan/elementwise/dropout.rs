//! The planner of dropout: four neighbouring elements an invocation, which share a block of random words; channels-last, whose neighbours lie in blocks of
//! their own, one.

use crate::ops::Problem;
use crate::ops::dropout::DropoutProblem;
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::{DROPOUT, DROPOUT_LAST};
use crate::shader::uniforms::DropoutParams;
use crate::types::{Layout, Result};

const DIRECT: &str = "direct";

impl Planned for DropoutProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![DIRECT]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&[DIRECT], algorithm, DIRECT)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check_tensors("a dropout", &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
        let (extents, element) = (&self.x.extents, self.x.element);
        let count: u64 = extents.iter().map(|&e| e as u64).product();
        let is_last = self.x.layout == Layout::ChannelsLast && self.x.rank() >= 3;
        // What no part is cut in: an image, or 256 bytes, whole blocks of random words on every device's alignment.
        let (unit, name, each, [channels, positions]) = if is_last {
            let positions = extents[2..].iter().map(|&e| e as u64).product::<u64>();
            (extents[1] as u64 * positions, "one image of x", 1, [extents[1] as u64, positions])
        } else {
            (256 / element.bytes(), "256 bytes of x", 4, [1, 1])
        };
        let kernel = KernelSpec { source: if is_last { &DROPOUT_LAST } else { &DROPOUT }, element, consts: vec![], overrides: vec![] };
        for chunk in chunks(count.div_ceil(unit), &[(name, unit * element.bytes())], profile)? {
            let elements = (chunk.count * unit).min(count - chunk.first * unit);
            let range = chunk.range(unit, element, profile);
            let bytes = (u64::from(range.base) + elements) * element.bytes();
            let params = DropoutParams {
                items: elements as u32,
                base: range.base,
                first: (chunk.first * unit) as u32,
                channels: channels as u32,
                positions: positions as u32,
                threshold: self.threshold(),
                scale: self.scale(),
                stream: self.stream,
            };
            let refs = vec![
                BufferRef::Input { index: 0, first: range.first, bytes },
                BufferRef::input(1, &plan.inputs),
                BufferRef::Output { index: 0, first: range.first, bytes },
            ];
            plan.steps.push(Step::new(kernel.clone(), &params, refs, elements.div_ceil(64 * each), profile)?);
        }
        Ok(plan)
    }
}
