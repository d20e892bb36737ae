//! Which layout between its ops a network is fastest in, on the device at hand: measured, since it follows from the device, its driver and the shapes.

use crate::gpu::Gpu;
use crate::gpu::tensor::Tensor;
use crate::graph::{Graph, ValueId};
use crate::session::Session;
use crate::types::{Layout, Result};

/// A network with the layout that it is fastest in.
#[derive(Debug, Clone)]
pub struct InLayout {
    /// The network; its inputs and outputs are declared as before.
    pub graph: Graph,
    /// The layout between its ops; none as it was given.
    pub layout: Option<Layout>,
    /// Median seconds of a run as it was given, channels-first and channels-last; none where that changes nothing.
    pub seconds: [Option<f64>; 3],
}

/// Rounds over all candidates, so that what slows the machine down for a while slows all of them.
const ROUNDS: usize = 3;
/// Runs of a candidate in a round.
const RUNS: usize = 5;

/// Times `graph` as it is and in [both layouts](Graph::in_layout), for one open extent, over inputs of zeros: after the passes, and once for a device.
///
/// # Errors
/// As [`Session::bind`]; loss of the device.
pub fn fastest_layout(gpu: &Gpu, graph: &Graph, open: usize) -> Result<InLayout> {
    let mut candidates = vec![(None, 0, graph.clone())];
    for (slot, layout) in [(1, Layout::ChannelsFirst), (2, Layout::ChannelsLast)] {
        if let (other, Some(_)) = graph.in_layout(layout)? {
            candidates.push((Some(layout), slot, other));
        }
    }
    let at = graph.at(open)?;
    let tensor = |(name, value): (&str, ValueId)| -> Result<(String, Tensor)> {
        let of = &at.types[value.index()];
        Ok((name.to_string(), gpu.zeros(&of.extents, of.element, of.layout)?))
    };
    let inputs = graph.inputs().map(tensor).collect::<Result<Vec<_>>>()?;
    let outputs = graph.outputs().map(tensor).collect::<Result<Vec<_>>>()?;
    let bind = |(_, _, graph): &(Option<Layout>, usize, Graph)| Session::gpu(gpu, graph)?.bind(&named(&inputs), &named(&outputs));
    let bound = candidates.iter().map(bind).collect::<Result<Vec<_>>>()?;
    let mut samples = vec![vec![]; bound.len()];
    for _ in 0..ROUNDS {
        for (bound, samples) in bound.iter().zip(&mut samples) {
            samples.extend(gpu.time(RUNS, &mut |recorder| bound.record(recorder))?.seconds);
        }
    }
    let mut seconds = [None; 3];
    for ((_, slot, _), samples) in candidates.iter().zip(&mut samples) {
        samples.sort_by(f64::total_cmp);
        seconds[*slot] = samples.get(samples.len() / 2).copied();
    }
    let fastest = candidates.into_iter().min_by(|(_, a, _), (_, b, _)| seconds[*a].unwrap_or(f64::MAX).total_cmp(&seconds[*b].unwrap_or(f64::MAX)));
    let (layout, _, graph) = fastest.unwrap_or((None, 0, graph.clone()));
    Ok(InLayout { graph, layout, seconds })
}

fn named(tensors: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}
