//! Graphs as ONNX files: what `wgconv::train::Sequential` makes, node by node, with weights inside the file.
//!
//! A graph is written as it was built, before passes: each op is an op of ONNX then, and an activation that an op has besides is a node behind it. What ONNX
//! has no op for is refused, with all nodes at once. Message and field numbers are those of onnx.proto.

mod nodes;
mod wire;

use crate::error::{Error, Refusal, Result};
use std::collections::HashSet;
use wgconv::graph::{Graph, ValueId};
use wgconv::{ElementType, Layout};
use wire::Message;

/// The opset of what is written: the first whose GroupNormalization has a scale for each channel.
const OPSET: i64 = 21;
/// The version of the format that came with it.
const IR_VERSION: i64 = 10;
/// TensorProto.DataType
const FLOAT: i64 = 1;
const INT64: i64 = 7;
/// Protobuf's limit for a message.
const LARGEST: usize = (1 << 31) - 1;

/// A graph of f32 as an ONNX file; its open extent is called `N`.
///
/// # Errors
/// [`Error::Nodes`] with every node that ONNX has no op for; inputs that are not f32 and channels-first; parameters without numbers; a file of 2 GB or more.
pub fn export(graph: &Graph) -> Result<Vec<u8>> {
    let mut writer = Writer { graph, nodes: vec![], tensors: vec![], written: HashSet::new(), made: HashSet::new() };
    let mut refusals = vec![];
    for node in graph.nodes() {
        if let Err(reason) = writer.node(node) {
            refusals.push(Refusal { node: node.name().into(), op: node.recipe().name().into(), reason, needs: vec![], wants_room: false });
        }
    }
    if !refusals.is_empty() {
        return Err(Error::Nodes(refusals));
    }
    let types = [2, 3].map(|open| graph.at(open));
    let [Ok(two), Ok(three)] = types else { return Err(graph.at(2).err().or(graph.at(3).err()).map_or_else(unknown, Error::from)) };
    let mut inputs = vec![];
    for (name, value) in graph.inputs() {
        let tensor = &two.types[value.index()];
        if tensor.element != ElementType::F32 || tensor.layout != Layout::ChannelsFirst {
            return Err(argument(format!("the input {name}"), tensor, "inputs are f32 and channels first"));
        }
        inputs.push(described(name, &tensor.extents, &three.types[value.index()].extents));
    }
    let mut outputs = vec![];
    for (name, value) in graph.outputs() {
        // An output has a name of its own: the value's is taken by whatever else reads it.
        let own = graph.values()[value.index()].name();
        if name != own {
            writer.nodes.push(Message::default().text(1, own).text(2, name).text(3, name).text(4, "Identity"));
        }
        outputs.push(described(name, &two.types[value.index()].extents, &three.types[value.index()].extents));
    }
    let network =
        Message::default().messages(1, writer.nodes).text(2, "wgconv").messages(5, writer.tensors).messages(11, inputs).messages(12, outputs);
    let file = Message::default()
        .int(1, IR_VERSION)
        .text(2, "wgconv")
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, network)
        .message(8, Message::default().text(1, "").int(2, OPSET))
        .into_bytes();
    if file.len() > LARGEST {
        return Err(argument("the file".into(), format!("{} bytes", file.len()), "protobuf's messages have fewer than 2^31"));
    }
    Ok(file)
}

fn argument(argument: String, value: impl std::fmt::Display, rule: &str) -> Error {
    Error::argument(argument, value, rule)
}

fn unknown() -> Error {
    argument("the graph".into(), "no graph", "its extents resolve")
}

/// A ValueInfoProto; an extent that differs between two open ones is open.
fn described(name: &str, two: &[usize], three: &[usize]) -> Message {
    let dim = |(two, three): (&usize, &usize)| if two == three { Message::default().int(1, *two as i64) } else { Message::default().text(2, "N") };
    let shape = Message::default().messages(1, two.iter().zip(three).map(dim));
    let tensor = Message::default().int(1, FLOAT).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

/// The parts of a GraphProto so far.
struct Writer<'g> {
    graph: &'g Graph,
    nodes: Vec<Message>,
    tensors: Vec<Message>,
    /// Values whose numbers are in the file, by index.
    written: HashSet<usize>,
    /// Names that are no value's of the graph.
    made: HashSet<String>,
}

/// An attribute of a node.
enum Attribute<'a> {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'a str),
}

impl Writer<'_> {
    /// The name of a value that a node reads; its numbers go into the file where it has any.
    fn read(&mut self, value: ValueId) -> Result<String, String> {
        let name = self.graph.values()[value.index()].name().to_string();
        if let Some(numbers) = self.graph.numbers(value) {
            if self.written.insert(value.index()) {
                let extents = numbers.tensor_type().extents;
                self.tensors.push(tensor(&name, &extents, FLOAT, numbers.as_f32().iter().flat_map(|v| v.to_le_bytes()).collect()));
            }
        } else if matches!(self.graph.values()[value.index()].source(), wgconv::graph::Source::Parameter(_)) {
            return Err(format!("the parameter {name} has no numbers"));
        }
        Ok(name)
    }

    /// A name that begins with a node's, and that nothing else has.
    fn unused(&mut self, stem: &str) -> String {
        let mut name = stem.to_string();
        let mut count = 1;
        while self.graph.find(&name).is_some() || self.graph.outputs().any(|(own, _)| own == name) || self.made.contains(&name) {
            count += 1;
            name = format!("{stem}_{count}");
        }
        self.made.insert(name.clone());
        name
    }

    fn floats(&mut self, stem: &str, extents: &[usize], numbers: &[f32]) -> String {
        let name = self.unused(stem);
        self.tensors.push(tensor(&name, extents, FLOAT, numbers.iter().flat_map(|v| v.to_le_bytes()).collect()));
        name
    }

    fn integers(&mut self, stem: &str, numbers: &[i64]) -> String {
        let name = self.unused(stem);
        self.tensors.push(tensor(&name, &[numbers.len()], INT64, numbers.iter().flat_map(|v| v.to_le_bytes()).collect()));
        name
    }

    /// A NodeProto; an empty name of an input is one that is left out.
    fn push(&mut self, op: &str, inputs: &[String], output: &str, attributes: &[(&str, Attribute<'_>)]) {
        let mut node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input)).text(2, output).text(3, output).text(4, op);
        for (name, value) in attributes {
            let attribute = Message::default().text(1, name);
            let attribute = match value {
                Attribute::Float(value) => attribute.float(2, *value).int(20, 1),
                Attribute::Int(value) => attribute.int(3, *value).int(20, 2),
                Attribute::Text(value) => attribute.text(4, value).int(20, 3),
                Attribute::Ints(values) => values.iter().fold(attribute, |attribute, value| attribute.int(8, *value)).int(20, 7),
            };
            node = node.message(5, attribute);
        }
        self.nodes.push(node);
    }
}

/// A TensorProto.
fn tensor(name: &str, extents: &[usize], element: i64, bytes: Vec<u8>) -> Message {
    let tensor = extents.iter().fold(Message::default(), |tensor, extent| tensor.int(1, *extent as i64));
    tensor.int(2, element).text(8, name).bytes(9, &bytes)
}
