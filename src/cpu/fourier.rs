//! Convolution by Fourier transforms of tiles that overlap (`ops/conv/fft.rs`): the filters once, then tiles in pairs, one as the real part and one as the
//! imaginary part. Where a group has one channel, a task takes a pair there and back in its core's cache; else the sums over channels are products
//! for each frequency, of a few pairs at a time, between the two halves.

use crate::cpu::depthwise;
use crate::cpu::epilogue::finish;
use crate::cpu::fft::{GROUP, Group, LANES, Plane, multiply};
use crate::cpu::gemm::Shared;
use crate::cpu::window::{NOTHING, padded};
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::fft::{FourierTile, candidates, reach};
use crate::ops::conv::problem::ConvProblem;
use crate::types::ElementType;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// The longest line that the engine transforms: of a sound. A plane's sides are no longer than [`LONGEST_SIDE`].
const LONGEST: u64 = 1 << 18;
const LEAST: u64 = LANES as u64;
const LONGEST_SIDE: u64 = 1024;

/// Bytes of the spectra of the pairs that are multiplied at once, about: what a last-level cache holds beside the filters.
const SPECTRA: u64 = 8 << 20;

/// What a step takes in multiply-adds of `direct`, measured on one core (benchmarks/results/2026-11-27-cpu-engine-2.md and -3.md): a halving of a number of a
/// tile, there or back; a product of two complex numbers, and the reading of one of a filter, which is larger than caches; a multiply-add of `depthwise`, and
/// what each of its outputs takes beside them.
const HALVING: f64 = 6.5;
const PRODUCT: f64 = 6.0;
const READING: f64 = 32.0;
const BY_ROWS: f64 = 1.1;
const BY_ROWS_OUTPUT: f64 = 31.0;

/// How much less it must be, and fewest taps.
const GAIN: f64 = 1.15;
const FEWEST_TAPS: u64 = 20;

/// Channels whose filters a task transforms, so that it writes some to one place.
const CHANNELS: usize = 8;

thread_local! {
    /// A plane by columns and a block of rows, kept between calls.
    static ROOM: RefCell<Vec<Group>> = const { RefCell::new(Vec::new()) };
}

/// The tile that the engine takes for a problem, where it convolves by transforms: because the problem asks for it, or because its accuracy admits it and it
/// multiplies less.
pub(crate) fn tile(problem: &ConvProblem) -> Option<FourierTile> {
    let is_asked_for = match problem.algorithm {
        None => false,
        Some(Algorithm::Fft) => true,
        Some(_) => return None,
    };
    if problem.element != ElementType::F32 || !is_asked_for && problem.taps() < FEWEST_TAPS {
        return None;
    }
    let least = if problem.axes[1].filter == 1 { LEAST * LEAST } else { LEAST };
    let best = candidates(problem, &(least..=LONGEST))
        .into_iter()
        .filter(|tile| shape(*tile).is_some())
        .min_by(|a, b| work(*a, problem).total_cmp(&work(*b, problem)));
    let of_others = match depthwise::by_rows(problem) {
        true => problem.multiply_adds() as f64 * BY_ROWS + problem.output_count() as f64 * BY_ROWS_OUTPUT,
        false => problem.multiply_adds() as f64,
    };
    best.filter(|tile| is_asked_for || GAIN * work(*tile, problem) < of_others)
}

/// Rows and columns of the plane that a tile is transformed as, and whether it is a line.
fn shape(tile: FourierTile) -> Option<(usize, usize, bool)> {
    let side = LEAST..=LONGEST_SIDE;
    match tile.extents() {
        [1, length] if length >= LEAST * LEAST => {
            let rows = 1u64 << (length.ilog2() / 2);
            Some((rows as usize, (length / rows) as usize, true))
        }
        [rows, columns] if side.contains(&rows) && side.contains(&columns) => Some((rows as usize, columns as usize, false)),
        _ => None,
    }
}

