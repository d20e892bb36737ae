//! Arithmetic element by element, and activations.

use super::{Made, math};
use crate::host::arithmetic::{self, Two};
use crate::host::broadcast;
use crate::import::{Context, Fault, Running, Value};
use crate::tensor::Element;
use wgconv::Activation;
use wgconv::elementwise::BinaryOp;
use wgconv::graph::{Recipe, ValueId};
use wgconv::shape::MAX_RANK;

/// Applied to the elements wherever they lie: extents do not matter.
pub(super) fn applied<'m>(c: &mut Context<'_, 'm>, x: &Running, activation: Activation) -> Made<'m> {
    let y = c.emit(Recipe::Activation(activation), &[x.id])?;
    Ok(vec![Value::Running(Running::new(y, x.dims.clone(), x.element))])
}

pub(super) fn activation<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.carrier(0)?;
    c.check_float(0, &x)?;
    let made = match c.node.op.as_str() {
        "Relu" => Activation::Relu,
        "LeakyRelu" => Activation::LeakyRelu { alpha: c.float_or("alpha", 0.01)? },
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "Elu" => Activation::Elu { alpha: c.float_or("alpha", 1.0)? },
        "Selu" => Activation::Selu { alpha: c.float_or("alpha", 1.673_263_2)?, gamma: c.float_or("gamma", 1.050_701)? },
        "Celu" => Activation::Celu { alpha: c.float_or("alpha", 1.0)? },
        "Softplus" => Activation::Softplus,
        "Softsign" => Activation::Softsign,
        "HardSigmoid" => Activation::HardSigmoid { alpha: c.float_or("alpha", 0.2)?, beta: c.float_or("beta", 0.5)? },
        "HardSwish" => Activation::HardSwish,
        "Mish" => Activation::Mish,
        "Gelu" => match c.string_or("approximate", "none")? {
            "none" => Activation::Gelu,
            "tanh" => Activation::GeluTanh,
            other => return Err(Fault::new(format!("attribute approximate: {other} is neither none nor tanh"))),
        },
        "ThresholdedRelu" => Activation::Threshold { threshold: c.float_or("alpha", 1.0)?, value: 0.0 },
        other => return Err(Fault::new(format!("{other} is no activation"))),
    };
    applied(c, &x, made)
}

/// x sigmoid(alpha x)
pub(super) fn swish<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.carrier(0)?;
    c.check_float(0, &x)?;
    let alpha = c.float_or("alpha", 1.0)?;
    if alpha == 1.0 {
        return applied(c, &x, Activation::Silu);
    }
    let scaled = math::scaled(c, x.id, alpha)?;
    let gate = c.emit(Recipe::Activation(Activation::Sigmoid), &[scaled])?;
    let y = c.emit(BinaryOp::Mul, &[x.id, gate])?;
    Ok(vec![Value::Running(Running::new(y, x.dims.clone(), x.element))])
}

/// Bounds are attributes before opset 11, and inputs since.
pub(super) fn clip<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let attributes = [c.float_or("min", f32::NEG_INFINITY)?, c.float_or("max", f32::INFINITY)?];
    if let Some(known) = c.known(0)
        && [1, 2].into_iter().all(|input| !c.has(input) || c.known(input).is_some())
    {
        let mut y = known.tensor.clone();
        for (input, op) in [(1, Two::Max), (2, Two::Min)] {
            if let Some(bound) = c.known(input) {
                y = arithmetic::two(op, &y, &bound.tensor, &mut c.importer.budget)?;
            }
        }
        if c.count() > 1 || !y.element().is_float() {
            return Ok(vec![c.made(y)]);
        }
    }
    let x = c.carrier(0)?;
    c.check_float(0, &x)?;
    let bound = |c: &Context<'_, '_>, input: usize, default: f32| match c.known(input) {
        Some(known) => known.tensor.to_f64().first().map(|&v| v as f32),
        None => (!c.has(input)).then_some(default),
    };
    if let (Some(min), Some(max)) = (bound(c, 1, attributes[0]), bound(c, 2, attributes[1]))
        && min <= max
    {
        let named = match (min, max) {
            (0.0, 6.0) => Activation::Relu6,
            (0.0, f32::INFINITY) => Activation::Relu,
            (min, max) => Activation::Clip { min, max },
        };
        return applied(c, &x, named);
    }
    // Bounds that are computed, or in the wrong order: then the upper one counts.
    let mut y = x.id;
    for (input, op) in [(1, BinaryOp::Max), (2, BinaryOp::Min)] {
        if c.has(input) {
            let bound = c.floating(input)?;
            y = c.emit(op, &[y, bound.id])?;
        }
    }
    Ok(vec![Value::Running(Running::new(y, x.dims.clone(), x.element))])
}

