//! The filter gradient of few filters: each of its numbers is a dot product of rows of dy and of x, and a tile of filters and taps has its sums in registers.
//! Nothing is multiplied out of blocks that were copied together; x itself is laid out (see `lines`) where pads or strides ask for it.

use crate::cpu::lines::Line;
use crate::cpu::window::{NOTHING, padded};
use crate::ops::conv::problem::ConvProblem;
use crate::types::shape::WindowAxis;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Filters of a tile, and taps of one: so many sums leave registers for what they are made of.
const FILTERS: usize = 4;

const TAPS: usize = 3;

/// Filters of a group up to which products of blocks spend their time on copying the blocks together.
const MOST_FILTERS: u64 = 16;

/// Fewest outputs of a row: vectors of shorter ones would be empty for the most part.
const FEWEST_COLUMNS: u64 = 6;

/// Whether dy has few filters and rows worth a vector; `problem` is the convolution from the tensor that windows read to the other one.
pub(crate) fn suits(problem: &ConvProblem) -> bool {
    problem.filters_per_group() <= MOST_FILTERS && problem.axes[2].output >= FEWEST_COLUMNS
}

/// How planes of x lie for it.
pub(crate) struct Rows {
    /// None where windows read x as it is.
    laid: Option<Laid>,
    /// By tap, where output 0 reads.
    offsets: Vec<usize>,
    /// Numbers by which outputs of neighbouring layers and lines read apart.
    steps: [usize; 2],
    outputs: [usize; 3],
}

/// A plane of x with its pads, and the phases of the strides apart.
struct Laid {
    /// The input coordinate of each layer and line, or [`NOTHING`].
    layers: Vec<u32>,
    lines: Vec<u32>,
    row: Line,
    inputs: [usize; 2],
}

impl Rows {
    pub fn new(problem: &ConvProblem) -> Self {
        let [depth, height, width] = &problem.axes;
        let outputs = problem.axes.each_ref().map(|axis| axis.output as usize);
        let read = |axis: &WindowAxis| (axis.output - 1) * axis.stride + (axis.filter - 1) * axis.dilation + 1;
        let is_plain = width.stride == 1 && problem.axes.iter().all(|axis| axis.pad_begin == 0 && read(axis) <= axis.input);
        let taps = |axis: &WindowAxis| (0..axis.filter as usize).map(|tap| tap * axis.dilation as usize).collect::<Vec<_>>();
        let sources = |axis: &WindowAxis| (0..read(axis)).map(|u| padded(problem, axis, u as i64)).collect::<Vec<_>>();
        let row = Line::new(outputs[2], width.stride as usize, &taps(width), |u| padded(problem, width, u as i64));
        let (starts, pitch): (Vec<usize>, usize) = match is_plain {
            true => (taps(width), width.input as usize),
            false => (row.starts.iter().map(|(phase, place)| phase * row.places + place).collect(), row.phases * row.places),
        };
        let lines = if is_plain { height.input as usize } else { read(height) as usize };
        let mut offsets = Vec::with_capacity(problem.taps() as usize);
        for t in taps(depth) {
            for r in taps(height) {
                offsets.extend(starts.iter().map(|start| (t * lines + r) * pitch + start));
            }
        }
        let steps = [depth.stride as usize * lines * pitch, height.stride as usize * pitch];
        let inputs = [height.input as usize, width.input as usize];
        let laid = (!is_plain).then(|| Laid { layers: sources(depth), lines: sources(height), row, inputs });
        Self { laid, offsets, steps, outputs }
    }
}

impl Laid {
    fn fill(&self, x: &[f32], laid: &mut Vec<f32>) {
        let [in_h, in_w] = self.inputs;
        let (places, phases) = (self.row.places, self.row.phases);
        laid.resize(self.layers.len() * self.lines.len() * phases * places, 0.0);
        let rows = self.layers.iter().flat_map(|z| self.lines.iter().map(move |y| (*z, *y)));
        for (row, (z, y)) in laid.chunks_exact_mut(phases * places).zip(rows) {
            if z == NOTHING || y == NOTHING {
                row.fill(0.0);
                continue;
            }
            let line = &x[(z as usize * in_h + y as usize) * in_w..][..in_w];
            row.chunks_exact_mut(places).enumerate().for_each(|(phase, row)| self.row.fill(phase, line, row));
        }
    }
}

/// Memory that a core keeps between tasks.
#[derive(Default)]
pub(crate) struct Scratch {
    laid: Vec<f32>,
    /// \[channel\]\[filter\]\[tap\]: a vector whose lanes are to be added.
    sums: Vec<f32>,
}

