//! One input channel per group: no matrix to multiply, so each output row is a sum of scaled input rows.

use crate::cpu::epilogue::finish;
use crate::cpu::window::{NOTHING, Windows};
use crate::ops::conv::problem::ConvProblem;
use rayon::prelude::*;

pub(crate) fn conv(problem: &ConvProblem, x: &[f32], filter: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let windows = Windows::new(problem);
    let [depth, height, width] = &problem.axes;
    let (in_h, in_w, out_w) = (height.input as usize, width.input as usize, width.output as usize);
    let (in_plane, taps) = (problem.input_positions() as usize, problem.taps() as usize);
    let (channels, filters) = (problem.in_channels as usize, problem.out_channels as usize);
    let multiplier = problem.filters_per_group() as usize;
    y.par_chunks_mut(problem.output_positions() as usize).enumerate().for_each(|(plane, y)| {
        let (n, k) = (plane / filters, plane % filters);
        let x = &x[(n * channels + k / multiplier) * in_plane..][..in_plane];
        // K 1 taps forward and C K/g taps transposed are the same order when a group has one channel.
        let filter = &filter[k * taps..][..taps];
        let mut shifted = vec![0.0; out_w];
        y.fill(0.0);
        for t in 0..depth.filter as usize {
            for r in 0..height.filter as usize {
                for (row, y) in y.chunks_mut(out_w).enumerate() {
                    let iz = windows.depth.row(t)[row / height.output as usize];
                    let iy = windows.height.row(r)[row % height.output as usize];
                    if iz == NOTHING || iy == NOTHING {
                        // Zeros, which only an infinite or NaN weight shows.
                        let weights = &filter[(t * height.filter as usize + r) * width.filter as usize..][..width.filter as usize];
                        if !weights.iter().all(|w| w.is_finite()) {
                            y.fill(f32::NAN);
                        }
                        continue;
                    }
                    let line = &x[(iz as usize * in_h + iy as usize) * in_w..][..in_w];
                    for s in 0..width.filter as usize {
                        let w = filter[(t * height.filter as usize + r) * width.filter as usize + s];
                        let run = windows.width.runs[s];
                        if run.step == 1 && run.last - run.first == out_w {
                            let start = windows.width.row(s)[0] as usize;
                            y.iter_mut().zip(&line[start..start + out_w]).for_each(|(y, v)| *y += w * v);
                        } else {
                            windows.copy_row(line, s, 0, &mut shifted);
                            y.iter_mut().zip(&shifted).for_each(|(y, v)| *y += w * v);
                        }
                    }
                }
            }
        }
        finish(y, bias.map_or(0.0, |b| b[k]), problem.activation);
    });
}
