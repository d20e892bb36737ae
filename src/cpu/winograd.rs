//! Winograd's minimal filtering, 3 x 3 and 5 x 5 windows at stride 1, where the accuracy that is asked for admits it: the transforms of
//! `ops/conv/winograd.rs`, spelled out in `winograd_axis.rs`. A transposed convolution is computed as the forward one that reads the same.
//!
//! Tiles are numbered across rows, as outputs are in `direct`: a vector holds the same element of neighbouring tiles. A task transforms a band of tiles, which
//! stays in its core's cache, multiplies it by each panel of transformed filters, and transforms the sums while they are warm.

use crate::cpu::bands::{BANDS, cut};
use crate::cpu::epilogue::finish;
use crate::cpu::gemm::{Shared, rows};
use crate::cpu::kernel::{LONGEST_BLOCK, PANEL, Panels, VECTORS, multiply, taken};
use crate::cpu::lines::Line;
use crate::cpu::window::{NOTHING, padded};
use crate::cpu::winograd_axis::{Along, F2, F2Of5, F4, F4Of5};
use crate::numeric::Accuracy;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::conv::winograd::Transforms;
use crate::types::ElementType;
use crate::types::shape::WindowAxis;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Numbers of a band of transformed tiles, about: most of a usual second-level cache.
const BAND: usize = 192 << 10;

/// Channels and filters, outputs of all images, and tiles of one, from which fewer multiplications pay for the transforms, of filters too. Measured
/// (benchmarks/results/2026-11-27-cpu-engine.md): with 64 channels twice as fast as `direct`, with 32 no faster; of 196 outputs no faster.
const FEWEST_CHANNELS: u64 = 48;
const FEWEST_OUTPUTS: u64 = 128;
const FEWEST_TILES: u64 = 16;

/// Outputs of all images from which F(4,3) is faster than F(2,3): its filters have 36 elements to transform, not 16.
const FEWEST_OUTPUTS_F4: u64 = 2048;

/// Outputs of all images up to which F(2,5) is faster than `direct` (benchmarks/results/2026-11-28-windows-of-5.md): of larger planes its transforms, 49
/// numbers of 36, take what it saves.
const MOST_OUTPUTS_F2_5: u64 = 256;

/// The same as [`FEWEST_OUTPUTS_F4`] of F(4,5), which multiplies three times less often than F(2,5): there too it was faster than `direct`, or no slower,
/// on planes from 14 x 14 to 28 x 28; of larger ones Fourier transforms are asked before.
const FEWEST_OUTPUTS_F4_5: u64 = FEWEST_OUTPUTS;

/// The algorithm that the engine takes for a problem, where it is one of Winograd's: the one that the problem asks for, else the one with the fewest
/// multiplications that its accuracy admits and that pays.
pub(crate) fn algorithm(problem: &ConvProblem) -> Option<Algorithm> {
    let admitted = |algorithm: &Algorithm| Transforms::of(*algorithm, problem).is_some_and(|transforms| admits(problem, &transforms));
    match problem.algorithm {
        Some(forced) => Some(forced).filter(admitted),
        None => [Algorithm::WinogradF4, Algorithm::WinogradF2].into_iter().filter(admitted).find(|algorithm| pays(problem, *algorithm)),
    }
}

fn admits(problem: &ConvProblem, transforms: &Transforms) -> bool {
    let [depth, height, width] = &problem.axes;
    let is_dense = |axis: &WindowAxis| axis.filter > 1 && axis.stride == 1 && axis.dilation == 1;
    let is_exact_enough = match problem.accuracy {
        Accuracy::Exact => false,
        Accuracy::F32 => transforms.relative_error(problem) <= 1.0,
        Accuracy::Reduced => true,
    };
    let is_f32 = problem.element == ElementType::F32;
    is_f32 && *depth == WindowAxis::UNIT && is_dense(height) && is_dense(width) && is_exact_enough
}

/// Most outputs of a tile, along one axis.
const MOST_OUTPUTS: usize = 4;

/// Outputs of a tile, along one axis.
fn outputs_of_tile(algorithm: Algorithm) -> u64 {
    if algorithm == Algorithm::WinogradF4 { 4 } else { 2 }
}

fn pays(problem: &ConvProblem, algorithm: Algorithm) -> bool {
    let [_, height, width] = &problem.axes;
    let tile = outputs_of_tile(algorithm);
    let range = match (algorithm, height.filter) {
        (Algorithm::WinogradF4, 5) => FEWEST_OUTPUTS_F4_5..u64::MAX,
        (Algorithm::WinogradF4, _) => FEWEST_OUTPUTS_F4..u64::MAX,
        (_, 5) => FEWEST_OUTPUTS..MOST_OUTPUTS_F2_5,
        _ => FEWEST_OUTPUTS..u64::MAX,
    };
    let tiles = height.output.div_ceil(tile) * width.output.div_ceil(tile);
    let channels = problem.channels_per_group().min(problem.filters_per_group());
    channels >= FEWEST_CHANNELS && tiles >= FEWEST_TILES && range.contains(&problem.batch.saturating_mul(height.output).saturating_mul(width.output))
}

