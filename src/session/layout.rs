//! Which layout between its ops a network is fastest in, on the device at hand: measured, since it follows from the device, its driver and the shapes.
//!
//! Each op is timed in both layouts, and each conversion; a cut then gives every op its layout, so that runs of ops change where that wins more than the
//! conversions at their borders cost. The whole network is timed so, in either layout alone and as it was given, and the fastest is taken.

use crate::gpu::Gpu;
use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::graph::{At, Graph, Recipe, Resolved, Source, ValueId, has_one_order};
use crate::ops::spec::TensorSpec;
use crate::ops::transform::transpose::ToLayout;
use crate::ops::{Op, Problem};
use crate::session::Session;
use crate::session::cut::{Group, cheapest};
use crate::types::{Layout, Result, TensorType};
use std::collections::HashMap;

/// Where which layout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// As the network was given.
    AsGiven,
    /// One layout, by [`Graph::in_layout`].
    All(Layout),
    /// By op, from the time of each in either layout, by [`Graph::in_layouts`].
    ByOp,
}

/// A network in the arrangement that it is fastest in.
#[derive(Debug, Clone)]
pub struct InLayout {
    /// The network; its inputs and outputs are declared as before.
    pub graph: Graph,
    /// Where which layout is between its ops.
    pub arrangement: Arrangement,
    /// Median seconds of a run in each arrangement that was timed: those that are not as given only where they change something.
    pub seconds: Vec<(Arrangement, f64)>,
}

/// Rounds over all candidates, so that what slows the machine down for a while slows all of them.
const ROUNDS: usize = 3;
/// Runs of a candidate in a round.
const RUNS: usize = 5;

/// Times `graph` as it is, in [both layouts](Graph::in_layout) and [op by op](Graph::in_layouts), for one open extent, over inputs of zeros: after the passes,
/// and once for a device.
///
/// # Errors
/// As [`Session::bind`]; loss of the device.
pub fn fastest_layout(gpu: &Gpu, graph: &Graph, open: usize) -> Result<InLayout> {
    let at = graph.at(open)?;
    let mut candidates = vec![(Arrangement::AsGiven, graph.clone())];
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        if let (other, Some(_)) = graph.in_layout(layout)? {
            candidates.push((Arrangement::All(layout), other));
        }
    }
    if let Some(layouts) = by_op(gpu, graph, &at)? {
        candidates.push((Arrangement::ByOp, graph.in_layouts(&layouts)?));
    }
    let tensor = |(name, value): (&str, ValueId)| -> Result<(String, Tensor)> { Ok((name.to_string(), zeros(gpu, &at.types[value.index()])?)) };
    let inputs = graph.inputs().map(tensor).collect::<Result<Vec<_>>>()?;
    let outputs = graph.outputs().map(tensor).collect::<Result<Vec<_>>>()?;
    let bind = |(_, graph): &(Arrangement, Graph)| Session::gpu(gpu, graph)?.bind(&named(&inputs), &named(&outputs));
    let bound = candidates.iter().map(bind).collect::<Result<Vec<_>>>()?;
    let mut records: Vec<_> = bound.iter().map(|bound| move |recorder: &mut Recorder<'_>| bound.record(recorder)).collect();
    let times = medians(gpu, &mut records)?;
    let seconds: Vec<_> = candidates.iter().zip(&times).map(|((arrangement, _), time)| (*arrangement, *time)).collect();
    let fastest = candidates.into_iter().zip(&times).min_by(|(_, a), (_, b)| a.total_cmp(b));
    let (arrangement, graph) = fastest.map_or_else(|| (Arrangement::AsGiven, graph.clone()), |(candidate, _)| candidate);
    Ok(InLayout { graph, arrangement, seconds })
}

