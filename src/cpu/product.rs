//! y = scale a b by the f32 part of the `gemm` crate, the one place that calls it, or by dot products (`skinny`) where one operand has few rows.

use crate::cpu::skinny::{self, Wide};
use gemm_common::Parallelism;

/// A matrix in memory: its first element and how many elements its rows and columns lie apart.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub elements: &'a [f32],
    pub row: usize,
    pub column: usize,
}

impl Operand<'_> {
    fn holds(&self, rows: usize, columns: usize) -> bool {
        self.elements.len() > (rows - 1) * self.row + (columns - 1) * self.column
    }
}

/// Who computes a product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    This,
    All,
}

/// Writes scale times the product of `a` (m x k) and `b` (k x n) to `y`, whose rows lie `y_row` apart. Extents are at least 1.
pub(crate) fn product(extents: [usize; 3], scale: f32, a: Operand<'_>, b: Operand<'_>, y: &mut [f32], y_row: usize, cores: Cores) {
    multiply(extents, [0.0, scale], a, b, y, y_row, cores);
}

/// Adds the product of `a` (m x k) and `b` (k x n) to `y`.
pub(crate) fn add_product(extents: [usize; 3], a: Operand<'_>, b: Operand<'_>, y: &mut [f32], y_row: usize) {
    multiply(extents, [1.0, 1.0], a, b, y, y_row, Cores::This);
}

/// y = keep y + scale a b; what y held is not read where `keep` is 0.
fn multiply([m, n, k]: [usize; 3], [keep, scale]: [f32; 2], a: Operand<'_>, b: Operand<'_>, y: &mut [f32], y_row: usize, cores: Cores) {
    assert!(a.holds(m, k), "a must hold every row");
    assert!(b.holds(k, n), "b must hold every column");
    assert!(y_row >= n && y.len() >= (m - 1) * y_row + n, "y must hold every row");
    let mut write = |at: usize, sum: f32| y[at] = if keep == 0.0 { scale * sum } else { keep * y[at] + scale * sum };
    let is_skinny = |rows: usize| rows <= skinny::MOST_ROWS && k >= skinny::FEWEST_TERMS;
    if is_skinny(n) && a.column == 1 {
        let wide = Wide { elements: a.elements, row: a.row, rows: m, terms: k };
        let column = |j: usize, term: usize| b.elements[term * b.row + j * b.column];
        return skinny::multiply(wide, n, column, cores == Cores::All, |i, j, sum| write(i * y_row + j, sum));
    }
    if is_skinny(m) && b.row == 1 {
        let wide = Wide { elements: b.elements, row: b.column, rows: n, terms: k };
        let row = |i: usize, term: usize| a.elements[i * a.row + term * a.column];
        return skinny::multiply(wide, m, row, cores == Cores::All, |j, i, sum| write(i * y_row + j, sum));
    }
    let parallelism = if cores == Cores::All { Parallelism::Rayon(0) } else { Parallelism::None };
    let [y_row, a_row, a_column, b_row, b_column] = [y_row, a.row, a.column, b.row, b.column].map(|stride| stride as isize); // of slices
    let gemm = gemm_f32::gemm::f32::get_gemm_fn();
    let reads = keep != 0.0;
    let (y, a, b) = (y.as_mut_ptr(), a.elements.as_ptr(), b.elements.as_ptr());
    // SAFETY: the largest elements that are read and written were just checked to exist, and y is borrowed alone. Strides are (column, row). Its kernels are fast where neighbours in a column of y are contiguous: rows of y are, so they
    // get it transposed, as b' a', but for a y of one column.
    unsafe {
        match y_row {
            1 => gemm(m, n, k, y, 1, 1, reads, a, a_column, a_row, b, b_column, b_row, keep, scale, false, false, false, parallelism),
            _ => gemm(n, m, k, y, y_row, 1, reads, b, b_row, b_column, a, a_row, a_column, keep, scale, false, false, false, parallelism),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_orientation_is_multiplied() {
        let values: Vec<f32> = (0..5000).map(|i| ((i * 5 + i / 11) % 7) as f32 - 3.0).collect();
        // From 64 terms on, the last ones have one operand with few rows.
        for [m, n, k] in
            [[1, 1, 1], [3, 1, 4], [1, 5, 2], [4, 3, 5], [5, 4, 1], [1, 1, 64], [9, 1, 65], [3, 43, 80], [41, 7, 95], [17, 16, 128], [18, 17, 70]]
        {
            for (a_row, a_column) in [(k, 1), (1, m)] {
                for (b_row, b_column) in [(n, 1), (1, k)] {
                    let (a, b) = (
                        Operand { elements: &values, row: a_row, column: a_column },
                        Operand { elements: &values[9..], row: b_row, column: b_column },
                    );
                    let y_row = if n == 1 { 1 } else { n + 2 };
                    let mut y = vec![f32::NAN; m * y_row];
                    product([m, n, k], 0.5, a, b, &mut y, y_row, Cores::This);
                    for i in 0..m {
                        for j in 0..n {
                            let terms = (0..k).map(|l| values[i * a_row + l * a_column] * values[9 + l * b_row + j * b_column]);
                            assert_eq!(y[i * y_row + j], 0.5 * terms.sum::<f32>(), "{m} {n} {k}: {i} {j}");
                        }
                        assert!(y[i * y_row + n..(i + 1) * y_row].iter().all(|v| v.is_nan()), "past the row");
                    }
                }
            }
        }
    }
}
