//! Shape ops by name.

use super::attributes::read;
use super::{Call, Inputs, View};
use serde::Deserialize;
use serde_json::Value;
use wgconv::transform::{
    Concat, DepthToSpace, DepthToSpaceMode, Pad, PadMode, Resize, ResizeDescriptor, ResizeMode, Slice, TensorKind, Transpose, flatten_extents,
    reshape_extents,
};
use wgconv::{Error, Layout};

#[derive(Deserialize)]
struct Reshape {
    shape: Vec<isize>,
}

#[derive(Deserialize)]
struct Axis {
    axis: isize,
}

#[derive(Deserialize)]
struct Slices {
    starts: Vec<isize>,
    ends: Vec<isize>,
    axes: Vec<isize>,
    steps: Vec<isize>,
}

#[derive(Deserialize)]
struct Pads {
    mode: String,
    pads: Vec<usize>,
    value: f32,
}

#[derive(Deserialize)]
struct Permutation {
    perm: Vec<usize>,
}

#[derive(Deserialize)]
struct Blocks {
    blocksize: usize,
    mode: String,
}

#[derive(Deserialize)]
struct Sizes {
    mode: String,
    coordinate_mode: String,
    nearest_mode: Option<String>,
    sizes: Vec<usize>,
    scales: Option<Vec<f64>>,
}

fn text(error: Error) -> String {
    error.to_string()
}

/// reshape, flatten: a view, no kernel.
pub fn view(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let x = inputs.need("x")?;
    if inputs.layout == Layout::ChannelsLast {
        return Err("a view of a channels_last tensor is a copy".into());
    }
    let extents = match op {
        "reshape" => reshape_extents(x, &read::<Reshape>(attrs)?.shape),
        _ => flatten_extents(x, read::<Axis>(attrs)?.axis),
    }
    .map_err(text)?;
    let view = View { name: "y".into(), of: "x".into(), element: inputs.element(&["x"])?, extents };
    Ok(Call { steps: vec![], views: vec![view], outputs: vec![("y", "y".into())] })
}

pub fn concat(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let roles: Vec<String> = (0..inputs.given.len()).map(|i| format!("x{i}")).collect();
    let kinds = roles.iter().map(|role| kind(role, inputs)).collect::<Result<_, _>>()?;
    let concat = Concat::new(kinds, read::<Axis>(attrs)?.axis).map_err(text)?;
    Ok(Call::one(concat, &roles.iter().map(String::as_str).collect::<Vec<_>>(), &["y"]))
}

fn kind(role: &str, inputs: &Inputs<'_>) -> Result<TensorKind, String> {
    TensorKind::new(role, inputs.need(role)?, inputs.element(&[role])?, inputs.layout).map_err(text)
}

/// slice, pad, transpose, depth_to_space, resize.
pub fn one(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let x = kind("x", inputs)?;
    Ok(match op {
        "slice" => {
            let a: Slices = read(attrs)?;
            Call::one(Slice::new(x, &a.starts, &a.ends, &a.axes, &a.steps).map_err(text)?, &["x"], &["y"])
        }
        "pad" => {
            let a: Pads = read(attrs)?;
            let mode = match a.mode.as_str() {
                "constant" => PadMode::Constant(a.value),
                "reflect" => PadMode::Reflect,
                "replicate" => PadMode::Replicate,
                "circular" => PadMode::Circular,
                other => return Err(format!("mode is {other}: it is constant, reflect, replicate or circular")),
            };
            Call::one(Pad::new(x, &a.pads, mode).map_err(text)?, &["x"], &["y"])
        }
        "transpose" => Call::one(Transpose::new(x, &read::<Permutation>(attrs)?.perm).map_err(text)?, &["x"], &["y"]),
        "depth_to_space" => {
            let a: Blocks = read(attrs)?;
            let mode = a.mode.parse::<DepthToSpaceMode>().map_err(text)?;
            Call::one(DepthToSpace::new(x, a.blocksize, mode).map_err(text)?, &["x"], &["y"])
        }
        _ => {
            let a: Sizes = read(attrs)?;
            let mode = match (a.mode.as_str(), &a.nearest_mode) {
                ("linear", _) => ResizeMode::Linear,
                ("nearest", Some(nearest)) => ResizeMode::Nearest(nearest.parse().map_err(text)?),
                ("nearest", None) => ResizeMode::Nearest(Default::default()),
                (other, _) => return Err(format!("mode is {other}: it is nearest or linear")),
            };
            let descriptor = ResizeDescriptor { mode, coordinates: a.coordinate_mode.parse().map_err(text)?, scales: a.scales };
            Call::one(Resize::new(&descriptor, x, &a.sizes).map_err(text)?, &["x"], &["y"])
        }
    })
}
