//! Layers from a `--shapes` file: any op of the vocabulary (`wgconv ops`), in two forms. The long one keeps inputs and attributes apart, as
//! test vectors do; the short one has everything beside name and op, with `input` for x and `filter` for w.

use super::{Kind, Layer};
use crate::text::{one_line, printable};
use crate::{Failure, input, json};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use wgconv::op::Op;
use wgconv::op::named::{self, Inputs, Signature};
use wgconv::{ElementType, TensorType};

/// Reads the layers of a `--shapes` file.
pub fn read(path: &Path, kind: Kind) -> Result<Vec<Layer>, Failure> {
    let text = input::text(path).map_err(Failure::Run)?;
    parse(&text, kind).map_err(|why| Failure::Run(format!("{}: {why}", printable(&path.to_string_lossy()))))
}

/// The layers of a file's text.
pub fn parse(text: &str, kind: Kind) -> Result<Vec<Layer>, String> {
    let list = match json::parse(text)? {
        Value::Array(list) if list.is_empty() => return Err("the list is empty".into()),
        Value::Array(list) => list,
        _ => return Err("it must be a list of layers, [{\"name\": .., \"op\": .., ..}, ..]".into()),
    };
    list.into_iter().enumerate().map(|(number, entry)| layer(entry, number, kind)).collect()
}

fn layer(entry: Value, number: usize, kind: Kind) -> Result<Layer, String> {
    let Value::Object(mut fields) = entry else { return Err(format!("entry {number} is no object")) };
    let word = |fields: &mut Map<String, Value>, field: &str| match fields.remove(field) {
        Some(Value::String(word)) => Ok(word),
        Some(other) => Err(format!("entry {number}: {field} is {other}: it is a text")),
        None => Err(format!("entry {number}: {field} is missing")),
    };
    let name = word(&mut fields, "name")?;
    let op = word(&mut fields, "op")?;
    problem(&op, fields, kind).map(|op| Layer { name: name.clone(), op }).map_err(|why| one_line(&format!("{name}: {why}")))
}

fn problem(op: &str, mut fields: Map<String, Value>, kind: Kind) -> Result<Op, String> {
    let signature = named::known(op)?;
    let (shapes, attrs) = if fields.contains_key("inputs") || fields.contains_key("attrs") {
        let shapes = match fields.remove("inputs") {
            Some(Value::Object(shapes)) => shapes,
            Some(other) => return Err(format!("inputs is {other}: it is an object of shapes by name")),
            None => return Err("inputs is missing: attrs stands beside it".into()),
        };
        let attrs = fields.remove("attrs").unwrap_or_default();
        if let Some(field) = fields.keys().next() {
            return Err(format!("{field} stands beside inputs: there every attribute is in attrs and every shape in inputs"));
        }
        (shapes, attrs)
    } else {
        short(signature, fields)?
    };
    let mut given = BTreeMap::new();
    for (role, value) in shapes {
        let shape: Vec<usize> = serde_json::from_value(value.clone())
            .map_err(|_| format!("{role} is {value}: a shape is a list of whole numbers, such as [1, 3, 32, 32]"))?;
        let element = if matches!(role.as_ref(), "indices" | "image") { ElementType::U32 } else { kind.element };
        given.insert(role, TensorType::new(&shape, element, kind.layout));
    }
    let inputs = Inputs { given: &given, accuracy: kind.accuracy, extras: false };
    let call = named::build(op, &attrs, &inputs)?;
    if let Some(role) = given.keys().find(|role| !call.reads(role)) {
        return Err(format!("{op} of these attributes reads no input {role}"));
    }
    if op == "conv" {
        return Ok(named::conv_problem(op, &attrs, &inputs)?.into());
    }
    call.single().ok_or_else(|| format!("op {op} of these inputs is no single kernel call: there is no one thing to time"))
}

