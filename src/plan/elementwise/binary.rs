//! The planner of operations on two tensors: one output per invocation, or lines along the fastest axis.

use crate::ops::Problem;
use crate::ops::elementwise::binary::{BinaryOp, BinaryProblem};
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::{ELEMENTWISE_BINARY, ELEMENTWISE_BINARY_IN_PLACE, ELEMENTWISE_GRADIENT, ELEMENTWISE_GRADIENT_IN_PLACE};
use crate::shader::uniforms::BinaryParams;
use crate::types::Result;
use crate::types::strided_axes::StridedAxes;

impl BinaryProblem {
    /// Cuts the slowest axis so that every operand's part fits one binding; an operand that does not step along it as a whole must fit.
    fn chunks(&self, strided_axes: &StridedAxes, profile: &DeviceProfile) -> Result<Vec<Chunk>> {
        let names = ["one line of a", "one line of b", "one line of the output"];
        let mut items = Vec::new();
        for (operand, extents) in [&self.a, &self.b, &self.y].into_iter().enumerate() {
            match strided_axes.outer_item(operand) {
                Some(item) => items.push((names[operand], item * self.element.bytes())),
                None => {
                    let bytes = extents.iter().map(|&e| e as u64).product::<u64>() * self.element.bytes();
                    check_binding(["a", "b", "the output"][operand], bytes, profile)?;
                }
            }
        }
        chunks(u64::from(strided_axes.axes[0].extent), &items, profile)
    }
}

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
        let row_blocks = u64::from(strided_axes.inner().extent).div_ceil(ROW_BLOCK);
        for chunk in self.chunks(&strided_axes, profile)? {
            let mut cut = strided_axes.clone();
            cut.axes[0].extent = chunk.count as u32;
            let mut bases = [0; 3];
            let mut refs = Vec::new();
            for (operand, base) in bases.iter_mut().enumerate().skip(usize::from(self.in_place)) {
                let item = strided_axes.outer_item(operand);
                let whole = [&self.a, &self.b, &self.y][operand].iter().map(|&e| e as u64).product::<u64>() * self.element.bytes();
                let (first, bytes) = match item {
                    Some(item) => {
                        let range = chunk.range(item, self.element, profile);
                        *base = range.base as i32;
                        (range.first, range.bytes)
                    }
                    None => (0, whole),
                };
                refs.push(match operand {
                    2 => BufferRef::Output { index: 0, first, bytes },
                    _ => BufferRef::Input { index: operand - usize::from(self.in_place), first, bytes },
                });
            }
            if self.in_place {
                bases[0] = bases[2];
            }
            let workgroups = match algorithm {
                ROWS => cut.count() / u64::from(cut.inner().extent) * u64::from(cut.inner().extent).div_ceil(ROW_BLOCK),
                _ => cut.count().div_ceil(64),
            };
            let row_blocks = if cut.axes.len() == 1 { u64::from(cut.inner().extent).div_ceil(ROW_BLOCK) } else { row_blocks };
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
