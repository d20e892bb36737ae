//! Shapes, layouts and window geometry: the arithmetic that every op shares, in checked u64.
//!
//! [`output_extent`] is THE formula for the extent of a window's output; [`WindowAxis`] resolves one axis of a window
//! (convolution and pooling). Nothing here knows a GPU.

use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};

/// Largest rank of a tensor: N C D H W.
pub const MAX_RANK: usize = 5;

/// Most elements of one tensor, and the largest stride, dilation, pad and dilated window: 2^60.
///
/// Constructors of problems refuse more. The bytes of so many elements fit 63 bits, and so does a sum of a few such numbers, so that the
/// arithmetic after a constructor needs no checks; products of two of them are formed in 128 bits, or saturate.
pub const MAX_COUNT: u64 = 1 << 60;

/// Extents of a tensor of rank 0 to 5, in the logical order N C \[D\] \[H\] W whatever the memory layout.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TensorShape {
    extents: [usize; MAX_RANK],
    rank: usize,
}

impl TensorShape {
    /// A shape of these extents.
    ///
    /// # Errors
    /// Rank above 5, an extent of 0, or more than [`MAX_COUNT`] elements.
    pub fn new(extents: &[usize]) -> Result<Self> {
        Self::named("shape", extents)
    }

    /// As [`TensorShape::new`], with the argument's name for the error.
    pub(crate) fn named(argument: &str, extents: &[usize]) -> Result<Self> {
        if extents.len() > MAX_RANK {
            return Err(Error::invalid(argument, format!("{extents:?}"), format!("rank {} is above the largest rank, {MAX_RANK}", extents.len())));
        }
        if extents.contains(&0) {
            return Err(Error::invalid(argument, format!("{extents:?}"), "every extent must be at least 1"));
        }
        check_count(argument, extents.iter().fold(1u128, |n, &e| n.saturating_mul(e as u128)))?;
        let mut all = [1; MAX_RANK];
        all[..extents.len()].copy_from_slice(extents);
        Ok(Self { extents: all, rank: extents.len() })
    }

    /// The extents, slowest logical axis first.
    pub fn extents(&self) -> &[usize] {
        &self.extents[..self.rank]
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of elements; 1 for rank 0.
    pub fn element_count(&self) -> u64 {
        self.extents().iter().map(|&e| e as u64).product() // checked in `named`
    }

    /// Strides, in elements, of the logical axes when the tensor is stored in `layout`.
    pub fn strides(&self, layout: Layout) -> Vec<u64> {
        // Below 2^60, as the element count is.
        crate::types::tensor_type::strides(self.extents(), layout).into_iter().map(|stride| stride as u64).collect()
    }
}

/// A tensor has at most [`MAX_COUNT`] elements.
pub(crate) fn check_count(argument: &str, needed: u128) -> Result<()> {
    if needed <= u128::from(MAX_COUNT) {
        return Ok(());
    }
    let argument = argument.to_string();
    Err(Error::TooLarge { argument, needed, unit: "elements", limit_name: "the largest count of one tensor", limit: MAX_COUNT })
}

impl std::fmt::Debug for TensorShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.extents())
    }
}

impl std::fmt::Display for TensorShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.extents())
    }
}

/// Memory order of a tensor. Shapes are always written N C \[D\] \[H\] W; the layout says which axis runs fastest in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// N C \[D\] \[H\] W: each channel is a contiguous plane.
    #[default]
    ChannelsFirst,
    /// N \[D\] \[H\] W C: the channels of one position are contiguous. Differs from channels-first from rank 3 on.
    ChannelsLast,
}

impl Layout {
    /// The logical axes from the slowest to the fastest in memory.
    pub fn memory_order(self, rank: usize) -> Vec<usize> {
        match self {
            Layout::ChannelsLast if rank >= 3 => [0].into_iter().chain(2..rank).chain([1]).collect(),
            _ => (0..rank).collect(),
        }
    }

    /// `channels_first` or `channels_last`.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::ChannelsFirst => "channels_first",
            Layout::ChannelsLast => "channels_last",
        }
    }
}

/// Padding of the spatial axes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[serde(bound(serialize = "[usize; N]: Serialize", deserialize = "[usize; N]: Deserialize<'de>"))]
pub enum Padding<const N: usize> {
    /// None: the window stays inside the input.
    #[default]
    Valid,
    /// Output extent = ceil(input / stride); an odd pad goes to the end (ONNX's SAME_UPPER).
    Same,
    /// Output extent = ceil(input / stride); an odd pad goes to the beginning (ONNX's SAME_LOWER).
    SameLower,
    /// These numbers of elements, per spatial axis, slowest axis first.
    Explicit {
        /// Before the first element.
        begin: [usize; N],
        /// After the last element.
        end: [usize; N],
    },
}

