//! A network on either engine: its weights, its buffers, and running it as a whole or op by op.

use super::arena::Arena;
use crate::Failure;
use crate::bench::layer::{check, part};
use crate::suites::{Network, Node, ValueId};
use ndarray::{ArrayViewD, IxDyn};
use wgconv::numeric::Generator;
use wgconv::op::{Op, Plan, Prepared, Problem, Referenced};
use wgconv::validate::download;
use wgconv::{ElementType, Gpu, Layout, Recorder, Tensor};

/// By node and weight. The same whatever the batch.
pub struct Weights(Vec<Vec<Vec<f32>>>);

impl Weights {
    /// Uniform numbers of the variance that keeps the magnitudes of a deep network; biases of a tenth.
    pub fn new(network: &Network) -> Self {
        let of_node = |(i, node): (usize, &Node)| {
            let mut generator = Generator::from_text(&format!("{i} {}", network.layer(node).name));
            let spread = (3.0 * network.variance(node)).sqrt();
            let specs = network.op(node).inputs();
            let constant = specs.iter().filter(|spec| spec.constant);
            constant
                .map(|spec| {
                    let scale = if spec.tensor.extents.len() > 1 { spread } else { 0.1 };
                    (0..spec.count()).map(|_| (generator.real() * scale) as f32).collect()
                })
                .collect()
        };
        Self(network.nodes.iter().enumerate().map(of_node).collect())
    }

    /// Pseudo-random images, the same one each time: a batch begins with the images of a smaller one.
    pub fn images(network: &Network) -> Vec<f32> {
        let mut generator = Generator::from_text("images");
        let count: usize = network.values[network.input().0].extents.iter().product();
        (0..count).map(|_| generator.real() as f32).collect()
    }

    /// The operands of a node in its op's order: `values` are those that are no weights.
    fn operands<'a>(&'a self, op: &Op, node: usize, values: &[&'a [f32]]) -> Vec<&'a [f32]> {
        let (mut weights, mut values) = (self.0[node].iter(), values.iter());
        op.inputs().iter().filter_map(|spec| if spec.constant { weights.next().map(Vec::as_slice) } else { values.next().copied() }).collect()
    }
}

/// The plan of each node.
pub fn plans(gpu: &Gpu, network: &Network) -> Result<Vec<Plan>, Failure> {
    network.nodes.iter().map(|node| Ok(gpu.plan(network.op(node))?)).collect()
}

/// A network that is ready to record, and the tensors that its ops read and write.
pub struct OnGpu {
    ops: Vec<Prepared>,
    values: Vec<Tensor>,
}

/// The same memory under another shape.
fn view(tensor: &Tensor, extents: &[usize]) -> Result<Tensor, Failure> {
    let (buffer, offset) = (tensor.buffer().clone(), tensor.byte_offset());
    Ok(Tensor::from_buffer(tensor.gpu(), buffer, offset, extents, ElementType::F32, Layout::ChannelsFirst)?)
}

fn array<'a>(extents: &[usize], values: &'a [f32]) -> Result<ArrayViewD<'a, f32>, Failure> {
    ArrayViewD::from_shape(IxDyn(extents), values).map_err(|e| Failure::Run(e.to_string()))
}

impl OnGpu {
    /// Uploads weights and images, prepares every op, and waits until all of it is done.
    pub fn new(gpu: &Gpu, network: &Network, arena: &Arena, weights: &Weights, images: &[f32]) -> Result<Self, Failure> {
        let mut ops = Vec::with_capacity(network.nodes.len());
        for (node, weights) in network.nodes.iter().zip(&weights.0) {
            let op = network.op(node);
            let specs = op.inputs();
            let constant = specs.iter().filter(|spec| spec.constant).zip(weights);
            let constant: Vec<Tensor> = constant
                .map(|(spec, values)| Ok(gpu.upload_as(&array(&spec.tensor.extents, values)?, spec.tensor.layout)?))
                .collect::<Result<_, Failure>>()?;
            ops.push(Prepared::new(gpu, op, &constant.iter().collect::<Vec<_>>())?);
        }
        let mut buffers = vec![gpu.upload(&array(&network.values[network.input().0].extents, images)?)?];
        for count in &arena.elements[1..] {
            buffers.push(gpu.zeros(&[*count], ElementType::F32, Layout::ChannelsFirst)?);
        }
        let values = network.values.iter().enumerate();
        let values = values.map(|(i, value)| view(&buffers[arena.place(ValueId(i))], &value.extents)).collect::<Result<_, _>>()?;
        gpu.wait()?;
        Ok(Self { ops, values })
    }

    /// Records every op, in order.
    pub fn record(&self, network: &Network, recorder: &mut Recorder<'_>) -> wgconv::Result<()> {
        for (node, op) in network.nodes.iter().zip(&self.ops) {
            let inputs: Vec<&Tensor> = node.inputs.iter().map(|value| &self.values[value.0]).collect();
            op.record(recorder, &inputs, &[&self.values[node.output.0]])?;
        }
        Ok(())
    }

    /// One run in one submit, and its output.
    pub fn run(&self, gpu: &Gpu, network: &Network) -> Result<Vec<f32>, Failure> {
        let mut recorder = gpu.recorder();
        self.record(network, &mut recorder)?;
        recorder.submit()?;
        elements(&self.values[network.output().0])
    }

