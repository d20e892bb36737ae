//! Networks as data: named inputs, parameters and constants, and nodes between them. Shapes are inferred and checked as a graph is built; nothing is
//! computed here. A leading extent may stay open until the network runs.
//!
//! ```
//! use wgconv::{Extent, Graph, conv::Conv2dDescriptor};
//! # fn main() -> wgconv::Result<()> {
//! let mut graph = Graph::new();
//! let x = graph.input("image", [Extent::Open, 3.into(), 32.into(), 32.into()])?;
//! let w = graph.parameter("filter", ndarray::Array4::<f32>::ones((6, 3, 5, 5)).view())?;
//! let y = graph.conv2d(x, w, None, &Conv2dDescriptor::default())?;
//! let y = graph.relu(y)?;
//! graph.output("features", y)?;
//! assert_eq!(graph.shape(y), "N x 6 x 28 x 28");
//! # Ok(())
//! # }
//! ```
//!
//! [`Recipe`] is what a node does, [`Graph::at`] resolves all nodes for one open extent, and a session runs what that gives.

mod build;
mod composed;
mod differentiate;
mod epilogues;
mod images;
mod layouts;
mod losses;
mod mixed;
mod norms;
#[cfg(feature = "weights")]
mod npy;
mod order;
mod passes;
mod recipe;
mod recompute;
mod separate;
pub(crate) mod show;
mod training;
mod trim;
#[cfg(feature = "weights")]
mod weights;

pub use build::BatchNormParameters;
pub use losses::{BinaryWeights, CrossEntropyDescriptor, KlDescriptor, Reduction, Targets};
pub use passes::{Change, Pass};
pub(crate) use recipe::has_one_order;
pub use recipe::{Ranked, Recipe, Resolved};
pub use training::{BatchStatistics, BatchStatisticsDescriptor, Learning};
#[cfg(feature = "weights")]
pub use weights::Weights;

use crate::types::{Element, ElementType, Error, Layout, Result, TensorType};
use ndarray::{ArrayD, ArrayView, Dimension};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// An extent of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent {
    /// Known when the network runs; the same for every open extent of a graph, such as the batch size.
    Open,
    /// This one.
    Is(usize),
}

impl From<usize> for Extent {
    fn from(extent: usize) -> Self {
        Extent::Is(extent)
    }
}

/// A value of a graph: an input, a parameter, a constant, or what a node gives. It is a position, and it counts in the graph that made it and in clones of that
/// graph. Another graph takes it for its own value at that position, and refuses it only where it has fewer values. A pass makes another graph:
/// [`Graph::find`] gives a value of it by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(usize);

impl ValueId {
    /// Its position among the graph's values.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Numbers that a graph holds; clones of the graph share them.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// f32
    F32(ArrayD<f32>),
    /// f16
    F16(ArrayD<half::f16>),
}

impl Numbers {
    /// Extents and element type, channels-first.
    pub fn tensor_type(&self) -> TensorType {
        match self {
            Numbers::F32(array) => TensorType::f32(array.shape()),
            Numbers::F16(array) => TensorType::new(array.shape(), ElementType::F16, Layout::ChannelsFirst),
        }
    }

    /// The numbers in row-major order, as f32: those of f16 are converted.
    pub fn as_f32(&self) -> Cow<'_, [f32]> {
        match self {
            Numbers::F32(array) => array.as_slice().map_or_else(|| array.iter().copied().collect(), Cow::Borrowed),
            Numbers::F16(array) => array.iter().map(|v| v.to_f32()).collect(),
        }
    }

    fn copied<T: Element, D: Dimension>(array: ArrayView<'_, T, D>) -> Result<Self> {
        let extents = array.shape().to_vec();
        let shaped = |e: ndarray::ShapeError| Error::invalid("the array", format!("{extents:?}"), e.to_string());
        match T::TYPE {
            ElementType::F32 => {
                let values = array.iter().map(|v| v.to_f64() as f32).collect();
                Ok(Numbers::F32(ArrayD::from_shape_vec(extents.clone(), values).map_err(shaped)?))
            }
            ElementType::F16 => {
                let values = array.iter().map(|v| half::f16::from_f64(v.to_f64())).collect();
                Ok(Numbers::F16(ArrayD::from_shape_vec(extents.clone(), values).map_err(shaped)?))
            }
            ElementType::U32 => Err(Error::invalid("the array", "of u32", "parameters and constants are f32 or f16")),
        }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Given when the network runs.
    Input,
    /// Learned, or read from a file: its numbers, once they are known.
    Parameter(Option<Arc<Numbers>>),
    /// Part of the network.
    Constant(Arc<Numbers>),
    /// Output `output` of node `node`.
    Node {
        /// Position among the nodes.
        node: usize,
        /// Which of its outputs.
        output: usize,
    },
}

