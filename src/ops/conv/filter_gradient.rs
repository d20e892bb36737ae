//! The gradient of a convolution by its filter: dw\[k, c, t\] = sum over n and o of dy\[n, k, o\] x\[n, c, o stride + t dilation - pad\].
//!
//! Read with batch and channels exchanged it is a convolution again: channels of x are its images, images its channels, dy its filter, the taps its
//! outputs; stride and dilation change places. Of a transposed convolution it is the same with x and dy exchanged.

use crate::ops::Problem;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::shape::WindowAxis;
use crate::types::{Activation, ElementType, Error, Layout, PaddingMode, Result};
use serde::{Deserialize, Serialize};

/// A resolved filter gradient.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "ConvProblem", into = "ConvProblem")]
pub struct FilterGradient {
    /// The convolution without its epilogue.
    pub(crate) conv: ConvProblem,
}

impl From<FilterGradient> for ConvProblem {
    fn from(gradient: FilterGradient) -> Self {
        gradient.conv
    }
}

impl TryFrom<ConvProblem> for FilterGradient {
    type Error = Error;

    fn try_from(conv: ConvProblem) -> Result<Self> {
        Self::new(&conv)
    }
}

/// A range of dy's positions: images, planes and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Box3 {
    pub first: [u64; 3],
    pub count: [u64; 3],
}

impl FilterGradient {
    /// The filter gradient of a convolution, forward or transposed. What the convolution does to its sums (bias, residual, activation, pool) is left
    /// out: dy is the gradient by the sums.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another padding mode than zeros and for tensors of f16; [`Error::Layout`] for channels-last ones.
    pub fn new(conv: &ConvProblem) -> Result<Self> {
        if conv.padding_mode != PaddingMode::Zeros {
            let rule = "pad x first: the gradient is that of a convolution over zeros";
            return Err(Error::invalid("padding_mode", format!("{:?}", conv.padding_mode), rule));
        }
        if conv.element != ElementType::F32 {
            return Err(Error::invalid("x", format!("of {}", conv.element), "gradients are computed of f32"));
        }
        for (argument, layout) in [("x", conv.x_layout), ("dy", conv.y_layout)] {
            if layout == Layout::ChannelsLast {
                return Err(Error::Layout { argument: argument.into(), layout, rule: "a filter gradient takes channels-first tensors".into() });
            }
        }
        let conv = ConvProblem { has_bias: false, has_residual: false, activation: Activation::None, pool: None, algorithm: None, ..conv.clone() };
        Ok(Self { conv })
    }

    /// The convolution whose filter it is.
    pub fn conv(&self) -> &ConvProblem {
        &self.conv
    }

    /// Whether x is the tensor that windows read: of a transposed convolution that is dy.
    pub(crate) fn x_is_wide(&self) -> bool {
        self.conv.direction == Direction::Forward
    }

    /// Per axis: extent of the tensor that windows read, and of the other one.
    pub(crate) fn extents(&self, axis: &WindowAxis) -> [u64; 2] {
        if self.x_is_wide() { [axis.input, axis.output] } else { [axis.output, axis.input] }
    }

    /// Channels per group of the tensor that windows read, and of the other one.
    pub(crate) fn channels(&self) -> [u64; 2] {
        let (x, y) = (self.conv.channels_per_group(), self.conv.filters_per_group());
        if self.x_is_wide() { [x, y] } else { [y, x] }
    }

    /// Positions of an image of the tensor that windows read, and of the other one.
    pub(crate) fn positions(&self) -> [u64; 2] {
        let [wide, narrow]: [fn(&[u64; 2]) -> u64; 2] = [|e| e[0], |e| e[1]];
        let all: Vec<[u64; 2]> = self.conv.axes.iter().map(|axis| self.extents(axis)).collect();
        [all.iter().map(wide).product(), all.iter().map(narrow).product()]
    }

    /// All positions of dy, or of x for a transposed convolution.
    pub(crate) fn whole(&self) -> Box3 {
        let [depth, height, _] = &self.conv.axes;
        Box3 { first: [0; 3], count: [self.conv.batch, self.extents(depth)[1], self.extents(height)[1]] }
    }

    /// The convolution whose windows both tensors meet in: from the tensor that windows read to the other one.
    pub(crate) fn windows(&self) -> ConvProblem {
        let [wide, narrow] = self.channels();
        let axes = self.conv.axes.map(|axis| {
            let [input, output] = self.extents(&axis);
            WindowAxis { input, output, ..axis }
        });
        let (in_channels, out_channels) = (wide * self.conv.groups, narrow * self.conv.groups);
        ConvProblem { direction: Direction::Forward, in_channels, out_channels, axes, ..self.conv.clone() }
    }

    /// The convolution with batch and channels exchanged that computes the part of these positions. Its tensors lie in memory as the gradient's do, and
    /// not as its own extents say.
    pub(crate) fn dual(&self, part: &Box3) -> ConvProblem {
        let [wide, narrow] = self.channels();
        let mut axes = self.conv.axes;
        for (i, axis) in axes.iter_mut().enumerate() {
            let [input, other] = self.extents(axis);
            let (first, filter) = if i < 2 { (part.first[i + 1], part.count[i + 1]) } else { (0, other) };
            let (stride, dilation, output) = (axis.dilation, axis.stride, axis.filter);
            let pad_begin = axis.pad_begin - (first * dilation) as i64;
            // What makes the outputs as many as there are taps.
            let pad_end = ((output - 1) * stride + (filter - 1) * dilation + 1) as i64 - input as i64 - pad_begin;
            *axis = WindowAxis { input, filter, output, stride, dilation, pad_begin, pad_end };
        }
        ConvProblem {
            direction: Direction::Forward,
            batch: wide,
            in_channels: part.count[0] * self.conv.groups,
            out_channels: narrow * self.conv.groups,
            axes,
            ..self.conv.clone()
        }
    }
}

impl Problem for FilterGradient {
    fn name(&self) -> &'static str {
        match self.conv.direction {
            Direction::Forward => "conv_backward_filter",
            Direction::Transposed => "conv_transpose_backward_filter",
        }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let spec = |name: &'static str, extents: Vec<usize>| {
            TensorSpec::new(name, &extents, self.conv.element, Layout::ChannelsFirst).with_domain(Domain::Factor)
        };
        vec![spec("x", self.conv.input_extents()), spec("dy", self.conv.output_extents())]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("dw", &self.conv.filter_extents(), self.conv.element, Layout::ChannelsFirst)]
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn flops(&self) -> f64 {
        ConvProblem::flops(&self.conv)
    }

    fn terms(&self) -> u64 {
        self.conv.batch * self.positions()[1]
    }
}

impl std::fmt::Display for FilterGradient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.conv.fmt(f)
    }
}