/// Shapes and attributes of the short form.
fn short(signature: &Signature, fields: Map<String, Value>) -> Result<(Map<String, Value>, Value), String> {
    let (mut shapes, mut attrs) = (Map::new(), Map::new());
    for (field, value) in fields {
        let role = match field.as_str() {
            "input" if signature.has_input("x") => "x",
            "filter" if signature.has_input("w") => "w",
            other => other,
        };
        if signature.has_input(role) {
            if shapes.insert(role.into(), value).is_some() {
                return Err(format!("{field} and {role} are two names of one input"));
            }
        } else {
            attrs.insert(field, value);
        }
    }
    Ok((shapes, Value::Object(attrs)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgconv::op::{Problem, Referenced};

    fn shown(text: &str) -> Result<String, String> {
        let layers = parse(text, Kind::PLAIN)?;
        Ok(layers.iter().map(|layer| format!("{} {}", layer.op().name(), layer.op())).collect::<Vec<_>>().join("; "))
    }

    #[track_caller]
    fn refused(entry: &str, says: &str) {
        let why = shown(&format!("[{entry}]")).expect_err(entry);
        assert!(why.contains(says), "{entry}\n{why}\ndoes not say \"{says}\"");
    }

    #[test]
    fn both_forms_are_the_same_layer() {
        let long = r#"[{"name": "a", "op": "conv", "attrs": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "activation": {"type": "relu"}},
            "inputs": {"x": [1, 3, 32, 32], "w": [8, 3, 3, 3], "b": [8]}}]"#;
        let short = r#"[{"name": "a", "op": "conv", "input": [1, 3, 32, 32], "filter": [8, 3, 3, 3], "b": [8], "strides": [2, 2], "pads": [1, 1, 1, 1], "activation": "relu"}]"#;
        assert_eq!(shown(long).unwrap(), "conv n1c3h32w32_k8r3s3_st2x2_p1,1,1,1_d1x1_g1_b_relu");
        assert_eq!(shown(short), shown(long));
        let pool = r#"[{"name": "a", "op": "max_pool", "x": [1, 1, 8, 8], "kernel_shape": [2, 2], "strides": [1, 1]}]"#;
        assert!(shown(pool).unwrap().contains("st1x1"));
    }

    /// Unknown names were ignored once, and another layer was timed.
    #[test]
    fn what_an_op_does_not_have_is_refused_by_name() {
        let conv = |more: &str| format!(r#"{{"name": "t", "op": "conv", "input": [1, 3, 32, 32], "filter": [8, 3, 3, 3], {more}}}"#);
        refused(
            &conv(r#""stride": [2, 2]"#),
            "t: conv has no attribute stride (did you mean strides?): its inputs are x, w, b, its attributes kernel_shape, strides",
        );
        refused(&conv(r#""padding": [1, 1, 1, 1]"#), "no attribute padding (did you mean pads?)");
        refused(&conv(r#""bias": [8]"#), "no attribute bias (did you mean b?)");
        refused(&conv(r#""activation": {"type": "relu", "alpha": 1}"#), "activation: relu has no attribute alpha");
        refused(&conv(r#""w": [8, 3, 3, 3]"#), "are two names of one input");
        let long = |attrs: &str, inputs: &str| format!(r#"{{"name": "t", "op": "softmax", "attrs": {attrs}, "inputs": {inputs}}}"#);
        refused(&long(r#"{"axis": 1, "axes": 2}"#, r#"{"x": [4, 8]}"#), "softmax has no attribute axes (did you mean axis?)");
        refused(&long(r#"{"axis": 1}"#, r#"{"x": [4, 8], "z": [3]}"#), "softmax has no input z");
        refused(&long(r#"{"axis": 1, "axis": 0}"#, r#"{"x": [4, 8]}"#), "axis stands twice in one object at line 1");
        refused(&long(r#"{"axis": 1}"#, r#"{"x": [4, 8], "x": [8, 4]}"#), "x stands twice in one object");
        refused(&long(r#"[1]"#, r#"{"x": [4, 8]}"#), "attrs is [1]: it is an object");
        refused(r#"{"name": "t", "op": "softmax", "inputs": {"x": [4, 8]}, "axis": 1}"#, "axis stands beside inputs");
        refused(
            r#"{"name": "t", "op": "max_poll", "input": [1, 1, 8, 8]}"#,
            "op max_poll is not known (did you mean max_pool?): wgconv ops lists them",
        );
        refused(r#"{"name": "t", "op": "max_pool", "input": [1, 1, 8, 8]}"#, "the attribute kernel_shape is missing: a number for each spatial axis");
        refused(
            r#"{"name": "t", "op": "depth_to_space", "input": [1, 4, 2, 2], "blocksize": 2, "mode": "RCD"}"#,
            "mode is RCD: it is one of DCR, CRD",
        );
        refused(r#"{"name": "t", "op": "relu", "input": [1, 1.5]}"#, "x is [1,1.5]: a shape is a list of whole numbers");
        refused(
            r#"{"name": "t", "op": "add_residual", "of": "linear", "x": [1, 4], "w": [4, 4], "residual": [1, 4], "b": [4], "pads": [1]}"#,
            "pads",
        );
        refused(r#"{"op": "relu", "input": [1]}"#, "entry 0: name is missing");
        refused(r#"{"name": "a\nb\u001b[31m", "op": "fold"}"#, "a b\\u{1b}[31m: op fold");
        refused("7", "entry 0 is no object");
        assert!(shown("{}").unwrap_err().starts_with("it must be a list of layers"));
    }

    /// What `wgconv ops` shows works as it stands, runs, and says the truth about what may be left out.
    #[test]
    fn every_example_runs_and_its_defaults_are_true() {
        for signature in named::SIGNATURES {
            let example = signature.example();
            let entry: Map<String, Value> = serde_json::from_str(&example).unwrap();
            let of = |entry: &Map<String, Value>| shown(&Value::from(vec![Value::Object(entry.clone())]).to_string());
            if !signature.is_timed() {
                let why = of(&entry).unwrap_err();
                assert!(why.contains("is no single kernel call"), "{example}: {why}");
                continue;
            }
            of(&entry).unwrap_or_else(|why| panic!("{example}: {why}"));
            for attribute in signature.attributes() {
                let mut other = entry.clone();
                if attribute.default.is_empty() {
                    assert!(other.remove(attribute.name).is_some(), "{example} lacks {}", attribute.name);
                    assert!(of(&other).unwrap_err().contains(&format!("the attribute {} is missing", attribute.name)), "{example}");
                } else if let Ok(default) = serde_json::from_str::<Value>(attribute.default) {
                    other.remove(attribute.name);
                    let left_out = of(&other).unwrap_or_else(|why| panic!("{example} without {}: {why}", attribute.name));
                    other.insert(attribute.name.into(), default);
                    assert_eq!(of(&other), Ok(left_out), "{example}: {} is {} by default", attribute.name, attribute.default);
                } else {
                    other.remove(attribute.name);
                    of(&other).unwrap_or_else(|why| panic!("{example} without {}: {why}", attribute.name));
                }
            }
        }
    }

    /// On the GPU and by the reference; whole numbers from -2 to 2, so that every op has room for them.
    #[test]
    fn every_example_computes() {
        let gpu = wgconv::Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one");
        for signature in named::SIGNATURES.iter().filter(|signature| signature.is_timed()) {
            let layer = parse(&format!("[{}]", signature.example()), Kind::PLAIN).unwrap().remove(0);
            let op = layer.op();
            let data: Vec<Vec<f64>> = op
                .inputs()
                .iter()
                .map(|spec| {
                    let value = |i: usize| if spec.tensor.element == ElementType::U32 { i as f64 } else { (i * 7 % 5) as f64 - 2.0 };
                    // A variance is not negative.
                    let least = if signature.op == "batch_norm" && spec.tensor.extents.len() == 1 { 0.0 } else { f64::NEG_INFINITY };
                    (0..spec.tensor.extents.iter().product()).map(|i| value(i).max(least)).collect()
                })
                .collect();
            let tensors: Vec<_> = op.inputs().iter().zip(&data).map(|(spec, data)| wgconv::validate::upload(&gpu, spec, data).unwrap()).collect();
            let y =
                gpu.run(|r| r.op(op, &tensors.iter().collect::<Vec<_>>())).unwrap_or_else(|error| panic!("{}: {error}", signature.op)).swap_remove(0);
            let got = wgconv::validate::download(&y).unwrap();
            let operands: Vec<&[f64]> = data.iter().map(Vec::as_slice).collect();
            let want = op.reference(&operands).swap_remove(0);
            let spec = &op.outputs()[0];
            let mismatch = wgconv::validate::compare::compare(&got, &want.value, |i| want.allowed(i, spec.tensor.element));
            assert!(mismatch.is_none(), "{}: {}", signature.op, mismatch.map_or(String::new(), |m| m.describe(&spec.tensor.extents)));
        }
    }

    /// The lists beside the benches are in the vocabulary.
    #[test]
    fn the_lists_of_the_repository_are_read() {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches");
        for file in ["large.json", "peers/shapes.json", "few_filters.json", "peak.json", "ops.json", "filters_of_a_channel.json", "shapes.json"] {
            assert!(
                !read(&benches.join(file), Kind::PLAIN)
                    .unwrap_or_else(|failure| match failure {
                        Failure::Run(why) => panic!("{why}"),
                        _ => panic!("{file}"),
                    })
                    .is_empty()
            );
        }
    }
}
