//! Pooling as an [`Op`]: its plan and its ways to be computed.

pub(crate) mod choice;
pub(crate) mod pairs;
pub(crate) mod parts;
pub(crate) mod unpool;

use crate::numeric::sum_unit;
use crate::ops::Problem;
use crate::ops::pool::descriptor::{IndexOrder, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::plan::Planned;
use crate::plan::parts::or_divide;
use crate::plan::pick;
use crate::plan::pool::choice::{STRIP_CPU, admitted, as_reduction};
use crate::plan::pool::parts::PoolPart;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, INDEX_LIMIT, Plan, Step, check_tensors, chunks};
use crate::plan::window::plane_strides;
use crate::shader::KernelSpec;
use crate::shader::source::{POOL, POOL_INDICES, POOL_PAIRS};
use crate::shader::uniforms::{Axis, PoolParams};
use crate::types::{ElementType, Error, Layout, Result};

/// One output per invocation, its loops bounded by numbers of the uniform; the same with the window baked into the pipeline; or, where one window is the
/// whole plane, the reduction that it is, whose lines many invocations share.
const DIRECT: &str = "direct";

const UNROLLED: &str = "unrolled";

const TREE: &str = "tree";

impl Planned for PoolProblem {
    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
        admitted(self, profile)
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        or_divide(PoolPart::whole(self).plan(profile, algorithm), self, profile, algorithm)
    }
}

impl PoolPart {
    /// The plan by whole images.
    pub(crate) fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let problem = &self.problem;
        let admitted = admitted(problem, profile);
        if admitted.is_empty() {
            profile.check_iterations(DIRECT, problem.iterations())?;
        }
        let algorithm = pick(&admitted, algorithm, admitted.last().copied().unwrap_or(DIRECT))?;
        if let (TREE, Some(reduction)) = (algorithm, as_reduction(problem)) {
            return Ok(reduction.plan(profile, Some(TREE))?.of(problem, TREE.into()));
        }
        let mut plan = Plan::new(problem.name(), algorithm.to_string(), problem.inputs(), problem.outputs());
        check_tensors("a pool", &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
        for ((axis, place), name) in problem.axes.iter().zip(&self.axes).zip(["depth", "height", "width"]) {
            axis.check_reach(name)?;
            // An adaptive window multiplies the two extents.
            let product = u128::from(place.input) * u128::from(place.output + 1);
            if problem.adaptive && product >= u128::from(INDEX_LIMIT) {
                return Err(Error::TooLarge {
                    argument: format!("the adaptive window along the {name}"),
                    needed: product,
                    unit: "coordinates",
                    limit_name: "the largest 31-bit coordinate",
                    limit: INDEX_LIMIT - 1,
                });
            }
        }
        let element = problem.element;
        let strip = if algorithm == UNROLLED && profile.is_cpu { STRIP_CPU } else { 1 };
        let in_pairs = algorithm == UNROLLED && pairs::admits(problem, profile);
        let kernel = if in_pairs {
            KernelSpec { source: &POOL_PAIRS, element, consts: pairs::consts(problem), overrides: problem.overrides() }
        } else {
            let source = if problem.indices().is_some() { &POOL_INDICES } else { &POOL };
            let mut overrides = problem.overrides();
            overrides.extend(problem.loop_overrides(algorithm, strip));
            KernelSpec { source, element, consts: vec![], overrides }
        };
        let (x_image, y_image) = (problem.channels * problem.input_positions(), problem.channels * problem.output_positions());
        let bytes = |elements: u64| elements * element.bytes();
        let mut items = vec![("one image of x", bytes(x_image)), ("one image of the output", bytes(y_image))];
        if problem.indices().is_some() {
            items.push(("one image of the indices", y_image * ElementType::U32.bytes()));
        }
        for chunk in chunks(problem.batch, &items, profile)? {
            let (x, y) = (chunk.range(x_image, element, profile), chunk.range(y_image, element, profile));
            let indices = chunk.range(y_image, ElementType::U32, profile);
            if problem.indices().is_some() && indices.base != y.base {
                // f16 values and u32 indices of a cut batch may not start alike.
                return Err(Error::TooLarge {
                    argument: "the batch of an f16 pool with indices".into(),
                    needed: bytes(y_image * problem.batch).into(),
                    unit: "bytes",
                    limit_name: "max_storage_buffer_binding_size",
                    limit: profile.max_binding_bytes,
                });
            }
            let [depth, height, width] = problem.axes.each_ref().map(|axis| axis.output);
            let strips = chunk.count * problem.channels * depth * height * width.div_ceil(strip);
            let mut refs =
                vec![BufferRef::Input { index: 0, first: x.first, bytes: x.bytes }, BufferRef::Output { index: 0, first: y.first, bytes: y.bytes }];
            if problem.indices().is_some() {
                refs.push(BufferRef::Output { index: 1, first: indices.first, bytes: indices.bytes });
            }
            let workgroups = strips.div_ceil(64);
            plan.steps.push(if in_pairs {
                Step::new(kernel.clone(), &pairs::params(problem, strips, x.base, y.base), refs, workgroups, profile)?
            } else {
                Step::new(kernel.clone(), &self.params(strips, x.base, y.base), refs, workgroups, profile)?
            });
        }
        Ok(plan)
    }

