//! The written forms of softmax, norms and reductions.

use super::signed;
use crate::ops::norm::batch::{BatchNormDescriptor, BatchNormProblem, BatchNormVectors};
use crate::ops::norm::lrn::{LrnDescriptor, LrnProblem};
use crate::ops::norm::rows::{GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, NormInputs, NormKind, NormProblem};
use crate::ops::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceKind, ReduceProblem};
use crate::ops::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Softmax {
    x: Vec<usize>,
    axis: usize,
    logarithm: bool,
    element: ElementType,
    layout: Layout,
    in_place: bool,
}

impl From<SoftmaxProblem> for Softmax {
    fn from(p: SoftmaxProblem) -> Self {
        Self { x: p.extents, axis: p.axis, logarithm: p.logarithm, element: p.element, layout: p.layout, in_place: p.in_place }
    }
}

impl TryFrom<Softmax> for SoftmaxProblem {
    type Error = Error;

    fn try_from(w: Softmax) -> Result<Self> {
        let descriptor = SoftmaxDescriptor { axis: signed("axis", w.axis)?, logarithm: w.logarithm };
        let problem = SoftmaxProblem::new(&TensorType::new(&w.x, w.element, w.layout), &descriptor)?;
        Ok(if w.in_place { problem.in_place() } else { problem })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Norm {
    kind: NormKind,
    x: Vec<usize>,
    scale: bool,
    bias: bool,
    epsilon: f32,
    statistics: bool,
    element: ElementType,
    layout: Layout,
}

impl From<NormProblem> for Norm {
    fn from(p: NormProblem) -> Self {
        let NormProblem { kind, x, has_scale: scale, has_bias: bias, epsilon, statistics, element, layout } = p;
        Self { kind, x, scale, bias, epsilon, statistics, element, layout }
    }
}

impl TryFrom<Norm> for NormProblem {
    type Error = Error;

    fn try_from(w: Norm) -> Result<Self> {
        let own = match w.kind {
            NormKind::Layer { axis } => w.x.get(axis..),
            NormKind::Group { .. } | NormKind::Instance => w.x.get(1..2),
        };
        // Where there are none, the constructor says why.
        let own = own.unwrap_or_default();
        let inputs = NormInputs { x: TensorType::new(&w.x, w.element, w.layout), scale: w.scale.then_some(own), bias: w.bias.then_some(own) };
        let epsilon = w.epsilon;
        let problem = match w.kind {
            NormKind::Layer { axis } => NormProblem::layer(&inputs, &LayerNormDescriptor { axis: signed("axis", axis)?, epsilon }),
            NormKind::Group { groups } => NormProblem::group(&inputs, &GroupNormDescriptor { groups, epsilon }),
            NormKind::Instance => NormProblem::instance(&inputs, &InstanceNormDescriptor { epsilon }),
        };
        Ok(problem?.with_statistics(w.statistics))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchNorm {
    x: Vec<usize>,
    scale: bool,
    bias: bool,
    element: ElementType,
    layout: Layout,
    in_place: bool,
    descriptor: BatchNormDescriptor,
}

impl From<BatchNormProblem> for BatchNorm {
    fn from(p: BatchNormProblem) -> Self {
        let BatchNormProblem { x, has_scale: scale, has_bias: bias, epsilon, activation, element, layout, in_place } = p;
        Self { x, scale, bias, element, layout, in_place, descriptor: BatchNormDescriptor { epsilon, activation } }
    }
}

impl TryFrom<BatchNorm> for BatchNormProblem {
    type Error = Error;

    fn try_from(w: BatchNorm) -> Result<Self> {
        let channels = w.x.get(1..2).unwrap_or_default();
        let vectors = BatchNormVectors { scale: w.scale.then_some(channels), bias: w.bias.then_some(channels), mean: channels, variance: channels };
        let problem = BatchNormProblem::new(&TensorType::new(&w.x, w.element, w.layout), &vectors, &w.descriptor)?;
        Ok(if w.in_place { problem.in_place() } else { problem })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lrn {
    x: Vec<usize>,
    element: ElementType,
    layout: Layout,
    descriptor: LrnDescriptor,
}

impl From<LrnProblem> for Lrn {
    fn from(p: LrnProblem) -> Self {
        Self { x: p.x, element: p.element, layout: p.layout, descriptor: p.descriptor }
    }
}

impl TryFrom<Lrn> for LrnProblem {
    type Error = Error;

    fn try_from(w: Lrn) -> Result<Self> {
        LrnProblem::new(&TensorType::new(&w.x, w.element, w.layout), &w.descriptor)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reduce {
    kind: ReduceKind,
    x: Vec<usize>,
    axes: Vec<usize>,
    keepdims: bool,
    element: ElementType,
    layout: Layout,
}

impl From<ReduceProblem> for Reduce {
    fn from(p: ReduceProblem) -> Self {
        let axes = p.reduced.iter().enumerate().filter(|(_, reduced)| **reduced).map(|(axis, _)| axis).collect();
        Self { kind: p.kind, x: p.x, axes, keepdims: p.keepdims, element: p.element, layout: p.layout }
    }
}

impl TryFrom<Reduce> for ReduceProblem {
    type Error = Error;

    fn try_from(w: Reduce) -> Result<Self> {
        let axes = w.axes.iter().map(|&axis| signed("axes", axis)).collect::<Result<_>>()?;
        ReduceProblem::new(&TensorType::new(&w.x, w.element, w.layout), &ReduceDescriptor { kind: w.kind, axes, keepdims: w.keepdims })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Argmax {
    x: Vec<usize>,
    axis: Option<usize>,
    keepdims: bool,
    select_last: bool,
    element: ElementType,
    layout: Layout,
}

impl From<ArgmaxProblem> for Argmax {
    fn from(p: ArgmaxProblem) -> Self {
        let ArgmaxProblem { x, axis, keepdims, select_last, element, layout } = p;
        Self { x, axis, keepdims, select_last, element, layout }
    }
}

impl TryFrom<Argmax> for ArgmaxProblem {
    type Error = Error;

    fn try_from(w: Argmax) -> Result<Self> {
        let axis = w.axis.map(|axis| signed("axis", axis)).transpose()?;
        let descriptor = ArgmaxDescriptor { axis, keepdims: w.keepdims, select_last: w.select_last };
        ArgmaxProblem::new(&TensorType::new(&w.x, w.element, w.layout), &descriptor)
    }
}
