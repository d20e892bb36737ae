//! Gradients of softmax, norms and reductions.

use super::elementwise::through;
use super::{Builder, Of};
use crate::ops::adjoint::{AdjointOf, AdjointProblem};
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp};
use crate::ops::elementwise::where_cond::WhereProblem;
use crate::ops::norm::batch::BatchNormProblem;
use crate::ops::norm::lrn::{LrnDescriptor, LrnProblem};
use crate::ops::norm::rows::{LayerNormDescriptor, NormInputs, NormKind, NormProblem};
use crate::ops::pool::descriptor::{PoolDescriptor, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::reduce::{ReduceDescriptor, ReduceKind, ReduceProblem};
use crate::ops::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use crate::types::{Activation, Padding, Result, TensorType};

/// y (dy - sum(dy y)); of the logarithm, dy - softmax(x) sum(dy).
pub(super) fn softmax(b: &mut Builder<'_>, problem: &SoftmaxProblem) -> Result<()> {
    let axis = problem.axis as isize;
    let sum = |b: &mut Builder<'_>, of: Of| -> Result<Of> {
        let sum = ReduceProblem::new(&b.of(of), &ReduceDescriptor::sum(&[axis]).with_keepdims(true))?;
        Ok(b.op(sum, &[of]))
    };
    let dx = if problem.logarithm {
        let total = sum(b, Of::Upstream)?;
        let y = SoftmaxProblem::new(&b.of(Of::Input(0)), &SoftmaxDescriptor { axis, logarithm: false })?;
        let y = b.op(y, &[Of::Input(0)]);
        let share = b.mul(y, total)?;
        b.sub(Of::Upstream, share)?
    } else {
        let product = b.mul(Of::Upstream, Of::Output(0))?;
        let total = sum(b, product)?;
        let rest = b.sub(Of::Upstream, total)?;
        b.mul(rest, Of::Output(0))?
    };
    b.give(0, dx);
    Ok(())
}

/// Rows of the elements that share a mean: (g - mean(g) - xhat mean(g xhat)) / deviation, with g = dy scale.
pub(super) fn norm(b: &mut Builder<'_>, problem: &NormProblem) -> Result<()> {
    let x = b.inputs[0].clone();
    let (scale, bias) = (problem.has_scale.then_some(1), problem.has_bias.then_some(1 + usize::from(problem.has_scale)));
    let count = x.extents.iter().product::<usize>();
    let rows = match problem.kind {
        NormKind::Layer { axis } => x.extents[..axis].iter().product(),
        NormKind::Group { groups } => x.extents[0] * groups,
        NormKind::Instance => x.extents[0] * x.extents[1],
    };
    let as_rows = [rows, count / rows];
    let read = b.view(Of::Input(0), &as_rows)?;
    let layer = LayerNormDescriptor { axis: 1, epsilon: problem.epsilon };
    let normed =
        b.op(NormProblem::layer(&NormInputs { x: TensorType::f32(&as_rows), scale: None, bias: None }, &layer)?.with_statistics(true), &[read]);
    let inverse = if let Of::Item { item, .. } = normed { Of::Item { item, output: 2 } } else { normed };
    // Axes of x that a scale does not have.
    let others: Vec<usize> = match problem.kind {
        NormKind::Layer { axis } => (0..axis).collect(),
        _ => (0..x.rank()).filter(|axis| *axis != 1).collect(),
    };
    if let Some(bias) = bias.filter(|bias| b.wants(*bias)) {
        let sum = b.sum(Of::Upstream, &others)?;
        let own = b.inputs[bias].clone();
        let sum = b.shaped(sum, &own)?;
        b.give(bias, sum);
    }
    if let Some(scale) = scale.filter(|scale| b.wants(*scale)) {
        let dy = b.view(Of::Upstream, &as_rows)?;
        let product = b.mul(dy, normed)?;
        let product = b.view(product, &x.extents)?;
        let sum = b.sum(product, &others)?;
        let own = b.inputs[scale].clone();
        let sum = b.shaped(sum, &own)?;
        b.give(scale, sum);
    }
    if b.wants(0) {
        let scaled = match (scale, problem.kind) {
            (None, _) => Of::Upstream,
            (Some(scale), NormKind::Layer { .. }) => b.mul(Of::Upstream, Of::Input(scale))?,
            (Some(scale), _) => {
                let scale = per_channel(b, Of::Input(scale), x.rank())?;
                b.mul(Of::Upstream, scale)?
            }
        };
        let g = b.view(scaled, &as_rows)?;
        let mean = b.row_mean(g)?;
        let product = b.mul(g, normed)?;
        let slope = b.row_mean(product)?;
        let centred = b.sub(g, mean)?;
        let along = b.mul(normed, slope)?;
        let rest = b.sub(centred, along)?;
        let dx = b.mul(rest, inverse)?;
        let dx = b.shaped(dx, &x)?;
        b.give(0, dx);
    }
    Ok(())
}

