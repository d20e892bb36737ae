//! The planner of choices between two tensors: one output per invocation, its place decoded over the axes of all operands.

use crate::ops::Problem;
use crate::ops::elementwise::where_cond::{WhereAxis, WhereProblem};
use crate::plan::Planned;
use crate::plan::elementwise::pieces::{Piece, pieces};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Range, Step, check_tensors};
use crate::shader::KernelSpec;
use crate::shader::source::ELEMENTWISE_WHERE;
use crate::shader::uniforms::{WhereOperandAxis, WhereParams};
use crate::types::Result;

const DIRECT: &str = "direct";

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
        for Piece { extents, ranges } in pieces(&axes, ["the condition", "a", "b", "the output"], self.element, profile)? {
            let cut: Vec<WhereAxis> = axes.iter().zip(extents).map(|((_, strides), extent)| (extent, *strides)).collect();
            let bases = ranges.map(|range| range.base as i32);
            let of = |(operand, Range { first, bytes, .. }): (usize, Range)| match operand {
                3 => BufferRef::Output { index: 0, first, bytes },
                index => BufferRef::Input { index, first, bytes },
            };
            let refs = ranges.into_iter().enumerate().map(of).collect();
            let items = cut.iter().map(|(extent, _)| extent).product::<u64>();
            let params = WhereParams { axes: WhereOperandAxis::padded(&cut), bases, items: items as u32, unused0: 0, unused1: 0, unused2: 0 };
            plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(256), profile)?);
        }
        Ok(plan)
    }
}
