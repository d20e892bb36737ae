//! A pool of which no binding holds a tensor, in parts of its outputs ([`crate::plan::parts`]): images, planes, rows.
//!
//! A part reads the rows that its windows reach. Adaptive windows and indices depend on where they stand in the plane, which a part remembers.

use crate::ops::pool::problem::PoolProblem;
use crate::plan::parts::{Divisible, Part};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Chunk, Plan};
use crate::types::shape::WindowAxis;
use crate::types::{Layout, Result};

/// Some outputs of a pool, as a pool of their own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PoolPart {
    pub problem: PoolProblem,
    pub axes: [Place; 3],
}

/// The axis that an axis of a part is cut from; of a pool where no window depends on it, the axis of the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub input: u64,
    pub output: u64,
    pub first_input: u64,
    pub first_output: u64,
}

impl PoolPart {
    /// All of it.
    pub fn whole(problem: &PoolProblem) -> Self {
        let axes = problem.axes.each_ref().map(|axis| Place { input: axis.input, output: axis.output, first_input: 0, first_output: 0 });
        Self { problem: problem.clone(), axes }
    }
}

/// These outputs of an axis, and the first row of x that they read.
fn cut(axis: &WindowAxis, is_adaptive: bool, outputs: Chunk) -> (WindowAxis, u64) {
    let Chunk { first, count } = outputs;
    if is_adaptive {
        // As the kernel has it; the products fit, as the plan of the whole checked.
        let (begin, end) = (first * axis.input / axis.output, ((first + count) * axis.input).div_ceil(axis.output));
        return (WindowAxis { input: end - begin, filter: axis.filter.min(end - begin), output: count, ..*axis }, begin);
    }
    let input = axis.input as i64; // below 2^31, as every coordinate here: WindowAxis::check_reach
    let from = (first * axis.stride) as i64 - axis.pad_begin;
    let to = from + ((count - 1) * axis.stride + axis.window_extent()) as i64;
    let (begin, end) = (from.clamp(0, input - 1), to.clamp(1, input)); // every window reaches an element
    // A last window of `ceil_mode` may reach past the padding.
    let pad_end = to.min(input + axis.pad_end) - end;
    (WindowAxis { input: (end - begin) as u64, output: count, pad_begin: begin - from, pad_end, ..*axis }, begin as u64)
}

impl Divisible for PoolProblem {
    type Part = PoolPart;

    /// Images, channels and spatial axes as they lie in memory.
    fn cut_extents(&self) -> Vec<u64> {
        let [depth, height, width] = self.axes.each_ref().map(|axis| axis.output);
        match self.layout {
            Layout::ChannelsFirst => vec![self.batch, self.channels, depth, height, width],
            Layout::ChannelsLast => vec![self.batch, depth, height, width, self.channels],
        }
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<PoolPart>> {
        let (spatial, channels) = match self.layout {
            Layout::ChannelsFirst => ([ranges[2], ranges[3], ranges[4]], ranges[1]),
            Layout::ChannelsLast => ([ranges[1], ranges[2], ranges[3]], ranges[4]),
        };
        let (mut problem, mut first) = (Self { batch: ranges[0].count, channels: channels.count, ..self.clone() }, [0; 3]);
        for axis in 0..3 {
            (problem.axes[axis], first[axis]) = cut(&self.axes[axis], self.adaptive, spatial[axis]);
        }
        let mut part = PoolPart::whole(&problem);
        if self.adaptive || self.indices().is_some() {
            for (axis, place) in part.axes.iter_mut().enumerate() {
                let WindowAxis { input, output, .. } = self.axes[axis];
                *place = Place { input, output, first_input: first[axis], first_output: spatial[axis].first };
            }
        }
        let own =
            |spatial: [u64; 3]| [ranges[0].first, channels.first].into_iter().chain(spatial.into_iter().skip(3 - self.rank)).collect::<Vec<_>>();
        let of = Part::of(problem, vec![own(first)], vec![own(spatial.map(|range| range.first)); 2]);
        Ok(Part { problem: part, inputs: of.inputs, outputs: of.outputs })
    }

    fn plan_part(part: &PoolPart, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.plan(profile, algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::shape::{AxisPadding, resolve_axis};

    /// The rows of x that output `o` of an axis reads.
    fn rows(axis: &WindowAxis, o: u64) -> Vec<u64> {
        let at = |tap: u64| (o * axis.stride + tap * axis.dilation) as i64 - axis.pad_begin;
        (0..axis.filter).map(at).filter(|i| (0..axis.input as i64).contains(i)).map(|i| i as u64).collect()
    }

    #[test]
    fn parts_read_what_the_whole_axis_reads() {
        for (filter, stride, dilation, pads) in [(3, 1, 1, [1, 1]), (5, 2, 1, [2, 4]), (2, 3, 4, [0, 0]), (3, 1, 3, [5, 3]), (1, 2, 1, [0, 0])] {
            let padding = AxisPadding::Explicit { begin: pads[0], end: pads[1] };
            let axis = resolve_axis("height", 23, filter, stride, dilation, padding, true).unwrap();
            for (first, count) in [(0, 1), (0, 4), (2, 3), (axis.output - 1, 1), (axis.output - 4, 4)] {
                let (own, begin) = cut(&axis, false, Chunk { first, count });
                for o in 0..count {
                    let read: Vec<u64> = rows(&own, o).into_iter().map(|row| row + begin).collect();
                    assert_eq!(read, rows(&axis, first + o), "{axis:?}: {own:?}");
                    // What an average that counts the padding divides by.
                    let padded = |axis: &WindowAxis, o: u64| {
                        let end = axis.input as i64 + axis.pad_end;
                        (0..axis.filter).filter(|tap| ((o * axis.stride + tap * axis.dilation) as i64) - axis.pad_begin < end).count()
                    };
                    assert_eq!(padded(&own, o), padded(&axis, first + o), "{axis:?}: {own:?}");
                }
            }
        }
        let adaptive = WindowAxis { input: 23, filter: 4, output: 7, ..WindowAxis::UNIT };
        assert_eq!(cut(&adaptive, true, Chunk { first: 2, count: 3 }), (WindowAxis { input: 11, output: 3, ..adaptive }, 6));
    }
}
