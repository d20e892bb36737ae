//! Products of which one operand has few rows: dense layers of a few images, windows of one tap over a few positions. What they take is the time to read the
//! other operand once, so nothing is packed: each sum is a dot product of neighbours, and a tile of them stays in registers.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::cell::Cell;

/// Most rows of the skinny operand.
pub(crate) const MOST_ROWS: usize = 16;

/// Fewest terms of a sum: of fewer, adding up what lanes hold apart takes longer than the products.
pub(crate) const FEWEST_TERMS: usize = 64;

/// Rows of the wide operand that a tile has.
const TILE: usize = 4;

/// Rows of the wide operand that a task takes.
const TASK: usize = 8 * TILE;

thread_local! {
    /// Memory of the sums and of the skinny operand, kept between calls.
    static KEPT: Cell<[Vec<f32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// The wide operand: rows of `terms` neighbours, which begin `row` apart.
#[derive(Clone, Copy)]
pub(crate) struct Wide<'a> {
    pub elements: &'a [f32],
    pub row: usize,
    pub rows: usize,
    pub terms: usize,
}

/// Gives `write(i, j, sum)` every dot product of row i of `wide` and row j of the skinny operand, whose number for a term is `skinny(j, term)`.
pub(crate) fn multiply(
    wide: Wide<'_>,
    rows: usize,
    skinny: impl Fn(usize, usize) -> f32,
    on_all_cores: bool,
    mut write: impl FnMut(usize, usize, f32),
) {
    // Taken, not borrowed: a core that waits for others may begin another product.
    let [mut sums, mut own] = KEPT.take();
    sums.resize(wide.rows * rows, 0.0);
    own.clear();
    for j in 0..rows {
        own.extend((0..wide.terms).map(|term| skinny(j, term)));
    }
    let arch = Arch::new();
    let task = |(number, sums): (usize, &mut [f32])| {
        let elements = &wide.elements[number * TASK * wide.row..];
        arch.dispatch(Task { wide: Wide { elements, rows: sums.len() / rows, ..wide }, skinny: &own, rows, sums });
    };
    match on_all_cores {
        true => sums.par_chunks_mut(TASK * rows).enumerate().for_each(task),
        false => sums.chunks_mut(TASK * rows).enumerate().for_each(task),
    }
    for (i, sums) in sums.chunks_exact(rows).enumerate() {
        sums.iter().enumerate().for_each(|(j, sum)| write(i, j, *sum));
    }
    KEPT.set([sums, own]);
}

/// Some rows of the wide operand with all of the skinny one.
struct Task<'a> {
    wide: Wide<'a>,
    skinny: &'a [f32],
    rows: usize,
    /// \[row of the wide operand\]\[row of the skinny one\]
    sums: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut row = 0;
        while row < self.wide.rows {
            row += if self.wide.rows - row >= TILE { self.rows_from::<S, TILE>(simd, row) } else { self.rows_from::<S, 1>(simd, row) };
        }
    }
}

impl Task<'_> {
    /// So many rows of the wide operand; returns their number.
    #[inline(always)]
    fn rows_from<S: Simd, const ROWS: usize>(&mut self, simd: S, row: usize) -> usize {
        let mut at = 0;
        while at < self.rows {
            // Of 16 registers, sums have 8.
            at += match self.rows - at {
                4.. if S::F32_LANES != 8 => self.tile::<S, ROWS, 4>(simd, row, at),
                2.. => self.tile::<S, ROWS, 2>(simd, row, at),
                _ => self.tile::<S, ROWS, 1>(simd, row, at),
            };
        }
        ROWS
    }

    /// The sums of rows `row ..` of the wide operand and `at ..` of the skinny one; returns the number of the latter.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const COLUMNS: usize>(&mut self, simd: S, row: usize, at: usize) -> usize {
        let Wide { elements, row: step, terms, .. } = self.wide;
        let wide: [&[f32]; ROWS] = std::array::from_fn(|i| &elements[(row + i) * step..][..terms]);
        let skinny: [&[f32]; COLUMNS] = std::array::from_fn(|j| &self.skinny[(at + j) * terms..][..terms]);
        let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; ROWS];
        let (wide_vectors, skinny_vectors) = (wide.map(|w| S::as_simd_f32s(w)), skinny.map(|t| S::as_simd_f32s(t)));
        for v in 0..terms / S::F32_LANES {
            let skinny: [S::f32s; COLUMNS] = std::array::from_fn(|j| skinny_vectors[j].0[v]);
            for (sums, wide) in sums.iter_mut().zip(&wide_vectors) {
                let wide = wide.0[v];
                for (sum, skinny) in sums.iter_mut().zip(skinny) {
                    *sum = simd.mul_add_e_f32s(wide, skinny, *sum);
                }
            }
        }
        if terms % S::F32_LANES != 0 {
            for (sums, wide) in sums.iter_mut().zip(&wide_vectors) {
                let wide = simd.partial_load_f32s(wide.1);
                for (sum, skinny) in sums.iter_mut().zip(&skinny_vectors) {
                    *sum = simd.mul_add_e_f32s(wide, simd.partial_load_f32s(skinny.1), *sum);
                }
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (j, sum) in sums.into_iter().enumerate() {
                self.sums[(row + i) * self.rows + at + j] = simd.reduce_sum_f32s(sum);
            }
        }
        COLUMNS
    }
}
