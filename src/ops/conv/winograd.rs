//! Winograd's transforms as data: the matrices of F(2,3), F(4,3), F(2,5) and F(4,5), and how much rounding errors grow in them.
//!
//! Matrices are Toom and Cook's interpolation, transposed (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, section 4): with points
//! p_i and N_i the product of (p_i - p_j) over the other points, row i of G is p_i^0 .. p_i^(r-1) over N_i, row i of B^T the coefficients of the product of
//! (x - p_j), column i of A^T p_i^0 .. p_i^(m-1); the point at infinity takes the highest coefficients. Scaling a row of G and the same of B^T by reciprocal
//! numbers changes nothing. Of points with small numerators and denominators, those are taken whose [`Transform::amplification`] is the smallest.

use crate::numeric::bound::gamma;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::ConvProblem;
use crate::types::ElementType;

/// The transforms along one axis, as matrices; the shaders `conv/winograd_*.wgsl` and `cpu/winograd_axis.rs` spell them out.
pub(crate) struct Transform {
    /// Outputs of a tile: m of F(m,r).
    pub tile: u64,
    /// Taps of a window: r of F(m,r).
    pub taps: u64,
    /// B^T: a tile of the input, m + r - 1 elements, becomes as many values as it has rows.
    pub input: &'static [&'static [f64]],
    /// G: the taps become as many values.
    pub filter: &'static [&'static [f64]],
    /// A^T: sums of products become outputs.
    pub output: &'static [&'static [f64]],
    /// Most roundings that a value meets on its way through all three, as the shaders compute them.
    roundings: u64,
    /// The same of the gradient by the filter: the input's transform, A and G^T.
    gradient_roundings: u64,
}

/// An axis with one tap is left as it is.
static NONE: Transform = Transform { tile: 1, taps: 1, input: &[&[1.0]], filter: &[&[1.0]], output: &[&[1.0]], roundings: 0, gradient_roundings: 0 };

/// F(2,3): points 0, 1, -1, infinity. Roundings: 1 of the input, 2 of the filter, 2 of the output; of the gradient 1, 1 of A and 2 of G^T.
static F2_3: Transform = Transform {
    tile: 2,
    taps: 3,
    input: &[&[1.0, 0.0, -1.0, 0.0], &[0.0, 1.0, 1.0, 0.0], &[0.0, -1.0, 1.0, 0.0], &[0.0, 1.0, 0.0, -1.0]],
    filter: &[&[1.0, 0.0, 0.0], &[0.5, 0.5, 0.5], &[0.5, -0.5, 0.5], &[0.0, 0.0, 1.0]],
    output: &[&[1.0, 1.0, 1.0, 0.0], &[0.0, 1.0, -1.0, -1.0]],
    roundings: 5,
    gradient_roundings: 4,
};

/// F(4,3): points 0, 1/2, -1/2, 2, -2, infinity. Roundings: 3 of the input (a product with 4.25, two sums), 4 of the filter (two sums, a
/// product, its constant), 3 of the output; of the gradient 3, 2 of A and 5 of G^T (three sums, a product, its constant).
static F4_3: Transform = Transform {
    tile: 4,
    taps: 3,
    input: &[
        &[1.0, 0.0, -4.25, 0.0, 1.0, 0.0],
        &[0.0, -2.0, -4.0, 0.5, 1.0, 0.0],
        &[0.0, 2.0, -4.0, -0.5, 1.0, 0.0],
        &[0.0, -0.5, -0.25, 2.0, 1.0, 0.0],
        &[0.0, 0.5, -0.25, -2.0, 1.0, 0.0],
        &[0.0, 1.0, 0.0, -4.25, 0.0, 1.0],
    ],
    filter: &[
        &[1.0, 0.0, 0.0],
        &[-8.0 / 15.0, -4.0 / 15.0, -2.0 / 15.0],
        &[-8.0 / 15.0, 4.0 / 15.0, -2.0 / 15.0],
        &[1.0 / 30.0, 2.0 / 30.0, 4.0 / 30.0],
        &[1.0 / 30.0, -2.0 / 30.0, 4.0 / 30.0],
        &[0.0, 0.0, 1.0],
    ],
    output: &[
        &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        &[0.0, 0.5, -0.5, 2.0, -2.0, 0.0],
        &[0.0, 0.25, 0.25, 4.0, 4.0, 0.0],
        &[0.0, 0.125, -0.125, 8.0, -8.0, 1.0],
    ],
    roundings: 10,
    gradient_roundings: 10,
};

