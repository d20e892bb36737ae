//! The CPU engine: the fallback where there is no GPU, and the honest opponent in every GPU-against-CPU figure.
//!
//! `direct` lays a band of the input out (`lines`, `bands`) so that each tap is an offset, and keeps sums in registers (`kernel`); `winograd` multiplies less
//! where the accuracy admits it (`winograd_gradient` of filter gradients), and so does `fourier`, of many taps, by the transforms of `fft`; `gemm` multiplies the filter by im2col blocks, for windows of
//! one tap and few outputs (`pointwise` over fewer positions); `depthwise` keeps blocks of outputs in registers, of small planes `depthwise_lanes`; `phases` takes a stride of a transposed convolution apart. `packed` chooses among
//! these, and packs a filter once for many calls (`prepared`); `streaming` convolves a stream block by block, by the partitions of `partition`; `epilogue` adds
//! bias and activation while a block is warm. Everything is channels-first and f32, on the current rayon pool.

pub(crate) mod adjoint;
mod bands;
pub(crate) mod depthwise;
mod depthwise_lanes;
mod direct;
pub(crate) mod dropout;
pub(crate) mod elementwise;
pub(crate) mod epilogue;
mod exponential;
mod fft;
pub(crate) mod filter_gradient;
mod filter_rows;
mod fourier;
pub(crate) mod gemm;
pub(crate) mod grid_sample;
pub(crate) mod image;
pub(crate) mod indexed;
mod interleave;
mod kernel;
mod lines;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod packed;
mod partition;
mod phases;
mod pointwise;
pub(crate) mod pool;
mod pool_rows;
mod prepared;
mod product;
pub(crate) mod reduce;
mod resize;
mod skinny;
pub(crate) mod softmax;
mod streaming;
pub(crate) mod top_k;
pub(crate) mod transform;
pub(crate) mod window;
mod winograd;
mod winograd_axis;
mod winograd_gradient;

pub use optimizer::step as optimizer_step;
pub use prepared::Prepared;
pub use streaming::StreamingConvolution;

