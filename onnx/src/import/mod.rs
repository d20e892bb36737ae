//! A model becomes a graph: its nodes in order, with the extents of all values known, so that whatever follows from extents and constants is a number
//! already ([`Value::Known`]), and only the rest becomes nodes of the graph ([`Value::Running`]).
//!
//! A node that cannot be imported makes its outputs [`Value::Refused`]; nodes behind it are still looked at for ops that are not known, so that the
//! error at the end has all that is missing.

mod context;
mod declare;
mod value;

pub(crate) use context::Context;
pub use value::{Given, Imported, Output};
pub(crate) use value::{Known, Running, Value};

use crate::error::{Error, Refusal, Result};
use crate::host::Budget;
use crate::model::Model;
use crate::ops;
use crate::proto;
use crate::tensor::Tensor;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use wgconv::Graph;
use wgconv::graph::ValueId;

/// Most nodes of a model: looking up names in a graph takes time for each of its nodes.
const MAX_NODES: usize = 1 << 16;

/// Why a node cannot be imported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub reason: String,
    /// Inputs of the model whose numbers would help.
    pub needs: Vec<String>,
    /// Whether more room for what nodes make would help.
    pub wants_room: bool,
}

impl Fault {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), needs: vec![], wants_room: false }
    }

    /// The refusal of a node.
    pub fn of(self, node: &str, op: &str) -> Refusal {
        Refusal { node: node.into(), op: op.into(), reason: self.reason, needs: self.needs, wants_room: self.wants_room }
    }
}

impl From<wgconv::Error> for Fault {
    fn from(error: wgconv::Error) -> Self {
        Fault::new(error.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::new(error.to_string())
    }
}

/// Values by name; those of a subgraph hide none around it, since names are used once.
#[derive(Default)]
struct Scope<'m> {
    values: HashMap<&'m str, Value<'m>>,
    /// Those that no node has read yet.
    initializers: HashMap<&'m str, &'m proto::Tensor>,
}

/// A graph in the making.
pub(crate) struct Importer<'m> {
    model: &'m Model,
    pub graph: Graph,
    pub budget: Budget,
    scopes: Vec<Scope<'m>>,
    refusals: Vec<Refusal>,
    notes: BTreeSet<String>,
    /// What known tensors are in the graph; kept with them, so that no address is used twice.
    placed: HashMap<*const Known<'m>, (Rc<Known<'m>>, Running)>,
    /// Values under other extents.
    views: HashMap<(ValueId, Vec<usize>), ValueId>,
    /// Values that have the name of an output of a node.
    named: HashSet<ValueId>,
    nodes: usize,
    helpers: usize,
}

