//! A layer on the command line: `OP key=value ...`, where a key is an input with its extents (`x=1x64x56x56`) or an attribute of the op
//! (`pads=1`, `axis=-1`, `activation=relu`), made into an entry of a `--shapes` list.

use crate::json;
use serde_json::{Map, Value, json};
use wgconv::op::named::known;

/// A `--shapes` list of one entry. What is JSON already stays as it is, but for a name where there is none.
pub fn list(text: &str) -> Result<String, String> {
    let entry = if text.trim_start().starts_with('{') {
        let mut entry = json::parse(text)?;
        if let Value::Object(fields) = &mut entry {
            fields.entry("name").or_insert_with(|| "layer".into());
        }
        entry
    } else {
        entry(text)?
    };
    Ok(json!([entry]).to_string())
}

fn entry(text: &str) -> Result<Value, String> {
    let mut words = text.split_whitespace();
    let op = words.next().ok_or("it is empty: it begins with the name of an op")?;
    let signature = known(op).map_err(|error| error.to_string())?;
    let (mut inputs, mut given, mut name) = (Map::new(), Vec::new(), text.to_string());
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("\"{word}\" is no KEY=VALUE"))?;
        if key == "name" {
            name = value.to_string();
        } else if signature.has_attribute(key) {
            given.push((key, value));
        } else if inputs
            .insert(key.into(), json!(extents(value).ok_or_else(|| format!("{key} is {value}: extents are numbers with an x between"))?))
            .is_some()
        {
            return Err(format!("{key} comes twice"));
        }
    }
    let rank = |role: &str| inputs.get(role).and_then(Value::as_array).map_or(0, Vec::len);
    let axes = rank("x").saturating_sub(2);
    let mut attrs = Map::new();
    for (key, value) in given {
        if attrs.insert(key.into(), attribute(signature.has_window(), key, value, axes)).is_some() {
            return Err(format!("{key} comes twice"));
        }
    }
    // The filter has the window's extents.
    if let (true, Some(filter)) = (signature.has_attribute("kernel_shape"), inputs.get("w").and_then(Value::as_array)) {
        attrs.entry("kernel_shape").or_insert_with(|| filter.iter().skip(2).cloned().collect());
    }
    Ok(json!({"name": name, "op": op, "inputs": inputs, "attrs": attrs}))
}

/// `1x64x56x56`.
fn extents(text: &str) -> Option<Vec<usize>> {
    text.split('x').map(|extent| extent.parse().ok()).collect()
}

/// The value of an attribute: numbers with an x or a comma between them are a list; one number for all axes of a window is as many of them,
/// and one pad an axis is for both of its ends.
fn attribute(window: bool, key: &str, text: &str, axes: usize) -> Value {
    const LISTS: [&str; 9] = ["axes", "perm", "starts", "ends", "steps", "sizes", "scales", "shape", "output_size"];
    if key == "activation" {
        return json!({"type": text});
    }
    let numbers: Option<Vec<Value>> = text.split(['x', ',']).map(number).collect();
    let Some(numbers) = numbers else { return text.into() };
    let spatial = window && ["kernel_shape", "strides", "dilations", "pads", "output_padding", "output_shape"].contains(&key);
    match (numbers.as_slice(), spatial) {
        ([one], true) => vec![one.clone(); if key == "pads" { 2 * axes } else { axes }].into(),
        (list, true) if key == "pads" && list.len() == axes => [list, list].concat().into(),
        ([one], false) if !LISTS.contains(&key) && key != "pads" => one.clone(),
        (list, _) => list.to_vec().into(),
    }
}

fn number(text: &str) -> Option<Value> {
    text.parse::<i64>().ok().map(Value::from).or_else(|| text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Value::from))
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, shapes};
    use super::*;

    #[test]
    fn words_become_an_entry() {
        let read = |text: &str| -> Value { serde_json::from_str::<Vec<Value>>(&list(text).unwrap()).unwrap().remove(0) };
        let conv = read("conv x=1x64x56x56 w=64x64x3x3 pads=1 strides=2x1 group=2 activation=relu");
        assert_eq!((&conv["inputs"]["x"], &conv["inputs"]["w"]), (&json!([1, 64, 56, 56]), &json!([64, 64, 3, 3])));
        assert_eq!(
            conv["attrs"],
            json!({"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 1], "group": 2, "activation": {"type": "relu"}})
        );
        assert_eq!(read("conv x=1x2x9 w=4x2x3 pads=0,2")["attrs"]["pads"], json!([0, 2]));
        assert_eq!(read("max_pool x=1x3x8x8 kernel_shape=2 pads=0x1")["attrs"]["pads"], json!([0, 1, 0, 1]));
        assert_eq!(read("softmax x=4x8 axis=-1 name=soft"), json!({"name": "soft", "op": "softmax", "inputs": {"x": [4, 8]}, "attrs": {"axis": -1}}));
        assert_eq!(read(r#"{"op": "conv", "input": [1]}"#)["name"], "layer");
        for (text, says) in [
            ("", "it is empty"),
            ("fold x=1", "op fold is not known"),
            ("relu x", "\"x\" is no KEY=VALUE"),
            ("relu x=1xax2", "x is 1xax2"),
            ("relu x=1 x=2", "x comes twice"),
        ] {
            assert!(list(text).unwrap_err().contains(says), "{text}");
        }
    }

    #[test]
    fn words_are_layers() {
        for (text, shape) in [
            ("conv x=1x64x56x56 w=64x64x3x3 pads=1", "n1c64h56w56_k64r3s3_st1x1_p1,1,1,1_d1x1_g1"),
            ("conv_transpose x=1x8x5x5 w=8x4x2x2 strides=2", "t_n1c8h5w5_k4r2s2_st2x2_p0,0,0,0_d1x1_g1"),
            ("matmul a=9x7 b=7x20", "9x20x7"),
            ("reduce_sum x=4x5x6 axes=1 keepdims=0", "over1"),
        ] {
            let layers = shapes::parse(&list(text).unwrap(), Kind::PLAIN).unwrap();
            assert!(layers.len() == 1 && layers[0].op().to_string().contains(shape), "{}", layers[0].op());
        }
    }
}
