//! Shape ops: what networks need between convolutions to move, cut, join, pad and resize tensors.
//!
//! Three kernels serve all of them: a strided copy (`copy`: [`Transpose`], [`ToLayout`], [`Slice`], [`Concat`], [`DepthToSpace`]), a gather
//! driven by a table of source offsets per axis (`gather`: [`Pad`], nearest [`Resize`]), and linear interpolation (`linear`). Reshaping
//! copies nothing (`reshape`). What only moves is exact; what interpolates has a derived bound.

mod concat;
mod copy;
mod depth_to_space;
mod gather;
mod linear;
mod pad;
mod params;
mod reshape;
mod resize;
mod slice;
mod transpose;

pub use concat::Concat;
pub use depth_to_space::{DepthToSpace, DepthToSpaceMode};
pub use pad::{Pad, PadMode};
pub(crate) use params::{CopyAxis, CopyParams, GatherAxis, GatherParams, ResizeAxis, ResizeParams};
pub use reshape::{flatten_extents, reshape_extents};
pub use resize::{CoordinateMode, NearestMode, Resize, ResizeDescriptor, ResizeMode};
pub use slice::{Slice, SliceRange};
pub use transpose::{ToLayout, Transpose};

pub(crate) use copy::{StridedAxis, StridedCopy};
pub(crate) use gather::NOTHING;
pub(crate) use linear::Tap;

use crate::op::{Domain, TensorSpec};
use crate::tensor::Tensor;
use crate::types::Result;
use crate::types::element::ElementType;
use crate::types::shape::{Layout, TensorShape};

/// What a shape op must know of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

    /// The kind of `tensor`.
    pub fn of(tensor: &Tensor) -> Self {
        let layout = if tensor.shape().rank() < 3 { Layout::ChannelsFirst } else { tensor.layout() };
        Self { extents: tensor.shape().extents().to_vec(), element: tensor.element(), layout }
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

/// Elements of a row that one workgroup takes. Each workgroup decodes its row once, so the longer its part the less that costs; a GPU
/// wants many workgroups, a processor few.
pub(crate) fn segment(run: u64, is_cpu: bool) -> u64 {
    run.min(if is_cpu { 2048 } else { 256 })
}

/// From this length on, a row is worth a workgroup of its own. Measured on three software drivers: at 16 one element per invocation is 2 to 4
/// times as fast, at 64 drivers differ, at 224 rows are 1.2 to 2.7 times as fast.
pub(crate) fn is_row(run: u64, is_cpu: bool) -> bool {
    run >= if is_cpu { 96 } else { 32 }
}