/// What it takes, in multiply-adds of `direct`.
fn work(tile: FourierTile, problem: &ConvProblem) -> f64 {
    let pairs = problem.batch * tile.pairs_per_image(problem);
    let count = tile.count() as f64;
    let filters = (problem.out_channels * problem.channels_per_group()) as f64;
    let transforms = HALVING * f64::from(tile.count().ilog2()) * (problem.in_channels + problem.out_channels) as f64;
    let reading = if problem.channels_per_group() == 1 { 0.0 } else { READING * pairs.div_ceil(most_pairs(tile, problem)) as f64 };
    count * (pairs as f64 * (transforms + PRODUCT * filters) + reading * filters)
}

/// Most pairs that are multiplied at once.
fn most_pairs(tile: FourierTile, problem: &ConvProblem) -> u64 {
    (SPECTRA / (8 * tile.count() * (problem.in_channels + problem.out_channels))).max(PAIRS as u64)
}

/// Bytes of the transformed filters.
pub(crate) fn bytes(problem: &ConvProblem, tile: FourierTile) -> u64 {
    tile.count() * problem.out_channels * problem.channels_per_group() * 8
}

/// Transformed filters, conjugate, and over the number of a tile's elements: \[group\]\[sixteen frequencies\]\[filter of the group\]\[channel of the group\];
/// where a group has one channel, \[filter\]\[sixteen frequencies\].
pub(crate) struct Spectra {
    tile: FourierTile,
    plane: Plane,
    numbers: Vec<Group>,
}

/// Where a part of a plane goes that many tasks write parts of, each its own.
#[derive(Clone, Copy)]
struct Parts(Shared);

impl Parts {
    fn of(groups: &mut [Group]) -> Self {
        Self(Shared(groups.as_mut_ptr().cast()))
    }

    /// # Safety
    /// The group exists, and no other task touches it meanwhile.
    unsafe fn set(&self, at: usize, group: &Group) {
        // SAFETY: the caller's promise.
        unsafe { self.0.slice(at * GROUP, GROUP) }.copy_from_slice(group);
    }
}

/// Transforms the filters.
pub(crate) fn pack(problem: &ConvProblem, tile: FourierTile, filter: &[f32]) -> Spectra {
    let (rows, columns, is_line) = shape(tile).unwrap_or((LANES, LANES, false)); // `tile` gives none without a shape
    let plane = Plane::new(rows, columns, is_line);
    let (filters, channels) = (problem.out_channels as usize, problem.channels_per_group() as usize);
    let mut numbers = vec![[0.0; GROUP]; plane.groups() * filters * channels];
    let shared = Parts::of(&mut numbers);
    let arch = Arch::new();
    let parts = channels.div_ceil(CHANNELS);
    (0..filters * parts).into_par_iter().for_each(|task| {
        let (own, first) = (task / parts, task % parts * CHANNELS);
        let channels = first..channels.min(first + CHANNELS);
        ROOM.with_borrow_mut(|room| arch.dispatch(Filter { problem, plane: &plane, filter, own, channels, shared, room }));
    });
    Spectra { tile, plane, numbers }
}

/// Some channels of a filter.
struct Filter<'a> {
    problem: &'a ConvProblem,
    plane: &'a Plane,
    filter: &'a [f32],
    own: usize,
    channels: Range<usize>,
    shared: Parts,
    room: &'a mut Vec<Group>,
}

