//! Ops as data: descriptors say what is wanted, problems hold resolved and checked numbers, and [`Op`] is any of them. Nothing here knows how an op
//! is computed: planner, reference and CPU engine are tables over [`Op`].

pub(crate) mod adjoint;
pub(crate) mod conv;
pub(crate) mod dropout;
pub(crate) mod elementwise;
pub(crate) mod image;
pub(crate) mod indexed;
pub(crate) mod matmul;
pub mod named;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod softmax;
pub(crate) mod spec;
pub(crate) mod top_k;
pub(crate) mod transform;
pub(crate) mod written;

use crate::ops::adjoint::AdjointProblem;
use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::conv::problem::ConvProblem;
use crate::ops::dropout::DropoutProblem;
use crate::ops::elementwise::binary::BinaryProblem;
use crate::ops::elementwise::cast::CastProblem;
use crate::ops::elementwise::unary::UnaryProblem;
use crate::ops::elementwise::where_cond::WhereProblem;
use crate::ops::image::ImageProblem;
use crate::ops::indexed::{GatherProblem, ScatterProblem};
use crate::ops::matmul::MatMulProblem;
use crate::ops::norm::batch::BatchNormProblem;
use crate::ops::norm::lrn::LrnProblem;
use crate::ops::norm::rows::NormProblem;
use crate::ops::optimizer::OptimizerProblem;
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::{MaxUnpoolGradient, MaxUnpoolProblem};
use crate::ops::reduce::ArgmaxProblem;
use crate::ops::reduce::ReduceProblem;
use crate::ops::softmax::SoftmaxProblem;
use crate::ops::spec::TensorSpec;
use crate::ops::top_k::TopKProblem;
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::DepthToSpace;
use crate::ops::transform::grid_sample::GridSample;
use crate::ops::transform::pad::Pad;
use crate::ops::transform::resize::Resize;
use crate::ops::transform::slice::Slice;
use crate::ops::transform::transpose::ToLayout;
use crate::ops::transform::transpose::Transpose;
use serde::{Deserialize, Serialize};

/// What is known of every resolved problem. Its `Display` is an id that says all.
pub trait Problem: std::fmt::Display {
    /// Name as ONNX spells it in snake case, such as `max_pool`.
    fn name(&self) -> &'static str;

    /// The tensors it takes, in order.
    fn inputs(&self) -> Vec<TensorSpec>;

    /// The tensors it gives, in order.
    fn outputs(&self) -> Vec<TensorSpec>;

    /// Whether small integers in give results without any rounding.
    fn is_exact(&self) -> bool;

    /// Floating-point operations, two per multiply-add.
    fn flops(&self) -> f64;

    /// Most terms that one output sums; the checks keep their integers small enough for it.
    fn terms(&self) -> u64 {
        1
    }

    /// Bytes that must move at least: each tensor once, or what is read of it (saturating).
    fn bytes(&self) -> u64 {
        self.inputs().iter().chain(&self.outputs()).map(TensorSpec::bytes).fold(0, u64::saturating_add)
    }
}

