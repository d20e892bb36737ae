//! The reader against a protobuf crate: whatever it reads, that reads too, and the same.

use super::{Attribute, Dim, Graph, Model, Node, Tensor, TensorType, Value, ValueInfo, model};
use crate::proto::wire::Span;
use messages::{AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto};
use prost::Message;
use wgconv::numeric::Generator;

#[path = "../../tests/messages/mod.rs"]
mod messages;

/// What the oracle read, as the reader has it. Spans are not compared: their bytes are.
fn of_model(theirs: &ModelProto) -> Model {
    Model {
        ir_version: theirs.ir_version.unwrap_or(0),
        producer: theirs.producer_name.clone().unwrap_or_default(),
        opsets: theirs.opset_import.iter().map(|o| (o.domain.clone().unwrap_or_default(), o.version.unwrap_or(0))).collect(),
        graph: of_graph(theirs.graph.as_ref().unwrap()),
        functions: theirs.functions.iter().map(|f| (f.domain.clone().unwrap_or_default(), f.name.clone().unwrap_or_default())).collect(),
    }
}

fn of_graph(theirs: &GraphProto) -> Graph {
    Graph {
        name: theirs.name.clone().unwrap_or_default(),
        nodes: theirs.node.iter().map(of_node).collect(),
        initializers: theirs.initializer.iter().map(of_tensor).collect(),
        inputs: theirs.input.iter().map(of_value).collect(),
        outputs: theirs.output.iter().map(of_value).collect(),
        sparse_initializers: 0,
    }
}

fn of_node(theirs: &NodeProto) -> Node {
    Node {
        name: theirs.name.clone().unwrap_or_default(),
        op: theirs.op_type.clone().unwrap_or_default(),
        domain: theirs.domain.clone().unwrap_or_default(),
        inputs: theirs.input.clone(),
        outputs: theirs.output.clone(),
        attributes: theirs.attribute.iter().map(of_attribute).collect(),
    }
}

fn of_attribute(theirs: &AttributeProto) -> Attribute {
    let string = || Value::String(theirs.s.clone().unwrap_or_default());
    let value = match (&theirs.ref_attr_name, theirs.r#type.unwrap_or(0)) {
        (Some(name), _) if !name.is_empty() => Value::Reference(name.clone()),
        (_, 1) => Value::Float(theirs.f.unwrap_or(0.0)),
        (_, 2) => Value::Int(theirs.i.unwrap_or(0)),
        (_, 3) => string(),
        (_, 4) => Value::Tensor(Box::new(of_tensor(theirs.t.as_ref().unwrap()))),
        (_, 5) => Value::Graph(Box::new(of_graph(theirs.g.as_ref().unwrap()))),
        (_, 6) => Value::Floats(theirs.floats.clone()),
        (_, 7) => Value::Ints(theirs.ints.clone()),
        (_, 8) => Value::Strings(theirs.strings.len()),
        (_, 0) => match theirs {
            AttributeProto { f: Some(f), .. } => Value::Float(*f),
            AttributeProto { i: Some(i), .. } => Value::Int(*i),
            AttributeProto { s: Some(_), .. } => string(),
            AttributeProto { t: Some(t), .. } => Value::Tensor(Box::new(of_tensor(t))),
            AttributeProto { g: Some(g), .. } => Value::Graph(Box::new(of_graph(g))),
            AttributeProto { floats, .. } if !floats.is_empty() => Value::Floats(floats.clone()),
            AttributeProto { strings, .. } if !strings.is_empty() => Value::Strings(strings.len()),
            AttributeProto { ints, .. } => Value::Ints(ints.clone()),
        },
        (_, other) => Value::Other(other),
    };
    Attribute { name: theirs.name.clone().unwrap_or_default(), value }
}

fn of_tensor(theirs: &TensorProto) -> Tensor {
    Tensor {
        name: theirs.name.clone().unwrap_or_default(),
        dims: theirs.dims.clone(),
        data_type: theirs.data_type.unwrap_or(0),
        raw: theirs.raw_data.as_ref().map(|_| Span::default()),
        floats: theirs.float_data.clone(),
        int32s: theirs.int32_data.iter().map(|&v| i64::from(v)).collect(),
        int64s: theirs.int64_data.clone(),
        doubles: theirs.double_data.clone(),
        uint64s: theirs.uint64_data.iter().map(|&v| v as i64).collect(),
        strings: theirs.string_data.len(),
        external: theirs.external_data.iter().map(|e| (e.key.clone().unwrap_or_default(), e.value.clone().unwrap_or_default())).collect(),
        is_external: theirs.data_location == Some(1),
        is_segment: false,
    }
}

