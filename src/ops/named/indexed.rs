//! Gather, scatter and the first elements of an order by name.

use super::attributes::{flag, read};
use super::{BuildError, Call, Inputs, missing};
use crate::ops::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem};
use crate::ops::top_k::{TopKDescriptor, TopKOrder, TopKProblem};
use crate::types::{ElementType, Layout, TensorType};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Indexed {
    #[serde(default)]
    axis: isize,
    #[serde(default)]
    batch_dims: usize,
    reduction: Option<String>,
}

#[derive(Deserialize)]
struct First {
    k: Option<usize>,
    axis: Option<isize>,
    #[serde(default = "yes")]
    largest: u8,
}

fn yes() -> u8 {
    1
}

/// The gathers and scatters; indices are of u32.
pub fn indexed(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let a: Indexed = read(attrs)?;
    let indexing = match op {
        "gather" | "scatter" => Indexing::Slices { axis: a.axis },
        "gather_nd" | "scatter_nd" => Indexing::Places { batch_axes: a.batch_dims },
        _ => Indexing::Elements { axis: a.axis },
    };
    let (x, indices) = (inputs.tensor("x")?, TensorType::new(inputs.need("indices")?, ElementType::U32, Layout::ChannelsFirst));
    if op.starts_with("gather") {
        return Ok(Call::one(GatherProblem::new(x, &indices, indexing)?, &["x", "indices"], &["y"]));
    }
    let descriptor = ScatterDescriptor { indexing, reduction: a.reduction.map_or(Ok(Default::default()), |reduction| reduction.parse())? };
    let problem = ScatterProblem::new(x, &indices, inputs.tensor("updates")?, &descriptor)?;
    Ok(Call::one(problem, &["x", "indices", "updates"], &["y"]))
}

/// top_k.
pub fn top_k(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let a: First = read(attrs)?;
    let order = if flag("largest", a.largest)? { TopKOrder::Largest } else { TopKOrder::Smallest };
    let descriptor = TopKDescriptor { k: a.k.ok_or_else(|| missing("k"))?, axis: a.axis.unwrap_or(-1), order };
    Ok(Call::one(TopKProblem::new(inputs.tensor("x")?, &descriptor)?, &["x"], &["y", "indices"]))
}
