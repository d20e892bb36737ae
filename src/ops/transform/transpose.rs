//! Transposing: the logical axes in another order, or the same order in another memory layout.

use crate::ops::transform::moves::Moves;
use crate::types::strided::{StridedAxis, StridedCopy};
use crate::types::tensor_type::{TensorType, joined};
use crate::types::{Error, Layout, Result};
use serde::{Deserialize, Serialize};

/// y has x's axes in the order `perm`: axis i of y is axis `perm[i]` of x. y is channels-first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Transpose", into = "crate::ops::written::Transpose")]
pub struct Transpose {
    pub(crate) x: TensorType,
    pub(crate) perm: Vec<usize>,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl Transpose {
    /// The input.
    pub fn x(&self) -> &TensorType {
        &self.x
    }

    /// For each axis of y, the axis of x.
    pub fn perm(&self) -> &[usize] {
        &self.perm
    }
}

impl Transpose {
    /// A transpose of `x`.
    ///
    /// # Errors
    /// A `perm` that does not name every axis of x once.
    pub fn new(x: &TensorType, perm: &[usize]) -> Result<Self> {
        let x = x.clone().checked("x")?;
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..x.rank()) {
            return Err(Error::invalid("perm", format!("{perm:?}"), format!("it must name each of the {} axes of x once, from 0 on", x.rank())));
        }
        Ok(Self { x, perm: perm.to_vec() })
    }

    /// Extents of y.
    pub fn output_extents(&self) -> Vec<usize> {
        self.perm.iter().map(|&axis| self.x.extents[axis]).collect()
    }
}

impl Moves for Transpose {
    fn op_name(&self) -> &'static str {
        "transpose"
    }

    fn kinds(&self) -> Vec<TensorType> {
        vec![self.x.clone()]
    }

    fn kind(&self) -> TensorType {
        TensorType { extents: self.output_extents(), layout: Layout::ChannelsFirst, ..self.x.clone() }
    }

    fn copies(&self, x: &[Vec<i64>], y: &[i64]) -> Vec<StridedCopy> {
        let axis = |(place, &axis): (usize, &usize)| StridedAxis { extent: self.x.extents[axis] as u64, x: x[0][axis], y: y[place] };
        vec![StridedCopy { input: 0, x_base: 0, y_base: 0, axes: self.perm.iter().enumerate().map(axis).collect() }]
    }
}

impl std::fmt::Display for Transpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_perm{}", self.x, joined(&self.perm, ","))
    }
}

/// y is x in another memory layout; the logical order stays.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::ToLayout", into = "crate::ops::written::ToLayout")]
pub struct ToLayout {
    /// The input.
    pub x: TensorType,
    /// The layout of y.
    pub layout: Layout,
}

impl ToLayout {
    /// A conversion of `x`.
    ///
    /// # Errors
    /// None today; the signature is that of the other shape ops.
    pub fn new(x: &TensorType, layout: Layout) -> Result<Self> {
        let x = x.clone().checked("x")?;
        Ok(Self { x, layout })
    }
}

impl Moves for ToLayout {
    fn op_name(&self) -> &'static str {
        "to_layout"
    }

    fn kinds(&self) -> Vec<TensorType> {
        vec![self.x.clone()]
    }

    fn kind(&self) -> TensorType {
        let layout = if self.x.rank() < 3 { Layout::ChannelsFirst } else { self.layout };
        TensorType { layout, ..self.x.clone() }
    }

    fn copies(&self, x: &[Vec<i64>], y: &[i64]) -> Vec<StridedCopy> {
        let axes = self.x.extents.iter().zip(&x[0]).zip(y).map(|((&extent, &x), &y)| StridedAxis { extent: extent as u64, x, y }).collect();
        vec![StridedCopy { input: 0, x_base: 0, y_base: 0, axes }]
    }
}

impl std::fmt::Display for ToLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_to_{}", self.x, if self.layout == Layout::ChannelsLast { "cl" } else { "cf" })
    }
}
