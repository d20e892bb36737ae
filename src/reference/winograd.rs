//! What Winograd's rounding errors are multiplied with: its three transforms over absolute values.

use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::conv::winograd::{Transform, Transforms, transposed};
use crate::ops::conv::winograd_gradient::GradientTiles;
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

/// For every number of dw |G|^T [sum over tiles of (|A| |dy| |A|^T) * (|B|^T |x| |B|)] |G|, as [`magnitude`] of outputs. dw is in logical order; `wide` is the
/// tensor that windows read, `narrow` the other one.
pub(crate) fn gradient_magnitude(gradient: &FilterGradient, tiles: &GradientTiles, wide: &[f64], narrow: &[f64]) -> Vec<f64> {
    let [rows, columns] = tiles.transforms.axes().map(Matrices::of_gradient);
    let axes = [&gradient.conv.axes[1], &gradient.conv.axes[2]];
    let [height, width] = axes.map(|axis| gradient.extents(axis).map(|extent| extent as i64));
    let [tile_h, tile_w] = tiles.transforms.axes().map(|transform| transform.tile as i64);
    let [reach_h, reach_w] = tiles.transforms.axes().map(|transform| transform.reach() as i64);
    let (groups, [channels, filters]) = (gradient.conv.groups as usize, gradient.channels().map(|c| c as usize));
    // By plane of a tensor: its tiles, each of `lines` numbers.
    let starts = |p: &i64| (0..width[1]).step_by(tile_w as usize).map(|q| (*p, q)).collect::<Vec<_>>();
    let places: Vec<(i64, i64)> = (0..height[1]).step_by(tile_h as usize).flat_map(|p| starts(&p)).collect();
    let lines = tiles.transforms.lines() as usize;
    let transformed = |planes: &[f64], which: usize, extents: [i64; 2], first: [i64; 2], matrices: [&[Vec<f64>]; 2]| -> Vec<Vec<f64>> {
        let [h, w] = extents;
        planes
            .par_chunks((h * w) as usize)
            .map(|plane| {
                let tile = |(p, q): &(i64, i64)| {
                    let at = |i: i64, j: i64| {
                        let (y, x) = (p - first[0] + i, q - first[1] + j);
                        // A position that does not exist needs nothing of x.
                        let needed = which == 1 || p + i < height[1] + axes[0].filter as i64 - 1 && q + j < width[1] + axes[1].filter as i64 - 1;
                        if needed && (0..h).contains(&y) && (0..w).contains(&x) { plane[(y * w + x) as usize] } else { 0.0 }
                    };
                    let [rows, columns] = if which == 0 { [reach_h, reach_w] } else { [tile_h, tile_w] };
                    let values: Vec<Vec<f64>> = (0..rows).map(|i| (0..columns).map(|j| at(i, j)).collect()).collect();
                    both(matrices[0], &values, matrices[1]).concat()
                };
                places.iter().flat_map(tile).collect()
            })
            .collect()
    };
    let x = transformed(wide, 0, [height[0], width[0]], axes.map(|axis| axis.pad_begin), [&rows.input, &columns.input]);
    let dy = transformed(narrow, 1, [height[1], width[1]], [0, 0], [&rows.filter, &columns.filter]);
    let filter = |i: usize| {
        let (k, c) = (i / channels, i % channels);
        let mut sums = vec![0.0; lines];
        for n in 0..gradient.conv.batch as usize {
            let (dy, x) = (&dy[n * groups * filters + k], &x[(n * groups + k / filters) * channels + c]);
            for (dy, x) in dy.chunks(lines).zip(x.chunks(lines)) {
                sums.iter_mut().zip(dy.iter().zip(x)).for_each(|(sum, (dy, x))| *sum += dy * x);
            }
        }
        let sums: Vec<Vec<f64>> = sums.chunks(columns.input.len()).map(<[f64]>::to_vec).collect();
        both(&rows.output, &sums, &columns.output).concat()
    };
    (0..groups * filters * channels).into_par_iter().flat_map_iter(filter).collect()
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

    /// Of a filter gradient: A takes the place of G, and G^T that of A^T.
    fn of_gradient(transform: &Transform) -> Self {
        Self { filter: transposed(transform.output).collect(), output: transposed(transform.filter).collect(), ..Self::of(transform) }
    }
}

/// |rows| |values| |columns|^T.
fn both(rows: &[Vec<f64>], values: &[Vec<f64>], columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a * b).abs()).sum::<f64>();
    let half: Vec<Vec<f64>> = values.iter().map(|line| columns.iter().map(|column| dot(line, column)).collect()).collect();
    let turned: Vec<Vec<f64>> = (0..columns.len()).map(|j| half.iter().map(|line| line[j]).collect()).collect();
    rows.iter().map(|row| turned.iter().map(|line| dot(row, line)).collect()).collect()
}
