//! What a caller asks for: plain structs with public fields. Nothing is checked here; the problems check.

use crate::types::Padding;
use crate::types::bits::by_key;
use serde::{Deserialize, Serialize};

/// A pooling by a window that slides over N spatial axes. Lists run from the slowest axis to the width.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(bound(serialize = "[usize; N]: Serialize", deserialize = "[usize; N]: Deserialize<'de>"))]
pub struct PoolDescriptor<const N: usize> {
    /// What is made of a window.
    pub kind: PoolKind,
    /// Extents of the window.
    pub window: [usize; N],
    /// Step between windows; `None`: the window's extents, so that windows do not overlap.
    pub stride: Option<[usize; N]>,
    /// Step between taps; 1 means none are skipped.
    pub dilation: [usize; N],
    /// Padding of the spatial axes. It never wins a maximum; an average counts it only when asked. Pads must be smaller than the dilated
    /// window.
    pub padding: Padding<N>,
    /// Rounds the output extent up: a last window may reach past the padded input, but must start inside the input or the begin padding.
    pub ceil_mode: bool,
}

impl<const N: usize> PoolDescriptor<N> {
    /// Maxima of windows of these extents side by side, without padding.
    pub const fn window(window: [usize; N]) -> Self {
        Self { kind: PoolKind::MAX, window, stride: None, dilation: [1; N], padding: Padding::Valid, ceil_mode: false }
    }

    /// The same of another kind.
    pub const fn with_kind(self, kind: PoolKind) -> Self {
        Self { kind, ..self }
    }

    /// The same with another step between windows.
    pub const fn with_stride(self, stride: [usize; N]) -> Self {
        Self { stride: Some(stride), ..self }
    }

    /// The same with padding.
    pub const fn with_padding(self, padding: Padding<N>) -> Self {
        Self { padding, ..self }
    }
}

impl<const N: usize> Default for PoolDescriptor<N> {
    /// Maxima of windows of one element, which change nothing.
    fn default() -> Self {
        Self::window([1; N])
    }
}

/// A pooling whose windows adapt to the spatial extents of its output: window i of m over n elements is floor(i n / m) .. ceil((i + 1) n / m).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(bound(serialize = "[usize; N]: Serialize", deserialize = "[usize; N]: Deserialize<'de>"))]
pub struct AdaptivePoolDescriptor<const N: usize> {
    /// What is made of a window.
    pub kind: PoolKind,
    /// Spatial extents of the output.
    pub output: [usize; N],
}

impl<const N: usize> Default for AdaptivePoolDescriptor<N> {
    /// The maximum of each plane.
    fn default() -> Self {
        Self { kind: PoolKind::MAX, output: [1; N] }
    }
}

/// A pooling window over one spatial axis.
pub type Pool1dDescriptor = PoolDescriptor<1>;

/// A pooling window over height and width.
pub type Pool2dDescriptor = PoolDescriptor<2>;

/// A pooling window over depth, height and width.
pub type Pool3dDescriptor = PoolDescriptor<3>;

/// What is made of a window.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// The largest element; NaN wins. Of equal ones the first in row-major order is the maximum.
    Max {
        /// Also gives where each maximum stands, as a u32 tensor.
        indices: Option<IndexOrder>,
    },
    /// The mean.
    Average {
        /// Counts padding as zeros; what `ceil_mode` adds beyond the end pad never counts.
        count_include_pad: bool,
    },
    /// (sum of |x|^p)^(1/p)
    Lp {
        /// Positive.
        p: f32,
    },
}

by_key!(PoolKind, |kind: &PoolKind| match *kind {
    PoolKind::Max { indices } => (0, indices.map_or(0, |order| 1 + order as u32)),
    PoolKind::Average { count_include_pad } => (1, u32::from(count_include_pad)),
    PoolKind::Lp { p } => (2, p.to_bits()),
});

impl Default for PoolKind {
    fn default() -> Self {
        PoolKind::MAX
    }
}

impl PoolKind {
    /// Maxima alone.
    pub const MAX: PoolKind = PoolKind::Max { indices: None };
    /// Averages over the window's real elements.
    pub const AVERAGE: PoolKind = PoolKind::Average { count_include_pad: false };
}

/// How the indices of max pooling count inside one channel plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexOrder {
    /// The width runs fastest.
    #[default]
    RowMajor,
    /// The slowest spatial axis runs fastest (ONNX's storage_order 1).
    ColumnMajor,
}

/// Puts the maxima of a max pooling back where they stood.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(bound(serialize = "[usize; N]: Serialize", deserialize = "[usize; N]: Deserialize<'de>"))]
pub struct MaxUnpoolDescriptor<const N: usize> {
    /// The pooling that gave the indices, of any kind; its window, stride, dilation and padding give the extents of y.
    pub pool: PoolDescriptor<N>,
    /// Spatial extents of y, the pooling's input: needed where it is not the smallest of those that give the same output, and with `ceil_mode` or
    /// SAME padding. The pooling must make x's extents of them.
    pub output_shape: Option<[usize; N]>,
}
