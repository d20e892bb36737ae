//! Window arithmetic of one axis as ready-made tables, so that inner loops copy and never divide.

use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;

/// Marks an output that a tap reads nothing for.
pub(crate) const NOTHING: u32 = u32::MAX;

/// For one axis: which input coordinate each output reads through each tap, and the stretches where a plain copy will do.
pub(crate) struct AxisTable {
    outputs: usize,
    /// `sources[tap * outputs + o]`, or [`NOTHING`].
    sources: Vec<u32>,
    /// Per tap: outputs `first .. last` read `source[first] + (o - first) step`.
    pub runs: Vec<Run>,
}

/// A stretch of outputs whose sources are equidistant.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub first: usize,
    pub last: usize,
    pub step: usize,
}

impl AxisTable {
    pub fn new(problem: &ConvProblem, axis: &WindowAxis) -> Self {
        let (taps, outputs) = (axis.filter as usize, axis.output as usize);
        let mut sources = vec![NOTHING; taps * outputs];
        let mut runs = Vec::with_capacity(taps);
        for tap in 0..taps {
            let row = &mut sources[tap * outputs..][..outputs];
            for (o, slot) in row.iter_mut().enumerate() {
                *slot = source(problem, axis, o as i64, tap as i64);
            }
            runs.push(longest_run(row, axis.stride as usize));
        }
        Self { outputs, sources, runs }
    }

    /// Input coordinates of all outputs through `tap`.
    pub fn row(&self, tap: usize) -> &[u32] {
        &self.sources[tap * self.outputs..][..self.outputs]
    }
}

/// The stretch inside the input: what padding adds stands at the ends.
pub(crate) fn longest_run(row: &[u32], step: usize) -> Run {
    let mut best = Run { first: 0, last: 0, step };
    let mut first = 0;
    while first < row.len() {
        let mut last = first;
        if row[first] != NOTHING {
            last += 1;
            while last < row.len() && row[last] != NOTHING && row[last] as usize == row[last - 1] as usize + step {
                last += 1;
            }
        }
        if last - first > best.last - best.first {
            best = Run { first, last, step };
        }
        first = last.max(first + 1);
    }
    best
}

fn source(problem: &ConvProblem, axis: &WindowAxis, o: i64, tap: i64) -> u32 {
    let (stride, dilation, input) = (axis.stride as i64, axis.dilation as i64, axis.input as i64);
    let i = match problem.direction {
        Direction::Forward => return padded(problem, axis, o * stride + tap * dilation),
        Direction::Transposed => {
            debug_assert_eq!(stride, 1, "a phase has no stride");
            o + axis.pad_begin - tap * dilation
        }
    };
    inside(i, input)
}

/// The input coordinate at coordinate `u` of the padded axis of a forward convolution, or [`NOTHING`].
pub(crate) fn padded(problem: &ConvProblem, axis: &WindowAxis, u: i64) -> u32 {
    inside(problem.padding_mode.coordinate(u - axis.pad_begin, axis.input), axis.input as i64)
}

/// `i`, where the input has it.
pub(crate) fn inside(i: i64, input: i64) -> u32 {
    u32::try_from(i).ok().filter(|&i| i64::from(i) < input).unwrap_or(NOTHING)
}

/// The tables of the three axes.
pub(crate) struct Windows {
    pub depth: AxisTable,
    pub height: AxisTable,
    pub width: AxisTable,
}

impl Windows {
    pub fn new(problem: &ConvProblem) -> Self {
        let [depth, height, width] = problem.axes.each_ref().map(|axis| AxisTable::new(problem, axis));
        Self { depth, height, width }
    }

    /// The part `q0 .. q0 + out.len()` of one output row as tap `s` sees it in the input row `line`.
    #[inline]
    pub fn copy_row(&self, line: &[f32], s: usize, q0: usize, out: &mut [f32]) {
        let sources = &self.width.row(s)[q0..q0 + out.len()];
        let run = self.width.runs[s];
        let first = run.first.clamp(q0, q0 + out.len()) - q0;
        let last = run.last.clamp(q0, q0 + out.len()).max(first + q0) - q0;
        let read = |slot: &mut f32, source: &u32| *slot = if *source == NOTHING { 0.0 } else { line[*source as usize] };
        out[..first].iter_mut().zip(&sources[..first]).for_each(|(o, s)| read(o, s));
        out[last..].iter_mut().zip(&sources[last..]).for_each(|(o, s)| read(o, s));
        if first < last {
            let start = sources[first] as usize;
            let middle = &mut out[first..last];
            match run.step {
                1 => middle.copy_from_slice(&line[start..start + middle.len()]),
                2 => middle.iter_mut().zip(line[start..].iter().step_by(2)).for_each(|(o, v)| *o = *v),
                step => middle.iter_mut().zip(line[start..].iter().step_by(step)).for_each(|(o, v)| *o = *v),
            }
        }
    }
}
