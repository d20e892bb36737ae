//! Pictures in and out: image files to samples and back, with what belongs to them.
//!
//! Values are 0 to 255 whatever a sample's depth: 65535 of a 16-bit picture is 255. What a format cannot keep is said, never dropped in
//! silence. Sizes are checked before memory is taken for them.

use crate::text::printable;
use crate::whole::{jpeg_is_cut_off, tiff_reaches_past_its_end};
use crate::{Failure, input};
use clap::ValueEnum;
use image::codecs::tiff::{TiffDecoder, TiffEncoder};
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits};
use ndarray::{Array2, ArrayView2};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// Formats that are read and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    Png,
    Jpeg,
    /// Written without loss
    Webp,
    Tiff,
}

impl Format {
    fn of(format: ImageFormat) -> Option<Self> {
        match format {
            ImageFormat::Png => Some(Format::Png),
            ImageFormat::Jpeg => Some(Format::Jpeg),
            ImageFormat::WebP => Some(Format::Webp),
            ImageFormat::Tiff => Some(Format::Tiff),
            _ => None,
        }
    }

    /// The one that the ending of a file's name says.
    pub fn by_ending(path: &Path) -> Option<Self> {
        ImageFormat::from_path(path).ok().and_then(Self::of)
    }

    fn has_16_bits(self) -> bool {
        matches!(self, Format::Png | Format::Tiff)
    }

    /// Bytes of EXIF data that fit: a JPEG has one segment of 64 KiB for them.
    fn most_exif(self) -> usize {
        match self {
            Format::Jpeg => 65_000,
            Format::Tiff => 0, // its encoder has no place for them
            Format::Png | Format::Webp => usize::MAX,
        }
    }

    /// Width and height that a file can state.
    fn most_extent(self) -> usize {
        match self {
            Format::Jpeg => 65_535,
            Format::Webp => 16_384,
            Format::Png | Format::Tiff => u32::MAX as usize,
        }
    }

    /// Refuses extents that the format cannot state.
    ///
    /// # Errors
    /// The reason, with the numbers.
    pub fn check(self, [height, width]: [usize; 2]) -> Result<(), String> {
        let most = self.most_extent();
        if width.max(height) > most {
            return Err(format!("the result is {width} x {height} pixels: {self:?} has no more than {most} on a side"));
        }
        Ok(())
    }
}

/// Samples as the file has them, row by row, the channels of a pixel together.
#[derive(Clone)]
pub enum Samples {
    Byte(Vec<u8>),
    Word(Vec<u16>),
}

/// A picture: grey or colour, with or without alpha, and what belongs to it.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// 1 for grey, 3 for colour; alpha is not counted.
    pub channels: usize,
    pub alpha: bool,
    pub samples: Samples,
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    /// What the file had and no result will have.
    pub lost: Vec<&'static str>,
}

/// Reads the picture at `path`, or from standard input where that is `-`: PNG, JPEG, WebP or TIFF by its content, of at most `most_pixels`.
/// A photograph that the camera marked as turned (EXIF) is turned upright.
pub fn read(path: &Path, most_pixels: u64) -> Result<Picture, Failure> {
    let fail = |why: String| Failure::Run(format!("{}: {why}", name(path)));
    let bytes = if path == Path::new("-") {
        read_file(std::io::stdin().lock(), most_pixels)
    } else {
        File::open(path).map_err(|e| e.to_string()).and_then(|file| read_file(file, most_pixels))
    };
    bytes.and_then(|bytes| decode(&bytes, most_pixels)).map_err(fail)
}

/// A path as messages name it.
pub fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { printable(&path.to_string_lossy()) }
}

/// The bytes of a file that begins as a picture does, no more than a picture of so many pixels can have.
fn read_file(mut reader: impl Read, most_pixels: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader.by_ref().take(64).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    format_of(&bytes)?; // before the rest of what may be anything
    bytes.extend(input::bounded(reader, most_bytes(most_pixels))?);
    Ok(bytes)
}