/// A value with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    name: String,
    source: Source,
    /// What inputs, parameters and constants are; open extents are [`OPEN`].
    declared: Option<TensorType>,
}

impl Value {
    /// Its name, unique in the graph.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

/// An op of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    name: String,
    recipe: Recipe,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

impl Node {
    /// Its name, unique in the graph.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What it reads.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// What it gives.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }
}

/// Stands for an open extent in a declared type: no tensor has so many elements.
const OPEN: usize = usize::MAX;

/// The open extents that a graph is checked for as it is built. Two of them, so that what depends on it shows; neither is 1, which broadcasts.
const PROBES: [usize; 2] = [2, 3];

/// A network. Nodes stand in the order in which they were made, which is an order in which they can run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    values: Vec<Value>,
    nodes: Vec<Node>,
    outputs: Vec<(String, ValueId)>,
    /// By value: its types at the probes.
    types: Vec<[TensorType; 2]>,
    named: HashMap<String, ValueId>,
    /// Parameters that a pass made others of.
    folded: Vec<Folded>,
}

/// A parameter that a pass made others of, by name.
#[derive(Debug, Clone, PartialEq)]
struct Folded {
    name: String,
    /// As a [`Pass`] is written.
    pass: &'static str,
    into: Vec<String>,
}

/// A graph whose open extent is known.
#[derive(Debug, Clone, PartialEq)]
pub struct At {
    /// By value.
    pub types: Vec<TensorType>,
    /// By node.
    pub nodes: Vec<Resolved>,
}

impl At {
    /// Bytes of a value's elements.
    pub(crate) fn bytes(&self, value: ValueId) -> u64 {
        let tensor = &self.types[value.0];
        tensor.extents.iter().map(|&e| e as u64).product::<u64>() * tensor.element.bytes() // checked when its op was made
    }
}

impl Graph {
    /// A graph without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its values, in the order in which they were made.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Its nodes, in an order in which they can run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Its outputs with their names.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, ValueId)> {
        self.outputs.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The same with those of its outputs alone whose names are wanted.
    #[must_use]
    pub fn with_outputs(mut self, is_wanted: impl Fn(&str) -> bool) -> Self {
        self.outputs.retain(|(name, _)| is_wanted(name));
        self
    }

