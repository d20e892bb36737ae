//! Normalisation and softmax.

use super::{Made, math};
use crate::host::axis_of;
use crate::import::{Context, Fault, Running, Value};
use crate::tensor::product;
use wgconv::elementwise::{BinaryOp, UnaryOp};
use wgconv::graph::{Recipe, ValueId};
use wgconv::norm::{BatchNormDescriptor, GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, LrnDescriptor};
use wgconv::reduce::{ReduceDescriptor, ReduceKind};
use wgconv::softmax::SoftmaxDescriptor;

pub(super) fn batch<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.floating(0)?;
    let epsilon = c.float_or("epsilon", 1e-5)?;
    c.ignore(&["momentum"]);
    // Before opset 7 a flag said that statistics are known; before 14 further outputs said that they are not.
    let trains = c.flag("training_mode", false)? || (c.opset() < 7 && !c.flag("is_test", false)?) || (1..5).any(|output| c.wants(output));
    if trains {
        return Err(Fault::new("it is in training mode: statistics of a batch are not imported"));
    }
    if !c.flag("spatial", true)? {
        return Err(Fault::new("attribute spatial: statistics of each position are not imported"));
    }
    let mut vectors = vec![];
    for input in 1..5 {
        vectors.push(c.floating(input)?.id);
    }
    let descriptor = BatchNormDescriptor { epsilon, ..Default::default() };
    let y = c.emit(Recipe::BatchNorm { descriptor, has: [true, true] }, &[x.id, vectors[0], vectors[1], vectors[2], vectors[3]])?;
    Ok(vec![c.out(y, x.element)])
}

pub(super) fn instance<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, scale, bias) = (c.floating(0)?, c.floating(1)?, c.floating(2)?);
    let descriptor = InstanceNormDescriptor { epsilon: c.float_or("epsilon", 1e-5)? };
    let y = c.emit(Recipe::InstanceNorm { descriptor, has: [true, true] }, &[x.id, scale.id, bias.id])?;
    Ok(vec![c.out(y, x.element)])
}

/// Scale and bias are of each channel; before opset 21 of each group.
pub(super) fn group<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, scale, bias) = (c.floating(0)?, c.floating(1)?, c.floating(2)?);
    let groups =
        c.int("num_groups")?.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| Fault::new("attribute num_groups: it is a positive number"))?;
    let descriptor = GroupNormDescriptor { groups, epsilon: c.float_or("epsilon", 1e-5)? };
    c.ignore(&["stash_type"]);
    if c.opset() >= 21 {
        let y = c.emit(Recipe::GroupNorm { descriptor, has: [true, true] }, &[x.id, scale.id, bias.id])?;
        return Ok(vec![c.out(y, x.element)]);
    }
    let y = c.emit(Recipe::GroupNorm { descriptor, has: [false, false] }, &[x.id])?;
    let [batch, ..] = x.dims[..] else { return Err(Fault::new("x has no batch")) };
    let rest = product(&x.dims) / batch.max(1) / groups.max(1);
    let parts = c.reshape(y, &[batch, groups, rest])?;
    let (scale, bias) = (c.reshape(scale.id, &[1, groups, 1])?, c.reshape(bias.id, &[1, groups, 1])?);
    let parts = c.emit(BinaryOp::Mul, &[parts, scale])?;
    let y = c.emit(BinaryOp::Add, &[parts, bias])?;
    Ok(vec![Value::Running(Running::new(y, x.dims.clone(), x.element))])
}

/// The mean over the axes from `axis` on, which stay with extent 1.
fn mean_from(c: &mut Context<'_, '_>, x: ValueId, axes: &[usize]) -> Result<ValueId, Fault> {
    let axes: Vec<isize> = axes.iter().map(|&axis| axis as isize).collect();
    c.emit(Recipe::Reduce(ReduceDescriptor::new(ReduceKind::Mean, &axes).with_keepdims(true)), &[x])
}

pub(super) fn layer<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, scale) = (c.floating(0)?, c.floating(1)?);
    let bias = if c.has(2) { Some(c.floating(2)?) } else { None };
    let axis = axis_of(c.int_or("axis", -1)?, x.dims.len())?;
    let epsilon = c.float_or("epsilon", 1e-5)?;
    c.ignore(&["stash_type"]);
    let descriptor = LayerNormDescriptor { axis: axis as isize, epsilon };
    let fits = |tensor: &Running| tensor.dims == x.dims[axis..];
    let y = if fits(&scale) && bias.as_ref().is_none_or(fits) {
        let inputs: Vec<ValueId> = [x.id, scale.id].into_iter().chain(bias.as_ref().map(|bias| bias.id)).collect();
        c.emit(Recipe::LayerNorm { descriptor, has: [true, bias.is_some()] }, &inputs)?
    } else {
        // Scale and bias broadcast to x.
        let y = c.emit(Recipe::LayerNorm { descriptor, has: [false, false] }, &[x.id])?;
        let y = c.emit(BinaryOp::Mul, &[y, scale.id])?;
        match bias {
            Some(bias) => c.emit(BinaryOp::Add, &[y, bias.id])?,
            None => y,
        }
    };
    let mut outputs = vec![c.out(y, x.element)];
    if c.wants(1) || c.wants(2) {
        let axes: Vec<usize> = (axis..x.dims.len()).collect();
        let mean = mean_from(c, x.id, &axes)?;
        let deviation = c.emit(BinaryOp::Sub, &[x.id, mean])?;
        let square = c.emit(BinaryOp::Mul, &[deviation, deviation])?;
        let variance = mean_from(c, square, &axes)?;
        let variance = math::shifted(c, variance, epsilon)?;
        let inverse = math::power(c, variance, -0.5)?;
        outputs.extend([c.out(mean, x.element), c.out(inverse, x.element)]);
    }
    Ok(outputs)
}

