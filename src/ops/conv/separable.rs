//! Separable filters: a convolution of one channel at a time as two convolutions of one axis each.
//!
//! A plane W of a filter is separable where f32 numbers c and r have c_i r_j = W_ij without any rounding: where its rank is 1. Then
//! y = sum_i c_i (sum_j r_j x_ij) is the same sum. The test is exact, so a plane that is nearly of rank 1, such as a Gaussian whose weights were rounded
//! one by one, stays as it is.
//!
//! The error of the two passes, plain sums of R and S terms: a product passes at most S roundings in the row and R in the column, so
//! |computed - y| <= gamma_(R+S) sum |W| |x| (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), since |c_i| |r_j| = |W_ij|. That is within
//! gamma_(R S) sum |W| |x|, the bound of the plain sum, for windows of at least 2 x 2. What is below the smallest normal number may vanish in either pass:
//! at most S UNDERFLOW sum |c| + R UNDERFLOW more. The row is scaled by a power of two so that its absolute values sum to 1/4 to 1/2: a finite x
//! gives finite sums of rows, and infinities and NaN reach the outputs that they reach in one pass.

use crate::numeric::Accuracy;
use crate::ops::conv::descriptor::ConvDescriptor;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::{Activation, ElementType, Padding};

/// Taps along either axis at most: larger windows have Fourier transforms, and kernels along a row of many taps are slow on lavapipe
/// (benchmarks/results/2026-11-27-separable.md).
const MOST_TAPS: u64 = 13;
/// Multiply-adds that take as long as one byte to or from memory. Processors and GPUs have more of them; a pass saves little where it saves few.
const MULTIPLY_ADDS_OF_A_BYTE: u128 = 4;
/// Multiply-adds that take as long as one more dispatch.
const MULTIPLY_ADDS_OF_A_DISPATCH: u128 = 1 << 22;

/// A convolution as two: what they are, and their filters. The first takes x; the second takes what the first gives, and the bias and residual of the
/// whole, and has its activation and pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Separated {
    /// In the order in which they run.
    pub descriptors: [ConvDescriptor<2>; 2],
    /// Extents of their filters, K 1 kH kW.
    pub extents: [[usize; 4]; 2],
    /// Their filters.
    pub filters: [Vec<f32>; 2],
    /// Multiply-adds of both together.
    pub multiply_adds: u64,
}

/// A column and a row whose products are this plane, row after row, without rounding; none where there are no such f32 numbers. Zeros of a plane of zeros.
///
/// ```
/// use wgconv::conv::separate_plane;
/// let sobel = [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0];
/// assert_eq!(separate_plane(&sobel, 3), Some([vec![8.0, 16.0, 8.0], vec![-0.125, 0.0, 0.125]]));
/// assert_eq!(separate_plane(&[1.0, 2.0, 2.0, 4.000001], 2), None);
/// ```
pub fn separate_plane(plane: &[f32], columns: usize) -> Option<[Vec<f32>; 2]> {
    if columns == 0 || plane.is_empty() || !plane.len().is_multiple_of(columns) || plane.iter().any(|w| !w.is_finite()) {
        return None;
    }
    let rows = plane.len() / columns;
    let largest = (0..plane.len()).max_by(|&a, &b| plane[a].abs().total_cmp(&plane[b].abs()))?;
    if plane[largest] == 0.0 {
        return Some([vec![0.0; rows], vec![0.0; columns]]);
    }
    // Of a plane of rank 1 this row over the odd numbers that divide all of it is the row up to a power of two, by Gauss's lemma: what is left for the
    // column are whole numbers times powers of two, of no more digits than the plane has.
    let (pivot, at) = (largest / columns, largest % columns);
    let whole = &plane[pivot * columns..][..columns];
    let divisor = whole.iter().filter(|w| **w != 0.0).fold(0, |divisor, w| greatest_common_divisor(divisor, odd_part(*w)));
    let magnitude: f64 = whole.iter().map(|w| f64::from(w.abs()) / f64::from(divisor)).sum();
    // A power of two, exactly: the exponent is far inside f64's range.
    let scale = 2f64.powi(-2 - magnitude.log2().floor() as i32);
    let row: Vec<f32> = whole.iter().map(|w| (f64::from(*w) / f64::from(divisor) * scale) as f32).collect();
    let column: Vec<f32> = (0..rows).map(|i| (f64::from(plane[i * columns + at]) / f64::from(row[at])) as f32).collect();
    // A product of two f32 numbers is exact in f64. Subnormal factors may be zero to a device.
    let is_full = |v: &f32| *v == 0.0 || v.is_normal();
    let is_product = |(i, w): (usize, &f32)| f64::from(column[i / columns]) * f64::from(row[i % columns]) == f64::from(*w);
    (row.iter().chain(&column).all(is_full) && plane.iter().enumerate().all(is_product)).then_some([column, row])
}

