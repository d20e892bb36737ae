//! A transposed convolution with a stride: a convolution for each phase, into memory of its own, from where its outputs go to their places a stride apart.

use crate::cpu::epilogue::finish;
use crate::cpu::packed::{self, Packed};
use crate::numeric::Accuracy;
use crate::ops::conv::phases::{PhaseAxis, tap_step};
use crate::ops::conv::problem::ConvProblem;
use rayon::prelude::*;

/// The phases, and the convolution of each that has taps: one of which every output takes all of them. By plain sums, whose error the whole is said to have.
pub(crate) fn problems(problem: &ConvProblem) -> impl Iterator<Item = ([PhaseAxis; 3], Option<ConvProblem>)> + '_ {
    let along = move |i: usize| {
        let axis = problem.axes[i];
        (0..axis.stride.min(axis.output)).map(move |first| PhaseAxis::new(&axis, first))
    };
    let planes = along(0).flat_map(move |depth| along(1).map(move |height| [depth, height]));
    planes.flat_map(move |[depth, height]| along(2).map(move |width| [depth, height, width])).map(move |phases| {
        let has_taps = phases.iter().all(|phase| phase.taps > 0);
        let axes = || [0, 1, 2].map(|i| phases[i].window(&problem.axes[i]));
        (phases, has_taps.then(|| ConvProblem { axes: axes(), accuracy: Accuracy::Exact, algorithm: None, ..problem.clone() }))
    })
}

/// By phase: the filter's taps, and those packed.
pub(crate) fn pack(problem: &ConvProblem, filter: &[f32]) -> Vec<Option<(Vec<f32>, Packed)>> {
    let of = |(phases, own): ([PhaseAxis; 3], Option<ConvProblem>)| {
        let (own, taps) = (own?, taps(problem, &phases, filter));
        let packed = Packed::new(&own, &taps);
        Some((taps, packed))
    };
    problems(problem).map(of).collect()
}

pub(crate) fn conv(problem: &ConvProblem, x: &[f32], filters: &[Option<(Vec<f32>, Packed)>], bias: Option<&[f32]>, y: &mut [f32]) {
    let mut own = Vec::new();
    for ((phases, of_phase), filter) in problems(problem).zip(filters) {
        let positions: u64 = phases.iter().map(|phase| phase.outputs).product();
        own.clear();
        own.resize((problem.batch * problem.out_channels * positions) as usize, 0.0);
        match (of_phase, filter) {
            (Some(of_phase), Some((taps, packed))) => packed::conv(&of_phase, x, taps, packed, bias, &mut own),
            // Sums of nothing.
            _ => {
                for (plane, values) in own.chunks_mut(positions as usize).enumerate() {
                    finish(values, bias.map_or(0.0, |bias| bias[plane % problem.out_channels as usize]), problem.activation);
                }
            }
        }
        spread(problem, &phases, &own, y);
    }
}

/// The filter's taps of a phase.
fn taps(problem: &ConvProblem, phases: &[PhaseAxis; 3], filter: &[f32]) -> Vec<f32> {
    let [depth, height, width] = &problem.axes;
    let along = |i: usize| (0..phases[i].taps).map(move |j| phases[i].first_tap + j * tap_step(&problem.axes[i]));
    let rows = along(0).flat_map(|t| along(1).map(move |r| (t * height.filter + r) * width.filter));
    let own: Vec<usize> = rows.flat_map(|row| along(2).map(move |s| (row + s) as usize)).collect();
    let all = (depth.filter * height.filter * width.filter) as usize;
    filter.chunks(all).flat_map(|filter| own.iter().map(|tap| filter[*tap])).collect()
}

/// Writes the outputs of a phase to their places.
fn spread(problem: &ConvProblem, [depth, height, width]: &[PhaseAxis; 3], own: &[f32], y: &mut [f32]) {
    let [_, out_h, out_w] = problem.axes.each_ref().map(|axis| axis.output as usize);
    let [stride_d, stride_h, stride_w] = problem.axes.each_ref().map(|axis| axis.stride as usize);
    let row = width.outputs as usize;
    let plane = (depth.outputs * height.outputs) as usize * row;
    y.par_chunks_mut(problem.output_positions() as usize).zip(own.par_chunks(plane)).for_each(|(y, own)| {
        for (line, values) in own.chunks(row).enumerate() {
            let (z, p) = (line / height.outputs as usize, line % height.outputs as usize);
            let at = (depth.first as usize + z * stride_d) * out_h + height.first as usize + p * stride_h;
            let places = y[at * out_w..][..out_w][width.first as usize..].iter_mut().step_by(stride_w);
            places.zip(values).for_each(|(place, value)| *place = *value);
        }
    });
}