fn of_value(theirs: &ValueInfoProto) -> ValueInfo {
    let dim = |dim: &messages::DimensionProto| match &dim.value {
        Some(Dimension::DimParam(name)) => Dim::Named(name.clone()),
        Some(Dimension::DimValue(extent)) => Dim::Is(*extent),
        None => Dim::Unknown,
    };
    let tensor = |kind: &TypeProto| {
        kind.tensor_type.as_ref().map(|tensor| TensorType {
            element: tensor.elem_type.unwrap_or(0),
            dims: tensor.shape.as_ref().map(|shape| shape.dim.iter().map(dim).collect()),
        })
    };
    ValueInfo { name: theirs.name.clone().unwrap_or_default(), tensor: theirs.r#type.as_ref().and_then(tensor) }
}

/// All tensors of a graph, those in attributes too.
fn tensors<'t>(graph: &'t mut Graph, all: &mut Vec<&'t mut Tensor>) {
    // What the oracle's messages lack.
    graph.sparse_initializers = 0;
    all.extend(&mut graph.initializers);
    for attribute in graph.nodes.iter_mut().flat_map(|node| &mut node.attributes) {
        match &mut attribute.value {
            Value::Tensor(tensor) => all.push(tensor),
            Value::Graph(graph) => tensors(graph, all),
            _ => {}
        }
    }
}

fn raw<'t>(graph: &'t GraphProto, all: &mut Vec<&'t TensorProto>) {
    all.extend(&graph.initializer);
    for attribute in graph.node.iter().flat_map(|node| &node.attribute) {
        let is_reference = attribute.ref_attr_name.as_ref().is_some_and(|name| !name.is_empty());
        let has_first = attribute.f.is_some() || attribute.i.is_some() || attribute.s.is_some();
        match (attribute.r#type.unwrap_or(0), &attribute.t, &attribute.g) {
            _ if is_reference => {}
            (4, Some(tensor), _) => all.push(tensor),
            (5, _, Some(graph)) => raw(graph, all),
            (0, Some(tensor), _) if !has_first => all.push(tensor),
            (0, None, Some(graph)) if !has_first => raw(graph, all),
            _ => {}
        }
    }
}

/// Panics where both read the bytes, and not the same.
fn agree(bytes: &[u8]) -> bool {
    let Ok(mut ours) = model(bytes) else { return false };
    let theirs = ModelProto::decode(bytes).unwrap_or_else(|error| panic!("the reader reads what is no protobuf: {error}"));
    let (mut spans, mut payloads) = (vec![], vec![]);
    tensors(&mut ours.graph, &mut spans);
    raw(theirs.graph.as_ref().unwrap(), &mut payloads);
    assert_eq!(spans.len(), payloads.len(), "tensors");
    for (ours, theirs) in spans.into_iter().zip(payloads) {
        let held = ours.raw.map(|span| span.of(bytes).to_vec());
        assert_eq!(held, theirs.raw_data, "raw_data of {}", ours.name);
        (ours.raw, ours.is_segment) = (ours.raw.map(|_| Span::default()), false);
    }
    // NaN is not equal to itself: texts are.
    let [ours, theirs] = [format!("{ours:?}"), format!("{:?}", of_model(&theirs))];
    let at = ours.bytes().zip(theirs.bytes()).position(|(a, b)| a != b).unwrap_or(ours.len().min(theirs.len()));
    let around = |text: &str| String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(60)..(at + 60).min(text.len())]).into_owned();
    assert!(
        ours == theirs,
        "read:   {}
oracle: {}",
        around(&ours),
        around(&theirs)
    );
    true
}