/// F(2,5) in seven products: F(2,3) of the first three taps, and F(2,2) of the last two (d4 (g3 + g4), (d3 - d4) g3, (d5 - d4) g4). Its amplification is 12.
/// With many channels C, plain sums of r taps an axis err by r C gamma_(r C), so that r^2 = 25 is the most that [`Transforms::relative_error`] lets pass as
/// f32. Interpolation at six points takes six products and has 29.5 at the best points found (0, 1/2, -1/2, 2, -2, infinity); seven products with the
/// factor x^2 + 1 have 23. Roundings: 1 of the input, 2 of the filter, 3 of the output; of the
/// gradient 1, 1 of A and 2 of G^T.
static F2_5: Transform = Transform {
    tile: 2,
    taps: 5,
    input: &[
        &[1.0, 0.0, -1.0, 0.0, 0.0, 0.0],
        &[0.0, 1.0, 1.0, 0.0, 0.0, 0.0],
        &[0.0, -1.0, 1.0, 0.0, 0.0, 0.0],
        &[0.0, 1.0, 0.0, -1.0, 0.0, 0.0],
        &[0.0, 0.0, 0.0, 1.0, -1.0, 0.0],
        &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        &[0.0, 0.0, 0.0, 0.0, -1.0, 1.0],
    ],
    filter: &[
        &[1.0, 0.0, 0.0, 0.0, 0.0],
        &[0.5, 0.5, 0.5, 0.0, 0.0],
        &[0.5, -0.5, 0.5, 0.0, 0.0],
        &[0.0, 0.0, 1.0, 0.0, 0.0],
        &[0.0, 0.0, 0.0, 1.0, 0.0],
        &[0.0, 0.0, 0.0, 1.0, 1.0],
        &[0.0, 0.0, 0.0, 0.0, 1.0],
    ],
    output: &[&[1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0], &[0.0, 1.0, -1.0, -1.0, 0.0, 1.0, 1.0]],
    roundings: 6,
    gradient_roundings: 4,
};

/// F(4,5): points 0, 1, -1, 2, -2, 1/2, -1/2, infinity. Roundings: 3 of the input (a product with 1.25, 2.5, 4.25 or 5.25, two sums), 5 of the filter
/// (three sums, a product, its constant), 3 of the output; of the gradient 3, 2 of A and 6 of G^T (four sums, a product, its constant).
static F4_5: Transform = Transform {
    tile: 4,
    taps: 5,
    input: &[
        &[1.0, 0.0, -5.25, 0.0, 5.25, 0.0, -1.0, 0.0],
        &[0.0, 1.0, 1.0, -4.25, -4.25, 1.0, 1.0, 0.0],
        &[0.0, -1.0, 1.0, 4.25, -4.25, -1.0, 1.0, 0.0],
        &[0.0, 0.5, 0.25, -2.5, -1.25, 2.0, 1.0, 0.0],
        &[0.0, -0.5, 0.25, 2.5, -1.25, -2.0, 1.0, 0.0],
        &[0.0, 2.0, 4.0, -2.5, -5.0, 0.5, 1.0, 0.0],
        &[0.0, -2.0, 4.0, 2.5, -5.0, -0.5, 1.0, 0.0],
        &[0.0, -1.0, 0.0, 5.25, 0.0, -5.25, 0.0, 1.0],
    ],
    filter: &[
        &[1.0, 0.0, 0.0, 0.0, 0.0],
        &[-2.0 / 9.0, -2.0 / 9.0, -2.0 / 9.0, -2.0 / 9.0, -2.0 / 9.0],
        &[-2.0 / 9.0, 2.0 / 9.0, -2.0 / 9.0, 2.0 / 9.0, -2.0 / 9.0],
        &[1.0 / 90.0, 2.0 / 90.0, 4.0 / 90.0, 8.0 / 90.0, 16.0 / 90.0],
        &[1.0 / 90.0, -2.0 / 90.0, 4.0 / 90.0, -8.0 / 90.0, 16.0 / 90.0],
        &[32.0 / 45.0, 16.0 / 45.0, 8.0 / 45.0, 4.0 / 45.0, 2.0 / 45.0],
        &[32.0 / 45.0, -16.0 / 45.0, 8.0 / 45.0, -4.0 / 45.0, 2.0 / 45.0],
        &[0.0, 0.0, 0.0, 0.0, 1.0],
    ],
    output: &[
        &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        &[0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 0.0],
        &[0.0, 1.0, 1.0, 4.0, 4.0, 0.25, 0.25, 0.0],
        &[0.0, 1.0, -1.0, 8.0, -8.0, 0.125, -0.125, 1.0],
    ],
    roundings: 11,
    gradient_roundings: 11,
};

