//! A transposed convolution with a stride: a convolution for the phases that read the same elements of x, all filters of them beside each other, into memory
//! of its own, from where outputs go to their places a stride apart. A window of the stride's extents is one such convolution, of one tap.

use crate::cpu::epilogue::finish;
use crate::cpu::kernel::{keep, taken};
use crate::cpu::packed::{self, Packed};
use crate::numeric::Accuracy;
use crate::ops::conv::phases::{PhaseAxis, tap_step};
use crate::ops::conv::problem::ConvProblem;
use rayon::prelude::*;

/// Phases of which every output reads the same elements of x, and the convolution of their filters, where they have taps: those of the first phase, then
/// those of the second, in each group.
pub(crate) struct Part {
    phases: Vec<[PhaseAxis; 3]>,
    pub problem: Option<ConvProblem>,
}

/// A filter's taps of a part's phases, and those packed.
pub(crate) type Filter = Option<(Vec<f32>, Packed)>;

impl Part {
    /// How many phases it has.
    pub fn count(&self) -> usize {
        self.phases.len()
    }

    /// Outputs of one phase and filter.
    fn positions(&self) -> usize {
        self.phases[0].iter().map(|phase| phase.outputs as usize).product()
    }
}

/// The parts of a transposed convolution. By plain sums, whose error the whole is said to have.
pub(crate) fn parts(problem: &ConvProblem) -> Vec<Part> {
    let along = |i: usize| {
        let axis = problem.axes[i];
        (0..axis.stride.min(axis.output)).map(move |first| PhaseAxis::new(&axis, first))
    };
    let planes = along(0).flat_map(|depth| along(1).map(move |height| [depth, height]));
    let mut parts: Vec<Part> = vec![];
    for phases in planes.flat_map(|[depth, height]| along(2).map(move |width| [depth, height, width])) {
        let has_taps = phases.iter().all(|phase| phase.taps > 0);
        let axes = [0, 1, 2].map(|i| if has_taps { phases[i].window(&problem.axes[i]) } else { problem.axes[i] });
        // A group with one filter is computed channel by channel, which it would not be with more.
        let beside =
            parts.iter_mut().find(|part| has_taps && problem.filters_per_group() > 1 && part.problem.as_ref().is_some_and(|own| own.axes == axes));
        match beside {
            Some(Part { phases: own, problem: Some(joint) }) => {
                own.push(phases);
                joint.out_channels += problem.out_channels;
            }
            _ => {
                let own = ConvProblem { axes, accuracy: Accuracy::Exact, algorithm: None, ..problem.clone() };
                parts.push(Part { phases: vec![phases], problem: has_taps.then_some(own) });
            }
        }
    }
    parts
}

/// By part: the filter's taps, and those packed.
pub(crate) fn pack(problem: &ConvProblem, filter: &[f32]) -> Vec<Filter> {
    let of = |part: Part| {
        let own = part.problem.as_ref()?;
        let taps = taps(problem, &part.phases, filter);
        let packed = Packed::new(own, &taps);
        Some((taps, packed))
    };
    parts(problem).into_iter().map(of).collect()
}

pub(crate) fn conv(problem: &ConvProblem, x: &[f32], filters: &[Filter], bias: Option<&[f32]>, y: &mut [f32]) {
    let parts = parts(problem);
    let (planes, filters_per_group) = ((problem.batch * problem.out_channels) as usize, problem.filters_per_group() as usize);
    let mut own = taken(y.len());
    let mut rest = &mut own[..];
    for (part, filter) in parts.iter().zip(filters) {
        let values;
        (values, rest) = rest.split_at_mut(planes * part.count() * part.positions());
        match (&part.problem, filter) {
            (Some(of_part), Some((taps, packed))) => {
                let of_group = |bias: &[f32]| -> Vec<f32> { bias.chunks(filters_per_group).flat_map(|own| own.repeat(part.count())).collect() };
                packed::conv(of_part, x, taps, packed, bias.map(of_group).as_deref(), values);
            }
            // Sums of nothing.
            _ => {
                for (plane, values) in values.chunks_mut(part.positions()).enumerate() {
                    values.fill(0.0);
                    finish(values, bias.map_or(0.0, |bias| bias[plane % problem.out_channels as usize]), problem.activation);
                }
            }
        }
    }
    spread(problem, &parts, &own, y);
    keep(own);
}

