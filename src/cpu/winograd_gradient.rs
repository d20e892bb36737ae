//! Filter gradients by the adjoint of Winograd's formula (`ops/conv/winograd_gradient.rs`), 3 x 3 windows at stride 1, where the accuracy that is asked for
//! admits it.
//!
//! Some rows of tiles at a time, the tiles of every plane of both tensors are transformed; then each element of a transformed tile is a product over these
//! tiles, added to sums that stay until the last row; what they add up to becomes taps. Tiles are numbered across rows, as in `winograd`; a number behind the
//! last tile of a row has zeros of dy.

use crate::cpu::bands::BANDS;
use crate::cpu::kernel::{LONGEST_BLOCK, PANEL, keep, taken};
use crate::cpu::lines::Line;
use crate::cpu::product::{Operand, add_product};
use crate::cpu::window::{NOTHING, padded};
use crate::cpu::winograd::{lay_out, load, put};
use crate::cpu::winograd_axis::{Adjoint, Along, F2, F4, Forward, Gradient, Values};
use crate::numeric::Accuracy;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::conv::winograd_gradient::GradientTiles;
use crate::types::shape::WindowAxis;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Numbers of transformed tiles at a time, about: what the caches of some cores hold.
const WORKSPACE: usize = 1 << 20;

/// Numbers of the longest vector, which may reach past the last tile.
const SLACK: usize = 16;

/// Fewest channels of either tensor, and tiles of all images, that are worth the transforms (benchmarks/results/2026-11-28-filter-gradients.md; fewer channels
/// were not measured).
const FEWEST_CHANNELS: u64 = 32;
const FEWEST_TILES: u64 = 64;

/// The algorithm that the engine takes, where it is one of Winograd's: the one with the fewest multiplications that its accuracy admits.
pub(crate) fn algorithm(gradient: &FilterGradient) -> Option<Algorithm> {
    [Algorithm::WinogradF4, Algorithm::WinogradF2].into_iter().find(|algorithm| suits(*algorithm, gradient))
}

fn suits(algorithm: Algorithm, gradient: &FilterGradient) -> bool {
    let has_transforms = gradient.conv.axes[1..].iter().all(|axis| axis.filter == 3);
    let is_wide = gradient.channels().into_iter().all(|channels| channels >= FEWEST_CHANNELS);
    let Some(tiles) = GradientTiles::of(algorithm, gradient).filter(|_| has_transforms && is_wide) else { return false };
    let is_exact_enough = match gradient.conv.accuracy {
        Accuracy::Exact => false,
        Accuracy::F32 => tiles.relative_error(gradient) <= 1.0,
        Accuracy::Reduced => true,
    };
    is_exact_enough && tiles.all >= FEWEST_TILES
}

/// Writes dw, of the tensor that windows read and of the other one.
pub(crate) fn compute(gradient: &FilterGradient, algorithm: Algorithm, wide: &[f32], narrow: &[f32], dw: &mut [f32]) -> Option<()> {
    let tiles = GradientTiles::of(algorithm, gradient)?;
    match algorithm {
        Algorithm::WinogradF4 => by::<F4, 6, 6, 4, 3>(gradient, &tiles, wide, narrow, dw),
        _ => by::<F2, 4, 4, 2, 3>(gradient, &tiles, wide, narrow, dw),
    }
    Some(())
}

/// The planes of a tensor as tiles read them.
struct Planes<'a> {
    tensor: &'a [f32],
    /// Of a group.
    channels: usize,
    height: Line,
    width: Line,
    /// Numbers of a row of the tensor, and of a plane.
    row: usize,
    plane: usize,
}

impl<'a> Planes<'a> {
    fn new(gradient: &FilterGradient, which: usize, tensor: &'a [f32], line: impl Fn(&WindowAxis) -> Line) -> Self {
        let [height, width] = [&gradient.conv.axes[1], &gradient.conv.axes[2]].map(|axis| gradient.extents(axis)[which] as usize);
        let axes = &gradient.windows().axes;
        let channels = gradient.channels()[which] as usize;
        Self { tensor, channels, height: line(&axes[1]), width: line(&axes[2]), row: width, plane: height * width }
    }
}

