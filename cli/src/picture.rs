//! Photographs in and out: image files to channel planes of f32 in 0 ..= 255 and back.

use crate::{Failure, output};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use ndarray::{Array3, ArrayView3};
use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

/// Reads a PNG or JPEG as [channels, height, width]: one channel for grey images, three for colour. An alpha channel is dropped;
/// a photograph that the camera marked as turned (EXIF) is turned upright.
pub fn read(path: &Path) -> Result<Array3<f32>, Failure> {
    let fail = |why: String| Failure::Run(format!("{}: {why}", path.display()));
    // By content, not by the file's ending.
    let file = BufReader::new(File::open(path).map_err(|e| fail(e.to_string()))?);
    let reader = ImageReader::new(file).with_guessed_format().map_err(|e| fail(e.to_string()))?;
    match reader.format() {
        Some(ImageFormat::Png | ImageFormat::Jpeg) => {}
        _ => return Err(fail("not a PNG or JPEG image".into())),
    }
    let mut decoder = reader.into_decoder().map_err(|e| fail(e.to_string()))?;
    let orientation = decoder.orientation().map_err(|e| fail(e.to_string()))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| fail(e.to_string()))?;
    image.apply_orientation(orientation);
    let grey =
        matches!(image, DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_));
    let (width, height, channels, bytes) = if grey {
        let image = image.into_luma8();
        (image.width(), image.height(), 1, image.into_raw())
    } else {
        let image = image.into_rgb8();
        (image.width(), image.height(), 3, image.into_raw())
    };
    // Files interleave the channels of a pixel; the engine wants planes.
    Ok(Array3::from_shape_fn((channels, height as usize, width as usize), |(c, y, x)| f32::from(bytes[(y * width as usize + x) * channels + c])))
}

/// Refuses an output file that would be neither PNG nor JPEG, before any work is done for it.
pub fn check_ending(path: &Path) -> Result<(), Failure> {
    match ImageFormat::from_path(path) {
        Ok(ImageFormat::Png | ImageFormat::Jpeg) => Ok(()),
        _ => Err(Failure::Usage(format!("--output is {}: its name must end in .png, .jpg or .jpeg", path.display()))),
    }
}

/// Writes planes as a PNG or JPEG, by the ending of `path`. Values are rounded and clipped to 0 ..= 255.
pub fn write(path: &Path, planes: ArrayView3<'_, f32>) -> Result<(), Failure> {
    let fail = |why: String| Failure::Run(format!("{}: {why}", path.display()));
    let (channels, height, width) = planes.dim();
    let pixels = planes.permuted_axes([1, 2, 0]);
    let bytes: Vec<u8> = pixels.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
    let color = if channels == 1 { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
    let format = ImageFormat::from_path(path).map_err(|e| fail(e.to_string()))?;
    let mut file = Cursor::new(Vec::new());
    image::write_buffer_with_format(&mut file, &bytes, width as u32, height as u32, color, format).map_err(|e| fail(e.to_string()))?;
    output::write(path, file.get_ref())
}
