//! Depthwise windows over small planes: a vector holds the same position of neighbouring channels, so lanes are full however narrow the planes are. The
//! planes of a block of channels are laid out side by side, padded, and its sums are put back plane by plane.
//!
//! Each sum is one chain over the taps, in their order, as in `depthwise`: the same bits.

use crate::cpu::bands::BANDS;
use crate::cpu::epilogue::finish;
use crate::cpu::interleave::{CHANNELS, interleave, separate};
use crate::cpu::lines::Line;
use crate::cpu::window::{NOTHING, inside, padded};
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Positions whose sums are in registers at once.
const POSITIONS: usize = 8;

/// Most outputs of a channel. Of larger planes, whole vectors of a row are fewer instructions than planes put side by side; a stride costs rows more
/// (benchmarks/results/2026-11-28-cpu-small-planes.md).
const MOST_OUTPUTS: u64 = 400;
const MOST_OUTPUTS_STRIDED: u64 = 1024;

/// Most places of a padded plane, which those of a window that reaches far beyond it may be.
const MOST_PLACES: u64 = 4096;

/// Fewest multiply-adds that a core is given at once.
const FEWEST_SUMS: u64 = 1 << 16;

/// Whether blocks of channels are full and their planes small.
pub(crate) fn suits(problem: &ConvProblem) -> bool {
    let [depth, height, width] = &problem.axes;
    let has_channels = problem.channels_per_group() == 1 && problem.filters_per_group() == 1 && problem.groups >= CHANNELS as u64;
    let most = if width.stride > 1 { MOST_OUTPUTS_STRIDED } else { MOST_OUTPUTS };
    let places = extent(height).saturating_mul(extent(width));
    has_channels && *depth == WindowAxis::UNIT && problem.output_positions() <= most && places <= MOST_PLACES
}

/// Places of a padded axis: what its outputs read.
fn extent(axis: &WindowAxis) -> u64 {
    let reach = (axis.filter - 1).saturating_mul(axis.dilation);
    (axis.output - 1).saturating_mul(axis.stride).saturating_add(reach).saturating_add(1)
}

/// A problem that [`suits`], and where its taps read.
struct Lanes<'a> {
    problem: &'a ConvProblem,
    /// Places of the padded planes.
    height: Line,
    width: Line,
    /// By output, the place that it reads through the first tap; by tap, how much further it reads.
    starts: Vec<usize>,
    offsets: Vec<usize>,
}

/// The padded axis, and by tap the place in it that output 0 reads.
fn line(problem: &ConvProblem, axis: &WindowAxis) -> (Line, Vec<usize>) {
    let reach = (axis.filter - 1) * axis.dilation;
    let source = |u: usize| match problem.direction {
        Direction::Forward => padded(problem, axis, u as i64),
        // A phase has no stride, and reads backwards.
        Direction::Transposed => inside(u as i64 + axis.pad_begin - reach as i64, axis.input as i64),
    };
    let taps = (0..axis.filter).map(|tap| match problem.direction {
        Direction::Forward => (tap * axis.dilation) as usize,
        Direction::Transposed => (reach - tap * axis.dilation) as usize,
    });
    (Line::new(extent(axis) as usize, 1, &[0], source), taps.collect())
}

/// y = activation(conv(x) + bias), channels-first, of a problem that [`suits`].
pub(crate) fn conv(problem: &ConvProblem, x: &[f32], filter: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let [_, height, width] = &problem.axes;
    let ((rows, row_taps), (columns, column_taps)) = (line(problem, height), line(problem, width));
    let pitch = columns.places;
    let offsets = row_taps.iter().flat_map(|row| column_taps.iter().map(move |column| (row * pitch + column) * CHANNELS)).collect();
    let place = |p: u64, q: u64| ((p * height.stride) as usize * pitch + (q * width.stride) as usize) * CHANNELS;
    let starts = (0..height.output).flat_map(|p| (0..width.output).map(move |q| place(p, q))).collect();
    let lanes = Lanes { problem, height: rows, width: columns, starts, offsets };
    let (channels, positions) = (problem.groups as usize, problem.output_positions() as usize);
    let arch = Arch::new();
    // An image's last block may have fewer channels.
    let blocks: Vec<_> = y.chunks_mut(channels * positions).flat_map(|y| y.chunks_mut(CHANNELS * positions)).collect();
    let many = FEWEST_SUMS / (positions as u64 * problem.taps() * CHANNELS as u64);
    blocks.into_par_iter().with_min_len(many.max(1) as usize).enumerate().for_each(|(block, y)| {
        let of_image = channels.div_ceil(CHANNELS);
        let (n, first) = (block / of_image, block % of_image * CHANNELS);
        BANDS.with_borrow_mut(|room| arch.dispatch(Block { lanes: &lanes, x, filter, bias, n, first, y, room }));
    });
}

