//! Bands: where no binding holds one image of a windowed op, its outputs are computed in bands along its outermost spatial axis.
//!
//! The rows of x that a band's windows reach are copied to scratch memory, the op runs there as a smaller problem of the same kind, and its rows are
//! copied to y. Every output is the sum that it is in one piece, by the same algorithm. Bands that are alike share one plan, and all share the memory.
//! Pads and resizes, which read rows by tables, are cut the same way.

use crate::ops::Problem;
use crate::ops::conv::problem::ConvProblem;
use crate::ops::image::ImageProblem;
use crate::ops::spec::TensorSpec;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_parts};
use crate::plan::transform::copy;
use crate::types::Result;
use crate::types::shape::{PaddingMode, WindowAxis};
use crate::types::strided::{StridedAxis, StridedCopy};

/// What can be cut: an op with one tensor that it reads by rows and one that it writes.
pub(crate) trait Cuttable: PartialEq {
    /// That input, or the output.
    fn tensor(&self, input: Option<usize>) -> TensorSpec;
}

impl Cuttable for ConvProblem {
    fn tensor(&self, input: Option<usize>) -> TensorSpec {
        tensor_of(self, input)
    }
}

impl Cuttable for ImageProblem {
    fn tensor(&self, input: Option<usize>) -> TensorSpec {
        tensor_of(self, input)
    }
}

fn tensor_of(problem: &impl Problem, input: Option<usize>) -> TensorSpec {
    match input {
        Some(index) => problem.inputs().swap_remove(index),
        None => problem.outputs().swap_remove(0),
    }
}

/// Neighbouring rows of a tensor, and where they stand in a band of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    pub tensor: u64,
    pub band: u64,
    pub count: u64,
}

/// Outputs `first ..` along an axis, as a problem of their own.
#[derive(Debug, Clone)]
pub(crate) struct Band<P> {
    pub problem: P,
    /// The rows of x that its x is made of.
    pub x: Vec<Rows>,
    pub first: u64,
}

impl<P> Band<P> {
    /// As its problem, `problem`.
    pub fn of<Q>(self, problem: impl FnOnce(P) -> Q) -> Band<Q> {
        Band { problem: problem(self.problem), x: self.x, first: self.first }
    }
}

/// How many of an axis's outputs a band of one of `batch` images has, a multiple of `multiple`, so that its rows of x, of `slab[0]` bytes each, and of y, of `slab[1]`, fit a
/// binding where those of so few do. `None` where all fit, or no fewer are left. `reach` says how many rows of x so many outputs reach at most.
pub(crate) fn outputs_per_band(
    axis: &WindowAxis,
    slab: [u64; 2],
    (batch, multiple): (u64, u64),
    reach: impl Fn(u64) -> u64,
    profile: &DeviceProfile,
) -> Option<u64> {
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
    // One image of several may begin up to one alignment inside its binding.
    let room = if batch > 1 { limit.saturating_sub(profile.storage_alignment) } else { limit };
    let fits = |outputs: u64| reach(outputs).saturating_mul(slab[0]).max(outputs.saturating_mul(slab[1])) <= limit;
    if axis.input.saturating_mul(slab[0]).max(axis.output.saturating_mul(slab[1])) <= room {
        return None;
    }
    if fits(axis.output) {
        return Some(axis.output); // at the beginning of a binding, and without the rows that no window reaches
    }
    let (mut most, mut above) = (1, axis.output.div_ceil(multiple));
    if above <= 1 {
        return None;
    }
    while above - most > 1 {
        let middle = most + (above - most) / 2;
        if fits(middle * multiple) { most = middle } else { above = middle }
    }
    // As many bands, all of the same extent.
    let bands = axis.output.div_ceil(most * multiple);
    check_parts("an image", bands.into()).ok()?;
    Some(axis.output.div_ceil(bands).next_multiple_of(multiple))
}

/// Most rows of padding in a band: each may be a copy of its own.
const MOST_PADDING: i64 = 1 << 14;

