//! The messages of an ONNX file as far as a network needs them, from onnx.proto (field numbers are its).
//!
//! Names are copied; what tensors hold stays in the file as spans. Unknown fields are skipped, as protobuf has it. A message costs at most a few hundred
//! bytes for the few that it has in the file, so that memory stays within a constant factor of the file.

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests;
pub(crate) mod wire;

use crate::error::Result;
use wire::{Fields, MODEL, Span};

/// Graphs in attributes of nodes of graphs: so deep at most.
const MAX_DEPTH: usize = 16;

/// ModelProto.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Model {
    pub ir_version: i64,
    pub producer: String,
    /// Domain and version.
    pub opsets: Vec<(String, i64)>,
    pub graph: Graph,
    /// Domain and name of the model's own functions.
    pub functions: Vec<(String, String)>,
}

/// GraphProto.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Graph {
    pub name: String,
    pub nodes: Vec<Node>,
    pub initializers: Vec<Tensor>,
    pub inputs: Vec<ValueInfo>,
    pub outputs: Vec<ValueInfo>,
    pub sparse_initializers: usize,
}

/// NodeProto.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Node {
    pub name: String,
    pub op: String,
    pub domain: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<Attribute>,
}

impl Node {
    /// What an error calls it: its name, else that of its first output.
    pub fn called(&self) -> &str {
        if self.name.is_empty() { self.outputs.iter().find(|name| !name.is_empty()).map_or("without a name", String::as_str) } else { &self.name }
    }
}

/// AttributeProto.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub name: String,
    pub value: Value,
}

/// What an attribute holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Float(f32),
    Int(i64),
    String(Vec<u8>),
    Tensor(Box<Tensor>),
    Graph(Box<Graph>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    /// How many.
    Strings(usize),
    /// What no op here takes: its AttributeType.
    Other(i32),
    /// That of the function around it.
    Reference(String),
}

/// TensorProto.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tensor {
    pub name: String,
    pub dims: Vec<i64>,
    /// TensorProto.DataType.
    pub data_type: i32,
    pub raw: Option<Span>,
    pub floats: Vec<f32>,
    pub int32s: Vec<i64>,
    pub int64s: Vec<i64>,
    pub doubles: Vec<f64>,
    pub uint64s: Vec<i64>,
    pub strings: usize,
    pub external: Vec<(String, String)>,
    pub is_external: bool,
    pub is_segment: bool,
}

/// ValueInfoProto of a tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ValueInfo {
    pub name: String,
    /// None where it is no tensor.
    pub tensor: Option<TensorType>,
}

/// TypeProto.Tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct TensorType {
    pub element: i32,
    /// None where the file does not say.
    pub dims: Option<Vec<Dim>>,
}

/// TensorShapeProto.Dimension.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Dim {
    Is(i64),
    Named(String),
    #[default]
    Unknown,
}

/// Reads a model.
pub(crate) fn model(file: &[u8]) -> Result<Model> {
    let mut fields = Fields::new(file, Span { start: 0, end: file.len() }, MODEL);
    let (mut model, mut graph) = (Model::default(), None);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => model.ir_version = fields.int("ir_version", payload)?,
            2 => model.producer = fields.string("producer_name", payload)?,
            7 => once(&fields, "graph", &mut graph, self::graph(file, fields.bytes("graph", payload)?, 0)?)?,
            8 => model.opsets.push(opset(file, fields.bytes("opset_import", payload)?)?),
            25 => model.functions.push(function(file, fields.bytes("functions", payload)?)?),
            _ => {}
        }
    }
    model.graph = graph.ok_or_else(|| fields.wrong("it has no graph"))?;
    Ok(model)
}

/// Reads a tensor in a file of its own.
pub(crate) fn tensor_file(file: &[u8]) -> Result<Tensor> {
    tensor(file, Span { start: 0, end: file.len() })
}

/// Protobuf would merge a message that stands there twice; no writer of ONNX makes it, and here it is refused.
fn once<T>(fields: &Fields<'_>, field: &str, slot: &mut Option<T>, message: T) -> Result<()> {
    match slot.replace(message) {
        None => Ok(()),
        Some(_) => Err(fields.wrong(format!("{field} stands there twice"))),
    }
}

fn opset(file: &[u8], span: Span) -> Result<(String, i64)> {
    let mut fields = Fields::new(file, span, "OperatorSetIdProto");
    let (mut domain, mut version) = (String::new(), 0);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => domain = fields.string("domain", payload)?,
            2 => version = fields.int("version", payload)?,
            _ => {}
        }
    }
    Ok((domain, version))
}