impl WithSimd for Filter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { problem, plane, filter, own, channels: some, shared, room } = self;
        let [_, height, width] = &problem.axes;
        let (rows, columns, groups) = (plane.rows(), plane.columns(), plane.groups());
        let (filters, channels, taps) = (problem.filters_per_group() as usize, problem.channels_per_group() as usize, problem.taps() as usize);
        let (by_columns, rest) = rooms(plane, room, CHANNELS);
        let (row, spectra) = rest.split_at_mut(columns);
        let given = if height.filter == 1 { columns } else { (reach(width) as usize + 1).min(columns) };
        let scale = 1.0 / (rows * columns) as f32;
        for (channel, spectrum) in some.clone().zip(spectra.chunks_exact_mut(groups)) {
            by_columns.fill([0.0; GROUP]);
            for (tap, w) in filter[(own * channels + channel) * taps..][..taps].iter().enumerate() {
                let (r, s) = (tap / width.filter as usize * height.dilation as usize, tap % width.filter as usize * width.dilation as usize);
                // A line lies row behind row.
                let (r, s) = (r + s / columns, s % columns);
                by_columns[s / LANES * rows + r][s % LANES] = *w;
            }
            plane.forward(simd, given, by_columns, row, |block, row| {
                for (number, to) in row.iter().zip(&mut spectrum[block * columns..]) {
                    for lane in 0..LANES {
                        to[lane] = number[lane] * scale;
                        to[LANES + lane] = number[LANES + lane] * -scale;
                    }
                }
            });
        }
        let (group, filter) = (own / filters, own % filters);
        for frequency in 0..groups {
            let at = match channels {
                1 => own * groups + frequency,
                _ => ((group * groups + frequency) * filters + filter) * channels + some.start,
            };
            for (i, spectrum) in spectra.chunks_exact(groups).take(some.len()).enumerate() {
                // SAFETY: it lies inside the spectra, and tasks differ in the filter or the channels.
                unsafe { shared.set(at + i, &spectrum[frequency]) };
            }
        }
    }
}

/// A plane by columns; a block of its rows, and behind it so many spectra.
fn rooms<'a>(plane: &Plane, room: &'a mut Vec<Group>, spectra: usize) -> (&'a mut [Group], &'a mut [Group]) {
    let length = (1 + spectra) * plane.groups() + plane.columns();
    if room.len() < length {
        room.resize(length, [0.0; GROUP]);
    }
    room[..length].split_at_mut(plane.groups())
}

/// A convolution by tiles.
struct Tiles<'a> {
    problem: &'a ConvProblem,
    spectra: &'a Spectra,
    x: &'a [f32],
    bias: Option<&'a [f32]>,
    y: Shared,
    /// By padded coordinate of the height and the width, the input's, or [`NOTHING`].
    sources: [Vec<u32>; 2],
    /// Outputs of a tile, and tiles, along either axis.
    outputs: [usize; 2],
    tiles: [usize; 2],
    pairs: usize,
}

/// y = activation(conv(x) + bias), channels-first, by the filters that [`pack`] gave.
pub(crate) fn conv(problem: &ConvProblem, x: &[f32], spectra: &Spectra, bias: Option<&[f32]>, y: &mut [f32]) {
    let sources = [1, 2].map(|i| {
        let axis = &problem.axes[i];
        (0..(axis.output + reach(axis)) as i64).map(|u| padded(problem, axis, u)).collect()
    });
    let tile = spectra.tile;
    let (outputs, tiles) = (tile.outputs(problem).map(|n| n as usize), tile.tiles(problem).map(|n| n as usize));
    let pairs = tile.pairs_per_image(problem) as usize;
    let own = Tiles { problem, spectra, x, bias, y: Shared(y.as_mut_ptr()), sources, outputs, tiles, pairs };
    let pairs = problem.batch as usize * pairs;
    if problem.channels_per_group() == 1 {
        let channels = problem.in_channels as usize;
        let arch = Arch::new();
        (0..pairs * channels).into_par_iter().for_each(|task| {
            ROOM.with_borrow_mut(|room| arch.dispatch(Alone { conv: &own, pair: task % pairs, channel: task / pairs, room }));
        });
        return;
    }
    // As many in each chunk.
    let chunk = pairs.div_ceil(pairs.div_ceil(most_pairs(tile, problem) as usize));
    let mut room = [problem.in_channels, problem.out_channels].map(|channels| vec![[0.0; GROUP]; spectra.plane.groups() * channels as usize * chunk]);
    for first in (0..pairs).step_by(chunk) {
        own.mixed(first..pairs.min(first + chunk), &mut room);
    }
}

