//! Windows of one tap over few positions: a vector holds neighbouring filters, so lanes are full however few positions there are, and what is read is the
//! filters, once for every few positions.
//!
//! Each sum is one chain over the channels, in their order: the same bits however filters and positions are cut into tasks.

use crate::cpu::epilogue::finish;
use crate::cpu::gemm::is_pointwise;
use crate::cpu::interleave::{CHANNELS, interleave, separate};
use crate::cpu::kernel::{keep, taken};
use crate::ops::conv::problem::ConvProblem;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::cell::RefCell;

/// Filters of a panel: the lanes of the longest vector.
const PANEL: usize = CHANNELS;

/// Positions whose sums are in registers at once.
const POSITIONS: usize = 8;

/// Vectors of filters whose sums are.
const VECTORS: usize = 2;

/// Positions of an image for which it pays: one alone is a dot product, and of more, vectors of positions need no transposition
/// (benchmarks/results/2026-11-28-cpu-small-planes.md).
const FEWEST_POSITIONS: u64 = 2;
const MOST_POSITIONS: u64 = 64;

/// Fewest multiply-adds that a core is given at once. In a network, whose ops follow one another, larger parts were slower: a core waits for the one that took
/// half.
const FEWEST_SUMS: usize = 1 << 16;

thread_local! {
    /// Sums of a task, \[position\]\[filter\], kept between calls.
    static SUMS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Whether a vector of filters is full, and positions are few.
pub(crate) fn suits(problem: &ConvProblem) -> bool {
    let is_wide = problem.filters_per_group() >= PANEL as u64;
    is_wide && is_pointwise(problem) && (FEWEST_POSITIONS..=MOST_POSITIONS).contains(&problem.output_positions())
}

/// Filters as panels, \[group\]\[panel\]\[channel\]\[filter of the panel\].
pub(crate) struct Panels {
    numbers: Vec<f32>,
    /// Panels of a group.
    count: usize,
}

impl Drop for Panels {
    fn drop(&mut self) {
        keep(std::mem::take(&mut self.numbers));
    }
}

impl Panels {
    /// Packs `rows`, \[group\]\[filter\]\[channel\].
    pub fn new(problem: &ConvProblem, rows: &[f32]) -> Self {
        let (filters, channels) = (problem.filters_per_group() as usize, problem.channels_per_group() as usize);
        let count = filters.div_ceil(PANEL);
        let mut numbers = taken(problem.groups as usize * count * channels * PANEL);
        numbers.par_chunks_mut(channels * PANEL).enumerate().for_each(|(panel, own)| {
            let (group, first) = (panel / count, panel % count * PANEL);
            let some = (filters - first).min(PANEL);
            interleave(&rows[(group * filters + first) * channels..], channels, [some, channels], own);
        });
        Self { numbers, count }
    }

    /// Numbers of all panels.
    pub fn count(problem: &ConvProblem) -> u64 {
        problem.groups * problem.filters_per_group().next_multiple_of(PANEL as u64) * problem.channels_per_group()
    }
}

/// y = activation(conv(x) + bias), channels-first, of a problem that [`suits`].
pub(crate) fn conv(problem: &ConvProblem, x: &[f32], panels: &Panels, bias: Option<&[f32]>, y: &mut [f32]) {
    let (filters, channels, positions) =
        (problem.filters_per_group() as usize, problem.channels_per_group() as usize, problem.output_positions() as usize);
    let groups = problem.groups as usize;
    let arch = Arch::new();
    // Whole pairs of panels, but for a group's last ones.
    let pair = VECTORS * PANEL;
    let pairs: Vec<_> = y.chunks_mut(filters * positions).flat_map(|y| y.chunks_mut(pair * positions)).collect();
    let many = FEWEST_SUMS / (pair * channels * positions);
    pairs.into_par_iter().with_min_len(many.max(1)).enumerate().for_each(|(task, y)| {
        let of_group = filters.div_ceil(pair);
        let (plane, first) = (task / of_group, task % of_group * pair);
        let group = plane % groups;
        let x = &x[plane * channels * positions..][..channels * positions];
        let weights = &panels.numbers[(group * panels.count + first / PANEL) * channels * PANEL..];
        let bias = bias.map(|bias| &bias[group * filters + first..]);
        SUMS.with_borrow_mut(|sums| arch.dispatch(Task { problem, x, weights, bias, y, sums }));
    });
}

/// One or two panels of filters over all positions of an image.
struct Task<'a> {
    problem: &'a ConvProblem,
    x: &'a [f32],
    weights: &'a [f32],
    /// From the first of the filters on.
    bias: Option<&'a [f32]>,
    /// Their planes.
    y: &'a mut [f32],
    sums: &'a mut Vec<f32>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { problem, x, weights, bias, y, sums } = self;
        let (channels, positions) = (problem.channels_per_group() as usize, problem.output_positions() as usize);
        let panels = (y.len() / positions).div_ceil(PANEL);
        sums.resize(VECTORS * positions * PANEL, 0.0);
        // Blocks of positions of one length, or one fewer.
        let blocks = positions.div_ceil(POSITIONS);
        let mut vector = 0;
        while vector * S::F32_LANES < panels * PANEL {
            let some = (panels * PANEL / S::F32_LANES - vector).min(VECTORS);
            for block in 0..blocks {
                let (at, end) = (block * positions / blocks, (block + 1) * positions / blocks);
                let part = Part { x, weights, channels, positions, vector, at };
                match some {
                    1 => part.compute::<S, 1>(simd, end - at, sums),
                    _ => part.compute::<S, VECTORS>(simd, end - at, sums),
                }
            }
            vector += some;
        }
        for (panel, y) in y.chunks_mut(PANEL * positions).enumerate() {
            let sums = &mut sums[panel * positions * PANEL..][..positions * PANEL];
            let some = y.len() / positions;
            if let Some(bias) = bias {
                let bias = &bias[panel * PANEL..][..some];
                sums.chunks_exact_mut(PANEL).for_each(|sums| sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += *bias));
            }
            finish(sums, 0.0, problem.activation);
            separate(sums, positions, y);
        }
    }
}

