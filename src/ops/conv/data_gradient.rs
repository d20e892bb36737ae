//! The gradient of a convolution by its input: the convolution of the other direction with the same filter, from y's extents to x's.

use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;
use crate::types::{Activation, Error, PaddingMode, Result};

impl ConvProblem {
    /// The convolution that computes the gradient by x from that by the sums: transposed for a forward one, and the other way round. It takes the filter as
    /// it is; without bias, residual, activation and pool.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another padding mode than zeros.
    pub fn data_gradient(&self) -> Result<Self> {
        if self.padding_mode != PaddingMode::Zeros {
            let rule = "pad x first: the gradient is that of a convolution over zeros";
            return Err(Error::invalid("padding_mode", format!("{:?}", self.padding_mode), rule));
        }
        let direction = match self.direction {
            Direction::Forward => Direction::Transposed,
            Direction::Transposed => Direction::Forward,
        };
        let axes = self.axes.map(|axis| {
            let WindowAxis { input, output, filter, stride, dilation, pad_begin, .. } = axis;
            // Extent of all windows side by side, of which the pads leave x's extent. What no window reads is below 0: a forward convolution stops
            // before it, a transposed one adds it at its end as `output_padding`.
            let narrow = if direction == Direction::Transposed { output } else { input };
            let wide = if direction == Direction::Transposed { input } else { output };
            let full = ((narrow - 1) * stride + (filter - 1) * dilation + 1) as i64;
            let rest = full - wide as i64 - pad_begin;
            let pad_end = if direction == Direction::Transposed { rest.max(0) } else { rest };
            WindowAxis { input: output, output: input, filter, stride, dilation, pad_begin, pad_end }
        });
        let problem = Self {
            direction,
            in_channels: self.out_channels,
            out_channels: self.in_channels,
            axes,
            x_layout: self.y_layout,
            y_layout: self.x_layout,
            has_bias: false,
            has_residual: false,
            activation: Activation::None,
            pool: None,
            algorithm: None,
            ..self.clone()
        };
        problem.check_counts()
    }
}
