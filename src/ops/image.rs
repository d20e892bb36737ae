//! Images of 8 bits a channel, packed into u32 words, to tensors and back.
//!
//! One descriptor does both: reading gives (v - mean) scale of each channel, writing gives x / scale + mean back, where v is what the format says, a byte
//! over 255.

use crate::ops::Problem;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::shape::MAX_COUNT;
use crate::types::tensor_type::strides;
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

/// The bytes of a pixel, one after the other without a gap, rows and images too; the first of four is the lowest byte of a u32 word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// Red, green, blue, alpha.
    #[default]
    Rgba8,
    /// Red, green, blue.
    Rgb8,
    /// One byte.
    Gray8,
}

impl ImageFormat {
    /// Bytes of a pixel.
    pub fn channels(self) -> usize {
        match self {
            ImageFormat::Rgba8 => 4,
            ImageFormat::Rgb8 => 3,
            ImageFormat::Gray8 => 1,
        }
    }

    /// Its name in ids: `rgba8`, `rgb8`, `gray8`.
    pub fn name(self) -> &'static str {
        match self {
            ImageFormat::Rgba8 => "rgba8",
            ImageFormat::Rgb8 => "rgb8",
            ImageFormat::Gray8 => "gray8",
        }
    }
}

/// How the values of an image become those of a tensor: y = (v - mean) scale, where v of 8 bits is the byte over 255. A scale of 255 and a mean of 0 give the bytes
/// themselves, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageDescriptor {
    /// Channels of the tensor that is read: 1, 3 or 4, and no more than the image has; alpha may be left out. When a tensor is written its own channels count.
    pub channels: usize,
    /// By channel; other than 0.
    pub scale: [f32; 4],
    /// By channel.
    pub mean: [f32; 4],
    /// Of the tensor that is read: f32 or f16.
    pub element: ElementType,
    /// Of the tensor that is read.
    pub layout: Layout,
}

impl Default for ImageDescriptor {
    /// Three f32 channels from 0 to 1, channels-first.
    fn default() -> Self {
        Self { channels: 3, scale: [1.0; 4], mean: [0.0; 4], element: ElementType::F32, layout: Layout::ChannelsFirst }
    }
}

/// What a kernel multiplies by and adds, by channel, before they are rounded to f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    pub scale: [f64; 4],
    pub offset: [f64; 4],
}

impl ImageDescriptor {
    /// Of a value that is 1 where the image has `white`: y = value scale / white - mean scale.
    pub(crate) fn reading(&self, white: f64) -> Affine {
        let at = |c: usize| (f64::from(self.scale[c]), f64::from(self.mean[c]));
        Affine { scale: [0, 1, 2, 3].map(|c| at(c).0 / white), offset: [0, 1, 2, 3].map(|c| -at(c).1 * at(c).0) }
    }

    /// The inverse: value = x white / scale + mean white.
    pub(crate) fn writing(&self, white: f64) -> Affine {
        let at = |c: usize| (f64::from(self.scale[c]), f64::from(self.mean[c]));
        Affine { scale: [0, 1, 2, 3].map(|c| white / at(c).0), offset: [0, 1, 2, 3].map(|c| at(c).1 * white) }
    }

    /// Every factor must be an f32 of full precision.
    pub(crate) fn check(&self) -> Result<()> {
        let range = 2f32.powi(-64)..=2f32.powi(64);
        for (c, (scale, mean)) in self.scale.iter().zip(&self.mean).enumerate() {
            if !range.contains(&scale.abs()) {
                return Err(Error::invalid(format!("scale[{c}]"), scale, "its magnitude is from 2^-64 to 2^64"));
            }
            if mean.is_nan() || mean.abs() > *range.end() {
                return Err(Error::invalid(format!("mean[{c}]"), mean, "its magnitude is at most 2^64"));
            }
        }
        Ok(())
    }
}

/// Channels that an image of `stored` has and a tensor may have.
pub(crate) fn check_channels(argument: &str, channels: usize, stored: usize, writes: bool) -> Result<()> {
    // A gray tensor is shown in gray; which gray a tensor of one channel should be of a color image is not for a reader to choose.
    let fits = channels == stored || (channels == 3 && stored == 4) || (writes && channels == 1);
    if fits {
        return Ok(());
    }
    let allowed = match (stored, writes) {
        (4, false) => "3 or 4",
        (4, true) => "1, 3 or 4",
        (3, true) => "1 or 3",
        (3, false) => "3",
        _ => "1",
    };
    Err(Error::invalid(argument, channels, format!("an image of {stored} channels and a tensor of {allowed} go together")))
}

/// An image to a tensor, or back: every number known and checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Image", into = "crate::ops::written::Image")]
pub struct ImageProblem {
    pub(crate) format: ImageFormat,
    /// From the tensor to the image.
    pub(crate) writes: bool,
    /// N C H W.
    pub(crate) tensor: TensorType,
    /// Bits of f32 numbers, by channel.
    pub(crate) scale: [u32; 4],
    /// The same.
    pub(crate) mean: [u32; 4],
}

