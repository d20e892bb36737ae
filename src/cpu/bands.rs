//! A convolution's planes of outputs cut into bands of rows, and what a band reads laid out (see `lines`), so that each tap is an offset into it. `direct`
//! multiplies panels of filters by it, `depthwise` one filter.

use crate::cpu::kernel::LONGEST_BLOCK;
use crate::cpu::lines::Line;
use crate::cpu::window::{AxisTable, NOTHING, inside, padded};
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;
use std::cell::RefCell;

/// Fewest rows of a band for the sake of more tasks: the rows that taps reach further are laid out again for each.
const FEWEST_ROWS: usize = 4;

thread_local! {
    /// A band as it is laid out, kept between calls.
    pub(crate) static BANDS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

pub(crate) struct Bands<'a> {
    pub problem: &'a ConvProblem,
    depth: AxisTable,
    height: Line,
    width: Line,
    /// Places of a phase of a band.
    plane: usize,
    /// By channel and tap, where output 0 of a band reads.
    pub offsets: Vec<usize>,
    /// Rows of outputs of a band, but for the last of a plane.
    band: usize,
    /// Bands of a plane of outputs.
    pub count: usize,
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

impl<'a> Bands<'a> {
    /// Bands that take about `longest` numbers as they are laid out; `count` says how many a plane is cut into, given the most rows of one.
    pub fn new(problem: &'a ConvProblem, longest: usize, count: impl FnOnce(usize) -> usize) -> Self {
        let [depth, height, width] = &problem.axes;
        let (depth, height, width) = (AxisTable::new(problem, depth), line(problem, height), line(problem, width));
        let (channels, rows) = (problem.channels_per_group() as usize, problem.axes[1].output as usize);
        let slices = channels * problem.axes[0].filter as usize;
        let of_row = slices * height.phases * width.phases * width.places;
        let most = (longest / of_row).saturating_sub(height.places - rows).clamp(1, rows);
        let band = rows.div_ceil(count(most));
        let plane = (band + height.places - rows) * width.places;
        let mut offsets = Vec::with_capacity(problem.reduction_depth() as usize);
        for slice in 0..slices {
            for &(phase_h, row) in &height.starts {
                for &(phase_w, place) in &width.starts {
                    offsets.push(((slice * height.phases + phase_h) * width.phases + phase_w) * plane + row * width.places + place);
                }
            }
        }
        Self { problem, depth, height, width, plane, offsets, band, count: rows.div_ceil(band) }
    }

    /// Numbers from an output's place to the one's below it.
    pub fn pitch(&self) -> usize {
        self.width.places
    }

    /// First row of outputs of a band, and how many it has.
    pub fn rows(&self, band: usize) -> (usize, usize) {
        let first = band * self.band;
        (first, self.band.min(self.problem.axes[1].output as usize - first))
    }

    /// Lays out what the outputs of a band read of a layer of the channels `x` of one group.
    #[inline(always)]
    pub fn lay_out(&self, x: &[f32], layer: usize, band: usize, laid: &mut Vec<f32>) {
        let problem = self.problem;
        let [taps_d, ..] = problem.axes.each_ref().map(|axis| axis.filter as usize);
        let [_, in_h, in_w] = problem.axes.each_ref().map(|axis| axis.input as usize);
        let in_plane = problem.input_positions() as usize;
        let (height, width, plane) = (&self.height, &self.width, self.plane);
        let channels = problem.channels_per_group() as usize;
        // Past the last place lies what no stored output reads: a block may be longer.
        let length = channels * taps_d * height.phases * width.phases * plane + LONGEST_BLOCK;
        if laid.len() < length {
            laid.resize(length, 0.0);
        }
        let (pitch, (first, rows)) = (width.places, self.rows(band));
        let read = rows + height.places - problem.axes[1].output as usize;
        for (slice, laid) in laid.chunks_exact_mut(height.phases * width.phases * plane).take(channels * taps_d).enumerate() {
            let (channel, tap) = (slice / taps_d, slice % taps_d);
            let iz = self.depth.row(tap)[layer];
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