fn format_of(bytes: &[u8]) -> Result<ImageFormat, String> {
    let format = image::guess_format(bytes).ok().filter(|format| Format::of(*format).is_some());
    format.ok_or_else(|| "not a PNG, JPEG, WebP or TIFF image".into())
}

/// Memory that a decoder may take for a picture of so many pixels: four samples of 16 bits each, and room for tables.
fn most_bytes(most_pixels: u64) -> u64 {
    most_pixels.saturating_mul(8).saturating_add(64 << 20)
}

/// Reads a whole file.
pub fn decode(bytes: &[u8], most_pixels: u64) -> Result<Picture, String> {
    let format = format_of(bytes)?;
    if format == ImageFormat::Jpeg && jpeg_is_cut_off(bytes) {
        return Err("the file is cut off: a JPEG ends with a marker, and this one has none".into());
    }
    if format == ImageFormat::Tiff && tiff_reaches_past_its_end(bytes) {
        return Err("the file is cut off or damaged: it says that values lie past its end".into());
    }
    let text = |e: image::ImageError| e.to_string();
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(most_bytes(most_pixels));
    let mut decoder: Box<dyn ImageDecoder> = if format == ImageFormat::Tiff {
        // The limits that a reader sets count a profile as a part of the pixels, and are too small for it beside a small picture.
        Box::new(TiffDecoder::new(Cursor::new(bytes)).map_err(text)?)
    } else {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits.clone());
        Box::new(reader.into_decoder().map_err(text)?)
    };
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > most_pixels {
        let megapixels = |pixels: u64| pixels as f64 / 1e6;
        return Err(format!(
            "{width} x {height} are {:.1} megapixels, and at most {} are read: --max-megapixels takes a larger number",
            megapixels(pixels),
            megapixels(most_pixels)
        ));
    }
    let orientation = decoder.orientation().map_err(text)?;
    let icc = decoder.icc_profile().map_err(text)?;
    let mut exif = decoder.exif_metadata().map_err(text)?;
    let xmp = decoder.xmp_metadata().map_err(text)?;
    decoder.set_limits(limits).map_err(text)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(text)?;
    image.apply_orientation(orientation);
    if let Some(exif) = &mut exif {
        // What is upright now must not be turned once more.
        let _ = Orientation::remove_from_exif_chunk(exif);
    }
    let mut picture = Picture::of(image);
    picture.exif = exif;
    picture.lost.extend(xmp.map(|_| "XMP data"));
    let space: &[u8] = if picture.channels == 1 { b"GRAY" } else { b"RGB " };
    match icc {
        Some(profile) if profile.get(16..20) == Some(space) => picture.icc = Some(profile),
        // Such as that of a CMYK picture, whose samples are RGB now.
        Some(_) => picture.lost.push("the ICC profile, which is for other channels"),
        None => {}
    }
    Ok(picture)
}

