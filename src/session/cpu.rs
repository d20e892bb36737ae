//! A graph on the CPU engine: one op after another, f32, in logical order.

#[cfg(feature = "cpu")]
use crate::cpu::packed::{Packed, Packing};
use crate::graph::{At, Graph, Node, Resolved, Source, ValueId};
#[cfg(feature = "cpu")]
use crate::ops::conv::problem::ConvProblem;
use crate::ops::{Op, Problem};
use crate::session::bytes::{ByValue, Given, Owned};
#[cfg(feature = "cpu")]
use crate::session::filters::Filters;
use crate::session::memory::Memory;
use crate::session::placement::{Limits, Placement};
use crate::types::{Error, Result};
use ndarray::{ArrayD, ArrayViewD};
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers of runs that are over: memory that the system has handed out before.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<f32>>>);

impl Buffers {
    /// `count` numbers of any value, in the smallest buffer that has room for them.
    fn take(&self, count: usize) -> Vec<f32> {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = buffers.iter().enumerate().filter(|(_, buffer)| buffer.capacity() >= count).min_by_key(|(_, buffer)| buffer.capacity());
        let mut buffer = fits.map(|(at, _)| at).map(|at| buffers.swap_remove(at)).unwrap_or_default();
        drop(buffers);
        buffer.resize(count, 0.0);
        buffer
    }

    fn give(&self, buffer: Option<Vec<f32>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(buffer);
    }
}

/// What a session keeps beside its graph. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    buffers: Arc<Buffers>,
    #[cfg(feature = "cpu")]
    filters: Filters,
}

impl Kept {
    /// For a graph.
    pub fn new(graph: &Graph) -> Self {
        #[cfg(not(feature = "cpu"))]
        let _ = graph; // the reference packs nothing
        Self {
            buffers: Arc::default(),
            #[cfg(feature = "cpu")]
            filters: Filters::new(graph.values().len()),
        }
    }

    /// For the graph in which a value has other numbers.
    #[must_use]
    pub fn without(&self, value: ValueId) -> Self {
        #[cfg(not(feature = "cpu"))]
        let _ = value;
        Self {
            buffers: self.buffers.clone(),
            #[cfg(feature = "cpu")]
            filters: self.filters.without(value),
        }
    }

    /// Takes back the buffer of an output that nobody needs any more.
    pub fn give(&self, output: ArrayD<f32>) {
        self.buffers.give(Some(output.into_raw_vec_and_offset().0));
    }

    /// The numbers of a value were changed in their place.
    pub fn change(&mut self, value: ValueId) {
        #[cfg(feature = "cpu")]
        self.filters.change(value);
        #[cfg(not(feature = "cpu"))]
        let _ = value;
    }
}

/// Runs the network; outputs in the graph's order.
pub(crate) fn run(graph: &Graph, open: usize, given: &ByValue<'_>, kept: &Kept) -> Result<Vec<Owned>> {
    let at = graph.at(open)?;
    // All ops by one worker: a thread that is none would wake one for every loop of every op, and sleep until it is done.
    let mut values = rayon::scope(|_| compute_all(graph, &at, given, kept, &mut |_, _| true))?;
    let outputs: Vec<ValueId> = graph.outputs().map(|(_, value)| value).collect();
    let mut output = |(place, &value): (usize, &ValueId)| {
        let computed = values[value.index()].take().map(|own| {
            let comes_again = outputs[place + 1..].contains(&value); // a value may be several outputs
            if !comes_again && own.capacity() <= 2 * own.len() {
                return own;
            }
            // Few numbers do not take a large buffer along.
            let copy = own.clone();
            if comes_again {
                values[value.index()] = Some(own);
            } else {
                kept.buffers.give(Some(own));
            }
            copy
        });
        let numbers = computed.or_else(|| numbers(graph, value).map(Cow::into_owned)).unwrap_or_default();
        if let Some(count) = graph.count_of_bytes(value, |value| &at.types[value.index()]) {
            let bytes = numbers.iter().flat_map(|word| word.to_bits().to_le_bytes()).take(count);
            return Ok(Owned::Bytes(bytes.collect()));
        }
        let extents = at.types[value.index()].extents.clone();
        let array = ArrayD::from_shape_vec(extents, numbers);
        array.map(Owned::Numbers).map_err(|e| Error::Internal { label: "a session".into(), message: e.to_string() })
    };
    outputs.iter().enumerate().map(&mut output).collect()
}