    pub fn dispatches(&self) -> usize {
        self.ops.iter().map(|op| op.plan().steps.len()).sum()
    }

    /// Runs op by op, each in a submit of its own and into a new tensor, and holds what each wrote to the reference where that takes no
    /// longer than the run. Gives the output, and how many ops were held to the reference.
    pub fn by_op(&self, gpu: &Gpu, network: &Network, weights: &Weights) -> Result<(Vec<f32>, usize), Failure> {
        let mut live: Vec<Option<Tensor>> = vec![None; network.values.len()];
        live[network.input().0] = Some(self.values[network.input().0].clone());
        let mut checked = 0;
        for (i, (node, prepared)) in network.nodes.iter().zip(&self.ops).enumerate() {
            let tensor = |value: &ValueId| {
                let missing = || Failure::Run(format!("{} reads what nothing wrote", network.layer(node).name));
                view(live[network.root(*value).0].as_ref().ok_or_else(missing)?, &network.values[value.0].extents)
            };
            let inputs: Vec<Tensor> = node.inputs.iter().map(tensor).collect::<Result<_, _>>()?;
            let mut outputs = prepared.outputs()?;
            let mut recorder = gpu.recorder();
            prepared.record(&mut recorder, &inputs.iter().collect::<Vec<_>>(), &outputs.iter().collect::<Vec<_>>())?;
            recorder.submit()?;
            gpu.wait()?;
            let y = outputs.swap_remove(0);
            checked += usize::from(verify(network, i, prepared.plan().algorithm(), weights, &inputs, &y)?);
            live[node.output.0] = Some(y);
            let later = &network.nodes[i + 1..];
            for (value, tensor) in live.iter_mut().enumerate() {
                if value != network.output().0 && !later.iter().any(|node| node.inputs.iter().any(|read| network.root(*read).0 == value)) {
                    *tensor = None;
                }
            }
        }
        let output = live[network.output().0].take().ok_or_else(|| Failure::Run("nothing wrote the output".into()))?;
        Ok((elements(&output)?, checked))
    }
}

fn elements(tensor: &Tensor) -> Result<Vec<f32>, Failure> {
    Ok(tensor.download::<f32, IxDyn>()?.iter().copied().collect())
}

/// Multiply-adds up to which an op is computed by the reference; of a convolution that has more, its first filters on the first image.
const REFERENCE_LIMIT: f64 = 100e6;

/// Holds what a node wrote to the reference on what it read; false where that would take too long.
fn verify(network: &Network, i: usize, algorithm: &str, weights: &Weights, inputs: &[Tensor], y: &Tensor) -> Result<bool, Failure> {
    let layer = network.layer(&network.nodes[i]);
    let (mut op, cut) = (layer.op(), part(layer).map(Op::from));
    if op.flops() > 2.0 * REFERENCE_LIMIT {
        match &cut {
            Some(cut) => op = cut,
            None => return Ok(false),
        }
    }
    let read: Vec<Vec<f32>> = inputs.iter().map(elements).collect::<Result<_, _>>()?;
    let operands = weights.operands(layer.op(), i, &read.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let wide = |(spec, values): (wgconv::op::TensorSpec, &&[f32])| values[..spec.count() as usize].iter().map(|v| f64::from(*v)).collect();
    let operands: Vec<Vec<f64>> = op.inputs().into_iter().zip(&operands).map(wide).collect();
    let operands: Vec<&[f64]> = operands.iter().map(Vec::as_slice).collect();
    let want = op.reference_for(algorithm, &operands).swap_remove(0);
    let got = &download(y)?[..want.value.len()];
    check(&format!("the GPU in {}", layer.name), op, got, &want, 1.0)?;
    Ok(true)
}

/// A network on the CPU engine.
pub struct OnCpu {
    buffers: Vec<Vec<f32>>,
}

impl OnCpu {
    pub fn new(arena: &Arena, images: &[f32]) -> Self {
        let mut buffers: Vec<Vec<f32>> = arena.elements.iter().map(|count| vec![0.0; *count]).collect();
        buffers[0].copy_from_slice(images);
        Self { buffers }
    }

    /// One run and its output; `None` where the engine does not have an op.
    pub fn run(&mut self, network: &Network, arena: &Arena, weights: &Weights) -> Result<Option<Vec<f32>>, Failure> {
        let count = |value: ValueId| network.values[value.0].extents.iter().product::<usize>();
        for (i, node) in network.nodes.iter().enumerate() {
            let mut y = std::mem::take(&mut self.buffers[arena.place(node.output)]); // never one that it reads
            let read: Vec<&[f32]> = node.inputs.iter().map(|value| &self.buffers[arena.place(*value)][..count(*value)]).collect();
            let op = network.op(node);
            let has = wgconv::cpu::compute(op, &weights.operands(op, i, &read), &mut y[..count(node.output)])?;
            self.buffers[arena.place(node.output)] = y;
            if !has {
                return Ok(None);
            }
        }
        let output = network.output();
        Ok(Some(self.buffers[arena.place(output)][..count(output)].to_vec()))
    }
}