    /// The uniform of a call that makes `items` strips, x and y beginning at these elements of their bindings.
    fn params(&self, items: u64, x_base: u32, y_base: u32) -> PoolParams {
        let problem = &self.problem;
        let [x_stride_n, x_stride_c, x_stride_p] = plane_strides(problem.layout, problem.channels, problem.input_positions());
        let power = problem.power();
        let axis = |i: usize| {
            let (own, place) = (Axis::new(&problem.axes[i]), &self.axes[i]);
            if !problem.adaptive {
                return own;
            }
            // What adaptive windows have in place of these, as `shaders/pool/window.wgsl` says.
            let [stride, taps, pad, pad_end] = [place.input, place.output, place.first_output, place.first_input].map(|n| n as i32);
            Axis { stride, taps, pad, pad_end, ..own }
        };
        let [depth, height, width] = self.axes.each_ref().map(|place| place.input as u32);
        let first = self.axes.each_ref().map(|place| place.first_input as u32);
        let index_first = match problem.indices() {
            Some(IndexOrder::ColumnMajor) => first[0] + depth * (first[1] + height * first[2]),
            _ => (first[0] * height + first[1]) * width + first[2],
        };
        PoolParams {
            depth: axis(0),
            height: axis(1),
            width: axis(2),
            channels: problem.channels as u32,
            positions: problem.output_positions() as u32,
            items: items as u32,
            x_base,
            x_stride_n,
            x_stride_c,
            x_stride_p,
            y_base,
            power,
            inverse: 1.0 / power,
            index_first,
            index_depth: depth,
            index_height: height,
            index_width: width,
            unused0: 0,
            unused1: 0,
        }
    }
}

impl PoolProblem {
    /// Iterations of one invocation's loops over the axes of a window.
    pub(crate) fn iterations(&self) -> u64 {
        let [t, r, s] = self.axes.each_ref().map(|axis| axis.filter);
        t.saturating_add(t.saturating_mul(r)).saturating_add(t.saturating_mul(r).saturating_mul(s))
    }

    /// p of Lp pooling; of an average, the power of two in whose units it sums, so that no sum of a window's elements leaves f32.
    pub(crate) fn power(&self) -> f32 {
        match self.kind {
            PoolKind::Max { .. } => 1.0,
            PoolKind::Lp { p } => p,
            PoolKind::Average { .. } => sum_unit(self.axes.iter().map(|a| if self.adaptive { a.input / a.output + 2 } else { a.filter }).product()),
        }
    }

    /// Whether all taps of all windows lie inside the input.
    fn is_whole(&self) -> bool {
        !self.adaptive && self.axes.iter().all(|a| a.pad_begin == 0 && (a.output - 1) * a.stride + a.window_extent() <= a.input)
    }

