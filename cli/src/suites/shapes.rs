//! Layers from a `--shapes` file: any op in the vocabulary of test vectors, and a short form for convolutions.

use super::{Kind, Layer, Work};
use crate::ops::{self, Given, Inputs};
use crate::{Failure, input};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use wgconv::conv::{ConvDescriptor, ConvInputs, ConvProblem};
use wgconv::{ElementType, Padding};

/// An entry: `inputs` by role and `attrs`, or the short form of a convolution, whose fields are the rest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    op: String,
    inputs: Option<BTreeMap<String, Vec<usize>>>,
    #[serde(default)]
    attrs: Value,
    input: Option<Vec<usize>>,
    filter: Option<Vec<usize>>,
    strides: Option<Vec<usize>>,
    pads: Option<Vec<usize>>,
    dilations: Option<Vec<usize>>,
    group: Option<usize>,
}

/// Reads the layers of a `--shapes` file.
pub fn read(path: &Path, kind: Kind) -> Result<Vec<Layer>, Failure> {
    let fail = |why: String| Failure::Run(format!("{}: {why}", path.display()));
    let text = input::text(path)?;
    let entries: Vec<Entry> = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    if entries.is_empty() {
        return Err(fail("the list is empty".into()));
    }
    let layer = |entry: Entry| {
        let work = match (&entry.inputs, &entry.input, &entry.filter) {
            (Some(inputs), None, None) => any(&entry, inputs, kind),
            (None, Some(input), Some(filter)) if entry.op == "conv" => conv(&entry, input, filter, kind).map(|problem| Work::Conv(Box::new(problem))),
            (None, ..) if entry.op == "conv" => Err("a convolution has input and filter, or inputs and attrs".into()),
            (None, ..) => Err(format!("op is {}: the short form is conv's; other ops have inputs and attrs", entry.op)),
            (Some(_), ..) => Err("inputs and the short form exclude each other".into()),
        };
        work.map(|work| Layer { name: entry.name.clone(), work }).map_err(|why| fail(format!("{}: {why}", entry.name)))
    };
    entries.into_iter().map(layer).collect()
}

fn any(entry: &Entry, inputs: &BTreeMap<String, Vec<usize>>, kind: Kind) -> Result<Work, String> {
    let given = inputs
        .iter()
        .map(|(role, shape)| {
            let element = if role == "indices" { ElementType::U32 } else { kind.element };
            (role.clone(), Given { shape: shape.clone(), element })
        })
        .collect();
    let inputs = Inputs { given: &given, layout: kind.layout, accuracy: kind.accuracy, extras: false };
    let call = ops::build(&entry.op, &entry.attrs, &inputs)?;
    call.single().map(Work::Other).ok_or_else(|| format!("op {} of these inputs is no single kernel call", entry.op))
}

fn conv(entry: &Entry, input: &[usize], filter: &[usize], kind: Kind) -> Result<ConvProblem, String> {
    match filter.len() {
        3 => resolve::<1>(entry, input, filter, kind),
        4 => resolve::<2>(entry, input, filter, kind),
        5 => resolve::<3>(entry, input, filter, kind),
        rank => Err(format!("filter is {filter:?}: its rank is 3 to 5, not {rank}")),
    }
}

fn resolve<const N: usize>(entry: &Entry, input: &[usize], filter: &[usize], kind: Kind) -> Result<ConvProblem, String> {
    let list = |name: &str, values: &Option<Vec<usize>>| values.as_deref().map_or(Ok([1; N]), |v| ops::attributes::list(name, v));
    let descriptor = ConvDescriptor {
        stride: list("strides", &entry.strides)?,
        dilation: list("dilations", &entry.dilations)?,
        padding: entry.pads.as_deref().map_or(Ok(Padding::Valid), ops::attributes::explicit)?,
        groups: entry.group.unwrap_or(1),
        accuracy: kind.accuracy,
        ..Default::default()
    };
    let inputs = ConvInputs { element: kind.element, x_layout: kind.layout, y_layout: kind.layout, ..ConvInputs::new(input, filter, None) };
    ConvProblem::forward::<N>(&descriptor, &inputs).map_err(|e| e.to_string())
}
