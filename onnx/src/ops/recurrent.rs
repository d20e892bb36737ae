//! LSTM, written out step by step: the number of steps is known at import.
//!
//! With the gates i, o, f and c in this order: i, o, f = sigmoid(x W + h R + b + P c), c' = f c + i tanh(x W + h R + b), h = o tanh(c'), where the peephole
//! of o sees c'. Source: the text of ONNX's `LSTM`.

use super::Made;
use super::gather::cut;
use crate::host::arithmetic::{self, Two};
use crate::host::moves::{self, Range};
use crate::import::{Context, Fault, Known, Running, Value};
use std::rc::Rc;
use wgconv::Activation;
use wgconv::elementwise::{BinaryDescriptor, BinaryOp};
use wgconv::graph::{Recipe, ValueId};
use wgconv::matmul::LinearDescriptor;

/// Each step is a dozen nodes.
const MAX_STEPS: usize = 128;

/// Extents of a layer.
struct Sizes {
    steps: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
}

/// The weights of one direction.
struct Weights {
    x: ValueId,
    h: ValueId,
    bias: Option<ValueId>,
    /// Of i, o and f.
    peepholes: Option<[ValueId; 3]>,
}

/// A part of an input's first axis, without that axis; on the host where the input is known.
fn part<'m>(c: &mut Context<'_, 'm>, input: usize, direction: usize) -> Result<Running, Fault> {
    let dims = c.dims(input)?;
    let [count, ref inner @ ..] = dims[..] else { return Err(Fault::new(format!("input {input} has no axes"))) };
    if direction >= count {
        return Err(Fault::new(format!("input {input} has {count} directions")));
    }
    let range = Range { first: direction, count: 1, step: 1 };
    if let Some(known) = c.known(input) {
        let ranges: Vec<Range> = [range].into_iter().chain(inner.iter().map(|&count| Range { first: 0, count, step: 1 })).collect();
        let tensor = moves::slice(&known.tensor, &ranges, &mut c.importer.budget)?.with_dims(inner.to_vec());
        return c.place(&Rc::new(Known { tensor, name: known.name }));
    }
    let all = c.floating(input)?;
    let id = cut(c, all.id, 0, range)?;
    Ok(Running { id: c.reshape(id, inner)?, ..all.viewed(inner.to_vec()) })
}

/// The sum of the two halves of the bias.
fn bias(c: &mut Context<'_, '_>, direction: usize, hidden: usize) -> Result<Option<ValueId>, Fault> {
    if !c.has(3) {
        return Ok(None);
    }
    let halves = [0, 4 * hidden].map(|first| Range { first, count: 4 * hidden, step: 1 });
    if let Some(known) = c.known(3) {
        let own = Range { first: direction, count: 1, step: 1 };
        let mut half = |range| moves::slice(&known.tensor, &[own, range], &mut c.importer.budget);
        let [of_x, of_h] = [half(halves[0])?, half(halves[1])?];
        let tensor = arithmetic::two(Two::Add, &of_x, &of_h, &mut c.importer.budget)?.with_dims(vec![4 * hidden]);
        return Ok(Some(c.place(&Rc::new(Known { tensor, name: known.name }))?.id));
    }
    let both = part(c, 3, direction)?;
    let [of_x, of_h] = [cut(c, both.id, 0, halves[0])?, cut(c, both.id, 0, halves[1])?];
    Ok(Some(c.emit(BinaryOp::Add, &[of_x, of_h])?))
}

fn weights(c: &mut Context<'_, '_>, direction: usize, sizes: &Sizes) -> Result<Weights, Fault> {
    let (x, h) = (part(c, 1, direction)?, part(c, 2, direction)?);
    if x.dims != [4 * sizes.hidden, sizes.inputs] || h.dims != [4 * sizes.hidden, sizes.hidden] {
        return Err(Fault::new(format!("W and R are {:?} and {:?} for {} inputs and hidden_size {}", x.dims, h.dims, sizes.inputs, sizes.hidden)));
    }
    let peepholes = if c.has(7) {
        let all = part(c, 7, direction)?;
        let mut of = |gate| cut(c, all.id, 0, Range { first: gate * sizes.hidden, count: sizes.hidden, step: 1 });
        Some([of(0)?, of(1)?, of(2)?])
    } else {
        None
    };
    Ok(Weights { x: x.id, h: h.id, bias: bias(c, direction, sizes.hidden)?, peepholes })
}

fn linear(c: &mut Context<'_, '_>, x: ValueId, w: ValueId, bias: Option<ValueId>) -> Result<ValueId, Fault> {
    let inputs: Vec<ValueId> = [x, w].into_iter().chain(bias).collect();
    c.emit(Recipe::Linear { descriptor: LinearDescriptor::default(), bias: bias.is_some(), residual: false }, &inputs)
}

/// What a direction starts from: zeros where nothing is given.
fn initial(c: &mut Context<'_, '_>, input: usize, direction: usize, sizes: &Sizes) -> Result<ValueId, Fault> {
    let dims = [sizes.batch, sizes.hidden];
    if !c.has(input) {
        c.importer.budget.spend(&dims)?;
        return c.constant(&dims, &vec![0.0; sizes.batch * sizes.hidden]);
    }
    let given = part(c, input, direction)?;
    if given.dims != dims {
        return Err(Fault::new(format!("input {input} is {:?} for a batch of {} and hidden_size {}", given.dims, sizes.batch, sizes.hidden)));
    }
    Ok(given.id)
}

