//! Winograd's transforms along one axis in vectors, spelled out: F(2,3), F(4,3), F(2,5) and F(4,5) of `ops/conv/winograd.rs`, whose matrices the tests hold
//! them to.

use crate::cpu::kernel::PANEL;
use pulp::Simd;
use std::marker::PhantomData;

/// A transform along one axis, spelled out: sums in the order whose roundings `Transform::roundings` counts.
pub(crate) trait Along<const REACH: usize, const LINES: usize, const TILE: usize, const TAPS: usize> {
    /// B^T d.
    fn input<S: Simd>(simd: S, d: [S::f32s; REACH]) -> [S::f32s; LINES];
    /// G g, of a panel of filters.
    fn filter(g: [[f32; PANEL]; TAPS]) -> [[f32; PANEL]; LINES];
    /// A^T m.
    fn output<S: Simd>(simd: S, m: [S::f32s; LINES]) -> [S::f32s; TILE];
}

/// Their adjoints, which the gradient by the filter has.
pub(crate) trait Gradient<const LINES: usize, const TILE: usize, const TAPS: usize> {
    /// A y.
    fn output_adjoint<S: Simd>(simd: S, y: [S::f32s; TILE]) -> [S::f32s; LINES];
    /// G^T m.
    fn filter_adjoint(m: [[f32; PANEL]; LINES]) -> [[f32; PANEL]; TAPS];
}

/// What makes the values of a transformed tile along one axis.
pub(crate) trait Values<const FROM: usize, const LINES: usize> {
    fn of<S: Simd>(simd: S, from: [S::f32s; FROM]) -> [S::f32s; LINES];
}

/// Of the tensor that windows read: B^T d.
pub(crate) struct Forward<W, const TILE: usize, const TAPS: usize>(PhantomData<W>);

impl<W: Along<REACH, LINES, TILE, TAPS>, const REACH: usize, const LINES: usize, const TILE: usize, const TAPS: usize> Values<REACH, LINES>
    for Forward<W, TILE, TAPS>
{
    #[inline(always)]
    fn of<S: Simd>(simd: S, d: [S::f32s; REACH]) -> [S::f32s; LINES] {
        W::input(simd, d)
    }
}

/// Of a gradient by the outputs: A y.
pub(crate) struct Adjoint<W, const TAPS: usize>(PhantomData<W>);

impl<W: Gradient<LINES, TILE, TAPS>, const LINES: usize, const TILE: usize, const TAPS: usize> Values<TILE, LINES> for Adjoint<W, TAPS> {
    #[inline(always)]
    fn of<S: Simd>(simd: S, y: [S::f32s; TILE]) -> [S::f32s; LINES] {
        W::output_adjoint(simd, y)
    }
}

/// F(2,3).
pub(crate) struct F2;
/// F(4,3).
pub(crate) struct F4;
/// F(2,5).
pub(crate) struct F2Of5;
/// F(4,5).
pub(crate) struct F4Of5;

/// The sum of so much of each, element by element.
#[inline(always)]
fn weigh<const N: usize>(terms: [([f32; PANEL], f32); N]) -> [f32; PANEL] {
    std::array::from_fn(|k| terms[1..].iter().fold(terms[0].0[k] * terms[0].1, |sum, (own, times)| sum + own[k] * times))
}

/// times (a + b) and times (a - b), element by element.
#[inline(always)]
fn both(times: f32, a: [f32; PANEL], b: [f32; PANEL]) -> [[f32; PANEL]; 2] {
    [std::array::from_fn(|k| (a[k] + b[k]) * times), std::array::from_fn(|k| (a[k] - b[k]) * times)]
}

impl Along<4, 4, 2, 3> for F2 {
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::f32s; 4]) -> [S::f32s; 4] {
        [simd.sub_f32s(d[0], d[2]), simd.add_f32s(d[1], d[2]), simd.sub_f32s(d[2], d[1]), simd.sub_f32s(d[1], d[3])]
    }

    #[inline(always)]
    fn filter([a, b, c]: [[f32; PANEL]; 3]) -> [[f32; PANEL]; 4] {
        [a, weigh([(a, 0.5), (b, 0.5), (c, 0.5)]), weigh([(a, 0.5), (b, -0.5), (c, 0.5)]), c]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::f32s; 4]) -> [S::f32s; 2] {
        let (sum, difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        [simd.add_f32s(m[0], sum), simd.sub_f32s(difference, m[3])]
    }
}

