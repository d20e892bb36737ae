//! What is known of a convolution: what it is made of, its tensors, counts and operations.

use crate::numeric::Accuracy;
use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::fused::FusedPool;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::spec::TensorSpec;
use crate::types::shape::WindowAxis;
use crate::types::{Activation, ElementType, Error, Layout, PaddingMode, Result, TensorShape};

impl Problem for ConvProblem {
    fn name(&self) -> &'static str {
        match self.direction {
            Direction::Forward => "conv",
            Direction::Transposed => "conv_transpose",
        }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let mut inputs = vec![
            TensorSpec::new("x", &self.input_extents(), self.element, self.x_layout),
            TensorSpec::constant("filter", &self.filter_extents(), self.element),
        ];
        if self.has_bias {
            inputs.push(TensorSpec::constant("bias", &[self.out_channels as usize], self.element));
        }
        if self.has_residual {
            inputs.push(TensorSpec::new("residual", &self.convolution().output_extents(), self.element, self.y_layout));
        }
        inputs
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.output_extents(), self.element, self.y_layout)]
    }

    fn is_exact(&self) -> bool {
        // A mean is a quotient, which is rounded.
        self.activation.is_exact() && self.pool != Some(FusedPool::Average)
    }

    fn flops(&self) -> f64 {
        ConvProblem::flops(self)
    }

    fn terms(&self) -> u64 {
        self.reduction_depth()
    }
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl ConvProblem {
    /// Forward or transposed.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Spatial rank the caller used, 1 to 3.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// N: batch.
    pub fn batch(&self) -> u64 {
        self.batch
    }

    /// C: input channels.
    pub fn in_channels(&self) -> u64 {
        self.in_channels
    }

    /// K: output channels.
    pub fn out_channels(&self) -> u64 {
        self.out_channels
    }

    /// g: groups; divides both channel counts.
    pub fn groups(&self) -> u64 {
        self.groups
    }

    /// Depth, height, width.
    pub fn axes(&self) -> &[WindowAxis; 3] {
        &self.axes
    }

    /// What stands in the padding.
    pub fn padding_mode(&self) -> PaddingMode {
        self.padding_mode
    }

    /// Element type of every tensor.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Memory layout of x.
    pub fn x_layout(&self) -> Layout {
        self.x_layout
    }

    /// Memory layout of y.
    pub fn y_layout(&self) -> Layout {
        self.y_layout
    }

    /// Whether a bias is added.
    pub fn has_bias(&self) -> bool {
        self.has_bias
    }

    /// Whether another tensor of the output's shape is added before the activation.
    pub fn has_residual(&self) -> bool {
        self.has_residual
    }

    /// Applied to the sum of all these.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Pools the activated values: the output has the pooled extents, while [`ConvProblem::axes`] and a residual have the convolution's.
    pub fn pool(&self) -> Option<FusedPool> {
        self.pool
    }

    /// How exact the answer must be.
    pub fn accuracy(&self) -> Accuracy {
        self.accuracy
    }

    /// The forced algorithm.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The same with, or without, a residual of y's shape that is added before the activation.
    #[must_use]
    pub fn with_residual(self, has_residual: bool) -> Self {
        Self { has_residual, ..self }
    }

    /// The same under another limit on the error.
    #[must_use]
    pub fn with_accuracy(self, accuracy: Accuracy) -> Self {
        Self { accuracy, ..self }
    }

    /// The same by this algorithm, or by the planner's choice. Planning refuses one that does not apply.
    #[must_use]
    pub fn with_algorithm(self, algorithm: Option<Algorithm>) -> Self {
        Self { algorithm, ..self }
    }

    /// The first `filters` filters on the first `images` images: its tensors are the beginnings of this one's.
    ///
    /// # Errors
    /// [`Error::Invalid`] for numbers that are 0 or larger than this problem's, and for filters of one group among several.
    pub fn first(self, images: u64, filters: u64) -> Result<Self> {
        if !(1..=self.batch).contains(&images) {
            return Err(Error::invalid("images", images, format!("it is from 1 to the batch, {}", self.batch)));
        }
        if !(1..=self.out_channels).contains(&filters) || self.groups > 1 && filters != self.out_channels {
            return Err(Error::invalid("filters", filters, format!("it is from 1 to {}; of {} groups all of them", self.out_channels, self.groups)));
        }
        Ok(Self { batch: images, out_channels: filters, ..self })
    }
}

