//! Winograd's transforms as data: the matrices of F(2,3) and F(4,3), and how much rounding errors grow in them.

use crate::numeric::bound::gamma;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::ConvProblem;
use crate::types::ElementType;

/// The transforms along one axis, as matrices; the shaders `conv/winograd_f2.wgsl` and `conv/winograd_f4.wgsl` spell them out.
pub(crate) struct Transform {
    /// Outputs of a tile.
    pub tile: u64,
    /// B^T: a tile of the input becomes as many values as it has rows.
    pub input: &'static [&'static [f64]],
    /// G: three taps become as many values.
    pub filter: &'static [[f64; 3]],
    /// A^T: sums of products become outputs.
    pub output: &'static [&'static [f64]],
    /// Most roundings that a value meets on its way through all three, as the shaders compute them.
    roundings: u64,
}

/// F(2,3): points 0, 1, -1, infinity. Roundings: 1 of the input, 2 of the filter, 2 of the output.
pub(crate) static F2: Transform = Transform {
    tile: 2,
    input: &[&[1.0, 0.0, -1.0, 0.0], &[0.0, 1.0, 1.0, 0.0], &[0.0, -1.0, 1.0, 0.0], &[0.0, 1.0, 0.0, -1.0]],
    filter: &[[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
    output: &[&[1.0, 1.0, 1.0, 0.0], &[0.0, 1.0, -1.0, -1.0]],
    roundings: 5,
};

/// F(4,3): points 0, 1/2, -1/2, 2, -2, infinity. Roundings: 3 of the input (a product with 4.25, two sums), 4 of the filter (two sums, a
/// product, its constant), 3 of the output.
pub(crate) static F4: Transform = Transform {
    tile: 4,
    input: &[
        &[1.0, 0.0, -4.25, 0.0, 1.0, 0.0],
        &[0.0, -2.0, -4.0, 0.5, 1.0, 0.0],
        &[0.0, 2.0, -4.0, -0.5, 1.0, 0.0],
        &[0.0, -0.5, -0.25, 2.0, 1.0, 0.0],
        &[0.0, 0.5, -0.25, -2.0, 1.0, 0.0],
        &[0.0, 1.0, 0.0, -4.25, 0.0, 1.0],
    ],
    filter: &[
        [1.0, 0.0, 0.0],
        [-8.0 / 15.0, -4.0 / 15.0, -2.0 / 15.0],
        [-8.0 / 15.0, 4.0 / 15.0, -2.0 / 15.0],
        [1.0 / 30.0, 2.0 / 30.0, 4.0 / 30.0],
        [1.0 / 30.0, -2.0 / 30.0, 4.0 / 30.0],
        [0.0, 0.0, 1.0],
    ],
    output: &[
        &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        &[0.0, 0.5, -0.5, 2.0, -2.0, 0.0],
        &[0.0, 0.25, 0.25, 4.0, 4.0, 0.0],
        &[0.0, 0.125, -0.125, 8.0, -8.0, 1.0],
    ],
    roundings: 10,
};

impl Transform {
    /// The transform of an algorithm, if it is one of this file's.
    pub fn of(algorithm: Algorithm) -> Option<&'static Self> {
        match algorithm {
            Algorithm::WinogradF2 => Some(&F2),
            Algorithm::WinogradF4 => Some(&F4),
            _ => None,
        }
    }

    /// Values of a transformed tile along one axis.
    pub fn lines(&self) -> u64 {
        self.input.len() as u64
    }

    /// Whether small integers go through without rounding: all constants are binary fractions.
    pub fn is_exact(&self) -> bool {
        self.tile == 2
    }

    /// How large an output may come out, along one axis, if every element of the input and of the filter is 1 or -1 and every sum is one of
    /// absolute values: what rounding errors are multiplied with. Plain sums have 3.
    pub(crate) fn amplification(&self) -> f64 {
        let absolute = |row: &[f64]| row.iter().map(|v| v.abs()).sum::<f64>();
        let output = |row: &&[f64]| -> f64 {
            row.iter().zip(self.filter).zip(self.input).map(|((a, filter), input)| a.abs() * absolute(filter) * absolute(input)).sum()
        };
        self.output.iter().map(output).fold(0.0, f64::max)
    }

    /// Roundings on the way to one output of `problem`: the transforms along every axis that has one, the sum over the channels, bias and
    /// residual. Higham, as in [`crate::reference::conv::conv_error`]: the error is at most gamma of this, times the sum of absolute values.
    pub fn roundings(&self, problem: &ConvProblem) -> u64 {
        self.roundings * axes(problem) + problem.channels_per_group() + 2 + u64::from(problem.has_residual)
    }

    /// The largest error of an output over all inputs and filters of magnitude 1, relative to the same of plain f32 sums: n gamma_(n+2). 1 where
    /// those are so long that they have no bound.
    pub fn relative_error(&self, problem: &ConvProblem) -> f64 {
        let unit = ElementType::F32.unit_roundoff();
        let (depth, channels) = (problem.reduction_depth(), problem.channels_per_group());
        let plain = depth as f64 * gamma(depth + 2 + u64::from(problem.has_residual), unit);
        let own = self.amplification().powi(axes(problem) as i32) * channels as f64 * gamma(self.roundings(problem), unit);
        if plain.is_infinite() { 1.0 } else { own / plain }
    }
}

/// Axes that a transform goes along: those with three taps.
pub(crate) fn axes(problem: &ConvProblem) -> u64 {
    problem.axes.iter().filter(|axis| axis.filter == 3).count() as u64
}