/// Adjacent axes on which both operands are broadcast alike, as one: for ranks above the graph's.
pub(super) fn merged(a: &[usize], b: &[usize]) -> [Vec<usize>; 2] {
    let rank = a.len().max(b.len());
    let extent = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |i| dims[i]);
    let mut merged: [Vec<usize>; 2] = [vec![], vec![]];
    let mut before = None;
    for axis in 0..rank {
        let (x, y) = (extent(a, axis), extent(b, axis));
        if x == 1 && y == 1 {
            continue;
        }
        let kind = (x == 1, y == 1);
        for (dims, extent) in merged.iter_mut().zip([x, y]) {
            match dims.last_mut() {
                Some(last) if before == Some(kind) => *last *= extent,
                _ => dims.push(extent),
            }
        }
        before = Some(kind);
    }
    merged
}

/// An operation on two values of the graph by numpy's rules, of any rank.
pub(super) fn of_two(c: &mut Context<'_, '_>, recipe: impl Into<Recipe>, a: &Running, b: &Running) -> Result<ValueId, Fault> {
    let dims = broadcast(&a.dims, &b.dims)?;
    if dims.len() <= MAX_RANK {
        let (a, b) = (c.importer.shaped(a)?, c.importer.shaped(b)?);
        return c.emit(recipe, &[a, b]);
    }
    let [of_a, of_b] = merged(&a.dims, &b.dims);
    let (a, b) = (c.reshape(a.id, &of_a)?, c.reshape(b.id, &of_b)?);
    c.emit(recipe, &[a, b])
}

/// As [`of_two`], with the extents that the result has in the model.
fn result<'m>(c: &mut Context<'_, 'm>, recipe: impl Into<Recipe>, a: &Running, b: &Running, element: Element) -> Made<'m> {
    let dims = broadcast(&a.dims, &b.dims)?;
    let y = of_two(c, recipe, a, b)?;
    Ok(vec![Value::Running(Running::new(y, dims, element))])
}

/// Two floats of one type.
fn operands(c: &mut Context<'_, '_>) -> Result<[Running; 2], Fault> {
    let (a, b) = (c.carrier(0)?, c.carrier(1)?);
    c.check_float(0, &a)?;
    c.check_float(1, &b)?;
    if a.element != b.element {
        return Err(Fault::new(format!("its operands are of {} and {}, and they must be of one type", a.element, b.element)));
    }
    // Before opset 7 the second one was broadcast only where that was said, from an axis on.
    let axis = c.int("axis")?;
    let is_said = c.flag("broadcast", false)?;
    if c.opset() >= 7 {
        return if is_said || axis.is_some() { Err(Fault::new("attribute broadcast: there is none since opset 7")) } else { Ok([a, b]) };
    }
    let Some(axis) = axis.filter(|_| is_said) else { return Ok([a, b]) };
    let axis = crate::host::axis_of(axis, a.dims.len())?;
    let behind = (axis + b.dims.len()..a.dims.len()).map(|_| 1);
    let dims = b.dims.iter().copied().chain(behind).collect();
    Ok([a, b.viewed(dims)])
}

pub(super) fn binary<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (host, graph) = match c.node.op.as_str() {
        "Add" => (Two::Add, BinaryOp::Add),
        "Sub" => (Two::Sub, BinaryOp::Sub),
        "Mul" => (Two::Mul, BinaryOp::Mul),
        _ => (Two::Div, BinaryOp::Div),
    };
    if let Some([a, b]) = c.all_known().as_deref() {
        let y = arithmetic::two(host, &a.tensor, &b.tensor, &mut c.importer.budget)?;
        c.ignore(&["axis", "broadcast"]);
        return Ok(vec![c.made(y)]);
    }
    let [a, b] = operands(c)?;
    result(c, graph, &a, &b, a.element)
}

/// Any number of operands.
pub(super) fn variadic<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (host, graph, is_mean) = match c.node.op.as_str() {
        "Sum" => (Two::Add, BinaryOp::Add, false),
        "Mean" => (Two::Add, BinaryOp::Add, true),
        "Max" => (Two::Max, BinaryOp::Max, false),
        _ => (Two::Min, BinaryOp::Min, false),
    };
    let count = c.count();
    if let Some(known) = c.all_known().filter(|_| !is_mean)
        && let Some((first, others)) = known.split_first()
    {
        let mut y = first.tensor.clone();
        for other in others {
            y = arithmetic::two(host, &y, &other.tensor, &mut c.importer.budget)?;
        }
        return Ok(vec![c.made(y)]);
    }
    let mut y = c.carrier(0)?;
    c.check_float(0, &y)?;
    for input in 1..count {
        let other = c.carrier(input)?;
        c.check_float(input, &other)?;
        let made = result(c, graph, &y, &other, y.element)?;
        if let [Value::Running(made)] = &made[..] {
            y = made.clone();
        }
    }
    if is_mean && count > 1 {
        let divisor = c.scalar(count as f32)?;
        let id = c.emit(BinaryOp::Div, &[y.id, divisor])?;
        y = Running { id, ..y };
    }
    Ok(vec![Value::Running(y)])
}

