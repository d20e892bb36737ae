//! The ops of a graph one by one on the device: each in a submit of its own and into a tensor of its own between guard words, held to the reference on what
//! it read. A session of the same graph has the same plans, so its outputs must have these bits.

use crate::gpu::Gpu;
use crate::gpu::prepared::Prepared;
use crate::gpu::tensor::Tensor;
use crate::graph::{Graph, Numbers, Resolved};
use crate::ops::spec::TensorSpec;
use crate::ops::{Op, Problem};
use crate::reference::Referenced;
use crate::types::{Error, Result, TensorShape};
use crate::validate::compare::{compare, settled};
use crate::validate::{download, guard, upload};

/// What a graph gives op by op.
pub(super) struct OpByOp {
    /// By output of the graph.
    pub outputs: Vec<Vec<f64>>,
    /// The first op that does not hold, and why.
    pub fault: Option<String>,
}

/// A value on the device and on the host.
#[derive(Clone)]
pub(super) struct Live {
    pub tensor: Tensor,
    pub values: Vec<f64>,
}

/// What a run of an op gave.
pub(super) struct Ran {
    /// By output.
    pub outputs: Vec<Vec<f64>>,
    /// What computed it; none where the CPU engine takes plain sums.
    pub algorithm: Option<String>,
    /// Which guard does not hold.
    pub fault: Option<String>,
}

/// What an op's output is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// The reference, without any difference: no op of the graph rounds these numbers.
    Exactly,
    /// The reference, within the bound of the algorithm.
    Bounded,
    /// Guard words alone: what special numbers become is each op's own case.
    Guarded,
}

/// Runs a graph at an open extent; `inputs` in the graph's order.
pub(super) fn run(gpu: &Gpu, graph: &Graph, open: usize, inputs: &[Vec<f64>], to: Held) -> Result<OpByOp> {
    let at = graph.at(open)?;
    let mut live: Vec<Option<Live>> = vec![None; graph.values().len()];
    for ((name, value), values) in graph.inputs().zip(inputs) {
        let spec = TensorSpec::of(name.to_string(), &at.types[value.index()]);
        live[value.index()] = Some(Live { tensor: upload(gpu, &spec, values)?, values: values.clone() });
    }
    for (index, slot) in live.iter_mut().enumerate() {
        let Some(numbers) = graph.value_at(index).and_then(|value| graph.numbers(value)) else { continue };
        let tensor = match numbers {
            Numbers::F32(array) => gpu.upload(array)?,
            Numbers::F16(array) => gpu.upload(array)?,
        };
        *slot = Some(Live { tensor, values: numbers.as_f32().iter().map(|&v| f64::from(v)).collect() });
    }
    let missing = |name: &str| Error::Internal { label: "op by op".into(), message: format!("{name} reads what nothing wrote") };
    let mut fault = None;
    for (node, resolved) in graph.nodes().iter().zip(&at.nodes) {
        let reads = node.inputs().iter().map(|input| live[input.index()].clone().ok_or_else(|| missing(node.name())));
        let reads: Vec<Live> = reads.collect::<Result<_>>()?;
        let made = match resolved {
            Resolved::View(wanted) => {
                let x = reads.first().ok_or_else(|| missing(node.name()))?;
                vec![Live { tensor: x.tensor.with_view(TensorShape::new(&wanted.extents)?, wanted.layout), values: x.values.clone() }]
            }
            Resolved::Op(op) => {
                let (made, why) = held_op(gpu, op, &reads, to)?;
                fault = fault.or_else(|| why.map(|why| format!("{}: {why}", node.name())));
                made
            }
        };
        for (output, made) in node.outputs().iter().zip(made) {
            live[output.index()] = Some(made);
        }
    }
    let output =
        |(name, value): (&str, crate::graph::ValueId)| live[value.index()].as_ref().map(|live| live.values.clone()).ok_or_else(|| missing(name));
    Ok(OpByOp { outputs: graph.outputs().map(output).collect::<Result<_>>()?, fault })
}

/// Runs an op between guard words.
pub(super) fn run_op(gpu: &Gpu, op: &Op, reads: &[Live]) -> Result<Ran> {
    let (made, algorithm, fault) = guarded_op(gpu, op, reads)?;
    Ok(Ran { outputs: made.into_iter().map(|live| live.values).collect(), algorithm: Some(algorithm), fault })
}