/// A model with everything in it that a file can have, by chance.
fn any(random: &mut Generator) -> ModelProto {
    let tensor = |random: &mut Generator, name: &str| {
        let numbers: Vec<f32> = (0..random.below(5)).map(|_| random.below(1000) as f32 - 500.0).collect();
        let mut tensor = messages::floats(name, &[numbers.len() as i64], &numbers);
        match random.below(4) {
            0 => (tensor.raw_data, tensor.float_data) = (None, numbers),
            1 => (tensor.raw_data, tensor.int64_data, tensor.data_type) = (None, vec![-1, i64::MAX, i64::MIN, 0], Some(7)),
            2 => {
                tensor.external_data = vec![messages::StringStringEntryProto { key: Some("location".into()), value: Some("weights.bin".into()) }];
                (tensor.raw_data, tensor.data_location) = (None, Some(1));
            }
            _ => (tensor.int32_data, tensor.double_data, tensor.uint64_data) = (vec![-1, 7], vec![0.5, f64::NAN], vec![u64::MAX]),
        }
        tensor
    };
    let mut graph = GraphProto { name: Some("g".into()), ..Default::default() };
    for i in 0..1 + random.below(4) {
        let mut attributes = vec![
            messages::int("i", -(i as i64)),
            messages::ints("ints", &[1, -2, 1 << 40]),
            messages::float("f", 0.25),
            messages::text("s", "text"),
            AttributeProto { name: Some("floats".into()), floats: vec![1.0, -0.0], r#type: Some(6), ..Default::default() },
            AttributeProto { name: Some("strings".into()), strings: vec![vec![1], vec![]], r#type: Some(8), ..Default::default() },
            AttributeProto { name: Some("old".into()), i: Some(3), ..Default::default() },
            AttributeProto { name: Some("ref".into()), ref_attr_name: Some("other".into()), r#type: Some(2), ..Default::default() },
        ];
        if random.below(2) == 0 {
            attributes.push(AttributeProto { name: Some("t".into()), t: Some(tensor(random, "t")), r#type: Some(4), ..Default::default() });
            attributes.push(messages::graph("g", GraphProto { initializer: vec![tensor(random, "inner")], ..Default::default() }));
        }
        graph.node.push(messages::node("Op", &["a", "", "b"], &["c"], attributes));
        graph.initializer.push(tensor(random, &format!("w{i}")));
        graph.input.push(messages::value(&format!("x{i}"), 1, &[-1, 3, 224]));
    }
    graph.output.push(messages::value("y", 10, &[]));
    graph.output.push(ValueInfoProto { name: Some("z".into()), r#type: None });
    messages::model(17, graph)
}

#[test]
fn the_reader_reads_what_a_protobuf_crate_writes() {
    let mut random = Generator::from_text("models");
    for _ in 0..200 {
        assert!(agree(&any(&mut random).encode_to_vec()));
    }
}

/// Counted on 2026-11-26: of 40,000 damaged files the reader reads about a third.
#[test]
fn damaged_files_are_refused_or_read_alike() {
    let mut random = Generator::from_text("damage");
    let mut read = 0;
    for _ in 0..40_000 {
        let mut bytes = any(&mut random).encode_to_vec();
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.below(256) as u8;
        }
        if random.below(8) == 0 {
            bytes.truncate(random.below(bytes.len() as u64) as usize);
        }
        read += usize::from(agree(&bytes));
    }
    assert!(read > 4_000, "only {read} of the damaged files were read: the test says little");
}

#[test]
fn errors_name_message_and_byte() {
    let said = |bytes: &[u8]| model(bytes).unwrap_err().to_string();
    assert_eq!(said(&[]), "ModelProto at byte 0: it has no graph: is this an ONNX file?");
    assert_eq!(said(&[0x3a, 5, 1]), "ModelProto at byte 2: 5 bytes are announced, and 1 are left: is this an ONNX file?");
    assert_eq!(said(&[0x08]), "ModelProto at byte 1: 1 bytes are announced, and 0 are left: is this an ONNX file?");
    assert_eq!(said(&[0x0b]), "ModelProto at byte 1: field 1 has the wire type 3, and ONNX has 0, 1, 2 and 5: is this an ONNX file?");
    assert_eq!(said(&[0x3a, 2, 0x0a, 0]), "NodeProto at byte 4: a node has an op_type");
    assert_eq!(said(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "ModelProto at byte 10: a number of more than 64 bits: is this an ONNX file?");
    // Graphs in attributes of nodes of graphs.
    let mut graph = GraphProto::default();
    for _ in 0..20 {
        let node = messages::node("If", &[], &[], vec![messages::graph("g", graph)]);
        graph = GraphProto { node: vec![node], ..Default::default() };
    }
    let deep = said(&messages::model(17, graph).encode_to_vec());
    assert!(deep.ends_with("graphs within graphs may be 16 deep"), "{deep}");
}