/// Some vectors of filters over some positions.
struct Part<'a> {
    x: &'a [f32],
    weights: &'a [f32],
    channels: usize,
    positions: usize,
    /// The first vector of the panels' filters.
    vector: usize,
    /// The first position.
    at: usize,
}

impl Part<'_> {
    #[inline(always)]
    fn compute<S: Simd, const V: usize>(&self, simd: S, count: usize, sums: &mut [f32]) {
        match count {
            1 => self.sums::<S, V, 1>(simd, sums),
            2 => self.sums::<S, V, 2>(simd, sums),
            3 => self.sums::<S, V, 3>(simd, sums),
            4 => self.sums::<S, V, 4>(simd, sums),
            5 => self.sums::<S, V, 5>(simd, sums),
            6 => self.sums::<S, V, 6>(simd, sums),
            7 => self.sums::<S, V, 7>(simd, sums),
            _ => self.sums::<S, V, POSITIONS>(simd, sums),
        }
    }

    #[inline(always)]
    fn sums<S: Simd, const V: usize, const COUNT: usize>(&self, simd: S, sums: &mut [f32]) {
        let Self { x, weights, channels, positions, vector, at } = *self;
        let place = |v: usize| ((vector + v) * S::F32_LANES / PANEL, (vector + v) * S::F32_LANES % PANEL);
        let vectors: [&[f32]; V] = std::array::from_fn(|v| {
            let (panel, lane) = place(v);
            &weights[panel * channels * PANEL + lane..][..(channels - 1) * PANEL + S::F32_LANES]
        });
        let mut own = [[simd.splat_f32s(0.0); V]; COUNT];
        for (channel, x) in x.chunks_exact(positions).enumerate() {
            let w: [S::f32s; V] = std::array::from_fn(|v| S::as_simd_f32s(&vectors[v][channel * PANEL..][..S::F32_LANES]).0[0]);
            for (own, x) in own.iter_mut().zip(&x[at..at + COUNT]) {
                let x = simd.splat_f32s(*x);
                for (sum, w) in own.iter_mut().zip(w) {
                    *sum = simd.mul_add_e_f32s(w, x, *sum);
                }
            }
        }
        for (i, own) in own.into_iter().enumerate() {
            for (v, sum) in own.into_iter().enumerate() {
                let (panel, lane) = place(v);
                S::as_mut_simd_f32s(&mut sums[(panel * positions + at + i) * PANEL + lane..][..S::F32_LANES]).0[0] = sum;
            }
        }
    }
}
