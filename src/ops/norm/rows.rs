//! Layer, group and instance normalisation: one kernel over rows, which differ in how their elements and scales lie in memory.

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::types::bits::by_bits;
use crate::types::shape::front_axis;
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

/// Which elements share a mean and a variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// All axes from this one on; scale and bias have their extents.
    Layer {
        /// First normalised axis.
        axis: usize,
    },
    /// The channels of a group at all positions; scale and bias are per channel.
    Group {
        /// Number of groups; divides the channels.
        groups: usize,
    },
    /// One channel at all positions; scale and bias are per channel.
    Instance,
}

/// The epsilon of a norm unless it is given.
pub(crate) const EPSILON: f32 = 1e-5;

/// Layer normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerNormDescriptor {
    /// The first normalised axis; negative: from the end.
    pub axis: isize,
    /// Added to the variance.
    pub epsilon: f32,
}

impl Default for LayerNormDescriptor {
    /// The last axis, 1e-5.
    fn default() -> Self {
        Self { axis: -1, epsilon: EPSILON }
    }
}

/// Group normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupNormDescriptor {
    /// Number of groups; divides the channels.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f32,
}

impl Default for GroupNormDescriptor {
    /// One group, 1e-5.
    fn default() -> Self {
        Self { groups: 1, epsilon: EPSILON }
    }
}

/// Instance normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceNormDescriptor {
    /// Added to the variance.
    pub epsilon: f32,
}

impl Default for InstanceNormDescriptor {
    /// 1e-5.
    fn default() -> Self {
        Self { epsilon: EPSILON }
    }
}

/// What a norm over rows takes.
#[derive(Debug, Clone)]
pub struct NormInputs<'a> {
    /// x; scale, bias and y have its element type, and y its layout.
    pub x: TensorType,
    /// Extents of the scale; none for 1.
    pub scale: Option<&'a [usize]>,
    /// Extents of the bias; none for 0.
    pub bias: Option<&'a [usize]>,
}

impl<'a> NormInputs<'a> {
    /// f32, channels-first.
    pub fn new(x: &[usize], scale: Option<&'a [usize]>, bias: Option<&'a [usize]>) -> Self {
        Self { x: TensorType::f32(x), scale, bias }
    }
}

/// y = (x - mean) / sqrt(variance + epsilon) scale + bias, variances biased.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Norm", into = "crate::ops::written::Norm")]
pub struct NormProblem {
    pub(crate) kind: NormKind,
    pub(crate) x: Vec<usize>,
    pub(crate) has_scale: bool,
    pub(crate) has_bias: bool,
    pub(crate) epsilon: f32,
    pub(crate) statistics: bool,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
}

