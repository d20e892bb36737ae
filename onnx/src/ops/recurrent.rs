//! LSTM, GRU and RNN, written out step by step: the number of steps is known at import.
//!
//! - LSTM, gates i, o, f and c in this order: i, o, f = sigmoid(x W + h R + b + P c), c' = f c + i tanh(x W + h R + b), h' = o tanh(c'), where the peephole
//!   of o sees c'.
//! - GRU, gates z, r and n: z, r = sigmoid(x W + h R + b), n = tanh(x W + (r h) R + b), or tanh(x W + b + r (h R + b')) with `linear_before_reset`;
//!   h' = n + z (h - n).
//! - RNN: h' = tanh(x W + h R + b).
//!
//! Source: the texts of ONNX's `LSTM`, `GRU` and `RNN`.

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

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Lstm,
    Gru { linear_before_reset: bool },
    Rnn,
}

impl Kind {
    fn gates(self) -> usize {
        match self {
            Kind::Lstm => 4,
            Kind::Gru { .. } => 3,
            Kind::Rnn => 1,
        }
    }

    /// Whether what comes from the hidden state keeps a bias of its own.
    fn has_own_bias(self) -> bool {
        self == Kind::Gru { linear_before_reset: true }
    }

    /// Rows of R that are for the hidden state as it is, and those for a gated one.
    fn rows(self, hidden: usize) -> [Range; 2] {
        let plain = if self == (Kind::Gru { linear_before_reset: false }) { 2 } else { self.gates() };
        let range = |first: usize, count: usize| Range { first: first * hidden, count: count * hidden, step: 1 };
        [range(0, plain), range(plain, self.gates() - plain)]
    }
}

/// Extents of a layer.
struct Sizes {
    kind: Kind,
    steps: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
    /// Whether the batch comes before the steps in what the node is given and gives.
    batch_first: bool,
}

/// The weights of one direction.
struct Weights {
    x: ValueId,
    h: ValueId,
    /// For a gated hidden state.
    gated: Option<ValueId>,
    bias: Option<ValueId>,
    own_bias: Option<ValueId>,
    /// Of i, o and f.
    peepholes: Option<[ValueId; 3]>,
}

/// A range of the second axis of an input at a direction, the first; on the host where the input is known.
fn part<'m>(c: &mut Context<'_, 'm>, input: usize, direction: usize, range: Option<Range>) -> Result<Running, Fault> {
    let dims = c.dims(input)?;
    let [count, rows, ref inner @ ..] = dims[..] else { return Err(Fault::new(format!("input {input} is {dims:?}, and it has two axes or more"))) };
    let range = range.unwrap_or(Range { first: 0, count: rows, step: 1 });
    if direction >= count || range.first + range.count > rows {
        return Err(Fault::new(format!("input {input} is {dims:?}: it does not go with the directions and hidden_size")));
    }
    let own = Range { first: direction, count: 1, step: 1 };
    let to: Vec<usize> = [range.count].into_iter().chain(inner.iter().copied()).collect();
    if let Some(known) = c.known(input) {
        let ranges: Vec<Range> = [own, range].into_iter().chain(inner.iter().map(|&count| Range { first: 0, count, step: 1 })).collect();
        let tensor = moves::slice(&known.tensor, &ranges, &mut c.importer.budget)?.with_dims(to);
        return c.place(&Rc::new(Known { tensor, name: known.name }));
    }
    let all = c.floating(input)?;
    let mut id = cut(c, all.id, 0, own)?;
    if range.count < rows {
        id = cut(c, id, 1, range)?;
    }
    Ok(Running { id: c.reshape(id, &to)?, ..all.viewed(to) })
}

/// The sum of the two halves of the bias, or each by itself.
fn biases(c: &mut Context<'_, '_>, direction: usize, sizes: &Sizes) -> Result<[Option<ValueId>; 2], Fault> {
    if !c.has(3) {
        return Ok([None; 2]);
    }
    let count = sizes.kind.gates() * sizes.hidden;
    let halves = [0, count].map(|first| Range { first, count, step: 1 });
    if sizes.kind.has_own_bias() {
        return Ok([Some(part(c, 3, direction, Some(halves[0]))?.id), Some(part(c, 3, direction, Some(halves[1]))?.id)]);
    }
    if let Some(known) = c.known(3) {
        let own = Range { first: direction, count: 1, step: 1 };
        if known.tensor.dims().len() != 2 || direction >= known.tensor.dims()[0] || known.tensor.dims()[1] != 2 * count {
            return Err(Fault::new(format!("B is {:?} for hidden_size {}", known.tensor.dims(), sizes.hidden)));
        }
        let mut half = |range| moves::slice(&known.tensor, &[own, range], &mut c.importer.budget);
        let [of_x, of_h] = [half(halves[0])?, half(halves[1])?];
        let tensor = arithmetic::two(Two::Add, &of_x, &of_h, &mut c.importer.budget)?.with_dims(vec![count]);
        return Ok([Some(c.place(&Rc::new(Known { tensor, name: known.name }))?.id), None]);
    }
    let [of_x, of_h] = [part(c, 3, direction, Some(halves[0]))?.id, part(c, 3, direction, Some(halves[1]))?.id];
    Ok([Some(c.emit(BinaryOp::Add, &[of_x, of_h])?), None])
}