fn by<W, const REACH: usize, const LINES: usize, const TILE: usize, const TAPS: usize>(
    gradient: &FilterGradient,
    tiles: &GradientTiles,
    wide: &[f32],
    narrow: &[f32],
    dw: &mut [f32],
) where
    W: Along<REACH, LINES, TILE, TAPS> + Gradient<LINES, TILE, TAPS> + Sync,
{
    let problem = gradient.windows();
    let [tiles_h, tiles_w] = tiles.tiles.map(|count| count as usize);
    let beyond = (REACH - 1) / TILE;
    let pitch = tiles_w + beyond;
    let reads: Vec<usize> = (0..REACH).collect();
    let count = |axis: &WindowAxis| (axis.output as usize).div_ceil(TILE);
    // A position that does not exist needs nothing of x, and has a zero of dy.
    let x = Planes::new(gradient, 0, wide, |axis| {
        let source = |u: usize| if u < axis.output as usize + TAPS - 1 { padded(&problem, axis, u as i64) } else { NOTHING };
        Line::new(count(axis), TILE, &reads, source)
    });
    let dy = Planes::new(gradient, 1, narrow, |axis| {
        let source = |u: usize| if u < axis.output as usize { u as u32 } else { NOTHING };
        Line::new(count(axis) + beyond, TILE, &reads[..TILE], source)
    });

    let (channels, filters, groups) = (x.channels, dy.channels, gradient.conv.groups as usize);
    let elements = LINES * LINES;
    // Rows of tiles of a sum, and of a part, among those of all images.
    let (depth, rows) = (tiles.depth as usize, gradient.conv.batch as usize * tiles_h);
    let of_sum = (depth / tiles_w).max(1);
    let sums_at_once = (WORKSPACE / (elements * (channels + filters) * of_sum * pitch)).max(1);
    let at_once = (of_sum * sums_at_once).min(rows);
    // Tiles of a product: those of its rows, or a part of a row that is longer than a sum.
    let most = if tiles_w <= depth { of_sum * pitch } else { depth };
    let columns = at_once * pitch + SLACK;
    let [of_x, of_dy] = [channels, filters].map(|planes| planes * elements * columns);
    let mut room = taken(of_x + of_dy + elements * filters * channels);
    let (of_x, rest) = room.split_at_mut(of_x);
    let (of_dy, sums) = rest.split_at_mut(of_dy);
    for group in 0..groups {
        sums.fill(0.0);
        for first in (0..rows).step_by(at_once) {
            let part = Part { rows: first..rows.min(first + at_once), tiles: [tiles_h, tiles_w], pitch, columns, groups, group };
            part.transform::<Forward<W, TILE, TAPS>, REACH, LINES, TILE>(&x, of_x);
            part.transform::<Adjoint<W, TAPS>, TILE, LINES, TILE>(&dy, of_dy);
            let end = part.rows.len() * pitch;
            sums.par_chunks_mut(filters * channels).enumerate().for_each(|(element, sums)| {
                for at in (0..end).step_by(most) {
                    let terms = most.min(end - at);
                    let a = Operand { elements: &of_dy[element * columns + at..], row: elements * columns, column: 1 };
                    let b = Operand { elements: &of_x[element * columns + at..], row: 1, column: elements * columns };
                    add_product([filters, channels, terms], a, b, sums, channels);
                }
            });
        }
        let own = &mut dw[group * filters * channels * TAPS * TAPS..][..filters * channels * TAPS * TAPS];
        own.par_chunks_mut(channels * TAPS * TAPS).enumerate().for_each(|(k, own)| {
            for (block, taps) in own.chunks_mut(PANEL * TAPS * TAPS).enumerate() {
                let some = taps.len() / (TAPS * TAPS);
                let mut down = [[[0.0f32; PANEL]; LINES]; TAPS];
                for j in 0..LINES {
                    let mut line = [[0.0f32; PANEL]; LINES];
                    for (i, values) in line.iter_mut().enumerate() {
                        let at = ((i * LINES + j) * filters + k) * channels + block * PANEL;
                        values[..some].copy_from_slice(&sums[at..at + some]);
                    }
                    for (down, values) in down.iter_mut().zip(W::filter_adjoint(line)) {
                        down[j] = values;
                    }
                }
                for (r, down) in down.into_iter().enumerate() {
                    for (s, values) in W::filter_adjoint(down).into_iter().enumerate() {
                        for (c, value) in values[..some].iter().enumerate() {
                            taps[c * TAPS * TAPS + r * TAPS + s] = *value;
                        }
                    }
                }
            }
        });
    }
    keep(room);
}

