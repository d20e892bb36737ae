//! Quantised tensors, computed in f32: integers of 8 and 16 bits are exact there, and so are sums of their products up to 2^24.

use super::Made;
use super::conv::convolved;
use super::math;
use super::matmul::product;
use crate::host::arithmetic::{self, Two, floats};
use crate::host::{axis_of, moves};
use crate::import::{Context, Fault, Known, Running, Value};
use crate::tensor::{Element, product as elements};
use std::rc::Rc;
use wgconv::Activation;
use wgconv::elementwise::{BinaryOp, UnaryOp};
use wgconv::graph::{Recipe, ValueId};

/// Beyond this every quantised number saturates, whatever its zero point.
const BEYOND: f32 = 262_144.0;

/// A scale or a zero point as it broadcasts to x: of the whole tensor, of each index along an axis, or of blocks along it.
fn spread(c: &mut Context<'_, '_>, input: usize, x: &[usize], axis: usize, block: usize) -> Result<Running, Fault> {
    let own = c.running(input)?;
    match own.dims[..] {
        [] | [1] if block == 0 => Ok(Running { id: c.reshape(own.id, &[])?, ..own.viewed(vec![]) }),
        [extent] if block == 0 && x.get(axis) == Some(&extent) => {
            let dims: Vec<usize> = (0..x.len()).map(|i| if i == axis { extent } else { 1 }).collect();
            Ok(Running { id: c.reshape(own.id, &dims)?, ..own.viewed(dims) })
        }
        _ if block > 0
            && own.dims.len() == x.len()
            && axis < x.len()
            && own.dims[axis] == x[axis].div_ceil(block)
            && x[axis].is_multiple_of(block) =>
        {
            let (outer, inner) = (elements(&own.dims[..=axis]), elements(&own.dims[axis + 1..]));
            c.importer.budget.spend(&[block])?;
            let rows = c.reshape(own.id, &[outer, 1, inner])?;
            let ones = c.constant(&[1, block, 1], &vec![1.0; block])?;
            let id = c.emit(BinaryOp::Mul, &[rows, ones])?;
            Ok(Running { id: c.reshape(id, x)?, ..own.viewed(x.to_vec()) })
        }
        _ => Err(Fault::new(format!(
            "input {input} has the extents {:?}, and x has {x:?}: it is of the tensor, of axis {axis} or of its blocks",
            own.dims
        ))),
    }
}

/// Whether a zero point is left out, or known to be 0.
fn is_zero(c: &Context<'_, '_>, input: usize) -> bool {
    !c.has(input) || c.known(input).is_some_and(|known| known.tensor.as_integers().is_some_and(|numbers| numbers.iter().all(|&n| n == 0)))
}

/// x less its zero point, which lies along an axis.
fn centred(c: &mut Context<'_, '_>, x: usize, zero: usize, axis: usize) -> Result<ValueId, Fault> {
    let value = c.running(x)?;
    if is_zero(c, zero) {
        return Ok(value.id);
    }
    let zero = spread(c, zero, &value.dims, axis, 0)?;
    c.emit(BinaryOp::Sub, &[value.id, zero.id])
}

/// Rounded to the nearest integer, of two the even one, moved by the zero point and cut to the type.
fn settled(c: &mut Context<'_, '_>, quotient: ValueId, zero: Option<ValueId>, element: Element) -> Result<ValueId, Fault> {
    let near = c.emit(Recipe::Activation(Activation::Clip { min: -BEYOND, max: BEYOND }), &[quotient])?;
    let mut y = math::unary(c, UnaryOp::Round, near)?;
    if let Some(zero) = zero {
        y = c.emit(BinaryOp::Add, &[y, zero])?;
    }
    let [low, high] = element.range();
    c.emit(Recipe::Activation(Activation::Clip { min: low as f32, max: high as f32 }), &[y])
}