/// A gate: its part of the sums, with what its peephole adds.
fn gate(
    c: &mut Context<'_, '_>,
    sums: ValueId,
    number: usize,
    hidden: usize,
    seen: Option<(ValueId, ValueId)>,
    activation: Activation,
) -> Result<ValueId, Fault> {
    let own = cut(c, sums, 1, Range { first: number * hidden, count: hidden, step: 1 })?;
    match seen {
        Some((cell, peephole)) => {
            let seen = c.emit(BinaryOp::Mul, &[cell, peephole])?;
            c.emit(Recipe::Binary(BinaryDescriptor { op: BinaryOp::Add, activation }), &[own, seen])
        }
        None => c.emit(Recipe::Activation(activation), &[own]),
    }
}

/// One direction: the hidden states by step, the last of them, and the last cell.
fn run(c: &mut Context<'_, '_>, x: ValueId, direction: usize, is_backward: bool, sizes: &Sizes) -> Result<(Vec<ValueId>, [ValueId; 2]), Fault> {
    let weights = weights(c, direction, sizes)?;
    let (mut h, mut cell) = (initial(c, 5, direction, sizes)?, initial(c, 6, direction, sizes)?);
    let rows = c.reshape(x, &[sizes.steps * sizes.batch, sizes.inputs])?;
    let of_x = linear(c, rows, weights.x, weights.bias)?;
    let mut states = vec![h; sizes.steps];
    for step in 0..sizes.steps {
        let at = if is_backward { sizes.steps - 1 - step } else { step };
        let own = cut(c, of_x, 0, Range { first: at * sizes.batch, count: sizes.batch, step: 1 })?;
        let of_h = linear(c, h, weights.h, None)?;
        let sums = c.emit(BinaryOp::Add, &[own, of_h])?;
        let seen = |number: usize, cell| weights.peepholes.map(|all| (cell, all[number]));
        let input = gate(c, sums, 0, sizes.hidden, seen(0, cell), Activation::Sigmoid)?;
        let forget = gate(c, sums, 2, sizes.hidden, seen(2, cell), Activation::Sigmoid)?;
        let candidate = gate(c, sums, 3, sizes.hidden, None, Activation::Tanh)?;
        let kept = c.emit(BinaryOp::Mul, &[forget, cell])?;
        let added = c.emit(BinaryOp::Mul, &[input, candidate])?;
        cell = c.emit(BinaryOp::Add, &[kept, added])?;
        let output = gate(c, sums, 1, sizes.hidden, seen(1, cell), Activation::Sigmoid)?;
        let squashed = c.emit(Recipe::Activation(Activation::Tanh), &[cell])?;
        h = c.emit(BinaryOp::Mul, &[output, squashed])?;
        states[at] = h;
    }
    Ok((states, [h, cell]))
}

fn joined(c: &mut Context<'_, '_>, parts: &[ValueId], axis: isize) -> Result<ValueId, Fault> {
    match parts {
        [one] => Ok(*one),
        several => c.emit(Recipe::Concat { axis }, several),
    }
}

pub(super) fn lstm<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.floating(0)?;
    let [steps, batch, inputs] = x.dims[..] else { return Err(Fault::new(format!("X is {:?}, and it has steps, batch and inputs", x.dims))) };
    if c.int_or("layout", 0)? != 0 || c.int_or("input_forget", 0)? != 0 {
        return Err(Fault::new("attributes layout and input_forget: they are 0"));
    }
    let hidden = c.int("hidden_size")?.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0 && n < 1 << 20);
    let hidden = hidden.ok_or_else(|| Fault::new("attribute hidden_size: it is a positive number"))?;
    if steps > MAX_STEPS {
        return Err(Fault::new(format!("it has {steps} steps, and at most {MAX_STEPS} are written out")));
    }
    if c.has(4) && c.integers(4, "sequence_lens")?.iter().any(|&length| length != steps as i64) {
        return Err(Fault::new("sequence_lens: sequences of different lengths are not imported"));
    }
    let directions: &[bool] = match c.string_or("direction", "forward")? {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(Fault::new(format!("attribute direction: {other} is none of forward, reverse and bidirectional"))),
    };
    let sizes = Sizes { steps, batch, inputs, hidden };
    let (mut by_step, mut last) = (vec![vec![]; steps], [vec![], vec![]]);
    for (direction, &is_backward) in directions.iter().enumerate() {
        let (states, ends) = run(c, x.id, direction, is_backward, &sizes)?;
        for (all, state) in by_step.iter_mut().zip(states) {
            all.push(c.reshape(state, &[1, 1, batch, hidden])?);
        }
        for (all, end) in last.iter_mut().zip(ends) {
            all.push(c.reshape(end, &[1, batch, hidden])?);
        }
    }
    let mut outputs = vec![Value::Refused];
    if c.wants(0) {
        let steps = by_step.iter().map(|all| joined(c, all, 1)).collect::<Result<Vec<_>, _>>()?;
        let y = joined(c, &steps, 0)?;
        outputs[0] = c.out(y, x.element);
    }
    for all in last {
        let y = joined(c, &all, 0)?;
        outputs.push(c.out(y, x.element));
    }
    Ok(outputs)
}
