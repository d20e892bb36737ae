//! What a shape op must know of a tensor.

use crate::ops::spec::{Domain, TensorSpec};
use crate::types::{ElementType, Layout, Result, TensorShape};
use serde::{Deserialize, Serialize};

/// What a shape op must know of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Tensor", into = "crate::ops::written::Tensor")]
pub struct TensorKind {
    /// Its extents.
    pub extents: Vec<usize>,
    /// Its element type.
    pub element: ElementType,
    /// Its memory layout; channels-first below rank 3, where the layouts are one.
    pub layout: Layout,
}

impl TensorKind {
    /// A tensor of this kind; `argument` is its name in the error.
    ///
    /// # Errors
    /// Rank above 5, an extent of 0, an element count that does not fit 64 bits.
    pub fn new(argument: &str, extents: &[usize], element: ElementType, layout: Layout) -> Result<Self> {
        TensorShape::named(argument, extents)?;
        let layout = if extents.len() < 3 { Layout::ChannelsFirst } else { layout };
        Ok(Self { extents: extents.to_vec(), element, layout })
    }

    /// Another tensor of the same element type.
    pub(crate) fn resized(&self, argument: &str, extents: &[usize], layout: Layout) -> Result<Self> {
        Self::new(argument, extents, self.element, layout)
    }

    pub(crate) fn spec(&self, name: impl Into<std::borrow::Cow<'static, str>>) -> TensorSpec {
        let spec = TensorSpec::new(name, &self.extents, self.element, self.layout);
        if self.element == ElementType::U32 { spec.with_domain(Domain::Index(1 << 32)) } else { spec }
    }

    pub(crate) fn rank(&self) -> usize {
        self.extents.len()
    }

    /// Strides of the logical axes in memory.
    pub(crate) fn strides(&self) -> Vec<i64> {
        strides(&self.extents, self.layout)
    }

    /// Strides of the logical axes in logical order.
    pub(crate) fn logical_strides(&self) -> Vec<i64> {
        strides(&self.extents, Layout::ChannelsFirst)
    }
}

/// Such as `2x3x4x5_cl_f16`.
impl std::fmt::Display for TensorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", joined(&self.extents, "x"))?;
        if self.layout == Layout::ChannelsLast {
            write!(f, "_cl")?;
        }
        if self.element != ElementType::F32 {
            write!(f, "_{}", self.element)?;
        }
        Ok(())
    }
}

/// Numbers with a separator between them, for ids.
pub(crate) fn joined<T: ToString>(numbers: &[T], separator: &str) -> String {
    if numbers.is_empty() {
        return "scalar".into();
    }
    numbers.iter().map(T::to_string).collect::<Vec<_>>().join(separator)
}

/// Strides that fit: a kind's element count was checked, and plans keep it below 2^31.
fn strides(extents: &[usize], layout: Layout) -> Vec<i64> {
    let mut strides = vec![0; extents.len()];
    let mut step = 1i64;
    for axis in layout.memory_order(extents.len()).into_iter().rev() {
        strides[axis] = step;
        step = step.saturating_mul(extents[axis] as i64);
    }
    strides
}