impl Gradient<4, 2, 3> for F2 {
    #[inline(always)]
    fn output_adjoint<S: Simd>(simd: S, y: [S::f32s; 2]) -> [S::f32s; 4] {
        [y[0], simd.add_f32s(y[0], y[1]), simd.sub_f32s(y[0], y[1]), simd.neg_f32s(y[1])]
    }

    #[inline(always)]
    fn filter_adjoint([a, b, c, d]: [[f32; PANEL]; 4]) -> [[f32; PANEL]; 3] {
        let [even, odd] = both(0.5, b, c);
        [weigh([(a, 1.0), (even, 1.0)]), odd, weigh([(even, 1.0), (d, 1.0)])]
    }
}

impl Along<6, 6, 4, 3> for F4 {
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let times = |c: f32, a: S::f32s, b: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(c), a, b); // c a + b
        let of = |c: f32, a: S::f32s| simd.mul_f32s(simd.splat_f32s(c), a);
        let (even, odd) = (times(-4.0, d[2], d[4]), times(0.5, d[3], of(-2.0, d[1])));
        let (far_even, far_odd) = (times(-0.25, d[2], d[4]), times(2.0, d[3], of(-0.5, d[1])));
        [
            simd.add_f32s(times(-4.25, d[2], d[0]), d[4]),
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(far_even, far_odd),
            simd.sub_f32s(far_even, far_odd),
            simd.add_f32s(times(-4.25, d[3], d[1]), d[5]),
        ]
    }

    #[inline(always)]
    fn filter([a, b, c]: [[f32; PANEL]; 3]) -> [[f32; PANEL]; 6] {
        const N: f32 = 1.0 / 15.0;
        const T: f32 = 1.0 / 30.0;
        [
            a,
            weigh([(a, -8.0 * N), (b, -4.0 * N), (c, -2.0 * N)]),
            weigh([(a, -8.0 * N), (b, 4.0 * N), (c, -2.0 * N)]),
            weigh([(a, T), (b, 2.0 * T), (c, 4.0 * T)]),
            weigh([(a, T), (b, -2.0 * T), (c, 4.0 * T)]),
            c,
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let times = |c: f32, a: S::f32s, b: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(c), a, b); // c a + b
        let of = |c: f32, a: S::f32s| simd.mul_f32s(simd.splat_f32s(c), a);
        let (near, far) = (simd.add_f32s(m[1], m[2]), simd.add_f32s(m[3], m[4]));
        let (near_odd, far_odd) = (simd.sub_f32s(m[1], m[2]), simd.sub_f32s(m[3], m[4]));
        [
            simd.add_f32s(m[0], simd.add_f32s(near, far)),
            times(2.0, far_odd, of(0.5, near_odd)),
            times(4.0, far, of(0.25, near)),
            simd.add_f32s(times(8.0, far_odd, of(0.125, near_odd)), m[5]),
        ]
    }
}

impl Gradient<6, 4, 3> for F4 {
    #[inline(always)]
    fn output_adjoint<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
        let times = |c: f32, a: S::f32s, b: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(c), a, b); // c a + b
        let of = |c: f32, a: S::f32s| simd.mul_f32s(simd.splat_f32s(c), a);
        let (even, odd) = (times(0.25, y[2], y[0]), times(0.125, y[3], of(0.5, y[1])));
        let (far_even, far_odd) = (times(4.0, y[2], y[0]), times(8.0, y[3], of(2.0, y[1])));
        [y[0], simd.add_f32s(even, odd), simd.sub_f32s(even, odd), simd.add_f32s(far_even, far_odd), simd.sub_f32s(far_even, far_odd), y[3]]
    }

    #[inline(always)]
    fn filter_adjoint([a, b, c, d, e, f]: [[f32; PANEL]; 6]) -> [[f32; PANEL]; 3] {
        let ([even, odd], [far_even, far_odd]) = (both(2.0 / 15.0, b, c), both(1.0 / 30.0, d, e));
        [weigh([(a, 1.0), (even, -4.0), (far_even, 1.0)]), weigh([(odd, -2.0), (far_odd, 2.0)]), weigh([(even, -1.0), (far_even, 4.0), (f, 1.0)])]
    }
}