/// x / sqrt(mean of x^2 + epsilon) times a scale.
pub(super) fn root_mean_square<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, scale) = (c.floating(0)?, c.floating(1)?);
    let axis = axis_of(c.int_or("axis", -1)?, x.dims.len())?;
    let epsilon = c.float_or("epsilon", 1e-5)?;
    c.ignore(&["stash_type"]);
    let square = c.emit(BinaryOp::Mul, &[x.id, x.id])?;
    let mean = mean_from(c, square, &(axis..x.dims.len()).collect::<Vec<_>>())?;
    let mean = math::shifted(c, mean, epsilon)?;
    let inverse = math::power(c, mean, -0.5)?;
    let y = c.emit(BinaryOp::Mul, &[x.id, inverse])?;
    let y = c.emit(BinaryOp::Mul, &[y, scale.id])?;
    Ok(vec![c.out(y, x.element)])
}

/// x divided by its norm along an axis; 0 where that is 0.
pub(super) fn lp<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.floating(0)?;
    let axis = axis_of(c.int_or("axis", -1)?, x.dims.len())?;
    let sum = Recipe::Reduce(ReduceDescriptor::sum(&[axis as isize]).with_keepdims(true));
    let norm = match c.int_or("p", 2)? {
        1 => {
            let absolute = math::unary(c, UnaryOp::Abs, x.id)?;
            c.emit(sum, &[absolute])?
        }
        2 => {
            let square = c.emit(BinaryOp::Mul, &[x.id, x.id])?;
            let sum = c.emit(sum, &[square])?;
            math::unary(c, UnaryOp::Sqrt, sum)?
        }
        p => return Err(Fault::new(format!("attribute p: it is 1 or 2, not {p}"))),
    };
    // Where the norm is 0 all of x is, and any other divisor gives 0.
    let zero = c.scalar(0.0)?;
    let is_zero = c.emit(BinaryOp::Equal, &[norm, zero])?;
    let divisor = c.emit(BinaryOp::Add, &[norm, is_zero])?;
    let y = c.emit(BinaryOp::Div, &[x.id, divisor])?;
    Ok(vec![c.out(y, x.element)])
}

/// (x - mean) / (deviation + 1e-9) over axes.
pub(super) fn mean_variance<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.floating(0)?;
    let axes = c.ints("axes")?.unwrap_or(&[0, 2, 3]);
    let axes: Vec<usize> = axes.iter().map(|&axis| axis_of(axis, x.dims.len())).collect::<Result<_, _>>()?;
    let mean = mean_from(c, x.id, &axes)?;
    let centred = c.emit(BinaryOp::Sub, &[x.id, mean])?;
    let square = c.emit(BinaryOp::Mul, &[centred, centred])?;
    let variance = mean_from(c, square, &axes)?;
    let deviation = math::unary(c, UnaryOp::Sqrt, variance)?;
    let deviation = math::shifted(c, deviation, 1e-9)?;
    let y = c.emit(BinaryOp::Div, &[centred, deviation])?;
    Ok(vec![c.out(y, x.element)])
}

pub(super) fn lrn<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.floating(0)?;
    let size = c.int("size")?.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| Fault::new("attribute size: it is a positive number"))?;
    let descriptor = LrnDescriptor { size, alpha: c.float_or("alpha", 1e-4)?, beta: c.float_or("beta", 0.75)?, bias: c.float_or("bias", 1.0)? };
    let y = c.emit(Recipe::Lrn(descriptor), &[x.id])?;
    Ok(vec![c.out(y, x.element)])
}

/// Since opset 13 along one axis, before over all from the axis on.
fn softmax_of<'m>(c: &mut Context<'_, 'm>, logarithm: bool) -> Made<'m> {
    let x = c.carrier(0)?;
    c.check_float(0, &x)?;
    let rank = x.dims.len();
    if c.opset() >= 13 {
        let axis = axis_of(c.int_or("axis", -1)?, rank)?;
        let id = c.importer.shaped(&x)?;
        let y = c.emit(Recipe::Softmax(SoftmaxDescriptor { axis: axis as isize, logarithm }), &[id])?;
        return Ok(vec![c.out(y, x.element)]);
    }
    // The rank itself is allowed there: rows of one element.
    let axis = c.int_or("axis", 1)?;
    let axis = if axis == rank as i64 { rank } else { axis_of(axis, rank)? };
    let rows = c.reshape(x.id, &[product(&x.dims[..axis]), product(&x.dims[axis..])])?;
    let y = c.emit(Recipe::Softmax(SoftmaxDescriptor { axis: 1, logarithm }), &[rows])?;
    Ok(vec![Value::Running(Running::new(y, x.dims.clone(), x.element))])
}

pub(super) fn softmax<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    softmax_of(c, false)
}

pub(super) fn log_softmax<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    softmax_of(c, true)
}