/// The name of the first op of a closed network that gives a number that is not finite.
pub(crate) fn first_not_finite(graph: &Graph, given: &[(ValueId, ArrayViewD<'_, f32>)]) -> Result<Option<String>> {
    let mut found = None;
    let is_good = |results: &[Vec<f32>]| results.iter().flatten().all(|number| number.is_finite());
    let given: Vec<_> = given.iter().map(|(value, array)| (*value, Given::Numbers(array.view()))).collect();
    compute_all(graph, &graph.at(0)?, &given, &Kept::new(graph), &mut |node, results| {
        if !is_good(results) {
            found = Some(node.name().to_string());
        }
        found.is_none()
    })?;
    Ok(found)
}

/// By value: what is live after the last op, or after the first one of which `go_on` says no. Bytes of images are words by their bits; what reads them is
/// an image op or a view, which copies bits ([`Graph::check_bytes`]).
fn compute_all(
    graph: &Graph,
    at: &At,
    given: &ByValue<'_>,
    kept: &Kept,
    go_on: &mut dyn FnMut(&Node, &[Vec<f32>]) -> bool,
) -> Result<Vec<Option<Vec<f32>>>> {
    let buffers = kept.buffers.as_ref();
    let mut values: Vec<Option<Vec<f32>>> = vec![None; graph.values().len()];
    for (value, given) in given {
        values[value.index()] = Some(match given {
            Given::Numbers(array) => array.iter().copied().collect(),
            Given::Bytes(bytes) => Given::words(bytes).map(f32::from_bits).collect(),
        });
    }
    let mut reads = vec![0usize; graph.values().len()];
    graph
        .nodes()
        .iter()
        .flat_map(|node| node.inputs())
        .chain(&graph.outputs().map(|(_, value)| value).collect::<Vec<_>>())
        .for_each(|v| reads[v.index()] += 1);
    for (node, resolved) in graph.nodes().iter().zip(&at.nodes) {
        // Nobody else reads what a view reads: it moves.
        let moved = match (resolved, node.inputs()) {
            (Resolved::View(_), [x]) if reads[x.index()] == 1 => values[x.index()].take(),
            _ => None,
        };
        let operand = |&value: &ValueId| numbers(graph, value).or_else(|| values[value.index()].as_deref().map(Cow::Borrowed));
        let operands: Vec<Cow<'_, [f32]>> = node.inputs().iter().filter_map(operand).collect();
        let operands: Vec<&[f32]> = operands.iter().map(AsRef::as_ref).collect();
        let results = match resolved {
            Resolved::View(_) if moved.is_some() => moved.into_iter().collect(),
            Resolved::View(_) => {
                let x = operands.first().copied().unwrap_or_default();
                let mut copy = buffers.take(x.len());
                copy.copy_from_slice(x);
                vec![copy]
            }
            Resolved::Op(op) if matches!(**op, Op::Image(_)) => vec![compute_image(op, operands.first().copied().unwrap_or_default())?],
            Resolved::Op(op) => {
                #[cfg(feature = "cpu")]
                let packed =
                    filter_of(graph, node, op).zip(operands.get(1)).map(|((value, problem), filter)| kept.filters.packed(value, problem, filter));
                #[cfg(feature = "cpu")]
                let results = compute_packed(op, packed.as_deref(), &operands, buffers)?;
                #[cfg(not(feature = "cpu"))]
                let results = compute(op, &operands, buffers)?;
                results
            }
        };
        if !go_on(node, &results) {
            break;
        }
        for (&output, result) in node.outputs().iter().zip(results) {
            values[output.index()] = Some(result);
        }
        for input in node.inputs() {
            reads[input.index()] -= 1;
            if reads[input.index()] == 0 {
                buffers.give(values[input.index()].take());
            }
        }
    }
    Ok(values)
}

/// An image to a tensor or back; words by their bits.
fn compute_image(op: &Op, x: &[f32]) -> Result<Vec<f32>> {
    let Op::Image(problem) = op else { return Err(Error::Internal { label: "a session".into(), message: "no image".into() }) };
    let words: Vec<u32> = if problem.writes { vec![] } else { x.iter().map(|word| word.to_bits()).collect() };
    #[cfg(feature = "cpu")]
    let (numbers, words) =
        if problem.writes { (vec![], crate::cpu::image::write(problem, x)) } else { (crate::cpu::image::read(problem, &words), vec![]) };
    #[cfg(not(feature = "cpu"))]
    let (numbers, words): (Vec<f32>, Vec<u32>) = {
        let wide: Vec<f64> =
            if problem.writes { x.iter().map(|&v| f64::from(v)).collect() } else { words.iter().map(|&word| f64::from(word)).collect() };
        let y = crate::reference::compute(op, &[&wide])?.into_iter().next().map(|y| y.value).unwrap_or_default();
        if problem.writes { (vec![], y.iter().map(|&v| v as u32).collect()) } else { (y.iter().map(|&v| v as f32).collect(), vec![]) }
    };
    Ok(if problem.writes { words.into_iter().map(f32::from_bits).collect() } else { numbers })
}

/// The filter of a convolution, where it is a parameter or a constant, and the convolution.
#[cfg(feature = "cpu")]
fn filter_of<'a>(graph: &Graph, node: &Node, op: &'a Op) -> Option<(ValueId, &'a ConvProblem)> {
    let (Op::Conv(problem), Some(&value)) = (op, node.inputs().get(1)) else { return None };
    numbers(graph, value).map(|_| (value, problem))
}

/// The filters of a graph's convolutions, for an open extent.
#[cfg(feature = "cpu")]
fn filters<'a>(graph: &'a Graph, at: &'a At) -> impl Iterator<Item = (ValueId, &'a ConvProblem)> {
    graph.nodes().iter().zip(&at.nodes).filter_map(|(node, resolved)| match resolved {
        Resolved::Op(op) => filter_of(graph, node, op),
        Resolved::View(_) => None,
    })
}

