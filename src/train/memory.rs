//! What a step takes between its ops, known before anything is allocated.

use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::session::Arena;
use crate::train::data::Dataset;
use crate::train::engine::Engine;
use crate::train::step;
use crate::train::trainer::Trainer;
use crate::types::Result;

/// The memory of a run of the network: bytes that its ops give to each other, without parameters, gradients and samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepMemory {
    /// Bytes that it takes where nothing is computed again.
    pub free: u64,
    /// Bytes that it takes within the limit.
    pub bytes: u64,
    /// Ops that run again for it.
    pub again: usize,
}

impl std::fmt::Display for StepMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes between the ops of a run, {} where nothing is computed again; {} ops run again", self.bytes, self.free, self.again)
    }
}

impl Trainer {
    pub(super) fn gpu(&self) -> Option<&Gpu> {
        match &self.engine {
            Engine::Gpu(gpu) => Some(gpu),
            Engine::Cpu => None,
        }
    }

    /// The memory that a run on such data takes between its ops, within the descriptor's limit. Nothing is allocated.
    ///
    /// # Errors
    /// A limit that cannot be held, with what is needed; targets that the loss does not take.
    pub fn memory(&self, data: &Dataset) -> Result<StepMemory> {
        let graph = self.step_graph(data)?;
        let bytes = |graph: &Graph| Ok(Arena::on(self.gpu(), graph)?.total());
        let free = bytes(&graph)?;
        let Some(limit) = self.descriptor.memory_limit else { return Ok(StepMemory { free, bytes: free, again: 0 }) };
        let within = step::within(&graph, limit, self.gpu())?;
        Ok(StepMemory { free, bytes: bytes(&within)?, again: within.nodes().len() - graph.nodes().len() })
    }
}