fn function(file: &[u8], span: Span) -> Result<(String, String)> {
    let mut fields = Fields::new(file, span, "FunctionProto");
    let (mut domain, mut name) = (String::new(), String::new());
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => name = fields.string("name", payload)?,
            10 => domain = fields.string("domain", payload)?,
            _ => {}
        }
    }
    Ok((domain, name))
}

fn graph(file: &[u8], span: Span, depth: usize) -> Result<Graph> {
    let mut fields = Fields::new(file, span, "GraphProto");
    if depth >= MAX_DEPTH {
        return Err(fields.wrong(format!("graphs within graphs may be {MAX_DEPTH} deep")));
    }
    let mut graph = Graph::default();
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => graph.nodes.push(node(file, fields.bytes("node", payload)?, depth)?),
            2 => graph.name = fields.string("name", payload)?,
            5 => {
                let initializer = tensor(file, fields.bytes("initializer", payload)?)?;
                if initializer.name.is_empty() {
                    return Err(fields.wrong("an initializer has a name"));
                }
                graph.initializers.push(initializer);
            }
            11 => graph.inputs.push(value_info(file, fields.bytes("input", payload)?)?),
            12 => graph.outputs.push(value_info(file, fields.bytes("output", payload)?)?),
            15 => graph.sparse_initializers += 1,
            _ => {}
        }
    }
    Ok(graph)
}

fn node(file: &[u8], span: Span, depth: usize) -> Result<Node> {
    let mut fields = Fields::new(file, span, "NodeProto");
    let mut node = Node::default();
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => node.inputs.push(fields.string("input", payload)?),
            2 => node.outputs.push(fields.string("output", payload)?),
            3 => node.name = fields.string("name", payload)?,
            4 => node.op = fields.string("op_type", payload)?,
            5 => node.attributes.push(attribute(file, fields.bytes("attribute", payload)?, depth)?),
            7 => node.domain = fields.string("domain", payload)?,
            _ => {}
        }
    }
    if node.op.is_empty() {
        return Err(fields.wrong("a node has an op_type"));
    }
    Ok(node)
}

/// The fields of an attribute that hold something; which of them counts is said by `type`, or by which of them is there.
#[derive(Default)]
struct Held {
    float: Option<f32>,
    int: Option<i64>,
    string: Option<Span>,
    tensor: Option<Tensor>,
    graph: Option<Graph>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    strings: usize,
}

fn attribute(file: &[u8], span: Span, depth: usize) -> Result<Attribute> {
    let mut fields = Fields::new(file, span, "AttributeProto");
    let (mut name, mut kind, mut held, mut reference) = (String::new(), 0, Held::default(), None);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => name = fields.string("name", payload)?,
            2 => held.float = Some(fields.float("f", payload)?),
            3 => held.int = Some(fields.int("i", payload)?),
            4 => held.string = Some(fields.bytes("s", payload)?),
            5 => once(&fields, "t", &mut held.tensor, tensor(file, fields.bytes("t", payload)?)?)?,
            6 => once(&fields, "g", &mut held.graph, graph(file, fields.bytes("g", payload)?, depth + 1)?)?,
            7 => fields.floats("floats", payload, &mut held.floats)?,
            8 => fields.ints("ints", payload, &mut held.ints)?,
            9 => {
                fields.bytes("strings", payload)?;
                held.strings += 1;
            }
            20 => kind = fields.int32("type", payload)?,
            21 => reference = Some(fields.string("ref_attr_name", payload)?),
            _ => {}
        }
    }
    if name.is_empty() {
        return Err(fields.wrong("an attribute has a name"));
    }
    let value = match reference.filter(|name| !name.is_empty()) {
        Some(reference) => Value::Reference(reference),
        None => held.value(file, kind).ok_or_else(|| fields.wrong(format!("attribute {name} says that it holds what is not there")))?,
    };
    Ok(Attribute { name, value })
}

impl Held {
    /// `kind` is AttributeProto.AttributeType; 0 in files from before it was there. What is left out is zero or empty, as protobuf has it.
    fn value(self, file: &[u8], kind: i32) -> Option<Value> {
        let string = |span: Option<Span>| Value::String(span.map_or(vec![], |span| span.of(file).to_vec()));
        Some(match kind {
            1 => Value::Float(self.float.unwrap_or(0.0)),
            2 => Value::Int(self.int.unwrap_or(0)),
            3 => string(self.string),
            4 => Value::Tensor(Box::new(self.tensor?)),
            5 => Value::Graph(Box::new(self.graph?)),
            6 => Value::Floats(self.floats),
            7 => Value::Ints(self.ints),
            8 => Value::Strings(self.strings),
            0 => match self {
                Held { float: Some(float), .. } => Value::Float(float),
                Held { int: Some(int), .. } => Value::Int(int),
                Held { string: Some(_), .. } => string(self.string),
                Held { tensor: Some(tensor), .. } => Value::Tensor(Box::new(tensor)),
                Held { graph: Some(graph), .. } => Value::Graph(Box::new(graph)),
                Held { floats, .. } if !floats.is_empty() => Value::Floats(floats),
                Held { strings, .. } if strings > 0 => Value::Strings(strings),
                Held { ints, .. } => Value::Ints(ints),
            },
            other => Value::Other(other),
        })
    }
}