/// The exponent may be of another type.
pub(super) fn pow<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    if let Some([a, b]) = c.all_known().as_deref() {
        let y = arithmetic::two(Two::Pow, &a.tensor, &b.tensor, &mut c.importer.budget)?;
        return Ok(vec![c.made(y)]);
    }
    if !c.element(0)?.is_float() {
        // The result is an integer too, which the host computes.
        c.needed(0, "the base")?;
        c.needed(1, "the exponent")?;
    }
    let (a, b) = (c.carrier(0)?, c.carrier(1)?);
    // A square is one product, rounded once.
    if c.known(1).is_some_and(|known| known.tensor.to_f64() == [2.0]) {
        return result(c, BinaryOp::Mul, &a, &a, a.element);
    }
    result(c, BinaryOp::Power, &a, &b, a.element)
}

pub(super) fn prelu<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, slope) = (c.carrier(0)?, c.carrier(1)?);
    c.check_float(0, &x)?;
    c.check_float(1, &slope)?;
    // Before opset 7 a slope of one axis was one for each channel.
    let slope = if c.opset() < 7 && slope.dims.len() == 1 && slope.dims[0] > 1 && x.dims.len() > 2 {
        let behind = (2..x.dims.len()).map(|_| 1);
        slope.viewed(slope.dims.iter().copied().chain(behind).collect())
    } else {
        slope
    };
    result(c, BinaryOp::Prelu, &x, &slope, x.element)
}

pub(super) fn modulo<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let op = if c.flag("fmod", false)? { Two::Fmod } else { Two::Mod };
    match c.all_known().as_deref() {
        Some([a, b]) => {
            let y = arithmetic::two(op, &a.tensor, &b.tensor, &mut c.importer.budget)?;
            Ok(vec![c.made(y)])
        }
        _ => Err(Fault::new("the graph has no remainder, and its operands are not known at import")),
    }
}

/// How a unary op is computed on the host: of integers, where it takes them, and of floats.
type OnHost = (Option<fn(i64) -> i64>, fn(f64) -> f64);

fn on_host(op: &str) -> Option<OnHost> {
    Some(match op {
        "Abs" => (Some(i64::wrapping_abs), f64::abs),
        "Neg" => (Some(i64::wrapping_neg), |x| -x),
        "Sign" => (Some(i64::signum), |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }),
        "Floor" => (None, f64::floor),
        "Ceil" => (None, f64::ceil),
        "Round" => (None, f64::round_ties_even),
        "Sqrt" => (None, f64::sqrt),
        "Reciprocal" => (None, f64::recip),
        "Exp" => (None, f64::exp),
        "Log" => (None, f64::ln),
        "Sin" => (None, f64::sin),
        "Cos" => (None, f64::cos),
        _ => return None,
    })
}

pub(super) fn unary<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let op = c.node.op.as_str();
    if let (Some([x]), Some((integer, float))) = (c.all_known().as_deref(), on_host(op)) {
        let y = arithmetic::each(&x.tensor, integer, float, &mut c.importer.budget)?;
        return Ok(vec![c.made(y)]);
    }
    let x = c.carrier(0)?;
    c.check_float(0, &x)?;
    let math = math::named(op).ok_or_else(|| Fault::new(format!("the graph has no op {op}")))?;
    let y = math::unary(c, math, x.id)?;
    Ok(vec![Value::Running(Running::new(y, x.dims.clone(), x.element))])
}

/// x + bias below -lambda, x - bias above lambda, 0 between.
pub(super) fn shrink<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.carrier(0)?;
    c.check_float(0, &x)?;
    let (bias, lambda) = (c.float_or("bias", 0.0)?, c.float_or("lambd", 0.5)?);
    let [low, high, zero] = [c.scalar(-lambda)?, c.scalar(lambda)?, c.scalar(0.0)?];
    let [up, down] = [math::shifted(c, x.id, bias)?, math::shifted(c, x.id, -bias)?];
    let is_above = c.emit(BinaryOp::Greater, &[x.id, high])?;
    let above = math::choose(c, is_above, down, zero)?;
    let is_below = c.emit(BinaryOp::Less, &[x.id, low])?;
    let y = math::choose(c, is_below, up, above)?;
    Ok(vec![Value::Running(Running::new(y, x.dims.clone(), x.element))])
}
