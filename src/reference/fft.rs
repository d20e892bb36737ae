//! What the rounding errors of Fourier transforms are multiplied with: Euclidean norms of tiles and filters.

use crate::ops::conv::fft::{FourierTile, reach};
use crate::ops::conv::problem::ConvProblem;
use crate::reference::conv::source;
use rayon::prelude::*;

/// For every output the sum over the channels of |tile of x| |filter plane|, Euclidean norms: [`FourierTile::growth`] of it bounds the error.
///
/// Two tiles of an image are transformed together, so the norm is that of both. Slices are contiguous and in logical order.
pub(crate) fn magnitude(problem: &ConvProblem, tile: FourierTile, x: &[f64], filter: &[f64]) -> Vec<f64> {
    let [_, height, width] = &problem.axes;
    let ([rows, columns], [length_h, length_w]) = (tile.outputs(problem), tile.extents());
    let [tiles_h, tiles_w] = tile.tiles(problem);
    let per_image = tiles_h * tiles_w;
    let (channels, filters) = (problem.channels_per_group(), problem.filters_per_group());
    let squares: Vec<f64> = (0..problem.in_channels * problem.batch * per_image)
        .into_par_iter()
        .map(|item| {
            let (c, tile) = (item / (problem.batch * per_image), item % (problem.batch * per_image));
            let (n, place) = (tile / per_image, tile % per_image);
            let (p, q) = (place / tiles_w * rows, place % tiles_w * columns);
            let x_plane = (n * problem.in_channels + c) * problem.input_positions();
            let needed = |first: u64, length: u64, output: u64, reach: u64| first..(first + length).min(output + reach);
            let mut sum = 0.0;
            for iy in needed(p, length_h, height.output, reach(height)).filter_map(|i| source(problem, height, i, 0)) {
                for ix in needed(q, length_w, width.output, reach(width)).filter_map(|i| source(problem, width, i, 0)) {
                    sum += x[(x_plane + iy * width.input + ix) as usize].powi(2);
                }
            }
            sum
        })
        .collect();
    let norm = |c: u64, n: u64, place: u64| {
        let of = |place: u64| if place < per_image { squares[((c * problem.batch + n) * per_image + place) as usize] } else { 0.0 };
        (of(place) + of(place ^ 1)).sqrt()
    };
    let planes = filter.chunks(problem.taps() as usize);
    let filter_norms: Vec<f64> = planes.map(|plane| plane.iter().map(|w| w * w).sum::<f64>().sqrt()).collect();
    let positions = problem.output_positions() as usize;
    let mut magnitudes = vec![0.0; (problem.batch * problem.out_channels) as usize * positions];
    magnitudes.par_chunks_mut(positions).enumerate().for_each(|(plane, magnitudes)| {
        let (n, k) = (plane as u64 / problem.out_channels, plane as u64 % problem.out_channels);
        let of_tile = |place: u64| -> f64 {
            let term = |channel: u64| norm(k / filters * channels + channel, n, place) * filter_norms[(k * channels + channel) as usize];
            (0..channels).map(term).sum()
        };
        let of_tiles: Vec<f64> = (0..per_image).map(of_tile).collect();
        for p in 0..height.output {
            for q in 0..width.output {
                magnitudes[(p * width.output + q) as usize] = of_tiles[(p / rows * tiles_w + q / columns) as usize];
            }
        }
    });
    magnitudes
}
