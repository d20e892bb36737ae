//! Values that follow from shapes and attributes, and conversions of type.

use super::{Made, math};
use crate::host::arithmetic::{self, floats, integers};
use crate::host::{axis_of, moves};
use crate::import::{Context, Fault, Running, Value};
use crate::tensor::{Element, Tensor, dims, product};
use wgconv::elementwise::{BinaryOp, UnaryOp};

pub(super) fn constant<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let list = |values: &[f32]| floats(Element::F32, vec![values.len()], values.iter().map(|&v| f64::from(v)));
    if let Some(tensor) = c.tensor("value")? {
        return Ok(vec![c.as_in_file(tensor)]);
    }
    if let Some(value) = c.int("value_int")? {
        return Ok(vec![c.made(Tensor::integer(value))]);
    }
    if let Some(values) = c.ints("value_ints")? {
        return Ok(vec![c.made(Tensor::list(values.to_vec()))]);
    }
    if let Some(values) = c.floats("value_floats")? {
        return Ok(vec![c.made(list(values))]);
    }
    let value = c.float_or("value_float", f32::NAN)?;
    c.finish()?;
    if c.node.attributes.is_empty() {
        return Err(Fault::new("it has no value"));
    }
    Ok(vec![c.made(list(&[value]).with_dims(vec![]))])
}

pub(super) fn constant_of_shape<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let dims = dims(&c.integers(0, "input")?).map_err(Fault::new)?;
    let value = match c.tensor("value")? {
        Some(value) if value.numbers().len() == 1 => value.with_dims(vec![1; dims.len()]),
        Some(value) => return Err(Fault::new(format!("attribute value: it is one number, not {}", value.numbers().len()))),
        None => floats(Element::F32, vec![1; dims.len()], std::iter::once(0.0)),
    };
    let y = moves::expand(&value, &dims, &mut c.importer.budget)?;
    Ok(vec![c.made(y)])
}

pub(super) fn shape<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let dims = c.dims(0)?;
    let rank = dims.len() as i64;
    let clamped = |position: i64| (if position < 0 { position.saturating_add(rank) } else { position }).clamp(0, rank) as usize;
    let (start, end) = (clamped(c.int_or("start", 0)?), clamped(c.int_or("end", rank)?));
    let part = if start < end { &dims[start..end] } else { &[] };
    Ok(vec![c.made(Tensor::list(part.iter().map(|&extent| extent as i64).collect()))])
}

pub(super) fn size<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let count = product(&c.dims(0)?);
    Ok(vec![c.made(Tensor::integer(count as i64))])
}

pub(super) fn range<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let element = c.element(0)?;
    c.ignore(&["stash_type"]);
    let known = [c.needed(0, "start")?, c.needed(1, "limit")?, c.needed(2, "delta")?];
    let by_zero = || Fault::new("delta is 0");
    if let [Some([start]), Some([limit]), Some([delta])] = known.each_ref().map(|known| known.tensor.as_integers()) {
        let (start, limit, delta) = (i128::from(*start), i128::from(*limit), i128::from(*delta));
        if delta == 0 {
            return Err(by_zero());
        }
        let count = usize::try_from(((limit - start) * delta.signum() + delta.abs() - 1).max(0) / delta.abs())
            .map_err(|_| Fault::new("it is past counting"))?;
        c.importer.budget.spend(&[count])?;
        return Ok(vec![c.made(integers(element, vec![count], (0..count as i128).map(|i| (start + i * delta) as i64)))]);
    }
    let [start, limit, delta] = [c.number(0, "start")?, c.number(1, "limit")?, c.number(2, "delta")?];
    if delta == 0.0 {
        return Err(by_zero());
    }
    let count = ((limit - start) / delta).ceil().max(0.0);
    if !count.is_finite() || count > 1e18 {
        return Err(Fault::new("it is past counting"));
    }
    c.importer.budget.spend(&[count as usize])?;
    Ok(vec![c.made(floats(element, vec![count as usize], (0..count as usize).map(|i| start + i as f64 * delta)))])
}