/// The bands of a window that gathers, `count` outputs each; `None` where one of them would see padding alone, or much of it.
pub(crate) fn gathering(axis: &WindowAxis, mode: PaddingMode, count: u64) -> Option<Vec<Band<WindowAxis>>> {
    let input = axis.input as i64; // below 2^31, as every coordinate here: WindowAxis::check_reach
    let band = |first: u64| {
        let count = count.min(axis.output - first);
        let from = (first * axis.stride) as i64 - axis.pad_begin;
        let to = from + ((count - 1) * axis.stride + axis.window_extent()) as i64;
        if mode == PaddingMode::Zeros || (from >= 0 && to <= input) {
            let (begin, end) = (from.clamp(0, input), to.clamp(0, input));
            // A last window of `ceil_mode` may reach past the padding.
            let pad_end = to.min(input + axis.pad_end) - end;
            let problem = WindowAxis { input: (end - begin) as u64, output: count, pad_begin: begin - from, pad_end, ..*axis };
            let x = vec![Rows { tensor: begin as u64, band: 0, count: problem.input }];
            return (begin < end).then_some(Band { problem, x, first });
        }
        // What stands in the padding is rows of x: the band has them as rows of its own.
        let inside = (to.min(input) - from.max(0)).max(0);
        if to - from - inside > MOST_PADDING {
            return None;
        }
        let mut x: Vec<Rows> = Vec::new();
        let mut at = from;
        while at < to {
            let (tensor, band) = (mode.coordinate(at, axis.input) as u64, (at - from) as u64);
            let count = if (0..input).contains(&at) { (to.min(input) - at) as u64 } else { 1 };
            match x.last_mut() {
                Some(last) if last.tensor + last.count == tensor => last.count += count,
                _ => x.push(Rows { tensor, band, count }),
            }
            at += count as i64;
        }
        Some(Band { problem: WindowAxis { input: (to - from) as u64, output: count, pad_begin: 0, pad_end: 0, ..*axis }, x, first })
    };
    (0..axis.output).step_by(count as usize).map(band).collect()
}

/// The bands of a window that scatters, `count` outputs each.
pub(crate) fn scattering(axis: &WindowAxis, count: u64) -> Vec<Band<WindowAxis>> {
    let (stride, window, last) = (axis.stride as i64, axis.window_extent() as i64, axis.input as i64 - 1);
    let band = |first: u64| {
        let count = count.min(axis.output - first);
        // y[i stride + tap - pad] takes x[i]: the first output takes nothing before `from`, the last nothing after `to`.
        let (begin, end) = (first as i64 + axis.pad_begin, (first + count) as i64 - 1 + axis.pad_begin);
        let from = (begin - window + 1 + stride - 1).div_euclid(stride).clamp(0, last);
        let to = end.div_euclid(stride).clamp(from, last);
        let (input, pad_begin) = ((to - from + 1) as u64, begin - from * stride);
        let full = (to - from) * stride + window;
        let problem = WindowAxis { input, output: count, pad_begin, pad_end: full - pad_begin - count as i64, ..*axis };
        Band { problem, x: vec![Rows { tensor: from as u64, band: 0, count: input }], first }
    };
    (0..axis.output).step_by(count as usize).map(band).collect()
}

/// A tensor that is cut, and the scratch memory that holds one band of it.
pub(crate) struct Cut {
    /// Which input it is; `None`: the output.
    input: Option<usize>,
    spec: TensorSpec,
    tensor: BufferRef,
    pub scratch: BufferRef,
}

impl Cut {
    pub fn new<P: Cuttable>(input: Option<usize>, bands: &[Band<P>], plan: &mut Plan) -> Self {
        let bytes = bands.iter().map(|band| band.problem.tensor(input).bytes()).max().unwrap_or(0);
        plan.scratch.push(bytes);
        let scratch = BufferRef::ScratchPart { index: plan.scratch.len() - 1, first: 0, bytes };
        let (spec, tensor) = match input {
            Some(index) => (plan.inputs[index].clone(), BufferRef::input(index, &plan.inputs)),
            None => (plan.outputs[0].clone(), BufferRef::output(0, &plan.outputs)),
        };
        Self { input, spec, tensor, scratch }
    }