/// What an op gives, what computed it, and which guard does not hold.
fn guarded_op(gpu: &Gpu, op: &Op, reads: &[Live]) -> Result<(Vec<Live>, String, Option<String>)> {
    let (inputs, outputs) = (op.inputs(), op.outputs());
    let part = |constant: bool| -> Vec<&Tensor> {
        inputs.iter().zip(reads).filter(|(spec, _)| spec.constant == constant).map(|(_, live)| &live.tensor).collect()
    };
    let prepared = Prepared::with_plan(gpu, gpu.plan(op)?, &part(true))?;
    let guarded: Vec<Tensor> = outputs.iter().map(|spec| guard(gpu, spec, None)).collect::<Result<_>>()?;
    let mut recorder = gpu.recorder();
    prepared.record(&mut recorder, &part(false), &guarded.iter().collect::<Vec<_>>())?;
    recorder.submit()?;
    let mut fault = None;
    let mut made = vec![];
    for (spec, tensor) in outputs.iter().zip(guarded) {
        fault = fault.or(guards(&spec.name, &tensor)?);
        made.push(Live { values: download(&tensor)?, tensor });
    }
    Ok((made, prepared.plan().algorithm().to_string(), fault))
}

/// What an op gives, and which check it fails.
fn held_op(gpu: &Gpu, op: &Op, reads: &[Live], to: Held) -> Result<(Vec<Live>, Option<String>)> {
    let (made, algorithm, mut fault) = guarded_op(gpu, op, reads)?;
    if fault.is_none() && to != Held::Guarded {
        let operands: Vec<&[f64]> = reads.iter().map(|live| live.values.as_slice()).collect();
        let exact = to == Held::Exactly;
        for ((spec, want), live) in op.outputs().iter().zip(op.reference_for(&algorithm, &operands)).zip(&made) {
            let element = spec.tensor.element;
            let allowed = |i: usize| if exact { 0.0 } else { want.allowed(i, element) };
            let held: Vec<f64> = want.value.iter().map(|v| element.held(*v)).collect();
            let got: Vec<f64> = live.values.iter().zip(&held).enumerate().map(|(i, (got, want))| settled(*got, *want, allowed(i), element)).collect();
            let check = if exact { "exact" } else { "bounded" };
            let mismatch = compare(&got, &held, allowed).map(|mismatch| mismatch.describe(&spec.tensor.extents));
            fault = fault.or_else(|| mismatch.map(|why| format!("{check}: {}: {why}", spec.name)));
        }
    }
    Ok((made, fault))
}

/// Which guard does not hold.
pub(super) fn guards(name: &str, tensor: &Tensor) -> Result<Option<String>> {
    let read = tensor.read_guarded()?;
    Ok(match (read.untouched_guards, read.unwritten) {
        (false, _) => Some(format!("guarded: a guard word beside {name} was overwritten")),
        (true, 0) => None,
        (true, unwritten) => Some(format!("guarded: {unwritten} of {} elements of {name} were never written", tensor.shape().element_count())),
    })
}

/// What the reference makes of a graph, op after op in f64: the expected outputs where every sum is exact.
pub(super) fn expected(graph: &Graph, open: usize, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let values = every_value(graph, open, inputs)?;
    Ok(graph.outputs().map(|(_, value)| values[value.index()].clone()).collect())
}

/// As [`expected`], by value of the graph.
pub(super) fn every_value(graph: &Graph, open: usize, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let at = graph.at(open)?;
    let of = |index: usize| graph.value_at(index).and_then(|value| graph.numbers(value));
    let numbers = |index: usize| of(index).map_or_else(Vec::new, |numbers| numbers.as_f32().iter().map(|&v| f64::from(v)).collect());
    let mut values: Vec<Vec<f64>> = (0..graph.values().len()).map(numbers).collect();
    for ((_, value), given) in graph.inputs().zip(inputs) {
        values[value.index()] = given.clone();
    }
    for (node, resolved) in graph.nodes().iter().zip(&at.nodes) {
        let operands: Vec<&[f64]> = node.inputs().iter().map(|input| values[input.index()].as_slice()).collect();
        let made: Vec<Vec<f64>> = match resolved {
            Resolved::View(_) => operands.first().map(|x| x.to_vec()).into_iter().collect(),
            Resolved::Op(op) => crate::reference::compute(op.as_ref(), &operands)?.into_iter().map(|bounded| bounded.value).collect(),
        };
        for (output, made) in node.outputs().iter().zip(made) {
            values[output.index()] = made;
        }
    }
    Ok(values)
}
