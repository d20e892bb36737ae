//! Convolution as filter x windows: blocks of columns are copied out of the input (im2col) into a buffer that stays in a core's
//! second-level cache, and multiplied there by the `gemm` crate. Each core takes whole blocks, so nothing is shared.

use crate::cpu::epilogue::finish;
use crate::cpu::product::{Cores, Operand, product};
use crate::cpu::window::{NOTHING, Windows};
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;
use rayon::prelude::*;
use std::borrow::Cow;
use std::cell::RefCell;

/// Bytes of an im2col block: half of a usual second-level cache, so that the packed copy that `gemm` makes fits beside it.
pub(crate) const BLOCK_BYTES: usize = 512 << 10;

/// Fewest columns of a block: below this the multiplication spends its time on edges.
const FEWEST_COLUMNS: usize = 64;

/// Blocks in all that are wanted where the product is large enough: one for each of 16 cores. Blocks of another width are multiplied by other kernels of the
/// `gemm` crate, which sum in another order, so their number follows from the problem and not from how many cores there are: any machine
/// computes the same bits.
pub(crate) const TASKS: usize = 16;

thread_local! {
    /// The im2col block, kept between calls.
    static BLOCK: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A y that several cores write disjoint parts of.
#[derive(Clone, Copy)]
pub(crate) struct Shared(pub *mut f32);

// SAFETY: every task writes only the columns of its own block in the planes of its own group and image (see `conv`).
unsafe impl Send for Shared {}

// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// `length` elements from `start` on.
    ///
    /// # Safety
    /// The range lies inside y, and no other task touches it meanwhile.
    #[expect(clippy::mut_from_ref, reason = "the ranges handed out are disjoint by construction, which the type cannot say")]
    pub unsafe fn slice(&self, start: usize, length: usize) -> &mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), length) }
    }
}

/// y = activation(conv(x) + bias), by the filter as [`rows`] gives it.
pub(crate) fn conv(problem: &ConvProblem, x: &[f32], rows: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    if covers_input(problem) {
        return dense(problem, x, rows, bias, y);
    }
    let windows = Windows::new(problem);
    let positions = problem.output_positions() as usize;
    let (groups, filters, channels) = (problem.groups as usize, problem.filters_per_group() as usize, problem.channels_per_group() as usize);
    let depth = problem.reduction_depth() as usize;
    let planes = problem.batch as usize * groups;
    let most = (BLOCK_BYTES / 4 / depth).max(FEWEST_COLUMNS);
    let fair = positions.div_ceil(TASKS.div_ceil(planes));
    let columns = most.min(fair.max(FEWEST_COLUMNS)).next_multiple_of(16).min(positions);
    let blocks = positions.div_ceil(columns);
    let in_place = is_pointwise(problem);
    let shared = Shared(y.as_mut_ptr());
    // A single block's filters are for all cores.
    let cores = if planes * blocks == 1 { Cores::All } else { Cores::This };
    (0..planes * blocks).into_par_iter().for_each(|task| {
        let (plane, block) = (task / blocks, task % blocks);
        let (n, g) = (plane / groups, plane % groups);
        let first = block * columns;
        let count = columns.min(positions - first);
        let x = &x[(n * groups + g) * channels * problem.input_positions() as usize..][..channels * problem.input_positions() as usize];
        let a = &rows[g * filters * depth..][..filters * depth];
        let y_start = (n * groups + g) * filters * positions + first;
        BLOCK.with_borrow_mut(|windows_block| {
            let (b, b_stride) = if in_place {
                (&x[first..], positions)
            } else {
                windows_block.resize(depth * count, 0.0);
                im2col(problem, &windows, x, first, count, windows_block);
                (windows_block.as_slice(), count)
            };
            // SAFETY: the product goes to rows y_start + k positions, columns 0 .. count, which lie inside y, and no other task writes
            // them: tasks differ in plane (other rows) or block (other columns).
            let block = unsafe { shared.slice(y_start, (filters - 1) * positions + count) };
            let (a, b) = (Operand { elements: a, row: depth, column: 1 }, Operand { elements: b, row: b_stride, column: 1 });
            product([filters, count, depth], 1.0, a, b, block, positions, cores);
            for k in 0..filters {
                // SAFETY: row k of this task's own block, as above.
                let row = unsafe { shared.slice(y_start + k * positions, count) };
                finish(row, bias.map_or(0.0, |b| b[g * filters + k]), problem.activation);
            }
        });
    });
}