pub(super) fn eye_like<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let [rows, columns] = c.dims(0)?[..] else { return Err(Fault::new("its input is a matrix")) };
    let element = match c.int("dtype")? {
        Some(number) => Element::of_number(number).ok_or_else(|| Fault::new(format!("attribute dtype: {number} is no type that is read here")))?,
        None => c.element(0)?,
    };
    let k = c.int_or("k", 0)?;
    let count = c.importer.budget.spend(&[rows, columns])?;
    let is_one = |i: usize| (i % columns) as i128 == (i / columns) as i128 + i128::from(k);
    let y = if element.is_float() {
        floats(element, vec![rows, columns], (0..count).map(|i| f64::from(u8::from(is_one(i)))))
    } else {
        integers(element, vec![rows, columns], (0..count).map(|i| i64::from(is_one(i))))
    };
    Ok(vec![c.made(y)])
}

/// In the graph all numbers are f32: what another type holds exactly there is the same number.
pub(super) fn cast<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    c.ignore(&["saturate", "round_mode"]);
    let to = if c.node.op == "CastLike" {
        c.element(1)?
    } else {
        let number = c.int("to")?.ok_or_else(|| Fault::new("attribute to: it is missing"))?;
        let name = i32::try_from(number).map_or("which is unknown", crate::tensor::type_name);
        Element::of_number(number).ok_or_else(|| Fault::new(format!("attribute to: elements of the type {number}, {name}, are not computed with")))?
    };
    if let Some(known) = c.known(0) {
        let y = arithmetic::cast(&known.tensor, to, &mut c.importer.budget)?;
        return Ok(vec![c.made(y)]);
    }
    let x = c.carrier(0)?;
    let from = x.element;
    let is_within = |from: Element, to: Element| to.range()[0] <= from.range()[0] && from.range()[1] <= to.range()[1];
    match (from, to) {
        (from, to) if from == to => {}
        (from, to) if to.is_float() => {
            let keeps_all =
                matches!(to, Element::F32 | Element::F64) || matches!((from, to), (Element::Bool | Element::U8 | Element::I8, Element::F16));
            if !keeps_all {
                c.importer.note(format!("node \"{}\" ({}) to {to} rounds nothing: numbers stay in f32", c.node.called(), c.node.op));
            }
        }
        (_, Element::Bool) => {
            let zero = c.scalar(0.0)?;
            let y = c.emit(BinaryOp::NotEqual, &[x.id, zero])?;
            return Ok(vec![Value::Running(Running { element: to, id: y, ..x.viewed(x.dims.clone()) })]);
        }
        (from, to) if !from.is_float() && is_within(from, to) => {}
        (from, to) if from.is_float() => {
            // Towards zero. What lies outside of the type has no defined result in ONNX.
            let [absolute, sign] = [math::unary(c, UnaryOp::Abs, x.id)?, math::unary(c, UnaryOp::Sign, x.id)?];
            let whole = math::unary(c, UnaryOp::Floor, absolute)?;
            let y = c.emit(BinaryOp::Mul, &[whole, sign])?;
            return Ok(vec![Value::Running(Running { element: to, id: y, ..x.viewed(x.dims.clone()) })]);
        }
        (from, to) => return Err(Fault::new(format!("from {from} to {to}: the graph does not wrap integers"))),
    }
    Ok(vec![Value::Running(Running { element: to, ..x })])
}

pub(super) fn triangle<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let upper = c.flag("upper", true)?;
    let k = if c.has(1) { c.integers(1, "k")?.first().copied().unwrap_or(0) } else { 0 };
    match c.known(0) {
        Some(known) => {
            let y = moves::triangle(&known.tensor, upper, k, &mut c.importer.budget)?;
            Ok(vec![c.made(y)])
        }
        None => {
            let x = c.running(0)?;
            let [.., rows, columns] = x.dims[..] else { return Err(Fault::new("its rank is at least 2")) };
            axis_of(0, x.dims.len())?;
            c.importer.budget.spend(&[rows, columns])?;
            let ones = floats(Element::F32, vec![rows, columns], std::iter::repeat_n(1.0, rows * columns));
            let mask = moves::triangle(&ones, upper, k, &mut c.importer.budget)?;
            let mask: Vec<f32> = mask.to_f64().into_iter().map(|v| v as f32).collect();
            let (mask, zero) = (c.constant(&[rows, columns], &mask)?, c.scalar(0.0)?);
            let y = math::choose(c, mask, x.id, zero)?;
            Ok(vec![c.out(y, x.element)])
        }
    }
}
