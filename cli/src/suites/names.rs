//! Names of layers: what a layer is, from its op alone, so that one layer has one name in all networks.

use wgconv::conv::{ConvProblem, Direction};
use wgconv::op::{Op, Problem};
use wgconv::pool::PoolKind;
use wgconv::{Activation, Layout};

/// `3x3` for a window, its spatial axes in order.
fn joined(extents: &[usize]) -> String {
    extents.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// `_56` for a square picture, `_56x48` for another.
fn spatial(extents: &[usize]) -> String {
    if extents.windows(2).all(|pair| pair[0] == pair[1]) { extents.first().map_or(String::new(), usize::to_string) } else { joined(extents) }
}

/// Channels and picture of an image, all extents but a leading 1 of anything else.
fn shape(extents: &[usize]) -> String {
    let rest = if extents.first() == Some(&1) && extents.len() > 1 { &extents[1..] } else { extents };
    match rest {
        [channels, picture @ ..] if extents.len() == 4 && extents[0] == 1 => format!("{channels}_{}", spatial(picture)),
        _ => joined(rest),
    }
}

/// What follows the name of a layer whose activation is not the one that everybody has.
fn ending(activation: Activation, has_residual: bool) -> String {
    let activation = match activation {
        Activation::Relu | Activation::Relu6 | Activation::Tanh => String::new(),
        Activation::None => "_linear".into(),
        other => format!("_{}", other.name()),
    };
    match has_residual {
        true if activation == "_linear" || activation.is_empty() => "_add".into(),
        true => format!("_add{activation}"),
        false => activation,
    }
}

/// What stands before the window of a convolution in groups.
fn groups(conv: &ConvProblem) -> String {
    match conv.groups() {
        1 => String::new(),
        groups if groups == conv.in_channels() => "dw".into(),
        groups => format!("g{groups}_"),
    }
}

/// `_s2` of a convolution with a stride.
fn stride(conv: &ConvProblem) -> String {
    let stride = conv.axes().iter().map(|axis| axis.stride).max().unwrap_or(1);
    if stride > 1 { format!("_s{stride}") } else { String::new() }
}

/// The name of a layer.
pub fn of(op: &Op) -> String {
    let x = op.inputs().first().map(|spec| spec.tensor.clone());
    let extents = x.as_ref().map_or(&[][..], |x| &x.extents);
    match op {
        Op::Conv(conv) => {
            let window = joined(&conv.filter_extents()[2..]);
            let channels = format!("{}_{}", conv.in_channels(), conv.out_channels());
            if conv.direction() == Direction::Transposed {
                return format!("up{window}_{channels}_{}", spatial(&extents[2..]));
            }
            let (kind, stride) = (groups(conv), stride(conv));
            let pool = conv.pool().map_or("", |_| "_pool");
            format!("{kind}{window}_{channels}_{}{stride}{}{pool}", spatial(&extents[2..]), ending(conv.activation(), conv.has_residual()))
        }
        Op::FilterGradient(gradient) => {
            let conv = ConvProblem::from(gradient.clone());
            let (window, channels) = (joined(&conv.filter_extents()[2..]), format!("{}_{}", conv.in_channels(), conv.out_channels()));
            format!("filter_{}{window}_{channels}_{}{}", groups(&conv), spatial(&conv.input_extents()[2..]), stride(&conv))
        }
        Op::Pool(pool) => {
            let axes = &pool.axes()[3 - pool.rank()..];
            let window: Vec<usize> = axes.iter().map(|axis| axis.filter as usize).collect();
            let kind = match pool.kind() {
                PoolKind::Max { .. } => "max",
                PoolKind::Average { .. } => "avg",
                PoolKind::Lp { .. } => "lp",
            };
            let stride = axes.iter().map(|axis| axis.stride).max().unwrap_or(1);
            format!("{kind}pool{}_{}_{}_s{stride}", joined(&window), pool.channels(), spatial(&extents[2..]))
        }
        Op::MatMul(_) if op.name() == "linear" => {
            let specs = op.inputs();
            let (rows, w) = (extents[..extents.len() - 1].iter().product::<usize>(), &specs[1].tensor.extents);
            let rows = if rows == 1 { String::new() } else { format!("_x{rows}") };
            let Op::MatMul(product) = op else { return String::new() };
            let ending = match product.activation() {
                Activation::Gelu => "_gelu",
                _ => "",
            };
            format!("dense_{}_{}{rows}{}{ending}", w[1], w[0], if product.has_residual() { "_add" } else { "" })
        }
        Op::MatMul(product) => format!("{}_{}_{}_{}", op.name(), product.m(), product.n(), product.k()),
        Op::Reduce(_) if extents.len() == 4 && op.outputs()[0].tensor.extents.get(2..) == Some(&[1, 1]) => {
            format!("global_avgpool_{}_{}", extents[1], spatial(&extents[2..]))
        }
        Op::Slice(_) if extents.len() == 4 && op.outputs()[0].tensor.extents[1] == extents[1] => {
            format!("crop_{}_{}_{}", extents[1], spatial(&extents[2..]), spatial(&op.outputs()[0].tensor.extents[2..]))
        }
        Op::Slice(_) => format!("slice_{}_to_{}", shape(extents), shape(&op.outputs()[0].tensor.extents)),
        Op::Resize(_) => format!("resize_{}_to_{}", shape(extents), spatial(op.outputs()[0].tensor.extents.get(2..).unwrap_or_default())),
        Op::Concat(_) => {
            let parts = op.inputs().len();
            let parts = if parts == 2 { String::new() } else { format!("_of{parts}") };
            format!("concat_{}{parts}", shape(extents))
        }
        _ => {
            let last = if x.as_ref().is_some_and(|x| x.layout == Layout::ChannelsLast) { "_cl" } else { "" };
            let name = if op.name() == "activation"
                && let Op::Unary(unary) = op
            {
                unary.activation().name()
            } else {
                op.name()
            };
            format!("{}_{}{last}", name.replace('_', ""), shape(extents))
        }
    }
}
