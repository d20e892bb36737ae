//! What Winograd's rounding errors are multiplied with: its three transforms over absolute values.

use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::conv::winograd::{Transform, Transforms};
use crate::reference::conv::{filter_plane, source};
use rayon::prelude::*;

/// For every output |A|^T [sum over channels of (|G| |g| |G|^T) * (|B|^T |d| |B|)] |A| + |bias| + |residual|: the error of f32 arithmetic is
/// at most gamma of the roundings times this, by the same argument as for a plain sum, for every operation of the transforms is a sum of
/// products (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, sections 3.1 and 3.5).
/// Of a transposed convolution those of the forward one that reads the same, whose filter is read backwards.
///
/// Slices are contiguous and in logical order.
pub(crate) fn magnitude(
    problem: &ConvProblem,
    transforms: &Transforms,
    x: &[f64],
    filter: &[f64],
    bias: Option<&[f64]>,
    residual: Option<&[f64]>,
) -> Vec<f64> {
    // Transforms are known of stride 1 alone.
    let (given, gathering) = (problem, problem.gathering());
    let problem = gathering.as_ref().unwrap_or(given);
    let [_, height, width] = &problem.axes;
    let [rows, columns] = transforms.axes().map(Matrices::of);
    let [reach_h, reach_w] = transforms.axes().map(Transform::reach);
    let (tile_h, tile_w) = (rows.output.len() as u64, columns.output.len() as u64);
    let (channels, filters) = (problem.channels_per_group(), problem.filters_per_group());
    let positions = problem.output_positions() as usize;
    let mut magnitudes = vec![0.0; (problem.batch * problem.out_channels) as usize * positions];
    magnitudes.par_chunks_mut(positions).enumerate().for_each(|(plane, magnitudes)| {
        let (n, k) = (plane as u64 / problem.out_channels, plane as u64 % problem.out_channels);
        let planes: Vec<Vec<Vec<f64>>> = (0..channels)
            .map(|c| {
                let start = filter_plane(given, k, c) as usize;
                let mut taps = filter[start..start + problem.taps() as usize].to_vec();
                if given.direction == Direction::Transposed {
                    taps.reverse();
                }
                let taps: Vec<Vec<f64>> = taps.chunks(width.filter as usize).map(<[f64]>::to_vec).collect();
                both(&rows.filter, &taps, &columns.filter)
            })
            .collect();
        for p in (0..height.output).step_by(tile_h as usize) {
            for q in (0..width.output).step_by(tile_w as usize) {
                let mut sums = vec![vec![0.0; columns.input.len()]; rows.input.len()];
                for (channel, filter) in (0..channels).zip(&planes) {
                    let c = k / filters * channels + channel;
                    let x_plane = (n * problem.in_channels + c) * problem.input_positions();
                    let at = |i: usize, j: usize| {
                        // An output that does not exist needs no input.
                        let needed = p + (i as u64) < height.output + height.filter - 1 && q + (j as u64) < width.output + width.filter - 1;
                        let from = (source(problem, height, p + i as u64, 0), source(problem, width, q + j as u64, 0));
                        match from {
                            (Some(iy), Some(ix)) if needed => x[(x_plane + iy * width.input + ix) as usize],
                            _ => 0.0,
                        }
                    };
                    let tile: Vec<Vec<f64>> = (0..reach_h as usize).map(|i| (0..reach_w as usize).map(|j| at(i, j)).collect()).collect();
                    let tile = both(&rows.input, &tile, &columns.input);
                    for ((sums, tile), filter) in sums.iter_mut().zip(&tile).zip(filter) {
                        for ((sum, tile), filter) in sums.iter_mut().zip(tile).zip(filter) {
                            *sum += tile * filter;
                        }
                    }
                }
                let outputs = both(&rows.output, &sums, &columns.output);
                for (p, line) in (p..height.output).zip(&outputs) {
                    for (q, output) in (q..width.output).zip(line) {
                        magnitudes[(p * width.output + q) as usize] = *output;
                    }
                }
            }
        }
        let bias = bias.map_or(0.0, |b| b[k as usize].abs());
        for (position, magnitude) in magnitudes.iter_mut().enumerate() {
            *magnitude += bias + residual.map_or(0.0, |r| r[plane * positions + position].abs());
        }
    });
    magnitudes
}

/// The matrices of one axis.
struct Matrices {
    input: Vec<Vec<f64>>,
    filter: Vec<Vec<f64>>,
    output: Vec<Vec<f64>>,
}

impl Matrices {
    fn of(transform: &Transform) -> Self {
        let rows = |matrix: &[&[f64]]| matrix.iter().map(|row| row.to_vec()).collect();
        Self { input: rows(transform.input), filter: rows(transform.filter), output: rows(transform.output) }
    }
}

/// |rows| |values| |columns|^T.
fn both(rows: &[Vec<f64>], values: &[Vec<f64>], columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a * b).abs()).sum::<f64>();
    let half: Vec<Vec<f64>> = values.iter().map(|line| columns.iter().map(|column| dot(line, column)).collect()).collect();
    let turned: Vec<Vec<f64>> = (0..columns.len()).map(|j| half.iter().map(|line| line[j]).collect()).collect();
    rows.iter().map(|row| turned.iter().map(|line| dot(row, line)).collect()).collect()
}
