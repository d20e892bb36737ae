//! Convolution, forward and transposed, straight from the definition.

use crate::numeric::bound::{activation_error, gamma, storage_rounding, underflow};
use crate::numeric::{MatrixError, Operands};
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::fft::{FourierTile, ON_GPU, candidates, roundings_after};
use crate::ops::conv::fused::{FusedPool, WINDOW};
use crate::ops::conv::problem::{ConvProblem, Direction, check_lengths};
use crate::ops::conv::winograd::Transforms;
use crate::reference::fft;
use crate::reference::winograd;
use crate::reference::{Bounded, Referenced};
use crate::types::shape::WindowAxis;
use crate::types::{Activation, Element, ElementType, PaddingMode, Result};
use rayon::prelude::*;

/// What the reference computed, in logical order N K \[Z\] \[P\] Q, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvReference {
    /// The sum of products and bias, before the activation.
    pub sum: Vec<f64>,
    /// The sum of the absolute values of the same terms.
    pub magnitude: Vec<f64>,
}

impl ConvReference {
    /// The outputs: the activation of every sum.
    pub fn output(&self, activation: Activation) -> Vec<f64> {
        self.sum.iter().map(|&s| activation.apply(s)).collect()
    }
}

/// Computes `problem` in f64.
///
/// Slices are contiguous and in logical order, whatever the problem's layouts say: x N C \[D\] \[H\] W, filter K C/g ... (transposed:
/// C K/g ...). A pool after the convolution is not computed: these are the sums that it pools. A tap that reads the
/// padding multiplies its weight by zero, so an infinite weight makes a NaN there: see [`PaddingMode::Zeros`].
///
/// # Errors
/// [`crate::Error::Invalid`] where a slice does not have the problem's number of elements.
pub fn conv<T: Element>(problem: &ConvProblem, x: &[T], filter: &[T], bias: Option<&[T]>) -> Result<ConvReference> {
    check_lengths(problem, x.len(), filter.len(), bias.map(<[T]>::len), None)?;
    let wide = |slice: &[T]| slice.iter().map(|v| v.to_f64()).collect::<Vec<f64>>();
    Ok(terms(&problem.convolution(), &wide(x), &wide(filter), bias.map(wide).as_deref(), None))
}

/// As [`conv()`], on f64 slices of the right lengths, and with the residual that is added before the activation.
pub(crate) fn terms(problem: &ConvProblem, x: &[f64], filter: &[f64], bias: Option<&[f64]>, residual: Option<&[f64]>) -> ConvReference {
    let positions = problem.output_positions() as usize;
    let planes = (problem.batch * problem.out_channels) as usize;
    let mut sum = vec![0.0; planes * positions];
    let mut magnitude = vec![0.0; planes * positions];
    sum.par_chunks_mut(positions).zip(magnitude.par_chunks_mut(positions)).enumerate().for_each(|(plane, (sum, magnitude))| {
        let (n, k) = (plane as u64 / problem.out_channels, plane as u64 % problem.out_channels);
        let bias = bias.map_or(0.0, |b| b[k as usize]);
        output_plane(problem, x, filter, n, k, &mut |position, v, w| {
            let product = v.unwrap_or(0.0) * w;
            sum[position] += product;
            magnitude[position] += product.abs();
        });
        for (position, (s, m)) in sum.iter_mut().zip(magnitude).enumerate() {
            let residual = residual.map_or(0.0, |r| r[plane * positions + position]);
            *s += bias + residual;
            *m += bias.abs() + residual.abs();
        }
    });
    ConvReference { sum, magnitude }
}

/// Error that an f32 kernel may make on one output of `problem` before the result is rounded to the stored type: sum `sum` and
/// magnitude `magnitude` of the reference.
///
/// A sum of n products in f32, in any order, with or without fused multiply-add, errs by at most gamma_n times the sum of the
/// absolute products (Higham, equation 3.4), n being the most that any output has: of a transposed convolution with a stride
/// those of a phase. The bias is one more term and one addition more, hence n + 2, the residual another. Products and sums below
/// the normal numbers may be lost (see [`underflow`]). The activation multiplies that by at most its largest slope and adds its own error.
pub fn conv_error(problem: &ConvProblem, sum: f64, magnitude: f64) -> f64 {
    let roundings = problem.reduction_depth() + 2 + u64::from(problem.has_residual);
    let output = problem.activation.apply(sum);
    let sums = gamma(roundings, ElementType::F32.unit_roundoff()) * magnitude + underflow(roundings, magnitude);
    activation_error(problem.activation, sums, sum, output)
}