    /// Copies these rows of an image into a band, or out of it where it is the output; the other axes as far as the band has them.
    pub fn copies(&self, band: &TensorSpec, axis: usize, image: u64, rows: &[Rows], profile: &DeviceProfile) -> Result<Vec<Step>> {
        let (x, y) = (self.spec.tensor.strides(), band.tensor.strides());
        let ends = [(self.tensor, self.spec.bytes()), (self.scratch, band.bytes())];
        let mut steps = Vec::new();
        for rows in rows {
            let extent = |i: usize| if i == axis { rows.count } else { band.tensor.extents[i] as u64 };
            let axes = (0..x.len()).map(|i| StridedAxis { extent: extent(i), x: x[i], y: y[i] });
            let x_base = image as i64 * x[0] + rows.tensor as i64 * x[axis];
            let copy = StridedCopy { input: 0, x_base, y_base: rows.band as i64 * y[axis], axes: axes.collect() };
            let (copy, ends) = if self.input.is_some() { (copy, ends) } else { (copy.reversed(), [ends[1], ends[0]]) };
            steps.extend(copy::between(copy, self.spec.tensor.element, ends, profile)?);
        }
        Ok(steps)
    }
}

/// Fills `plan`, which has its tensors, with these bands of logical axis `axis` of every image of `batch`. Input 0 is cut by the rows that are read, output 0
/// and input `addend` by those of the output; all others go to every band as they are. `plan_band` plans one; the first one's label is that of the whole.
pub(crate) fn fill<P: Cuttable>(
    mut plan: Plan,
    (batch, axis): (u64, usize),
    bands: &[Band<P>],
    addend: Option<usize>,
    mut plan_band: impl FnMut(&P) -> Result<Plan>,
    profile: &DeviceProfile,
) -> Result<Plan> {
    check_parts("an image", u128::from(batch) * bands.len() as u128)?;
    let x = Cut::new(Some(0), bands, &mut plan);
    let y = Cut::new(None, bands, &mut plan);
    let addend = addend.map(|index| Cut::new(Some(index), bands, &mut plan));
    let cut = |index: usize| [Some(&x), addend.as_ref()].into_iter().flatten().find(|cut| cut.input == Some(index)).map(|cut| cut.scratch);
    let inputs: Vec<BufferRef> = (0..plan.inputs.len()).map(|index| cut(index).unwrap_or(BufferRef::input(index, &plan.inputs))).collect();
    let mut planned: Vec<(&P, Vec<Step>)> = Vec::new();
    for (image, band) in (0..batch).flat_map(|image| bands.iter().map(move |band| (image, band))) {
        let own = |input| band.problem.tensor(input);
        let of_output = [Rows { tensor: band.first, band: 0, count: own(None).tensor.extents[axis] as u64 }];
        let mut steps = x.copies(&own(x.input), axis, image, &band.x, profile)?;
        if let Some(addend) = &addend {
            steps.extend(addend.copies(&own(addend.input), axis, image, &of_output, profile)?);
        }
        match planned.iter().find(|(problem, _)| **problem == band.problem) {
            Some((_, calls)) => steps.extend_from_slice(calls),
            None => {
                let part = plan_band(&band.problem)?;
                if planned.is_empty() {
                    plan.label.clone_from(&part.label);
                }
                let calls = plan.take_in(part, &inputs, &[y.scratch]);
                steps.extend_from_slice(&calls);
                planned.push((&band.problem, calls));
            }
        }
        steps.extend(y.copies(&own(None), axis, image, &of_output, profile)?);
        plan.steps.extend(steps);
        // A band may be cut further, and is a few calls.
        check_parts("an image", plan.steps.len() as u128 / 8)?;
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every window's taps as rows of x, NOTHING for zeros: of the whole axis, and of its bands.
    fn taps(axis: &WindowAxis, mode: PaddingMode, o: u64, map: impl Fn(u64) -> u64) -> Vec<Option<u64>> {
        let at = |tap: u64| mode.coordinate((o * axis.stride + tap * axis.dilation) as i64 - axis.pad_begin, axis.input);
        (0..axis.filter).map(at).map(|i| (0..axis.input as i64).contains(&i).then(|| map(i as u64))).collect()
    }

    fn row_of(rows: &[Rows], at: u64) -> u64 {
        rows.iter().find(|rows| (rows.band..rows.band + rows.count).contains(&at)).map(|rows| rows.tensor + at - rows.band).unwrap()
    }

    #[test]
    fn bands_read_what_the_whole_axis_reads() {
        for mode in PaddingMode::ALL {
            for (filter, stride, dilation, pads, count) in
                [(3, 1, 1, [1, 1], 4), (5, 2, 1, [2, 4], 1), (2, 3, 4, [0, 0], 3), (3, 1, 3, [5, 3], 7), (1, 2, 1, [0, 0], 2), (4, 1, 1, [3, 3], 30)]
            {
                let resolved = crate::types::shape::AxisPadding::Explicit { begin: pads[0], end: pads[1] };
                let axis = crate::types::shape::resolve_axis("height", 23, filter, stride, dilation, resolved, false).unwrap();
                let mut next = 0;
                for band in gathering(&axis, mode, count).unwrap() {
                    assert_eq!(band.first, next);
                    assert_eq!(band.x.iter().map(|rows| rows.count).sum::<u64>(), band.problem.input);
                    for o in 0..band.problem.output {
                        let own = taps(&band.problem, mode, o, |at| row_of(&band.x, at));
                        assert_eq!(own, taps(&axis, mode, band.first + o, |i| i), "{mode:?} {axis:?}: {band:?}");
                    }
                    next += band.problem.output;
                }
                assert_eq!(next, axis.output);
            }
        }
        // A band of padding alone is none.
        let far = WindowAxis { input: 4, filter: 2, output: 9, stride: 1, dilation: 1, pad_begin: 3, pad_end: 3 };
        assert!(gathering(&far, PaddingMode::Zeros, 1).is_none() && gathering(&far, PaddingMode::Zeros, 3).is_some());
    }

    #[test]
    fn bands_take_what_is_scattered_into_them() {
        // The rows that output `o` takes, by tap.
        let taken = |axis: &WindowAxis, o: u64, map: &dyn Fn(u64) -> u64| -> Vec<Option<u64>> {
            let at = |tap: u64| {
                let spread = o as i64 + axis.pad_begin - (tap * axis.dilation) as i64;
                let i = spread.div_euclid(axis.stride as i64);
                (spread.rem_euclid(axis.stride as i64) == 0 && (0..axis.input as i64).contains(&i)).then(|| map(i as u64))
            };
            (0..axis.filter).map(at).collect()
        };
        for (filter, stride, dilation, pads, count) in
            [(3, 2, 1, [1, 1], 5), (1, 3, 1, [0, 0], 1), (4, 1, 2, [2, 3], 4), (2, 5, 1, [-3, -4], 2), (3, 4, 3, [1, 0], 9)]
        {
            let full = stride * 8 + (filter - 1) * dilation + 1;
            let output = (full as i64 - pads[0] - pads[1]) as u64;
            let axis = WindowAxis { input: 9, filter, output, stride, dilation, pad_begin: pads[0], pad_end: pads[1] };
            let mut next = 0;
            for band in scattering(&axis, count) {
                assert_eq!(band.first, next);
                let own = &band.problem;
                let full = (own.stride * (own.input - 1) + own.window_extent()) as i64;
                assert_eq!(full - own.pad_begin - own.pad_end, own.output as i64, "{band:?}");
                for o in 0..own.output {
                    assert_eq!(taken(own, o, &|at| row_of(&band.x, at)), taken(&axis, band.first + o, &|i| i), "{axis:?}: {band:?}");
                }
                next += own.output;
            }
            assert_eq!(next, axis.output);
        }
    }

    #[test]
    fn bands_are_as_large_as_a_binding_admits_and_alike() {
        let profile = DeviceProfile { max_binding_bytes: 1000, ..DeviceProfile::MINIMAL };
        let axis = WindowAxis { input: 102, filter: 3, output: 100, ..WindowAxis::UNIT };
        let count = |axis: &WindowAxis, slab: [u64; 2], multiple: u64| outputs_per_band(axis, slab, (1, multiple), |outputs| outputs + 2, &profile);
        // 98 rows of 10 bytes fit beside their halo of 2: two bands, of 50.
        assert_eq!(count(&axis, [10, 1], 1), Some(50));
        assert_eq!(count(&axis, [1, 30], 1), Some(25));
        assert_eq!(count(&axis, [1, 30], 4), Some(28));
        // Not even one row fits: one a band, to be cut along the next axis.
        assert_eq!(count(&axis, [2000, 1], 1), Some(1));
        assert_eq!(count(&axis, [2000, 1], 100), None);
        assert_eq!(count(&axis, [9, 10], 1), None);
        // Of several images, none begins where its binding does.
        assert_eq!(outputs_per_band(&axis, [9, 8], (2, 1), |outputs| outputs + 2, &profile), Some(100));
        // Windows reach 102 of 300 rows.
        assert_eq!(count(&WindowAxis { input: 300, ..axis }, [9, 1], 1), Some(100));
    }
}
