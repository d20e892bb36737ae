//! Convolution without an im2col block: a band of the input is laid out once (see `bands`), each tap is an offset into it, and sums stay in registers over
//! the whole depth.

use crate::cpu::bands::{BANDS, Bands, cut, store};
use crate::cpu::epilogue::finish;
use crate::cpu::gemm::Shared;
use crate::cpu::kernel::{LONGEST_BLOCK, PANEL, Panels, VECTORS, multiply};
use crate::ops::conv::problem::ConvProblem;
use crate::types::shape::WindowAxis;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Numbers of a band that is laid out, about: half of a usual second-level cache.
const BAND: usize = 128 << 10;

/// A convolution that is cut into bands.
pub(crate) struct Direct<'a> {
    bands: Bands<'a>,
    /// Parts that the panels of filters are split into.
    splits: usize,
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
        let planes = (problem.batch * problem.groups * problem.axes[0].output) as usize;
        let mut splits = 1;
        let bands = Bands::new(problem, BAND, |most| {
            let bands;
            (bands, splits) = cut(planes, problem.axes[1].output as usize, most, panels);
            bands
        });
        Self { bands, splits }
    }

    /// y = activation(conv(x) + bias), channels-first.
    pub fn conv(&self, x: &[f32], panels: &Panels, bias: Option<&[f32]>, y: &mut [f32]) {
        let problem = self.bands.problem;
        let layers = problem.axes[0].output as usize;
        let groups = problem.groups as usize;
        let x_group = (problem.channels_per_group() * problem.input_positions()) as usize;
        let tasks = problem.batch as usize * groups * layers * self.bands.count * self.splits;
        let (arch, shared) = (Arch::new(), Shared(y.as_mut_ptr()));
        (0..tasks).into_par_iter().for_each(|task| {
            let (rest, split) = (task / self.splits, task % self.splits);
            let (rest, band) = (rest / self.bands.count, rest % self.bands.count);
            let (plane, layer) = (rest / layers, rest % layers);
            let x = &x[plane * x_group..][..x_group];
            let part = panels.count.div_ceil(self.splits);
            let own = split * part..panels.count.min((split + 1) * part);
            BANDS.with_borrow_mut(|laid| arch.dispatch(Band { bands: &self.bands, x, panels, own, bias, shared, plane, layer, band, laid }));
        });
    }
}

/// A band of rows of outputs of one image and group.
struct Band<'a> {
    bands: &'a Bands<'a>,
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
        let Self { bands, x, panels, own, bias, shared, plane, layer, band, laid } = self;
        let problem = bands.problem;
        let [_, out_h, out_w] = problem.axes.each_ref().map(|axis| axis.output as usize);
        let (first, rows) = bands.rows(band);
        bands.lay_out(x, layer, band, laid);
        let (groups, filters, pitch) = (problem.groups as usize, problem.filters_per_group() as usize, bands.pitch());
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
                multiply(simd, weights, some, &bands.offsets, &laid[at..], vectors, &mut sums);
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
