//! A picture as a model's input: cut about its centre to the input's shape, resized, and normalised as options say.

use crate::Failure;
use crate::picture::{self, Picture};
use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Rgb};
use std::path::Path;
use wgconv_onnx::{Dim, Input, Tensor};

/// How pixels become numbers.
pub struct Normalised<'a> {
    /// Of each channel, of pixels from 0 to 1.
    pub mean: &'a [f32],
    /// What is left is divided by it.
    pub deviation: &'a [f32],
    /// Height and width, where the model leaves them open.
    pub size: Option<[usize; 2]>,
    /// The largest picture that is read.
    pub most_pixels: u64,
}

/// Reads a picture for `input`, whose extents are N C H W, or N H W C with one or three channels.
pub fn read(path: &Path, input: &Input, how: &Normalised<'_>) -> Result<Tensor<'static>, Failure> {
    let fail = |why: String| Failure::Run(format!("{}: {why}", picture::name(path)));
    let picture = picture::read(path, how.most_pixels)?;
    let dims = input.dims.clone().unwrap_or_else(|| vec![Dim::Open, Dim::Is(3), Dim::Open, Dim::Open]);
    let [_, second, third, last] = &dims[..] else {
        return Err(fail(format!("the input {} has {} axes, and a picture has N C H W", crate::text::printable(&input.name), dims.len())));
    };
    let is_last = matches!(last, Dim::Is(1 | 3)) && !matches!(second, Dim::Is(1 | 3));
    let [channels, height, width] = if is_last { [last, second, third] } else { [second, third, last] };
    let channels = match channels {
        Dim::Is(1) => 1,
        Dim::Is(3) | Dim::Named(_) | Dim::Open => 3,
        Dim::Is(other) => return Err(fail(format!("the model takes {other} channels, and a picture has 1 or 3"))),
    };
    let own = how.size.unwrap_or([picture.height, picture.width]);
    let extent = |dim: &Dim, own: usize| if let Dim::Is(extent) = dim { *extent } else { own };
    let [height, width] = [extent(height, own[0]), extent(width, own[1])];
    if height == 0 || width == 0 || height.saturating_mul(width) as u64 > how.most_pixels {
        return Err(fail(format!("the model takes {height} x {width} pixels, and 1 to {} are made", how.most_pixels)));
    }
    let planes = sampled(&picture, [height, width], channels, how);
    let (dims, numbers) = if is_last {
        let interleaved = (0..height * width).flat_map(|at| planes.iter().map(move |plane| plane[at])).collect();
        ([1, height, width, channels], interleaved)
    } else {
        ([1, channels, height, width], planes.concat())
    };
    Tensor::f32(&dims, numbers).map_err(|e| fail(e.to_string()))
}

/// The middle of a picture in the shape of height x width, resized to that: a plane for each channel.
fn sampled(picture: &Picture, [height, width]: [usize; 2], channels: usize, how: &Normalised<'_>) -> Vec<Vec<f32>> {
    // The largest part of the picture that has the shape.
    let part_height = picture.height.min((picture.width * height).div_ceil(width)).max(1);
    let part_width = picture.width.min((picture.height * width).div_ceil(height)).max(1);
    let [top, left] = [picture.height - part_height, picture.width - part_width].map(|rest| rest / 2);
    let colours: Vec<ndarray::Array2<f32>> = (0..picture.channels).map(|channel| picture.plane(channel)).collect();
    let part = ImageBuffer::<Rgb<f32>, Vec<f32>>::from_fn(part_width as u32, part_height as u32, |x, y| {
        let at = [top + y as usize, left + x as usize];
        Rgb(std::array::from_fn(|channel| colours[channel.min(colours.len() - 1)][at] / 255.0))
    });
    let resized = resize(&part, width as u32, height as u32, FilterType::Triangle);
    let number = |list: &[f32], channel: usize, default: f32| list.get(channel).or(list.first()).copied().unwrap_or(default);
    (0..channels)
        .map(|channel| {
            let (mean, deviation) = (number(how.mean, channel, 0.0), number(how.deviation, channel, 1.0));
            // Luma of ITU-R BT.601 where the model takes grey.
            let value =
                |pixel: &Rgb<f32>| if channels == 1 { 0.299 * pixel.0[0] + 0.587 * pixel.0[1] + 0.114 * pixel.0[2] } else { pixel.0[channel] };
            resized.pixels().map(|pixel| (value(pixel) - mean) / deviation).collect()
        })
        .collect()
}
