//! Reductions with their axes resolved and checked.

use crate::ops::Problem;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::shape::front_axis;
use crate::types::strided_axes::StridedAxes;
use crate::types::{ElementType, Error, Layout, Result, TensorShape, TensorType};
use serde::{Deserialize, Serialize};

/// What is made of the elements along the reduced axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReduceKind {
    /// Their sum.
    #[default]
    Sum,
    /// Their mean.
    Mean,
    /// The largest one; NaN wins.
    Max,
    /// The smallest one; NaN wins.
    Min,
    /// Their product.
    Prod,
}

/// A reduction over axes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReduceDescriptor {
    /// What is computed.
    pub kind: ReduceKind,
    /// The axes; negative ones count from the end, none means all.
    pub axes: Vec<isize>,
    /// Whether reduced axes stay with extent 1.
    pub keepdims: bool,
}

impl ReduceDescriptor {
    /// A reduction over `axes`, which are gone from its result.
    pub fn new(kind: ReduceKind, axes: &[isize]) -> Self {
        Self { kind, axes: axes.to_vec(), keepdims: false }
    }

    /// The sum over `axes`.
    pub fn sum(axes: &[isize]) -> Self {
        Self::new(ReduceKind::Sum, axes)
    }

    /// The mean over `axes`.
    pub fn mean(axes: &[isize]) -> Self {
        Self::new(ReduceKind::Mean, axes)
    }

    /// The maximum over `axes`; NaN wins.
    pub fn max(axes: &[isize]) -> Self {
        Self::new(ReduceKind::Max, axes)
    }

    /// The minimum over `axes`; NaN wins.
    pub fn min(axes: &[isize]) -> Self {
        Self::new(ReduceKind::Min, axes)
    }

    /// The product over `axes`.
    pub fn prod(axes: &[isize]) -> Self {
        Self::new(ReduceKind::Prod, axes)
    }

    /// The same, where reduced axes stay with extent 1 or go.
    #[must_use]
    pub fn with_keepdims(self, keepdims: bool) -> Self {
        Self { keepdims, ..self }
    }
}

/// Where the largest element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArgmaxDescriptor {
    /// The axis, negative: from the end; `None`: the flat tensor.
    pub axis: Option<isize>,
    /// Whether the axis stays with extent 1.
    pub keepdims: bool,
    /// Of equal elements the last one, not the first.
    pub select_last: bool,
}

/// Sum, mean, maximum, minimum or product over some axes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Reduce", into = "crate::ops::written::Reduce")]
pub struct ReduceProblem {
    pub(crate) kind: ReduceKind,
    pub(crate) x: Vec<usize>,
    pub(crate) reduced: Vec<bool>,
    pub(crate) keepdims: bool,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl ReduceProblem {
    /// What is computed.
    pub fn kind(&self) -> ReduceKind {
        self.kind
    }

    /// Extents of x.
    pub fn x(&self) -> &[usize] {
        &self.x
    }

    /// By axis of x: whether it is reduced.
    pub fn reduced(&self) -> &[bool] {
        &self.reduced
    }

    /// Whether reduced axes stay with extent 1.
    pub fn keepdims(&self) -> bool {
        self.keepdims
    }

    /// Element type of x and y.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Layout of x; y has it too where the rank stays, and is channels-first otherwise.
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

/// Where the largest element along one axis stands, or in the whole tensor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Argmax", into = "crate::ops::written::Argmax")]
pub struct ArgmaxProblem {
    pub(crate) x: Vec<usize>,
    pub(crate) axis: Option<usize>,
    pub(crate) keepdims: bool,
    pub(crate) select_last: bool,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl ArgmaxProblem {
    /// Extents of x.
    pub fn x(&self) -> &[usize] {
        &self.x
    }

    /// The axis; `None`: the flat tensor.
    pub fn axis(&self) -> Option<usize> {
        self.axis
    }

    /// Whether the axis stays with extent 1.
    pub fn keepdims(&self) -> bool {
        self.keepdims
    }

    /// Of equal elements the last one, not the first.
    pub fn select_last(&self) -> bool {
        self.select_last
    }

    /// Element type of x; y holds u32.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Layout of x.
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

impl ReduceProblem {
    /// Resolves a reduction.
    ///
    /// # Errors
    /// An axis outside the rank or named twice; extents that make no tensor.
    pub fn new(x: &TensorType, descriptor: &ReduceDescriptor) -> Result<Self> {
        let ReduceDescriptor { kind, axes, keepdims } = descriptor;
        x.checked_float("x")?;
        let mut reduced = vec![axes.is_empty(); x.rank()];
        for &axis in axes {
            let resolved = front_axis("axes", axis, x.rank())?;
            if std::mem::replace(&mut reduced[resolved], true) {
                return Err(Error::invalid("axes", format!("{axes:?}"), format!("an axis may stand once, and axis {resolved} stands twice")));
            }
        }
        let TensorType { extents: x, element, layout } = x.clone();
        Ok(Self { kind: *kind, x, reduced, keepdims: *keepdims, element, layout })
    }

    /// Extents of y.
    pub fn y(&self) -> Vec<usize> {
        output_extents(&self.x, &self.reduced, self.keepdims)
    }

    /// Layout of y.
    pub fn y_layout(&self) -> Layout {
        if self.keepdims { self.layout } else { Layout::ChannelsFirst }
    }

    /// Elements that one result is made of.
    pub fn reduced_count(&self) -> u64 {
        self.x.iter().zip(&self.reduced).filter(|(_, r)| **r).map(|(&e, _)| e as u64).product()
    }
}

impl ArgmaxProblem {
    /// Resolves an argmax.
    ///
    /// # Errors
    /// An axis outside the rank; a flat argmax of a channels-last tensor, whose memory is not in the order that indices count.
    pub fn new(x: &TensorType, descriptor: &ArgmaxDescriptor) -> Result<Self> {
        let &ArgmaxDescriptor { axis, keepdims, select_last } = descriptor;
        x.checked_float("x")?;
        let axis = axis.map(|axis| front_axis("axis", axis, x.rank())).transpose()?;
        let TensorType { extents: x, element, layout } = x.clone();
        if axis.is_none() && layout == Layout::ChannelsLast && x.len() >= 3 {
            let rule = "a flat argmax counts in row-major order: convert x to channels_first first".into();
            return Err(Error::Layout { argument: "x".into(), layout, rule });
        }
        Ok(Self { x, axis, keepdims, select_last, element, layout })
    }

    /// By axis of x: whether it is reduced.
    pub(crate) fn reduced(&self) -> Vec<bool> {
        (0..self.x.len()).map(|i| self.axis.is_none_or(|axis| axis == i)).collect()
    }

    /// Extents of y.
    pub fn y(&self) -> Vec<usize> {
        output_extents(&self.x, &self.reduced(), self.keepdims)
    }

    /// Layout of y.
    pub fn y_layout(&self) -> Layout {
        if self.keepdims { self.layout } else { Layout::ChannelsFirst }
    }
}

impl std::fmt::Display for ReduceProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_id(f, &self.x, &self.reduced, self.keepdims, self.element, self.layout)
    }
}

impl std::fmt::Display for ArgmaxProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_id(f, &self.x, &self.reduced(), self.keepdims, self.element, self.layout)?;
        if self.select_last { write!(f, "_last") } else { Ok(()) }
    }
}

