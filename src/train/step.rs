//! The graph of a step: the network as it learns, its loss and the gradients; and the small graph that makes of these what the optimizer gets.

use crate::gpu::Gpu;
use crate::graph::{Extent, Graph, Learning, Pass, Recipe, Source, ValueId};
use crate::ops::elementwise::binary::BinaryOp;
use crate::ops::reduce::ReduceDescriptor;
use crate::session::Arena;
use crate::train::trainer::{Loss, TrainerDescriptor};
use crate::types::{Activation, ElementType, Error, Layout, Result};
use ndarray::arr0;
use std::collections::HashSet;

/// What the name of a parameter's gradient begins with.
pub(super) const GRADIENT: &str = "grad.";

/// What the name of a batch's statistic begins with.
pub(super) const BATCH: &str = "batch.";

/// The parameters that follow their gradient: the output depends on them, and they are no running statistics.
pub(super) fn learned(model: &Graph) -> Vec<String> {
    let statistics = model.running_statistics();
    let mut reached: HashSet<ValueId> = model.outputs().map(|(_, value)| value).collect();
    for node in model.nodes().iter().rev() {
        if node.outputs().iter().any(|output| reached.contains(output)) {
            reached.extend(node.inputs());
        }
    }
    model.parameters().filter(|(name, value)| reached.contains(value) && !statistics.contains(name)).map(|(name, _)| name.to_string()).collect()
}

/// The parameters that weight decay leaves out where it leaves out vectors: these, and whatever norms and prelu multiply by or add.
pub(super) fn vectors(model: &Graph) -> HashSet<ValueId> {
    let mut vectors: HashSet<ValueId> = model.parameters().map(|(_, value)| value).filter(|value| model.rank(*value) < 2).collect();
    for node in model.nodes() {
        let is_scaled = match node.recipe() {
            Recipe::BatchNorm { .. } | Recipe::LayerNorm { .. } | Recipe::GroupNorm { .. } | Recipe::InstanceNorm { .. } => true,
            Recipe::Binary(descriptor) => descriptor.op == BinaryOp::Prelu,
            _ => false,
        };
        if is_scaled {
            vectors.extend(&node.inputs()[1..]);
        }
    }
    vectors
}

/// The network, closed at the batch, with the outputs `loss`, a gradient for each of `learned`, and what the batch had for each running statistic;
/// targets have these extents behind the batch. Where it drops elements it has a third input ([`key`]).
pub(super) fn step(model: &Graph, learned: &[String], loss: Loss, descriptor: &TrainerDescriptor, target: &[usize]) -> Result<Graph> {
    let closed = model.closed(descriptor.batch)?;
    let closed = if descriptor.mixed_precision { closed.in_half()? } else { closed };
    let Learning { mut graph, statistics, .. } = closed.learning()?;
    let Some((_, output)) = graph.outputs().next() else { return Err(Error::invalid("model", "without output", "it has one")) };
    let extents: Vec<Extent> = std::iter::once(descriptor.batch).chain(target.iter().copied()).map(Into::into).collect();
    let target = graph.input_as("target", &extents, ElementType::F32, Layout::ChannelsFirst)?;
    let loss = loss.of(&mut graph, output, target)?;
    for (name, value) in statistics {
        graph.output(&format!("{BATCH}{name}"), value)?;
    }
    let parameters = learned.iter().map(|name| graph.parameter_called(name)).collect::<Result<Vec<_>>>()?;
    let graph = graph.differentiate(loss, &parameters)?;
    Ok(graph.with_outputs(|name| name == "loss" || name.starts_with(GRADIENT) || name.starts_with(BATCH)))
}

/// The input of a step that is neither samples nor targets: what dropouts take their mask from.
pub(super) fn key(step: &Graph) -> Option<&str> {
    step.inputs().map(|(name, _)| name).find(|name| !["input", "target"].contains(name))
}

/// The same, improved; folding would change what is learned, all others keep parameters as they are.
pub(super) fn improved(step: &Graph) -> Result<Graph> {
    Ok(step.after(&[Pass::RemoveIdentities, Pass::FuseActivation, Pass::Order])?.0)
}

/// The same with at most this many bytes between its ops in a session on this GPU, or on the CPU engine: cheap values are computed again where it needs more.
pub(super) fn within(step: &Graph, limit: u64, gpu: Option<&Gpu>) -> Result<Graph> {
    /// A placement may take more than what is live; then less is to be live, in so many tries. The last is with as little as there can be.
    const TRIES: usize = 6;
    let (mut target, mut least) = (limit, u64::MAX);
    for left in (0..TRIES).rev() {
        let graph = step.recomputed(0, target)?.0;
        let needed = Arena::on(gpu, &graph)?.total();
        if needed <= limit {
            return Ok(graph);
        }
        least = least.min(needed);
        if target == 0 {
            break;
        }
        target = if left == 1 { 0 } else { target.saturating_sub(needed - limit) };
    }
    let argument = "a run with cheap values computed again".into();
    Err(Error::TooLarge { argument, needed: least.into(), unit: "bytes between ops", limit_name: "memory_limit", limit })
}

