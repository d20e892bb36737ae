//! A network on either engine: what it is given, one run at once, and op by op against the reference.

use crate::Failure;
use crate::bench::layer::{Part, check};
use wgconv::graph::{At, Resolved, ValueId};
use wgconv::ndarray::{ArrayD, ArrayViewD, IxDyn};
use wgconv::numeric::Generator;
use wgconv::op::{Op, Plan, Prepared, Problem, Referenced};
use wgconv::session::BoundSession;
use wgconv::validate::download;
use wgconv::{Gpu, Graph, Session, Tensor};

/// A network for so many items: the graph, its ops, what it is given.
pub struct Subject {
    pub graph: Graph,
    pub at: At,
    /// Pseudo-random items by input, the same each time: a batch begins with the items of a smaller one.
    pub inputs: Vec<(String, ArrayD<f32>)>,
}

impl Subject {
    pub fn new(graph: Graph, batch: usize) -> Result<Self, Failure> {
        let at = graph.at(batch)?;
        let inputs = graph.inputs().map(|(name, value)| {
            let mut generator = Generator::from_text(name);
            let extents = &at.types[value.index()].extents;
            let numbers = (0..extents.iter().product()).map(|_| generator.real() as f32).collect();
            let array = ArrayD::from_shape_vec(IxDyn(extents), numbers).map_err(|e| Failure::Run(e.to_string()))?;
            Ok((name.to_string(), array))
        });
        let inputs = inputs.collect::<Result<_, Failure>>()?;
        Ok(Self { graph, at, inputs })
    }

    /// The inputs by name.
    pub fn given(&self) -> Vec<(&str, ArrayViewD<'_, f32>)> {
        self.inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect()
    }

    /// Its ops, in order.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.at.nodes.iter().filter_map(|node| if let Resolved::Op(op) = node { Some(op.as_ref()) } else { None })
    }

    pub fn flops(&self) -> f64 {
        self.ops().map(Problem::flops).sum()
    }

    /// Bytes that its ops must move at least, each tensor once an op.
    pub fn bytes(&self) -> u64 {
        self.ops().map(Problem::bytes).sum()
    }

    /// Bytes of parameters and constants.
    pub fn weight_bytes(&self) -> u64 {
        let elements = (0..self.graph.values().len()).filter_map(|index| self.graph.value_at(index)).map(|value| self.graph.elements(value));
        4 * elements.sum::<u64>()
    }

    /// The plan of each op.
    pub fn plans(&self, gpu: &Gpu) -> Result<Vec<Plan>, Failure> {
        self.ops().map(|op| Ok(gpu.plan(op)?)).collect()
    }
}

/// One run of a session, its outputs one behind the other.
pub fn run(session: &Session, subject: &Subject) -> Result<Vec<f32>, Failure> {
    let outputs = session.run(&subject.given())?.into_arrays();
    Ok(outputs.iter().flat_map(|(_, array)| array.iter().copied()).collect())
}

/// A session over tensors that stay, for timing.
pub fn bound(gpu: &Gpu, session: &Session, subject: &Subject) -> Result<BoundSession, Failure> {
    let inputs: Vec<(&str, Tensor)> =
        subject.inputs.iter().map(|(name, array)| Ok((name.as_str(), gpu.upload(array)?))).collect::<Result<_, Failure>>()?;
    let outputs = subject.graph.outputs().map(|(name, value)| {
        let wanted = &subject.at.types[value.index()];
        Ok((name, gpu.zeros(&wanted.extents, wanted.element, wanted.layout)?))
    });
    let outputs: Vec<(&str, Tensor)> = outputs.collect::<Result<_, Failure>>()?;
    let [inputs, outputs] = [&inputs, &outputs].map(|tensors| tensors.iter().map(|(name, tensor)| (*name, tensor)).collect::<Vec<_>>());
    Ok(session.bind(&inputs, &outputs)?)
}

fn elements(tensor: &Tensor) -> Result<Vec<f32>, Failure> {
    Ok(tensor.download::<f32, IxDyn>()?.iter().copied().collect())
}