impl Tiles<'_> {
    /// Pairs of which products sum over channels, by memory for the spectra of x and of y.
    fn mixed(&self, pairs: Range<usize>, [of_x, of_y]: &mut [Vec<Group>; 2]) {
        let problem = self.problem;
        let (groups, filters, channels) = (problem.groups as usize, problem.filters_per_group() as usize, problem.channels_per_group() as usize);
        let (first, count) = (pairs.start, pairs.len());
        let frequencies = self.spectra.plane.groups();
        let arch = Arch::new();
        let shared = Parts::of(of_x);
        (0..groups * channels * count).into_par_iter().for_each(|task| {
            let (channel, pair) = (task / count, task % count);
            ROOM.with_borrow_mut(|room| arch.dispatch(Forward { conv: self, pair: first + pair, at: pair, count, channel, shared, room }));
        });
        let of_products =
            of_y.par_chunks_mut(filters * count).zip(of_x.par_chunks(channels * count)).zip(self.spectra.numbers.par_chunks(filters * channels));
        // The last chunk of pairs may leave room.
        of_products.take(groups * frequencies).for_each(|((y, x), w)| arch.dispatch(Product { x, w, y, channels, count }));
        (0..groups * filters * count).into_par_iter().for_each(|task| {
            let (filter, pair) = (task / count, task % count);
            ROOM.with_borrow_mut(|room| arch.dispatch(Back { conv: self, pair: first + pair, at: pair, count, filter, of_y, room }));
        });
    }

    /// The image of a pair, and where the outputs of its tiles begin.
    fn places(&self, pair: usize) -> (usize, [Option<[usize; 2]>; 2]) {
        let (image, pair) = (pair / self.pairs, pair % self.pairs);
        let place = |number: usize| {
            let [down, across] = self.tiles;
            (number < down * across).then(|| [number / across * self.outputs[0], number % across * self.outputs[1]])
        };
        (image, [place(2 * pair), place(2 * pair + 1)])
    }

    /// Reads both tiles of a pair of a channel.
    #[inline(always)]
    fn read(&self, pair: usize, channel: usize, by_columns: &mut [Group]) {
        let plane = &self.spectra.plane;
        let (rows, columns) = (plane.rows(), plane.columns());
        let [heights, widths] = &self.sources;
        let (image, places) = self.places(pair);
        let positions = self.problem.input_positions() as usize;
        let x = &self.x[(image * self.problem.in_channels as usize + channel) * positions..][..positions];
        let in_w = self.problem.axes[2].input as usize;
        let is_line = self.is_line();
        for (place, half) in places.into_iter().zip([0..LANES, LANES..GROUP]) {
            for (block, groups) in by_columns.chunks_exact_mut(rows).enumerate() {
                for (r, group) in groups.iter_mut().enumerate() {
                    let lanes = &mut group[half.clone()];
                    let at = place.map(|[p, q]| if is_line { (p, q + r * columns + block * LANES) } else { (p + r, q + block * LANES) });
                    let line = at.and_then(|(u, v)| Some((*heights.get(u)?, widths.get(v..)?))).filter(|(iy, _)| *iy != NOTHING);
                    let Some((iy, sources)) = line else {
                        lanes.fill(0.0);
                        continue;
                    };
                    let line = &x[iy as usize * in_w..][..in_w];
                    match sources.get(..LANES) {
                        // Sixteen steps of at most one that lead fifteen further.
                        Some(run) if run[0] != NOTHING && run[LANES - 1] == run[0] + LANES as u32 - 1 => {
                            lanes.copy_from_slice(&line[run[0] as usize..][..LANES]);
                        }
                        _ => {
                            lanes.fill(0.0);
                            for (lane, source) in lanes.iter_mut().zip(sources).filter(|(_, source)| **source != NOTHING) {
                                *lane = line[*source as usize];
                            }
                        }
                    }
                }
            }
        }
    }

    fn is_line(&self) -> bool {
        self.spectra.tile.extents()[0] == 1
    }

    /// Columns of the way back that hold outputs: all of a line.
    fn wanted(&self) -> usize {
        if self.is_line() { self.spectra.plane.columns() } else { self.outputs[1] }
    }

    /// Writes the outputs of both tiles of a pair of a filter.
    #[inline(always)]
    fn write(&self, pair: usize, filter: usize, by_columns: &[Group]) {
        let plane = &self.spectra.plane;
        let (rows, columns) = (plane.rows(), plane.columns());
        let [_, height, width] = self.problem.axes.each_ref().map(|axis| axis.output as usize);
        let (image, places) = self.places(pair);
        let y_plane = (image * self.problem.out_channels as usize + filter) * height * width;
        let bias = self.bias.map_or(0.0, |bias| bias[filter]);
        for (place, half) in places.into_iter().zip([0, LANES]) {
            let Some([p, q]) = place else { continue };
            let across = self.outputs[1].min(width - q);
            for r in 0..self.outputs[0].min(height - p) {
                // SAFETY: a row of a tile's outputs lies inside y, and no other task writes it: tasks differ in filter, image or tiles.
                let y = unsafe { self.y.slice(y_plane + (p + r) * width + q, across) };
                for (run, y) in y.chunks_mut(LANES).enumerate() {
                    let (row, column) = if self.is_line() { (run * LANES / columns, run * LANES % columns) } else { (r, run * LANES) };
                    y.copy_from_slice(&by_columns[column / LANES * rows + row][half..half + y.len()]);
                }
                finish(y, bias, self.problem.activation);
            }
        }
    }
}