fn output_extents(x: &[usize], reduced: &[bool], keepdims: bool) -> Vec<usize> {
    let axes = x.iter().zip(reduced).filter(|(_, r)| keepdims || !**r);
    axes.map(|(&extent, r)| if *r { 1 } else { extent }).collect()
}

/// Where results go that are numbered in the memory order of x without its reduced axes: the third operand of its strided axes.
pub(crate) fn output_axes(x: &[usize], reduced: &[bool], layout: Layout, y: &[usize], y_layout: Layout, keepdims: bool) -> Result<StridedAxes> {
    let strides = TensorShape::named("y", y)?.strides(y_layout);
    let mut place = 0;
    let own: Vec<Option<usize>> = reduced
        .iter()
        .map(|&r| {
            let here = (keepdims || !r).then_some(place);
            place += usize::from(keepdims || !r);
            here
        })
        .collect();
    let axes: Vec<(u64, [i64; 3])> = layout
        .memory_order(x.len())
        .into_iter()
        .filter(|&axis| !reduced[axis])
        .map(|axis| (x[axis] as u64, [0, 0, own[axis].map_or(0, |i| strides[i] as i64)]))
        .collect();
    Ok(StridedAxes::new(&axes))
}

fn write_id(
    f: &mut std::fmt::Formatter<'_>,
    x: &[usize],
    reduced: &[bool],
    keepdims: bool,
    element: ElementType,
    layout: Layout,
) -> std::fmt::Result {
    write!(f, "x")?;
    crate::ops::spec::write_tensor(f, x, element, layout)?;
    let axes: Vec<String> = reduced.iter().enumerate().filter(|(_, r)| **r).map(|(i, _)| i.to_string()).collect();
    write!(f, "_over{}{}", axes.join(","), if keepdims { "_keep" } else { "" })
}

impl Problem for ReduceProblem {
    fn name(&self) -> &'static str {
        match self.kind {
            ReduceKind::Sum => "reduce_sum",
            ReduceKind::Mean => "reduce_mean",
            ReduceKind::Max => "reduce_max",
            ReduceKind::Min => "reduce_min",
            ReduceKind::Prod => "reduce_prod",
        }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let x = TensorSpec::new("x", &self.x, self.element, self.layout);
        vec![if self.kind == ReduceKind::Prod { x.with_domain(Domain::NearOne) } else { x }]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.y(), self.element, self.y_layout())]
    }

    fn is_exact(&self) -> bool {
        self.kind != ReduceKind::Mean
    }

    fn flops(&self) -> f64 {
        self.x.iter().map(|&e| e as f64).product()
    }

    fn terms(&self) -> u64 {
        self.reduced_count()
    }
}

impl Problem for ArgmaxProblem {
    fn name(&self) -> &'static str {
        "argmax"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("x", &self.x, self.element, self.layout)]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.y(), ElementType::U32, self.y_layout())]
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn flops(&self) -> f64 {
        self.x.iter().map(|&e| e as f64).product()
    }
}