impl Along<6, 7, 2, 5> for F2Of5 {
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 7] {
        let [a, b, c, e] = F2::input(simd, [d[0], d[1], d[2], d[3]]);
        [a, b, c, e, simd.sub_f32s(d[3], d[4]), d[4], simd.sub_f32s(d[5], d[4])]
    }

    #[inline(always)]
    fn filter([a, b, c, d, e]: [[f32; PANEL]; 5]) -> [[f32; PANEL]; 7] {
        let [first, second, third, fourth] = F2::filter([a, b, c]);
        [first, second, third, fourth, d, both(1.0, d, e)[0], e]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::f32s; 7]) -> [S::f32s; 2] {
        let [near, far] = F2::output(simd, [m[0], m[1], m[2], m[3]]);
        [simd.add_f32s(near, simd.add_f32s(m[4], m[5])), simd.add_f32s(far, simd.add_f32s(m[5], m[6]))]
    }
}

impl Along<8, 8, 4, 5> for F4Of5 {
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::f32s; 8]) -> [S::f32s; 8] {
        let times = |c: f32, a: S::f32s, b: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(c), a, b); // c a + b
        let of = |c: f32, a: S::f32s| simd.mul_f32s(simd.splat_f32s(c), a);
        let (one_even, one_odd) = (times(-4.25, d[4], simd.add_f32s(d[2], d[6])), times(-4.25, d[3], simd.add_f32s(d[1], d[5])));
        let (two_even, two_odd) = (times(-1.25, d[4], times(0.25, d[2], d[6])), times(-2.5, d[3], times(2.0, d[5], of(0.5, d[1]))));
        let (half_even, half_odd) = (times(-5.0, d[4], times(4.0, d[2], d[6])), times(-2.5, d[3], times(0.5, d[5], of(2.0, d[1]))));
        [
            times(5.25, simd.sub_f32s(d[4], d[2]), simd.sub_f32s(d[0], d[6])),
            simd.add_f32s(one_even, one_odd),
            simd.sub_f32s(one_even, one_odd),
            simd.add_f32s(two_even, two_odd),
            simd.sub_f32s(two_even, two_odd),
            simd.add_f32s(half_even, half_odd),
            simd.sub_f32s(half_even, half_odd),
            times(5.25, simd.sub_f32s(d[3], d[5]), simd.sub_f32s(d[7], d[1])),
        ]
    }

    #[inline(always)]
    fn filter([a, b, c, d, e]: [[f32; PANEL]; 5]) -> [[f32; PANEL]; 8] {
        let [one, minus_one] = both(-2.0 / 9.0, weigh([(a, 1.0), (c, 1.0), (e, 1.0)]), weigh([(b, 1.0), (d, 1.0)]));
        let [two, minus_two] = both(1.0 / 90.0, weigh([(a, 1.0), (c, 4.0), (e, 16.0)]), weigh([(b, 2.0), (d, 8.0)]));
        let [half, minus_half] = both(2.0 / 45.0, weigh([(a, 16.0), (c, 4.0), (e, 1.0)]), weigh([(b, 8.0), (d, 2.0)]));
        [a, one, minus_one, two, minus_two, half, minus_half, e]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::f32s; 8]) -> [S::f32s; 4] {
        let times = |c: f32, a: S::f32s, b: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(c), a, b); // c a + b
        let of = |c: f32, a: S::f32s| simd.mul_f32s(simd.splat_f32s(c), a);
        let [one, two, half] = [1, 3, 5].map(|i| simd.add_f32s(m[i], m[i + 1]));
        let [one_odd, two_odd, half_odd] = [1, 3, 5].map(|i| simd.sub_f32s(m[i], m[i + 1]));
        [
            simd.add_f32s(simd.add_f32s(m[0], one), simd.add_f32s(two, half)),
            simd.add_f32s(one_odd, times(2.0, two_odd, of(0.5, half_odd))),
            simd.add_f32s(one, times(4.0, two, of(0.25, half))),
            simd.add_f32s(times(8.0, two_odd, one_odd), times(0.125, half_odd, m[7])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::Algorithm;
    use crate::ops::conv::winograd::Transform;
    use pulp::{Arch, WithSimd};

    struct Columns<const REACH: usize, const LINES: usize, const TILE: usize, const TAPS: usize, W>(PhantomData<W>);

    impl<const REACH: usize, const LINES: usize, const TILE: usize, const TAPS: usize, W> WithSimd for Columns<REACH, LINES, TILE, TAPS, W>
    where
        W: Along<REACH, LINES, TILE, TAPS>,
    {
        /// By column, B^T, G and A^T.
        type Output = [Vec<Vec<f64>>; 3];

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let first = |v: S::f32s| {
                let mut own = [0.0f32; 16];
                simd.partial_store_f32s(&mut own[..S::F32_LANES], v);
                f64::from(own[0])
            };
            let unit = |i: usize, at: usize| simd.splat_f32s(f32::from(i == at));
            let input = (0..REACH).map(|at| W::input(simd, std::array::from_fn(|i| unit(i, at))).map(first).to_vec()).collect();
            let output = (0..LINES).map(|at| W::output(simd, std::array::from_fn(|i| unit(i, at))).map(first).to_vec()).collect();
            let filter =
                (0..TAPS).map(|at| W::filter(std::array::from_fn(|i| [f32::from(i == at); PANEL])).map(|v| f64::from(v[0])).to_vec()).collect();
            [input, filter, output]
        }
    }

    fn check<W, const REACH: usize, const LINES: usize, const TILE: usize, const TAPS: usize>(algorithm: Algorithm)
    where
        W: Along<REACH, LINES, TILE, TAPS>,
    {
        let transform = Transform::of(algorithm, TAPS as u64).unwrap();
        let columns = Arch::new().dispatch(Columns::<REACH, LINES, TILE, TAPS, W>(PhantomData));
        for (matrix, columns) in [transform.input, transform.filter, transform.output].into_iter().zip(&columns) {
            assert_eq!(matrix[0].len(), columns.len());
            for (i, row) in matrix.iter().enumerate() {
                for (j, want) in row.iter().enumerate() {
                    // Two roundings: of the constant, and of its product.
                    assert!((columns[j][i] - want).abs() <= f64::from(f32::EPSILON) * want.abs(), "{i} {j}: {} instead of {want}", columns[j][i]);
                }
            }
        }
    }

    struct GradientColumns<const LINES: usize, const TILE: usize, const TAPS: usize, W>(PhantomData<W>);

    impl<const LINES: usize, const TILE: usize, const TAPS: usize, W: Gradient<LINES, TILE, TAPS>> WithSimd for GradientColumns<LINES, TILE, TAPS, W> {
        /// By row of A^T, and of G: what each of their numbers makes of 1.
        type Output = [Vec<Vec<f64>>; 2];

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let first = |v: S::f32s| {
                let mut own = [0.0f32; 16];
                simd.partial_store_f32s(&mut own[..S::F32_LANES], v);
                f64::from(own[0])
            };
            let unit = |i: usize, at: usize| simd.splat_f32s(f32::from(i == at));
            let output = (0..TILE).map(|at| W::output_adjoint(simd, std::array::from_fn(|i| unit(i, at))).map(first).to_vec()).collect();
            let of_unit = |at: usize| W::filter_adjoint(std::array::from_fn(|i| [f32::from(i == at); PANEL]));
            [output, (0..LINES).map(|at| of_unit(at).map(|v| f64::from(v[0])).to_vec()).collect()]
        }
    }

    fn check_gradient<W, const LINES: usize, const TILE: usize, const TAPS: usize>(algorithm: Algorithm)
    where
        W: Gradient<LINES, TILE, TAPS>,
    {
        let transform = Transform::of(algorithm, TAPS as u64).unwrap();
        let rows = Arch::new().dispatch(GradientColumns::<LINES, TILE, TAPS, W>(PhantomData));
        for (matrix, rows) in [transform.output, transform.filter].into_iter().zip(&rows) {
            assert_eq!(matrix.len(), rows.len());
            for (want, got) in matrix.iter().zip(rows).flat_map(|(want, got)| want.iter().zip(got)) {
                assert!((got - want).abs() <= 2.0 * f64::from(f32::EPSILON) * want.abs(), "{got} instead of {want}");
            }
        }
    }

    #[test]
    fn gradients_have_the_transposed_matrices() {
        check_gradient::<F2, 4, 2, 3>(Algorithm::WinogradF2);
        check_gradient::<F4, 6, 4, 3>(Algorithm::WinogradF4);
    }

    #[test]
    fn what_is_spelled_out_is_the_matrices() {
        check::<F2, 4, 4, 2, 3>(Algorithm::WinogradF2);
        check::<F4, 6, 6, 4, 3>(Algorithm::WinogradF4);
        check::<F2Of5, 6, 7, 2, 5>(Algorithm::WinogradF2);
        check::<F4Of5, 8, 8, 4, 5>(Algorithm::WinogradF4);
    }
}