impl<const N: usize> Padding<N> {
    /// The same explicit pad on both sides of every axis.
    pub const fn uniform(pad: usize) -> Self {
        Padding::Explicit { begin: [pad; N], end: [pad; N] }
    }

    /// What this padding says of one axis.
    pub(crate) fn axis(&self, axis: usize) -> AxisPadding {
        match self {
            Padding::Valid => AxisPadding::Explicit { begin: 0, end: 0 },
            Padding::Same => AxisPadding::SameUpper,
            Padding::SameLower => AxisPadding::SameLower,
            Padding::Explicit { begin, end } => AxisPadding::Explicit { begin: begin[axis] as u64, end: end[axis] as u64 },
        }
    }
}

/// [`Padding`] of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AxisPadding {
    SameUpper,
    SameLower,
    Explicit { begin: u64, end: u64 },
}

/// What stands in the padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingMode {
    /// Zeros, which take part in the sums as elements do: an infinite or NaN weight over one gives NaN, on every engine. Around the input of a
    /// transposed convolution it is the same; between two of its elements nothing is multiplied.
    #[default]
    Zeros,
    /// The input mirrored at its edge, the edge itself not repeated: `c b | a b c | b a`. Pads must be smaller than the input.
    Reflect,
    /// The edge repeated: `a a | a b c | c c`.
    Replicate,
    /// The input repeated: `b c | a b c | a b`. Pads must not be larger than the input.
    Circular,
}

impl PaddingMode {
    /// All modes, in the order of their numbers in the shaders.
    pub const ALL: [PaddingMode; 4] = [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular];

    /// `zeros`, `reflect`, `replicate` or `circular`.
    pub const fn name(self) -> &'static str {
        match self {
            PaddingMode::Zeros => "zeros",
            PaddingMode::Reflect => "reflect",
            PaddingMode::Replicate => "replicate",
            PaddingMode::Circular => "circular",
        }
    }

    /// The coordinate of what stands at `at` of an axis of this extent and its padding. Zeros are no coordinate of the axis and stay where they are.
    pub(crate) fn coordinate(self, at: i64, extent: u64) -> i64 {
        let extent = extent as i64;
        match self {
            PaddingMode::Zeros => at,
            PaddingMode::Reflect => (extent - 1) - ((extent - 1) - at.abs()).abs(),
            PaddingMode::Replicate => at.clamp(0, extent - 1),
            PaddingMode::Circular => at.rem_euclid(extent),
        }
    }
}

/// One axis of a resolved window: all its numbers, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowAxis {
    /// Extent of the input.
    pub input: u64,
    /// Number of taps of the filter.
    pub filter: u64,
    /// Extent of the output.
    pub output: u64,
    /// Step between windows.
    pub stride: u64,
    /// Step between taps; 1 means none are skipped.
    pub dilation: u64,
    /// Pad before the first element; negative only in transposed convolution, where it adds extent that holds the bias alone.
    pub pad_begin: i64,
    /// Pad after the last element; negative as above.
    pub pad_end: i64,
}

impl WindowAxis {
    /// An axis that is not there: extent 1 everywhere.
    pub const UNIT: WindowAxis = WindowAxis { input: 1, filter: 1, output: 1, stride: 1, dilation: 1, pad_begin: 0, pad_end: 0 };

    /// The largest coordinates that shaders form, output x stride + taps x dilation + pads, must fit 31 bits.
    pub(crate) fn check_reach(&self, name: &str) -> Result<()> {
        let reach = u128::from(self.input.max(self.output)) * u128::from(self.stride)
            + u128::from(self.filter) * u128::from(self.dilation)
            + u128::from(self.pad_begin.unsigned_abs())
            + u128::from(self.pad_end.unsigned_abs());
        let limit = (1 << 31) - 1;
        if reach > u128::from(limit) {
            return Err(Error::TooLarge {
                argument: format!("the window along the {name}"),
                needed: reach,
                unit: "coordinates",
                limit_name: "the largest 31-bit coordinate",
                limit,
            });
        }
        Ok(())
    }

    /// Extent that one window covers: dilation (filter - 1) + 1.
    pub fn window_extent(&self) -> u64 {
        (self.filter - 1) * self.dilation + 1 // checked in `window_extent` when the axis was made
    }
}