/// Images are the rows of one product, as those of a dense layer are.
fn dense(problem: &ConvProblem, x: &[f32], rows: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let (images, filters, depth) = (problem.batch as usize, problem.out_channels as usize, problem.reduction_depth() as usize);
    let (a, b) = (Operand { elements: x, row: depth, column: 1 }, Operand { elements: rows, row: 1, column: depth });
    product([images, filters, depth], 1.0, a, b, y, filters, Cores::All);
    y.par_chunks_mut(filters).for_each(|y| {
        if let Some(bias) = bias {
            y.iter_mut().zip(bias).for_each(|(y, b)| *y += *b);
        }
        finish(y, 0.0, problem.activation);
    });
}

/// The window covers the input of several images, whose outputs are one each: a block of them would have one column.
fn covers_input(problem: &ConvProblem) -> bool {
    let covers = |axis: &WindowAxis| axis.filter == axis.input && axis.output == 1 && axis.pad_begin == 0;
    let is_forward = problem.direction == Direction::Forward && problem.groups == 1;
    is_forward && problem.batch > 1 && problem.axes.iter().all(covers)
}

/// Rows of the filter matrix, K C/g taps; a transposed filter C K/g taps is brought into that order.
pub(crate) fn rows<'a>(problem: &ConvProblem, filter: &'a [f32]) -> Cow<'a, [f32]> {
    let (groups, filters, channels) = (problem.groups as usize, problem.filters_per_group() as usize, problem.channels_per_group() as usize);
    match problem.direction {
        Direction::Forward => Cow::Borrowed(filter),
        Direction::Transposed => Cow::Owned(reorder(filter, groups, filters, channels, problem.taps() as usize)),
    }
}

/// Every output position reads the input position of the same number.
pub(crate) fn is_pointwise(problem: &ConvProblem) -> bool {
    problem.axes.iter().all(|a| a.filter == 1 && a.stride == 1 && a.pad_begin == 0 && a.input == a.output)
}

/// C K/g taps -> per group K/g, C/g, taps.
fn reorder(filter: &[f32], groups: usize, filters: usize, channels: usize, taps: usize) -> Vec<f32> {
    let mut rows = vec![0.0; filter.len()];
    for g in 0..groups {
        for c in 0..channels {
            for k in 0..filters {
                let from = ((g * channels + c) * filters + k) * taps;
                let to = ((g * filters + k) * channels + c) * taps;
                rows[to..to + taps].copy_from_slice(&filter[from..from + taps]);
            }
        }
    }
    rows
}

/// Fills `block`, [channel, tap][column], with what output positions `first ..` read.
pub(crate) fn im2col(problem: &ConvProblem, windows: &Windows, x: &[f32], first: usize, count: usize, block: &mut [f32]) {
    let [depth, height, width] = &problem.axes;
    let (in_h, in_w) = (height.input as usize, width.input as usize);
    let (out_h, out_w) = (height.output as usize, width.output as usize);
    let (kt, kr, ks) = (depth.filter as usize, height.filter as usize, width.filter as usize);
    let plane = problem.input_positions() as usize;
    for (row, out) in block.chunks_exact_mut(count).enumerate() {
        let (c, tap) = (row / (kt * kr * ks), row % (kt * kr * ks));
        let (t, r, s) = (tap / (kr * ks), tap / ks % kr, tap % ks);
        let x = &x[c * plane..][..plane];
        let mut position = first;
        while position < first + count {
            let (line, q0) = (position / out_w, position % out_w);
            let length = (out_w - q0).min(first + count - position);
            let out = &mut out[position - first..][..length];
            let iz = windows.depth.row(t)[line / out_h];
            let iy = windows.height.row(r)[line % out_h];
            if iz == NOTHING || iy == NOTHING {
                out.fill(0.0);
            } else {
                windows.copy_row(&x[(iz as usize * in_h + iy as usize) * in_w..][..in_w], s, q0, out);
            }
            position += length;
        }
    }
}