/// A pair of tiles of a channel that is its group's only one: there and back.
struct Alone<'a> {
    conv: &'a Tiles<'a>,
    pair: usize,
    channel: usize,
    room: &'a mut Vec<Group>,
}

impl WithSimd for Alone<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, pair, channel, room } = self;
        let plane = &conv.spectra.plane;
        let (groups, columns) = (plane.groups(), plane.columns());
        let filters = conv.problem.filters_per_group() as usize;
        let (by_columns, rest) = rooms(plane, room, 1);
        let (row, spectrum) = rest.split_at_mut(columns);
        conv.read(pair, channel, by_columns);
        plane.forward(simd, plane.columns(), by_columns, row, |block, row| spectrum[block * columns..][..columns].copy_from_slice(row));
        for own in 0..filters {
            for (block, x) in spectrum.chunks_exact(columns).enumerate() {
                let w = &conv.spectra.numbers[(channel * filters + own) * groups + block * columns..][..columns];
                multiply(simd, x, w, row);
                plane.back_along_rows(simd, block, row, conv.wanted(), by_columns);
            }
            plane.back_along_columns(simd, conv.wanted(), by_columns);
            conv.write(pair, channel * filters + own, by_columns);
        }
    }
}

/// The spectrum of a pair of tiles of a channel.
struct Forward<'a> {
    conv: &'a Tiles<'a>,
    pair: usize,
    /// Which pair of the chunk, of how many.
    at: usize,
    count: usize,
    channel: usize,
    shared: Parts,
    room: &'a mut Vec<Group>,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, pair, at, count, channel, shared, room } = self;
        let plane = &conv.spectra.plane;
        let channels = conv.problem.channels_per_group() as usize;
        let (group, own) = (channel / channels, channel % channels);
        let (by_columns, row) = rooms(plane, room, 0);
        conv.read(pair, channel, by_columns);
        plane.forward(simd, plane.columns(), by_columns, row, |block, row| {
            for (column, number) in row.iter().enumerate() {
                let frequency = group * plane.groups() + block * plane.columns() + column;
                // SAFETY: it lies inside the spectra of the chunk, and tasks differ in channel or pair.
                unsafe { shared.set((frequency * channels + own) * count + at, number) };
            }
        });
    }
}

/// The outputs of a pair of tiles of a filter.
struct Back<'a> {
    conv: &'a Tiles<'a>,
    pair: usize,
    at: usize,
    count: usize,
    filter: usize,
    of_y: &'a [Group],
    room: &'a mut Vec<Group>,
}

