//! Gradients of convolutions and pools.

use super::elementwise::through;
use super::product::linear;
use super::{Builder, Of, shapes};
use crate::ops::adjoint::{AdjointOf, AdjointProblem};
use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::conv::fused::FusedPool;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::elementwise::binary::BinaryOp;
use crate::ops::pool::descriptor::PoolKind;
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::{MaxUnpoolGradient, MaxUnpoolProblem};
use crate::ops::transform::pad::{Pad, PadDescriptor, PadMode};
use crate::types::shape::WindowAxis;
use crate::types::{Activation, Layout, PaddingMode, Result, TensorType};

pub(super) fn conv(b: &mut Builder<'_>, problem: &ConvProblem) -> Result<()> {
    let [x, filter] = [Of::Input(0), Of::Input(1)];
    let count = b.inputs.len();
    let all: Vec<Of> = (0..count).map(Of::Input).collect();
    // 1. Back through the pool and the activation, to the sums.
    let mut gradient = Of::Upstream;
    let unpooled = problem.convolution();
    let mut output = Of::Output(0);
    if let Some(kind) = problem.pool {
        output = b.op(unpooled.clone(), &all);
        let pool = problem.pool_problem(if kind == FusedPool::Max { PoolKind::MAX } else { PoolKind::AVERAGE });
        gradient = pool_of(b, &pool, output, gradient)?;
    }
    if problem.activation != Activation::None {
        let before = match problem.activation {
            Activation::Relu => output,
            _ => b.op(ConvProblem { activation: Activation::None, ..unpooled }, &all),
        };
        gradient = through(b, problem.activation, before, gradient)?;
    }
    // 2. What was added to the sums.
    if problem.has_residual {
        b.give(count - 1, gradient);
    }
    if problem.has_bias && b.wants(2) {
        let axes: Vec<usize> = (0..problem.rank + 2).filter(|axis| *axis != 1).collect();
        let sum = b.sum(gradient, &axes)?;
        b.give(2, sum);
    }
    if !b.wants(0) && !b.wants(1) {
        return Ok(());
    }
    // 3. The convolution itself: of one output an image it is a dense layer, whose gradients multiply by no zeros outside the input; over other pads than
    // zeros it is a pad and a convolution without any.
    if covers_input(problem) {
        return linear(b, gradient);
    }
    let padded = padding(problem)?;
    let plain = without_padding(problem, padded.as_ref());
    if b.wants(1) {
        let read = match &padded {
            Some(pad) => b.op(pad.clone(), &[x]),
            None => x,
        };
        let read = b.in_layout(read, Layout::ChannelsFirst)?;
        let dy = b.in_layout(gradient, Layout::ChannelsFirst)?;
        let first = ConvProblem { x_layout: Layout::ChannelsFirst, y_layout: Layout::ChannelsFirst, ..plain.clone() };
        let dw = b.op(FilterGradient::new(&first)?, &[read, dy]);
        b.give(1, dw);
    }
    if b.wants(0) {
        let mut dx = b.op(plain.data_gradient()?, &[gradient, filter]);
        if let Some(pad) = &padded {
            dx = shapes::pad_of(b, pad, dx)?;
        }
        b.give(0, dx);
    }
    Ok(())
}

/// Whether each filter is a row of a dense layer whose input is an image as it lies.
fn covers_input(problem: &ConvProblem) -> bool {
    let covers = |axis: &WindowAxis| axis.filter == axis.input && axis.output == 1 && axis.pad_begin == 0 && axis.pad_end == 0;
    problem.direction == Direction::Forward && problem.groups == 1 && problem.axes.iter().all(covers)
}

/// The pad of x as an op, where something else than zeros stands there.
fn padding(problem: &ConvProblem) -> Result<Option<Pad>> {
    let mode = match problem.padding_mode {
        PaddingMode::Zeros => return Ok(None),
        PaddingMode::Reflect => PadMode::Reflect,
        PaddingMode::Replicate => PadMode::Replicate,
        PaddingMode::Circular => PadMode::Circular,
    };
    let side = |pick: fn(&WindowAxis) -> i64| [0, 0].into_iter().chain(problem.spatial().iter().map(move |axis| pick(axis).max(0) as usize));
    let pads = side(|axis| axis.pad_begin).chain(side(|axis| axis.pad_end)).collect();
    let x = TensorType::new(&problem.input_extents(), problem.element, problem.x_layout);
    Ok(Some(Pad::new(&x, &PadDescriptor { pads, mode })?))
}

