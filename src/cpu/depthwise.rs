//! One input channel per group: no matrix to multiply. A band of the input is laid out (see `bands`), and a block of outputs, several rows high where the taps
//! of a column are neighbours, stays in vector registers while all taps are added: what is read once serves as many rows as have a tap there.
//!
//! Each sum is one chain over the taps, in their order: the same bits whatever blocks and bands it is cut into.

use crate::cpu::bands::{BANDS, Bands, cut, store};
use crate::cpu::epilogue::finish;
use crate::cpu::gemm::Shared;
use crate::cpu::kernel::LONGEST_BLOCK;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Numbers of a band that is laid out, about: a quarter of a usual second-level cache.
const BAND: usize = 64 << 10;

/// Fewest multiply-adds that a core is given at once.
const FEWEST_SUMS: u64 = 1 << 16;

/// Whether what is laid out beside the outputs is not much more than they are: a spread window may reach far beyond the input.
fn suits(problem: &ConvProblem) -> bool {
    let is_compact =
        |axis: &WindowAxis| (axis.filter - 1).saturating_mul(axis.dilation) / axis.stride <= 4 * axis.input.saturating_add(axis.output) + 1024;
    problem.channels_per_group() == 1 && is_compact(&problem.axes[1]) && is_compact(&problem.axes[2])
}

/// Whether outputs are computed channel by channel: few filters share the rows that are laid out.
pub(crate) fn by_rows(problem: &ConvProblem) -> bool {
    suits(problem) && problem.filters_per_group() <= 4
}

/// y = activation(conv(x) + bias), channels-first, of a problem that is computed [`by_rows`].
pub(crate) fn conv(problem: &ConvProblem, x: &[f32], filter: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let layers = problem.axes[0].output as usize;
    let planes = (problem.batch * problem.groups) as usize;
    let bands = Bands::new(problem, BAND, |most| cut(planes * layers, problem.axes[1].output as usize, most, 1).0);
    let in_plane = problem.input_positions() as usize;
    let (arch, shared) = (Arch::new(), Shared(y.as_mut_ptr()));
    let many = (FEWEST_SUMS / (bands.rows(0).1 as u64 * problem.axes[2].output * problem.taps()).max(1)) as usize;
    (0..planes * layers * bands.count).into_par_iter().with_min_len(many.max(1)).for_each(|task| {
        let (rest, band) = (task / bands.count, task % bands.count);
        let (plane, layer) = (rest / layers, rest % layers);
        let x = &x[plane * in_plane..][..in_plane];
        BANDS.with_borrow_mut(|laid| arch.dispatch(Band { bands: &bands, x, filter, bias, shared, plane, layer, band, laid }));
    });
}

/// A band of rows of outputs of one image and channel.
struct Band<'a> {
    bands: &'a Bands<'a>,
    x: &'a [f32],
    filter: &'a [f32],
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
        let Self { bands, x, filter, bias, shared, plane, layer, band, laid } = self;
        let problem = bands.problem;
        let [_, out_h, out_w] = problem.axes.each_ref().map(|axis| axis.output as usize);
        let [taps_d, taps_h, taps_w] = problem.axes.each_ref().map(|axis| axis.filter as usize);
        let (first, rows) = bands.rows(band);
        bands.lay_out(x, layer, band, laid);
        let (filters, pitch, positions) = (problem.filters_per_group() as usize, bands.pitch(), problem.output_positions() as usize);
        for k in 0..filters {
            let row = (plane * filters + k) * positions + (layer * out_h + first) * out_w;
            // SAFETY: rows `first .. first + rows` of the layer of the channel's filter k lie inside y, and no other task writes them: tasks differ in plane,
            // layer or rows.
            let y = unsafe { shared.slice(row, rows * out_w) };
            let k = plane % problem.groups as usize * filters + k;
            // K 1 taps forward and C K/g taps transposed are the same order when a group has one channel.
            let weights = &filter[k * problem.taps() as usize..][..problem.taps() as usize];
            let taps = Taps {
                weights,
                offsets: &bands.offsets,
                extents: [taps_d, taps_h, taps_w],
                pitch,
                is_backwards: problem.direction == Direction::Transposed,
            };
            if 2 * out_w <= S::F32_LANES {
                // Rows of outputs, and what lies between them, as one line.
                let mut sums = [0.0f32; LONGEST_BLOCK];
                let count = (rows - 1) * pitch + out_w;
                let mut at = 0;
                while at < count {
                    let vectors = (count - at).div_ceil(S::F32_LANES).min(LONGEST_BLOCK / S::F32_LANES);
                    let width = vectors * S::F32_LANES;
                    line::<S, 1>(simd, &laid[at..], &taps, width, &mut sums[..width]);
                    store(&sums[..width], at, pitch, out_w, y);
                    at += width;
                }
            } else {
                let is_dense = problem.axes[1].stride == 1 && problem.axes[1].dilation == 1;
                let mut row = 0;
                while row < rows {
                    let (laid, y) = (&laid[row * pitch..], &mut y[row * out_w..]);
                    row += match rows - row {
                        4.. if is_dense => line::<S, 4>(simd, laid, &taps, out_w, y),
                        2.. if is_dense => line::<S, 2>(simd, laid, &taps, out_w, y),
                        _ => line::<S, 1>(simd, laid, &taps, out_w, y),
                    };
                }
            }
            finish(y, bias.map_or(0.0, |b| b[k]), problem.activation);
        }
    }
}

