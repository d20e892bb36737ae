//! A graph on a GPU: tensors for its values in few buffers, every op prepared, one recording a run.

use crate::gpu::Gpu;
use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::graph::{Graph, Numbers, Resolved, Source, ValueId};
use crate::ops::Problem;
use crate::session::memory::{Memory, root};
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use ndarray::{ArrayD, IxDyn};
use std::sync::{Mutex, PoisonError};

/// Tensors of parameters and constants, by value.
pub(crate) struct Weights {
    gpu: Gpu,
    tensors: Vec<Option<Tensor>>,
}

impl Weights {
    pub fn new(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        let upload = |numbers: &Numbers| match numbers {
            Numbers::F32(array) => gpu.upload(array),
            Numbers::F16(array) => gpu.upload(array),
        };
        let tensors = graph.values().iter().map(|value| match value.source() {
            Source::Parameter(Some(numbers)) | Source::Constant(numbers) => upload(numbers).map(Some),
            _ => Ok(None),
        });
        Ok(Self { gpu: gpu.clone(), tensors: tensors.collect::<Result<_>>()? })
    }
}

/// A network for one open extent.
pub(crate) struct Ready {
    gpu: Gpu,
    /// By node; none for views.
    ops: Vec<Option<Call>>,
    /// By value.
    tensors: Vec<Option<Tensor>>,
    /// Held by a run from its first upload to its last download: the tensors are those of all runs.
    turn: Mutex<()>,
}

struct Call {
    prepared: Prepared,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

impl Ready {
    /// Places values, makes tensors, prepares ops; what `other`, of another extent, has packed is shared.
    pub fn new(graph: &Graph, weights: &Weights, open: usize, other: Option<&Ready>) -> Result<Self> {
        let (gpu, at) = (&weights.gpu, graph.at(open)?);
        let memory = Memory::of(graph, &at);
        let buffers: Vec<Tensor> =
            memory.bytes().iter().map(|bytes| gpu.zeros(&[(bytes / 4) as usize], ElementType::F32, Layout::ChannelsFirst)).collect::<Result<_>>()?;
        let view = |whole: &Tensor, tensor: &TensorType| {
            Tensor::from_buffer(gpu, whole.buffer().clone(), whole.byte_offset(), &tensor.extents, tensor.element, tensor.layout)
        };
        let mut tensors = weights.tensors.clone();
        for (index, tensor) in at.types.iter().enumerate() {
            let value = graph.value(index);
            let shown = root(graph, &at, value);
            if shown != value {
                // Its root stands before it.
                let whole = tensors[shown.index()].clone();
                tensors[index] = whole.map(|whole| view(&whole, tensor)).transpose()?;
            } else if let Some(buffer) = memory.buffer(value) {
                tensors[index] = Some(view(&buffers[buffer], tensor)?);
            } else if matches!(graph.values()[index].source(), Source::Input) {
                tensors[index] = Some(gpu.zeros(&tensor.extents, tensor.element, tensor.layout)?);
            }
        }
        let plan = |node: &Resolved| match node {
            Resolved::Op(op) => gpu.plan(op.as_ref()).map(Some),
            Resolved::View(_) => Ok(None),
        };
        let plans: Vec<Option<_>> = at.nodes.iter().map(plan).collect::<Result<_>>()?;
        gpu.compile(&plans.iter().flatten().collect::<Vec<_>>())?; // of all ops, several at once
        let mut ops = Vec::with_capacity(plans.len());
        for (i, (resolved, plan)) in at.nodes.iter().zip(plans).enumerate() {
            let (Resolved::Op(op), Some(plan)) = (resolved, plan) else {
                ops.push(None);
                continue;
            };
            let node = &graph.nodes()[i];
            let (mut constants, mut inputs) = (vec![], vec![]);
            for (spec, &input) in op.inputs().iter().zip(node.inputs()) {
                // A parameter under another shape is one too.
                let is_weight = weights.tensors[root(graph, &at, input).index()].is_some();
                match (tensors[input.index()].as_ref().filter(|_| is_weight), spec.constant) {
                    (Some(tensor), true) => constants.push(tensor),
                    (None, true) => {
                        let rule = format!("{} of {} is read when the session is made: it is a parameter or a constant", spec.name, node.name());
                        return Err(Error::invalid(node.name(), graph.values()[input.index()].name(), rule));
                    }
                    (_, false) => inputs.push(input),
                }
            }
            let prepared = match other.and_then(|other| other.ops[i].as_ref()) {
                Some(call) => call.prepared.also_with_plan(plan, &constants)?,
                None => Prepared::with_plan(gpu, plan, &constants)?,
            };
            ops.push(Some(Call { prepared, inputs, outputs: node.outputs().to_vec() }));
        }
        Ok(Self { gpu: gpu.clone(), ops, tensors, turn: Mutex::default() })
    }

    fn tensor(&self, value: ValueId) -> Result<&Tensor> {
        let missing = || Error::Internal { label: "a session".into(), message: format!("value {} has no tensor", value.index()) };
        self.tensors[value.index()].as_ref().ok_or_else(missing)
    }

    /// Records every op, in order.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        for call in self.ops.iter().flatten() {
            let inputs: Vec<&Tensor> = call.inputs.iter().map(|&value| self.tensor(value)).collect::<Result<_>>()?;
            let outputs: Vec<&Tensor> = call.outputs.iter().map(|&value| self.tensor(value)).collect::<Result<_>>()?;
            call.prepared.record(recorder, &inputs, &outputs)?;
        }
        Ok(())
    }

    /// Uploads inputs, runs in one submit, downloads outputs in the graph's order.
    pub fn run(&self, graph: &Graph, given: &[(ValueId, ArrayD<f32>)]) -> Result<Vec<ArrayD<f32>>> {
        // It guards no data of its own, so a panic of another run leaves nothing half done.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for (value, array) in given {
            let tensor = self.tensor(*value)?;
            match tensor.element() {
                ElementType::F16 => tensor.write(&array.mapv(half::f16::from_f32))?,
                _ => tensor.write(array)?,
            }
        }
        let mut recorder = self.gpu.recorder();
        self.record(&mut recorder)?;
        recorder.submit()?;
        graph.outputs().map(|(_, value)| download(self.tensor(value)?)).collect()
    }
}

fn download(tensor: &Tensor) -> Result<ArrayD<f32>> {
    match tensor.element() {
        ElementType::F32 => tensor.download::<f32, IxDyn>(),
        ElementType::F16 => Ok(tensor.download::<half::f16, IxDyn>()?.mapv(half::f16::to_f32)),
        ElementType::U32 => Ok(tensor.download::<u32, IxDyn>()?.mapv(|v| v as f32)),
    }
}
