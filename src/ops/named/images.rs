//! Images of bytes by name. Their words are of u32, whatever other tensors of the call hold.

use super::attributes::read;
use super::{BuildError, Call, Inputs};
use crate::ops::image::{ImageDescriptor, ImageFormat, ImageProblem};
use crate::ops::{Op, Problem};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Image {
    format: ImageFormat,
    size: Option<[usize; 3]>,
    channels: Option<usize>,
    scale: Option<Vec<f32>>,
    mean: Option<Vec<f32>>,
}

/// `image_from_bytes` and `image_to_bytes`.
pub fn image(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let a: Image = read(attrs)?;
    let plain = ImageDescriptor::default();
    let by_channel = |name: &str, given: Option<Vec<f32>>, usual: [f32; 4]| match given.as_deref() {
        None => Ok(usual),
        Some(&[all]) => Ok([all; 4]),
        Some(values @ ([_, _, _] | [_, _, _, _])) => Ok(std::array::from_fn(|c| values.get(c).copied().unwrap_or(usual[c]))),
        Some(values) => Err(format!("{name} has {} numbers: it has 1, 3 or 4", values.len())),
    };
    let (scale, mean) = (by_channel("scale", a.scale, plain.scale)?, by_channel("mean", a.mean, plain.mean)?);
    if op == "image_to_bytes" {
        let problem = ImageProblem::write(a.format, inputs.tensor("x")?, &ImageDescriptor { scale, mean, ..plain })?;
        return Ok(Call::one(problem, &["x"], &["image"]));
    }
    let channels = a.channels.unwrap_or(if a.format == ImageFormat::Gray8 { 1 } else { 3 });
    let size = a.size.ok_or_else(|| super::missing("size"))?;
    let problem = Op::from(ImageProblem::read(a.format, size, &ImageDescriptor { channels, scale, mean, ..plain })?);
    let (wanted, given) = (problem.inputs()[0].tensor.extents.clone(), inputs.need("image")?);
    super::same_words(given, &wanted)?;
    Ok(Call::one(problem, &["image"], &["y"]))
}