    /// Its inputs with their names.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, ValueId)> {
        self.of_source(|source| matches!(source, Source::Input))
    }

    /// Its parameters with their names.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, ValueId)> {
        self.of_source(|source| matches!(source, Source::Parameter(_)))
    }

    fn of_source(&self, is: impl Fn(&Source) -> bool) -> impl Iterator<Item = (&str, ValueId)> {
        self.values.iter().enumerate().filter(move |(_, value)| is(&value.source)).map(|(i, value)| (value.name.as_str(), ValueId(i)))
    }

    /// The value called `name`.
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.named.get(name).copied()
    }

    /// Whether an input has an open extent.
    pub fn is_open(&self) -> bool {
        self.values.iter().filter_map(|value| value.declared.as_ref()).any(|declared| declared.extents.contains(&OPEN))
    }

    /// What a parameter or constant holds, where it is known.
    pub fn numbers(&self, value: ValueId) -> Option<&Numbers> {
        match self.values.get(value.0).map(|value| &value.source) {
            Some(Source::Parameter(Some(numbers)) | Source::Constant(numbers)) => Some(numbers),
            _ => None,
        }
    }

    /// Extents of a value; none where one of them follows from the open extent, or for a value past this graph's last ([`ValueId`]).
    pub fn extents(&self, value: ValueId) -> Option<Vec<usize>> {
        let [two, three] = self.types.get(value.0)?;
        (two.extents == three.extents).then(|| two.extents.clone())
    }

    /// An extent of a value; none where it follows from the open extent, or where there is no such axis.
    pub fn extent(&self, value: ValueId, axis: usize) -> Option<usize> {
        let [two, three] = self.types.get(value.0)?;
        let extent = *two.extents.get(axis)?;
        (three.extents.get(axis) == Some(&extent)).then_some(extent)
    }

    /// Elements of a parameter or constant; 0 of what is none.
    pub fn elements(&self, value: ValueId) -> u64 {
        match self.values.get(value.0).map(|value| &value.source) {
            Some(Source::Parameter(_) | Source::Constant(_)) => self.types[value.0][0].extents.iter().map(|&e| e as u64).product(),
            _ => 0,
        }
    }

    /// The value at this position of [`Graph::values`].
    pub fn value_at(&self, index: usize) -> Option<ValueId> {
        (index < self.values.len()).then_some(ValueId(index))
    }

    /// The value at this position.
    pub(crate) fn value(&self, index: usize) -> ValueId {
        ValueId(index)
    }

    /// The element type of a value; f32 for a value past this graph's last ([`ValueId`]).
    pub fn element(&self, value: ValueId) -> ElementType {
        self.types.get(value.0).map_or(ElementType::F32, |types| types[0].element)
    }

    /// Axes of a value; 0 for a value past this graph's last ([`ValueId`]).
    pub fn rank(&self, value: ValueId) -> usize {
        self.types.get(value.0).map_or(0, |types| types[0].rank())
    }

    /// The value whose elements a value shows: itself, or what a view is of.
    pub(crate) fn root(&self, at: &At, value: ValueId) -> ValueId {
        match self.values[value.0].source {
            Source::Node { node, .. } if matches!(at.nodes[node], Resolved::View(_)) => self.root(at, self.nodes[node].inputs[0]),
            _ => value,
        }
    }

    /// The extent of an axis of what is declared; none where it is open.
    pub(crate) fn declared(&self, value: ValueId, axis: usize) -> Option<usize> {
        self.values[value.0].declared.as_ref().and_then(|declared| declared.extents.get(axis)).copied().filter(|&extent| extent != OPEN)
    }

    /// How what is declared is stored; f32 and channels-first where an op gives it.
    pub(crate) fn stored(&self, value: ValueId) -> (ElementType, Layout) {
        let declared = self.values[value.0].declared.as_ref();
        declared.map_or((ElementType::F32, Layout::ChannelsFirst), |declared| (declared.element, declared.layout))
    }

    /// All types and ops, with `open` in the place of the open extents.
    ///
    /// # Errors
    /// What an op does not take at this extent, with the node's name.
    pub fn at(&self, open: usize) -> Result<At> {
        if open == 0 && self.is_open() {
            return Err(Error::invalid("the open extent", 0, "give an open extent of at least 1, such as the batch size"));
        }
        let mut types: Vec<Option<TensorType>> = self.values.iter().map(|value| value.declared.as_ref().map(|d| bound(d, open))).collect();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let inputs: Vec<&TensorType> = node.inputs.iter().filter_map(|input| types[input.0].as_ref()).collect();
            let resolved = node.recipe.resolve(&inputs).map_err(|error| of_node(&node.name, error))?;
            for (output, tensor) in node.outputs.iter().zip(resolved.outputs()) {
                types[output.0] = Some(tensor);
            }
            nodes.push(resolved);
        }
        let types = types.into_iter().map(|tensor| tensor.unwrap_or_else(|| TensorType::f32(&[]))).collect(); // every value has a source
        Ok(At { types, nodes })
    }

    /// Adds a value.
    fn add_value(&mut self, name: &str, source: Source, declared: Option<TensorType>, types: [TensorType; 2]) -> Result<ValueId> {
        if name.is_empty() || self.named.contains_key(name) {
            return Err(Error::invalid("name", format!("\"{name}\""), "a value has a name, and no two of a graph have the same"));
        }
        let value = ValueId(self.values.len());
        self.values.push(Value { name: name.to_string(), source, declared });
        self.types.push(types);
        self.named.insert(name.to_string(), value);
        Ok(value)
    }

    fn declare(&mut self, name: &str, source: Source, declared: TensorType) -> Result<ValueId> {
        let types = PROBES.map(|open| bound(&declared, open).checked(name));
        let [two, three] = types;
        self.add_value(name, source, Some(declared), [two?, three?])
    }

    fn check(&self, argument: &str, value: ValueId) -> Result<()> {
        if value.0 < self.values.len() {
            return Ok(());
        }
        let count = self.values.len();
        let has = if count == 1 { "1 value".to_string() } else { format!("{count} values") };
        Err(Error::invalid(argument, format!("value {}", value.0), format!("this graph has {has}: it is another graph's")))
    }

    /// A name that no value has: `stem`, or `stem_2` and so on.
    fn unused(&self, stem: &str) -> String {
        let taken = |name: &str| self.named.contains_key(name) || self.nodes.iter().any(|node| node.name == name);
        if !taken(stem) {
            return stem.to_string();
        }
        (2..).map(|n| format!("{stem}_{n}")).find(|name| !taken(name)).unwrap_or_default()
    }

    /// A node of `old` made here, over these inputs; what it gives has the names that it has there.
    fn again(&mut self, old: &Graph, node: &Node, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        let made = self.node(node.recipe.clone(), inputs)?;
        for (from, to) in node.outputs.iter().zip(&made) {
            let name = &old.values[from.0].name;
            if self.values[to.0].name != *name {
                self.name(*to, name)?;
            }
        }
        Ok(made)
    }

    /// Adds a node of any recipe; its first output is returned, and the others come behind it. It is called after the op unless
    /// [`Graph::name`] renames it.
    ///
    /// # Errors
    /// What the op does not take; a value past this graph's last ([`ValueId`]).
    pub fn node(&mut self, recipe: Recipe, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        for &input in inputs {
            self.check("an input", input)?;
        }
        let name = self.unused(recipe.name());
        let probe = |i: usize| -> Result<Vec<TensorType>> {
            let types: Vec<&TensorType> = inputs.iter().map(|input| &self.types[input.0][i]).collect();
            recipe.resolve(&types).map(|resolved| resolved.outputs()).map_err(|error| of_node(&name, error))
        };
        let [two, three] = match [probe(0), probe(1)] {
            [Ok(two), Ok(three)] => [two, three],
            [Err(two), Err(three)] => return Err(show::open_error(two, &three)),
            [Err(error), _] | [_, Err(error)] => return Err(error),
        };
        let outputs: Vec<[TensorType; 2]> = two.into_iter().zip(three).map(|(two, three)| [two, three]).collect();
        let node = self.nodes.len();
        let mut made = Vec::with_capacity(outputs.len());
        for (output, types) in outputs.into_iter().enumerate() {
            let called = if output == 0 { name.clone() } else { self.unused(&format!("{name}.{output}")) };
            made.push(self.add_value(&called, Source::Node { node, output }, None, types)?);
        }
        self.nodes.push(Node { name, recipe, inputs: inputs.to_vec(), outputs: made.clone() });
        Ok(made)
    }
}

/// A declared type with its open extents filled in.
fn bound(declared: &TensorType, open: usize) -> TensorType {
    let extents = declared.extents.iter().map(|&extent| if extent == OPEN { open } else { extent }).collect();
    TensorType { extents, ..declared.clone() }
}

/// The error of a node says whose it is.
fn of_node(name: &str, error: Error) -> Error {
    match error {
        Error::Invalid { argument, value, rule } => Error::Invalid { argument: format!("{name}: {argument}"), value, rule },
        Error::Layout { argument, layout, rule } => Error::Layout { argument: format!("{name}: {argument}"), layout, rule },
        Error::TooLarge { argument, needed, unit, limit_name, limit } => {
            Error::TooLarge { argument: format!("{name}: {argument}"), needed, unit, limit_name, limit }
        }
        other => other,
    }
}