/// What makes of the sums of gradients over the parts of a step what the optimizer gets: their mean, clipped by value, then by norm. Inputs `g0`, `g1`, ... of
/// these lengths, outputs `h0`, `h1`, .... None where there is nothing to do.
pub(super) fn finishing(lengths: &[usize], descriptor: &TrainerDescriptor) -> Result<Option<Graph>> {
    let &TrainerDescriptor { accumulate, clip_norm, clip_value, .. } = descriptor;
    if lengths.is_empty() || (accumulate == 1 && clip_norm.is_none() && clip_value.is_none()) {
        return Ok(None);
    }
    let mut graph = Graph::new();
    let inputs = lengths.iter().enumerate().map(|(i, &length)| graph.input(&format!("g{i}"), [length.into()]));
    let mut values = inputs.collect::<Result<Vec<_>>>()?;
    if accumulate > 1 {
        let part = graph.constant("part", arr0((1.0 / accumulate as f64) as f32).view())?;
        values = values.into_iter().map(|value| graph.mul(value, part)).collect::<Result<_>>()?;
    }
    if let Some(most) = clip_value {
        values = values.into_iter().map(|value| graph.activation(value, Activation::Clip { min: -most, max: most })).collect::<Result<_>>()?;
    }
    if let Some(most) = clip_norm {
        values = graph.clip_norm(&values, most)?.0;
    }
    values.into_iter().enumerate().try_for_each(|(i, value)| graph.output(&format!("h{i}"), value))?;
    Ok(Some(graph.optimized()?))
}

/// The sum of inputs `g0`, `g1`, ... of these lengths, `sum`: finite only where all of them are. None where there are none.
pub(super) fn sum_of_all(lengths: &[usize]) -> Result<Option<Graph>> {
    let (mut graph, mut total) = (Graph::new(), None);
    for (i, &length) in lengths.iter().enumerate() {
        let values = graph.input(&format!("g{i}"), [length.into()])?;
        let sum = graph.reduce(values, &ReduceDescriptor::sum(&[0]))?;
        total = Some(match total {
            Some(total) => graph.add(total, sum)?,
            None => sum,
        });
    }
    let Some(total) = total else { return Ok(None) };
    graph.output("sum", total)?;
    Ok(Some(graph))
}

/// The outputs that may not lie in one buffer with others of these: an op reads one and writes another, or writes two, or two of them are one value.
pub(super) fn apart(graph: &Graph, outputs: &[ValueId]) -> Result<Vec<bool>> {
    let at = graph.at(0)?;
    let roots: Vec<ValueId> = outputs.iter().map(|&output| graph.root(&at, output)).collect();
    let is_op = |value: &ValueId| matches!(graph.values()[value.index()].source(), Source::Node { .. });
    let mut apart: HashSet<ValueId> = roots.iter().enumerate().filter(|(i, root)| roots[..*i].contains(root)).map(|(_, &root)| root).collect();
    let wanted: HashSet<ValueId> = roots.iter().copied().filter(is_op).collect();
    for node in graph.nodes() {
        let written: Vec<ValueId> = node.outputs().iter().copied().filter(|value| wanted.contains(value)).collect();
        apart.extend(written.iter().skip(1));
        if !written.is_empty() {
            apart.extend(node.inputs().iter().map(|&input| graph.root(&at, input)).filter(|root| wanted.contains(root)));
        }
    }
    Ok(roots.iter().map(|root| apart.contains(root)).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use ndarray::array;

    /// `a` is read by what gives `b`; `c` and its view `d` are one value; `e` is alone.
    #[test]
    fn outputs_that_ops_read_and_write_at_once_lie_apart() {
        let mut graph = Graph::new();
        let x = graph.parameter("x", array![1f32, 2.0].view()).unwrap();
        let a = graph.relu(x).unwrap();
        let b = graph.add(a, x).unwrap();
        let c = graph.mul(x, x).unwrap();
        let d = graph.reshape(c, &[1, 2]).unwrap();
        let e = graph.sub(x, x).unwrap();
        assert_eq!(apart(&graph, &[a, b, c, d, e]).unwrap(), [true, false, true, true, false]);
        assert_eq!(apart(&graph, &[b, c, e]).unwrap(), [false; 3]);
    }
}
