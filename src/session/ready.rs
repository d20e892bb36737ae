//! A graph on a GPU for one open extent: what is planned and how many bytes that takes, then every op prepared over the arena.

use crate::gpu::Gpu;
use crate::gpu::allocated::Shares;
use crate::gpu::buffer::Buffer;
use crate::gpu::pipelines::Dispatch;
use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::graph::{At, Graph, Node, Resolved, ValueId};
use crate::plan::Planned;
use crate::plan::packing::transient;
use crate::plan::step::Plan;
use crate::session::memory::Memory;
use crate::session::placement::{Limits, Place, Placement};
use crate::session::run::Frame;
use crate::session::store::{Store, WeightId};
use crate::types::{ElementType, Error, Layout, Result, TensorShape, TensorType};
use std::collections::HashSet;
use std::sync::Mutex;

/// Bytes of released weights that may wait for the device before it is waited for.
const LOOSE: u64 = 32 << 20;

/// A graph planned for one open extent; nothing is allocated.
pub(crate) struct Planning {
    at: At,
    /// By node; none for views.
    plans: Vec<Option<Plan>>,
    placement: Placement,
    /// By value: the value that it shows.
    roots: Vec<ValueId>,
    memory: Memory,
}

impl Planning {
    pub fn of(gpu: &Gpu, graph: &Graph, open: usize) -> Result<Self> {
        let at = graph.at(open)?;
        let plan = |node: &Resolved| match node {
            Resolved::Op(op) => gpu.plan(op.as_ref()).map(Some),
            Resolved::View(_) => Ok(None),
        };
        let plans = at.nodes.iter().map(plan).collect::<Result<_>>()?;
        let placement = Placement::of(graph, &at, Limits::of(gpu));
        let roots = (0..graph.values().len()).map(|index| graph.root(&at, graph.value(index))).collect();
        let mut planning = Self { at, plans, placement, roots, memory: Memory::default() };
        planning.memory = planning.count(gpu, graph);
        Ok(planning)
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The weights that kernels read as they are, and those that are packed, each once.
    fn weights(&self, graph: &Graph) -> (HashSet<ValueId>, HashSet<ValueId>) {
        let (mut direct, mut all) = (HashSet::new(), HashSet::new());
        for (node, plan) in graph.nodes().iter().zip(&self.plans) {
            let Some(plan) = plan else { continue };
            let packs_each_run = computes_constants(plan, node, &self.roots, &self.placement);
            for (i, (spec, input)) in plan.inputs.iter().zip(node.inputs()).enumerate() {
                let of = self.roots[input.index()];
                let is_weight = self.placement.places[of.index()] == Place::Weight;
                // One that no kernel reads, such as the addend of a product whose factor is 0, is bound all the same.
                if is_weight && (packs_each_run || !spec.constant || plan.steps.iter().any(|step| step.reads(i))) {
                    direct.insert(of);
                }
                if is_weight {
                    all.insert(of);
                }
            }
        }
        // An output may show a weight.
        direct.extend(graph.outputs().map(|(_, value)| self.roots[value.index()]).filter(|of| self.placement.places[of.index()] == Place::Weight));
        let packed = all.difference(&direct).copied().collect();
        (direct, packed)
    }

    fn count(&self, gpu: &Gpu, graph: &Graph) -> Memory {
        let (direct, packed) = self.weights(graph);
        let sum = |values: &HashSet<ValueId>| values.iter().map(|&value| self.at.bytes(value).next_multiple_of(16)).sum::<u64>();
        let plans = || self.plans.iter().flatten();
        let packed_bytes = |plan: &Plan| plan.scratch.iter().sum::<u64>() - transient(plan).iter().map(|&index| plan.scratch[index]).sum::<u64>();
        let tables = |plan: &Plan| plan.tables.iter().map(|table| 4 * table.len() as u64).sum::<u64>() + plan.uniforms(gpu.uniform_alignment()).1;
        let ends = |multiple: u64| graph.inputs().chain(graph.outputs()).map(|(_, value)| self.at.bytes(value).next_multiple_of(multiple)).sum();
        let largest = packed.iter().map(|&value| self.at.bytes(value)).max().unwrap_or(0);
        Memory {
            weights: sum(&direct),
            packed: plans().map(packed_bytes).sum(),
            tables: plans().map(tables).sum(),
            arena: self.placement.arena.clone(),
            scratch: self.scratch().iter().sum(),
            tensors: ends(16),
            staging: ends(4),
            preparing: sum(&packed).min(LOOSE + largest),
            open: None,
        }
    }

    /// Bytes of the buffers that all ops share for what each recording writes anew.
    fn scratch(&self) -> Vec<u64> {
        let mut largest: Vec<u64> = vec![];
        for plan in self.plans.iter().flatten() {
            for (k, index) in transient(plan).into_iter().enumerate() {
                let bytes = plan.scratch[index].next_multiple_of(16);
                match largest.get_mut(k) {
                    Some(own) => *own = (*own).max(bytes),
                    None => largest.push(bytes),
                }
            }
        }
        largest
    }

    /// Takes plans that need fewer bytes, those with the most first, until the peak is at most `limit`.
    ///
    /// # Errors
    /// What remains does not fit.
    pub fn within(mut self, gpu: &Gpu, graph: &Graph, limit: u64) -> Result<Self> {
        let mut tried = HashSet::new();
        while self.memory.peak() > limit {
            let own = |i: &usize| self.plans[*i].as_ref().map_or(0, Plan::own_bytes);
            let heaviest = (0..self.plans.len()).filter(|i| !tried.contains(i) && own(i) > 0).max_by_key(own);
            let Some(i) = heaviest else {
                let needed = self.memory.peak().into();
                return Err(Error::TooLarge { argument: "the session".into(), needed, unit: "bytes", limit_name: "memory_limit", limit });
            };
            tried.insert(i);
            let Resolved::Op(op) = &self.at.nodes[i] else { continue };
            let least = op.algorithms(gpu.profile()).into_iter().filter_map(|name| op.plan(gpu.profile(), Some(name)).ok());
            if let Some(plan) = least.min_by_key(Plan::own_bytes).filter(|plan| plan.own_bytes() < own(&i)) {
                let before = self.plans[i].replace(plan);
                let memory = self.count(gpu, graph);
                if memory.peak() < self.memory.peak() {
                    self.memory = memory;
                } else {
                    self.plans[i] = before; // another op needs as much of what they share
                }
            }
        }
        Ok(self)
    }
}

/// Whether something that the op takes as a constant, such as a filter, is an input of the network or computed by it: it is packed in every run.
fn computes_constants(plan: &Plan, node: &Node, roots: &[ValueId], placement: &Placement) -> bool {
    let is_weight = |input: &ValueId| placement.places[roots[input.index()].index()] == Place::Weight;
    plan.inputs.iter().zip(node.inputs()).any(|(spec, input)| spec.constant && !is_weight(input))
}

/// A prepared op, with the values that it reads and gives.
struct Call {
    prepared: Prepared,
    /// Whether constants are among the inputs, to be packed in every run.
    packs: bool,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

/// A network for one open extent.
pub(crate) struct Ready {
    gpu: Gpu,
    at: At,
    calls: Vec<Call>,
    placement: Placement,
    roots: Vec<ValueId>,
    /// By value: the arena's, and weights that are read as they are; none for inputs, outputs and views.
    tensors: Vec<Option<Tensor>>,
    memory: Memory,
    /// Tensors and staging buffers of runs that are over.
    pub(crate) frames: Mutex<Vec<Frame>>,
}

impl Ready {
    /// Allocates what was planned and prepares every op; `ids` are the graph's weights.
    pub fn new(graph: &Graph, planning: Planning, store: &Store, ids: &[Option<WeightId>]) -> Result<Self> {
        let gpu = store.gpu();
        let (direct, _) = planning.weights(graph);
        let scratch: Vec<Buffer> = planning.scratch().into_iter().map(|bytes| gpu.storage("scratch memory", bytes)).collect::<Result<_>>()?;
        let Planning { at, mut plans, placement, roots, memory } = planning;
        for (node, plan) in graph.nodes().iter().zip(&mut plans) {
            if let Some(plan) = plan {
                plan.share(&placement.buffers(&roots, node.inputs()), &placement.buffers(&roots, node.outputs()))?;
            }
        }
        let arena: Vec<Tensor> = placement
            .arena
            .buffers()
            .iter()
            .map(|bytes| gpu.zeros(&[(bytes / 4) as usize], ElementType::F32, Layout::ChannelsFirst))
            .collect::<Result<_>>()?;
        let weight = |value: ValueId| ids[value.index()].ok_or_else(|| internal(format!("value {} is no weight", value.index())));
        let mut tensors = vec![None; roots.len()];
        for (index, place) in placement.places.iter().enumerate() {
            let value = graph.value(index);
            tensors[index] = match *place {
                Place::Arena { buffer, offset } => {
                    let TensorType { extents, element, layout } = &at.types[index];
                    Some(arena[buffer].within(offset, extents, *element, *layout)?)
                }
                Place::Weight if direct.contains(&value) => Some(store.tensor(weight(value)?, true)?),
                _ => None,
            };
        }
        gpu.compile(&plans.iter().flatten().collect::<Vec<_>>())?; // of all ops, several at once
        let (mut calls, mut loose) = (vec![], 0);
        for (node, plan) in graph.nodes().iter().zip(plans) {
            let Some(plan) = plan else { continue };
            if computes_constants(&plan, node, &roots, &placement) {
                let prepared = Prepared::without_constants(gpu, plan, Some(&scratch))?;
                calls.push(Call { prepared, packs: true, inputs: node.inputs().to_vec(), outputs: node.outputs().to_vec() });
                continue;
            }
            let (mut constants, mut used, mut inputs) = (vec![], vec![], vec![]);
            for (spec, &input) in plan.inputs.iter().zip(node.inputs()) {
                if spec.constant {
                    let of = roots[input.index()];
                    let tensor = store.tensor(weight(of)?, false)?;
                    constants.push(shown_as(&tensor, &at.types[input.index()])?);
                    used.push(weight(of)?);
                } else {
                    inputs.push(input);
                }
            }
            let others = store.prepared_with(&used);
            let shares = Shares { others: &others, transient: Some(&scratch) };
            let prepared = Prepared::with_shares(gpu, plan, &constants.iter().collect::<Vec<_>>(), &shares)?;
            for (&id, tensor) in used.iter().zip(&constants) {
                loose += if store.release(id) { tensor.byte_size() } else { 0 };
            }
            drop(constants);
            if loose > LOOSE {
                #[cfg(not(target_arch = "wasm32"))]
                gpu.wait()?;
                loose = 0;
            }
            store.note(used, &prepared);
            calls.push(Call { prepared, packs: false, inputs, outputs: node.outputs().to_vec() });
        }
        Ok(Self { gpu: gpu.clone(), at, calls, placement, roots, tensors, memory, frames: Mutex::default() })
    }

    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What a value is.
    pub fn tensor_type(&self, value: ValueId) -> &TensorType {
        &self.at.types[value.index()]
    }

