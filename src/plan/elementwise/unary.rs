//! The planner of operations on one tensor, and of activations.

use crate::ops::Problem;
use crate::ops::elementwise::unary::{UnaryOp, UnaryProblem};
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::{ELEMENTWISE_UNARY, ELEMENTWISE_UNARY_IN_PLACE, ELEMENTWISE_UNARY_IN_PLACE_VECTOR, ELEMENTWISE_UNARY_VECTOR};
use crate::shader::uniforms::UnaryParams;
use crate::types::{Activation, Result};

/// One element an item, or four.
const DIRECT: &str = "direct";

const VECTOR: &str = "vector";

/// Items of one invocation: enough to pay for its start, few enough for small tensors to fill a device.
const ITEMS_EACH: u64 = 4;

impl Planned for UnaryProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if self.count().is_multiple_of(4) { vec![DIRECT, VECTOR] } else { vec![DIRECT] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let admitted = self.algorithms(profile);
        let algorithm = pick(&admitted, algorithm, admitted[admitted.len() - 1])?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check_tensors("an elementwise op", &plan.outputs.iter().collect::<Vec<_>>(), profile)?;
        let (source, width) = match (algorithm, self.in_place) {
            (VECTOR, false) => (&ELEMENTWISE_UNARY_VECTOR, 4),
            (VECTOR, true) => (&ELEMENTWISE_UNARY_IN_PLACE_VECTOR, 4),
            (_, false) => (&ELEMENTWISE_UNARY, 1),
            (_, true) => (&ELEMENTWISE_UNARY_IN_PLACE, 1),
        };
        let mut consts = vec![("ITEMS_EACH", ITEMS_EACH as u32), profile.together()];
        let mut overrides = vec![];
        if self.op != UnaryOp::Identity {
            consts.push(("MATH", 1));
            overrides.push(("OPERATION", self.op.shader_id()));
        }
        if self.activation != Activation::None {
            overrides.push(("ACTIVATION", self.activation.shader_id()));
        }
        let kernel = KernelSpec { source, element: self.element, consts, overrides };
        let [alpha, beta] = self.activation.parameters();
        // The unit that is never cut: items of 256 bytes keep chunks on every device's alignment.
        let unit = 256 / self.element.bytes();
        let count = self.count();
        for chunk in chunks(count.div_ceil(unit), &[("256 bytes of x", 256)], profile)? {
            let elements = (chunk.count * unit).min(count - chunk.first * unit);
            let range = chunk.range(unit, self.element, profile);
            let bytes = u64::from(range.base) * self.element.bytes() + elements * self.element.bytes();
            let items = elements / width;
            let base = range.base / width as u32;
            let params = UnaryParams { items: items as u32, x_base: base, y_base: base, unused0: 0, alpha, beta, unused1: 0, unused2: 0 };
            let output = BufferRef::Output { index: 0, first: range.first, bytes };
            let refs = match self.in_place {
                false => vec![BufferRef::Input { index: 0, first: range.first, bytes }, output],
                true => vec![output],
            };
            plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(64 * ITEMS_EACH), profile)?);
        }
        Ok(plan)
    }
}