impl Picture {
    fn of(image: DynamicImage) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let mut lost = Vec::new();
        let (channels, alpha, samples) = match image {
            DynamicImage::ImageLuma8(image) => (1, false, Samples::Byte(image.into_raw())),
            DynamicImage::ImageLumaA8(image) => (1, true, Samples::Byte(image.into_raw())),
            DynamicImage::ImageRgb8(image) => (3, false, Samples::Byte(image.into_raw())),
            DynamicImage::ImageRgba8(image) => (3, true, Samples::Byte(image.into_raw())),
            DynamicImage::ImageLuma16(image) => (1, false, Samples::Word(image.into_raw())),
            DynamicImage::ImageLumaA16(image) => (1, true, Samples::Word(image.into_raw())),
            DynamicImage::ImageRgb16(image) => (3, false, Samples::Word(image.into_raw())),
            DynamicImage::ImageRgba16(image) => (3, true, Samples::Word(image.into_raw())),
            other => {
                lost.push("numbers of 32 bits (16 are computed with)");
                let alpha = other.color().has_alpha();
                let samples = if alpha { other.into_rgba16().into_raw() } else { other.into_rgb16().into_raw() };
                (3, alpha, Samples::Word(samples))
            }
        };
        Picture { width, height, channels, alpha, samples, icc: None, exif: None, lost }
    }

    /// A black picture of the same kind with other extents. Alpha belongs to the pixels that were there, so it has none.
    pub fn blank(&mut self, [height, width]: [usize; 2]) -> Self {
        let count = height * width * self.channels;
        let samples = match &self.samples {
            Samples::Byte(_) => Samples::Byte(vec![0; count]),
            Samples::Word(_) => Samples::Word(vec![0; count]),
        };
        let mut lost = std::mem::take(&mut self.lost);
        if self.alpha {
            lost.push("the alpha channel, for the result has other extents");
        }
        Picture { width, height, channels: self.channels, alpha: false, samples, icc: self.icc.take(), exif: self.exif.take(), lost }
    }

    /// Samples of a pixel.
    fn step(&self) -> usize {
        self.channels + usize::from(self.alpha)
    }

    /// The values of a channel, 0 to 255.
    pub fn plane(&self, channel: usize) -> Array2<f32> {
        let (step, width) = (self.step(), self.width);
        let at = |(y, x): (usize, usize)| (y * width + x) * step + channel;
        match &self.samples {
            Samples::Byte(samples) => Array2::from_shape_fn((self.height, width), |place| f32::from(samples[at(place)])),
            Samples::Word(samples) => Array2::from_shape_fn((self.height, width), |place| f32::from(samples[at(place)]) / 257.0),
        }
    }

    /// Sets a channel to values that are rounded and clipped to 0 to 255; gives the number of those that were outside.
    pub fn set_plane(&mut self, channel: usize, values: impl Iterator<Item = f32>) -> usize {
        let step = self.step();
        let mut outside = 0;
        let mut look = |v: f32| {
            outside += usize::from(!(-0.5..=255.5).contains(&v));
            v
        };
        match &mut self.samples {
            Samples::Byte(samples) => {
                samples.iter_mut().skip(channel).step_by(step).zip(values).for_each(|(s, v)| *s = look(v).round().clamp(0.0, 255.0) as u8);
            }
            Samples::Word(samples) => {
                let places = samples.iter_mut().skip(channel).step_by(step);
                places.zip(values).for_each(|(s, v)| *s = (look(v) * 257.0).round().clamp(0.0, 65_535.0) as u16);
            }
        }
        outside
    }

    /// The file, and what it does not keep.
    ///
    /// # Errors
    /// The encoder's reason.
    pub fn encode(mut self, format: Format, quality: u8) -> Result<(Vec<u8>, Vec<String>), String> {
        let mut lost: Vec<String> = self.lost.iter().map(|what| what.to_string()).collect();
        if let (Samples::Word(samples), false) = (&self.samples, format.has_16_bits()) {
            lost.push("16 bits a sample (8 are written)".into());
            self.samples = Samples::Byte(samples.iter().map(|v| ((u32::from(*v) + 128) / 257) as u8).collect());
        }
        if self.alpha && format == Format::Jpeg {
            lost.push("the alpha channel".into());
            self.rearrange(self.channels, false);
        }
        if self.alpha && self.channels == 1 && format == Format::Tiff {
            self.rearrange(3, true); // its encoder knows alpha beside colour alone
            if self.icc.take().is_some() {
                lost.push("the ICC profile, which is for other channels".into());
            }
        }
        if self.exif.as_ref().is_some_and(|exif| exif.len() > format.most_exif()) {
            lost.push("EXIF data".into());
            self.exif = None;
        }
        let mut file = Cursor::new(Vec::new());
        match format {
            Format::Png => self.encode_by(PngEncoder::new(&mut file), &mut lost),
            Format::Jpeg => self.encode_by(JpegEncoder::new_with_quality(&mut file, quality), &mut lost),
            Format::Webp => self.encode_by(WebPEncoder::new_lossless(&mut file), &mut lost),
            Format::Tiff => self.encode_by(TiffEncoder::new(&mut file), &mut lost),
        }?;
        Ok((file.into_inner(), lost))
    }

    fn encode_by(&mut self, mut encoder: impl ImageEncoder, lost: &mut Vec<String>) -> Result<(), String> {
        if self.icc.take().is_some_and(|icc| encoder.set_icc_profile(icc).is_err()) {
            lost.push("the ICC profile".into());
        }
        if self.exif.take().is_some_and(|exif| encoder.set_exif_metadata(exif).is_err()) {
            lost.push("EXIF data".into());
        }
        let color = match (&self.samples, self.channels, self.alpha) {
            (Samples::Byte(_), 1, false) => ExtendedColorType::L8,
            (Samples::Byte(_), 1, true) => ExtendedColorType::La8,
            (Samples::Byte(_), _, false) => ExtendedColorType::Rgb8,
            (Samples::Byte(_), _, true) => ExtendedColorType::Rgba8,
            (Samples::Word(_), 1, false) => ExtendedColorType::L16,
            (Samples::Word(_), 1, true) => ExtendedColorType::La16,
            (Samples::Word(_), _, false) => ExtendedColorType::Rgb16,
            (Samples::Word(_), _, true) => ExtendedColorType::Rgba16,
        };
        // Encoders take 16-bit samples as the machine has them.
        let words: Vec<u8>;
        let bytes = match &self.samples {
            Samples::Byte(samples) => samples,
            Samples::Word(samples) => {
                words = samples.iter().flat_map(|v| v.to_ne_bytes()).collect();
                &words
            }
        };
        encoder.write_image(bytes, self.width as u32, self.height as u32, color).map_err(|e| e.to_string())
    }

    /// Pixels of so many channels, the grey one repeated, with or without the alpha that is there.
    fn rearrange(&mut self, channels: usize, alpha: bool) {
        fn pixels<T: Copy>(samples: &[T], step: usize, had: usize, channels: usize, alpha: bool) -> Vec<T> {
            let pixel = |pixel: &[T]| {
                let colour: Vec<T> = (0..channels).map(|c| pixel[c.min(had - 1)]).chain(alpha.then(|| pixel[had])).collect();
                colour
            };
            samples.chunks_exact(step).flat_map(pixel).collect()
        }
        let (step, had) = (self.step(), self.channels);
        self.samples = match &self.samples {
            Samples::Byte(samples) => Samples::Byte(pixels(samples, step, had, channels, alpha)),
            Samples::Word(samples) => Samples::Word(pixels(samples, step, had, channels, alpha)),
        };
        (self.channels, self.alpha) = (channels, alpha);
    }
}