    /// Those of `shaders/pool/window.wgsl`.
    fn overrides(&self) -> Vec<(&'static str, u32)> {
        let kind = match self.kind {
            PoolKind::Max { .. } => 0,
            PoolKind::Average { .. } => 1,
            PoolKind::Lp { p: 1.0 } => 2,
            PoolKind::Lp { p: 2.0 } => 3,
            PoolKind::Lp { .. } => 4,
        };
        let all = [
            ("KIND", kind),
            ("ADAPTIVE", u32::from(self.adaptive)),
            ("COUNT_INCLUDE_PAD", u32::from(self.kind == PoolKind::Average { count_include_pad: true })),
            ("DILATED", u32::from(self.axes.iter().any(|a| a.dilation > 1))),
            ("WHOLE", u32::from(self.is_whole())),
        ];
        all.into_iter().filter(|(_, value)| *value != 0).collect()
    }

    /// Those of `shaders/pool/pool.wgsl`.
    fn loop_overrides(&self, algorithm: &str, strip: u64) -> Vec<(&'static str, u32)> {
        let taps = |axis: usize| if algorithm == UNROLLED { self.axes[axis].filter as u32 } else { 0 };
        let all = [
            ("COLUMN_MAJOR", u32::from(self.indices() == Some(IndexOrder::ColumnMajor))),
            ("CHANNELS_LAST", u32::from(self.layout == Layout::ChannelsLast)),
            ("TAPS_T", taps(0)),
            ("TAPS_R", taps(1)),
            ("TAPS_S", taps(2)),
            ("STRIP", if strip == 1 { 0 } else { strip as u32 }),
        ];
        all.into_iter().filter(|(_, value)| *value != 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, PoolDescriptor};
    use crate::types::TensorType;

    /// One invocation that walks a whole plane is slow, and past 65,535 elements refused on one driver.
    #[test]
    fn a_window_over_the_whole_plane_is_a_reduction() {
        let old_llvmpipe = DeviceProfile { is_cpu: true, max_loop_iterations: 65_535, ..DeviceProfile::MINIMAL };
        let adaptive =
            |kind, output: [usize; 2]| PoolProblem::adaptive(&TensorType::f32(&[2, 3, 300, 400]), &AdaptivePoolDescriptor { kind, output }).unwrap();
        for kind in [PoolKind::AVERAGE, PoolKind::MAX] {
            let whole = adaptive(kind, [1, 1]);
            assert_eq!(whole.algorithms(&DeviceProfile::MINIMAL), [DIRECT, TREE]);
            let plan = whole.plan(&old_llvmpipe, None).unwrap();
            assert_eq!((plan.label.as_str(), plan.op), (TREE, whole.name()));
            assert_eq!((plan.inputs, plan.outputs), (whole.inputs(), whole.outputs()));
            assert!(whole.plan(&DeviceProfile::MINIMAL, Some(DIRECT)).is_ok() && whole.plan(&old_llvmpipe, Some(DIRECT)).is_err());
            assert_eq!(adaptive(kind, [1, 2]).algorithms(&DeviceProfile::MINIMAL), [DIRECT]);
            // What no binding holds is pooled image by image.
            let narrow = DeviceProfile { max_binding_bytes: 1_500_000, ..DeviceProfile::MINIMAL };
            assert_eq!(whole.plan(&narrow, None).unwrap().label, DIRECT);
            let window = |side: usize, x: usize| {
                PoolProblem::new(
                    &TensorType::new(&[1, 2, x, x], ElementType::F32, Layout::ChannelsLast),
                    &PoolDescriptor::window([side, side]).with_kind(kind),
                )
                .unwrap()
            };
            let labels = [(7, 7), (5, 5), (7, 8)].map(|(side, x)| window(side, x).plan(&DeviceProfile::MINIMAL, None).unwrap().label);
            assert_eq!(labels, [TREE, UNROLLED, DIRECT]);
        }
        for kind in [PoolKind::Lp { p: 2.0 }, PoolKind::Max { indices: Some(IndexOrder::RowMajor) }] {
            assert_eq!(adaptive(kind, [1, 1]).algorithms(&DeviceProfile::MINIMAL), [DIRECT]);
        }
    }
}