/// Imports a model.
pub(crate) fn import(model: &Model, given: &[(&str, Given<'_>)]) -> Result<Imported> {
    let mut importer = Importer {
        model,
        graph: Graph::new(),
        budget: Budget::of_file(model.bytes.len(), model.room),
        scopes: vec![],
        refusals: vec![],
        notes: BTreeSet::new(),
        placed: HashMap::new(),
        views: HashMap::new(),
        named: HashSet::new(),
        nodes: 0,
        helpers: 0,
    };
    let inputs = declare::inputs(&mut importer, given)?;
    importer.enter(&model.proto.graph, inputs);
    importer.walk(&model.proto.graph)?;
    let outputs: Vec<(&str, Option<Value<'_>>)> =
        model.proto.graph.outputs.iter().map(|info| info.name.as_str()).map(|name| (name, importer.find(name))).collect();
    if !importer.refusals.is_empty() {
        return Err(Error::Nodes(importer.refusals));
    }
    let mut seen = HashSet::new();
    let mut made = vec![];
    for (name, value) in outputs {
        let place = format!("output \"{name}\"");
        if !seen.insert(name) {
            return Err(Error::format(place, "it stands there twice"));
        }
        made.push(match value {
            Some(Value::Known(known)) => {
                let tensor = known.tensor.clone().into_owned();
                Output { name: name.into(), element: tensor.element(), dims: tensor.dims().to_vec(), known: Some(tensor) }
            }
            Some(Value::Running(running)) => {
                let (element, dims) = (running.element, running.dims.clone());
                if running.in_plane {
                    return Err(Error::format(
                        place,
                        "indices of a max pool over several planes count in each plane, and ONNX's count in the whole tensor",
                    ));
                }
                // Above the graph's rank it comes out under the extents that it has there.
                let id = if dims.len() <= wgconv::shape::MAX_RANK {
                    importer.shaped(&running).map_err(|fault| Error::format(&place, fault.reason))?
                } else {
                    running.id
                };
                importer.graph.output(name, id)?;
                Output { name: name.into(), element, dims, known: None }
            }
            _ => return Err(Error::format(place, "no node gives it")),
        });
    }
    Ok(Imported { graph: importer.graph, outputs: made, notes: importer.notes.into_iter().collect() })
}

/// Names that a node reads, those inside of its subgraphs too.
fn reads<'m>(node: &'m proto::Node, all: &mut Vec<&'m str>) {
    all.extend(node.inputs.iter().map(String::as_str));
    for attribute in &node.attributes {
        if let proto::Value::Graph(graph) = &attribute.value {
            graph.nodes.iter().for_each(|node| reads(node, all));
            all.extend(graph.outputs.iter().map(|output| output.name.as_str()));
        }
    }
}

/// By node: whether an output of the graph needs it.
fn live(graph: &proto::Graph) -> Vec<bool> {
    let makers: HashMap<&str, usize> =
        graph.nodes.iter().enumerate().flat_map(|(i, node)| node.outputs.iter().map(move |output| (output.as_str(), i))).collect();
    let mut live = vec![false; graph.nodes.len()];
    let mut wanted: Vec<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    while let Some(name) = wanted.pop() {
        if let Some(&maker) = makers.get(name)
            && !std::mem::replace(&mut live[maker], true)
        {
            reads(&graph.nodes[maker], &mut wanted);
        }
    }
    live
}

impl<'m> Importer<'m> {
    /// Opens the scope of a graph.
    fn enter(&mut self, graph: &'m proto::Graph, values: HashMap<&'m str, Value<'m>>) {
        let initializers = graph.initializers.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        self.scopes.push(Scope { values, initializers });
    }

    /// The value called `name`, from the innermost graph outwards.
    fn find(&mut self, name: &str) -> Option<Value<'m>> {
        for depth in (0..self.scopes.len()).rev() {
            if let Some(value) = self.scopes[depth].values.get(name) {
                return Some(value.clone());
            }
            if let Some((&name, &tensor)) = self.scopes[depth].initializers.get_key_value(name) {
                let value = match Tensor::decode(tensor, &self.model.bytes, self.model.folder.as_deref()) {
                    Ok(decoded) => {
                        if tensor.is_external {
                            self.budget.add_file(decoded.numbers().len().saturating_mul(decoded.element().bytes()));
                        }
                        Value::Known(Rc::new(Known { tensor: decoded, name: Some(name) }))
                    }
                    Err(error) => {
                        self.refusals.push(Fault::from(error).of(name, "initializer"));
                        Value::Refused
                    }
                };
                self.scopes[depth].values.insert(name, value.clone());
                return Some(value);
            }
        }
        None
    }

    /// Imports the nodes of a graph whose scope is open.
    fn walk(&mut self, graph: &'m proto::Graph) -> Result<()> {
        self.nodes += graph.nodes.len();
        if self.nodes > MAX_NODES {
            return Err(Error::format("GraphProto, node", format!("there are {} nodes, and at most {MAX_NODES} are imported", self.nodes)));
        }
        if graph.sparse_initializers > 0 {
            return Err(Error::format("GraphProto, sparse_initializer", "sparse tensors are not read"));
        }
        let mut twice = HashSet::new();
        if let Some(tensor) = graph.initializers.iter().find(|tensor| !twice.insert(tensor.name.as_str())) {
            return Err(Error::format("GraphProto, initializer", format!("\"{}\" stands there twice", tensor.name)));
        }
        for node in &graph.nodes {
            if let Some(output) = node.outputs.iter().find(|output| !output.is_empty() && !twice.insert(output.as_str())) {
                return Err(Error::format(format!("node \"{}\", output", node.called()), format!("the name \"{output}\" is used twice")));
            }
        }
        let live = live(graph);
        for (node, _) in graph.nodes.iter().zip(live).filter(|(_, live)| *live) {
            let inputs: Vec<Option<Value<'m>>> = node.inputs.iter().map(|name| self.named_input(node, name)).collect();
            let values = match self.node(node, inputs) {
                Ok(values) => values,
                Err(Some(fault)) => {
                    self.refusals.push(fault.of(node.called(), &node.op));
                    vec![]
                }
                Err(None) => vec![],
            };
            let mut values = values.into_iter();
            for output in &node.outputs {
                let value = values.next().unwrap_or(Value::Refused);
                if output.is_empty() {
                    continue;
                }
                self.call(&value, output);
                if let Some(scope) = self.scopes.last_mut()
                    && scope.values.insert(output, value).is_some()
                {
                    return Err(Error::format(format!("node \"{}\", output", node.called()), format!("the name \"{output}\" is used twice")));
                }
            }
        }
        Ok(())
    }

    fn named_input(&mut self, node: &proto::Node, name: &str) -> Option<Value<'m>> {
        if name.is_empty() {
            return None;
        }
        Some(self.find(name).unwrap_or_else(|| {
            let reason =
                format!("input \"{name}\": no input, initializer or node before it has this name; nodes stand in the order in which they run");
            self.refusals.push(Fault::new(reason).of(node.called(), &node.op));
            Value::Refused
        }))
    }

    /// The outputs of a node, or why there are none; nothing to add where an input of it was refused.
    fn node(&mut self, node: &'m proto::Node, inputs: Vec<Option<Value<'m>>>) -> Result<Vec<Value<'m>>, Option<Fault>> {
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            let own = self.model.proto.functions.iter().any(|(domain, name)| *domain == node.domain && *name == node.op);
            let what = if own { "a function of the model's own" } else { "of another domain than ONNX's" };
            return Err(Some(Fault::new(format!("{}.{} is {what}, which is not imported", node.domain, node.op))));
        }
        if node.op == "If" {
            return self.choice(node, &inputs);
        }
        let Some(build) = ops::find(&node.op) else { return Err(Some(Fault::new(ops::why_not(&node.op)))) };
        if inputs.iter().any(|input| matches!(input, Some(Value::Refused))) {
            return Err(None);
        }
        let mut context = Context::new(self, node, inputs);
        let values = build(&mut context)?;
        context.finish()?;
        Ok(values)
    }

    /// `If` whose condition is known: the nodes of the branch that it takes.
    fn choice(&mut self, node: &'m proto::Node, inputs: &[Option<Value<'m>>]) -> Result<Vec<Value<'m>>, Option<Fault>> {
        let condition = match inputs.first() {
            Some(Some(Value::Known(known))) => known.tensor.as_integers().and_then(|numbers| numbers.first().copied()),
            Some(Some(Value::Refused)) => return Err(None),
            _ => return Err(Some(Fault::new("its condition is known only when the network runs"))),
        };
        let Some(condition) = condition else { return Err(Some(Fault::new("its condition is one bool"))) };
        let wanted = if condition != 0 { "then_branch" } else { "else_branch" };
        let branch = node.attributes.iter().find_map(|attribute| match &attribute.value {
            proto::Value::Graph(graph) if attribute.name == wanted => Some(graph.as_ref()),
            _ => None,
        });
        let Some(branch) = branch else { return Err(Some(Fault::new(format!("{wanted}: it is a graph")))) };
        self.enter(branch, HashMap::new());
        let before = self.refusals.len();
        let walked = self.walk(branch);
        let outputs: Vec<Option<Value<'m>>> = branch.outputs.iter().map(|output| self.find(&output.name)).collect();
        self.scopes.pop();
        walked.map_err(|error| Some(error.into()))?;
        if self.refusals.len() > before {
            return Err(None);
        }
        outputs.into_iter().map(|value| value.ok_or_else(|| Some(Fault::new(format!("{wanted}: no node gives one of its outputs"))))).collect()
    }

    /// Gives a value that a node of the graph made the name that it has in the file.
    fn call(&mut self, value: &Value<'_>, name: &str) {
        if let Value::Running(running) = value
            && matches!(self.graph.values().get(running.id.index()).map(wgconv::graph::Value::source), Some(wgconv::graph::Source::Node { .. }))
            && self.named.insert(running.id)
        {
            let name = self.unused(name);
            // What a node gave can be renamed to an unused name.
            let _ = self.graph.name(running.id, &name);
        }
    }

    /// `name`, or that with a number behind it.
    fn unused(&self, name: &str) -> String {
        let name = if name.is_empty() { "value" } else { name };
        if self.graph.find(name).is_none() {
            return name.into();
        }
        (2..).map(|n| format!("{name}.{n}")).find(|name| self.graph.find(name).is_none()).unwrap_or_default()
    }

    /// Something that the user of the graph should know.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.insert(note.into());
    }
}