/// Some channels of some images of a group.
pub(crate) struct Task<'a> {
    pub rows: &'a Rows,
    pub x: &'a [f32],
    pub dy: &'a [f32],
    pub images: Range<usize>,
    pub group: usize,
    pub groups: usize,
    /// Channels of a group, and those of this task.
    pub channels: usize,
    pub own: Range<usize>,
    pub filters: usize,
    pub x_plane: usize,
    /// From the first channel of this task on, of the first filter: added to.
    pub dw: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, x, dy, images, group, groups, channels, own, filters, x_plane, dw, scratch } = self;
        let Scratch { laid, sums } = scratch;
        let (taps, positions) = (rows.offsets.len(), rows.outputs.iter().product::<usize>());
        let each = filters * taps * S::F32_LANES;
        sums.clear();
        sums.resize(own.len() * each, 0.0);
        for image in images {
            let plane = image * groups + group;
            let dy = &dy[plane * filters * positions..][..filters * positions];
            for (channel, sums) in own.clone().zip(sums.chunks_exact_mut(each)) {
                let x = &x[(plane * channels + channel) * x_plane..][..x_plane];
                let x = match &rows.laid {
                    Some(how) => {
                        how.fill(x, laid);
                        laid.as_slice()
                    }
                    None => x,
                };
                let mut k = 0;
                while k < filters {
                    let some = if filters - k >= FILTERS { FILTERS } else { (filters - k).min(2) };
                    let (dy, sums) = (&dy[k * positions..], &mut sums[k * taps * S::F32_LANES..]);
                    match some {
                        FILTERS => filters_of::<S, FILTERS>(simd, rows, dy, x, sums),
                        2 => filters_of::<S, 2>(simd, rows, dy, x, sums),
                        _ => filters_of::<S, 1>(simd, rows, dy, x, sums),
                    }
                    k += some;
                }
            }
        }
        for (channel, sums) in sums.chunks_exact(each).enumerate() {
            for (i, lanes) in sums.chunks_exact(S::F32_LANES).enumerate() {
                let (k, tap) = (i / taps, i % taps);
                dw[(k * channels + channel) * taps + tap] += lanes.iter().sum::<f32>();
            }
        }
    }
}

#[inline(always)]
fn filters_of<S: Simd, const K: usize>(simd: S, rows: &Rows, dy: &[f32], x: &[f32], sums: &mut [f32]) {
    for (i, offsets) in rows.offsets.chunks(TAPS).enumerate() {
        let sums = &mut sums[i * TAPS * S::F32_LANES..];
        match *offsets {
            [a, b, c] => tile::<S, K, TAPS>(simd, rows, dy, x, [a, b, c], sums),
            [a, b] => tile::<S, K, 2>(simd, rows, dy, x, [a, b], sums),
            [a] => tile::<S, K, 1>(simd, rows, dy, x, [a], sums),
            _ => {}
        }
    }
}

/// Adds an image's products of the first filters of `dy` and of these taps to `sums`.
#[inline(always)]
fn tile<S: Simd, const K: usize, const T: usize>(simd: S, rows: &Rows, dy: &[f32], x: &[f32], offsets: [usize; T], sums: &mut [f32]) {
    let lanes = S::F32_LANES;
    let [out_d, out_h, out_w] = rows.outputs;
    let positions = out_d * out_h * out_w;
    let (sums, _) = S::as_mut_simd_f32s(sums);
    let mut own = [[simd.splat_f32s(0.0); T]; K];
    let mut near = [simd.splat_f32s(0.0); K];
    for line in 0..out_d * out_h {
        let at = line / out_h * rows.steps[0] + line % out_h * rows.steps[1];
        let mut q = 0;
        while q < out_w {
            let count = lanes.min(out_w - q);
            for (k, near) in near.iter_mut().enumerate() {
                *near = load(simd, &dy[k * positions + line * out_w + q..][..count]);
            }
            for (t, offset) in offsets.iter().enumerate() {
                let value = load(simd, &x[at + offset + q..][..count]);
                for (own, near) in own.iter_mut().zip(near) {
                    own[t] = simd.mul_add_e_f32s(near, value, own[t]);
                }
            }
            q += lanes;
        }
    }
    for (own, sums) in own.iter().zip(sums.chunks_mut(rows.offsets.len())) {
        for (sum, own) in sums.iter_mut().zip(own) {
            *sum = simd.add_f32s(*sum, *own);
        }
    }
}

/// A whole vector, or the first lanes of one, zeros behind.
#[inline(always)]
fn load<S: Simd>(simd: S, numbers: &[f32]) -> S::f32s {
    match S::as_simd_f32s(numbers) {
        ([vector], _) => *vector,
        _ => simd.partial_load_f32s(numbers),
    }
}
