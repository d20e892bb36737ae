//! The phases of a transposed convolution: x\[i\] adds to y\[i stride + tap dilation - pad\], so output o takes the taps for which the stride divides
//! o + pad - tap dilation, and outputs a stride apart take the same ones. Each phase is a transposed convolution with stride 1 and a part of the filter:
//! nothing is multiplied by the zeros between the elements of x. Where stride and dilation have a common divisor, some phases have no taps at all.

use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;

/// Outputs of one axis that lie a stride apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PhaseAxis {
    /// The first of them.
    pub first: u64,
    /// How many there are.
    pub outputs: u64,
    /// The first tap that they take; the others follow [`tap_step`] apart.
    pub first_tap: u64,
    /// How many taps they take; perhaps none.
    pub taps: u64,
    /// The input coordinate that the first output reads through the first tap, which may lie outside.
    pub start: i64,
}

/// How far apart the taps of one output lie: stride / gcd(stride, dilation).
pub(crate) fn tap_step(axis: &WindowAxis) -> u64 {
    axis.stride / gcd(axis.stride, axis.dilation)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl PhaseAxis {
    /// The phase whose first output is `first`, below the stride and the extent of the output.
    pub fn new(axis: &WindowAxis, first: u64) -> Self {
        let (stride, step) = (axis.stride as i64, tap_step(axis));
        let reach = first as i64 + axis.pad_begin;
        let divides = |tap: &u64| (reach - (tap * axis.dilation) as i64) % stride == 0;
        let first_tap = (0..axis.filter.min(step)).find(divides);
        let (tap, taps) = first_tap.map_or((0, 0), |tap| (tap, (axis.filter - tap).div_ceil(step)));
        let start = (reach - (tap * axis.dilation) as i64).div_euclid(stride);
        Self { first, outputs: (axis.output - first).div_ceil(axis.stride), first_tap: tap, taps, start }
    }

    /// The transposed convolution with stride 1 that computes the phase, where it has taps.
    pub fn window(&self, axis: &WindowAxis) -> WindowAxis {
        let dilation = axis.dilation / (axis.stride / tap_step(axis));
        let full = (axis.input + (self.taps - 1) * dilation) as i64;
        let pad_end = full - self.start - self.outputs as i64;
        WindowAxis { input: axis.input, filter: self.taps, output: self.outputs, stride: 1, dilation, pad_begin: self.start, pad_end }
    }
}

impl ConvProblem {
    /// A transposed convolution with stride 1 as the forward one that reads the same elements of x: its taps are reversed, and output o begins at
    /// o + pad - (taps - 1) dilation. Its filter is C K/g taps as it was, read with channels exchanged. A forward one is its own; `None` with a stride.
    pub(crate) fn gathering(&self) -> Option<Self> {
        if self.direction == Direction::Forward {
            return Some(self.clone());
        }
        let reversed = |axis: &WindowAxis| {
            let reach = ((axis.filter - 1) * axis.dilation) as i64;
            let pad_begin = reach - axis.pad_begin;
            WindowAxis { pad_begin, pad_end: axis.output as i64 - axis.input as i64 + reach - pad_begin, ..*axis }
        };
        let is_whole = self.axes.iter().all(|axis| axis.stride == 1);
        is_whole.then(|| Self { direction: Direction::Forward, axes: self.axes.each_ref().map(reversed), ..self.clone() })
    }

    /// Phases along depth, height and width: 1 each but where a transposed convolution has a stride. Outputs of a phase lie a stride apart and take the
    /// same taps.
    pub fn phases(&self) -> [u64; 3] {
        self.axes.each_ref().map(|axis| if self.direction == Direction::Transposed { axis.stride.min(axis.output) } else { 1 })
    }

    /// Outputs of the largest phase of an image: all of them where there is one phase.
    pub fn phase_positions(&self) -> u64 {
        let transposed = self.direction == Direction::Transposed;
        if transposed { self.axes.iter().map(|axis| axis.output.div_ceil(axis.stride)).product() } else { self.output_positions() }
    }

    /// Taps that any output takes at most: all of them but where a transposed convolution has a stride.
    pub fn taps_of_output(&self) -> u64 {
        let transposed = self.direction == Direction::Transposed;
        self.axes.iter().map(|axis| if transposed { axis.filter.div_ceil(tap_step(axis)) } else { axis.filter }).product()
    }

    /// Whether some phases take fewer taps than others.
    pub(crate) fn has_uneven_phases(&self) -> bool {
        let uneven = |axis: &WindowAxis| axis.stride > 1 && (tap_step(axis) != axis.stride || !axis.filter.is_multiple_of(axis.stride));
        self.direction == Direction::Transposed && self.axes.iter().any(uneven)
    }

    /// Taps of one filter plane, those of a phase together: by their first tap along depth, height and width, then by the taps themselves.
    pub(crate) fn taps_by_phase(&self) -> Vec<u64> {
        let along = |axis: &WindowAxis| -> Vec<Vec<u64>> {
            let step = if self.direction == Direction::Transposed { tap_step(axis) } else { 1 };
            (0..axis.filter.min(step)).map(|first| (first..axis.filter).step_by(step as usize).collect()).collect()
        };
        let [depth, height, width] = &self.axes;
        let (heights, widths) = (along(height), along(width));
        let mut order = Vec::new();
        for ts in along(depth) {
            for rs in &heights {
                for ss in &widths {
                    let rows = ts.iter().flat_map(|t| rs.iter().map(move |r| t * height.filter + r));
                    order.extend(rows.flat_map(|row| ss.iter().map(move |s| row * width.filter + s)));
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::ConvTransposeDescriptor;
    use crate::ops::conv::problem::ConvInputs;
    use crate::types::Padding;

    /// Every output takes the taps of its phase and no others, from where the phase says.
    #[test]
    fn phases_are_what_the_definition_says() {
        let mut without_taps = 0;
        for (input, filter, output) in [(4, 3, 9), (1, 5, 4), (3, 1, 7), (5, 4, 16), (2, 7, 3)] {
            for (stride, dilation, pad_begin) in (1..6).flat_map(|s| (1..5).flat_map(move |d| (-3..6).map(move |p| (s, d, p)))) {
                let axis = WindowAxis { input, filter, output, stride, dilation, pad_begin, pad_end: 0 };
                let mut seen = vec![false; output as usize];
                for first in 0..stride.min(output) {
                    let phase = PhaseAxis::new(&axis, first);
                    without_taps += u64::from(phase.taps == 0);
                    for number in 0..phase.outputs {
                        let o = first + number * stride;
                        seen[o as usize] = true;
                        let spread = |tap: u64| o as i64 + pad_begin - (tap * dilation) as i64;
                        let want: Vec<(u64, i64)> =
                            (0..filter).filter(|tap| spread(*tap) % stride as i64 == 0).map(|tap| (tap, spread(tap) / stride as i64)).collect();
                        let window = if phase.taps > 0 { phase.window(&axis) } else { WindowAxis::UNIT };
                        let of = |j: u64| (phase.first_tap + j * tap_step(&axis), number as i64 + window.pad_begin - (j * window.dilation) as i64);
                        assert_eq!((0..phase.taps).map(of).collect::<Vec<_>>(), want, "{axis:?}, output {o}");
                    }
                }
                assert!(seen.iter().all(|seen| *seen), "{axis:?}");
            }
        }
        assert!(without_taps > 100, "{without_taps}");
    }

    /// Every output reads through its taps, the last one first, what the definition says.
    #[test]
    fn a_transposed_convolution_with_stride_1_gathers() {
        for (input, filter, dilation, begin, end) in [(4, 3, 1, 1, 1), (5, 3, 2, 0, 3), (6, 2, 1, 3, 0), (3, 5, 1, 2, 2), (4, 1, 1, 0, 0)] {
            let descriptor =
                ConvTransposeDescriptor { dilation: [dilation], padding: Padding::Explicit { begin: [begin], end: [end] }, ..Default::default() };
            let problem = ConvProblem::transposed::<1>(&ConvInputs::new(&[1, 4, input], &[4, 6, filter], None), &descriptor).unwrap();
            let (own, forward) = (problem.axes[2], problem.gathering().unwrap());
            let axis = forward.axes[2];
            assert_eq!((forward.direction, forward.gathering()), (Direction::Forward, Some(forward.clone())));
            for o in 0..own.output as i64 {
                let spread = |tap: u64| o + own.pad_begin - (tap * own.dilation) as i64;
                let gathered = |tap: u64| o - axis.pad_begin + (tap * axis.dilation) as i64;
                assert!((0..own.filter).all(|tap| spread(tap) == gathered(own.filter - 1 - tap)), "{own:?}, output {o}");
            }
            let windows = axis.input as i64 + axis.pad_begin + axis.pad_end - (axis.window_extent() as i64 - 1);
            assert_eq!(windows, axis.output as i64, "{own:?}");
        }
        let strided = ConvTransposeDescriptor { stride: [2], ..Default::default() };
        assert_eq!(ConvProblem::transposed::<1>(&ConvInputs::new(&[1, 4, 5], &[4, 6, 3], None), &strided).unwrap().gathering(), None);
    }

    #[test]
    fn taps_of_a_phase_lie_together() {
        let descriptor = ConvTransposeDescriptor { stride: [2, 3], padding: Padding::uniform(1), ..Default::default() };
        let problem = ConvProblem::transposed::<2>(&ConvInputs::new(&[1, 4, 5, 6], &[4, 6, 3, 4], None), &descriptor).unwrap();
        assert_eq!(problem.taps_by_phase(), [0, 3, 8, 11, 1, 9, 2, 10, 4, 7, 5, 6]);
        assert_eq!((problem.phases(), problem.taps_of_output(), problem.reduction_depth()), ([1, 2, 3], 4, 16));
        assert!(problem.has_uneven_phases());
        let even = ConvTransposeDescriptor { stride: [2, 2], ..descriptor };
        let even = ConvProblem::transposed::<2>(&ConvInputs::new(&[1, 4, 5, 6], &[4, 6, 2, 4], None), &even).unwrap();
        assert!(!even.has_uneven_phases());
        // The stride divides twice the dilation: taps two apart, and every other phase without any.
        let spread = ConvTransposeDescriptor { stride: [4], dilation: [2], ..Default::default() };
        let spread = ConvProblem::transposed::<1>(&ConvInputs::new(&[1, 4, 5], &[4, 6, 4], None), &spread).unwrap();
        assert_eq!((spread.taps_by_phase(), spread.taps_of_output(), spread.has_uneven_phases()), (vec![0, 2, 1, 3], 2, true));
    }
}
