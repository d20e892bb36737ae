//! The planner of casts: one element an item, or four.

use crate::ops::Problem;
use crate::ops::elementwise::cast::CastProblem;
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::{CAST, CAST_VECTOR};
use crate::shader::uniforms::CastParams;
use crate::types::{ElementType, Result};

/// One element an item, or four.
const DIRECT: &str = "direct";

const VECTOR: &str = "vector";

/// Items of one invocation, as those of operations on one tensor.
const ITEMS_EACH: u64 = 4;

/// Elements that no part is cut in: 256 bytes of f16, the coarsest alignment of a binding, and 512 of f32.
const UNIT: u64 = 128;

impl Planned for CastProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if self.count().is_multiple_of(4) { vec![DIRECT, VECTOR] } else { vec![DIRECT] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let admitted = self.algorithms(profile);
        let algorithm = pick(&admitted, algorithm, admitted[admitted.len() - 1])?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check_tensors("a cast", &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
        let (source, width) = if algorithm == VECTOR { (&CAST_VECTOR, 4) } else { (&CAST, 1) };
        let consts = vec![("ITEMS_EACH", ITEMS_EACH as u32), ("TO_F16", u32::from(self.to == ElementType::F16)), profile.together()];
        // One side is f16, whichever it is.
        let kernel = KernelSpec { source, element: ElementType::F16, consts, overrides: vec![] };
        let count = self.count();
        for chunk in chunks(count.div_ceil(UNIT), &[("128 elements of f32", 4 * UNIT)], profile)? {
            let elements = (chunk.count * UNIT).min(count - chunk.first * UNIT);
            let [x, y] = [self.x.element, self.to].map(|element| (chunk.range(UNIT, element, profile), element.bytes()));
            let bytes = [x, y].map(|(range, each)| (u64::from(range.base) + elements) * each);
            let items = elements / width;
            let base = |base: u32| base / width as u32;
            let params = CastParams { items: items as u32, x_base: base(x.0.base), y_base: base(y.0.base), unused: 0 };
            let refs = vec![
                BufferRef::Input { index: 0, first: x.0.first, bytes: bytes[0] },
                BufferRef::Output { index: 0, first: y.0.first, bytes: bytes[1] },
            ];
            plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(64 * ITEMS_EACH), profile)?);
        }
        Ok(plan)
    }
}
