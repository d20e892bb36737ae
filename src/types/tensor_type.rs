//! [`TensorType`]: extents, element type and layout, as every problem takes them.

use crate::types::{ElementType, Error, Layout, Result, TensorShape};
use serde::{Deserialize, Serialize};

/// What a tensor is, but for its contents. Plain data: constructors that take one check it, and name the argument that it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorType {
    /// N C \[D\] \[H\] W, or whatever the op takes.
    pub extents: Vec<usize>,
    /// Its element type.
    pub element: ElementType,
    /// Its memory layout; below rank 3 the layouts are one.
    pub layout: Layout,
}

impl TensorType {
    /// A tensor of these extents, element type and layout.
    pub fn new(extents: &[usize], element: ElementType, layout: Layout) -> Self {
        Self { extents: extents.to_vec(), element, layout }
    }

    /// f32, channels-first.
    pub fn f32(extents: &[usize]) -> Self {
        Self::new(extents, ElementType::F32, Layout::ChannelsFirst)
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.extents.len()
    }

    /// The same, channels-first below rank 3; `argument` is its name in the error.
    ///
    /// # Errors
    /// Rank above 5, an extent of 0, more than [`MAX_COUNT`](crate::types::shape::MAX_COUNT) elements.
    pub(crate) fn checked(self, argument: &str) -> Result<Self> {
        TensorShape::named(argument, &self.extents)?;
        let layout = if self.rank() < 3 { Layout::ChannelsFirst } else { self.layout };
        Ok(Self { layout, ..self })
    }

    /// As [`TensorType::checked`], for arithmetic: indices are refused.
    pub(crate) fn checked_float(&self, argument: &str) -> Result<()> {
        self.element.check_float(argument)?;
        TensorShape::named(argument, &self.extents).map(|_| ())
    }

    /// Ops work on one element type; `argument` is this one's name, `other` and `of` are the type that it must have and whose that is.
    pub(crate) fn check_element(&self, argument: &str, other: ElementType, of: &str) -> Result<()> {
        if self.element == other {
            return Ok(());
        }
        Err(Error::invalid(argument, format!("of {}", self.element), format!("it must hold {other}, as {of} does")))
    }

    /// A type of other extents and layout, checked.
    pub(crate) fn resized(&self, argument: &str, extents: &[usize], layout: Layout) -> Result<Self> {
        Self::new(extents, self.element, layout).checked(argument)
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
impl std::fmt::Display for TensorType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", joined(&self.extents, "x"))?;
        if self.layout == Layout::ChannelsLast {
            write!(f, "_cl")?;
        }
        if self.element == ElementType::F32 { Ok(()) } else { write!(f, "_{}", self.element) }
    }
}

/// Numbers with a separator between them, for ids.
pub(crate) fn joined<T: ToString>(numbers: &[T], separator: &str) -> String {
    if numbers.is_empty() {
        return "scalar".into();
    }
    numbers.iter().map(T::to_string).collect::<Vec<_>>().join(separator)
}

/// Strides of the logical axes in memory, in elements; an element count that was checked fits.
pub(crate) fn strides(extents: &[usize], layout: Layout) -> Vec<i64> {
    let mut strides = vec![0; extents.len()];
    let mut step = 1i64;
    for axis in layout.memory_order(extents.len()).into_iter().rev() {
        strides[axis] = step;
        step = step.saturating_mul(extents[axis] as i64);
    }
    strides
}