/// The type that a node quantises to.
fn quantised_type(c: &mut Context<'_, '_>, zero: usize) -> Result<Element, Fault> {
    let said = c.int("output_dtype")?.filter(|&number| number != 0);
    let element = match said {
        Some(number) => Element::of_number(number)
            .ok_or_else(|| Fault::new(format!("attribute output_dtype: elements of the type {number} are not computed with")))?,
        None if c.has(zero) => c.element(zero)?,
        None => Element::U8,
    };
    match element {
        Element::U8 | Element::I8 | Element::U16 | Element::I16 => Ok(element),
        other => Err(Fault::new(format!("it quantises to {other}, and only integers of 8 and 16 bits are known"))),
    }
}

pub(super) fn quantize<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.floating(0)?;
    let block = c.int_or("block_size", 0)?.max(0) as usize;
    let axis = c.int_or("axis", 1)?;
    let axis = if x.dims.is_empty() { 0 } else { axis_of(axis, x.dims.len()).unwrap_or(0) };
    c.ignore(&["saturate", "precision"]);
    let element = quantised_type(c, 2)?;
    let scale = spread(c, 1, &x.dims, axis, block)?;
    let zero = if is_zero(c, 2) { None } else { Some(spread(c, 2, &x.dims, axis, block)?.id) };
    let quotient = c.emit(BinaryOp::Div, &[x.id, scale.id])?;
    let y = settled(c, quotient, zero, element)?;
    Ok(vec![c.out(y, element)])
}

pub(super) fn dequantize<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let dims = c.dims(0)?;
    let block = c.int_or("block_size", 0)?.max(0) as usize;
    let axis = c.int_or("axis", 1)?;
    let axis = if dims.is_empty() { 0 } else { axis_of(axis, dims.len()).unwrap_or(0) };
    c.ignore(&["output_dtype"]);
    let element = c.element(1)?;
    if let (Some(known), 0) = (c.all_known(), block) {
        let y = weights(c, &known, axis)?;
        return Ok(vec![y]);
    }
    let x = c.running(0)?;
    let scale = spread(c, 1, &dims, axis, block)?;
    let mut y = x.id;
    if !is_zero(c, 2) {
        let zero = spread(c, 2, &dims, axis, block)?;
        y = c.emit(BinaryOp::Sub, &[y, zero.id])?;
    }
    let y = c.emit(BinaryOp::Mul, &[y, scale.id])?;
    Ok(vec![c.out(y, element)])
}

/// Quantised weights as the floats that they stand for, rounded once.
fn weights<'m>(c: &mut Context<'_, 'm>, known: &[Rc<Known<'m>>], axis: usize) -> Result<Value<'m>, Fault> {
    let x = &known[0].tensor;
    let budget = &mut c.importer.budget;
    let mut along = |known: &Known<'m>| -> Result<Vec<f64>, Fault> {
        let tensor = &known.tensor;
        let count = tensor.numbers().len();
        let to: Vec<usize> = (0..x.dims().len()).map(|i| if i == axis && count > 1 { count } else { 1 }).collect();
        if elements(&to) != count {
            return Err(Fault::new("a scale or a zero point is of another rank than x"));
        }
        crate::host::broadcast(&to, x.dims())
            .ok()
            .filter(|dims| dims == x.dims())
            .ok_or_else(|| Fault::new("a scale or a zero point does not broadcast to x"))?;
        Ok(moves::expand(&tensor.with_dims(to), x.dims(), budget)?.to_f64())
    };
    let scale = along(&known[1])?;
    let zero = known.get(2).map(|zero| along(zero)).transpose()?;
    let number = |(i, x): (usize, f64)| (x - zero.as_ref().map_or(0.0, |zero| zero[i])) * scale[i];
    let made = floats(known[1].tensor.element(), x.dims().to_vec(), x.to_f64().into_iter().enumerate().map(number));
    Ok(Value::Known(Rc::new(Known { tensor: made, name: known[0].name })))
}