/// The axis that `axis` names, counted from the end if negative; `argument` is its name in the error.
pub(crate) fn front_axis(argument: &str, axis: isize, rank: usize) -> Result<usize> {
    let rank = rank as isize; // at most MAX_RANK
    let front = if axis < 0 { axis.saturating_add(rank) } else { axis };
    if front < 0 || front >= rank {
        return Err(Error::invalid(argument, axis, format!("it must lie within the rank: {} to {} for rank {rank}", -rank, rank - 1)));
    }
    Ok(front as usize)
}

/// Names of the spatial axes of a rank-`n` window, for messages: the last is always the width.
pub(crate) fn axis_name(axis: usize, rank: usize) -> &'static str {
    ["depth", "height", "width"][3 - rank + axis]
}

/// Extent that a dilated window covers: dilation (filter - 1) + 1, checked.
///
/// # Errors
/// An extent of 0 or above [`MAX_COUNT`].
pub fn window_extent(axis: &str, filter: u64, dilation: u64) -> Result<u64> {
    filter.checked_sub(1).and_then(|k| k.checked_mul(dilation)).and_then(|e| e.checked_add(1)).filter(|&e| e <= MAX_COUNT).ok_or_else(|| {
        Error::invalid(
            format!("dilation ({axis})"),
            dilation,
            format!("the window extent = dilation {dilation} x (filter {filter} - 1) + 1 must be at least 1 and at most 2^60"),
        )
    })
}

/// THE formula: output = floor((input + pad_begin + pad_end - window_extent) / stride) + 1, checked.
///
/// # Errors
/// A window that does not fit into the padded input; a padded input above [`MAX_COUNT`]; a stride of 0.
pub fn output_extent(axis: &str, input: u64, window: u64, stride: u64, pad_begin: u64, pad_end: u64) -> Result<u64> {
    check_step("stride", axis, stride)?;
    Ok(room(axis, input, window, pad_begin, pad_end)? / stride + 1)
}

/// The same rounded up (`ceil_mode`): a last window may reach past the padded input, but must start inside the input or the begin padding.
///
/// # Errors
/// As [`output_extent`].
pub fn ceil_output_extent(axis: &str, input: u64, window: u64, stride: u64, pad_begin: u64, pad_end: u64) -> Result<u64> {
    check_step("stride", axis, stride)?;
    let last = room(axis, input, window, pad_begin, pad_end)?.div_ceil(stride);
    // A start that does not fit 64 bits is past the padded input, which does.
    let starts_inside = last.checked_mul(stride).is_some_and(|start| start < input + pad_begin);
    Ok(last + u64::from(starts_inside))
}

/// Positions, less one, at which the window fits into the padded input.
fn room(axis: &str, input: u64, window: u64, pad_begin: u64, pad_end: u64) -> Result<u64> {
    let padded = input.checked_add(pad_begin).and_then(|e| e.checked_add(pad_end)).filter(|&e| e <= MAX_COUNT).ok_or_else(|| {
        Error::invalid(format!("padding ({axis})"), format!("{pad_begin}, {pad_end}"), format!("input {input} + pads must be at most 2^60"))
    })?;
    padded.checked_sub(window).ok_or_else(|| {
        Error::invalid(
            format!("filter ({axis})"),
            window,
            format!("the window extent = dilation x (filter - 1) + 1 = {window} must fit into the padded input {input} + {pad_begin} + {pad_end} = {padded}"),
        )
    })
}

/// Resolves one axis of a forward window (convolution, pooling).
///
/// # Errors
/// Zero stride or dilation, a window that does not fit, numbers above [`MAX_COUNT`].
pub(crate) fn resolve_axis(
    axis: &str,
    input: u64,
    filter: u64,
    stride: u64,
    dilation: u64,
    padding: AxisPadding,
    ceil_mode: bool,
) -> Result<WindowAxis> {
    check_step("stride", axis, stride)?;
    check_step("dilation", axis, dilation)?;
    let window = window_extent(axis, filter, dilation)?;
    let (begin, end) = match padding {
        AxisPadding::Explicit { begin, end } => (begin, end),
        AxisPadding::SameUpper | AxisPadding::SameLower => {
            // total = max(0, (ceil(n / s) - 1) s + window - n); (ceil(n / s) - 1) s is below n, so only the sum can overflow.
            let span = (input.div_ceil(stride) - 1) * stride;
            let total = span.checked_add(window).filter(|&e| e <= MAX_COUNT).ok_or_else(|| {
                Error::invalid(
                    format!("dilation ({axis})"),
                    dilation,
                    format!("the window extent {window} leaves no room for SAME padding below 2^60"),
                )
            })?;
            let total = total.saturating_sub(input);
            if padding == AxisPadding::SameUpper { (total / 2, total - total / 2) } else { (total - total / 2, total / 2) }
        }
    };
    let extent = if ceil_mode { ceil_output_extent } else { output_extent };
    let output = extent(axis, input, window, stride, begin, end)?;
    // Both pads fit: the output's extent checked their sum with the input.
    Ok(WindowAxis { input, filter, output, stride, dilation, pad_begin: begin as i64, pad_end: end as i64 })
}