by_bits! {
    NormProblem { kind, x, has_scale, has_bias, statistics, element, layout } bits { epsilon }
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl NormProblem {
    /// Which elements go together.
    pub fn kind(&self) -> NormKind {
        self.kind
    }

    /// Extents of x and y.
    pub fn x(&self) -> &[usize] {
        &self.x
    }

    /// Whether there is a scale; it is a constant.
    pub fn has_scale(&self) -> bool {
        self.has_scale
    }

    /// Whether there is a bias; it is a constant.
    pub fn has_bias(&self) -> bool {
        self.has_bias
    }

    /// Added to the variance.
    pub fn epsilon(&self) -> f32 {
        self.epsilon
    }

    /// Whether mean and inverse standard deviation are outputs too: x's extents with 1 on normalised axes. Layer normalisation alone.
    pub fn statistics(&self) -> bool {
        self.statistics
    }

    /// Element type of all.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Layout of x and y.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The same with, or without, each row's mean and inverse standard deviation as further outputs.
    #[must_use]
    pub fn with_statistics(self, statistics: bool) -> Self {
        Self { statistics, ..self }
    }
}

/// How rows lie in memory, as `shaders/rows/norm.wgsl` walks them.
pub(crate) struct Rows {
    pub rows: usize,
    pub row_inner: usize,
    pub outer_stride: usize,
    pub inner_stride: usize,
    pub a_stride: usize,
    pub b_extent: usize,
    pub b_stride: usize,
    pub length: usize,
    pub scale_row: usize,
    pub scale_a: usize,
    pub scale_b: usize,
}

impl Rows {
    /// Offsets of element `i` of row `row` in x, and of its scale.
    pub fn element(&self, row: usize, i: usize) -> [usize; 2] {
        let (outer, inner) = (row / self.row_inner, row % self.row_inner);
        let (a, b) = (i / self.b_extent, i % self.b_extent);
        let x = outer * self.outer_stride + inner * self.inner_stride + a * self.a_stride + b * self.b_stride;
        [x, inner * self.scale_row + a * self.scale_a + b * self.scale_b]
    }
}

impl NormProblem {
    /// Layer normalisation over the axes from `axis` on, whose extents scale and bias have.
    ///
    /// # Errors
    /// An axis outside the rank, a scale or bias of other extents, a channels-last x normalised over its batch.
    pub fn layer(inputs: &NormInputs<'_>, descriptor: &LayerNormDescriptor) -> Result<Self> {
        let TensorType { extents: x, layout, .. } = &inputs.x;
        inputs.x.checked_float("x")?;
        let axis = front_axis("axis", descriptor.axis, x.len())?;
        if axis == 0 && *layout == Layout::ChannelsLast && x.len() >= 3 {
            let rule = "normalised over its batch too, x must be stored channels_first".into();
            return Err(Error::Layout { argument: "x".into(), layout: *layout, rule });
        }
        Self::checked(inputs, NormKind::Layer { axis }, &x[axis..], descriptor.epsilon)
    }

    /// Group normalisation: x N C ..., scale and bias \[C\].
    ///
    /// # Errors
    /// x below rank 2, groups that do not divide the channels, a scale or bias of another length.
    pub fn group(inputs: &NormInputs<'_>, descriptor: &GroupNormDescriptor) -> Result<Self> {
        let (channels, groups) = (channels(&inputs.x.extents)?, descriptor.groups);
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::invalid("groups", groups, format!("groups must divide the {channels} channels")));
        }
        Self::checked(inputs, NormKind::Group { groups }, &[channels], descriptor.epsilon)
    }

    /// Instance normalisation: x N C ..., scale and bias \[C\].
    ///
    /// # Errors
    /// x below rank 2, a scale or bias of another length.
    pub fn instance(inputs: &NormInputs<'_>, descriptor: &InstanceNormDescriptor) -> Result<Self> {
        Self::checked(inputs, NormKind::Instance, &[channels(&inputs.x.extents)?], descriptor.epsilon)
    }

    fn checked(inputs: &NormInputs<'_>, kind: NormKind, wanted: &[usize], epsilon: f32) -> Result<Self> {
        let &NormInputs { ref x, scale, bias } = inputs;
        x.checked_float("x")?;
        crate::ops::norm::check_epsilon(epsilon)?;
        for (name, extents) in [("scale", scale), ("bias", bias)] {
            if let Some(extents) = extents
                && extents != wanted
            {
                return Err(Error::invalid(name, format!("{extents:?}"), format!("it has the extents {wanted:?}")));
            }
        }
        let (has_scale, has_bias) = (scale.is_some(), bias.is_some());
        let TensorType { extents: x, element, layout } = x.clone();
        Ok(Self { kind, x, has_scale, has_bias, epsilon, statistics: false, element, layout })
    }

    /// Extents of scale and bias.
    pub(crate) fn scale_extents(&self) -> &[usize] {
        match self.kind {
            NormKind::Layer { axis } => &self.x[axis..],
            NormKind::Group { .. } | NormKind::Instance => &self.x[1..2],
        }
    }

    /// Extents of the statistics.
    pub(crate) fn statistics_extents(&self) -> Vec<usize> {
        let first = if let NormKind::Layer { axis } = self.kind { axis } else { self.x.len() };
        self.x.iter().enumerate().map(|(i, &e)| if i < first { e } else { 1 }).collect()
    }

    /// Rows of x as it lies in `layout`.
    pub(crate) fn rows(&self, layout: Layout) -> Rows {
        let product = |extents: &[usize]| extents.iter().product::<usize>();
        let last = layout == Layout::ChannelsLast && self.x.len() >= 3;
        match self.kind {
            NormKind::Layer { axis } => {
                let length = product(&self.x[axis..]);
                let rows = product(&self.x[..axis]);
                if !last {
                    return Rows { rows, row_inner: 1, outer_stride: length, b_extent: length, b_stride: 1, length, scale_b: 1, ..Rows::NONE };
                }
                let (channels, positions) = (self.x[1], product(&self.x[2..]));
                if axis == 1 {
                    // A position after the other, its channels together; scale counts row-major.
                    let (a_stride, b_extent) = (channels, channels);
                    let scale = Rows { scale_a: 1, scale_b: positions, ..Rows::NONE };
                    return Rows { rows, row_inner: 1, outer_stride: length, a_stride, b_extent, b_stride: 1, length, ..scale };
                }
                // Rows of the channels interleave; a row's positions are a step of all channels apart.
                let row = Rows { b_extent: length, b_stride: channels, length, scale_b: 1, ..Rows::NONE };
                Rows { rows, row_inner: channels, outer_stride: length * channels, inner_stride: 1, ..row }
            }
            NormKind::Group { .. } | NormKind::Instance => {
                let (channels, positions) = (self.x[1], product(&self.x[2..]));
                let groups = if let NormKind::Group { groups } = self.kind { groups } else { channels };
                let each = channels / groups;
                let common = Rows { rows: self.x[0] * groups, row_inner: groups, outer_stride: channels * positions, scale_row: each, ..Rows::NONE };
                let length = each * positions;
                if last {
                    Rows { inner_stride: each, a_stride: channels, b_extent: each, b_stride: 1, length, scale_b: 1, ..common }
                } else {
                    Rows { inner_stride: length, a_stride: positions, b_extent: positions, b_stride: 1, length, scale_a: 1, ..common }
                }
            }
        }
    }
}

