//! Shape ops by name.

use super::attributes::{flag, read};
use super::{BuildError, Call, Inputs, View, missing};
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::{DepthToSpace, DepthToSpaceDescriptor, DepthToSpaceMode};
use crate::ops::transform::grid_sample::{GridSample, GridSampleDescriptor};
use crate::ops::transform::pad::{Pad, PadDescriptor, PadMode};
use crate::ops::transform::reshape::{flatten_extents, reshape_extents};
use crate::ops::transform::resize::{Resize, ResizeDescriptor, ResizeMode};
use crate::ops::transform::slice::{Slice, SliceDescriptor};
use crate::ops::transform::transpose::Transpose;
use crate::types::{Error, Layout, TensorType};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Reshape {
    shape: Vec<isize>,
}

#[derive(Deserialize)]
struct Axis {
    axis: Option<isize>,
}

#[derive(Deserialize)]
struct Slices {
    starts: Vec<isize>,
    ends: Vec<isize>,
    axes: Option<Vec<isize>>,
    steps: Option<Vec<isize>>,
}

#[derive(Deserialize)]
struct Pads {
    mode: Option<String>,
    pads: Vec<usize>,
    #[serde(default)]
    value: f32,
}

#[derive(Deserialize)]
struct Permutation {
    perm: Option<Vec<usize>>,
}

#[derive(Deserialize)]
struct Blocks {
    blocksize: usize,
    mode: Option<String>,
}

#[derive(Deserialize)]
struct Sizes {
    mode: Option<String>,
    coordinate_mode: Option<String>,
    nearest_mode: Option<String>,
    sizes: Vec<usize>,
    scales: Option<Vec<f64>>,
}

#[derive(Deserialize)]
struct Positions {
    mode: Option<String>,
    padding_mode: Option<String>,
    #[serde(default)]
    align_corners: u8,
}

/// grid_sample.
pub fn grid_sample(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let a: Positions = read(attrs)?;
    let descriptor = GridSampleDescriptor {
        mode: a.mode.map_or(Ok(Default::default()), |mode| mode.parse())?,
        padding: a.padding_mode.map_or(Ok(Default::default()), |mode| mode.parse())?,
        align_corners: flag("align_corners", a.align_corners)?,
    };
    let roles = ["x", "grid"];
    Ok(Call::one(GridSample::new(inputs.first_of(&roles)?, inputs.tensor("grid")?, &descriptor)?, &roles, &["y"]))
}

/// reshape, flatten: a view, no kernel.
pub fn view(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let x = inputs.tensor("x")?;
    if x.rank() >= 3 && x.layout == Layout::ChannelsLast {
        return Err(Error::Layout {
            argument: "x".into(),
            layout: x.layout,
            rule: "a view counts in row-major order, and of this layout it is a copy".into(),
        }
        .into());
    }
    let extents = match op {
        "reshape" => reshape_extents(&x.extents, &read::<Reshape>(attrs)?.shape),
        _ => flatten_extents(&x.extents, read::<Axis>(attrs)?.axis.unwrap_or(1)),
    }?;
    let view = View { name: "y".into(), of: "x".into(), tensor: TensorType { extents, ..x.clone() } };
    Ok(Call { steps: vec![], views: vec![view], outputs: vec![("y", "y".into())] })
}

pub fn concat(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let roles: Vec<String> = (0..inputs.given.len()).map(|i| format!("x{i}")).collect();
    let kinds = roles.iter().map(|role| kind(role, inputs)).collect::<Result<Vec<_>, _>>()?;
    let concat = Concat::new(&kinds, read::<Axis>(attrs)?.axis.ok_or_else(|| missing("axis"))?)?;
    Ok(Call::one(concat, &roles.iter().map(String::as_str).collect::<Vec<_>>(), &["y"]))
}

fn kind(role: &str, inputs: &Inputs<'_>) -> Result<TensorType, BuildError> {
    inputs.tensor(role).cloned()
}

/// slice, pad, transpose, depth_to_space, space_to_depth, resize.
pub fn one(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let x = kind("x", inputs)?;
    Ok(match op {
        "slice" => {
            let a: Slices = read(attrs)?;
            let axes = a.axes.unwrap_or_else(|| (0..a.starts.len() as isize).collect());
            let steps = a.steps.unwrap_or_else(|| vec![1; a.starts.len()]);
            Call::one(Slice::new(&x, &SliceDescriptor { starts: a.starts, ends: a.ends, axes, steps })?, &["x"], &["y"])
        }
        "pad" => {
            let a: Pads = read(attrs)?;
            let mode = match a.mode.as_deref().unwrap_or("constant") {
                "constant" => PadMode::Constant(a.value),
                "reflect" => PadMode::Reflect,
                "replicate" => PadMode::Replicate,
                "circular" => PadMode::Circular,
                other => return Err(format!("mode is {other}: it is constant, reflect, replicate or circular").into()),
            };
            Call::one(Pad::new(&x, &PadDescriptor { pads: a.pads, mode })?, &["x"], &["y"])
        }
        "transpose" => {
            let perm = read::<Permutation>(attrs)?.perm.unwrap_or_else(|| (0..x.extents.len()).rev().collect());
            Call::one(Transpose::new(&x, &perm)?, &["x"], &["y"])
        }
        "depth_to_space" | "space_to_depth" => {
            let a: Blocks = read(attrs)?;
            let mode = a.mode.map_or(Ok(DepthToSpaceMode::default()), |mode| mode.parse())?;
            let problem = if op == "depth_to_space" { DepthToSpace::new } else { DepthToSpace::inverse };
            Call::one(problem(&x, &DepthToSpaceDescriptor { block: a.blocksize, mode })?, &["x"], &["y"])
        }
        _ => {
            let a: Sizes = read(attrs)?;
            let mode = match (a.mode.as_deref().unwrap_or("nearest"), &a.nearest_mode) {
                ("linear", _) => ResizeMode::Linear,
                ("nearest", Some(nearest)) => ResizeMode::Nearest(nearest.parse()?),
                ("nearest", None) => ResizeMode::Nearest(Default::default()),
                (other, _) => return Err(format!("mode is {other}: it is nearest or linear").into()),
            };
            let descriptor = ResizeDescriptor {
                sizes: a.sizes,
                mode,
                coordinates: a.coordinate_mode.map_or(Ok(Default::default()), |mode| mode.parse())?,
                scales: a.scales,
            };
            Call::one(Resize::new(&x, &descriptor)?, &["x"], &["y"])
        }
    })
}