/// Transformed filters in panels, a part for each element of a tile.
pub(crate) fn pack(problem: &ConvProblem, algorithm: Algorithm, filter: &[f32]) -> Panels {
    match (algorithm, problem.axes[1].filter) {
        (Algorithm::WinogradF4, 5) => pack_by::<F4Of5, 8, 8, 4, 5>(problem, filter),
        (Algorithm::WinogradF4, _) => pack_by::<F4, 6, 6, 4, 3>(problem, filter),
        (_, 5) => pack_by::<F2Of5, 6, 7, 2, 5>(problem, filter),
        _ => pack_by::<F2, 4, 4, 2, 3>(problem, filter),
    }
}

fn pack_by<W, const REACH: usize, const LINES: usize, const TILE: usize, const TAPS: usize>(problem: &ConvProblem, filter: &[f32]) -> Panels
where
    W: Along<REACH, LINES, TILE, TAPS>,
{
    let (filters, channels) = (problem.filters_per_group() as usize, problem.channels_per_group() as usize);
    let count = filters.div_ceil(PANEL);
    let (elements, groups) = (LINES * LINES, problem.groups as usize);
    let mut own = taken(groups * count * elements * channels * PANEL);
    let is_backwards = problem.direction == Direction::Transposed;
    let filter = rows(problem, filter);
    own.par_chunks_mut(elements * channels * PANEL).enumerate().for_each(|(panel, own)| {
        let (group, first) = (panel / count, panel % count * PANEL);
        let some = (filters - first).min(PANEL);
        let rows = &filter[(group * filters + first) * channels * TAPS * TAPS..][..some * channels * TAPS * TAPS];
        for channel in 0..channels {
            let mut taps = [[[0.0f32; PANEL]; TAPS]; TAPS];
            for (k, row) in rows.chunks_exact(channels * TAPS * TAPS).enumerate() {
                for (tap, w) in row[channel * TAPS * TAPS..][..TAPS * TAPS].iter().enumerate() {
                    let tap = if is_backwards { TAPS * TAPS - 1 - tap } else { tap };
                    taps[tap / TAPS][tap % TAPS][k] = *w;
                }
            }
            let along = taps.map(W::filter);
            for j in 0..LINES {
                let down = W::filter(along.map(|along| along[j]));
                for (i, values) in down.iter().enumerate() {
                    own[((i * LINES + j) * channels + channel) * PANEL..][..PANEL].copy_from_slice(values);
                }
            }
        }
    });
    Panels::in_parts(own, count, elements, channels)
}

/// Elements of a transformed tile.
pub(crate) fn elements(problem: &ConvProblem, algorithm: Algorithm) -> u64 {
    Transforms::of(algorithm, problem).map_or(0, |transforms| transforms.lines())
}

/// A convolution that is cut into bands of tiles.
struct Tiles<'a> {
    problem: &'a ConvProblem,
    algorithm: Algorithm,
    height: Line,
    width: Line,
    /// Tiles along the height and the width.
    tiles: [usize; 2],
    band: usize,
}

/// y = activation(conv(x) + bias), channels-first, by the filters that [`pack`] gave for the algorithm.
pub(crate) fn conv(problem: &ConvProblem, algorithm: Algorithm, x: &[f32], panels: &Panels, bias: Option<&[f32]>, y: &mut [f32]) {
    // It is one with stride 1: others are not admitted.
    let gathering = problem.gathering();
    let problem = gathering.as_ref().unwrap_or(problem);
    let (tile, window) = (outputs_of_tile(algorithm) as usize, problem.axes[1].filter as usize);
    let reads: Vec<usize> = (0..tile + window - 1).collect();
    let line = |axis: &WindowAxis| {
        let tiles = (axis.output as usize).div_ceil(tile);
        // An output that does not exist needs no input.
        let source = |u: usize| if u < axis.output as usize + window - 1 { padded(problem, axis, u as i64) } else { NOTHING };
        Line::new(tiles, tile, &reads, source)
    };
    let [height, width] = [line(&problem.axes[1]), line(&problem.axes[2])];
    let tiles = [1, 2].map(|i| (problem.axes[i].output as usize).div_ceil(tile));
    let (groups, channels) = (problem.groups as usize, problem.channels_per_group() as usize);
    let planes = problem.batch as usize * groups;
    let most = (BAND / (elements(problem, algorithm) as usize * channels * width.places)).clamp(1, tiles[0]);
    let (bands, splits) = cut(planes, tiles[0], most, panels.count);
    let band = tiles[0].div_ceil(bands);
    let bands = tiles[0].div_ceil(band);
    let tiles = Tiles { problem, algorithm, height, width, tiles, band };
    let x_group = channels * problem.input_positions() as usize;
    let (arch, shared) = (Arch::new(), Shared(y.as_mut_ptr()));
    (0..planes * bands * splits).into_par_iter().for_each(|task| {
        let (rest, split) = (task / splits, task % splits);
        let (plane, band) = (rest / bands, rest % bands);
        let part = panels.count.div_ceil(splits);
        let own = split * part..panels.count.min((split + 1) * part);
        let x = &x[plane * x_group..][..x_group];
        BANDS.with_borrow_mut(|room| arch.dispatch(Band { conv: &tiles, x, panels, own, bias, shared, plane, band, room }));
    });
}