impl Rows {
    const NONE: Rows = Rows {
        rows: 0,
        row_inner: 1,
        outer_stride: 0,
        inner_stride: 0,
        a_stride: 0,
        b_extent: 1,
        b_stride: 0,
        length: 1,
        scale_row: 0,
        scale_a: 0,
        scale_b: 0,
    };
}

pub(crate) fn channels(x: &[usize]) -> Result<usize> {
    match x {
        [_, channels, ..] => Ok(*channels),
        _ => Err(Error::invalid("x", format!("{x:?}"), format!("it has rank 2 or more, N C ..., not {}", x.len()))),
    }
}

impl Problem for NormProblem {
    fn name(&self) -> &'static str {
        match self.kind {
            NormKind::Layer { .. } => "layer_norm",
            NormKind::Group { .. } => "group_norm",
            NormKind::Instance => "instance_norm",
        }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let mut inputs = vec![TensorSpec::new("x", &self.x, self.element, self.layout)];
        for (name, there) in [("scale", self.has_scale), ("bias", self.has_bias)] {
            if there {
                inputs.push(TensorSpec::constant(name, self.scale_extents(), self.element));
            }
        }
        inputs
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        let mut outputs = vec![TensorSpec::new("y", &self.x, self.element, self.layout)];
        if self.statistics {
            let extents = self.statistics_extents();
            outputs.extend(["mean", "inv_std_dev"].map(|name| TensorSpec::new(name, &extents, self.element, self.layout)));
        }
        outputs
    }

    fn is_exact(&self) -> bool {
        false
    }

    fn flops(&self) -> f64 {
        8.0 * self.x.iter().map(|&e| e as f64).product::<f64>()
    }
}

impl std::fmt::Display for NormProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x")?;
        crate::ops::spec::write_tensor(f, &self.x, self.element, self.layout)?;
        match self.kind {
            NormKind::Layer { axis } => write!(f, "_axis{axis}")?,
            NormKind::Group { groups } => write!(f, "_g{groups}")?,
            NormKind::Instance => {}
        }
        let flag = |there, name| if there { name } else { "" };
        write!(f, "{}{}{}", flag(self.has_scale, "_s"), flag(self.has_bias, "_b"), flag(self.statistics, "_stats"))
    }
}
