//! The written forms of gather, scatter and the first elements of an order.

use super::signed;
use crate::ops::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem};
use crate::ops::top_k::{TopKDescriptor, TopKOrder, TopKProblem};
use crate::types::{Error, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gather {
    x: TensorType,
    indices: TensorType,
    indexing: Indexing,
}

impl From<GatherProblem> for Gather {
    fn from(p: GatherProblem) -> Self {
        Self { x: p.x, indices: p.indices, indexing: p.indexing }
    }
}

impl TryFrom<Gather> for GatherProblem {
    type Error = Error;

    fn try_from(w: Gather) -> Result<Self> {
        GatherProblem::new(&w.x, &w.indices, w.indexing)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scatter {
    x: TensorType,
    indices: TensorType,
    updates: Vec<usize>,
    descriptor: ScatterDescriptor,
}

impl From<ScatterProblem> for Scatter {
    fn from(p: ScatterProblem) -> Self {
        Self { updates: p.updates().to_vec(), x: p.x, indices: p.indices, descriptor: p.descriptor }
    }
}

impl TryFrom<Scatter> for ScatterProblem {
    type Error = Error;

    fn try_from(w: Scatter) -> Result<Self> {
        let updates = TensorType::new(&w.updates, w.x.element, Layout::ChannelsFirst);
        ScatterProblem::new(&w.x, &w.indices, &updates, &w.descriptor)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopK {
    x: TensorType,
    k: usize,
    axis: usize,
    order: TopKOrder,
}

impl From<TopKProblem> for TopK {
    fn from(p: TopKProblem) -> Self {
        Self { x: p.x, k: p.k, axis: p.axis, order: p.order }
    }
}

impl TryFrom<TopK> for TopKProblem {
    type Error = Error;

    fn try_from(w: TopK) -> Result<Self> {
        TopKProblem::new(&w.x, &TopKDescriptor { k: w.k, axis: signed("axis", w.axis)?, order: w.order })
    }
}