    /// The tensors of all values, where these are the inputs, and the outputs in the graph's order.
    fn tensors(&self, inputs: &[(ValueId, &Tensor)], outputs: &[&Tensor]) -> Result<Vec<Option<Tensor>>> {
        let mut tensors = self.tensors.clone();
        for (value, tensor) in inputs {
            tensors[value.index()] = Some((*tensor).clone());
        }
        for (index, place) in self.placement.places.iter().enumerate() {
            if let Place::Output(output) = place {
                tensors[index] = Some(shown_as(outputs[*output], &self.at.types[index])?);
            }
        }
        for (index, &of) in self.roots.iter().enumerate().filter(|(index, of)| of.index() != *index) {
            let shown = tensors[of.index()].as_ref().map(|tensor| shown_as(tensor, &self.at.types[index]));
            tensors[index] = shown.transpose()?;
        }
        Ok(tensors)
    }

    /// Every kernel call with its bindings, in order, where these are the inputs and outputs; and the outputs that no op writes, each with what it is
    /// a copy of.
    pub fn bind(&self, graph: &Graph, inputs: &[(ValueId, &Tensor)], outputs: &[&Tensor]) -> Result<Recording> {
        let tensors = self.tensors(inputs, outputs)?;
        let tensor = |&value: &ValueId| tensors[value.index()].as_ref().ok_or_else(|| internal(format!("value {} has no tensor", value.index())));
        let (mut dispatches, mut copies) = (vec![], vec![]);
        for call in &self.calls {
            let inputs: Vec<&Tensor> = call.inputs.iter().map(tensor).collect::<Result<_>>()?;
            let outputs: Vec<&Tensor> = call.outputs.iter().map(tensor).collect::<Result<_>>()?;
            let bound = if call.packs { call.prepared.bind_packing(&inputs, &outputs) } else { call.prepared.bind(&inputs, &outputs) };
            dispatches.extend(bound?.into_dispatches());
        }
        for (i, ((name, value), to)) in graph.outputs().zip(outputs).enumerate() {
            let of = self.roots[value.index()];
            if self.placement.places[of.index()] != Place::Output(i) {
                let from = tensor(&of)?;
                for (tensor, usage) in [(from, wgpu::BufferUsages::COPY_SRC), (*to, wgpu::BufferUsages::COPY_DST)] {
                    if !tensor.raw().usage().contains(usage) {
                        let rule = format!("this output is a copy: its usage, and that of what it is copied from, must contain {usage:?}");
                        return Err(Error::invalid(name, format!("in a buffer of {:?}", tensor.raw().usage()), rule));
                    }
                }
                copies.push((from.clone(), (*to).clone()));
            }
        }
        Ok(Recording { dispatches, copies })
    }