/// As [`conv_error`], with the rounding to the stored type.
pub fn conv_allowed(problem: &ConvProblem, sum: f64, magnitude: f64) -> f64 {
    let computed = conv_error(problem, sum, magnitude);
    computed + storage_rounding(problem.element, problem.activation.apply(sum).abs() + computed)
}

/// What each output reads of x and of the filter: the sums of the absolute values of either, and the largest.
pub(crate) struct OperandSums {
    pub sums: Vec<[f64; 2]>,
    pub largest: Vec<[f64; 2]>,
}

/// As [`terms`], of the operands apart from each other.
pub(crate) fn operand_sums(problem: &ConvProblem, x: &[f64], filter: &[f64]) -> OperandSums {
    let positions = problem.output_positions() as usize;
    let planes = (problem.batch * problem.out_channels) as usize;
    let (mut sums, mut largest) = (vec![[0.0; 2]; planes * positions], vec![[0.0f64; 2]; planes * positions]);
    sums.par_chunks_mut(positions).zip(largest.par_chunks_mut(positions)).enumerate().for_each(|(plane, (sums, largest))| {
        let (n, k) = (plane as u64 / problem.out_channels, plane as u64 % problem.out_channels);
        output_plane(problem, x, filter, n, k, &mut |position, v, w| {
            let Some(v) = v else { return };
            for (i, v) in [v.abs(), w.abs()].into_iter().enumerate() {
                sums[position][i] += v;
                largest[position][i] = largest[position][i].max(v);
            }
        });
    });
    OperandSums { sums, largest }
}

/// Where the taps begin by which output channel `k` reads channel `channel` of its group.
pub(crate) fn filter_plane(problem: &ConvProblem, k: u64, channel: u64) -> u64 {
    let (channels, filters) = (problem.channels_per_group(), problem.filters_per_group());
    let group = k / filters;
    problem.taps()
        * match problem.direction {
            Direction::Forward => k * channels + channel,
            Direction::Transposed => (group * channels + channel) * filters + (k - group * filters),
        }
}