/// Rows of tiles, among those of all images, whose tiles are in memory at once.
struct Part {
    rows: Range<usize>,
    /// Of an image.
    tiles: [usize; 2],
    /// From a row's first tile to the next row's.
    pitch: usize,
    /// From an element of a plane's tiles to the next.
    columns: usize,
    groups: usize,
    group: usize,
}

impl Part {
    /// Transforms the tiles of every plane of the group, \[channel\]\[element\]\[tile\].
    fn transform<V, const FROM: usize, const LINES: usize, const TILE: usize>(&self, planes: &Planes<'_>, transformed: &mut [f32])
    where
        V: Values<FROM, LINES>,
    {
        let arch = Arch::new();
        transformed.par_chunks_mut(LINES * LINES * self.columns).enumerate().for_each(|(channel, own)| {
            BANDS.with_borrow_mut(|room| {
                arch.dispatch(Channel::<V, FROM, LINES, TILE> { part: self, planes, channel, own, room, values: PhantomData });
            });
        });
    }
}

/// The tiles of a part in one channel.
struct Channel<'a, V, const FROM: usize, const LINES: usize, const TILE: usize> {
    part: &'a Part,
    planes: &'a Planes<'a>,
    channel: usize,
    own: &'a mut [f32],
    room: &'a mut Vec<f32>,
    values: PhantomData<V>,
}

