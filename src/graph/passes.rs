//! Passes: functions from graph to graph that keep what a network computes, with a list of what each did.
//!
//! A change is made only where the changed node gives the same types at the extents that a graph is checked for; else it is left as it was. Folding a
//! batch norm, splitting or trimming a filter and finding an activation or a norm round otherwise; every other change gives the same sums. Those of epilogues
//! stand in `epilogues`.

use super::{Folded, Graph, Node, Numbers, PROBES, Ranked, Recipe, Source, Value, ValueId, order};
use crate::ops::conv::problem::Direction;
use crate::ops::norm::batch::{BatchNormValues, fold_batch_norm};
use crate::types::{Activation, ElementType, Layout, Result, TensorType};
use half::f16;
use ndarray::{Array1, ArrayD, Ix1};
use std::borrow::Cow;
use std::sync::Arc;

/// A function from graph to graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pass {
    /// Identities, dropout and views of the same shape go.
    RemoveIdentities,
    /// A transpose of a transpose is one, or none.
    CancelTransposes,
    /// Several ops that compute an activation of one value, such as x sigmoid(x), are that activation.
    FindActivation,
    /// Several ops that compute a layer norm, (x - mean) / sqrt(variance + epsilon), are that, with the scale and the bias behind it.
    FindNorm,
    /// Taps of a filter that read padding alone, in any window, go ([`ConvProblem::reading_taps`](crate::conv::ConvProblem::reading_taps)).
    TrimFilter,
    /// A convolution whose filter is a column times a row exactly becomes two of one axis each, where that is less work
    /// ([`ConvProblem::separated`](crate::conv::ConvProblem::separated)).
    SplitSeparable,
    /// A batch norm behind a convolution goes into its filter and bias.
    FoldBatchNorm,
    /// A sum with one number for each channel goes into the convolution or dense layer before it, as its bias.
    FuseBias,
    /// A sum with a tensor of the same shape goes into the convolution or dense layer before it.
    FuseResidual,
    /// An activation behind a concatenation goes before it, where every op there has an epilogue for it.
    PushActivation,
    /// An activation goes into the op before it.
    FuseActivation,
    /// A max or average pool of 2 goes into the convolution before it.
    FusePool,
    /// Ops run in the order in which the fewest bytes are live at once, where that is fewer than before.
    Order,
    /// Ops read and give this layout ([`Graph::in_layout`]). Not among [`Pass::ALL`]: whether it is faster is for the device to say.
    Layout(Layout),
    /// Cheap values are computed again where they are read late, until at most `limit` bytes are live at once with `open` in the place of the open extents
    /// ([`Graph::recomputed`]). Not among [`Pass::ALL`]: it costs work.
    Recompute {
        /// The open extent; any number where there is none.
        open: usize,
        /// Bytes between ops.
        limit: u64,
    },
}

impl Pass {
    /// The passes that no device is the slower for, in the order in which they help each other.
    pub const ALL: [Pass; 13] = [
        Pass::RemoveIdentities,
        Pass::CancelTransposes,
        Pass::FindActivation,
        Pass::FindNorm,
        Pass::TrimFilter,
        Pass::SplitSeparable,
        Pass::FuseBias,
        Pass::FoldBatchNorm,
        Pass::FuseResidual,
        Pass::PushActivation,
        Pass::FuseActivation,
        Pass::FusePool,
        Pass::Order,
    ];

    /// What it does, in a few words.
    pub fn name(self) -> &'static str {
        match self {
            Pass::RemoveIdentities => "remove identities",
            Pass::CancelTransposes => "cancel transposes",
            Pass::FindActivation => "find activation",
            Pass::FindNorm => "find norm",
            Pass::TrimFilter => "trim filter",
            Pass::SplitSeparable => "split separable",
            Pass::FoldBatchNorm => "fold batch norm",
            Pass::FuseBias => "fuse bias",
            Pass::FuseResidual => "fuse residual",
            Pass::PushActivation => "push activation",
            Pass::FuseActivation => "fuse activation",
            Pass::FusePool => "fuse pool",
            Pass::Order => "order",
            Pass::Layout(_) => "layout",
            Pass::Recompute { .. } => "recompute",
        }
    }
}

/// One thing that a pass did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The pass.
    pub pass: Pass,
    /// What it did, by the names of nodes.
    pub what: String,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.pass.name(), self.what)
    }
}