fn tensor(file: &[u8], span: Span) -> Result<Tensor> {
    let mut fields = Fields::new(file, span, "TensorProto");
    let mut tensor = Tensor::default();
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => fields.ints("dims", payload, &mut tensor.dims)?,
            2 => tensor.data_type = fields.int32("data_type", payload)?,
            3 => tensor.is_segment = true,
            4 => fields.floats("float_data", payload, &mut tensor.floats)?,
            5 => {
                let before = tensor.int32s.len();
                fields.ints("int32_data", payload, &mut tensor.int32s)?;
                // Of an int32 protobuf reads the lower half of what is written.
                tensor.int32s[before..].iter_mut().for_each(|number| *number = i64::from(*number as i32));
            }
            6 => {
                fields.bytes("string_data", payload)?;
                tensor.strings += 1;
            }
            7 => fields.ints("int64_data", payload, &mut tensor.int64s)?,
            8 => tensor.name = fields.string("name", payload)?,
            9 => tensor.raw = Some(fields.bytes("raw_data", payload)?),
            10 => fields.doubles("double_data", payload, &mut tensor.doubles)?,
            11 => fields.ints("uint64_data", payload, &mut tensor.uint64s)?,
            13 => tensor.external.push(entry(file, fields.bytes("external_data", payload)?)?),
            14 => tensor.is_external = fields.int("data_location", payload)? == 1,
            _ => {}
        }
    }
    Ok(tensor)
}

/// StringStringEntryProto.
fn entry(file: &[u8], span: Span) -> Result<(String, String)> {
    let mut fields = Fields::new(file, span, "StringStringEntryProto");
    let (mut key, mut value) = (String::new(), String::new());
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => key = fields.string("key", payload)?,
            2 => value = fields.string("value", payload)?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn value_info(file: &[u8], span: Span) -> Result<ValueInfo> {
    let mut fields = Fields::new(file, span, "ValueInfoProto");
    let (mut info, mut kind) = (ValueInfo::default(), None);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => info.name = fields.string("name", payload)?,
            2 => once(&fields, "type", &mut kind, of_tensor(file, fields.bytes("type", payload)?)?)?,
            _ => {}
        }
    }
    info.tensor = kind.flatten();
    if info.name.is_empty() {
        return Err(fields.wrong("an input or output of a graph has a name"));
    }
    Ok(info)
}

/// TypeProto, where it is a tensor's.
fn of_tensor(file: &[u8], span: Span) -> Result<Option<TensorType>> {
    let mut fields = Fields::new(file, span, "TypeProto");
    let mut found = None;
    while let Some((number, payload)) = fields.next()? {
        if number == 1 {
            let mut inner = Fields::new(file, fields.bytes("tensor_type", payload)?, "TypeProto.Tensor");
            let mut tensor = TensorType::default();
            while let Some((number, payload)) = inner.next()? {
                match number {
                    1 => tensor.element = inner.int32("elem_type", payload)?,
                    2 => once(&inner, "shape", &mut tensor.dims, shape(file, inner.bytes("shape", payload)?)?)?,
                    _ => {}
                }
            }
            once(&fields, "tensor_type", &mut found, tensor)?;
        }
    }
    Ok(found)
}

fn shape(file: &[u8], span: Span) -> Result<Vec<Dim>> {
    let mut fields = Fields::new(file, span, "TensorShapeProto");
    let mut dims = vec![];
    while let Some((number, payload)) = fields.next()? {
        if number == 1 {
            let mut inner = Fields::new(file, fields.bytes("dim", payload)?, "TensorShapeProto.Dimension");
            let mut dim = Dim::Unknown;
            while let Some((number, payload)) = inner.next()? {
                match number {
                    1 => dim = Dim::Is(inner.int("dim_value", payload)?),
                    2 => dim = Dim::Named(inner.string("dim_param", payload)?),
                    _ => {}
                }
            }
            dims.push(dim);
        }
    }
    Ok(dims)
}
