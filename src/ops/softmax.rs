//! Softmax and log-softmax along one axis, stable for large values, also in place.

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::types::shape::front_axis;
use crate::types::{ElementType, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

/// Softmax along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SoftmaxDescriptor {
    /// The axis; negative: from the end.
    pub axis: isize,
    /// The logarithm of the softmax.
    pub logarithm: bool,
}

impl Default for SoftmaxDescriptor {
    /// Along the last axis, no logarithm.
    fn default() -> Self {
        Self { axis: -1, logarithm: false }
    }
}

/// y = e^x / sum of e^x along an axis, or the logarithm of that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Softmax", into = "crate::ops::written::Softmax")]
pub struct SoftmaxProblem {
    pub(crate) logarithm: bool,
    pub(crate) extents: Vec<usize>,
    pub(crate) axis: usize,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
    pub(crate) in_place: bool,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl SoftmaxProblem {
    /// The logarithm of the softmax.
    pub fn logarithm(&self) -> bool {
        self.logarithm
    }

    /// Extents of x and y.
    pub fn extents(&self) -> &[usize] {
        &self.extents
    }

    /// The axis.
    pub fn axis(&self) -> usize {
        self.axis
    }

    /// Element type of x and y.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Layout of x and y.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether y is x itself: the op then takes no input, and changes its output.
    pub fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// The same, written over x.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }
}

impl SoftmaxProblem {
    /// Resolves a softmax.
    ///
    /// # Errors
    /// An axis outside the rank; extents that make no tensor.
    pub fn new(x: &TensorType, descriptor: &SoftmaxDescriptor) -> Result<Self> {
        x.checked_float("x")?;
        let axis = front_axis("axis", descriptor.axis, x.rank())?;
        let TensorType { extents, element, layout } = x.clone();
        Ok(Self { logarithm: descriptor.logarithm, extents, axis, element, layout, in_place: false })
    }

    /// The tensor in memory as \[outer\]\[length\]\[inner\].
    pub(crate) fn lines(&self) -> [u64; 3] {
        let order = self.layout.memory_order(self.extents.len());
        let place = order.iter().position(|&axis| axis == self.axis).unwrap_or(0);
        let product = |axes: &[usize]| axes.iter().map(|&axis| self.extents[axis] as u64).product();
        [product(&order[..place]), self.extents[self.axis] as u64, product(&order[place + 1..])]
    }
}

impl Problem for SoftmaxProblem {
    fn name(&self) -> &'static str {
        if self.logarithm { "log_softmax" } else { "softmax" }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        if self.in_place { vec![] } else { vec![TensorSpec::new("x", &self.extents, self.element, self.layout)] }
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec { in_out: self.in_place, ..TensorSpec::new("y", &self.extents, self.element, self.layout) }]
    }

    fn is_exact(&self) -> bool {
        false
    }

    fn flops(&self) -> f64 {
        4.0 * self.extents.iter().map(|&e| e as f64).product::<f64>()
    }
}

impl std::fmt::Display for SoftmaxProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x")?;
        crate::ops::spec::write_tensor(f, &self.extents, self.element, self.layout)?;
        write!(f, "_axis{}{}", self.axis, if self.in_place { "_in_place" } else { "" })
    }
}
