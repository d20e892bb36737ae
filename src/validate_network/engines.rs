//! A network op by op on both engines, each held to the reference within its bound.
//!
//! Every op is given the same numbers on every engine: what the reference gave before it, rounded to what a tensor stores. So an op's error is its own, an
//! op behind a wrong one is judged like any other, and the figures of both engines compare. Beside it each engine runs the network along its own values,
//! which tells how the errors add up.

use super::op_by_op::{Live, Ran, run_op};
use crate::gpu::Gpu;
use crate::graph::{Graph, Resolved};
use crate::ops::{Op, Problem};
use crate::plan::Planned;
use crate::reference::{Bounded, Referenced};
use crate::session::cpu;
use crate::types::{Error, Result};
use crate::validate::compare::{compare, settled};
use crate::validate::{lost_below_normal, upload};
use std::ops::ControlFlow;

/// Which engines are compared with the reference.
#[derive(Debug, Clone, Copy)]
pub struct Engines<'g> {
    /// The GPU.
    pub gpu: Option<&'g Gpu>,
    /// The CPU engine.
    pub cpu: bool,
}

/// A value that a node gives.
#[derive(Debug, Clone)]
pub struct Compared<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The value's name: the node's own for its first output.
    pub value: &'a str,
    /// The op's name; `view` where nothing is computed.
    pub op: &'static str,
    /// Extents of the value.
    pub extents: &'a [usize],
    /// What the reference gives, as the tensor stores it.
    pub reference: &'a [f64],
    /// What the GPU gives.
    pub gpu: Option<Measured>,
    /// What the CPU engine gives.
    pub cpu: Option<Measured>,
}

/// What an engine gives for a value.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What computed it; empty for a view.
    pub algorithm: String,
    /// The largest difference from the reference, of the same inputs.
    pub difference: f64,
    /// The largest part of its bound that a difference takes: above 1 is wrong. An element without a bound to spare has 0 or infinity.
    pub of_bound: f64,
    /// Which check fails, and where.
    pub fault: Option<String>,
    /// Why the numbers are not held to a bound.
    pub unheld: Option<&'static str>,
    /// What the engine gives along its own values, from the inputs on.
    pub along: Vec<f64>,
}