/// A vector with a value per channel that broadcasts to N C ....
fn per_channel(b: &mut Builder<'_>, vector: Of, rank: usize) -> Result<Of> {
    let channels = b.of(vector).extents[0];
    let extents: Vec<usize> = std::iter::once(channels).chain(std::iter::repeat_n(1, rank - 2)).collect();
    b.view(vector, &extents)
}

/// Statistics are constants of a trained network and have no gradient.
pub(super) fn batch_norm(b: &mut Builder<'_>, problem: &BatchNormProblem) -> Result<()> {
    let rank = problem.x.len();
    let (scale, bias) = (problem.has_scale.then_some(1), problem.has_bias.then_some(1 + usize::from(problem.has_scale)));
    let mean = 1 + usize::from(problem.has_scale) + usize::from(problem.has_bias);
    if b.wants(mean) || b.wants(mean + 1) {
        return Err(b.refuse("statistics of a trained network have no gradient"));
    }
    let gradient = match problem.activation {
        Activation::None => Of::Upstream,
        Activation::Relu => through(b, Activation::Relu, Of::Output(0), Of::Upstream)?,
        activation => {
            let all: Vec<Of> = (0..b.inputs.len()).map(Of::Input).collect();
            let before = b.op(BatchNormProblem { activation: Activation::None, ..problem.clone() }, &all);
            through(b, activation, before, Of::Upstream)?
        }
    };
    let others: Vec<usize> = (0..rank).filter(|axis| *axis != 1).collect();
    if let Some(bias) = bias.filter(|bias| b.wants(*bias)) {
        let sum = b.sum(gradient, &others)?;
        b.give(bias, sum);
    }
    let variance = b.binary(BinaryOp::Add, Of::Input(mean + 1), Of::Constant(problem.epsilon))?;
    let inverse = b.binary(BinaryOp::Power, variance, Of::Constant(-0.5))?;
    if let Some(scale) = scale.filter(|scale| b.wants(*scale)) {
        let centre = per_channel(b, Of::Input(mean), rank)?;
        let centred = b.sub(Of::Input(0), centre)?;
        let product = b.mul(gradient, centred)?;
        let sum = b.sum(product, &others)?;
        let own = b.mul(sum, inverse)?;
        b.give(scale, own);
    }
    if b.wants(0) {
        let slope = match scale {
            Some(scale) => b.mul(inverse, Of::Input(scale))?,
            None => inverse,
        };
        let slope = per_channel(b, slope, rank)?;
        let dx = b.mul(gradient, slope)?;
        b.give(0, dx);
    }
    Ok(())
}

