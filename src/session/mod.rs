//! Running a graph: on the GPU in one recording, or on the CPU engine.
//!
//! A [`Session`] uploads parameters once. For each open extent that it meets it resolves the graph, places values in memory and prepares every op; later
//! runs of that extent only upload inputs, dispatch and download. Packed filters are shared by all of them where their plans pack alike.

pub(crate) mod cpu;
pub(crate) mod gpu;
pub(crate) mod memory;

pub use memory::Memory;

use crate::gpu::Gpu;
use crate::graph::{Graph, Source, ValueId};
use crate::types::{Error, Result};
use ndarray::{ArrayD, ArrayView, Dimension, IxDyn};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A graph that is ready to run on an engine. Runs of several threads go one after another.
pub struct Session {
    graph: Graph,
    engine: Engine,
}

enum Engine {
    Gpu { weights: gpu::Weights, ready: Mutex<HashMap<usize, Arc<gpu::Ready>>> },
    Cpu,
}

/// Inputs by value.
type Given = Vec<(ValueId, ArrayD<f32>)>;

/// What a run gives: arrays by the names of the graph's outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs(Vec<(String, ArrayD<f32>)>);

impl Outputs {
    /// The output called `name`.
    pub fn get(&self, name: &str) -> Option<&ArrayD<f32>> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, array)| array)
    }

    /// All outputs, in the graph's order.
    pub fn into_arrays(self) -> Vec<(String, ArrayD<f32>)> {
        self.0
    }
}

impl std::ops::Index<&str> for Outputs {
    type Output = ArrayD<f32>;

    /// # Panics
    /// Where no output has this name; [`Outputs::get`] asks first.
    fn index(&self, name: &str) -> &ArrayD<f32> {
        match self.get(name) {
            Some(array) => array,
            None => panic!("the graph has no output \"{name}\""),
        }
    }
}

impl Session {
    /// A session on `gpu`. Parameters and constants are uploaded; ops are prepared when an open extent is first met, at once where there is none.
    ///
    /// # Errors
    /// A parameter without numbers; what the device cannot hold or run.
    pub fn gpu(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        check(graph)?;
        let session = Self { graph: graph.clone(), engine: Engine::Gpu { weights: gpu::Weights::new(gpu, graph)?, ready: Mutex::default() } };
        if !graph.is_open() {
            session.prepare(0)?;
        }
        Ok(session)
    }

    /// A session on the CPU engine; what that does not have runs on the reference.
    ///
    /// # Errors
    /// A parameter without numbers.
    pub fn cpu(graph: &Graph) -> Result<Self> {
        check(graph)?;
        Ok(Self { graph: graph.clone(), engine: Engine::Cpu })
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Where values lie on a GPU for an open extent, and how many bytes that takes.
    ///
    /// # Errors
    /// What an op does not take at this extent.
    pub fn memory(&self, open: usize) -> Result<Memory> {
        Ok(Memory::of(&self.graph, &self.graph.at(open)?))
    }

    /// Prepares for an open extent before it is met, so that its first run takes no longer than the others.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn prepare(&self, open: usize) -> Result<()> {
        match &self.engine {
            Engine::Gpu { weights, ready } => ready_for(&self.graph, weights, ready, open).map(|_| ()),
            Engine::Cpu => self.graph.at(open).map(|_| ()),
        }
    }

    /// Runs the network on `inputs`, by name, in any order. The open extent is what they say.
    ///
    /// # Errors
    /// An input that is missing, unknown or of another shape; open extents that differ; loss of the device, out of memory.
    pub fn run<D: Dimension>(&self, inputs: &[(&str, ArrayView<'_, f32, D>)]) -> Result<Outputs> {
        let (open, given) = self.given(inputs)?;
        let outputs = match &self.engine {
            Engine::Gpu { weights, ready } => ready_for(&self.graph, weights, ready, open)?.run(&self.graph, &given)?,
            Engine::Cpu => cpu::run(&self.graph, open, &given)?,
        };
        let named = self.graph.outputs().map(|(name, _)| name.to_string()).zip(outputs).collect();
        Ok(Outputs(named))
    }

    /// The open extent, and the inputs by value.
    fn given<D: Dimension>(&self, inputs: &[(&str, ArrayView<'_, f32, D>)]) -> Result<(usize, Given)> {
        if let Some((name, _)) = inputs.iter().find(|(name, _)| !self.graph.inputs().any(|(own, _)| own == *name)) {
            let known: Vec<&str> = self.graph.inputs().map(|(own, _)| own).collect();
            return Err(Error::invalid("inputs", format!("\"{name}\""), format!("the graph's inputs are {}", known.join(", "))));
        }
        let (mut open, mut given) = (None, vec![]);
        for (name, value) in self.graph.inputs() {
            let Some((_, array)) = inputs.iter().find(|(own, _)| *own == name) else {
                return Err(Error::invalid("inputs", inputs.len(), format!("the input \"{name}\" is missing")));
            };
            let extents = array.shape();
            if extents.len() != self.graph.rank(value) {
                return Err(Error::invalid(name, format!("{extents:?}"), format!("it is {}", self.graph.shape(value))));
            }
            for (axis, &extent) in extents.iter().enumerate() {
                match self.graph.declared(value, axis) {
                    Some(wanted) if wanted == extent => {}
                    None if open.is_none_or(|open| open == extent) => open = Some(extent),
                    _ => {
                        let open = open.map_or(String::new(), |open| format!(", N = {open}"));
                        return Err(Error::invalid(name, format!("{extents:?}"), format!("it is {}{open}", self.graph.shape(value))));
                    }
                }
            }
            let dynamic: ArrayView<'_, f32, IxDyn> = array.view().into_dyn();
            given.push((value, dynamic.to_owned()));
        }
        Ok((open.unwrap_or(0), given))
    }
}

/// What is ready for an open extent, made on first use.
fn ready_for(graph: &Graph, weights: &gpu::Weights, ready: &Mutex<HashMap<usize, Arc<gpu::Ready>>>, open: usize) -> Result<Arc<gpu::Ready>> {
    // What a panicking thread had locked here is whole: entries are put in complete.
    let mut ready = ready.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = ready.get(&open) {
        return Ok(known.clone());
    }
    let made = Arc::new(gpu::Ready::new(graph, weights, open, ready.values().next().map(Arc::as_ref))?);
    ready.insert(open, made.clone());
    Ok(made)
}

/// Every parameter has its numbers, and there is an output.
fn check(graph: &Graph) -> Result<()> {
    let missing: Vec<&str> =
        graph.values().iter().filter(|value| matches!(value.source(), Source::Parameter(None))).map(|value| value.name()).collect();
    if !missing.is_empty() {
        return Err(Error::invalid("parameters", "without numbers", format!("these need some before the network runs: {}", missing.join(", "))));
    }
    if graph.outputs().next().is_none() {
        return Err(Error::invalid("outputs", "none", "a network has an output: Graph::output names it"));
    }
    Ok(())
}