/// Calls `add(position, x, w)` for every term x w of output plane (n, k); x is `None` where the tap reads a zero of the padding. A tap of a transposed
/// convolution that meets the output only between two elements of x is no term.
fn output_plane(problem: &ConvProblem, x: &[f64], filter: &[f64], n: u64, k: u64, add: &mut dyn FnMut(usize, Option<f64>, f64)) {
    let [depth, height, width] = &problem.axes;
    let (channels, filters) = (problem.channels_per_group(), problem.filters_per_group());
    let group = k / filters;
    for channel in 0..channels {
        let c = group * channels + channel;
        let x_plane = (n * problem.in_channels + c) * problem.input_positions();
        let w_plane = filter_plane(problem, k, channel);
        for t in 0..depth.filter {
            for r in 0..height.filter {
                for s in 0..width.filter {
                    let w = filter[(w_plane + (t * height.filter + r) * width.filter + s) as usize];
                    for z in 0..depth.output {
                        let iz = source(problem, depth, z, t);
                        for p in 0..height.output {
                            let iy = source(problem, height, p, r);
                            for q in 0..width.output {
                                if !(meets(problem, depth, z, t) && meets(problem, height, p, r) && meets(problem, width, q, s)) {
                                    continue;
                                }
                                let at = |((iz, iy), ix): ((u64, u64), u64)| x[(x_plane + (iz * height.input + iy) * width.input + ix) as usize];
                                let v = iz.zip(iy).zip(source(problem, width, q, s)).map(at);
                                add(((z * height.output + p) * width.output + q) as usize, v, w);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whether output coordinate `o` meets an element of x, or of the zeros around x, through tap `tap`, and not a place between two of them.
fn meets(problem: &ConvProblem, axis: &WindowAxis, o: u64, tap: u64) -> bool {
    problem.direction == Direction::Forward || (o as i64 + axis.pad_begin - (tap * axis.dilation) as i64) % axis.stride as i64 == 0
}

/// The input coordinate that contributes to output coordinate `o` through tap `tap`, if one does.
pub(crate) fn source(problem: &ConvProblem, axis: &WindowAxis, o: u64, tap: u64) -> Option<u64> {
    let (o, tap, stride, dilation, input) = (o as i64, tap as i64, axis.stride as i64, axis.dilation as i64, axis.input as i64);
    let i = match problem.direction {
        // y[o] takes x[o stride + tap dilation - pad].
        Direction::Forward => match (o * stride + tap * dilation - axis.pad_begin, problem.padding_mode) {
            (i, PaddingMode::Zeros) => i,
            (i, PaddingMode::Replicate) => i.clamp(0, input - 1),
            (i, PaddingMode::Circular) => i.rem_euclid(input),
            (i, PaddingMode::Reflect) if i < 0 => -i,
            (i, PaddingMode::Reflect) if i >= input => 2 * (input - 1) - i,
            (i, PaddingMode::Reflect) => i,
        },
        // x[i] adds to y[i stride + tap dilation - pad].
        Direction::Transposed => {
            let spread = o + axis.pad_begin - tap * dilation;
            if spread % stride != 0 {
                return None;
            }
            spread / stride
        }
    };
    (0..input).contains(&i).then_some(i as u64)
}

impl Referenced for ConvProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        if let Some(pool) = self.pool {
            return vec![pooled(self, pool, &self.convolution().reference(inputs)[0])];
        }
        let (bias, residual) = (self.has_bias.then(|| inputs[2]), self.has_residual.then(|| inputs[inputs.len() - 1]));
        let conv = terms(self, inputs[0], inputs[1], bias, residual);
        let error = conv.sum.iter().zip(&conv.magnitude).map(|(&sum, &magnitude)| conv_error(self, sum, magnitude)).collect();
        vec![Bounded { value: conv.output(self.activation), error }]
    }

    fn bound_for(&self, algorithm: &str, inputs: &[&[f64]], outputs: &mut [Bounded]) {
        let tile = fourier_tile(algorithm, &self.convolution());
        if matrix_operands(algorithm).is_none() && transforms(algorithm, self).is_none() && tile.is_none() {
            return;
        }
        if let Some(pool) = self.pool {
            outputs[0] = pooled(self, pool, &self.convolution().reference_for(algorithm, inputs)[0]);
            return;
        }
        if let Some(operands) = matrix_operands(algorithm) {
            self.bound_by_coop_matrix(operands, inputs, &mut outputs[0]);
        } else if let Some(tile) = tile {
            self.bound_by_transforms(tile, inputs, &mut outputs[0]);
        } else if let Some(transforms) = transforms(algorithm, self) {
            let (bias, residual) = (self.has_bias.then(|| inputs[2]), self.has_residual.then(|| inputs[inputs.len() - 1]));
            let plain = terms(self, inputs[0], inputs[1], bias, residual);
            let magnitude = winograd::magnitude(self, &transforms, inputs[0], inputs[1], bias, residual);
            let gamma = gamma(transforms.roundings(self), ElementType::F32.unit_roundoff());
            for output in outputs {
                for (i, error) in output.error.iter_mut().enumerate() {
                    *error = activation_error(self.activation, gamma * magnitude[i], plain.sum[i], output.value[i]);
                }
            }
        }
    }
}

impl ConvProblem {
    /// Sets the errors to those that Fourier transforms of `tile` may make. Bias and residual are added to what has the transforms' error already.
    fn bound_by_transforms(&self, tile: FourierTile, inputs: &[&[f64]], output: &mut Bounded) {
        let (bias, residual) = (self.has_bias.then(|| inputs[2]), self.has_residual.then(|| inputs[inputs.len() - 1]));
        let plain = terms(self, inputs[0], inputs[1], bias, residual);
        let magnitude = fft::magnitude(self, tile, inputs[0], inputs[1]);
        let growth = tile.growth(self);
        let after = gamma(roundings_after(self), ElementType::F32.unit_roundoff());
        for (i, error) in output.error.iter_mut().enumerate() {
            let transformed = growth * magnitude[i];
            *error = activation_error(self.activation, transformed + after * (plain.magnitude[i] + transformed), plain.sum[i], output.value[i]);
        }
    }

    /// Sets the errors to those that cooperative matrices may make.
    fn bound_by_coop_matrix(&self, operands: Operands, inputs: &[&[f64]], output: &mut Bounded) {
        let (bias, residual) = (self.has_bias.then(|| inputs[2]), self.has_residual.then(|| inputs[inputs.len() - 1]));
        let [x, filter] = [inputs[0], inputs[1]];
        let plain = terms(self, x, filter, bias, residual);
        let own = operand_sums(self, x, filter);
        let units = matrix_error(operands, self);
        for (i, error) in output.error.iter_mut().enumerate() {
            let [x, w] = own.largest[i];
            let [sum_x, sum_w] = own.sums[i];
            let sum = units.bound(plain.magnitude[i], [x * sum_w, w * sum_x], self.reduction_depth() as f64 * x * w);
            *error = activation_error(self.activation, sum, plain.sum[i], output.value[i]);
        }
    }
}

/// Pools the reference of a convolution.
///
/// Each element errs by at most e_i, and by one rounding more where it is stored as f16. A maximum of values that err by e_i errs by no more
/// than the largest e_i of its window. A mean errs by the mean of the e_i, and by its own roundings of what it sums: those of
/// [`crate::reference::pool`], of values that may be larger by their e_i.
pub(crate) fn pooled(problem: &ConvProblem, pool: FusedPool, conv: &Bounded) -> Bounded {
    let error = |(value, error): (&f64, &f64)| {
        // An infinity or NaN is stored as it is.
        if value.is_finite() { error + storage_rounding(problem.element, value.abs() + error) } else { 0.0 }
    };
    let errors: Vec<f64> = conv.value.iter().zip(&conv.error).map(error).collect();
    let of = |values: &[f64]| crate::reference::pool(&problem.pool_problem(pool.kind()), values).remove(0);
    let (mut pooled, carried) = (of(&conv.value), of(&errors));
    let own = match pool {
        FusedPool::Max => 0.0,
        FusedPool::Average => gamma(WINDOW.pow(3) + 6, ElementType::F32.unit_roundoff()),
    };
    pooled.error.iter_mut().zip(&carried.value).for_each(|(error, carried)| *error += carried * (1.0 + own));
    pooled
}

/// Roundings after the product: bias, residual, and the one that every sum of n terms has to spare (see [`conv_error`]).
pub(crate) fn matrix_roundings(problem: &ConvProblem) -> u64 {
    2 + u64::from(problem.has_residual)
}

pub(crate) fn matrix_error(operands: Operands, problem: &ConvProblem) -> MatrixError {
    MatrixError::new(operands, problem.element, problem.reduction_depth(), matrix_roundings(problem))
}

/// The largest error over inputs and filters of magnitude 1, relative to that of plain f32 sums.
pub(crate) fn matrix_relative_error(operands: Operands, problem: &ConvProblem) -> f64 {
    matrix_error(operands, problem).relative_to_plain(problem.reduction_depth(), matrix_roundings(problem))
}

/// The algorithm that a label names.
pub(crate) fn named(label: &str) -> Option<Algorithm> {
    label.split(' ').next()?.parse().ok()
}

pub(crate) fn matrix_operands(label: &str) -> Option<Operands> {
    named(label).and_then(Algorithm::operands)
}

/// The tile of the Fourier transforms that a label names, such as `fft 64x64`; without a tile the first that the problem admits.
pub(crate) fn fourier_tile(label: &str, problem: &ConvProblem) -> Option<FourierTile> {
    let mut words = label.split(' ');
    match (words.next()? == Algorithm::Fft.name(), words.next()) {
        (false, _) => None,
        (true, Some(text)) => FourierTile::parse(text, problem),
        (true, None) => candidates(problem, &ON_GPU).into_iter().next(),
    }
}

/// The transforms by which the algorithm that a label names computes `problem`.
pub(crate) fn transforms(label: &str, problem: &ConvProblem) -> Option<Transforms> {
    Transforms::of(named(label)?, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::Conv1dDescriptor;
    use crate::ops::conv::descriptor::Conv2dDescriptor;
    use crate::ops::conv::descriptor::ConvDescriptor;
    use crate::ops::conv::descriptor::ConvTransposeDescriptor;
    use crate::ops::conv::problem::ConvInputs;
    use crate::types::shape::Padding;

    fn forward<const N: usize>(descriptor: &ConvDescriptor<N>, x: (&[usize], &[f32]), filter: (&[usize], &[f32])) -> Vec<f64> {
        let problem = ConvProblem::forward(&ConvInputs::new(x.0, filter.0, None), descriptor).unwrap();
        conv(&problem, x.1, filter.1, None).unwrap().sum
    }

    /// A device may take numbers below the normal ones for zero; where all terms are zero, nothing is lost.
    #[test]
    fn sums_below_the_normal_numbers_may_be_lost() {
        let problem = ConvProblem::forward(&ConvInputs::new(&[1, 1, 4], &[1, 1, 2], None), &Conv1dDescriptor::default()).unwrap();
        let result = problem.reference(&[&[1e-39, -3e-39, 0.0, 0.0], &[0.5, 1.0]]).remove(0);
        assert!(result.value[0] != 0.0 && result.value[0].abs() < result.error[0] && result.error[0] < 1e-36, "{result:?}");
        assert_eq!(result.error[2], 0.0);
    }

    #[test]
    fn vertical_edge_of_the_teaching_texts() {
        let image: Vec<f32> = (0..36).map(|i| if i % 6 < 3 { 10.0 } else { 0.0 }).collect();
        let filter = [1.0, 0.0, -1.0].repeat(3);
        let y = forward(&Conv2dDescriptor::default(), (&[1, 1, 6, 6], &image), (&[1, 1, 3, 3], &filter));
        assert_eq!(y, [0.0, 30.0, 30.0, 0.0].repeat(4));
    }

    #[test]
    fn padding_modes_by_hand() {
        // Input a b c = 1 2 3, pads 2 and 1, filter of one tap: the padded input itself.
        let padded = |mode| {
            let padding = Padding::Explicit { begin: [2], end: [1] };
            let descriptor = Conv1dDescriptor { padding, padding_mode: mode, ..Default::default() };
            forward(&descriptor, (&[1, 1, 3], &[1.0, 2.0, 3.0]), (&[1, 1, 1], &[1.0]))
        };
        assert_eq!(padded(PaddingMode::Zeros), [0.0, 0.0, 1.0, 2.0, 3.0, 0.0]);
        assert_eq!(padded(PaddingMode::Reflect), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
        assert_eq!(padded(PaddingMode::Replicate), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(padded(PaddingMode::Circular), [2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
    }

    #[test]
    fn stride_and_dilation_by_hand() {
        let descriptor = Conv1dDescriptor { stride: [2], dilation: [3], ..Default::default() };
        let y = forward(&descriptor, (&[1, 1, 7], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), (&[1, 1, 2], &[1.0, 10.0]));
        assert_eq!(y, [41.0, 63.0]);
    }

    #[test]
    fn transposed_is_the_adjoint_of_forward() {
        // <conv(x), y> = <x, conv_transpose(y)>, exactly, on integers; every number differs per axis.
        let integers = |n: u64, step: u64| -> Vec<f32> { (0..n).map(|i| ((i * step) % 7) as f32 - 3.0).collect() };
        let (x_shape, f_shape) = ([2, 4, 9, 8], [6, 2, 3, 2]);
        let padding = Padding::Explicit { begin: [1, 0], end: [2, 1] };
        let descriptor = Conv2dDescriptor { stride: [2, 3], dilation: [1, 2], padding, groups: 2, ..Default::default() };
        let problem = ConvProblem::forward(&ConvInputs::new(&x_shape, &f_shape, None), &descriptor).unwrap();
        let y_shape = problem.output_extents();
        let back = ConvTransposeDescriptor { stride: [2, 3], dilation: [1, 2], padding, groups: 2, output_padding: [1, 0], ..Default::default() };
        let adjoint = ConvProblem::transposed::<2>(&ConvInputs::new(&y_shape, &f_shape, None), &back).unwrap();
        let (x, f, y) = (integers(problem.input_count(), 3), integers(problem.filter_count(), 5), integers(problem.output_count(), 4));
        assert_eq!(adjoint.output_extents(), x_shape, "the case must invert the shape");
        let dot = |a: &[f64], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| a * f64::from(*b)).sum() };
        let left = dot(&conv(&problem, &x, &f, None).unwrap().sum, &y);
        let right = dot(&conv(&adjoint, &y, &f, None).unwrap().sum, &x);
        assert_eq!(left, right);
        assert_ne!(left, 0.0);
    }

    #[test]
    fn bias_and_magnitude() {
        let problem = ConvProblem::forward::<1>(&ConvInputs::new(&[1, 1, 2], &[2, 1, 2], Some(&[2])), &Conv1dDescriptor::default()).unwrap();
        let result = conv(&problem, &[1.0f32, -2.0], &[3.0, 4.0, -1.0, 1.0], Some(&[0.5, -7.0])).unwrap();
        assert_eq!(result.sum, [3.0 - 8.0 + 0.5, -1.0 - 2.0 - 7.0]);
        assert_eq!(result.magnitude, [3.0 + 8.0 + 0.5, 1.0 + 2.0 + 7.0]);
        assert!(conv(&problem, &[1.0f32, -2.0], &[3.0, 4.0, -1.0, 1.0], None).is_err());
    }
}