/// Packs all filters for an open extent.
pub(crate) fn prepare(graph: &Graph, open: usize, kept: &Kept) -> Result<()> {
    let at = graph.at(open)?;
    #[cfg(feature = "cpu")]
    for (value, problem) in filters(graph, &at) {
        if let Some(numbers) = numbers(graph, value) {
            let _ = kept.filters.packed(value, problem, &numbers); // it keeps it
        }
    }
    #[cfg(not(feature = "cpu"))]
    let _ = (at, kept);
    Ok(())
}

/// Bytes of packed filters: of each what its ops read, once.
#[cfg(feature = "cpu")]
fn packed_bytes(graph: &Graph, at: &At) -> u64 {
    let mut seen: Vec<(ValueId, Packing)> = vec![];
    let mut bytes = 0;
    for (value, problem) in filters(graph, at) {
        let plain = problem.convolution();
        let of = (value, Packing::of(&plain));
        if !seen.contains(&of) {
            bytes += Packed::bytes(&plain);
            seen.push(of);
        }
    }
    bytes
}

/// Bytes of a run: a value is released after the last op that reads it.
pub(crate) fn memory(graph: &Graph, open: usize) -> Result<Memory> {
    let at = graph.at(open)?;
    let placement = Placement::of(graph, &at, Limits::CPU);
    let weights = graph.values().iter().enumerate().filter(|(_, value)| matches!(value.source(), Source::Parameter(_) | Source::Constant(_)));
    let ends = graph.inputs().chain(graph.outputs()).map(|(_, value)| at.bytes(value)).sum();
    Ok(Memory {
        weights: weights.map(|(index, _)| at.bytes(graph.value(index))).sum(),
        arena: placement.arena.as_values(),
        tensors: ends,
        #[cfg(feature = "cpu")]
        packed: packed_bytes(graph, &at),
        ..Memory::default()
    })
}

/// What a parameter or a constant holds.
fn numbers(graph: &Graph, value: ValueId) -> Option<Cow<'_, [f32]>> {
    match graph.values()[value.index()].source() {
        Source::Parameter(Some(numbers)) | Source::Constant(numbers) => Some(numbers.as_f32()),
        _ => None,
    }
}

/// All outputs of an op: by the engine where it has the op, else by the reference.
pub(crate) fn compute(op: &Op, operands: &[&[f32]], buffers: &Buffers) -> Result<Vec<Vec<f32>>> {
    #[cfg(feature = "cpu")]
    return compute_packed(op, None, operands, buffers);
    #[cfg(not(feature = "cpu"))]
    {
        let _ = buffers; // the reference makes its own
        by_reference(op, operands)
    }
}

/// The same, with its filter packed.
#[cfg(feature = "cpu")]
fn compute_packed(op: &Op, packed: Option<&Packed>, operands: &[&[f32]], buffers: &Buffers) -> Result<Vec<Vec<f32>>> {
    let outputs = op.outputs();
    if outputs.len() == 1 {
        let mut y = buffers.take(outputs[0].count() as usize);
        let has = match packed {
            Some(packed) => crate::cpu::compute_packed(op, packed, operands, &mut y)?,
            None => crate::cpu::compute(op, operands, &mut y)?,
        };
        if has {
            return Ok(vec![y]);
        }
    } else if let Some(several) = crate::cpu::compute_several(op, operands)? {
        return Ok(several);
    }
    by_reference(op, operands)
}

fn by_reference(op: &Op, operands: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
    let wide: Vec<Vec<f64>> = operands.iter().map(|values| values.iter().map(|&v| f64::from(v)).collect()).collect();
    let computed = crate::reference::compute(op, &wide.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    Ok(computed.into_iter().map(|bounded| bounded.value.into_iter().map(|v| v as f32).collect()).collect())
}