/// The filter's taps of phases that take as many, beside each other.
fn taps(problem: &ConvProblem, phases: &[[PhaseAxis; 3]], filter: &[f32]) -> Vec<f32> {
    let [depth, height, width] = &problem.axes;
    let of_phase = |phases: &[PhaseAxis; 3]| -> Vec<usize> {
        let along = |i: usize| (0..phases[i].taps).map(move |j| phases[i].first_tap + j * tap_step(&problem.axes[i]));
        let rows = along(0).flat_map(|t| along(1).map(move |r| (t * height.filter + r) * width.filter));
        rows.flat_map(|row| along(2).map(move |s| (row + s) as usize)).collect()
    };
    let own: Vec<Vec<usize>> = phases.iter().map(of_phase).collect();
    let all = (depth.filter * height.filter * width.filter) as usize;
    // All filters of a channel and group for the first phase, then for the next.
    let of_channel = |filters: &[f32]| -> Vec<f32> {
        own.iter().flat_map(|taps| filters.chunks(all).flat_map(move |filter| taps.iter().map(move |tap| filter[*tap]))).collect()
    };
    filter.chunks(all * problem.filters_per_group() as usize).flat_map(of_channel).collect()
}

/// A row of outputs of one phase, and the column of y of its first.
struct Line<'a> {
    values: &'a [f32],
    first: usize,
}

/// Writes the outputs of all phases to their places, row by row of y.
fn spread(problem: &ConvProblem, parts: &[Part], own: &[f32], y: &mut [f32]) {
    let [_, out_h, out_w] = problem.axes.each_ref().map(|axis| axis.output as usize);
    let [stride_d, stride_h, stride_w] = problem.axes.each_ref().map(|axis| axis.stride as usize);
    let (planes, filters) = ((problem.batch * problem.out_channels) as usize, problem.filters_per_group() as usize);
    let starts: Vec<usize> = parts
        .iter()
        .scan(0, |next, part| {
            let start = *next;
            *next += planes * part.count() * part.positions();
            Some(start)
        })
        .collect();
    y.par_chunks_mut(problem.output_positions() as usize).enumerate().for_each(|(plane, y)| {
        let (group, filter) = (plane / filters, plane % filters);
        // By phase: its extents, and its values of this plane; those of a row of y by their first column.
        let mut phases: Vec<([PhaseAxis; 3], &[f32])> = parts
            .iter()
            .zip(&starts)
            .flat_map(|(part, start)| {
                part.phases.iter().enumerate().map(move |(i, phase)| {
                    let beside = (group * part.count() + i) * filters + filter;
                    (*phase, &own[start + beside * part.positions()..][..part.positions()])
                })
            })
            .collect();
        phases.sort_unstable_by_key(|([_, _, width], _)| width.first);
        let mut lines: Vec<Line> = Vec::with_capacity(stride_w);
        for (row, y) in y.chunks_exact_mut(out_w).enumerate() {
            let (z, p) = (row / out_h, row % out_h);
            lines.clear();
            lines.extend(phases.iter().filter(|([d, h, _], _)| d.first as usize == z % stride_d && h.first as usize == p % stride_h).map(
                |([_, h, w], values)| {
                    let line = (z / stride_d) * h.outputs as usize + p / stride_h;
                    Line { values: &values[line * w.outputs as usize..][..w.outputs as usize], first: w.first as usize }
                },
            ));
            match &lines[..] {
                // The usual stride, in a loop that the compiler makes vectors of.
                [a, b] if stride_w == 2 => {
                    let (pairs, last) = y.as_chunks_mut::<2>();
                    for (pair, (a, b)) in pairs.iter_mut().zip(a.values.iter().zip(b.values)) {
                        *pair = [*a, *b];
                    }
                    last.iter_mut().zip(a.values.last()).for_each(|(place, value)| *place = *value);
                }
                _ => {
                    for line in &lines {
                        let places = y[line.first..].iter_mut().step_by(stride_w);
                        places.zip(line.values).for_each(|(place, value)| *place = *value);
                    }
                }
            }
        }
    });
}