impl Transform {
    /// The transform by which an algorithm goes along an axis of so many taps, if there is one.
    pub fn of(algorithm: Algorithm, taps: u64) -> Option<&'static Self> {
        match (algorithm, taps) {
            (Algorithm::WinogradF2 | Algorithm::WinogradF4, 1) => Some(&NONE),
            (Algorithm::WinogradF2, 3) => Some(&F2_3),
            (Algorithm::WinogradF4, 3) => Some(&F4_3),
            (Algorithm::WinogradF2, 5) => Some(&F2_5),
            (Algorithm::WinogradF4, 5) => Some(&F4_5),
            _ => None,
        }
    }

    /// Values of a transformed tile.
    pub fn lines(&self) -> u64 {
        self.input.len() as u64
    }

    /// Elements of the input that a tile reads.
    pub fn reach(&self) -> u64 {
        self.tile + self.taps - 1
    }

    /// Whether small integers go through without rounding: all constants are binary fractions.
    fn is_exact(&self) -> bool {
        [self.input, self.filter, self.output].into_iter().flatten().copied().flatten().all(|v| (v * 64.0).fract() == 0.0)
    }

    /// How large an output may come out if every element of the input and of the filter is 1 or -1 and every sum is one of absolute values: what rounding
    /// errors are multiplied with. Plain sums have as much as there are taps.
    fn amplification(&self) -> f64 {
        self.largest(self.output.iter().map(|row| row.to_vec()), self.filter.iter().map(|row| row.to_vec()))
    }

    /// The same of the gradient by the filter, whose sums go through G^T and the other operand through A. Plain sums have as much as a tile has outputs.
    fn gradient_amplification(&self) -> f64 {
        self.largest(transposed(self.filter), transposed(self.output))
    }

    /// The largest sum of absolute values behind `last`, of what went through `first` and of the transformed input.
    fn largest(&self, last: impl Iterator<Item = Vec<f64>>, first: impl Iterator<Item = Vec<f64>>) -> f64 {
        let absolute = |row: &[f64]| row.iter().map(|v| v.abs()).sum::<f64>();
        let products: Vec<f64> = first.zip(self.input).map(|(first, input)| absolute(&first) * absolute(input)).collect();
        last.map(|row| row.iter().zip(&products).map(|(a, product)| a.abs() * product).sum()).fold(0.0, f64::max)
    }
}

/// The columns of a matrix.
pub(crate) fn transposed(matrix: &'static [&'static [f64]]) -> impl Iterator<Item = Vec<f64>> {
    (0..matrix[0].len()).map(|column| matrix.iter().map(|row| row[column]).collect())
}

/// The transforms of a problem's plane.
#[derive(Clone, Copy)]
pub(crate) struct Transforms {
    pub height: &'static Transform,
    pub width: &'static Transform,
}

impl Transforms {
    /// The transforms of an algorithm, if it is one of this file's and knows windows of the problem's extents: along one axis, or along both with as many
    /// taps.
    pub fn of(algorithm: Algorithm, problem: &ConvProblem) -> Option<Self> {
        let [_, height, width] = problem.axes.each_ref().map(|axis| axis.filter);
        let is_known = height.max(width) > 1 && (height == width || height.min(width) == 1);
        let of = |taps: u64| Transform::of(algorithm, taps).filter(|_| is_known);
        Some(Self { height: of(height)?, width: of(width)? })
    }

    /// Along the height and the width.
    pub fn axes(&self) -> [&'static Transform; 2] {
        [self.height, self.width]
    }

    /// Taps along the axes that are transformed.
    pub fn taps(&self) -> u64 {
        self.height.taps.max(self.width.taps)
    }

    /// Values of a transformed tile.
    pub fn lines(&self) -> u64 {
        self.height.lines() * self.width.lines()
    }

    /// Whether small integers go through without rounding.
    pub fn is_exact(&self) -> bool {
        self.axes().into_iter().all(Transform::is_exact)
    }

