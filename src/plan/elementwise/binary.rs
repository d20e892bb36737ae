//! The planner of operations on two tensors: one output per invocation, or lines along the fastest axis.

use crate::ops::Problem;
use crate::ops::elementwise::binary::BinaryProblem;
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Place, Plan, Slice, Step, check_binding, check_tensors, slices};
use crate::shader::KernelSpec;
use crate::shader::source::{ELEMENTWISE_BINARY, ELEMENTWISE_BINARY_IN_PLACE};
use crate::shader::uniforms::BinaryParams;
use crate::types::Result;
use crate::types::lattice::Lattice;

impl BinaryProblem {
    /// Cuts the slowest axis so that every operand's part fits one binding; an operand that does not step along it as a whole must fit.
    fn slices(&self, lattice: &Lattice, profile: &DeviceProfile) -> Result<Vec<Slice>> {
        let names = ["one line of a", "one line of b", "one line of the output"];
        let mut items = Vec::new();
        for (operand, extents) in [&self.a, &self.b, &self.y].into_iter().enumerate() {
            match lattice.outer_item(operand) {
                Some(item) => items.push((names[operand], item * self.element.bytes())),
                None => {
                    let bytes = extents.iter().map(|&e| e as u64).product::<u64>() * self.element.bytes();
                    check_binding(["a", "b", "the output"][operand], bytes, profile)?;
                }
            }
        }
        slices(u64::from(lattice.axes[0].extent), &items, profile)
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
        let lattice = self.lattice();
        // A line shorter than a workgroup leaves lanes idle; there the full decode costs less.
        let preferred = if lattice.inner().extent >= 64 { ROWS } else { DIRECT };
        let algorithm = pick(&self.algorithms(profile), algorithm, preferred)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), inputs, outputs);
        let mut overrides = vec![];
        for (name, value) in [("OPERATION", self.op.shader_id()), ("ACTIVATION", self.activation.shader_id()), ("ROWS", u32::from(algorithm == ROWS))]
        {
            if value != 0 {
                overrides.push((name, value));
            }
        }
        let source = if self.in_place { &ELEMENTWISE_BINARY_IN_PLACE } else { &ELEMENTWISE_BINARY };
        let kernel = KernelSpec { source, element: self.element, consts: vec![("AXES", lattice.axes.len() as u32), profile.together()], overrides };
        let [alpha, beta] = self.activation.parameters();
        let row_blocks = u64::from(lattice.inner().extent).div_ceil(ROW_BLOCK);
        for slice in self.slices(&lattice, profile)? {
            let mut cut = lattice.clone();
            cut.axes[0].extent = slice.count as u32;
            let mut bases = [0; 3];
            let mut places = Vec::new();
            for (operand, base) in bases.iter_mut().enumerate().skip(usize::from(self.in_place)) {
                let item = lattice.outer_item(operand);
                let whole = [&self.a, &self.b, &self.y][operand].iter().map(|&e| e as u64).product::<u64>() * self.element.bytes();
                let (first, bytes) = match item {
                    Some(item) => {
                        let range = slice.range(item, self.element, profile);
                        *base = range.base as i32;
                        (range.first, range.bytes)
                    }
                    None => (0, whole),
                };
                places.push(match operand {
                    2 => Place::Output { index: 0, first, bytes },
                    _ => Place::Input { index: operand - usize::from(self.in_place), first, bytes },
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
            plan.steps.push(Step::new(kernel.clone(), &params, places, workgroups, profile)?);
        }
        Ok(plan)
    }
}