/// A filter, and where output 0 reads through each of its taps.
struct Taps<'a> {
    weights: &'a [f32],
    offsets: &'a [usize],
    extents: [usize; 3],
    /// Numbers from an output's place to the one's below it.
    pitch: usize,
    /// Whether the next tap of a column reads the row above.
    is_backwards: bool,
}

/// So many rows of outputs, which are `width` long; returns their number.
#[inline(always)]
fn line<S: Simd, const ROWS: usize>(simd: S, laid: &[f32], taps: &Taps<'_>, width: usize, y: &mut [f32]) -> usize {
    // Of 16 registers, sums have 8.
    let most = if S::F32_LANES == 8 && ROWS == 4 { 2 } else { 4 };
    let mut at = 0;
    while at < width {
        let vectors = (width - at).div_ceil(S::F32_LANES).min(most);
        match vectors {
            1 => block::<S, ROWS, 1>(simd, laid, taps, at, width, y),
            2 => block::<S, ROWS, 2>(simd, laid, taps, at, width, y),
            3 => block::<S, ROWS, 3>(simd, laid, taps, at, width, y),
            _ => block::<S, ROWS, 4>(simd, laid, taps, at, width, y),
        }
        at += vectors * S::F32_LANES;
    }
    ROWS
}

/// So many vectors of each row from `at` on. What is read past the last output is never stored.
#[inline(always)]
fn block<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, laid: &[f32], taps: &Taps<'_>, at: usize, width: usize, y: &mut [f32]) {
    let sums = if ROWS == 1 { of_row(simd, laid, taps, at) } else { of_rows::<S, ROWS, VECTORS>(simd, laid, taps, at) };
    let end = width.min(at + VECTORS * S::F32_LANES);
    for (i, sums) in sums.into_iter().enumerate() {
        let row = if taps.is_backwards { ROWS - 1 - i } else { i };
        for (y, sum) in y[row * width..][at..end].chunks_mut(S::F32_LANES).zip(sums) {
            match S::as_mut_simd_f32s(y) {
                ([whole], _) => *whole = sum,
                _ => simd.partial_store_f32s(y, sum),
            }
        }
    }
}

/// Of one row, whose taps may lie anywhere.
#[inline(always)]
fn of_row<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, laid: &[f32], taps: &Taps<'_>, at: usize) -> [[S::f32s; VECTORS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    for (weight, offset) in taps.weights.iter().zip(taps.offsets) {
        let weight = simd.splat_f32s(*weight);
        let (values, _) = S::as_simd_f32s(&laid[offset + at..][..VECTORS * S::F32_LANES]);
        for (sum, value) in sums[0].iter_mut().zip(values) {
            *sum = simd.mul_add_e_f32s(weight, *value, *sum);
        }
    }
    sums
}

/// Of several rows, the last one first where taps read backwards, and where the next tap of a column reads the next row: each row that is laid out is read
/// once.
#[inline(always)]
fn of_rows<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, laid: &[f32], taps: &Taps<'_>, at: usize) -> [[S::f32s; VECTORS]; ROWS] {
    let [taps_d, taps_h, taps_w] = taps.extents;
    let steps = ROWS + taps_h - 1;
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    for depth in 0..taps_d {
        let weights = &taps.weights[depth * taps_h * taps_w..][..taps_h * taps_w];
        // The tap that output 0 reads the first row through.
        let first = depth * taps_h + if taps.is_backwards { taps_h - 1 } else { 0 };
        let offsets = &taps.offsets[first * taps_w..][..taps_w];
        for step in 0..steps {
            // The order of the taps is the same for every row.
            let row = if taps.is_backwards { steps - 1 - step } else { step };
            for (s, offset) in offsets.iter().enumerate() {
                let (values, _) = S::as_simd_f32s(&laid[offset + row * taps.pitch + at..][..VECTORS * S::F32_LANES]);
                // Registers, which the rows share.
                let values: [S::f32s; VECTORS] = std::array::from_fn(|v| values[v]);
                for (i, sums) in sums.iter_mut().enumerate() {
                    let tap = step.wrapping_sub(i);
                    if tap < taps_h {
                        let weight = simd.splat_f32s(weights[tap * taps_w + s]);
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = simd.mul_add_e_f32s(weight, value, *sum);
                        }
                    }
                }
            }
        }
    }
    sums
}