impl WithSimd for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, pair, at, count, filter, of_y, room } = self;
        let plane = &conv.spectra.plane;
        let filters = conv.problem.filters_per_group() as usize;
        let (group, own) = (filter / filters, filter % filters);
        let (by_columns, row) = rooms(plane, room, 0);
        for block in 0..plane.rows() / LANES {
            for (column, number) in row.iter_mut().enumerate() {
                let frequency = group * plane.groups() + block * plane.columns() + column;
                *number = of_y[(frequency * filters + own) * count + at];
            }
            plane.back_along_rows(simd, block, row, conv.wanted(), by_columns);
        }
        plane.back_along_columns(simd, conv.wanted(), by_columns);
        conv.write(pair, filter, by_columns);
    }
}

/// Pairs and filters whose sums stay in registers at once, where there are 32 of them.
const PAIRS: usize = 4;
const FILTERS: usize = 2;

/// Sixteen frequencies of a group: y\[filter\]\[pair\] is the sum over channels of w\[filter\]\[channel\] x\[channel\]\[pair\].
struct Product<'a> {
    x: &'a [Group],
    w: &'a [Group],
    y: &'a mut [Group],
    channels: usize,
    count: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, w, y, channels, count } = self;
        let (filters, pairs) = if S::REGISTER_COUNT >= 32 { (FILTERS, PAIRS) } else { (1, PAIRS / 2) };
        for (w, y) in w.chunks(filters * channels).zip(y.chunks_mut(filters * count)) {
            for at in (0..count).step_by(pairs) {
                match (w.len() / channels, (count - at).min(pairs)) {
                    (2, 4) => sums::<S, 2, 4>(simd, x, w, y, channels, count, at),
                    (2, 3) => sums::<S, 2, 3>(simd, x, w, y, channels, count, at),
                    (2, 2) => sums::<S, 2, 2>(simd, x, w, y, channels, count, at),
                    (2, _) => sums::<S, 2, 1>(simd, x, w, y, channels, count, at),
                    (_, 4) => sums::<S, 1, 4>(simd, x, w, y, channels, count, at),
                    (_, 3) => sums::<S, 1, 3>(simd, x, w, y, channels, count, at),
                    (_, 2) => sums::<S, 1, 2>(simd, x, w, y, channels, count, at),
                    (_, _) => sums::<S, 1, 1>(simd, x, w, y, channels, count, at),
                }
            }
        }
    }
}

#[inline(always)]
fn sums<S: Simd, const F: usize, const P: usize>(simd: S, x: &[Group], w: &[Group], y: &mut [Group], channels: usize, count: usize, at: usize) {
    let imaginary = LANES / S::F32_LANES;
    for lane in 0..imaginary {
        let mut own = [[[simd.splat_f32s(0.0); 2]; P]; F];
        for (channel, x) in x.chunks_exact(count).enumerate() {
            let mut near = [[simd.splat_f32s(0.0); 2]; P];
            for (near, x) in near.iter_mut().zip(&x[at..at + P]) {
                let (x, _) = S::as_simd_f32s(x);
                *near = [x[lane], x[lane + imaginary]];
            }
            for (own, w) in own.iter_mut().zip(w.chunks_exact(channels)) {
                let (w, _) = S::as_simd_f32s(&w[channel]);
                let (re, im) = (w[lane], w[lane + imaginary]);
                let minus = simd.neg_f32s(im);
                for (own, x) in own.iter_mut().zip(near) {
                    own[0] = simd.mul_add_e_f32s(x[0], re, own[0]);
                    own[1] = simd.mul_add_e_f32s(x[0], im, own[1]);
                    own[0] = simd.mul_add_e_f32s(x[1], minus, own[0]);
                    own[1] = simd.mul_add_e_f32s(x[1], re, own[1]);
                }
            }
        }
        for (own, y) in own.iter().zip(y.chunks_exact_mut(count)) {
            for (own, y) in own.iter().zip(&mut y[at..]) {
                let (y, _) = S::as_mut_simd_f32s(y);
                (y[lane], y[lane + imaginary]) = (own[0], own[1]);
            }
        }
    }
}
