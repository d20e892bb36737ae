//! The planner of operations on two tensors: one output per invocation, or lines along the fastest axis.

use crate::ops::Problem;
use crate::ops::elementwise::binary::{BinaryOp, BinaryProblem};
use crate::plan::Planned;
use crate::plan::elementwise::pieces::{Piece, pieces};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Range, Step, check_tensors};
use crate::shader::KernelSpec;
use crate::shader::source::{ELEMENTWISE_BINARY, ELEMENTWISE_BINARY_IN_PLACE, ELEMENTWISE_GRADIENT, ELEMENTWISE_GRADIENT_IN_PLACE};
use crate::shader::uniforms::BinaryParams;
use crate::types::Result;

/// One output per invocation, or lines along the fastest axis.
const DIRECT: &str = "direct";

const ROWS: &str = "rows";

/// Points of a line that one workgroup takes.
const ROW_BLOCK: u64 = 256;

impl Planned for BinaryProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![DIRECT, ROWS]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        check_tensors("an elementwise op", &inputs.iter().chain(&outputs).collect::<Vec<_>>(), profile)?;
        let strided_axes = self.strided_axes();
        // A line shorter than a workgroup leaves threads idle; there the full decode costs less.
        let preferred = if strided_axes.inner().extent >= 64 { ROWS } else { DIRECT };
        let algorithm = pick(&self.algorithms(profile), algorithm, preferred)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), inputs, outputs);
        let mut overrides = vec![];
        let is_gradient = self.op == BinaryOp::ActivationGradient;
        let operation = if is_gradient { 0 } else { self.op.shader_id() };
        for (name, value) in [("OPERATION", operation), ("ACTIVATION", self.activation.shader_id()), ("ROWS", u32::from(algorithm == ROWS))] {
            if value != 0 {
                overrides.push((name, value));
            }
        }
        let source = match (is_gradient, self.in_place) {
            (false, false) => &ELEMENTWISE_BINARY,
            (false, true) => &ELEMENTWISE_BINARY_IN_PLACE,
            (true, false) => &ELEMENTWISE_GRADIENT,
            (true, true) => &ELEMENTWISE_GRADIENT_IN_PLACE,
        };
        let kernel =
            KernelSpec { source, element: self.element, consts: vec![("AXES", strided_axes.axes.len() as u32), profile.together()], overrides };
        let [alpha, beta] = self.activation.parameters();
        let axes: Vec<(u64, [i64; 3])> = strided_axes.axes.iter().map(|axis| (u64::from(axis.extent), axis.strides.map(i64::from))).collect();
        for Piece { extents, ranges } in pieces(&axes, ["a", "b", "the output"], self.element, profile)? {
            let mut cut = strided_axes.clone();
            cut.axes.iter_mut().zip(extents).for_each(|(axis, extent)| axis.extent = extent as u32);
            let mut bases = ranges.map(|range| range.base as i32);
            let mut refs = Vec::new();
            for (operand, Range { first, bytes, .. }) in ranges.into_iter().enumerate().skip(usize::from(self.in_place)) {
                refs.push(match operand {
                    2 => BufferRef::Output { index: 0, first, bytes },
                    _ => BufferRef::Input { index: operand - usize::from(self.in_place), first, bytes },
                });
            }
            if self.in_place {
                bases[0] = bases[2];
            }
            let row_blocks = u64::from(cut.inner().extent).div_ceil(ROW_BLOCK);
            let workgroups = match algorithm {
                ROWS => cut.count() / u64::from(cut.inner().extent) * row_blocks,
                _ => cut.count().div_ceil(64),
            };
            let params = BinaryParams {
                axes: cut.padded(),
                items: cut.count() as u32,
                row_blocks: row_blocks as u32,
                alpha,
                beta,
                a_base: bases[0],
                b_base: bases[1],
                y_base: bases[2],
                unused: 0,
            };
            plan.steps.push(Step::new(kernel.clone(), &params, refs, workgroups, profile)?);
        }
        Ok(plan)
    }
}