/// Runs op by op, each in a submit of its own and into a new tensor, and holds what each wrote to the reference where that takes no longer than the run.
/// Gives the outputs, and how many ops were held to the reference.
pub fn by_op(gpu: &Gpu, subject: &Subject) -> Result<(Vec<f32>, usize), Failure> {
    let (graph, at) = (&subject.graph, &subject.at);
    let mut live: Vec<Option<Tensor>> = vec![None; graph.values().len()];
    for ((_, value), (_, array)) in graph.inputs().zip(&subject.inputs) {
        live[value.index()] = Some(gpu.upload(array)?);
    }
    let is_output = |value: ValueId| graph.outputs().any(|(_, output)| output == value);
    let mut checked = 0;
    for (i, (node, resolved)) in graph.nodes().iter().zip(&at.nodes).enumerate() {
        let tensor = |&value: &ValueId| -> Result<Tensor, Failure> {
            match (&live[value.index()], graph.numbers(value)) {
                (Some(tensor), _) => Ok(tensor.clone()),
                (None, Some(numbers)) => {
                    let array = ArrayViewD::from_shape(IxDyn(&at.types[value.index()].extents), &numbers.as_f32()).map(|view| gpu.upload(&view));
                    Ok(array.map_err(|e| Failure::Run(e.to_string()))??)
                }
                _ => Err(Failure::Run(format!("{} reads what nothing wrote", node.name()))),
            }
        };
        let inputs: Vec<Tensor> = node.inputs().iter().map(tensor).collect::<Result<_, _>>()?;
        let outputs = match resolved {
            Resolved::View(wanted) => {
                let (buffer, offset) = (inputs[0].buffer().clone(), inputs[0].byte_offset());
                vec![Tensor::from_buffer(gpu, buffer, offset, &wanted.extents, wanted.element, wanted.layout)?]
            }
            Resolved::Op(op) => {
                let specs = op.inputs();
                let of =
                    |constant| specs.iter().zip(&inputs).filter(|(spec, _)| spec.constant == constant).map(|(_, tensor)| tensor).collect::<Vec<_>>();
                let prepared = Prepared::new(gpu, op.as_ref(), &of(true))?;
                let outputs = prepared.outputs()?;
                let mut recorder = gpu.recorder();
                prepared.record(&mut recorder, &of(false), &outputs.iter().collect::<Vec<_>>())?;
                recorder.submit()?;
                gpu.wait()?;
                checked += usize::from(verify(node.name(), op, prepared.plan().algorithm(), &inputs, &outputs[0])?);
                outputs
            }
        };
        for (value, tensor) in node.outputs().iter().zip(outputs) {
            live[value.index()] = Some(tensor);
        }
        let later = &graph.nodes()[i + 1..];
        for value in node.inputs().iter().filter(|value| !is_output(**value)) {
            if !later.iter().any(|node| node.inputs().contains(value)) {
                live[value.index()] = None;
            }
        }
    }
    let output = |value: ValueId| live[value.index()].as_ref().ok_or_else(|| Failure::Run("nothing wrote an output".into())).and_then(elements);
    let outputs: Vec<Vec<f32>> = graph.outputs().map(|(_, value)| output(value)).collect::<Result<_, _>>()?;
    Ok((outputs.concat(), checked))
}

/// Multiply-adds up to which an op is computed by the reference; of a convolution that has more, its first filters on the first image.
const REFERENCE_LIMIT: f64 = 100e6;

/// Holds what a node wrote to the reference on what it read; false where that would take too long.
fn verify(name: &str, op: &Op, algorithm: &str, inputs: &[Tensor], y: &Tensor) -> Result<bool, Failure> {
    let is_large = op.flops() > 2.0 * REFERENCE_LIMIT;
    let part = Part::of(op).filter(|_| is_large);
    if is_large && part.is_none() {
        return Ok(false);
    }
    // Whatever they hold: numbers, halves, indices of maxima.
    let read = inputs.iter().map(download).collect::<wgconv::Result<Vec<_>>>()?;
    let whole: Vec<&[f64]> = read.iter().map(Vec::as_slice).collect();
    let (op, operands) = match &part {
        Some(part) => (Op::from(part.problem.clone()), part.operands(&whole)),
        None => (op.clone(), read.clone()),
    };
    let want = op.reference_for(algorithm, &operands.iter().map(Vec::as_slice).collect::<Vec<_>>()).swap_remove(0);
    let got = &download(y)?[..want.value.len()];
    check(&format!("the GPU in {name}"), &op, got, &want, 1.0)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use wgconv::Activation;
    use wgconv::pool::{Pool2dDescriptor, PoolKind};
    use wgconv::reduce::ReduceDescriptor;
    use wgconv::train::{Model, Sequential};

    /// A pool's gradient reads indices, a layer in f16 halves: each op is held to the reference, whatever it reads.
    #[test]
    fn ops_that_read_indices_and_halves_are_held_to_the_reference() {
        let gpu = Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one");
        let overlapping = Pool2dDescriptor::window([3, 3]).with_stride([2, 2]).with_kind(PoolKind::MAX);
        let model = Sequential::new([2, 9, 9]).conv2d(3, 3, Activation::Relu).pool2d(&overlapping).flatten().dense(4, Activation::None);
        let model = model.graph(7).unwrap().closed(2).unwrap();
        for (model, elements) in [(model.clone(), &["f32", "u32"][..]), (model.in_half().unwrap(), &["f16", "f32", "u32"])] {
            let mut graph = model;
            let (_, output) = graph.outputs().next().unwrap();
            let loss = graph.reduce(output, &ReduceDescriptor::sum(&[])).unwrap();
            let parameters: Vec<ValueId> = graph.parameters().map(|(_, value)| value).collect();
            let subject = Subject::new(graph.differentiate(loss, &parameters).unwrap(), 2).ok().unwrap();
            let read: std::collections::BTreeSet<String> =
                subject.ops().flat_map(|op| op.inputs()).map(|spec| spec.tensor.element.to_string()).collect();
            assert_eq!(read.iter().collect::<Vec<_>>(), elements);
            let (outputs, checked) = by_op(&gpu, &subject).ok().unwrap();
            assert_eq!(
                (checked, outputs.len()),
                (subject.ops().count(), run(&Session::gpu(&gpu, &subject.graph).unwrap(), &subject).ok().unwrap().len())
            );
        }
    }
}