/// A band of rows of tiles of one image and group.
struct Band<'a> {
    conv: &'a Tiles<'a>,
    x: &'a [f32],
    panels: &'a Panels,
    own: std::ops::Range<usize>,
    bias: Option<&'a [f32]>,
    shared: Shared,
    plane: usize,
    band: usize,
    room: &'a mut Vec<f32>,
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.conv.algorithm, self.conv.problem.axes[1].filter) {
            (Algorithm::WinogradF4, 5) => by::<S, F4Of5, 8, 8, 4, 5>(simd, self),
            (Algorithm::WinogradF4, _) => by::<S, F4, 6, 6, 4, 3>(simd, self),
            (_, 5) => by::<S, F2Of5, 6, 7, 2, 5>(simd, self),
            _ => by::<S, F2, 4, 4, 2, 3>(simd, self),
        }
    }
}

#[inline(always)]
fn by<S: Simd, W, const REACH: usize, const LINES: usize, const TILE: usize, const TAPS: usize>(simd: S, band: Band<'_>)
where
    W: Along<REACH, LINES, TILE, TAPS>,
{
    const { assert!(TILE <= MOST_OUTPUTS) };
    let Band { conv, x, panels, own, bias, shared, plane, band, room } = band;
    let problem = conv.problem;
    let [_, out_h, out_w] = problem.axes.each_ref().map(|axis| axis.output as usize);
    let (channels, filters) = (problem.channels_per_group() as usize, problem.filters_per_group() as usize);
    let first = band * conv.band;
    let rows = conv.band.min(conv.tiles[0] - first);
    let pitch = conv.width.places;
    let count = (rows - 1) * pitch + conv.tiles[1];
    let columns = count.next_multiple_of(S::F32_LANES);
    let elements = LINES * LINES;

    // One channel laid out, the transformed tiles, [element][channel][tile], and a panel's sums, [element][filter][tile of the block].
    let below = (REACH - 1) / TILE; // rows of places that the last row of tiles reads beyond its own
    let phase = (conv.band + below) * pitch;
    let lengths = [TILE * TILE * phase + LONGEST_BLOCK, elements * channels * columns, elements * PANEL * LONGEST_BLOCK];
    let length = lengths.iter().sum();
    if room.len() < length {
        room.resize(length, 0.0);
    }
    let (laid, rest) = room.split_at_mut(lengths[0]);
    let (transformed, rest) = rest.split_at_mut(lengths[1]);
    let sums = &mut rest[..lengths[2]];

    for (channel, x) in x.chunks_exact(problem.input_positions() as usize).enumerate() {
        lay_out([&conv.height, &conv.width], problem.axes[2].input as usize, x, first, rows + below, phase, laid);
        for at in (0..count).step_by(S::F32_LANES) {
            let mut along = [[simd.splat_f32s(0.0); LINES]; REACH];
            for (i, along) in along.iter_mut().enumerate() {
                let mut d = [simd.splat_f32s(0.0); REACH];
                for (j, d) in d.iter_mut().enumerate() {
                    let (phases, row, place) = (i % TILE * TILE + j % TILE, i / TILE, j / TILE);
                    *d = load::<S>(laid, phases * phase + row * pitch + place + at);
                }
                *along = W::input(simd, d);
            }
            for j in 0..LINES {
                let mut d = [simd.splat_f32s(0.0); REACH];
                for (d, along) in d.iter_mut().zip(&along) {
                    *d = along[j];
                }
                for (i, value) in W::input(simd, d).into_iter().enumerate() {
                    put::<S>(transformed, ((i * LINES + j) * channels + channel) * columns + at, value);
                }
            }
        }
    }

    let group = plane % problem.groups as usize;
    let positions = problem.output_positions() as usize;
    let offsets: Vec<usize> = (0..channels).map(|channel| channel * columns).collect();
    let mut outputs = [[0.0f32; LONGEST_BLOCK * MOST_OUTPUTS]; TILE];
    for panel in own {
        let some = (filters - panel * PANEL).min(PANEL);
        let mut at = 0;
        while at < count {
            let vectors = (count - at).div_ceil(S::F32_LANES).min(VECTORS);
            let width = vectors * S::F32_LANES;
            for (element, sums) in sums.chunks_exact_mut(PANEL * LONGEST_BLOCK).enumerate() {
                let weights = panels.panel(group, panel, element);
                multiply(simd, weights, some, &offsets, &transformed[element * channels * columns + at..], vectors, sums);
            }
            for k in 0..some {
                for from in (0..width).step_by(S::F32_LANES) {
                    let mut down = [[simd.splat_f32s(0.0); LINES]; TILE];
                    for j in 0..LINES {
                        let mut m = [simd.splat_f32s(0.0); LINES];
                        for (i, m) in m.iter_mut().enumerate() {
                            let element = i * LINES + j;
                            *m = load::<S>(sums, element * PANEL * LONGEST_BLOCK + k * width + from);
                        }
                        for (down, value) in down.iter_mut().zip(W::output(simd, m)) {
                            down[j] = value;
                        }
                    }
                    for (outputs, m) in outputs.iter_mut().zip(down) {
                        let values = W::output(simd, m);
                        let mut apart = [[0.0f32; 16]; TILE];
                        for (apart, value) in apart.iter_mut().zip(values) {
                            put::<S>(apart, 0, value);
                        }
                        let (places, _) = outputs[from * TILE..(from + S::F32_LANES) * TILE].as_chunks_mut::<TILE>();
                        for (t, place) in places.iter_mut().enumerate() {
                            for (place, apart) in place.iter_mut().zip(&apart) {
                                *place = apart[t];
                            }
                        }
                    }
                }
                let filter = panel * PANEL + k;
                let bias = bias.map_or(0.0, |bias| bias[group * filters + filter]);
                let lines = first * TILE..out_h.min((first + rows) * TILE);
                let y = (plane * filters + filter) * positions + lines.start * out_w;
                // SAFETY: these lines of filter `filter` lie inside y, and no other task writes them: tasks differ in plane, lines or filters.
                let y = unsafe { shared.slice(y, lines.len() * out_w) };
                for (i, outputs) in outputs.iter_mut().enumerate() {
                    let outputs = &mut outputs[..width * TILE];
                    finish(outputs, bias, problem.activation);
                    store(outputs, [at, pitch, TILE, i], out_w, y);
                }
            }
            at += width;
        }
    }
}

/// The vector at `at`.
#[inline(always)]
pub(crate) fn load<S: Simd>(values: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&values[at..][..S::F32_LANES]).0[0]
}

