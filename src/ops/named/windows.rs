//! Convolutions and pools by name.

use super::attributes::{self, Conv, Pool, explicit, flag, list, read};
use super::{BuildError, Call, Inputs, same_shape};
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use crate::ops::pool::global;
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::MaxUnpoolProblem;
use crate::types::Padding;
use serde::Deserialize;
use serde_json::Value;

/// conv, conv_transpose, and conv with a residual.
pub fn conv(op: &str, attrs: &Value, inputs: &Inputs<'_>, residual: bool) -> Result<Call, BuildError> {
    let problem = problem(op, attrs, inputs)?;
    let mut roles = vec!["x", "w"];
    roles.extend(inputs.get("b").map(|_| "b"));
    if residual {
        same_shape("residual", inputs.need("residual")?, &problem.output_extents())?;
        roles.push("residual");
    }
    Ok(Call::one(problem.with_residual(residual), &roles, &["y"]))
}

/// The problem of conv or conv_transpose.
pub fn problem(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<ConvProblem, BuildError> {
    let mut attributes: Conv = read(attrs)?;
    let (x, w) = (inputs.first_of(&["x", "w", "b", "residual"])?, inputs.need("w")?);
    if attributes.window.kernel_shape.is_empty() {
        if !(3..=5).contains(&w.len()) {
            return Err(format!("filter is {w:?}: its rank is 3 to 5, not {}", w.len()).into());
        }
        attributes.window.kernel_shape = w[2..].to_vec();
    }
    let shapes = ConvInputs { x: x.clone(), filter: w, bias: inputs.get("b"), y_layout: x.layout };
    let problem = match attributes.window.kernel_shape.len() {
        1 => conv_of::<1>(op, &attributes, &shapes),
        2 => conv_of::<2>(op, &attributes, &shapes),
        3 => conv_of::<3>(op, &attributes, &shapes),
        rank => Err(format!("kernel_shape is {:?}: convolutions have 1 to 3 spatial axes, not {rank}", attributes.window.kernel_shape).into()),
    }?;
    Ok(problem.with_accuracy(inputs.accuracy))
}

/// The gradient of conv by its filter, whose extents follow from x, dy and the window.
pub fn filter_gradient(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let attributes: Conv = read(attrs)?;
    let (x, dy) = (inputs.first_of(&["x", "dy"])?, inputs.need("dy")?);
    let [channels, filters] = [&x.extents[..], dy].map(|extents| extents.get(1).copied().unwrap_or(0));
    let window = &attributes.window.kernel_shape;
    let filter = [&[filters, channels / attributes.group.unwrap_or(1).max(1)], &window[..]].concat();
    let shapes = ConvInputs { x: x.clone(), filter: &filter, bias: None, y_layout: x.layout };
    let conv = match window.len() {
        1 => conv_of::<1>("conv", &attributes, &shapes),
        2 => conv_of::<2>("conv", &attributes, &shapes),
        3 => conv_of::<3>("conv", &attributes, &shapes),
        rank => Err(format!("kernel_shape is {window:?}: convolutions have 1 to 3 spatial axes, not {rank}").into()),
    }?;
    same_shape("dy", dy, &conv.output_extents())?;
    Ok(Call::one(FilterGradient::new(&conv.with_accuracy(inputs.accuracy))?, &["x", "dy"], &["dw"]))
}

fn conv_of<const N: usize>(op: &str, a: &Conv, shapes: &ConvInputs<'_>) -> Result<ConvProblem, BuildError> {
    if shapes.filter.len() == N + 2 && shapes.filter[2..] != a.window.kernel_shape[..] {
        return Err(format!("kernel_shape is {:?}: the filter has spatial extents {:?}", a.window.kernel_shape, &shapes.filter[2..]).into());
    }
    let window = a.window.resolve::<N>()?;
    let (stride, dilation, padding) = (window.strides, window.dilations, window.padding);
    let (groups, activation) = (a.group.unwrap_or(1), a.activation.resolve()?);
    if op == "conv" {
        let padding_mode = a.padding_mode.unwrap_or_default();
        let descriptor = ConvDescriptor { stride, dilation, padding, padding_mode, groups, activation, ..Default::default() };
        Ok(ConvProblem::forward::<N>(shapes, &descriptor)?)
    } else {
        let descriptor = ConvTransposeDescriptor {
            stride,
            dilation,
            padding,
            output_padding: a.output_padding.as_deref().map_or(Ok([0; N]), |p| list("output_padding", p))?,
            output_shape: a.output_shape.as_deref().map(|s| list("output_shape", s)).transpose()?,
            groups,
            activation,
            ..Default::default()
        };
        Ok(ConvProblem::transposed::<N>(shapes, &descriptor)?)
    }
}

#[derive(Deserialize)]
struct Adaptive {
    output_size: Vec<usize>,
}

/// The power of a norm.
#[derive(Deserialize)]
struct Power {
    #[serde(default = "two")]
    p: f32,
}

fn two() -> f32 {
    2.0
}

#[derive(Deserialize)]
struct Unpool {
    kernel_shape: Vec<usize>,
    strides: Vec<usize>,
    pads: Option<Vec<usize>>,
    output_shape: Option<Vec<usize>>,
}

/// The pools and max_unpool.
pub fn pool(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let x = inputs.tensor("x")?;
    let with_indices = PoolKind::Max { indices: inputs.extras.then_some(IndexOrder::RowMajor) };
    let problem = match op {
        "global_max_pool" | "global_average_pool" | "global_lp_pool" => {
            let kind = match op {
                "global_max_pool" => PoolKind::MAX,
                "global_average_pool" => PoolKind::AVERAGE,
                _ => PoolKind::Lp { p: read::<Power>(attrs)?.p },
            };
            return Ok(Call::one(global(x, kind)?, &["x"], &["y"]));
        }
        "adaptive_max_pool" | "adaptive_average_pool" | "adaptive_lp_pool" => {
            let kind = match op {
                "adaptive_max_pool" => with_indices,
                "adaptive_average_pool" => PoolKind::AVERAGE,
                _ => PoolKind::Lp { p: read::<Power>(attrs)?.p },
            };
            let size = read::<Adaptive>(attrs)?.output_size;
            let spatial = x.rank().saturating_sub(2);
            match spatial {
                1 => PoolProblem::adaptive::<1>(x, &AdaptivePoolDescriptor { kind, output: list("output_size", &size)? }),
                2 => PoolProblem::adaptive::<2>(x, &AdaptivePoolDescriptor { kind, output: list("output_size", &size)? }),
                3 => PoolProblem::adaptive::<3>(x, &AdaptivePoolDescriptor { kind, output: list("output_size", &size)? }),
                _ => return Err(format!("x is {:?}: pools take x of rank 3 to 5", x.extents).into()),
            }?
        }
        "max_unpool" => return unpool(attrs, inputs),
        _ => {
            let attributes: Pool = read(attrs)?;
            let ceil_mode = flag("ceil_mode", attributes.ceil_mode)?;
            let kind = match op {
                "max_pool" if flag("storage_order", attributes.storage_order)? && inputs.extras => {
                    PoolKind::Max { indices: Some(IndexOrder::ColumnMajor) }
                }
                "max_pool" => with_indices,
                "average_pool" => PoolKind::Average { count_include_pad: flag("count_include_pad", attributes.count_include_pad)? },
                _ => PoolKind::Lp { p: attributes.p.unwrap_or(two()) },
            };
            let window = &attributes.window;
            match window.kernel_shape.len() {
                1 => PoolProblem::new(x, &descriptor::<1>(kind, window, ceil_mode)?),
                2 => PoolProblem::new(x, &descriptor::<2>(kind, window, ceil_mode)?),
                3 => PoolProblem::new(x, &descriptor::<3>(kind, window, ceil_mode)?),
                rank => return Err(format!("kernel_shape is {:?}: pools have 1 to 3 spatial axes, not {rank}", window.kernel_shape).into()),
            }?
        }
    };
    let outputs: &[&str] = if problem.indices().is_some() { &["y", "indices"] } else { &["y"] };
    Ok(Call::one(problem, &["x"], outputs))
}

fn descriptor<const N: usize>(kind: PoolKind, window: &attributes::Window, ceil_mode: bool) -> Result<PoolDescriptor<N>, BuildError> {
    let resolved = window.resolve::<N>()?;
    let stride = window.strides.is_some().then_some(resolved.strides);
    Ok(PoolDescriptor { kind, window: resolved.kernel, stride, dilation: resolved.dilations, padding: resolved.padding, ceil_mode })
}

fn unpool(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let a: Unpool = read(attrs)?;
    let problem = match a.kernel_shape.len() {
        1 => unpool_of::<1>(&a, inputs),
        2 => unpool_of::<2>(&a, inputs),
        3 => unpool_of::<3>(&a, inputs),
        rank => Err(format!("kernel_shape is {:?}: pools have 1 to 3 spatial axes, not {rank}", a.kernel_shape).into()),
    }?;
    Ok(Call::one(problem, &["x", "indices"], &["y"]))
}

fn unpool_of<const N: usize>(a: &Unpool, inputs: &Inputs<'_>) -> Result<MaxUnpoolProblem, BuildError> {
    let padding = a.pads.as_deref().map_or(Ok(Padding::Valid), explicit)?;
    let pool = PoolDescriptor::<N> { padding, ..PoolDescriptor::window(list("kernel_shape", &a.kernel_shape)?) };
    let descriptor = MaxUnpoolDescriptor {
        pool: pool.with_stride(list("strides", &a.strides)?),
        output_shape: a.output_shape.as_deref().map(|s| list("output_shape", s)).transpose()?,
    };
    Ok(MaxUnpoolProblem::new(inputs.tensor("x")?, inputs.need("indices")?, &descriptor)?)
}