/// The smallest and the largest finite value; none where no value is.
pub fn range<'a>(values: impl Iterator<Item = ArrayView2<'a, f32>>) -> Option<[f32; 2]> {
    let mut range: Option<[f32; 2]> = None;
    for plane in values {
        for v in plane.iter().copied().filter(|v| v.is_finite()) {
            range = Some(range.map_or([v, v], |[low, high]| [low.min(v), high.max(v)]));
        }
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_comes_back_as_it_was() {
        let mut words = Picture::of(DynamicImage::new_luma16(256, 256));
        let all: Vec<u16> = (0..=u16::MAX).collect();
        words.samples = Samples::Word(all.clone());
        let plane = words.plane(0);
        assert_eq!((plane[[0, 0]], plane[[255, 255]]), (0.0, 255.0));
        assert_eq!(words.set_plane(0, plane.iter().copied()), 0);
        assert!(matches!(&words.samples, Samples::Word(samples) if *samples == all));
        assert_eq!(words.set_plane(0, [-1.0, 300.0, f32::NAN, 7.0].into_iter()), 3, "what is clipped is counted");
    }

    #[test]
    fn the_range_is_that_of_finite_values() {
        let values = Array2::from_shape_vec((1, 4), vec![f32::NAN, -2.0, f32::INFINITY, 5.0]).unwrap();
        assert_eq!(range([values.view()].into_iter()), Some([-2.0, 5.0]));
        assert_eq!(range([values.slice(ndarray::s![.., 0..1])].into_iter()), None);
    }
}