/// Median seconds of each, all of them in turn.
fn medians(gpu: &Gpu, records: &mut [impl FnMut(&mut Recorder<'_>) -> Result<()>]) -> Result<Vec<f64>> {
    let mut samples = vec![vec![]; records.len()];
    for _ in 0..ROUNDS {
        for (record, samples) in records.iter_mut().zip(&mut samples) {
            samples.extend(gpu.time(RUNS, record)?.seconds);
        }
    }
    let median = |mut samples: Vec<f64>| {
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied().unwrap_or(f64::INFINITY)
    };
    Ok(samples.into_iter().map(median).collect())
}

/// The layout of each node that makes ops and conversions take the least time; none where every op keeps its own.
fn by_op(gpu: &Gpu, graph: &Graph, at: &At) -> Result<Option<Vec<Layout>>> {
    /// Items that stand for what has a layout once and for all.
    const FIXED: [[f64; 2]; 2] = [[0.0, f64::INFINITY], [f64::INFINITY, 0.0]];
    let fixed = |value: ValueId| usize::from(at.types[value.index()].layout == Layout::ChannelsLast);
    let mut times = Times { gpu, known: HashMap::new() };
    let mut costs = FIXED.to_vec();
    // By value: where it comes from, behind conversions, and the items that give and read it.
    let mut origins: Vec<ValueId> = (0..graph.values().len()).map(|index| graph.value(index)).collect();
    let mut members: Vec<Vec<usize>> = graph.values().iter().map(|_| vec![]).collect();
    for value in origins.iter().filter(|value| !matches!(graph.values()[value.index()].source(), Source::Node { .. })) {
        members[value.index()].push(fixed(*value));
    }
    let mut items = vec![None; graph.nodes().len()];
    for (index, node) in graph.nodes().iter().enumerate() {
        if let (Recipe::ToLayout(_), [from], [to]) = (node.recipe(), node.inputs(), node.outputs()) {
            origins[to.index()] = origins[from.index()];
            continue;
        }
        let forms = [Layout::ChannelsFirst, Layout::ChannelsLast].map(|layout| graph.in_other_layout(at, index, layout));
        let data = match forms {
            [Some((Resolved::Op(first), data)), Some((Resolved::Op(last), _))] => {
                items[index] = Some(costs.len());
                costs.push(times.of([*first, *last])?);
                data
            }
            _ => vec![],
        };
        for (i, input) in node.inputs().iter().enumerate() {
            members[origins[input.index()].index()].push(items[index].filter(|_| data.contains(&i)).unwrap_or(fixed(*input)));
        }
        for output in node.outputs() {
            members[output.index()].push(items[index].unwrap_or(fixed(*output)));
        }
    }
    for (_, output) in graph.outputs() {
        members[origins[output.index()].index()].push(fixed(output));
    }
    let mut groups = vec![];
    for (own, members) in at.types.iter().zip(members) {
        let differ = members.iter().any(|member| *member != members[0]);
        if differ && own.rank() >= 3 && !has_one_order(own) {
            groups.push(Group { cost: times.of_conversion(own)?, members });
        }
    }
    let labels = cheapest(&costs, &groups);
    let own = |index: usize| graph.nodes()[index].outputs().first().map_or(Layout::ChannelsFirst, |output| at.types[output.index()].layout);
    let layout = |(index, item): (usize, &Option<usize>)| match item.map(|item| labels[item]) {
        Some(true) => Layout::ChannelsLast,
        Some(false) => Layout::ChannelsFirst,
        None => own(index),
    };
    let layouts: Vec<Layout> = items.iter().enumerate().map(layout).collect();
    let changes = layouts.iter().enumerate().any(|(index, layout)| items[index].is_some() && *layout != own(index));
    Ok(changes.then_some(layouts))
}

/// Seconds of ops, each measured once.
struct Times<'a> {
    gpu: &'a Gpu,
    known: HashMap<Op, f64>,
}

impl Times<'_> {
    /// Of ops that are compared with each other: in turn.
    fn of<const N: usize>(&mut self, ops: [Op; N]) -> Result<[f64; N]> {
        if !ops.iter().all(|op| self.known.contains_key(op)) {
            let bound = ops.iter().map(|op| bound_to_zeros(self.gpu, op)).collect::<Result<Vec<_>>>()?;
            let mut records: Vec<_> = bound.iter().map(|bound| move |recorder: &mut Recorder<'_>| bound.record(recorder)).collect();
            let seconds = medians(self.gpu, &mut records)?;
            self.known.extend(ops.iter().cloned().zip(seconds));
        }
        Ok(ops.map(|op| self.known.get(&op).copied().unwrap_or(f64::INFINITY)))
    }

    /// Of a conversion to the other layout.
    fn of_conversion(&mut self, own: &TensorType) -> Result<f64> {
        let other = if own.layout == Layout::ChannelsFirst { Layout::ChannelsLast } else { Layout::ChannelsFirst };
        let [seconds] = self.of([ToLayout::new(own, other)?.into()])?;
        Ok(seconds)
    }
}

fn bound_to_zeros(gpu: &Gpu, op: &Op) -> Result<crate::gpu::prepared::Bound> {
    let specs = op.inputs();
    let tensors =
        |wanted: fn(&TensorSpec) -> bool| specs.iter().filter(|spec| wanted(spec)).map(|spec| zeros(gpu, &spec.tensor)).collect::<Result<Vec<_>>>();
    let (constants, given) = (tensors(|spec| spec.constant)?, tensors(|spec| !spec.constant)?);
    let prepared = Prepared::new(gpu, op.clone(), &constants.iter().collect::<Vec<_>>())?;
    let outputs = prepared.outputs()?;
    prepared.bind(&given.iter().collect::<Vec<_>>(), &outputs.iter().collect::<Vec<_>>())
}

fn zeros(gpu: &Gpu, of: &TensorType) -> Result<Tensor> {
    gpu.zeros(&of.extents, of.element, of.layout)
}

fn named(tensors: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}
