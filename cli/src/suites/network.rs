//! A network as a whole: one of a suite, for any batch, or a model file's, for its own.

use super::{Kind, Suite};
use crate::Failure;
use crate::model::Reading;
use crate::text::printable;
use std::path::Path;
use wgconv::{Graph, Layout};

/// A network to time.
pub enum Network {
    /// As its authors describe it.
    Suite(Suite),
    /// As a model file has it.
    Model {
        /// The file's name without its end.
        name: String,
        /// As it is imported: no pass has run.
        graph: Box<Graph>,
        /// The first extent of the first input.
        batch: usize,
    },
}

impl Network {
    /// Reads a model.
    pub fn read(path: &Path, reading: &Reading, kind: Kind) -> Result<Self, Failure> {
        if kind.element != Kind::PLAIN.element {
            return Err(Failure::Usage(format!("--element is {}: a model is computed in {}", kind.element, Kind::PLAIN.element)));
        }
        if kind.accuracy != Kind::PLAIN.accuracy {
            return Err(Failure::Usage("--accuracy is given with --model: a model is computed as f32 says".into()));
        }
        let graph = Box::new(reading.graph(path)?);
        let first = graph.inputs().next().and_then(|(_, value)| graph.extent(value, 0));
        let name = path.file_stem().map_or_else(|| "model".into(), |stem| printable(&stem.to_string_lossy()));
        Ok(Network::Model { name, graph, batch: first.unwrap_or(1) })
    }

    pub fn name(&self) -> String {
        match self {
            Network::Suite(suite) => suite.name(),
            Network::Model { name, .. } => name.clone(),
        }
    }

    /// The only batch that it takes; none where any will do.
    pub fn batch(&self) -> Option<usize> {
        match self {
            Network::Suite(_) => None,
            Network::Model { batch, .. } => Some(*batch),
        }
    }

    /// The network before any pass; inputs and outputs are channels-first.
    pub fn graph(&self, kind: Kind) -> Result<Graph, Failure> {
        match self {
            Network::Suite(suite) => Ok(super::network(*suite, Kind { layout: Layout::ChannelsFirst, ..kind })?),
            Network::Model { graph, .. } => Ok((**graph).clone()),
        }
    }
}