fn note(c: &mut Context<'_, '_>) {
    let note = format!("node \"{}\" ({}) is computed in f32: sums of products are exact to 2^24", c.node.called(), c.node.op);
    c.importer.note(note);
}

/// The factor from a sum of products of integers to the quantised result: two scales over a third, along an axis.
fn factor(c: &mut Context<'_, '_>, [a, b, y]: [usize; 3], x: &[usize], axis: usize) -> Result<ValueId, Fault> {
    if let (Some(a), Some(b), Some(y)) = (c.known(a), c.known(b), c.known(y)) {
        let mut of = |op, a: &_, b: &_| arithmetic::two(op, a, b, &mut c.importer.budget);
        let both = of(Two::Mul, &a.tensor, &b.tensor)?;
        let all = of(Two::Div, &both, &y.tensor)?;
        let count = all.numbers().len();
        let dims: Vec<usize> = if count == 1 { vec![] } else { (0..x.len()).map(|i| if i == axis { count } else { 1 }).collect() };
        let numbers: Vec<f32> = all.to_f64().into_iter().map(|v| v as f32).collect();
        return c.constant(&dims, &numbers);
    }
    let (a, b, y) = (spread(c, a, x, axis, 0)?, spread(c, b, x, axis, 0)?, spread(c, y, x, axis, 0)?);
    let both = c.emit(BinaryOp::Mul, &[a.id, b.id])?;
    c.emit(BinaryOp::Div, &[both, y.id])
}

/// x, its scale and zero point, w, its scale and zero point, y's scale and zero point, a bias.
pub(super) fn conv<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let element = quantised_type(c, 7)?;
    let (x, w) = (centred(c, 0, 2, 1)?, centred(c, 3, 5, 0)?);
    let bias = if c.has(8) { Some(c.running(8)?.id) } else { None };
    let sums = convolved(c, x, w, bias)?;
    note(c);
    let dims = c.extents(sums);
    let factor = factor(c, [1, 4, 6], &dims, 1)?;
    let quotient = c.emit(BinaryOp::Mul, &[sums, factor])?;
    let zero = if is_zero(c, 7) { None } else { Some(spread(c, 7, &dims, 1, 0)?.id) };
    let y = settled(c, quotient, zero, element)?;
    Ok(vec![c.out(y, element)])
}

/// a, its scale and zero point, b, its scale and zero point, y's scale and zero point.
pub(super) fn matmul<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let element = quantised_type(c, 7)?;
    let (a_axis, b_axis) = (c.dims(0)?.len().saturating_sub(2), c.dims(3)?.len().saturating_sub(1));
    let (a, b) = (centred(c, 0, 2, a_axis)?, centred(c, 3, 5, b_axis)?);
    let sums = product(c, a, b)?;
    note(c);
    let dims = c.extents(sums);
    let factor = factor(c, [1, 4, 6], &dims, dims.len().saturating_sub(1))?;
    let quotient = c.emit(BinaryOp::Mul, &[sums, factor])?;
    let zero = if is_zero(c, 7) { None } else { Some(spread(c, 7, &dims, dims.len().saturating_sub(1), 0)?.id) };
    let y = settled(c, quotient, zero, element)?;
    Ok(vec![c.out(y, element)])
}

pub(super) fn conv_integer<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, w) = (centred(c, 0, 2, 1)?, centred(c, 1, 3, 0)?);
    let y = convolved(c, x, w, None)?;
    note(c);
    Ok(vec![c.out(y, Element::I32)])
}

pub(super) fn matmul_integer<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (a_axis, b_axis) = (c.dims(0)?.len().saturating_sub(2), c.dims(1)?.len().saturating_sub(1));
    let (a, b) = (centred(c, 0, 2, a_axis)?, centred(c, 1, 3, b_axis)?);
    let y = product(c, a, b)?;
    note(c);
    Ok(vec![c.out(y, Element::I32)])
}
