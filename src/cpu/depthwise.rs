//! One input channel per group: no matrix to multiply. Each input row is laid out once with its padding, a stride's phases apart, so that every tap reads
//! neighbours; a block of outputs then stays in vector registers while all taps are added.

use crate::cpu::epilogue::finish;
use crate::cpu::window::{AxisTable, NOTHING, Windows};
use crate::ops::conv::problem::{ConvProblem, Direction};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::cell::RefCell;

/// Numbers of the rows that are laid out at once, about: a quarter of a usual second-level cache.
const BAND: usize = 64 << 10;

/// Numbers of the longest vector.
const LONGEST: usize = 16;

thread_local! {
    /// The padded rows of a band, kept between calls.
    static ROWS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// How a padded row lies: place `q + start[s]` is what output `q` reads through tap `s`.
struct Layout {
    start: Vec<usize>,
    /// The input coordinate of each place, or [`NOTHING`].
    sources: Vec<u32>,
    /// Places by which each phase of the stride begins at its own.
    pitch: usize,
    stride: usize,
    /// The input coordinate of the first place of phase 0, where the middle of the row is a copy of the input's.
    first: i64,
    /// Lines of outputs whose input rows are laid out at once.
    band: usize,
}

impl Layout {
    fn new(problem: &ConvProblem, table: &AxisTable) -> Self {
        let axis = &problem.axes[2];
        let (taps, outputs, dilation) = (axis.filter as usize, axis.output as usize, axis.dilation as usize);
        // A phase of a transposed convolution has no stride, and reads backwards.
        let (stride, backwards) = match problem.direction {
            Direction::Forward => (axis.stride as usize, false),
            Direction::Transposed => (1, true),
        };
        let reach = (taps - 1) * dilation;
        let pitch = outputs + reach / stride + LONGEST;
        // Of a long stride, only some phases are read.
        let mut sources = vec![NOTHING; pitch * stride.min(reach + 1)];
        let start = (0..taps).map(|s| if backwards { reach - s * dilation } else { s * dilation });
        let start: Vec<usize> = start.map(|offset| offset % stride * pitch + offset / stride).collect();
        for (s, &start) in start.iter().enumerate() {
            sources[start..start + outputs].copy_from_slice(table.row(s));
        }
        let first = if backwards { axis.pad_begin - reach as i64 } else { -axis.pad_begin };
        let height = &problem.axes[1];
        let fits = BAND / sources.len() / problem.axes[0].filter as usize;
        let more = fits.saturating_sub((height.filter as usize - 1) * height.dilation as usize);
        let band = (more / height.stride as usize).max(1);
        Self { start, sources, pitch, stride, first, band }
    }

    /// Lays an input row out.
    #[inline(always)]
    fn fill(&self, line: &[f32], row: &mut [f32]) {
        let read = |source: u32| if source == NOTHING { 0.0 } else { line[source as usize] };
        for (phase, (sources, row)) in self.sources.chunks_exact(self.pitch).zip(row.chunks_exact_mut(self.pitch)).enumerate() {
            // The places that are the input's own, one after the other: what padding adds stands at the ends.
            let origin = self.first + phase as i64;
            let stride = self.stride as i64;
            let from = if origin >= 0 { 0 } else { (-origin as usize).div_ceil(self.stride) }.min(self.pitch);
            let to = usize::try_from((line.len() as i64 - origin + stride - 1) / stride).unwrap_or(0).clamp(from, self.pitch);
            row[..from].iter_mut().zip(sources).for_each(|(v, source)| *v = read(*source));
            row[to..].iter_mut().zip(&sources[to..]).for_each(|(v, source)| *v = read(*source));
            if from < to {
                let line = &line[(origin + (from as i64) * stride) as usize..];
                match self.stride {
                    1 => row[from..to].copy_from_slice(&line[..to - from]),
                    2 => row[from..to].iter_mut().zip(line.iter().step_by(2)).for_each(|(v, x)| *v = *x),
                    stride => row[from..to].iter_mut().zip(line.iter().step_by(stride)).for_each(|(v, x)| *v = *x),
                }
            }
        }
    }
}

/// Whether its rows with their padding are not much longer than without: a spread window may reach far beyond the input.
fn suits(problem: &ConvProblem) -> bool {
    let axis = &problem.axes[2];
    problem.channels_per_group() == 1 && (axis.filter - 1).saturating_mul(axis.dilation) / axis.stride <= 4 * (axis.input + axis.output) + 1024
}

/// Whether outputs are computed channel by channel: few filters share the rows that are laid out.
pub(crate) fn by_rows(problem: &ConvProblem) -> bool {
    suits(problem) && problem.filters_per_group() <= 4
}

/// y = conv(x), channels-first, of a problem that [`suits`].
pub(crate) fn conv(problem: &ConvProblem, x: &[f32], filter: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let windows = Windows::new(problem);
    let layout = Layout::new(problem, &windows.width);
    let (in_plane, taps) = (problem.input_positions() as usize, problem.taps() as usize);
    let (channels, filters) = (problem.in_channels as usize, problem.out_channels as usize);
    let multiplier = problem.filters_per_group() as usize;
    let arch = Arch::new();
    y.par_chunks_mut(problem.output_positions() as usize).enumerate().for_each(|(plane, y)| {
        let (n, k) = (plane / filters, plane % filters);
        let x = &x[(n * channels + k / multiplier) * in_plane..][..in_plane];
        // K 1 taps forward and C K/g taps transposed are the same order when a group has one channel.
        let filter = &filter[k * taps..][..taps];
        ROWS.with_borrow_mut(|rows| arch.dispatch(Plane { problem, windows: &windows, layout: &layout, x, filter, rows, y: &mut *y }));
        finish(y, bias.map_or(0.0, |b| b[k]), problem.activation);
    });
}

/// The sums of one plane of outputs.
struct Plane<'a> {
    problem: &'a ConvProblem,
    windows: &'a Windows,
    layout: &'a Layout,
    x: &'a [f32],
    filter: &'a [f32],
    rows: &'a mut Vec<f32>,
    y: &'a mut [f32],
}