/// Compares the engines over a graph at an open extent (any for a closed graph). `inputs` are numbers in row-major order, in the graph's order of inputs;
/// `visit` hears of each value in the order of the nodes, and `Break` ends it.
///
/// # Errors
/// Inputs of another number or length; parameters without numbers; what an engine returns for an op, with the node's name, such as that the device is lost.
pub fn compare_engines(
    graph: &Graph,
    open: usize,
    inputs: &[Vec<f64>],
    engines: Engines<'_>,
    visit: &mut dyn FnMut(&Compared<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let at = graph.at(open)?;
    let names = graph.inputs().count();
    if names != inputs.len() {
        return Err(Error::invalid("inputs", format!("{} of them", inputs.len()), format!("the graph has {names}")));
    }
    let mut chains = Chains::new(graph);
    for ((name, value), numbers) in graph.inputs().zip(inputs) {
        let tensor = &at.types[value.index()];
        let count: usize = tensor.extents.iter().product();
        if numbers.len() != count {
            return Err(Error::invalid(format!("the input {name}"), format!("{} numbers", numbers.len()), format!("its shape has {count}")));
        }
        chains.reference[value.index()] = Some(numbers.iter().map(|v| tensor.element.rounded(*v)).collect());
    }
    for (node, resolved) in graph.nodes().iter().zip(&at.nodes) {
        let of_node = |error: Error| match error {
            lost @ (Error::DeviceLost { .. } | Error::OutOfMemory { .. }) => lost,
            other => Error::Internal { label: node.name().to_string(), message: other.to_string() },
        };
        let inputs: Vec<usize> = node.inputs().iter().map(|input| input.index()).collect();
        let missing = |index: usize| {
            Error::invalid(
                format!("{}: {}", node.name(), graph.values()[index].name()),
                "without numbers",
                "a parameter has numbers before it is compared",
            )
        };
        let operands: Vec<&[f64]> = inputs.iter().map(|&index| chains.of_reference(index).ok_or_else(|| missing(index))).collect::<Result<_>>()?;
        let made: Made = match resolved {
            Resolved::View(_) => {
                let x = operands.first().map(|x| x.to_vec()).unwrap_or_default();
                let along = |wanted: bool, own: &[Option<Vec<f64>>]| {
                    wanted.then(|| {
                        let along = inputs.first().and_then(|&index| own[index].clone()).unwrap_or_else(|| x.clone());
                        vec![Measured { algorithm: String::new(), difference: 0.0, of_bound: 0.0, fault: None, unheld: None, along }]
                    })
                };
                let (gpu, cpu) = (along(engines.gpu.is_some(), &chains.gpu), along(engines.cpu, &chains.cpu));
                Made { name: "view", reference: vec![x], gpu, cpu }
            }
            Resolved::Op(op) => {
                let expected = crate::reference::compute(op.as_ref(), &operands).map_err(of_node)?;
                let stored = |values: &[f64], output: usize| -> Vec<f64> {
                    let element = op.outputs()[output].tensor.element;
                    values.iter().map(|v| element.rounded(*v)).collect()
                };
                let gpu = engines.gpu.map(|gpu| {
                    let run = |operands: &[&[f64]]| on_gpu(gpu, op, operands);
                    measured(op, &operands, &expected, &chains.own(&chains.gpu, &inputs), &run)
                });
                let cpu =
                    engines.cpu.then(|| measured(op, &operands, &expected, &chains.own(&chains.cpu, &inputs), &|operands| on_cpu(op, operands)));
                let (gpu, cpu) = (gpu.transpose().map_err(of_node)?, cpu.transpose().map_err(of_node)?);
                let reference = expected.iter().enumerate().map(|(output, bounded)| stored(&bounded.value, output)).collect();
                Made { name: op.name(), reference, gpu, cpu }
            }
        };
        let Made { name, reference, gpu, cpu } = made;
        let [mut gpu, mut cpu] = [gpu, cpu].map(|all| all.map(Vec::into_iter));
        for (&output, reference) in node.outputs().iter().zip(reference) {
            let value = &graph.values()[output.index()];
            let [gpu, cpu] = [&mut gpu, &mut cpu].map(|all| all.as_mut().and_then(Iterator::next));
            let extents = &at.types[output.index()].extents;
            let compared = Compared { node: node.name(), value: value.name(), op: name, extents, reference: &reference, gpu, cpu };
            if visit(&compared).is_break() {
                return Ok(());
            }
            let Compared { gpu, cpu, .. } = compared;
            let [gpu, cpu] = [gpu, cpu].map(|measured| measured.map(|measured| measured.along));
            (chains.gpu[output.index()], chains.cpu[output.index()]) = (gpu, cpu);
            chains.reference[output.index()] = Some(reference);
        }
        chains.release(&inputs);
    }
    Ok(())
}

/// What a node gives: by output.
struct Made {
    name: &'static str,
    reference: Vec<Vec<f64>>,
    gpu: Option<Vec<Measured>>,
    cpu: Option<Vec<Measured>>,
}

/// By value the numbers of the reference and of each engine along its own ones, until the last op that reads them. An engine's are none for inputs and
/// weights, where they are the reference's.
struct Chains {
    reference: Vec<Option<Vec<f64>>>,
    gpu: Vec<Option<Vec<f64>>>,
    cpu: Vec<Option<Vec<f64>>>,
    /// How many ops have yet to read it.
    reads: Vec<usize>,
}

impl Chains {
    fn new(graph: &Graph) -> Self {
        let numbers = |index: usize| {
            let numbers = graph.numbers(graph.value(index))?;
            Some(numbers.as_f32().iter().map(|&v| f64::from(v)).collect())
        };
        let count = graph.values().len();
        let mut reads = vec![0; count];
        graph.nodes().iter().flat_map(|node| node.inputs()).for_each(|input| reads[input.index()] += 1);
        Self { reference: (0..count).map(numbers).collect(), gpu: vec![None; count], cpu: vec![None; count], reads }
    }

    fn of_reference(&self, index: usize) -> Option<&[f64]> {
        self.reference[index].as_deref()
    }

    /// What an engine reads along its own values.
    fn own<'s>(&'s self, engine: &'s [Option<Vec<f64>>], inputs: &[usize]) -> Vec<&'s [f64]> {
        inputs.iter().filter_map(|&index| engine[index].as_deref().or(self.of_reference(index))).collect()
    }

    fn release(&mut self, inputs: &[usize]) {
        for &index in inputs {
            self.reads[index] -= 1;
            if self.reads[index] == 0 {
                (self.reference[index], self.gpu[index], self.cpu[index]) = (None, None, None);
            }
        }
    }
}

fn on_gpu(gpu: &Gpu, op: &Op, operands: &[&[f64]]) -> Result<Ran> {
    let live = |(spec, values): (crate::ops::spec::TensorSpec, &&[f64])| Ok(Live { tensor: upload(gpu, &spec, values)?, values: values.to_vec() });
    let reads: Vec<Live> = op.inputs().into_iter().zip(operands).map(live).collect::<Result<_>>()?;
    run_op(gpu, op, &reads)
}

fn on_cpu(op: &Op, operands: &[&[f64]]) -> Result<Ran> {
    let narrow: Vec<Vec<f32>> = operands.iter().map(|values| values.iter().map(|&v| v as f32).collect()).collect();
    let outputs = cpu::compute(op, &narrow.iter().map(Vec::as_slice).collect::<Vec<_>>(), &cpu::Buffers::default())?;
    let wide = outputs.into_iter().map(|values| values.into_iter().map(f64::from).collect()).collect();
    // Where it transforms nothing, its sums may be off by what plain f32 sums may: the bound that the reference gives unasked.
    #[cfg(feature = "cpu")]
    let algorithm = crate::cpu::algorithm(op);
    #[cfg(not(feature = "cpu"))]
    let algorithm = None; // the reference computed it
    Ok(Ran { outputs: wide, algorithm, fault: None })
}

/// Runs an op on the reference's numbers and on the engine's own, where these are other ones; by output.
fn measured(op: &Op, operands: &[&[f64]], expected: &[Bounded], own: &[&[f64]], run: &dyn Fn(&[&[f64]]) -> Result<Ran>) -> Result<Vec<Measured>> {
    let ran = run(operands)?;
    let is_same = own.iter().zip(operands).all(|(own, reference)| own.iter().map(|v| v.to_bits()).eq(reference.iter().map(|v| v.to_bits())));
    let along = if is_same { ran.outputs.clone() } else { run(own)?.outputs };
    let mut want = expected.to_vec();
    let mut unheld = None;
    if let Some(algorithm) = &ran.algorithm {
        op.bound_for(algorithm, operands, &mut want);
        if !op.is_local(algorithm) && operands.iter().flat_map(|values| values.iter()).any(|v| !v.is_finite()) {
            unheld = Some("it reads numbers that are not finite, which this algorithm mixes into their neighbours");
        }
    }
    let lost = lost_below_normal(op, operands);
    let mut fault = ran.fault;
    let mut all = vec![];
    for (((spec, want), got), along) in op.outputs().iter().zip(&want).zip(&ran.outputs).zip(along) {
        let element = spec.tensor.element;
        let held: Vec<f64> = want.value.iter().map(|v| element.held(*v)).collect();
        let allowed = |i: usize| want.allowed(i, element) + lost;
        let got: Vec<f64> = got.iter().zip(&held).enumerate().map(|(i, (got, want))| settled(*got, *want, allowed(i), element)).collect();
        let mut measured =
            Measured { algorithm: ran.algorithm.clone().unwrap_or_default(), difference: 0.0, of_bound: 0.0, fault: fault.take(), unheld, along };
        if unheld.is_none() {
            (measured.difference, measured.of_bound) = largest(&got, &held, allowed);
            let mismatch = || compare(&got, &held, allowed).map(|mismatch| format!("bounded: {}", mismatch.describe(&spec.tensor.extents)));
            measured.fault = measured.fault.or_else(mismatch);
            if held.iter().enumerate().any(|(i, want)| want.is_finite() && !allowed(i).is_finite()) {
                measured.unheld = Some("the bound of a number is infinite");
            }
        }
        all.push(measured);
    }
    Ok(all)
}

/// The largest difference, and the largest part of what is allowed. Equal numbers, and a NaN beside a NaN, have none.
fn largest(got: &[f64], want: &[f64], allowed: impl Fn(usize) -> f64) -> (f64, f64) {
    let (mut difference, mut part) = (0.0f64, 0.0f64);
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        if got == want || (got.is_nan() && want.is_nan()) {
            continue;
        }
        // What is no number is as far off as can be.
        let or_infinite = |v: f64| if v.is_nan() { f64::INFINITY } else { v };
        let off = or_infinite((got - want).abs());
        difference = difference.max(off);
        part = part.max(or_infinite(off / allowed(i)));
    }
    (difference, part)
}
