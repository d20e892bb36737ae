//! The planner of layer, group and instance normalisation.

use crate::ops::Problem;
use crate::ops::norm::rows::NormProblem;
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::row_threads::{LONGEST_SERIAL_LINE, lines_per_workgroup, row_consts, row_iterations, threads};
use crate::plan::step::{BufferRef, Plan, Step, check_binding, check_tensors};
use crate::shader::KernelSpec;
use crate::shader::source::{NORM_ROWS, NORM_ROWS_STATISTICS};
use crate::shader::uniforms::NormParams;
use crate::types::Result;

/// One row per invocation, or rows that several share.
const DIRECT: &str = "direct";

const ROWS: &str = "rows";

impl Planned for NormProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if self.rows(self.layout).length as u64 <= LONGEST_SERIAL_LINE { vec![DIRECT, ROWS] } else { vec![ROWS] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&self.algorithms(profile), algorithm, ROWS)?;
        let rows = self.rows(self.layout);
        let row_threads = if algorithm == ROWS { threads(rows.length as u64, rows.rows as u64, profile) } else { 1 };
        profile.check_iterations(algorithm, row_iterations(rows.length as u64, row_threads))?;
        let mut plan = Plan::new(self.name(), format!("{algorithm} {row_threads}"), self.inputs(), self.outputs());
        let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
        check_tensors("a normalisation", &tensors, profile)?;
        tensors.iter().try_for_each(|tensor| check_binding(&tensor.name, tensor.bytes(), profile))?;
        let straight = rows.b_extent == rows.length || rows.a_stride == rows.b_extent * rows.b_stride;
        let flags = [
            ("HAS_SCALE", u32::from(self.has_scale)),
            ("HAS_BIAS", u32::from(self.has_bias)),
            ("STRAIGHT", u32::from(straight)),
            ("THREAD_FASTEST", u32::from(rows.b_stride == 1)),
        ];
        let kernel = KernelSpec {
            source: if self.statistics { &NORM_ROWS_STATISTICS } else { &NORM_ROWS },
            element: self.element,
            consts: row_consts(row_threads),
            overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
        };
        // Below 2^31, as check_tensors saw.
        let params = NormParams {
            items: rows.rows as u32,
            row_inner: rows.row_inner as u32,
            outer_stride: rows.outer_stride as u32,
            inner_stride: rows.inner_stride as u32,
            a_stride: rows.a_stride as u32,
            b_extent: rows.b_extent as u32,
            b_stride: rows.b_stride as u32,
            length: rows.length as u32,
            scale_row: rows.scale_row as u32,
            scale_a: rows.scale_a as u32,
            scale_b: rows.scale_b as u32,
            epsilon: self.epsilon,
        };
        let scale = if self.has_scale { BufferRef::input(1, &plan.inputs) } else { BufferRef::Nothing };
        let bias = if self.has_bias { BufferRef::input(plan.inputs.len() - 1, &plan.inputs) } else { BufferRef::Nothing };
        let outputs = (0..plan.outputs.len()).map(|i| BufferRef::output(i, &plan.outputs));
        let refs = [BufferRef::input(0, &plan.inputs), scale, bias].into_iter().chain(outputs).collect();
        plan.steps.push(Step::new(kernel, &params, refs, (rows.rows as u64).div_ceil(lines_per_workgroup(row_threads)), profile)?);
        Ok(plan)
    }
}