/// With D = bias + alpha mean(x^2) over the window: dx = dy D^-beta - 2 alpha beta x mean'(dy y / D), where mean' runs over the windows that x is in.
pub(super) fn lrn(b: &mut Builder<'_>, problem: &LrnProblem) -> Result<()> {
    let x = b.inputs[0].clone();
    let LrnDescriptor { size, alpha, beta, bias } = problem.descriptor;
    // Channels as the height of planes: their windows are those of a pool.
    let planes = [x.extents[0], 1, x.extents[1], x.extents[2..].iter().product()];
    let [before, after] = problem.reach();
    let window = PoolDescriptor {
        padding: Padding::Explicit { begin: [before, 0], end: [after, 0] },
        ..PoolDescriptor::window([size, 1]).with_stride([1, 1]).with_kind(PoolKind::Average { count_include_pad: true })
    };
    let pool = PoolProblem::new(&TensorType::f32(&planes), &window)?;
    let [read, y, dy] = [b.view(Of::Input(0), &planes)?, b.view(Of::Output(0), &planes)?, b.view(Of::Upstream, &planes)?];
    let square = b.mul(read, read)?;
    let mean = b.op(pool.clone(), &[square]);
    let mean = b.mul(mean, Of::Constant(alpha))?;
    let base = b.binary(BinaryOp::Add, mean, Of::Constant(bias))?;
    let power = b.binary(BinaryOp::Power, base, Of::Constant(-beta))?;
    let direct = b.mul(dy, power)?;
    let product = b.mul(dy, y)?;
    let product = b.binary(BinaryOp::Div, product, base)?;
    let sums = b.op(AdjointProblem::new(AdjointOf::Pool(pool))?, &[product]);
    let along = b.mul(sums, read)?;
    let along = b.mul(along, Of::Constant(2.0 * alpha * beta))?;
    let dx = b.sub(direct, along)?;
    let dx = b.shaped(dx, &x)?;
    b.give(0, dx);
    Ok(())
}

pub(super) fn reduce(b: &mut Builder<'_>, problem: &ReduceProblem) -> Result<()> {
    let x = b.inputs[0].clone();
    let kept: Vec<usize> = x.extents.iter().zip(&problem.reduced).map(|(&extent, reduced)| if *reduced { 1 } else { extent }).collect();
    let kept = TensorType { extents: kept, ..x };
    let mut gradient = b.shaped(Of::Upstream, &kept)?;
    let axes: Vec<isize> = (0..kept.rank()).filter(|&axis| problem.reduced[axis]).map(|axis| axis as isize).collect();
    // Over the same axes, which stay with extent 1.
    let over = |b: &mut Builder<'_>, kind: ReduceKind, of: Of| -> Result<Of> {
        let over = ReduceProblem::new(&b.of(of), &ReduceDescriptor::new(kind, &axes).with_keepdims(true))?;
        Ok(b.op(over, &[of]))
    };
    let dx = match problem.kind {
        ReduceKind::Sum | ReduceKind::Mean => {
            if problem.kind == ReduceKind::Mean {
                gradient = b.mul(gradient, Of::Constant(1.0 / problem.reduced_count() as f32))?;
            }
            // As the gradient of x itself, which broadcasts it.
            b.binary(BinaryDescriptor { op: BinaryOp::ActivationGradient, activation: Activation::None }, Of::Input(0), gradient)?
        }
        ReduceKind::Max | ReduceKind::Min => {
            let extreme = b.shaped(Of::Output(0), &kept)?;
            // 1/2 where it is the largest or the smallest, else 0.
            let [more, less] = if problem.kind == ReduceKind::Max { [Of::Input(0), extreme] } else { [extreme, Of::Input(0)] };
            let share = b.binary(BinaryOp::Exceeds, more, less)?;
            let total = over(b, ReduceKind::Sum, share)?;
            let each = b.binary(BinaryOp::Div, gradient, total)?;
            b.mul(share, each)?
        }
        // The product of the other elements: that of those which are not 0, divided by the element's own, where no other element is 0.
        ReduceKind::Prod => {
            let is_zero = b.binary(BinaryOp::Equal, Of::Input(0), Of::Constant(0.0))?;
            let factors = b.binary(BinaryOp::Add, Of::Input(0), is_zero)?;
            let product = over(b, ReduceKind::Prod, factors)?;
            let zeros = over(b, ReduceKind::Sum, is_zero)?;
            let others = b.binary(BinaryOp::Div, product, factors)?;
            let has_no_other = b.binary(BinaryOp::Equal, zeros, is_zero)?;
            let slope = WhereProblem::new(&b.of(has_no_other), &b.of(others), &b.of(Of::Constant(0.0)))?;
            let slope = b.op(slope, &[has_no_other, others, Of::Constant(0.0)]);
            b.mul(slope, gradient)?
        }
    };
    b.give(0, dx);
    Ok(())
}