/// Neighbouring channels of one image.
struct Block<'a> {
    lanes: &'a Lanes<'a>,
    x: &'a [f32],
    filter: &'a [f32],
    bias: Option<&'a [f32]>,
    n: usize,
    /// The first of the channels.
    first: usize,
    /// Their planes of outputs.
    y: &'a mut [f32],
    room: &'a mut Vec<f32>,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lanes, x, filter, bias, n, first, y, room } = self;
        let Lanes { problem, height, width, starts, offsets } = lanes;
        let (positions, in_plane, taps) = (starts.len(), problem.input_positions() as usize, offsets.len());
        let some = y.len() / positions;
        let lengths = [height.places * width.places * CHANNELS, taps * CHANNELS, positions * CHANNELS];
        let length = lengths.iter().sum();
        if room.len() < length {
            room.resize(length, 0.0);
        }
        let (laid, rest) = room.split_at_mut(lengths[0]);
        let (weights, sums) = rest.split_at_mut(lengths[1]);
        let sums = &mut sums[..lengths[2]];

        // 1. Planes and filters, [place][channel]. What is past the last channel is any number, and goes nowhere.
        let x = &x[(n * problem.groups as usize + first) * in_plane..][..some * in_plane];
        lay_out(problem, [height, width], x, some, laid);
        interleave(&filter[first * taps..], taps, [some, taps], weights);

        // 2. Sums.
        for lane in (0..CHANNELS).step_by(S::F32_LANES) {
            let mut at = 0;
            while at < positions {
                at += match positions - at {
                    POSITIONS.. => sums_of::<S, POSITIONS>(simd, lane, &starts[at..], offsets, laid, weights, &mut sums[at * CHANNELS..]),
                    4.. => sums_of::<S, 4>(simd, lane, &starts[at..], offsets, laid, weights, &mut sums[at * CHANNELS..]),
                    _ => sums_of::<S, 1>(simd, lane, &starts[at..], offsets, laid, weights, &mut sums[at * CHANNELS..]),
                };
            }
        }

        // 3. Back to planes.
        separate(sums, positions, y);
        for (channel, y) in y.chunks_exact_mut(positions).enumerate() {
            finish(y, bias.map_or(0.0, |bias| bias[first + channel]), problem.activation);
        }
    }
}

/// The sums of so many positions; returns their number.
#[inline(always)]
fn sums_of<S: Simd, const COUNT: usize>(
    simd: S,
    lane: usize,
    starts: &[usize],
    offsets: &[usize],
    laid: &[f32],
    weights: &[f32],
    sums: &mut [f32],
) -> usize {
    let starts: [usize; COUNT] = std::array::from_fn(|i| starts[i] + lane);
    let mut own = [simd.splat_f32s(0.0); COUNT];
    for (weights, offset) in weights.chunks_exact(CHANNELS).zip(offsets) {
        let weight = S::as_simd_f32s(&weights[lane..][..S::F32_LANES]).0[0];
        for (sum, start) in own.iter_mut().zip(starts) {
            let value = S::as_simd_f32s(&laid[start + offset..][..S::F32_LANES]).0[0];
            *sum = simd.mul_add_e_f32s(weight, value, *sum);
        }
    }
    for (sums, own) in sums.chunks_exact_mut(CHANNELS).zip(own) {
        S::as_mut_simd_f32s(&mut sums[lane..][..S::F32_LANES]).0[0] = own;
    }
    COUNT
}

/// Lays the planes of so many channels out, \[place\]\[channel\].
#[inline(always)]
fn lay_out(problem: &ConvProblem, [height, width]: [&Line; 2], x: &[f32], channels: usize, laid: &mut [f32]) {
    let (plane, row) = (problem.input_positions() as usize, problem.axes[2].input as usize);
    let run = width.run();
    for (at, laid) in laid.chunks_exact_mut(width.places * CHANNELS).enumerate() {
        let iy = height.source(0, at);
        if iy == NOTHING {
            laid.fill(0.0);
            continue;
        }
        let x = &x[iy as usize * row..];
        for place in (0..run.start).chain(run.end..width.places) {
            let laid = &mut laid[place * CHANNELS..][..CHANNELS];
            match width.source(0, place) {
                NOTHING => laid.fill(0.0),
                source => interleave(&x[source as usize..], plane, [channels, 1], laid),
            }
        }
        if !run.is_empty() {
            let x = &x[width.source(0, run.start) as usize..];
            interleave(x, plane, [channels, run.len()], &mut laid[run.start * CHANNELS..]);
        }
    }
}