fn weights(c: &mut Context<'_, '_>, direction: usize, sizes: &Sizes) -> Result<Weights, Fault> {
    let (hidden, count) = (sizes.hidden, sizes.kind.gates() * sizes.hidden);
    let (of_x, of_h) = (c.dims(1)?, c.dims(2)?);
    if of_x.get(1..) != Some(&[count, sizes.inputs]) || of_h.get(1..) != Some(&[count, hidden]) {
        return Err(Fault::new(format!("W and R are {of_x:?} and {of_h:?} for {} inputs and hidden_size {hidden}", sizes.inputs)));
    }
    let [plain, gated] = sizes.kind.rows(hidden);
    let (x, h) = (part(c, 1, direction, None)?.id, part(c, 2, direction, Some(plain))?.id);
    let gated = if gated.count > 0 { Some(part(c, 2, direction, Some(gated))?.id) } else { None };
    let peepholes = if sizes.kind == Kind::Lstm && c.has(7) {
        let mut of = |gate| part(c, 7, direction, Some(Range { first: gate * hidden, count: hidden, step: 1 }));
        Some([of(0)?.id, of(1)?.id, of(2)?.id])
    } else {
        None
    };
    let [bias, own_bias] = biases(c, direction, sizes)?;
    Ok(Weights { x, h, gated, bias, own_bias, peepholes })
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
    let given = c.floating(input)?;
    let axis = usize::from(sizes.batch_first);
    let mut wanted = vec![sizes.batch, sizes.hidden];
    wanted.insert(axis, given.dims.get(axis).copied().unwrap_or(0));
    if given.dims != wanted || direction >= wanted[axis] {
        return Err(Fault::new(format!("input {input} is {:?} for a batch of {} and hidden_size {}", given.dims, sizes.batch, sizes.hidden)));
    }
    let own = cut(c, given.id, axis, Range { first: direction, count: 1, step: 1 })?;
    c.reshape(own, &dims)
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

/// The hidden state behind a step, and the cell, from what x gives to the gates.
fn step(c: &mut Context<'_, '_>, of_x: ValueId, [h, cell]: [ValueId; 2], weights: &Weights, sizes: &Sizes) -> Result<[ValueId; 2], Fault> {
    let hidden = sizes.hidden;
    let of_h = linear(c, h, weights.h, weights.own_bias)?;
    match sizes.kind {
        Kind::Rnn => {
            let h = c.emit(Recipe::Binary(BinaryDescriptor { op: BinaryOp::Add, activation: Activation::Tanh }), &[of_x, of_h])?;
            Ok([h, h])
        }
        Kind::Gru { linear_before_reset } => {
            let range = |first: usize, count: usize| Range { first: first * hidden, count: count * hidden, step: 1 };
            let gates_of_x = cut(c, of_x, 1, range(0, 2))?;
            let gates_of_h = if linear_before_reset { cut(c, of_h, 1, range(0, 2))? } else { of_h };
            let gates = c.emit(Recipe::Binary(BinaryDescriptor { op: BinaryOp::Add, activation: Activation::Sigmoid }), &[gates_of_x, gates_of_h])?;
            let [update, reset] = [cut(c, gates, 1, range(0, 1))?, cut(c, gates, 1, range(1, 1))?];
            let seen = match weights.gated {
                Some(gated) => {
                    let kept = c.emit(BinaryOp::Mul, &[reset, h])?;
                    linear(c, kept, gated, None)?
                }
                None => {
                    let own = cut(c, of_h, 1, range(2, 1))?;
                    c.emit(BinaryOp::Mul, &[reset, own])?
                }
            };
            let own = cut(c, of_x, 1, range(2, 1))?;
            let new = c.emit(Recipe::Binary(BinaryDescriptor { op: BinaryOp::Add, activation: Activation::Tanh }), &[own, seen])?;
            let apart = c.emit(BinaryOp::Sub, &[h, new])?;
            let kept = c.emit(BinaryOp::Mul, &[update, apart])?;
            let h = c.emit(BinaryOp::Add, &[new, kept])?;
            Ok([h, h])
        }
        Kind::Lstm => {
            let sums = c.emit(BinaryOp::Add, &[of_x, of_h])?;
            let seen = |number: usize, cell| weights.peepholes.map(|all| (cell, all[number]));
            let input = gate(c, sums, 0, hidden, seen(0, cell), Activation::Sigmoid)?;
            let forget = gate(c, sums, 2, hidden, seen(2, cell), Activation::Sigmoid)?;
            let candidate = gate(c, sums, 3, hidden, None, Activation::Tanh)?;
            let kept = c.emit(BinaryOp::Mul, &[forget, cell])?;
            let added = c.emit(BinaryOp::Mul, &[input, candidate])?;
            let cell = c.emit(BinaryOp::Add, &[kept, added])?;
            let output = gate(c, sums, 1, hidden, seen(1, cell), Activation::Sigmoid)?;
            let squashed = c.emit(Recipe::Activation(Activation::Tanh), &[cell])?;
            Ok([c.emit(BinaryOp::Mul, &[output, squashed])?, cell])
        }
    }
}

/// One direction: the hidden states by step, and the last of them with the last cell.
fn run(c: &mut Context<'_, '_>, x: ValueId, direction: usize, is_backward: bool, sizes: &Sizes) -> Result<(Vec<ValueId>, [ValueId; 2]), Fault> {
    let weights = weights(c, direction, sizes)?;
    let h = initial(c, 5, direction, sizes)?;
    let cell = if sizes.kind == Kind::Lstm { initial(c, 6, direction, sizes)? } else { h };
    let rows = c.reshape(x, &[sizes.steps * sizes.batch, sizes.inputs])?;
    let of_x = linear(c, rows, weights.x, weights.bias)?;
    let (mut states, mut now) = (vec![h; sizes.steps], [h, cell]);
    for number in 0..sizes.steps {
        let at = if is_backward { sizes.steps - 1 - number } else { number };
        let own = cut(c, of_x, 0, Range { first: at * sizes.batch, count: sizes.batch, step: 1 })?;
        now = step(c, own, now, &weights, sizes)?;
        states[at] = now[0];
    }
    Ok((states, now))
}

fn joined(c: &mut Context<'_, '_>, parts: &[ValueId], axis: isize) -> Result<ValueId, Fault> {
    match parts {
        [one] => Ok(*one),
        several => c.emit(Recipe::Concat { axis }, several),
    }
}

pub(super) fn lstm<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    if c.int_or("input_forget", 0)? != 0 {
        return Err(Fault::new("attribute input_forget: it is 0"));
    }
    layer(c, Kind::Lstm)
}