impl Graph {
    /// The graph after [`Pass::ALL`], in the order in which they help each other.
    ///
    /// Load, then optimize; save by the graph from before. [`Pass::SplitSeparable`] makes of the filter of a convolution called `blur` the parameters
    /// `blur.first_weight` and `blur.second_weight`, [`Pass::TrimFilter`] of that of one called `atrous` `atrous.trimmed_weight`, and
    /// [`Pass::FoldBatchNorm`] of a convolution called `stem` and the batch norm behind it `stem.folded_weight` and `stem.folded_bias`; the names of what it folded are gone from the new graph. A batch norm whose numbers, or
    /// whose convolution's numbers, are not set yet is left as it is, and the list of changes does not have it.
    ///
    /// # Errors
    /// None that a graph made by its own methods has.
    pub fn optimized(&self) -> Result<Graph> {
        self.optimized_with_changes().map(|(graph, _)| graph)
    }

    /// As [`Graph::optimized`], with what was done.
    ///
    /// # Errors
    /// As [`Graph::optimized`].
    pub fn optimized_with_changes(&self) -> Result<(Graph, Vec<Change>)> {
        self.after(&Pass::ALL)
    }

    /// The graph after these passes, in this order, with what was done.
    ///
    /// # Errors
    /// As [`Graph::optimized`].
    pub fn after(&self, passes: &[Pass]) -> Result<(Graph, Vec<Change>)> {
        let mut work = Work::of(self.clone(), vec![]);
        for pass in passes {
            match pass {
                Pass::RemoveIdentities => work.remove_identities(),
                Pass::CancelTransposes => work.cancel_transposes(),
                Pass::FindActivation => work.find_activations(),
                Pass::FindNorm => work.find_norms(),
                Pass::TrimFilter => work.trim_filters()?,
                Pass::SplitSeparable => work = work.replaced(Graph::separated)?,
                Pass::FoldBatchNorm => work.fold_batch_norms()?,
                Pass::FuseBias => work.fuse_biases()?,
                Pass::FuseResidual => work.fuse_residuals(),
                Pass::PushActivation => work.push_activations(),
                Pass::FuseActivation => work.fuse_activations(),
                Pass::FusePool => work.fuse_pools(),
                Pass::Order => work.order(),
                Pass::Layout(layout) => work = work.replaced(|graph| graph.in_layout(*layout))?,
                Pass::Recompute { open, limit } => work = work.replaced(|graph| graph.recomputed(*open, *limit))?,
            }
        }
        Ok((work.compact(), work.changes))
    }
}

/// The graph without the values that nothing reads; inputs stay.
pub(super) fn compacted(graph: Graph) -> Graph {
    Work::of(graph, vec![]).compact()
}

/// A graph that passes change: nodes that are gone keep their position until the end.
pub(super) struct Work {
    pub(super) graph: Graph,
    pub(super) gone: Vec<bool>,
    changes: Vec<Change>,
}

impl Work {
    fn of(graph: Graph, changes: Vec<Change>) -> Self {
        Self { gone: vec![false; graph.nodes.len()], graph, changes }
    }

    /// By a pass that makes another graph.
    fn replaced<C: IntoIterator<Item = Change>>(self, pass: impl FnOnce(Graph) -> Result<(Graph, C)>) -> Result<Self> {
        let (graph, changes) = pass(self.compact())?;
        Ok(Self::of(graph, self.changes.into_iter().chain(changes).collect()))
    }

    pub(super) fn note(&mut self, pass: Pass, what: String) {
        self.changes.push(Change { pass, what });
    }

    pub(super) fn node(&self, i: usize) -> &Node {
        &self.graph.nodes[i]
    }

    pub(super) fn live(&self) -> Vec<usize> {
        (0..self.graph.nodes.len()).filter(|&i| !self.gone[i]).collect()
    }

    /// The node that gives a value as its only output.
    pub(super) fn producer(&self, value: ValueId) -> Option<usize> {
        match self.graph.values[value.0].source {
            Source::Node { node, output: 0 } if self.node(node).outputs.len() == 1 => Some(node),
            _ => None,
        }
    }

    pub(super) fn is_output(&self, value: ValueId) -> bool {
        self.graph.outputs.iter().any(|(_, output)| *output == value)
    }

    /// Whether one node reads a value, once, and it is no output.
    pub(super) fn is_read_once(&self, value: ValueId) -> bool {
        let reads = self.live().into_iter().flat_map(|i| &self.graph.nodes[i].inputs).filter(|input| **input == value).count();
        reads == 1 && !self.is_output(value)
    }