    /// Dispatches of one run.
    pub fn steps(&self) -> usize {
        let steps = |call: &Call| call.prepared.plan().steps.len() + if call.packs { call.prepared.plan().prepare.len() } else { 0 };
        self.calls.iter().map(steps).sum()
    }
}

/// What one run does between its uploads and its downloads.
pub(crate) struct Recording {
    dispatches: Vec<Dispatch>,
    /// From, to.
    copies: Vec<(Tensor, Tensor)>,
}

impl Recording {
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        recorder.scoped("a session", |recorder| {
            recorder.push(&self.dispatches)?;
            for (from, to) in &self.copies {
                recorder.copy((from.raw(), from.byte_offset()), (to.raw(), to.byte_offset()), from.byte_size())?;
            }
            Ok(())
        })
    }
}

/// The elements of a tensor under another shape of as many.
fn shown_as(tensor: &Tensor, wanted: &TensorType) -> Result<Tensor> {
    Ok(tensor.with_view(TensorShape::new(&wanted.extents)?, wanted.layout))
}

fn internal(message: String) -> Error {
    Error::Internal { label: "a session".into(), message }
}

#[cfg(test)]
impl Ready {
    /// A fault for negative controls: `value` is written where `other` lies, as if no op read `other` after that. False where either is in no arena.
    pub fn overlap(&mut self, value: ValueId, other: ValueId) -> bool {
        let Some(place) = self.tensors[other.index()].clone().filter(|_| self.tensors[value.index()].is_some()) else { return false };
        let shown = shown_as(&place, &self.at.types[value.index()]).ok();
        self.tensors[value.index()] = shown;
        self.tensors[value.index()].is_some()
    }
}
