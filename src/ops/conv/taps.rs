//! The taps of a filter that any window puts over an element of the input: where a dilation is large or a plane small, some read padding alone.
//!
//! Tap t of output o reads the element at o stride + t dilation - pad. Over padding with zeros it adds w 0 to each sum, which is 0 for every finite w:
//! without such taps the sums are the same, of fewer terms. Nine taps of a window of 3 x 3 are one where the dilation is the extent of the plane,
//! as in the last branches of an atrous pyramid (Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, 2017, section 3.3), and where
//! the plane is a single element.

use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::PaddingMode;
use crate::types::shape::WindowAxis;
use std::ops::Range;

/// The part of a filter that reads elements, along the axes that its convolution has, slowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadingTaps {
    /// Taps that stay: first, and one past the last.
    pub taps: Vec<Range<usize>>,
    /// Pads before the first element, for the taps that stay.
    pub begin: Vec<usize>,
    /// Pads after the last.
    pub end: Vec<usize>,
}

impl ConvProblem {
    /// The taps that read an element of the input in any window, with the pads with which they alone give outputs of the same extents; none where all of
    /// them do, where pads are other than zeros, and for transposed convolutions. Those that are left out take part in no sum, as long as they are finite.
    ///
    /// ```
    /// use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
    /// use wgconv::Padding;
    /// # fn main() -> wgconv::Result<()> {
    /// let atrous = Conv2dDescriptor { dilation: [36; 2], padding: Padding::uniform(36), ..Default::default() };
    /// let problem = ConvProblem::forward(&ConvInputs::new(&[1, 960, 33, 33], &[256, 960, 3, 3], None), &atrous)?;
    /// let reading = problem.reading_taps().unwrap();
    /// assert_eq!((reading.taps, reading.begin, reading.end), (vec![1..2, 1..2], vec![0, 0], vec![0, 0]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn reading_taps(&self) -> Option<ReadingTaps> {
        if self.direction != Direction::Forward || self.padding_mode != PaddingMode::Zeros {
            return None;
        }
        let axes: Vec<(Range<u64>, [u64; 2])> = self.axes[3 - self.rank..].iter().map(along).collect::<Option<_>>()?;
        let count: u64 = axes.iter().map(|(taps, _)| taps.end - taps.start).product();
        let pads = |side: usize| axes.iter().map(|(_, pads)| pads[side] as usize).collect();
        (count < self.axes.iter().map(|axis| axis.filter).product()).then(|| ReadingTaps {
            taps: axes.iter().map(|(taps, _)| taps.start as usize..taps.end as usize).collect(),
            begin: pads(0),
            end: pads(1),
        })
    }
}

/// The taps along one axis from the first to the last that reads, and their pads; none where no tap reads, or pads are negative.
fn along(axis: &WindowAxis) -> Option<(Range<u64>, [u64; 2])> {
    let [begin, end] = [u64::try_from(axis.pad_begin).ok()?, u64::try_from(axis.pad_end).ok()?];
    // The first window whose tap t lies at or behind the first element, where there is one before the last element.
    let reads = |tap: &u64| {
        let window = begin.saturating_sub(tap * axis.dilation).div_ceil(axis.stride);
        window < axis.output && window * axis.stride + tap * axis.dilation < axis.input + begin
    };
    let (first, last) = ((0..axis.filter).find(reads)?, (0..axis.filter).rev().find(reads)?);
    // A pad is not negative: taps before the first one stay where the first element is between two of them.
    let first = first.min(begin / axis.dilation);
    let begin = begin - first * axis.dilation;
    // Taps behind the last stay, with the pad as it is, where the extent alone would give more outputs.
    let needed = |taps: u64| (axis.output - 1) * axis.stride + (taps - 1) * axis.dilation + 1;
    Some(match needed(last + 1 - first).checked_sub(axis.input + begin) {
        Some(end) => (first..last + 1, [begin, end]),
        None if axis.input + begin < needed(last + 1 - first) + axis.stride => (first..last + 1, [begin, 0]),
        None => (first..axis.filter, [begin, end]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::ConvDescriptor;
    use crate::ops::conv::problem::ConvInputs;
    use crate::types::Padding;

    /// A convolution along the width of one channel.
    fn line(input: usize, filter: usize, stride: usize, dilation: usize, pads: [usize; 2]) -> Option<ConvProblem> {
        let descriptor = ConvDescriptor::<1> {
            stride: [stride],
            dilation: [dilation],
            padding: Padding::Explicit { begin: [pads[0]], end: [pads[1]] },
            ..Default::default()
        };
        ConvProblem::forward(&ConvInputs::new(&[1, 1, input], &[1, 1, filter], None), &descriptor).ok()
    }

    /// All small lines: a tap that goes reads nothing, a tap that stays at an end reads or has a reason, and the outputs read the same elements.
    #[test]
    fn what_goes_reads_nothing_and_what_stays_reads_the_same() {
        let (mut trimmed, mut all) = (0, 0);
        for (input, filter) in (1..=6).flat_map(|input| (1..=5).map(move |filter| (input, filter))) {
            for (stride, dilation) in (1..=4).flat_map(|stride| (1..=7).map(move |dilation| (stride, dilation))) {
                for pads in (0..=9).flat_map(|begin| [0, 1, 4, 9].map(move |end| [begin, end])) {
                    let Some(problem) = line(input, filter, stride, dilation, pads) else { continue };
                    all += 1;
                    let axis = problem.axes[2];
                    let place = |axis: &WindowAxis, o: u64, tap: u64| (o * axis.stride + tap * axis.dilation) as i64 - axis.pad_begin;
                    let reads = |o: u64, tap: u64| (0..axis.input as i64).contains(&place(&axis, o, tap));
                    let used = |tap: u64| (0..axis.output).any(|o| reads(o, tap));
                    let Some(reading) = problem.reading_taps() else {
                        // All stay: the ends read, or another tap could not be the end, or none reads at all.
                        let (first, last) = (used(0), used(axis.filter - 1));
                        let none = !(0..axis.filter).any(used);
                        let between = !first && (pads[0] < dilation) || !last;
                        assert!(first && last || none || between, "{problem}");
                        continue;
                    };
                    trimmed += 1;
                    let taps = &reading.taps[0];
                    assert!(!taps.is_empty() && taps.end <= filter && taps.len() < filter, "{problem}: {reading:?}");
                    assert!((0..filter).filter(|tap| !taps.contains(tap)).all(|tap| !used(tap as u64)), "{problem}: {reading:?}");
                    let now = line(input, taps.len(), stride, dilation, [reading.begin[0], reading.end[0]]).unwrap();
                    assert_eq!(now.axes[2].output, axis.output, "{problem}: {reading:?}");
                    for (o, tap) in (0..axis.output).flat_map(|o| (0..taps.len() as u64).map(move |tap| (o, tap))) {
                        assert_eq!(place(&now.axes[2], o, tap), place(&axis, o, tap + taps.start as u64), "{problem}: {reading:?}");
                    }
                    // Once is enough.
                    assert_eq!(now.reading_taps().filter(|again| again.taps[0].start > 0), None, "{problem}: {reading:?}");
                }
            }
        }
        assert!(trimmed > all / 20, "{trimmed} of {all}");
    }
}