    /// Whoever reads `from` reads `to`.
    pub(super) fn replace(&mut self, from: ValueId, to: ValueId) {
        let inputs = self.graph.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut());
        let outputs = self.graph.outputs.iter_mut().map(|(_, value)| value);
        inputs.chain(outputs).filter(|value| **value == from).for_each(|value| *value = to);
    }

    /// Puts a node of this recipe at position `at`, giving what the node there gave, where it gives the same types; `gone` nodes leave.
    pub(super) fn put(&mut self, at: usize, name: String, recipe: Recipe, inputs: Vec<ValueId>, gone: &[usize]) -> bool {
        let outputs = self.node(at).outputs.clone();
        let same = (0..PROBES.len()).all(|probe| {
            let types: Vec<&TensorType> = inputs.iter().map(|input| &self.graph.types[input.0][probe]).collect();
            let wanted = outputs.iter().map(|output| self.graph.types[output.0][probe].clone());
            recipe.resolve(&types).is_ok_and(|resolved| resolved.outputs().into_iter().eq(wanted))
        });
        if same {
            self.graph.nodes[at] = Node { name, recipe, inputs, outputs };
            gone.iter().filter(|&&i| i != at).for_each(|&i| self.gone[i] = true);
        }
        same
    }

    /// Identities, dropout, and views of the same shape.
    fn remove_identities(&mut self) {
        for i in self.live() {
            let node = self.node(i);
            let (name, x, y) = (node.name.clone(), node.inputs.first().copied(), node.outputs.first().copied());
            let (Some(x), Some(y)) = (x, y) else { continue };
            let is_same = self.graph.types[x.0] == self.graph.types[y.0];
            if matches!(node.recipe, Recipe::Identity | Recipe::Dropout { .. })
                || (is_same && matches!(node.recipe, Recipe::Reshape { .. } | Recipe::Flatten { .. } | Recipe::ToLayout(_)))
            {
                self.replace(y, x);
                self.gone[i] = true;
                self.note(Pass::RemoveIdentities, format!("{name} changes nothing"));
            }
        }
    }

    /// A transpose of a transpose is one, or none.
    fn cancel_transposes(&mut self) {
        for i in self.live() {
            let Recipe::Transpose { perm: second } = self.node(i).recipe.clone() else { continue };
            let (x, y) = (self.node(i).inputs[0], self.node(i).outputs[0]);
            let Some(before) = self.producer(x).filter(|&p| !self.gone[p] && self.is_read_once(x)) else { continue };
            let Recipe::Transpose { perm: first } = self.node(before).recipe.clone() else { continue };
            let (from, names) = (self.node(before).inputs[0], format!("{} and {}", self.node(before).name, self.node(i).name));
            let joint: Vec<usize> = second.iter().filter_map(|&axis| first.get(axis).copied()).collect();
            if joint.iter().copied().eq(0..joint.len()) && self.graph.types[from.0] == self.graph.types[y.0] {
                self.replace(y, from);
                (self.gone[before], self.gone[i]) = (true, true);
                self.note(Pass::CancelTransposes, format!("{names} undo each other"));
            } else if self.put(i, self.node(i).name.clone(), Recipe::Transpose { perm: joint }, vec![from], &[before]) {
                self.note(Pass::CancelTransposes, format!("{names} are one"));
            }
        }
    }

    /// Numbers of a parameter or constant, as f32.
    fn numbers(&self, value: ValueId) -> Option<Cow<'_, ArrayD<f32>>> {
        Some(match self.graph.numbers(value)? {
            Numbers::F32(array) => Cow::Borrowed(array),
            Numbers::F16(array) => Cow::Owned(array.mapv(f16::to_f32)),
        })
    }

    fn vector(&self, value: ValueId) -> Option<Array1<f32>> {
        self.numbers(value)?.into_owned().into_dimensionality::<Ix1>().ok()
    }

    /// A batch norm behind a convolution goes into its filter and bias.
    fn fold_batch_norms(&mut self) -> Result<()> {
        for i in self.live() {
            let Recipe::BatchNorm { descriptor, has } = self.node(i).recipe.clone() else { continue };
            let x = self.node(i).inputs[0];
            let Some(p) = self.producer(x).filter(|_| self.is_read_once(x)) else { continue };
            let Recipe::Conv { descriptor: mut conv, bias, residual: false } = self.node(p).recipe.clone() else { continue };
            let (plain, groups) = match &conv {
                Ranked::One(d) => (d.activation == Activation::None && d.pool.is_none(), d.groups),
                Ranked::Two(d) => (d.activation == Activation::None && d.pool.is_none(), d.groups),
                Ranked::Three(d) => (d.activation == Activation::None && d.pool.is_none(), d.groups),
            };
            if !plain {
                continue;
            }
            let vectors = self.node(i).inputs[1..].to_vec();
            let [scale_there, bias_there] = has.map(usize::from);
            let (Some(mean), Some(variance)) = (self.vector(vectors[scale_there + bias_there]), self.vector(vectors[scale_there + bias_there + 1]))
            else {
                continue;
            };
            let or =
                |there: bool, at: usize, default: f32| if there { self.vector(vectors[at]) } else { Some(Array1::from_elem(mean.len(), default)) };
            let (Some(scale), Some(shift)) = (or(has[0], 0, 1.0), or(has[1], scale_there, 0.0)) else { continue };
            let inputs = self.node(p).inputs.clone();
            let Some(filter) = self.numbers(inputs[1]).map(Cow::into_owned) else { continue };
            let own_bias = if bias { self.vector(inputs[2]) } else { None };
            if bias && own_bias.is_none() {
                continue;
            }
            let norm = BatchNormValues {
                scale: scale.view(),
                bias: shift.view(),
                mean: mean.view(),
                variance: variance.view(),
                epsilon: descriptor.epsilon,
            };
            let (filter, shifted) = fold_batch_norm(Direction::Forward, groups, filter.view(), own_bias.as_ref().map(|b| b.view()), &norm)?;
            match &mut conv {
                Ranked::One(d) => d.activation = descriptor.activation,
                Ranked::Two(d) => d.activation = descriptor.activation,
                Ranked::Three(d) => d.activation = descriptor.activation,
            }
            let (name, norm_name) = (self.node(p).name.clone(), self.node(i).name.clone());
            let stored = |array: ArrayD<f32>| match self.graph.types[inputs[1].0][0].element {
                ElementType::F16 => Numbers::F16(array.mapv(f16::from_f32)),
                _ => Numbers::F32(array),
            };
            let (filter, shifted) = (stored(filter), stored(shifted.into_dyn()));
            let filter = self.add_parameter(&format!("{name}.folded_weight"), filter)?;
            let shifted = self.add_parameter(&format!("{name}.folded_bias"), shifted)?;
            let recipe = Recipe::Conv { descriptor: conv, bias: true, residual: false };
            let made: Vec<String> = [filter, shifted].iter().map(|value| self.graph.values[value.0].name.clone()).collect();
            if self.put(i, name.clone(), recipe, vec![inputs[0], filter, shifted], &[p]) {
                let folded = inputs[1..].iter().chain(&vectors).map(|value| &self.graph.values[value.0]);
                let folded = folded.filter(|value| matches!(value.source, Source::Parameter(_)));
                let folded = folded.map(|value| Folded { name: value.name.clone(), pass: "FoldBatchNorm", into: made.clone() }).collect::<Vec<_>>();
                self.graph.folded.extend(folded);
                self.note(Pass::FoldBatchNorm, format!("{norm_name} into {name}"));
            }
        }
        Ok(())
    }

    pub(super) fn add_parameter(&mut self, stem: &str, numbers: Numbers) -> Result<ValueId> {
        let (name, declared) = (self.graph.unused(stem), numbers.tensor_type());
        self.graph.declare(&name, Source::Parameter(Some(Arc::new(numbers))), declared)
    }

    /// Another order of the nodes that are left: see `order`.
    fn order(&mut self) {
        let graph = self.compact();
        let Some((order, before, after)) = order::of_fewest_bytes(&graph) else { return };
        self.graph = graph.in_order(&order);
        self.gone = vec![false; order.len()];
        let share = 100.0 * after as f64 / before as f64;
        self.note(Pass::Order, format!("{share:.0} % of the bytes that were live at once"));
    }

    /// The graph without the nodes that are gone and the values that nothing reads any more; inputs stay.
    fn compact(&self) -> Graph {
        let nodes: Vec<usize> = self.live();
        let mut kept = vec![false; self.graph.values.len()];
        for &i in &nodes {
            let node = self.node(i);
            node.inputs.iter().chain(&node.outputs).for_each(|value| kept[value.0] = true);
        }
        self.graph.outputs.iter().for_each(|(_, value)| kept[value.0] = true);
        let mut graph = Graph { folded: self.graph.folded.clone(), ..Graph::default() };
        let mut position = vec![ValueId(0); kept.len()];
        for (i, value) in self.graph.values.iter().enumerate() {
            if kept[i] || value.source == Source::Input {
                position[i] = ValueId(graph.values.len());
                graph.values.push(value.clone());
                graph.types.push(self.graph.types[i].clone());
            }
        }
        let moved = |values: &[ValueId]| -> Vec<ValueId> { values.iter().map(|value| position[value.0]).collect() };
        for (at, &i) in nodes.iter().enumerate() {
            let node = self.node(i);
            for (output, value) in node.outputs.iter().enumerate() {
                graph.values[position[value.0].0].source = Source::Node { node: at, output };
            }
            graph.nodes.push(Node { inputs: moved(&node.inputs), outputs: moved(&node.outputs), ..node.clone() });
        }
        graph.outputs = self.graph.outputs.iter().map(|(name, value)| (name.clone(), position[value.0])).collect();
        graph.named = graph.values.iter().enumerate().map(|(i, Value { name, .. })| (name.clone(), ValueId(i))).collect();
        graph
    }
}