/// The odd factor of the significand of a number that is finite and not 0.
fn odd_part(w: f32) -> u32 {
    let bits = w.to_bits();
    let significand = bits & 0x7f_ffff | if bits & 0x7f80_0000 == 0 { 0 } else { 0x80_0000 };
    significand >> significand.trailing_zeros()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

impl ConvProblem {
    /// This convolution as two passes along one axis each, where every plane of `filter` is a column times a row exactly, and where that is less work:
    /// the multiply-adds that are saved outweigh what is written between the passes and read again (4 multiply-adds a byte), and another dispatch (2^22).
    /// Of f32 tensors with two axes and one channel a group, and of windows of at most 13 taps along either axis; a forced algorithm and [`Accuracy::Exact`] keep the one pass.
    ///
    /// ```
    /// use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
    /// # fn main() -> wgconv::Result<()> {
    /// let (x, filter) = ([1, 1, 1080, 1920], [1, 1, 9, 9]);
    /// let blur = ConvProblem::forward(&ConvInputs::new(&x, &filter, None), &Conv2dDescriptor::default())?;
    /// let passes = blur.separated(&[1.0 / 81.0; 81]).unwrap();
    /// assert_eq!(passes.extents, [[1, 1, 9, 1], [1, 1, 1, 9]]);       // a column of the frame first: fewer rows are left for the second
    /// assert!(passes.multiply_adds * 4 < blur.multiply_adds());
    /// # Ok(())
    /// # }
    /// ```
    pub fn separated(&self, filter: &[f32]) -> Option<Separated> {
        let [_, high, wide] = self.axes;
        let is_plain = self.rank == 2 && self.direction == Direction::Forward && self.channels_per_group() == 1 && self.element == ElementType::F32;
        if !is_plain
            || self.accuracy == Accuracy::Exact
            || self.algorithm.is_some()
            || [high, wide].iter().any(|axis| !(2..=MOST_TAPS).contains(&axis.filter))
        {
            return None;
        }
        let planes = u128::from(self.batch) * u128::from(self.out_channels);
        let (outputs, rows_first) = (high.output * wide.output, high.input * wide.output);
        let columns_first = high.output * wide.input;
        let work =
            |between: u64, first: u64, second: u64| planes * (u128::from(between) * u128::from(first) + u128::from(outputs) * u128::from(second));
        let by_rows = (work(rows_first, wide.filter, high.filter), rows_first);
        let by_columns = (work(columns_first, high.filter, wide.filter), columns_first);
        let (multiply_adds, between) = by_rows.min(by_columns);
        let bytes = planes * u128::from(between) * u128::from(2 * ElementType::F32.bytes());
        // The extra dispatch is one, however many images there are: a single image must be worth it.
        let saved = self.products().checked_sub(multiply_adds)?.checked_sub(bytes * MULTIPLY_ADDS_OF_A_BYTE)?;
        if saved / u128::from(self.batch) < MULTIPLY_ADDS_OF_A_DISPATCH || filter.len() as u64 != self.filter_count() {
            return None;
        }
        let taps = [high.filter as usize, wide.filter as usize];
        let mut factors = [vec![], vec![]];
        for plane in filter.chunks_exact(taps[0] * taps[1]) {
            let parts = separate_plane(plane, taps[1])?;
            factors.iter_mut().zip(parts).for_each(|(all, part)| all.extend(part));
        }
        let along = |vertical: bool, groups: u64| {
            let axis = if vertical { high } else { wide };
            let only = |value: u64, other: usize| if vertical { [value as usize, other] } else { [other, value as usize] };
            ConvDescriptor::<2> {
                stride: only(axis.stride, 1),
                dilation: only(axis.dilation, 1),
                // Pads of a convolution are not negative.
                padding: Padding::Explicit { begin: only(axis.pad_begin.unsigned_abs(), 0), end: only(axis.pad_end.unsigned_abs(), 0) },
                padding_mode: self.padding_mode,
                groups: groups as usize,
                activation: Activation::None,
                pool: None,
                accuracy: self.accuracy,
                algorithm: None,
            }
        };
        let vertical_first = by_columns < by_rows;
        let [first, second] = [vertical_first, !vertical_first];
        let last = ConvDescriptor { activation: self.activation, pool: self.pool, ..along(second, self.out_channels) };
        let filters = self.out_channels as usize;
        let extents = [[filters, 1, taps[0], 1], [filters, 1, 1, taps[1]]];
        let [column, row] = factors;
        let multiply_adds = u64::try_from(multiply_adds).unwrap_or(u64::MAX);
        Some(if vertical_first {
            Separated { descriptors: [along(first, self.groups), last], extents, filters: [column, row], multiply_adds }
        } else {
            Separated { descriptors: [along(first, self.groups), last], extents: [extents[1], extents[0]], filters: [row, column], multiply_adds }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Generator;
    use crate::ops::conv::problem::ConvInputs;

    fn product(column: &[f32], row: &[f32]) -> Vec<f32> {
        column.iter().flat_map(|c| row.iter().map(move |r| c * r)).collect()
    }

    /// Numbers of 12 bits and any exponent: their products are exact.
    fn short(generator: &mut Generator, count: usize) -> Vec<f32> {
        let mut number = || generator.integer(2047) as f32 * 2f32.powi(generator.below(40) as i32 - 20);
        (0..count).map(|_| number()).collect()
    }

    #[test]
    fn products_are_found_and_give_the_plane_back() {
        let mut generator = Generator::from_text("separable");
        for i in 0..2000 {
            let (rows, columns) = (1 + i % 7, 1 + i / 7 % 9);
            let plane = product(&short(&mut generator, rows), &short(&mut generator, columns));
            let [column, row] = separate_plane(&plane, columns).unwrap();
            assert_eq!(product(&column, &row), plane, "{i}");
            let sum: f64 = row.iter().map(|r| f64::from(r.abs())).sum();
            assert!(sum == 0.0 || (0.25..=0.5).contains(&sum), "{i}: {sum}");
        }
    }

    /// Odd parts that share factors: the row that is found is not the one that the plane was made of.
    #[test]
    fn numbers_of_24_bits_are_found_where_their_products_have_no_more() {
        let (column, row) = ([3.0, 0.1875, -5.0, 0.0], [1_398_101.0, 0.0, -2_796_203.0]);
        let plane = product(&column, &row);
        let [column, row] = separate_plane(&plane, 3).unwrap();
        assert_eq!(product(&column, &row), plane);
    }

    /// The last bit of a single weight is seen, wherever it stands.
    #[test]
    fn one_bit_in_one_weight_is_no_product() {
        let plane = product(&[3.0, 5.0, 7.0], &[0.25, 11.0, 13.0]);
        assert!(separate_plane(&plane, 3).is_some());
        for i in 0..plane.len() {
            let mut other = plane.clone();
            other[i] = f32::from_bits(other[i].to_bits() + 1);
            assert_eq!(separate_plane(&other, 3), None, "{i}");
        }
        // Rounded one by one, the weights of a bell are no product.
        let bell: Vec<f64> = (-4..=4).map(|i| (-0.5 * (f64::from(i) / 1.5f64).powi(2)).exp()).collect();
        let rounded: Vec<f32> = bell.iter().flat_map(|a| bell.iter().map(move |b| (a * b) as f32)).collect();
        assert_eq!(separate_plane(&rounded, 9), None);
    }

    #[test]
    fn what_no_f32_factors_have_is_none() {
        for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(separate_plane(&[1.0, special, 2.0, 3.0], 2), None);
        }
        assert_eq!(separate_plane(&[], 2), None);
        assert_eq!(separate_plane(&[1.0, 2.0, 3.0], 2), None);
        // Beside 1 the row would have a subnormal number.
        assert_eq!(separate_plane(&[1.0, f32::MIN_POSITIVE, 2.0, 2.0 * f32::MIN_POSITIVE], 2), None);
        // The column would pass the largest number.
        assert_eq!(separate_plane(&[f32::MAX; 9], 3), None);
        assert_eq!(separate_plane(&[0.0; 6], 3), Some([vec![0.0; 2], vec![0.0; 3]]));
        assert!(separate_plane(&[f32::MAX / 16.0; 9], 3).is_some());
    }

    fn blur(x: [usize; 4], taps: [usize; 2], descriptor: ConvDescriptor<2>) -> ConvProblem {
        let filter = [x[1], 1, taps[0], taps[1]];
        ConvProblem::forward(&ConvInputs::new(&x, &filter, None), &ConvDescriptor { groups: x[1], ..descriptor }).unwrap()
    }

    #[test]
    fn two_passes_are_taken_where_they_are_less_work() {
        let plain = ConvDescriptor::default();
        let is = |x, [rows, columns]: [usize; 2], descriptor| {
            let problem = blur(x, [rows, columns], descriptor);
            problem.separated(&vec![0.5; problem.filter_count() as usize]).is_some()
        };
        let frame = [1, 3, 1080, 1920];
        for (taps, wanted) in [
            ([3, 3], false),
            ([5, 5], false),
            ([7, 7], true),
            ([9, 9], true),
            ([13, 13], true),
            ([14, 13], false),
            ([31, 31], false),
            ([2, 13], false),
            ([1, 9], false),
            ([9, 1], false),
        ] {
            assert_eq!(is(frame, taps, plain), wanted, "{taps:?}");
        }
        assert!(!is([8, 3, 32, 32], [7, 7], plain), "a small image is not worth another dispatch");
        assert!(!is(frame, [9, 9], ConvDescriptor { stride: [4, 4], ..plain }), "few outputs, and many rows between the passes");
        assert!(is(frame, [13, 13], ConvDescriptor { stride: [2, 2], ..plain }));
        assert!(!is(frame, [9, 9], ConvDescriptor { accuracy: Accuracy::Exact, ..plain }));
        assert!(!is(frame, [9, 9], ConvDescriptor { algorithm: Some(crate::ops::conv::descriptor::Algorithm::Direct), ..plain }));
    }

    /// Whatever was counted is what the two problems count.
    #[test]
    fn the_passes_make_the_same_output_and_count_their_work() {
        let padded = Padding::Explicit { begin: [5, 3], end: [2, 7] };
        for (stride, dilation) in [([1, 1], [1, 1]), ([1, 2], [2, 1]), ([2, 1], [1, 3])] {
            let descriptor = ConvDescriptor { stride, dilation, padding: padded, activation: Activation::Relu, ..Default::default() };
            let problem = blur([2, 4, 300, 260], [13, 11], descriptor);
            let passes = problem.separated(&vec![3.0; problem.filter_count() as usize]).unwrap();
            let mut x = problem.input_extents();
            let mut work = 0;
            for (descriptor, extents) in passes.descriptors.iter().zip(&passes.extents) {
                let pass = ConvProblem::forward(&ConvInputs::new(&x, extents, None), descriptor).unwrap();
                work += pass.multiply_adds();
                x = pass.output_extents();
            }
            assert_eq!((x, work), (problem.output_extents(), passes.multiply_adds));
            assert_eq!([passes.descriptors[0].activation, passes.descriptors[1].activation], [Activation::None, Activation::Relu]);
        }
    }
}
