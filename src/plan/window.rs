//! What every windowed kernel's uniform holds: its axes and the strides of its tensors.

use crate::shader::uniforms::Axis;
use crate::types::Layout;
use crate::types::shape::WindowAxis;

impl Axis {
    /// The numbers of a resolved axis. Every cast is in range: [`WindowAxis::check_reach`] comes first.
    pub fn new(axis: &WindowAxis) -> Self {
        Self {
            input: axis.input as i32,
            output: axis.output as i32,
            taps: axis.filter as i32,
            stride: axis.stride as i32,
            dilation: axis.dilation as i32,
            pad: axis.pad_begin as i32,
            pad_end: axis.pad_end as i32,
            tap_step: 1,
        }
    }
}

/// Strides of an N C ... tensor in elements: image, channel, position. Positions are equidistant in both layouts.
pub(crate) fn plane_strides(layout: Layout, channels: u64, positions: u64) -> [u32; 3] {
    let image = (channels * positions) as u32;
    match layout {
        Layout::ChannelsFirst => [image, positions as u32, 1],
        Layout::ChannelsLast => [image, 1, channels as u32],
    }
}