impl ConvProblem {
    /// Input channels per group, C / g: the depth of the filter.
    pub fn channels_per_group(&self) -> u64 {
        self.in_channels / self.groups
    }

    /// Output channels per group, K / g.
    pub fn filters_per_group(&self) -> u64 {
        self.out_channels / self.groups
    }

    /// Taps of one filter plane: the product of its spatial extents.
    pub fn taps(&self) -> u64 {
        self.axes.iter().map(|a| a.filter).product()
    }

    /// Positions of one input plane.
    pub fn input_positions(&self) -> u64 {
        self.axes.iter().map(|a| a.input).product()
    }

    /// Positions of one output plane, pooled if the output is.
    pub fn output_positions(&self) -> u64 {
        self.axes.iter().zip(self.pool_window()).map(|(a, window)| a.output / window).product()
    }

    /// Elements of x.
    pub fn input_count(&self) -> u64 {
        self.batch * self.in_channels * self.input_positions()
    }

    /// Elements of the filter.
    pub fn filter_count(&self) -> u64 {
        self.out_channels * self.channels_per_group() * self.taps()
    }

    /// Elements of the output.
    pub fn output_count(&self) -> u64 {
        self.batch * self.out_channels * self.output_positions()
    }

    /// Trainable parameters: filter and bias.
    pub fn parameter_count(&self) -> u64 {
        self.filter_count() + if self.has_bias { self.out_channels } else { 0 }
    }

    /// The most products that any output sums: depth of the filter times the taps that it takes.
    pub fn reduction_depth(&self) -> u64 {
        self.channels_per_group() * self.taps_of_output()
    }

    /// Multiply-adds of the plain algorithm, padding counted (saturating). A transposed convolution spends them per input.
    pub fn multiply_adds(&self) -> u64 {
        u64::try_from(self.products()).unwrap_or(u64::MAX)
    }

    /// Multiply-adds: two factors of at most 2^60.
    pub(crate) fn products(&self) -> u128 {
        match self.direction {
            Direction::Forward => u128::from(self.convolution().output_count()) * u128::from(self.reduction_depth()),
            Direction::Transposed => u128::from(self.input_count()) * u128::from(self.filters_per_group() * self.taps()),
        }
    }

    /// Floating-point operations: two per multiply-add, as the field counts.
    pub fn flops(&self) -> f64 {
        2.0 * self.products() as f64
    }

    /// Bytes that must move at least: each tensor once (saturating).
    pub fn bytes(&self) -> u64 {
        (self.input_count() + self.parameter_count() + self.output_count()).saturating_mul(self.element.bytes())
    }

    /// Extents of x, N C \[D\] \[H\] W.
    pub fn input_extents(&self) -> Vec<usize> {
        [self.batch, self.in_channels].into_iter().chain(self.spatial().iter().map(|a| a.input)).map(|e| e as usize).collect()
    }

    /// Extents of the filter, K C/g ... (transposed: C K/g ...).
    pub fn filter_extents(&self) -> Vec<usize> {
        let head = match self.direction {
            Direction::Forward => [self.out_channels, self.channels_per_group()],
            Direction::Transposed => [self.in_channels, self.filters_per_group()],
        };
        head.into_iter().chain(self.spatial().iter().map(|a| a.filter)).map(|e| e as usize).collect()
    }

    /// Extents of the output, N K \[Z\] \[P\] Q, pooled if it is.
    pub fn output_extents(&self) -> Vec<usize> {
        // usize: the extents came from usize or are bounded by check_counts.
        let spatial = self.axes.iter().zip(self.pool_window()).map(|(a, window)| a.output / window).skip(3 - self.rank);
        [self.batch, self.out_channels].into_iter().chain(spatial).map(|e| e as usize).collect()
    }

    /// Shape of the output.
    ///
    /// # Errors
    /// None in practice: the counts were checked when the problem was made.
    pub fn output_shape(&self) -> Result<TensorShape> {
        TensorShape::named("the output", &self.output_extents())
    }

    /// The spatial axes the caller knows, without the unit ones.
    pub fn spatial(&self) -> &[WindowAxis] {
        &self.axes[3 - self.rank..]
    }
}
