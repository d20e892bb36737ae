//! Transposing: the logical axes in another order, or the same order in another memory layout.

use super::copy::moves;
use super::{StridedAxis, StridedCopy, TensorKind, joined};
use crate::gpu::Recorder;
use crate::tensor::Tensor;
use crate::types::shape::Layout;
use crate::types::{Error, Result};

/// y has x's axes in the order `perm`: axis i of y is axis `perm[i]` of x. y is channels-first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transpose {
    pub(crate) x: TensorKind,
    pub(crate) perm: Vec<usize>,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl Transpose {
    /// The input.
    pub fn x(&self) -> &TensorKind {
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
    pub fn new(x: TensorKind, perm: &[usize]) -> Result<Self> {
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

    fn op_name(&self) -> &'static str {
        "transpose"
    }

    fn kinds(&self) -> Vec<TensorKind> {
        vec![self.x.clone()]
    }

    fn kind(&self) -> TensorKind {
        TensorKind { extents: self.output_extents(), layout: Layout::ChannelsFirst, ..self.x.clone() }
    }

    fn copies(&self, x: &[Vec<i64>], y: &[i64]) -> Vec<StridedCopy> {
        let axis = |(place, &axis): (usize, &usize)| StridedAxis { extent: self.x.extents[axis] as u64, x: x[0][axis], y: y[place] };
        vec![StridedCopy { input: 0, x_base: 0, y_base: 0, axes: self.perm.iter().enumerate().map(axis).collect() }]
    }

    fn reference_of(&self, inputs: &[&[f64]]) -> Vec<f64> {
        crate::reference::transform::transpose(self, inputs[0])
    }
}

impl std::fmt::Display for Transpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_perm{}", self.x, joined(&self.perm, ","))
    }
}

moves!(Transpose);

/// y is x in another memory layout; the logical order stays.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ToLayout {
    /// The input.
    pub x: TensorKind,
    /// The layout of y.
    pub layout: Layout,
}

impl ToLayout {
    /// A conversion of `x`.
    ///
    /// # Errors
    /// None today; the signature is that of the other shape ops.
    pub fn new(x: TensorKind, layout: Layout) -> Result<Self> {
        Ok(Self { x, layout })
    }

    fn op_name(&self) -> &'static str {
        "to_layout"
    }

    fn kinds(&self) -> Vec<TensorKind> {
        vec![self.x.clone()]
    }

    fn kind(&self) -> TensorKind {
        let layout = if self.x.rank() < 3 { Layout::ChannelsFirst } else { self.layout };
        TensorKind { layout, ..self.x.clone() }
    }

    fn copies(&self, x: &[Vec<i64>], y: &[i64]) -> Vec<StridedCopy> {
        let axes = self.x.extents.iter().zip(&x[0]).zip(y).map(|((&extent, &x), &y)| StridedAxis { extent: extent as u64, x, y }).collect();
        vec![StridedCopy { input: 0, x_base: 0, y_base: 0, axes }]
    }

    fn reference_of(&self, inputs: &[&[f64]]) -> Vec<f64> {
        inputs[0].to_vec() // values are in logical order whatever the layout
    }
}

impl std::fmt::Display for ToLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_to_{}", self.x, if self.layout == Layout::ChannelsLast { "cl" } else { "cf" })
    }
}

moves!(ToLayout);

impl Recorder<'_> {
    /// Records a transpose: axis i of the output is axis `perm[i]` of x. The output is channels-first.
    ///
    /// # Errors
    /// A `perm` that does not name every axis once; sizes past the device's limits.
    pub fn transpose(&mut self, x: &Tensor, perm: &[usize]) -> Result<Tensor> {
        self.op1(&Transpose::new(TensorKind::of(x), perm)?, &[x])
    }

    /// x in `layout`: x itself where it is stored so already, else a recorded copy.
    ///
    /// # Errors
    /// Sizes past the device's limits.
    pub fn to_layout(&mut self, x: &Tensor, layout: Layout) -> Result<Tensor> {
        if let Some(same) = x.relabelled(layout) {
            return Ok(same);
        }
        self.op1(&ToLayout::new(TensorKind::of(x), layout)?, &[x])
    }
}

crate::op::eager! {
    fn transpose(x: &Tensor, perm: &[usize]) -> Tensor;
    fn to_layout(x: &Tensor, layout: Layout) -> Tensor;
}
