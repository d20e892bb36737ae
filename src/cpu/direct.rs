//! Convolution without an im2col block: a band of the input is laid out once (see `lines`), each tap is an offset into it, and sums stay in registers over
//! the whole depth.

use crate::cpu::epilogue::finish;
use crate::cpu::gemm::Shared;
use crate::cpu::kernel::{LONGEST_BLOCK, PANEL, Panels, VECTORS, multiply};
use crate::cpu::lines::Line;
use crate::cpu::window::{AxisTable, NOTHING, inside, padded};
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::cell::RefCell;

/// Numbers of a band that is laid out, about: half of a usual second-level cache.
const BAND: usize = 128 << 10;

/// Fewest rows of a band for the sake of more tasks: the rows that taps reach further are laid out again for each.
const FEWEST_ROWS: usize = 4;

thread_local! {
    /// The band, kept between calls.
    pub(crate) static BANDS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A convolution that is cut into bands.
pub(crate) struct Direct<'a> {
    problem: &'a ConvProblem,
    depth: AxisTable,
    height: Line,
    width: Line,
    /// Places of a phase of a band.
    plane: usize,
    /// By channel and tap, where output 0 of a band reads.
    offsets: Vec<usize>,
    /// Rows of outputs of a band, bands of a plane of outputs, parts that the panels of filters are split into.
    band: usize,
    bands: usize,
    splits: usize,
}

/// How outputs read along an axis without a depth of taps.
fn line(problem: &ConvProblem, axis: &WindowAxis) -> Line {
    let (taps, stride) = (axis.filter as usize, axis.stride as usize);
    let reach = (taps - 1) * axis.dilation as usize;
    match problem.direction {
        Direction::Forward => {
            let taps: Vec<usize> = (0..taps).map(|tap| tap * axis.dilation as usize).collect();
            Line::new(axis.output as usize, stride, &taps, |u| padded(problem, axis, u as i64))
        }
        // A phase has no stride, and reads backwards.
        Direction::Transposed => {
            let taps: Vec<usize> = (0..taps).map(|tap| reach - tap * axis.dilation as usize).collect();
            Line::new(axis.output as usize, 1, &taps, |u| inside(u as i64 + axis.pad_begin - reach as i64, axis.input as i64))
        }
    }
}

/// Outputs of all images from which it pays to pack the filters for it: below, the `gemm` crate is faster
/// (benchmarks/results/2026-11-27-cpu-engine.md). So it is wherever a window has one tap.
const FEWEST_OUTPUTS: u64 = 256;

/// Whether what is laid out beside the outputs, and lanes past a row's end, are few, and outputs enough.
pub(crate) fn suits(problem: &ConvProblem) -> bool {
    let [_, height, width] = &problem.axes;
    let further = |axis: &WindowAxis| (axis.filter - 1).saturating_mul(axis.dilation) / axis.stride;
    let is_compact = 2 * further(width) <= width.output && further(height) <= 2 * height.output;
    is_compact && problem.taps() > 1 && height.output * width.output >= 16 && problem.batch * problem.output_positions() >= FEWEST_OUTPUTS
}

impl<'a> Direct<'a> {
    pub fn new(problem: &'a ConvProblem, panels: usize) -> Self {
        let [depth, height, width] = &problem.axes;
        let (depth, height, width) = (AxisTable::new(problem, depth), line(problem, height), line(problem, width));
        let (channels, rows) = (problem.channels_per_group() as usize, problem.axes[1].output as usize);
        let slices = channels * problem.axes[0].filter as usize;
        let of_row = slices * height.phases * width.phases * width.places;
        let most = (BAND / of_row).saturating_sub(height.places - rows).clamp(1, rows);
        let planes = (problem.batch * problem.groups * problem.axes[0].output) as usize;
        let (bands, splits) = cut(planes, rows, most, panels);
        let band = rows.div_ceil(bands);
        let bands = rows.div_ceil(band);
        let plane = (band + height.places - rows) * width.places;
        let mut offsets = Vec::with_capacity(problem.reduction_depth() as usize);
        for slice in 0..slices {
            for &(phase_h, row) in &height.starts {
                for &(phase_w, place) in &width.starts {
                    offsets.push(((slice * height.phases + phase_h) * width.phases + phase_w) * plane + row * width.places + place);
                }
            }
        }
        Self { problem, depth, height, width, plane, offsets, band, bands, splits }
    }

    /// y = activation(conv(x) + bias), channels-first.
    pub fn conv(&self, x: &[f32], panels: &Panels, bias: Option<&[f32]>, y: &mut [f32]) {
        let problem = self.problem;
        let layers = problem.axes[0].output as usize;
        let groups = problem.groups as usize;
        let x_group = (problem.channels_per_group() * problem.input_positions()) as usize;
        let tasks = problem.batch as usize * groups * layers * self.bands * self.splits;
        let (arch, shared) = (Arch::new(), Shared(y.as_mut_ptr()));
        (0..tasks).into_par_iter().for_each(|task| {
            let (rest, split) = (task / self.splits, task % self.splits);
            let (rest, band) = (rest / self.bands, rest % self.bands);
            let (plane, layer) = (rest / layers, rest % layers);
            let x = &x[plane * x_group..][..x_group];
            let part = panels.count.div_ceil(self.splits);
            let own = split * part..panels.count.min((split + 1) * part);
            BANDS.with_borrow_mut(|laid| arch.dispatch(Band { conv: self, x, panels, own, bias, shared, plane, layer, band, laid }));
        });
    }
}