impl ImageProblem {
    /// An image of `size` (images, height, width) to a tensor.
    ///
    /// # Errors
    /// Channels that the format has not; a scale of 0 or past 2^64; extents that make no tensor; a tensor of indices.
    pub fn read(format: ImageFormat, size: [usize; 3], descriptor: &ImageDescriptor) -> Result<Self> {
        let [n, height, width] = size;
        check_channels("channels", descriptor.channels, format.channels(), false)?;
        let tensor = TensorType::new(&[n, descriptor.channels, height, width], descriptor.element, descriptor.layout);
        Self::new(format, false, tensor, descriptor)
    }

    /// A tensor N C H W to images; `descriptor` gives scale and mean.
    ///
    /// # Errors
    /// As [`ImageProblem::read`]; a tensor that has not four axes.
    pub fn write(format: ImageFormat, tensor: &TensorType, descriptor: &ImageDescriptor) -> Result<Self> {
        if tensor.rank() != 4 {
            return Err(Error::invalid("the rank of x", tensor.rank(), "an image is written of a tensor N C H W"));
        }
        check_channels("channels of x", tensor.extents[1], format.channels(), true)?;
        Self::new(format, true, tensor.clone(), descriptor)
    }

    pub(crate) fn new(format: ImageFormat, writes: bool, tensor: TensorType, descriptor: &ImageDescriptor) -> Result<Self> {
        descriptor.check()?;
        tensor.checked_float("x")?;
        let problem = Self { format, writes, tensor, scale: descriptor.scale.map(f32::to_bits), mean: descriptor.mean.map(f32::to_bits) };
        if problem.pixels().checked_mul(4).is_none_or(|bytes| bytes > MAX_COUNT) {
            return Err(Error::invalid("size", format!("{:?}", problem.tensor.extents), "an image has at most 2^58 pixels"));
        }
        Ok(problem)
    }

    /// The format of the image.
    pub fn format(&self) -> ImageFormat {
        self.format
    }

    /// The tensor, N C H W.
    pub fn tensor(&self) -> &TensorType {
        &self.tensor
    }

    /// Scale by channel.
    pub fn scale(&self) -> [f32; 4] {
        self.scale.map(f32::from_bits)
    }

    /// Mean by channel.
    pub fn mean(&self) -> [f32; 4] {
        self.mean.map(f32::from_bits)
    }

    pub(crate) fn descriptor(&self) -> ImageDescriptor {
        ImageDescriptor {
            channels: self.tensor.extents[1],
            scale: self.scale.map(f32::from_bits),
            mean: self.mean.map(f32::from_bits),
            element: self.tensor.element,
            layout: self.tensor.layout,
        }
    }

    /// What its kernel computes with.
    pub(crate) fn affine(&self) -> Affine {
        if self.writes { self.descriptor().writing(255.0) } else { self.descriptor().reading(255.0) }
    }

    pub(crate) fn pixels(&self) -> u64 {
        let at = |axis: usize| self.tensor.extents[axis] as u64;
        at(0).saturating_mul(at(2)).saturating_mul(at(3))
    }

    /// Bytes of the image.
    pub(crate) fn image_bytes(&self) -> u64 {
        self.pixels() * self.format.channels() as u64 // checked in `new`
    }

    /// Elements from one image, channel and position to the next.
    pub(crate) fn tensor_strides(tensor: &TensorType) -> [u64; 3] {
        let all = strides(&tensor.extents, tensor.layout);
        [all[0], all[1], all[3]].map(i64::unsigned_abs)
    }

    pub(crate) fn words(&self) -> TensorSpec {
        let count = self.image_bytes().div_ceil(4) as usize;
        TensorSpec::new("image", &[count], ElementType::U32, Layout::ChannelsFirst).with_domain(Domain::Index(1 << 32))
    }
}

impl Problem for ImageProblem {
    fn name(&self) -> &'static str {
        if self.writes { "image_to_bytes" } else { "image_from_bytes" }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        if self.writes { vec![TensorSpec::of("x", &self.tensor)] } else { vec![self.words()] }
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        if self.writes { vec![self.words()] } else { vec![TensorSpec::of("y", &self.tensor)] }
    }

    /// Where factors are so few bits long that no product and no sum of a byte, or of a small integer, rounds: in f16 up to 1024 by halves.
    fn is_exact(&self) -> bool {
        let Affine { scale, offset } = self.affine();
        let largest = if self.tensor.element == ElementType::F16 { 1024.0 } else { 65_536.0 };
        let step = if self.tensor.element == ElementType::F16 { 2.0 } else { 16.0 };
        scale
            .iter()
            .zip(&offset)
            .all(|(scale, offset)| [scale, offset].into_iter().all(|v| (v * step).fract() == 0.0) && scale.abs() * 255.0 + offset.abs() <= largest)
    }

    fn flops(&self) -> f64 {
        2.0 * self.pixels() as f64 * self.tensor.extents[1] as f64
    }
}

impl std::fmt::Display for ImageProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.format.name())?;
        let plain = ImageDescriptor::default();
        for (name, values, usual) in [("s", self.descriptor().scale, plain.scale), ("m", self.descriptor().mean, plain.mean)] {
            if values != usual {
                write!(f, "_{name}{}", values.map(|v| v.to_string()).join("x"))?;
            }
        }
        crate::ops::spec::write_tensor(f, &self.tensor.extents, self.tensor.element, self.tensor.layout)
    }
}