/// The convolution without its epilogue, on x as it is padded.
fn without_padding(problem: &ConvProblem, padded: Option<&Pad>) -> ConvProblem {
    let mut plain = ConvProblem {
        has_bias: false,
        has_residual: false,
        activation: Activation::None,
        pool: None,
        algorithm: None,
        padding_mode: PaddingMode::Zeros,
        ..problem.clone()
    };
    if padded.is_some() {
        for axis in &mut plain.axes {
            let input = axis.input + (axis.pad_begin.max(0) + axis.pad_end.max(0)) as u64;
            *axis = WindowAxis { input, pad_begin: 0, pad_end: 0, ..*axis };
        }
    }
    plain
}

pub(super) fn pool(b: &mut Builder<'_>, problem: &PoolProblem) -> Result<()> {
    // Indices that the op itself gave are not computed again.
    let dx = match problem.kind {
        PoolKind::Max { .. } if problem.clone().with_indices() == *problem => {
            b.op(AdjointProblem::new(AdjointOf::Pool(problem.clone()))?, &[Of::Upstream, Of::Output(1)])
        }
        PoolKind::Lp { p } => lp(b, problem, p)?,
        _ => pool_of(b, problem, Of::Input(0), Of::Upstream)?,
    };
    b.give(0, dx);
    Ok(())
}

/// The gradient of what a maximum or an average pooled.
fn pool_of(b: &mut Builder<'_>, problem: &PoolProblem, x: Of, gradient: Of) -> Result<Of> {
    let pool = problem.clone().with_indices();
    if pool.indices().is_none() {
        return Ok(b.op(AdjointProblem::new(AdjointOf::Pool(pool))?, &[gradient]));
    }
    let pooled = b.op(pool.clone(), &[x]);
    let indices = b.second(pooled);
    Ok(b.op(AdjointProblem::new(AdjointOf::Pool(pool))?, &[gradient, indices]))
}

/// sign(x) |x|^(p - 1) times the sum over the windows of dy y^(1 - p); 0 where x is 0, in windows of zeros too.
fn lp(b: &mut Builder<'_>, problem: &PoolProblem, p: f32) -> Result<Of> {
    let (x, y) = (Of::Input(0), Of::Output(0));
    let weighted = match p {
        1.0 => Of::Upstream,
        2.0 => b.binary(BinaryOp::Div, Of::Upstream, y)?,
        p => {
            let power = b.binary(BinaryOp::Power, y, Of::Constant(1.0 - p))?;
            b.mul(Of::Upstream, power)?
        }
    };
    // A norm of 0 has divided by 0.
    let weighted = if p == 1.0 { weighted } else { through(b, Activation::Relu, y, weighted)? };
    let sums = b.op(AdjointProblem::new(AdjointOf::Pool(problem.clone()))?, &[weighted]);
    if p == 2.0 {
        return b.mul(sums, x);
    }
    // 1, 1/2 or 0 less 1/2, twice.
    let exceeds = b.binary(BinaryOp::Exceeds, x, Of::Constant(0.0))?;
    let half = b.sub(exceeds, Of::Constant(0.5))?;
    let sign = b.mul(half, Of::Constant(2.0))?;
    let signed = b.mul(sums, sign)?;
    if p == 1.0 {
        return Ok(signed);
    }
    let magnitude = b.mul(x, sign)?;
    let power = b.binary(BinaryOp::Power, magnitude, Of::Constant(p - 1.0))?;
    b.mul(signed, power)
}

/// What each element went into; its indices have no gradient.
pub(super) fn unpool(b: &mut Builder<'_>, problem: &MaxUnpoolProblem) -> Result<()> {
    let dx = b.op(MaxUnpoolGradient::new(problem.clone()), &[Of::Upstream, Of::Input(1)]);
    b.give(0, dx);
    Ok(())
}
