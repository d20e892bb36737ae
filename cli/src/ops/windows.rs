//! Convolutions and pools by name.

use super::attributes::{self, Conv, Pool, explicit, flag, list, read};
use super::{Call, Inputs, same_shape};
use serde::Deserialize;
use serde_json::Value;
use wgconv::conv::{ConvDescriptor, ConvInputs, ConvProblem, ConvTransposeDescriptor};
use wgconv::pool::{AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, MaxUnpoolProblem, PoolDescriptor, PoolKind, PoolProblem, global};
use wgconv::{Error, Padding, TensorType};

/// conv, conv_transpose, and conv with a residual.
pub fn conv(op: &str, attrs: &Value, inputs: &Inputs<'_>, residual: bool) -> Result<Call, String> {
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
pub fn problem(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<ConvProblem, String> {
    let mut attributes: Conv = read(attrs)?;
    let (x, w) = (inputs.need("x")?, inputs.need("w")?);
    if attributes.window.kernel_shape.is_empty() {
        if !(3..=5).contains(&w.len()) {
            return Err(format!("filter is {w:?}: its rank is 3 to 5, not {}", w.len()));
        }
        attributes.window.kernel_shape = w[2..].to_vec();
    }
    let shapes = ConvInputs {
        x: TensorType::new(x, inputs.element(&["x", "w", "b", "residual"])?, inputs.layout),
        filter: w,
        bias: inputs.get("b"),
        y_layout: inputs.layout,
    };
    let problem = match attributes.window.kernel_shape.len() {
        1 => conv_of::<1>(op, &attributes, &shapes),
        2 => conv_of::<2>(op, &attributes, &shapes),
        3 => conv_of::<3>(op, &attributes, &shapes),
        rank => Err(format!("kernel_shape is {:?}: convolutions have 1 to 3 spatial axes, not {rank}", attributes.window.kernel_shape)),
    }?;
    Ok(problem.with_accuracy(inputs.accuracy))
}

fn conv_of<const N: usize>(op: &str, a: &Conv, shapes: &ConvInputs<'_>) -> Result<ConvProblem, String> {
    if shapes.filter.len() == N + 2 && shapes.filter[2..] != a.window.kernel_shape[..] {
        return Err(format!("kernel_shape is {:?}: the filter has spatial extents {:?}", a.window.kernel_shape, &shapes.filter[2..]));
    }
    let window = a.window.resolve::<N>()?;
    let (stride, dilation, padding) = (window.strides, window.dilations, window.padding);
    let (groups, activation) = (a.group.unwrap_or(1), a.activation.resolve()?);
    if op == "conv" {
        let padding_mode = a.padding_mode.unwrap_or_default();
        let descriptor = ConvDescriptor { stride, dilation, padding, padding_mode, groups, activation, ..Default::default() };
        ConvProblem::forward::<N>(shapes, &descriptor)
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
        ConvProblem::transposed::<N>(shapes, &descriptor)
    }
    .map_err(|e| e.to_string())
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
pub fn pool(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let x = inputs.need("x")?;
    let element = inputs.element(&["x"])?;
    let text = |e: Error| e.to_string();
    let with_indices = PoolKind::Max { indices: inputs.extras.then_some(IndexOrder::RowMajor) };
    let problem = match op {
        "global_max_pool" | "global_average_pool" | "global_lp_pool" => {
            let kind = match op {
                "global_max_pool" => PoolKind::MAX,
                "global_average_pool" => PoolKind::AVERAGE,
                _ => PoolKind::Lp { p: read::<Power>(attrs)?.p },
            };
            return Ok(Call::one(global(&TensorType::new(x, element, inputs.layout), kind).map_err(text)?, &["x"], &["y"]));
        }
        "adaptive_max_pool" | "adaptive_average_pool" | "adaptive_lp_pool" => {
            let kind = match op {
                "adaptive_max_pool" => with_indices,
                "adaptive_average_pool" => PoolKind::AVERAGE,
                _ => PoolKind::Lp { p: read::<Power>(attrs)?.p },
            };
            let size = read::<Adaptive>(attrs)?.output_size;
            let spatial = x.len().saturating_sub(2);
            match spatial {
                1 => PoolProblem::adaptive::<1>(
                    &TensorType::new(x, element, inputs.layout),
                    &AdaptivePoolDescriptor { kind, output: list("output_size", &size)? },
                ),
                2 => PoolProblem::adaptive::<2>(
                    &TensorType::new(x, element, inputs.layout),
                    &AdaptivePoolDescriptor { kind, output: list("output_size", &size)? },
                ),
                3 => PoolProblem::adaptive::<3>(
                    &TensorType::new(x, element, inputs.layout),
                    &AdaptivePoolDescriptor { kind, output: list("output_size", &size)? },
                ),
                _ => return Err(format!("x is {x:?}: pools take x of rank 3 to 5")),
            }
            .map_err(text)?
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
                1 => PoolProblem::new(&TensorType::new(x, element, inputs.layout), &descriptor::<1>(kind, window, ceil_mode)?),
                2 => PoolProblem::new(&TensorType::new(x, element, inputs.layout), &descriptor::<2>(kind, window, ceil_mode)?),
                3 => PoolProblem::new(&TensorType::new(x, element, inputs.layout), &descriptor::<3>(kind, window, ceil_mode)?),
                rank => return Err(format!("kernel_shape is {:?}: pools have 1 to 3 spatial axes, not {rank}", window.kernel_shape)),
            }
            .map_err(text)?
        }
    };
    let outputs: &[&str] = if problem.indices().is_some() { &["y", "indices"] } else { &["y"] };
    Ok(Call::one(problem, &["x"], outputs))
}

fn descriptor<const N: usize>(kind: PoolKind, window: &attributes::Window, ceil_mode: bool) -> Result<PoolDescriptor<N>, String> {
    let resolved = window.resolve::<N>()?;
    let stride = window.strides.is_some().then_some(resolved.strides);
    Ok(PoolDescriptor { kind, window: resolved.kernel, stride, dilation: resolved.dilations, padding: resolved.padding, ceil_mode })
}

fn unpool(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let a: Unpool = read(attrs)?;
    let problem = match a.kernel_shape.len() {
        1 => unpool_of::<1>(&a, inputs),
        2 => unpool_of::<2>(&a, inputs),
        3 => unpool_of::<3>(&a, inputs),
        rank => Err(format!("kernel_shape is {:?}: pools have 1 to 3 spatial axes, not {rank}", a.kernel_shape)),
    }?;
    Ok(Call::one(problem, &["x", "indices"], &["y"]))
}

fn unpool_of<const N: usize>(a: &Unpool, inputs: &Inputs<'_>) -> Result<MaxUnpoolProblem, String> {
    let padding = a.pads.as_deref().map_or(Ok(Padding::Valid), explicit)?;
    let pool = PoolDescriptor::<N> { padding, ..PoolDescriptor::window(list("kernel_shape", &a.kernel_shape)?) };
    let descriptor = MaxUnpoolDescriptor {
        pool: pool.with_stride(list("strides", &a.strides)?),
        output_shape: a.output_shape.as_deref().map(|s| list("output_shape", s)).transpose()?,
    };
    MaxUnpoolProblem::new(&TensorType::new(inputs.need("x")?, inputs.element(&["x"])?, inputs.layout), inputs.need("indices")?, &descriptor)
        .map_err(|e| e.to_string())
}