    /// Roundings on the way to one output of `problem`: the transforms along both axes, the sum over the channels, bias and residual. Higham, as in
    /// [`crate::reference::conv::conv_error`]: the error is at most gamma of this, times the sum of absolute values.
    pub fn roundings(&self, problem: &ConvProblem) -> u64 {
        self.height.roundings + self.width.roundings + problem.channels_per_group() + 2 + u64::from(problem.has_residual)
    }

    /// Roundings of the transforms of a filter gradient, along both axes.
    pub fn gradient_roundings(&self) -> u64 {
        self.height.gradient_roundings + self.width.gradient_roundings
    }

    /// What rounding errors of a filter gradient are multiplied with ([`Transform::gradient_amplification`]).
    pub fn gradient_amplification(&self) -> f64 {
        self.height.gradient_amplification() * self.width.gradient_amplification()
    }

    /// The largest error of an output over all inputs and filters of magnitude 1, relative to the same of plain f32 sums: n gamma_(n+2). 1 where
    /// those are so long that they have no bound.
    pub fn relative_error(&self, problem: &ConvProblem) -> f64 {
        let unit = ElementType::F32.unit_roundoff();
        let (depth, channels) = (problem.reduction_depth(), problem.channels_per_group());
        let plain = depth as f64 * gamma(depth + 2 + u64::from(problem.has_residual), unit);
        let amplification = self.height.amplification() * self.width.amplification();
        let own = amplification * channels as f64 * gamma(self.roundings(problem), unit);
        if plain.is_infinite() { 1.0 } else { own / plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&Transform; 5] = [&NONE, &F2_3, &F4_3, &F2_5, &F4_5];

    /// y = A^T [(G g) * (B^T d)] is the valid correlation of d with g.
    #[test]
    fn the_matrices_compute_the_correlation() {
        for transform in ALL {
            let (d, g): (Vec<f64>, Vec<f64>) =
                ((0..transform.reach()).map(|i| (i * i) as f64 - 7.0).collect(), [3.0, -5.0, 11.0, 2.0, -13.0][..transform.taps as usize].to_vec());
            let dot = |row: &[f64], v: &[f64]| {
                assert_eq!(row.len(), v.len());
                row.iter().zip(v).map(|(a, b)| a * b).sum::<f64>()
            };
            let products: Vec<f64> = transform.input.iter().zip(transform.filter).map(|(b, f)| dot(b, &d) * dot(f, &g)).collect();
            assert_eq!([transform.filter.len(), transform.output.len()], [transform.input.len(), transform.tile as usize]);
            for (o, row) in transform.output.iter().enumerate() {
                let want = dot(&g, &d[o..o + g.len()]);
                let got = dot(row, &products);
                assert!((got - want).abs() < 1e-10, "F({},{}), output {o}: {got} for {want}", transform.tile, transform.taps);
            }
        }
    }

    /// g' = G^T [(A y') * (B^T d)] is the gradient of y . y' by g.
    #[test]
    fn the_matrices_compute_the_gradient_by_the_filter() {
        for transform in ALL {
            let d: Vec<f64> = (0..transform.reach()).map(|i| (i * i) as f64 - 7.0).collect();
            let dy = &[3.0, -5.0, 11.0, 2.0][..transform.tile as usize];
            let dot = |row: &[f64], v: &[f64]| row.iter().zip(v).map(|(a, b)| a * b).sum::<f64>();
            let products: Vec<f64> = transform.input.iter().zip(transposed(transform.output)).map(|(b, a)| dot(b, &d) * dot(&a, dy)).collect();
            for (tap, row) in transposed(transform.filter).enumerate() {
                let (got, want) = (dot(&row, &products), dot(dy, &d[tap..]));
                assert!((got - want).abs() < 1e-10, "F({},{}), tap {tap}: {got} for {want}", transform.tile, transform.taps);
            }
        }
    }

    #[test]
    fn the_amplifications_are_those_of_the_documentation() {
        for (transform, want) in ALL.into_iter().zip([1.0, 8.0, 22.0, 12.0, 86.0 + 7.0 / 9.0]) {
            let got = transform.amplification();
            assert!((got - want).abs() < 1e-12, "F({},{}): {got}", transform.tile, transform.taps);
        }
        for (transform, want) in ALL.into_iter().zip([1.0, 6.0, 25.0, 6.0, 77.0 + 2.0 / 9.0]) {
            let got = transform.gradient_amplification();
            assert!((got - want).abs() < 1e-12, "gradient of F({},{}): {got}", transform.tile, transform.taps);
        }
        assert_eq!(ALL.map(Transform::is_exact), [true, true, false, true, false]);
    }
}
