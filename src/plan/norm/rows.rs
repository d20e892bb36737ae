//! The planner of layer, group and instance normalisation.

use crate::ops::Problem;
use crate::ops::norm::rows::{NormKind, NormProblem};
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::parts::{Divisible, Part, or_divide};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::row_threads::{LONGEST_SERIAL_LINE, lines_per_workgroup, row_consts, row_iterations, threads};
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_tensors, chunks};
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
        or_divide(Self::plan_part(self, profile, algorithm), self, profile, algorithm)
    }
}

impl Divisible for NormProblem {
    type Part = Self;

    /// The axes in front of a layer; images, and groups of channels.
    fn cut_extents(&self) -> Vec<u64> {
        match self.kind {
            NormKind::Layer { axis } => self.x[..axis].iter().map(|&extent| extent as u64).collect(),
            NormKind::Group { groups } => vec![self.x[0] as u64, groups as u64],
            NormKind::Instance => vec![self.x[0] as u64, self.x[1] as u64],
        }
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<Self>> {
        let mut part = self.clone();
        let (mut first, mut scale) = (vec![0; self.x.len()], vec![0; self.scale_extents().len()]);
        for (axis, range) in ranges.iter().enumerate() {
            (part.x[axis], first[axis]) = (range.count as usize, range.first);
        }
        if let NormKind::Group { groups } = self.kind {
            let each = self.x[1] / groups;
            (part.kind, part.x[1], first[1]) =
                (NormKind::Group { groups: ranges[1].count as usize }, ranges[1].count as usize * each, ranges[1].first * each as u64);
        }
        if !matches!(self.kind, NormKind::Layer { .. }) {
            scale[0] = first[1];
        }
        let inputs = [true, self.has_scale, self.has_bias].into_iter().zip([first.clone(), scale.clone(), scale]);
        let inputs = inputs.filter(|(is_given, _)| *is_given).map(|(_, first)| first).collect();
        let outputs = vec![first; self.outputs().len()];
        Ok(Part::of(part, inputs, outputs))
    }

    fn plan_part(part: &Self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.plan_slabs(profile, algorithm)
    }
}

impl NormProblem {
    /// The plan by slabs.
    fn plan_slabs(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&self.algorithms(profile), algorithm, ROWS)?;
        let rows = self.rows(self.layout);
        let row_threads = if algorithm == ROWS { threads(rows.length as u64, rows.rows as u64, profile) } else { 1 };
        profile.check_iterations(algorithm, row_iterations(rows.length as u64, row_threads))?;
        let mut plan = Plan::new(self.name(), format!("{algorithm} {row_threads}"), self.inputs(), self.outputs());
        let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
        check_tensors("a normalisation", &tensors, profile)?;
        // Scale and bias are read by every row.
        plan.inputs[1..].iter().try_for_each(|tensor| check_binding(&tensor.name, tensor.bytes(), profile))?;
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
        // Rows that interleave are of one slab, such as an image.
        let (slab, statistics) = (rows.outer_stride as u64, rows.row_inner as u64);
        let names = [("one slab of x", slab * self.element.bytes()), ("the statistics of one slab", statistics * self.element.bytes())];
        // Below 2^31, as check_tensors saw.
        let params = NormParams {
            items: 0,
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
            base: 0,
            statistics_base: 0,
            unused0: 0,
            unused1: 0,
        };
        let scale = if self.has_scale { BufferRef::input(1, &plan.inputs) } else { BufferRef::Nothing };
        let bias = if self.has_bias { BufferRef::input(plan.inputs.len() - 1, &plan.inputs) } else { BufferRef::Nothing };
        for chunk in chunks((rows.rows / rows.row_inner) as u64, &names, profile)? {
            let (own, of_statistics) = (chunk.range(slab, self.element, profile), chunk.range(statistics, self.element, profile));
            let items = chunk.count * statistics;
            let params = NormParams { items: items as u32, base: own.base, statistics_base: of_statistics.base, ..params };
            let outputs = (0..plan.outputs.len()).map(|index| match index {
                0 => BufferRef::Output { index, first: own.first, bytes: own.bytes },
                _ => BufferRef::Output { index, first: of_statistics.first, bytes: of_statistics.bytes },
            });
            let x = BufferRef::Input { index: 0, first: own.first, bytes: own.bytes };
            let refs = [x, scale, bias].into_iter().chain(outputs).collect();
            plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(lines_per_workgroup(row_threads)), profile)?);
        }
        Ok(plan)
    }
}