/// Bands of a plane with at most `most` rows each, and parts of the panels, so that every core has two tasks where there is enough to do.
pub(crate) fn cut(planes: usize, rows: usize, most: usize, panels: usize) -> (usize, usize) {
    let wanted = match rayon::current_num_threads() {
        1 => 1,
        threads => 2 * threads,
    };
    let by_memory = rows.div_ceil(most);
    let bands = wanted.div_ceil(planes).min(rows.div_ceil(FEWEST_ROWS)).max(by_memory);
    (bands, wanted.div_ceil(planes * bands).clamp(1, panels))
}

/// A band of rows of outputs of one image and group.
struct Band<'a> {
    conv: &'a Direct<'a>,
    x: &'a [f32],
    panels: &'a Panels,
    own: std::ops::Range<usize>,
    bias: Option<&'a [f32]>,
    shared: Shared,
    plane: usize,
    layer: usize,
    band: usize,
    laid: &'a mut Vec<f32>,
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, x, panels, own, bias, shared, plane, layer, band, laid } = self;
        let problem = conv.problem;
        let [_, out_h, out_w] = problem.axes.each_ref().map(|axis| axis.output as usize);
        let first = band * conv.band;
        let rows = conv.band.min(out_h - first);
        lay_out(conv, x, layer, first, rows, laid);
        let (groups, filters, pitch) = (problem.groups as usize, problem.filters_per_group() as usize, conv.width.places);
        let group = plane % groups;
        let positions = problem.output_positions() as usize;
        let count = (rows - 1) * pitch + out_w;
        let mut sums = [0.0f32; PANEL * LONGEST_BLOCK];
        for panel in own {
            let some = (filters - panel * PANEL).min(PANEL);
            let weights = panels.panel(group, panel, 0);
            let mut at = 0;
            while at < count {
                let vectors = (count - at).div_ceil(S::F32_LANES).min(VECTORS);
                let width = vectors * S::F32_LANES;
                multiply(simd, weights, some, &conv.offsets, &laid[at..], vectors, &mut sums);
                for (k, sums) in sums.chunks_exact_mut(width).take(some).enumerate() {
                    let k = panel * PANEL + k;
                    finish(sums, bias.map_or(0.0, |bias| bias[group * filters + k]), problem.activation);
                    let y = (plane * filters + k) * positions + (layer * out_h + first) * out_w;
                    // SAFETY: rows `first .. first + rows` of the layer of filter k lie inside y, and no other task writes them: tasks differ in
                    // plane, layer, rows or filters.
                    let y = unsafe { shared.slice(y, rows * out_w) };
                    store(sums, at, pitch, out_w, y);
                }
                at += width;
            }
        }
    }
}

/// Writes outputs `at ..`, numbered by rows of `pitch` of which the first `row` exist, to their places in `y`.
#[inline(always)]
pub(crate) fn store(sums: &[f32], at: usize, pitch: usize, row: usize, y: &mut [f32]) {
    let (mut line, mut column) = (at / pitch, at % pitch);
    let mut sums = sums;
    while !sums.is_empty() {
        let run = (pitch - column).min(sums.len());
        let (own, rest) = sums.split_at(run);
        let Some(y) = y.get_mut(line * row..(line + 1) * row) else { break };
        if column < row {
            y[column..].iter_mut().zip(own).for_each(|(y, sum)| *y = *sum);
        }
        (line, column, sums) = (line + 1, 0, rest);
    }
}

/// Lays out what the outputs of rows `first ..` read.
#[inline(always)]
fn lay_out(conv: &Direct<'_>, x: &[f32], layer: usize, first: usize, rows: usize, laid: &mut Vec<f32>) {
    let problem = conv.problem;
    let [taps_d, ..] = problem.axes.each_ref().map(|axis| axis.filter as usize);
    let [_, in_h, in_w] = problem.axes.each_ref().map(|axis| axis.input as usize);
    let in_plane = problem.input_positions() as usize;
    let (height, width, plane) = (&conv.height, &conv.width, conv.plane);
    let channels = problem.channels_per_group() as usize;
    // Past the last place lies what no stored output reads: a block may be longer.
    let length = channels * taps_d * height.phases * width.phases * plane + LONGEST_BLOCK;
    if laid.len() < length {
        laid.resize(length, 0.0);
    }
    let pitch = width.places;
    let read = rows + height.places - problem.axes[1].output as usize;
    for (slice, laid) in laid.chunks_exact_mut(height.phases * width.phases * plane).take(channels * taps_d).enumerate() {
        let (channel, tap) = (slice / taps_d, slice % taps_d);
        let iz = conv.depth.row(tap)[layer];
        for phase_h in 0..height.phases {
            for row in 0..read {
                let iy = height.source(phase_h, first + row);
                for phase_w in 0..width.phases {
                    let row = &mut laid[(phase_h * width.phases + phase_w) * plane + row * pitch..][..pitch];
                    if iz == NOTHING || iy == NOTHING {
                        row.fill(0.0);
                    } else {
                        let line = &x[channel * in_plane + (iz as usize * in_h + iy as usize) * in_w..][..in_w];
                        width.fill(phase_w, line, row);
                    }
                }
            }
        }
    }
}