/// Any op: a resolved problem, every number known and checked, nothing decided yet. Its `Display` is the problem's id.
///
/// Ops are equal, and hash alike, where all their numbers are; f32 parameters count by their bits. With serde an op is written as what its constructor
/// takes, and read through the constructor: what that would refuse is an error.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// A convolution, forward or transposed.
    Conv(ConvProblem),
    /// A matrix product: matmul, gemm or a dense layer.
    MatMul(MatMulProblem),
    /// Pooling: max, average or Lp.
    Pool(PoolProblem),
    /// The inverse of a max pool with indices.
    MaxUnpool(MaxUnpoolProblem),
    /// An operation on two tensors, element by element.
    Binary(BinaryProblem),
    /// An operation on one tensor, element by element, or an activation.
    Unary(UnaryProblem),
    /// Another element type.
    Cast(CastProblem),
    /// One of two tensors, element by element.
    Where(WhereProblem),
    /// Dropout in training.
    Dropout(DropoutProblem),
    /// An image of 8 bits to a tensor, or back.
    Image(ImageProblem),
    /// Softmax, or its logarithm.
    Softmax(SoftmaxProblem),
    /// Layer, group or instance normalisation.
    Norm(NormProblem),
    /// Batch normalisation with known statistics.
    BatchNorm(BatchNormProblem),
    /// Local response normalisation.
    Lrn(LrnProblem),
    /// Sum, mean, maximum, minimum or product over axes.
    Reduce(ReduceProblem),
    /// The index of the largest element.
    Argmax(ArgmaxProblem),
    /// The first elements of an order, and where they stand.
    TopK(TopKProblem),
    /// Reading at indices that are computed.
    Gather(GatherProblem),
    /// Writing at indices that are computed.
    Scatter(ScatterProblem),
    /// Other spatial extents.
    Resize(Resize),
    /// Sampling at the positions of a grid.
    GridSample(GridSample),
    /// Padding.
    Pad(Pad),
    /// A part of every axis.
    Slice(Slice),
    /// Tensors joined along an axis.
    Concat(Concat),
    /// Axes in another order.
    Transpose(Transpose),
    /// Another layout in memory.
    ToLayout(ToLayout),
    /// Channels to blocks of positions, or back.
    DepthToSpace(DepthToSpace),
    /// The adjoint of a pad, a slice, a resize or a pool.
    Adjoint(AdjointProblem),
    /// The gradient of a max unpooling.
    MaxUnpoolGradient(MaxUnpoolGradient),
    /// The gradient of a convolution by its filter.
    FilterGradient(FilterGradient),
    /// A step of an optimizer.
    Optimizer(OptimizerProblem),
}

macro_rules! from {
    ($($variant:ident($problem:ident),)*) => {
        $(
            impl From<$problem> for Op {
                fn from(problem: $problem) -> Self {
                    Op::$variant(problem)
                }
            }

            impl From<&$problem> for Op {
                fn from(problem: &$problem) -> Self {
                    Op::$variant(problem.clone())
                }
            }
        )*
    };
}

from! {
        Conv(ConvProblem),
        MatMul(MatMulProblem),
        Pool(PoolProblem),
        MaxUnpool(MaxUnpoolProblem),
        Binary(BinaryProblem),
        Unary(UnaryProblem),
        Cast(CastProblem),
        Where(WhereProblem),
        Dropout(DropoutProblem),
        Image(ImageProblem),
        Softmax(SoftmaxProblem),
        Norm(NormProblem),
        BatchNorm(BatchNormProblem),
        Lrn(LrnProblem),
        Reduce(ReduceProblem),
        Argmax(ArgmaxProblem),
        TopK(TopKProblem),
        Gather(GatherProblem),
        Scatter(ScatterProblem),
        Resize(Resize),
        GridSample(GridSample),
        Pad(Pad),
        Slice(Slice),
        Concat(Concat),
        Transpose(Transpose),
        ToLayout(ToLayout),
        DepthToSpace(DepthToSpace),
        Adjoint(AdjointProblem),
        MaxUnpoolGradient(MaxUnpoolGradient),
        FilterGradient(FilterGradient),
        Optimizer(OptimizerProblem),
}

impl From<&Op> for Op {
    fn from(op: &Op) -> Self {
        op.clone()
    }
}

/// The facts of each problem.
fn problem(op: &Op) -> &dyn Problem {
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

impl Problem for Op {
    fn name(&self) -> &'static str {
        problem(self).name()
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        problem(self).inputs()
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        problem(self).outputs()
    }

    fn is_exact(&self) -> bool {
        problem(self).is_exact()
    }

    fn flops(&self) -> f64 {
        problem(self).flops()
    }

    fn bytes(&self) -> u64 {
        problem(self).bytes()
    }

    fn terms(&self) -> u64 {
        problem(self).terms()
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        problem(self).fmt(f)
    }
}