/// Strides and dilations are at least 1, and at most [`MAX_COUNT`].
pub(crate) fn check_step(argument: &str, axis: &str, value: u64) -> Result<()> {
    let rule = match value {
        0 => format!("a {argument} must be at least 1{}", if argument == "dilation" { " (1 means none)" } else { "" }),
        1..=MAX_COUNT => return Ok(()),
        _ => format!("a {argument} must be at most 2^60"),
    };
    Err(Error::invalid(format!("{argument} ({axis})"), value, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_follow_the_layout() {
        let shape = TensorShape::new(&[2, 3, 5, 7]).unwrap();
        assert_eq!(shape.strides(Layout::ChannelsFirst), [105, 35, 7, 1]);
        assert_eq!(shape.strides(Layout::ChannelsLast), [105, 1, 21, 3]);
        let matrix = TensorShape::new(&[4, 6]).unwrap();
        assert_eq!(matrix.strides(Layout::ChannelsLast), [6, 1]);
        assert_eq!(TensorShape::new(&[]).unwrap().element_count(), 1);
    }

    #[test]
    fn output_extent_is_the_textbook_formula() {
        // (5 + 2 - 3) / 2 + 1 and LeNet's first layer, 32 - 5 + 1.
        assert_eq!(output_extent("width", 5, 3, 2, 1, 1).unwrap(), 3);
        assert_eq!(output_extent("width", 32, 5, 1, 0, 0).unwrap(), 28);
        assert!(output_extent("width", 4, 5, 1, 0, 0).is_err());
        assert!(output_extent("width", u64::MAX, 5, 1, 1, 0).is_err());
    }

    #[test]
    fn same_padding_puts_the_odd_pad_where_it_is_asked() {
        let upper = resolve_axis("width", 5, 4, 2, 1, AxisPadding::SameUpper, false).unwrap();
        assert_eq!((upper.output, upper.pad_begin, upper.pad_end), (3, 1, 2));
        let lower = resolve_axis("width", 5, 4, 2, 1, AxisPadding::SameLower, false).unwrap();
        assert_eq!((lower.output, lower.pad_begin, lower.pad_end), (3, 2, 1));
        // A stride larger than the filter needs no pad, and must not get a negative one.
        let none = resolve_axis("width", 6, 1, 3, 1, AxisPadding::SameUpper, false).unwrap();
        assert_eq!((none.output, none.pad_begin, none.pad_end), (2, 0, 0));
    }

    #[test]
    fn ceil_mode_drops_a_window_that_would_start_past_the_input() {
        assert_eq!(ceil_output_extent("width", 6, 3, 2, 0, 0).unwrap(), 3); // 0, 2, 4: the last one reaches past the end
        assert_eq!(ceil_output_extent("width", 5, 1, 3, 0, 0).unwrap(), 2); // 0, 3; 6 would be past the input
        assert_eq!(ceil_output_extent("width", 4, 2, 3, 1, 1).unwrap(), 2); // starts at -1, 2; room 4 / 3 rounds up to 2, and 5 is past
    }

    #[test]
    fn overflow_is_refused_not_wrapped() {
        assert!(TensorShape::new(&[1 << 32, 1, 1 << 32, 1]).is_err());
        assert!(TensorShape::new(&[1 << 30, 1, 1 << 30, 1]).is_ok() && TensorShape::new(&[1 << 30, 2, 1 << 30, 1]).is_err());
        assert!(window_extent("width", 5, 1 << 62).is_err());
        assert!(output_extent("width", 5, 1, 0, 0, 0).is_err() && ceil_output_extent("width", 5, 1, u64::MAX, 0, 0).is_err());
        let error = resolve_axis("width", 9, 1, u64::MAX, 1, AxisPadding::SameUpper, false).unwrap_err().to_string();
        assert_eq!(error, "stride (width) is 18446744073709551615: a stride must be at most 2^60");
        assert!(resolve_axis("width", u64::MAX, 2, 1, 1, AxisPadding::SameUpper, false).is_err());
    }
}