impl<V: Values<FROM, LINES>, const FROM: usize, const LINES: usize, const TILE: usize> WithSimd for Channel<'_, V, FROM, LINES, TILE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { part, planes, channel, own, room, .. } = self;
        let Part { rows, tiles: [tiles_h, tiles_w], pitch, columns, groups, group } = part;
        let below = (FROM - 1) / TILE; // rows of places that the last row of tiles reads beyond its own
        let phase = (tiles_h + below) * pitch;
        let length = TILE * TILE * phase + LONGEST_BLOCK;
        if room.len() < length {
            room.resize(length, 0.0);
        }
        let mut row = rows.start;
        while row < rows.end {
            // So many rows of one image.
            let (n, first) = (row / tiles_h, row % tiles_h);
            let together = (tiles_h - first).min(rows.end - row);
            let start = ((n * groups + group) * planes.channels + channel) * planes.plane;
            lay_out([&planes.height, &planes.width], planes.row, &planes.tensor[start..][..planes.plane], first, together + below, phase, room);
            let (at_row, count) = ((row - rows.start) * pitch, (together - 1) * pitch + tiles_w);
            for at in (0..count).step_by(S::F32_LANES) {
                let mut along = [[simd.splat_f32s(0.0); LINES]; FROM];
                for (i, along) in along.iter_mut().enumerate() {
                    let mut d = [simd.splat_f32s(0.0); FROM];
                    for (j, d) in d.iter_mut().enumerate() {
                        let (phases, row, place) = (i % TILE * TILE + j % TILE, i / TILE, j / TILE);
                        *d = load::<S>(room, phases * phase + row * pitch + place + at);
                    }
                    *along = V::of(simd, d);
                }
                for j in 0..LINES {
                    let mut d = [simd.splat_f32s(0.0); FROM];
                    for (d, along) in d.iter_mut().zip(&along) {
                        *d = along[j];
                    }
                    for (i, value) in V::of(simd, d).into_iter().enumerate() {
                        put::<S>(own, (i * LINES + j) * columns + at_row + at, value);
                    }
                }
            }
            // Behind the last tile stands what the vector had beyond it.
            for element in own.chunks_exact_mut(*columns) {
                element[at_row + count..at_row + together * pitch].fill(0.0);
            }
            row += together;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::ops::conv::descriptor::{Conv2dDescriptor, ConvTranspose2dDescriptor};
    use crate::ops::conv::problem::{ConvInputs, ConvProblem};
    use crate::reference::Referenced;
    use crate::types::Padding;

    fn numbers(count: u64, step: usize, scale: f32) -> Vec<f32> {
        (0..count as usize).map(|i| (((i * step + i / 7) % 9) as f32 - 4.0) * scale).collect()
    }

    fn forward(x: [usize; 4], filter: [usize; 4], groups: usize, padding: Padding<2>) -> FilterGradient {
        let descriptor = Conv2dDescriptor { groups, padding, ..Default::default() };
        FilterGradient::new(&ConvProblem::forward(&ConvInputs::new(&x, &filter, None), &descriptor).unwrap()).unwrap()
    }

    /// Integers by F(2,3) without any difference, tenths by both within their bounds: several parts, a row longer than a sum, groups, pads that differ, planes
    /// that end inside a tile, a transposed convolution.
    #[test]
    fn sums_of_parts_are_the_reference() {
        let uneven = Padding::Explicit { begin: [2, 0], end: [0, 1] };
        let transposed = ConvTranspose2dDescriptor { groups: 2, padding: Padding::uniform(1), ..Default::default() };
        let transposed = ConvProblem::transposed(&ConvInputs::new(&[3, 6, 11, 14], &[6, 5, 3, 3], None), &transposed).unwrap();
        let all = [
            forward([6, 33, 40, 44], [40, 33, 3, 3], 1, Padding::Same),
            forward([2, 2, 5, 611], [3, 2, 3, 3], 1, Padding::Same),
            forward([7, 6, 9, 10], [10, 3, 3, 3], 2, uneven),
            forward([5, 3, 7, 7], [9, 3, 3, 3], 1, Padding::Valid),
            FilterGradient::new(&transposed).unwrap(),
        ];
        for gradient in &all {
            for (algorithm, scale) in [(Algorithm::WinogradF2, 1.0), (Algorithm::WinogradF2, 0.1), (Algorithm::WinogradF4, 0.1)] {
                let (x, dy) = (numbers(gradient.conv.input_count(), 5, scale), numbers(gradient.conv.output_count(), 7, scale));
                let mut dw = vec![f32::NAN; gradient.conv.filter_count() as usize];
                let (wide, narrow) = if gradient.x_is_wide() { (&x, &dy) } else { (&dy, &x) };
                compute(gradient, algorithm, wide, narrow, &mut dw).unwrap();
                let f64s = |numbers: &[f32]| numbers.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
                let want = gradient.reference_for(algorithm.name(), &[&f64s(&x), &f64s(&dy)]).remove(0);
                assert!(want.value.iter().any(|w| *w != 0.0));
                for (i, (got, value)) in dw.iter().zip(&want.value).enumerate() {
                    let allowed = if scale == 1.0 { 0.0 } else { want.error[i] };
                    let difference = (f64::from(*got) - value).abs();
                    assert!(
                        difference <= allowed,
                        "{} by {algorithm}: element {i} is {got}, the reference {value}, allowed {allowed}",
                        gradient.conv
                    );
                }
            }
        }
    }

    /// An infinity of x and a NaN of dy reach the planes of their channel and of their filter, all of their taps, and no other number.
    #[test]
    fn what_is_not_finite_stays_in_its_channel_and_filter() {
        let gradient = forward([3, 5, 9, 10], [4, 5, 3, 3], 1, Padding::Same);
        for algorithm in [Algorithm::WinogradF2, Algorithm::WinogradF4] {
            let (mut x, mut dy) = (numbers(gradient.conv.input_count(), 5, 1.0), numbers(gradient.conv.output_count(), 7, 1.0));
            // Channel 2 of image 1, filter 3 of image 0.
            x[(5 + 2) * 90 + 44] = f32::INFINITY;
            dy[3 * 90 + 17] = f32::NAN;
            let mut dw = vec![0.0; gradient.conv.filter_count() as usize];
            compute(&gradient, algorithm, &x, &dy, &mut dw).unwrap();
            for (plane, taps) in dw.chunks(9).enumerate() {
                let is_reached = plane % 5 == 2 || plane / 5 == 3;
                assert!(taps.iter().all(|v| v.is_finite() != is_reached), "{algorithm}: plane {plane} is {taps:?}");
            }
        }
    }

    /// What stood in memory before, and what a position that does not exist would read, reaches no sum.
    #[test]
    fn what_is_not_read_may_be_anything() {
        let gradient = forward([3, 2, 9, 10], [3, 2, 3, 3], 1, Padding::Valid);
        BANDS.with_borrow_mut(|room| *room = vec![f32::NAN; 1 << 16]);
        let (x, dy) = (numbers(gradient.conv.input_count(), 5, 1.0), numbers(gradient.conv.output_count(), 7, 1.0));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().unwrap();
        for algorithm in [Algorithm::WinogradF2, Algorithm::WinogradF4] {
            let mut dw = vec![0.0; gradient.conv.filter_count() as usize];
            pool.install(|| compute(&gradient, algorithm, &x, &dy, &mut dw)).unwrap();
            assert!(dw.iter().all(|v| v.is_finite()), "{algorithm}: {dw:?}");
        }
    }
}
