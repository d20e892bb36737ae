//! Images: every format with every count of channels, both layouts and types, pixels that do not fill a word, several images, and factors that are exact and that
//! are not.

use crate::ops::image::{ImageDescriptor, ImageFormat, ImageProblem};
use crate::types::shape::Layout::ChannelsFirst as CF;
use crate::types::shape::Layout::ChannelsLast as CL;
use crate::types::{ElementType, Result, TensorType};

/// Factors that round nothing: bytes as they are, doubled, halved, and less 255. Back, sums of a quarter: what lies in the middle of two bytes.
const EXACT: ImageDescriptor =
    ImageDescriptor { channels: 3, scale: [255.0, 510.0, 127.5, 255.0], mean: [0.5, 0.25, 0.0, 1.0], element: ElementType::F32, layout: CF };

/// As torchvision's networks take them.
const NETWORK: ImageDescriptor = ImageDescriptor { scale: [4.366_812, 4.464_286, 4.444_444_7, 1.0], mean: [0.485, 0.456, 0.406, 0.0], ..EXACT };

pub(crate) fn problems() -> Result<Vec<ImageProblem>> {
    let mut all = vec![];
    let pairs = [(ImageFormat::Rgba8, 4), (ImageFormat::Rgba8, 3), (ImageFormat::Rgb8, 3), (ImageFormat::Gray8, 1)];
    for (format, channels) in pairs {
        for (i, size) in [[1, 1, 1], [2, 5, 7], [1, 9, 31]].into_iter().enumerate() {
            for (descriptor, layout, element) in [
                (EXACT, CF, ElementType::F32),
                (EXACT, CL, ElementType::F16),
                (NETWORK, [CL, CF][i % 2], ElementType::F32),
                (ImageDescriptor { ..Default::default() }, CF, ElementType::F16),
            ] {
                all.push(ImageProblem::read(format, size, &ImageDescriptor { channels, layout, element, ..descriptor })?);
                let [n, height, width] = size;
                for channels in [channels, 1] {
                    all.push(ImageProblem::write(format, &TensorType::new(&[n, channels, height, width], element, layout), &descriptor)?);
                }
            }
        }
    }
    // All bytes by thirty-twos, each in the middle of two: half to even.
    let ties = ImageDescriptor { scale: [7.968_75; 4], mean: [0.5; 4], ..EXACT };
    all.push(ImageProblem::write(ImageFormat::Rgba8, &TensorType::f32(&[1, 3, 16, 16]), &ties)?);
    Ok(all)
}
