//! Images as files have them.

use crate::ops::image::{ImageDescriptor, ImageFormat, ImageProblem};
use crate::types::{Error, Result, TensorType};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    format: ImageFormat,
    writes: bool,
    tensor: TensorType,
    /// Bits of f32 numbers.
    scale: [u32; 4],
    mean: [u32; 4],
}

impl From<ImageProblem> for Image {
    fn from(ImageProblem { format, writes, tensor, scale, mean }: ImageProblem) -> Self {
        Self { format, writes, tensor, scale, mean }
    }
}

impl TryFrom<Image> for ImageProblem {
    type Error = Error;

    fn try_from(Image { format, writes, tensor, scale, mean }: Image) -> Result<Self> {
        let descriptor = ImageDescriptor {
            channels: tensor.extents.get(1).copied().unwrap_or_default(),
            scale: scale.map(f32::from_bits),
            mean: mean.map(f32::from_bits),
            element: tensor.element,
            layout: tensor.layout,
        };
        if writes {
            return ImageProblem::write(format, &tensor, &descriptor);
        }
        match tensor.extents[..] {
            [n, _, height, width] => ImageProblem::read(format, [n, height, width], &descriptor),
            _ => Err(Error::invalid("the rank of the tensor", tensor.rank(), "an image is read to a tensor N C H W")),
        }
    }
}
