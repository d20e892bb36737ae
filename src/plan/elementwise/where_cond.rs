//! The planner of choices between two tensors: one output per invocation, its place decoded over the axes of all operands.

use crate::ops::Problem;
use crate::ops::elementwise::where_cond::{WhereAxis, WhereProblem};
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::ELEMENTWISE_WHERE;
use crate::shader::uniforms::{WhereOperandAxis, WhereParams};
use crate::types::Result;
use crate::types::strided_axes::outer_item;

const DIRECT: &str = "direct";

impl WhereProblem {
    /// Bytes of each tensor: the condition, a, b, y.
    fn bytes_each(&self) -> [u64; 4] {
        let [condition, a, b] = &self.operands;
        [condition, a, b, &self.y].map(|extents| extents.iter().map(|&e| e as u64).product::<u64>() * self.element.bytes())
    }

    /// Cuts the slowest axis so that every tensor's part fits one binding; one that does not step along it as a whole must fit.
    fn chunks(&self, axes: &[WhereAxis], profile: &DeviceProfile) -> Result<Vec<Chunk>> {
        let names = ["one line of the condition", "one line of a", "one line of b", "one line of the output"];
        let mut items = Vec::new();
        for (operand, whole) in self.bytes_each().into_iter().enumerate() {
            match outer_item(axes, operand) {
                Some(item) => items.push((names[operand], item * self.element.bytes())),
                None => check_binding(["the condition", "a", "b", "the output"][operand], whole, profile)?,
            }
        }
        chunks(axes[0].0, &items, profile)
    }
}

impl Planned for WhereProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![DIRECT]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&[DIRECT], algorithm, DIRECT)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check_tensors("an elementwise op", &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
        let axes = self.axes();
        let kernel = KernelSpec {
            source: &ELEMENTWISE_WHERE,
            element: self.element,
            consts: vec![("AXES", axes.len() as u32), profile.together()],
            overrides: vec![],
        };
        for chunk in self.chunks(&axes, profile)? {
            let mut cut = axes.clone();
            cut[0].0 = chunk.count;
            let mut bases = [0; 4];
            let mut refs = Vec::new();
            for (operand, whole) in self.bytes_each().into_iter().enumerate() {
                let (first, bytes) = match outer_item(&axes, operand) {
                    Some(item) => {
                        let range = chunk.range(item, self.element, profile);
                        bases[operand] = range.base as i32;
                        (range.first, range.bytes)
                    }
                    None => (0, whole),
                };
                refs.push(match operand {
                    3 => BufferRef::Output { index: 0, first, bytes },
                    index => BufferRef::Input { index, first, bytes },
                });
            }
            let items = cut.iter().map(|(extent, _)| extent).product::<u64>();
            let params = WhereParams { axes: WhereOperandAxis::padded(&cut), bases, items: items as u32, unused0: 0, unused1: 0, unused2: 0 };
            plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(256), profile)?);
        }
        Ok(plan)
    }
}
