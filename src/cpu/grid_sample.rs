//! Sampling at the positions of a grid on all cores, f32: coordinates once for each image, then plane by plane.

use crate::cpu::Computed;
use crate::ops::transform::grid_sample::{GridSample, GridSampleDescriptor, GridSampleMode, GridSamplePadding};
use rayon::prelude::*;

/// Positions that are worth a task of their own.
const GRAIN: usize = 1 << 12;

/// Along one axis, the elements that a position reads with their weights; nearest and an axis that is not there have one, linear two.
#[derive(Clone, Copy)]
struct Taps {
    /// Coordinates; what is not inside reads 0.
    places: [i32; 4],
    weights: [f32; 4],
}

const ONE: Taps = Taps { places: [0; 4], weights: [1.0, 0.0, 0.0, 0.0] };

fn reflected(c: f32, n: f32, align_corners: bool) -> f32 {
    let (low, span) = if align_corners { (0.0, n - 1.0) } else { (-0.5, n) };
    if span == 0.0 {
        return 0.0;
    }
    let away = (c - low).abs();
    let flips = (away / span).floor();
    let rest = away - flips * span;
    (low + if flips % 2.0 == 0.0 { rest } else { span - rest }).clamp(0.0, n - 1.0)
}

/// What a kernel does too (`shaders/transform/grid_sample.wgsl`): coordinates are of f32 on every engine.
fn taps(g: f32, n: usize, descriptor: GridSampleDescriptor) -> Taps {
    let GridSampleDescriptor { mode, padding, align_corners } = descriptor;
    let n = n as f32;
    let half = (g + 1.0) * 0.5;
    let c = if align_corners { half * (n - 1.0) } else { half * n - 0.5 };
    if mode == GridSampleMode::Cubic {
        let t = c - c.floor();
        // NaN of what is not finite, and then so are all weights.
        let c = if c.is_finite() { c.floor() } else { 0.0 };
        let place = |i: f32| match padding {
            GridSamplePadding::Zeros => (c + i).clamp(-8.0, n + 8.0) as i32,
            GridSamplePadding::Border => (c + i).clamp(0.0, n - 1.0) as i32,
            GridSamplePadding::Reflection => reflected(c + i, n, align_corners) as i32,
        };
        let near = |t: f32| (1.25 * t - 2.25) * t * t + 1.0;
        let far = |t: f32| -0.75 * t * (1.0 - t) * (1.0 - t);
        return Taps { places: [-1.0, 0.0, 1.0, 2.0].map(place), weights: [far(t), near(t), near(1.0 - t), far(1.0 - t)] };
    }
    let c = match padding {
        // Outside, all is alike.
        GridSamplePadding::Zeros => {
            if c.is_finite() {
                c.clamp(-8.0, n + 8.0)
            } else {
                -8.0
            }
        }
        GridSamplePadding::Border => {
            if c.is_nan() {
                0.0
            } else {
                c.clamp(0.0, n - 1.0)
            }
        }
        GridSamplePadding::Reflection => {
            if c.is_finite() {
                reflected(c, n, align_corners)
            } else {
                0.0
            }
        }
    };
    if mode == GridSampleMode::Nearest {
        return Taps { places: [c.round_ties_even() as i32; 4], ..ONE };
    }
    let (first, t) = (c.floor() as i32, c - c.floor());
    Taps { places: [first, first + 1, 0, 0], weights: [1.0 - t, t, 0.0, 0.0] }
}

impl Computed for GridSample {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let (x, grid) = (inputs[0], inputs[1]);
        let (spatial, [depth, height, width]) = (self.spatial(), self.extents());
        let [positions, outputs] = self.positions().map(|count| count as usize);
        let channels = self.x.extents[1];
        let count = self.taps() as usize;
        let counts: [usize; 3] = std::array::from_fn(|axis| if axis + spatial < 3 { 1 } else { count });
        for (image, y) in y.chunks_mut(channels * outputs).enumerate() {
            let grid = &grid[image * outputs * spatial..][..outputs * spatial];
            let of = |position: &[f32]| -> [Taps; 3] {
                let axis = |(axis, n): (usize, usize)| match (axis + spatial).checked_sub(3) {
                    None => ONE,
                    Some(i) => taps(position[spatial - 1 - i], n, self.descriptor),
                };
                [axis((0, depth)), axis((1, height)), axis((2, width))]
            };
            let all: Vec<[Taps; 3]> = grid.par_chunks(spatial).with_min_len(GRAIN).map(of).collect();
            y.par_chunks_mut(outputs).enumerate().for_each(|(channel, y)| {
                let x = &x[(image * channels + channel) * positions..][..positions];
                let element = |z: i32, row: i32, column: i32| {
                    let is_inside = |c: i32, n: usize| c >= 0 && (c as usize) < n;
                    if is_inside(z, depth) && is_inside(row, height) && is_inside(column, width) {
                        x[(z as usize * height + row as usize) * width + column as usize]
                    } else {
                        0.0
                    }
                };
                for (y, [d, h, w]) in y.iter_mut().zip(&all) {
                    let line = |z: i32, row: i32| sum(counts[2], w, |column| element(z, row, column));
                    let plane = |z: i32| sum(counts[1], h, |row| line(z, row));
                    *y = sum(counts[0], d, plane);
                }
            });
        }
        Some(())
    }
}

/// The sum of what stands at the first `count` taps, each times its weight; one is taken as it is.
fn sum(count: usize, taps: &Taps, at: impl Fn(i32) -> f32) -> f32 {
    if count == 1 {
        return at(taps.places[0]);
    }
    (0..count).map(|i| taps.weights[i] * at(taps.places[i])).sum()
}