impl WithSimd for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { problem, windows, layout, x, filter, rows, y } = self;
        let [depth, height, width] = &problem.axes;
        let [taps_d, taps_h, taps_w] = [depth, height, width].map(|axis| axis.filter as usize);
        let (in_h, in_w, length) = (height.input as usize, width.input as usize, layout.sources.len());
        let (out_h, out_w) = (height.output as usize, width.output as usize);
        let mut read: Vec<(f32, usize)> = Vec::with_capacity(filter.len());
        for (oz, y) in y.chunks_exact_mut(out_h * out_w).enumerate() {
            for first in (0..out_h).step_by(layout.band) {
                let band = first..out_h.min(first + layout.band);
                // The input rows that the band reads, for every tap of the depth; before them what lies outside: zeros, which an infinite or NaN weight shows.
                let taps = (0..taps_h).flat_map(|r| &windows.height.row(r)[band.clone()]).filter(|iy| **iy != NOTHING);
                let (from, to) = taps.fold((in_h, 0), |(from, to), iy| (from.min(*iy as usize), to.max(*iy as usize + 1)));
                let many = to.saturating_sub(from);
                rows.clear();
                rows.resize((1 + taps_d * many) * length, 0.0);
                for t in 0..taps_d {
                    let iz = windows.depth.row(t)[oz];
                    if iz != NOTHING {
                        let lines = x[(iz as usize * in_h + from) * in_w..].chunks_exact(in_w);
                        let laid = rows[(1 + t * many) * length..].chunks_exact_mut(length);
                        lines.zip(laid).take(many).for_each(|(line, row)| layout.fill(line, row));
                    }
                }
                for oy in band {
                    read.clear();
                    for t in 0..taps_d {
                        for r in 0..taps_h {
                            let iy = windows.height.row(r)[oy];
                            let is_outside = iy == NOTHING || windows.depth.row(t)[oz] == NOTHING;
                            let row = if is_outside { 0 } else { 1 + t * many + iy as usize - from };
                            let weights = &filter[(t * taps_h + r) * taps_w..][..taps_w];
                            read.extend(weights.iter().zip(&layout.start).map(|(w, start)| (*w, row * length + start)));
                        }
                    }
                    line(simd, rows, &read, &mut y[oy * out_w..][..out_w]);
                }
            }
        }
    }
}

/// One line of outputs: the sums over `read`, the weights and where in `rows` what they multiply begins.
#[inline(always)]
fn line<S: Simd>(simd: S, rows: &[f32], read: &[(f32, usize)], y: &mut [f32]) {
    let mut at = 0;
    while at + 4 * S::F32_LANES <= y.len() {
        block::<S, 4>(simd, rows, read, at, y);
        at += 4 * S::F32_LANES;
    }
    while at < y.len() {
        block::<S, 1>(simd, rows, read, at, y);
        at += S::F32_LANES;
    }
}

/// So many vectors of outputs from `at` on. Past the last output lies what is never stored: a row is longer by a vector.
#[inline(always)]
fn block<S: Simd, const VECTORS: usize>(simd: S, rows: &[f32], read: &[(f32, usize)], at: usize, y: &mut [f32]) {
    let mut sums = [simd.splat_f32s(0.0); VECTORS];
    for &(w, start) in read {
        let w = simd.splat_f32s(w);
        let (values, _) = S::as_simd_f32s(&rows[start + at..][..VECTORS * S::F32_LANES]);
        for (sum, v) in sums.iter_mut().zip(values) {
            *sum = simd.mul_add_e_f32s(w, *v, *sum);
        }
    }
    let end = y.len().min(at + VECTORS * S::F32_LANES);
    for (y, sum) in y[at..end].chunks_mut(S::F32_LANES).zip(sums) {
        simd.partial_store_f32s(y, sum);
    }
}