pub(super) fn gru<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let linear_before_reset = c.flag("linear_before_reset", false)?;
    layer(c, Kind::Gru { linear_before_reset })
}

pub(super) fn rnn<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    layer(c, Kind::Rnn)
}

fn layer<'m>(c: &mut Context<'_, 'm>, kind: Kind) -> Made<'m> {
    let x = c.floating(0)?;
    let batch_first = c.flag("layout", false)?;
    let [first, second, inputs] = x.dims[..] else { return Err(Fault::new(format!("X is {:?}, and it has steps, batch and inputs", x.dims))) };
    let [steps, batch] = if batch_first { [second, first] } else { [first, second] };
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
    let sizes = Sizes { kind, steps, batch, inputs, hidden, batch_first };
    let swapped = if batch_first { c.emit(Recipe::Transpose { perm: vec![1, 0, 2] }, &[x.id])? } else { x.id };
    let (mut by_step, mut last) = (vec![vec![]; steps], [vec![], vec![]]);
    for (direction, &is_backward) in directions.iter().enumerate() {
        let (states, ends) = run(c, swapped, direction, is_backward, &sizes)?;
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
        let mut y = joined(c, &steps, 0)?;
        if batch_first {
            y = c.emit(Recipe::Transpose { perm: vec![2, 0, 1, 3] }, &[y])?;
        }
        outputs[0] = c.out(y, x.element);
    }
    // The cell is LSTM's alone.
    for all in last.iter().take(if kind == Kind::Lstm { 2 } else { 1 }) {
        let mut y = joined(c, all, 0)?;
        if batch_first {
            y = c.emit(Recipe::Transpose { perm: vec![1, 0, 2] }, &[y])?;
        }
        outputs.push(c.out(y, x.element));
    }
    Ok(outputs)
}