use crate::cpu::packed::{Packed, Way};
use crate::ops::conv::descriptor::{Algorithm, ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::fused::FusedPool;
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::ops::spec::{check_indices, check_lengths};
use crate::ops::{Op, Problem};
use crate::types::{Activation, Error, Result};
use ndarray::{ArrayD, ArrayViewD, IxDyn};

/// Computes the first output of any op on all cores, f32, in logical order; `false` where the engine does not have the op: argmax,
/// images, whose words of 32 bits are no f32 numbers, and an unpooling whose indices are not exact in f32.
///
/// # Errors
/// Slices of another number or length than the op's tensors; an index that is no whole number or lies past its range.
pub fn compute(op: impl Into<Op>, inputs: &[&[f32]], y: &mut [f32]) -> Result<bool> {
    let op = op.into();
    check_slices(&op, inputs, y)?;
    Ok(engine(&op).compute(inputs, y).is_some())
}

/// As [`compute`], with what [`Packed::of`] made of the same constants.
pub(crate) fn compute_packed(op: &Op, packed: &Packed, inputs: &[&[f32]], y: &mut [f32]) -> Result<bool> {
    check_slices(op, inputs, y)?;
    if let Op::Conv(problem) = op {
        let (bias, residual) = optional(problem, inputs);
        conv_packed(problem, inputs[0], inputs[1], packed, bias, residual, y);
        return Ok(true);
    }
    Ok(engine(op).compute(inputs, y).is_some())
}

fn check_slices(op: &Op, inputs: &[&[f32]], y: &[f32]) -> Result<()> {
    let specs = op.inputs();
    check_lengths(&specs, &inputs.iter().map(|slice| slice.len()).collect::<Vec<_>>())?;
    check_indices(&specs, inputs)?;
    check_lengths(&op.outputs()[..1], &[y.len()])
}

/// As [`compute`], all outputs of an op that has several, such as a max pool with indices, which are numbers here (exact below 2^24); none where the engine
/// does not have them.
///
/// # Errors
/// As [`compute`].
pub fn compute_several(op: impl Into<Op>, inputs: &[&[f32]]) -> Result<Option<Vec<Vec<f32>>>> {
    let op = op.into();
    let specs = op.inputs();
    check_lengths(&specs, &inputs.iter().map(|slice| slice.len()).collect::<Vec<_>>())?;
    check_indices(&specs, inputs)?;
    Ok(engine(&op).compute_several(inputs))
}

/// Computes y = activation(conv(x) + bias), forward or transposed, on all cores; pooled, where the problem has a pool.
///
/// Slices are contiguous and in logical order: x N C \[D\] \[H\] W, filter K C/g ... (transposed: C K/g ...), y N K ....
///
/// # Errors
/// [`Error::Invalid`] where a slice does not have the problem's number of elements.
pub fn conv(problem: &ConvProblem, x: &[f32], filter: &[f32], bias: Option<&[f32]>, y: &mut [f32]) -> Result<()> {
    conv_residual(problem, x, filter, bias, None, y)
}

/// The algorithm that the engine takes for `op`, where it errs otherwise than plain sums: `winograd_f2`, `winograd_f4`, or `fft` with its tile, such as
/// `fft 64x64`, of a convolution whose [`Accuracy`](crate::numeric::Accuracy) admits it, or that asks for it; of filter gradients those of Winograd.
/// [`Referenced::bound_for`](crate::op::Referenced::bound_for) knows its error.
pub fn algorithm(op: &Op) -> Option<String> {
    let problem = match op {
        Op::Conv(problem) => problem,
        Op::FilterGradient(gradient) => return winograd_gradient::algorithm(gradient).map(|algorithm| algorithm.to_string()),
        _ => return None,
    };
    match Way::of(&problem.convolution()) {
        Way::Winograd(algorithm) => Some(algorithm.to_string()),
        Way::Fourier(tile) => Some(format!("{} {tile}", Algorithm::Fft)),
        Way::Rows | Way::Lanes | Way::Direct | Way::Pointwise | Way::Gemm => None,
    }
}

/// As [`conv()`], with a residual of the convolution's shape that is added before the activation.
///
/// # Errors
/// As [`conv()`].
pub fn conv_residual(problem: &ConvProblem, x: &[f32], filter: &[f32], bias: Option<&[f32]>, residual: Option<&[f32]>, y: &mut [f32]) -> Result<()> {
    check_conv(problem, x, filter, bias, residual, y)?;
    let plain = problem.convolution();
    conv_packed(problem, x, filter, &Packed::new(&plain, filter), bias, residual, y);
    Ok(())
}

fn check_conv(problem: &ConvProblem, x: &[f32], filter: &[f32], bias: Option<&[f32]>, residual: Option<&[f32]>, y: &[f32]) -> Result<()> {
    crate::ops::conv::problem::check_lengths(problem, x.len(), filter.len(), bias.map(<[f32]>::len), Some(y.len()))?;
    let outputs = problem.convolution().output_count();
    match residual {
        Some(residual) if residual.len() as u64 != outputs => {
            Err(Error::invalid("residual", residual.len(), format!("the output has {outputs} elements")))
        }
        _ => Ok(()),
    }
}

/// y = pool(activation(conv(x) + bias + residual)), of slices whose lengths were checked.
fn conv_packed(problem: &ConvProblem, x: &[f32], filter: &[f32], packed: &Packed, bias: Option<&[f32]>, residual: Option<&[f32]>, y: &mut [f32]) {
    if let Some(pool) = problem.pool {
        let unpooled = problem.convolution();
        let mut values = vec![0.0; unpooled.output_count() as usize];
        conv_packed(&unpooled, x, filter, packed, bias, residual, &mut values);
        pool_on_cpu(problem, pool, &values, y);
    } else if let Some(residual) = residual {
        packed::conv(&ConvProblem { activation: Activation::None, ..problem.clone() }, x, filter, packed, bias, y);
        epilogue::add_and_activate(y, residual, problem.activation);
    } else {
        packed::conv(problem, x, filter, packed, bias, y);
    }
}

/// [`conv()`] on arrays: resolves the problem from their shapes.
///
/// # Errors
/// As [`ConvProblem::forward`].
pub fn convolve<const N: usize>(
    descriptor: &ConvDescriptor<N>,
    x: ArrayViewD<'_, f32>,
    filter: ArrayViewD<'_, f32>,
    bias: Option<ArrayViewD<'_, f32>>,
) -> Result<ArrayD<f32>> {
    on_arrays(x, filter, bias, |inputs| ConvProblem::forward(inputs, descriptor))
}

/// [`conv()`] on arrays, transposed.
///
/// # Errors
/// As [`ConvProblem::transposed`].
pub fn convolve_transpose<const N: usize>(
    descriptor: &ConvTransposeDescriptor<N>,
    x: ArrayViewD<'_, f32>,
    filter: ArrayViewD<'_, f32>,
    bias: Option<ArrayViewD<'_, f32>>,
) -> Result<ArrayD<f32>> {
    on_arrays(x, filter, bias, |inputs| ConvProblem::transposed(inputs, descriptor))
}

fn on_arrays(
    x: ArrayViewD<'_, f32>,
    filter: ArrayViewD<'_, f32>,
    bias: Option<ArrayViewD<'_, f32>>,
    resolve: impl FnOnce(&ConvInputs<'_>) -> Result<ConvProblem>,
) -> Result<ArrayD<f32>> {
    let problem = resolve(&ConvInputs::new(x.shape(), filter.shape(), bias.as_ref().map(|b| b.shape())))?;
    let contiguous = |a: &ArrayViewD<'_, f32>| a.iter().copied().collect::<Vec<f32>>();
    let (x, filter, bias) = (contiguous(&x), contiguous(&filter), bias.as_ref().map(contiguous));
    let mut y = vec![0.0; problem.output_count() as usize];
    conv(&problem, &x, &filter, bias.as_deref(), &mut y)?;
    ArrayD::from_shape_vec(IxDyn(&problem.output_extents()), y).map_err(|e| Error::Internal { label: "cpu::convolve".into(), message: e.to_string() })
}

/// The pool on the CPU engine: `conv` is the convolution's output, both channels-first.
pub(crate) fn pool_on_cpu(problem: &ConvProblem, kind: FusedPool, conv: &[f32], y: &mut [f32]) {
    pool::pool(&problem.pool_problem(kind.kind()), conv, y);
}

/// A problem that the engine may have.
pub(crate) trait Computed {
    /// Computes the first output on all cores, f32, in logical order. `None` where the engine does not have the op. Slices have the lengths of the
    /// specs; [`compute`] checks that first.
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()>;

    /// As [`Computed::compute`], all outputs of an op that has several; indices are numbers.
    fn compute_several(&self, _inputs: &[&[f32]]) -> Option<Vec<Vec<f32>>> {
        None
    }
}

/// The engine of each problem.
fn engine(op: &Op) -> &dyn Computed {
    match op {
        Op::Conv(problem) => problem,
        Op::MatMul(problem) => problem,
        Op::Pool(problem) => problem,
        Op::MaxUnpool(problem) => problem,
        Op::Binary(problem) => problem,
        Op::Unary(problem) => problem,
        Op::Cast(problem) => problem,
        Op::Where(problem) => problem,
        Op::Dropout(problem) => problem,
        Op::Image(problem) => problem,
        Op::Softmax(problem) => problem,
        Op::Norm(problem) => problem,
        Op::BatchNorm(problem) => problem,
        Op::Lrn(problem) => problem,
        Op::Reduce(problem) => problem,
        Op::Argmax(problem) => problem,
        Op::TopK(problem) => problem,
        Op::Gather(problem) => problem,
        Op::Scatter(problem) => problem,
        Op::Resize(problem) => problem,
        Op::GridSample(problem) => problem,
        Op::Pad(problem) => problem,
        Op::Slice(problem) => problem,
        Op::Concat(problem) => problem,
        Op::Transpose(problem) => problem,
        Op::ToLayout(problem) => problem,
        Op::DepthToSpace(problem) => problem,
        Op::Adjoint(problem) => problem,
        Op::MaxUnpoolGradient(problem) => problem,
        Op::FilterGradient(problem) => problem,
        Op::Optimizer(problem) => problem,
    }
}

/// Bias and residual of a convolution.
fn optional<'a>(problem: &ConvProblem, inputs: &[&'a [f32]]) -> (Option<&'a [f32]>, Option<&'a [f32]>) {
    (problem.has_bias.then(|| inputs[2]), problem.has_residual.then(|| inputs[inputs.len() - 1]))
}

impl Computed for ConvProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let (bias, residual) = optional(self, inputs);
        conv_residual(self, inputs[0], inputs[1], bias, residual, y).ok()
    }
}

#[cfg(test)]
mod tests;