#[inline(always)]
pub(crate) fn put<S: Simd>(values: &mut [f32], at: usize, vector: S::f32s) {
    S::as_mut_simd_f32s(&mut values[at..][..S::F32_LANES]).0[0] = vector;
}

/// Writes line `i` of tiles `at ..`, numbered by rows of `pitch`, to the lines of `y`, of `row` numbers each.
#[inline(always)]
fn store(outputs: &[f32], [at, pitch, tile, i]: [usize; 4], row: usize, y: &mut [f32]) {
    let (mut line, mut column) = (at / pitch, at % pitch);
    let mut outputs = outputs;
    while !outputs.is_empty() {
        let run = ((pitch - column) * tile).min(outputs.len());
        let (own, rest) = outputs.split_at(run);
        let y_line = line * tile + i;
        if let Some(y) = y.get_mut(y_line * row..(y_line + 1) * row)
            && column * tile < row
        {
            y[column * tile..].iter_mut().zip(own).for_each(|(y, value)| *y = *value);
        }
        (line, column, outputs) = (line + 1, 0, rest);
    }
}

/// Lays out `rows` rows of places of one channel, whose rows are `row` long, from those of the tiles of row `first` on: each phase from a multiple of `length`
/// on.
#[inline(always)]
pub(crate) fn lay_out([height, width]: [&Line; 2], row: usize, x: &[f32], first: usize, rows: usize, length: usize, laid: &mut [f32]) {
    for phase_h in 0..height.phases {
        for at in 0..rows {
            let iy = height.source(phase_h, first + at);
            for phase_w in 0..width.phases {
                let places = &mut laid[(phase_h * width.phases + phase_w) * length + at * width.places..][..width.places];
                if iy == NOTHING {
                    places.fill(0.0);
                } else {
                    width.fill(phase_w, &x[iy as usize * row..][..row], places);
                }
            }
        }
    }
}
