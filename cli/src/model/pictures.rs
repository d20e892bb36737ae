//! Outputs that are pictures as PNG: four axes, 1, 3 or 4 channels beside height and width.

use image::ExtendedColorType;
use image::ImageEncoder;
use image::codecs::png::PngEncoder;
use ndarray::{ArrayD, ArrayViewD, Axis};

/// Sides of a picture at least: what is smaller is more likely a list of classes.
const LEAST: usize = 8;

/// Which numbers are black and white.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub black: f32,
    pub white: f32,
}

/// The value of `--range`.
pub fn range(text: &str) -> Result<Range, String> {
    let rule = || "it is two numbers, the first the smaller, such as 0,1 or -1,1".to_string();
    let (black, white) = text.split_once(',').ok_or_else(rule)?;
    let [black, white] = [black, white].map(|part| part.trim().parse::<f32>().ok().filter(|v| v.is_finite()));
    match (black, white) {
        (Some(black), Some(white)) if black < white => Ok(Range { black, white }),
        _ => Err(rule()),
    }
}

/// Files, one an item, with what is black and white in them.
type Pngs = (Vec<Vec<u8>>, Range);

/// The PNG of each item, where an output is pictures, and which numbers are black and white in them: what `asked` says, else the least and the largest
/// finite number of the output.
pub fn pngs(array: &ArrayD<f32>, asked: Option<Range>) -> Result<Option<Pngs>, String> {
    let is_picture = |channels: usize, sides: [usize; 2]| matches!(channels, 1 | 3 | 4) && sides.iter().all(|side| *side >= LEAST);
    let planes: ArrayViewD<'_, f32> = match *array.shape() {
        [_, channels, height, width] if is_picture(channels, [height, width]) => array.view().permuted_axes(vec![0, 2, 3, 1]),
        [_, height, width, channels] if is_picture(channels, [height, width]) => array.view(),
        _ => return Ok(None),
    };
    let range = asked.unwrap_or_else(|| {
        let finite = || array.iter().copied().filter(|v| v.is_finite());
        Range { black: finite().reduce(f32::min).unwrap_or(0.0), white: finite().reduce(f32::max).unwrap_or(1.0) }
    });
    let span = if range.white > range.black { range.white - range.black } else { 1.0 };
    // What is no number is black.
    let byte = |v: f32| ((v - range.black) / span * 255.0).round().clamp(0.0, 255.0) as u8;
    let pngs = planes.axis_iter(Axis(0)).map(|item| {
        let (height, width, channels) = (item.shape()[0], item.shape()[1], item.shape()[2]);
        let colour = match channels {
            1 => ExtendedColorType::L8,
            3 => ExtendedColorType::Rgb8,
            _ => ExtendedColorType::Rgba8,
        };
        let [Ok(width), Ok(height)] = [width, height].map(u32::try_from) else { return Err(format!("{width} x {height} pixels are no PNG")) };
        let mut png = vec![];
        PngEncoder::new(&mut png)
            .write_image(&item.iter().map(|v| byte(*v)).collect::<Vec<_>>(), width, height, colour)
            .map_err(|e| e.to_string())?;
        Ok(png)
    });
    Ok(Some((pngs.collect::<Result<_, String>>()?, range)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn pictures_keep_their_pixels() {
        let array = ArrayD::from_shape_fn(vec![2, 3, 8, 9], |at| if at[0] == 1 { f32::NAN } else { (at[1] * 100 + at[2] * 9 + at[3]) as f32 });
        let (pngs, range) = pngs(&array, Some(Range { black: 0.0, white: 255.0 })).unwrap().unwrap();
        assert_eq!((pngs.len(), range.white), (2, 255.0));
        let read = image::load_from_memory(&pngs[0]).unwrap().into_rgb8();
        assert_eq!(read.dimensions(), (9, 8));
        assert_eq!(read.get_pixel(4, 3).0, [31, 131, 231]);
        assert_eq!(image::load_from_memory(&pngs[1]).unwrap().into_rgb8().get_pixel(0, 0).0, [0; 3]);
        let last = array.view().permuted_axes(vec![0, 2, 3, 1]).as_standard_layout().into_owned();
        assert_eq!(super::pngs(&last, Some(range)).unwrap().unwrap().0, pngs, "channels last");
    }

    #[test]
    fn what_is_no_picture_is_left() {
        for extents in [vec![1, 3, 7, 9], vec![1, 2, 9, 9], vec![3, 9, 9], vec![1, 1000]] {
            assert!(pngs(&ArrayD::zeros(extents), None).unwrap().is_none());
        }
        let (_, range) = pngs(&ArrayD::from_elem(vec![1, 1, 8, 8], f32::INFINITY), None).unwrap().unwrap();
        assert_eq!(range, Range { black: 0.0, white: 1.0 });
        assert_eq!(super::range("-1,1"), Ok(Range { black: -1.0, white: 1.0 }));
        for wrong in ["1", "1,1", "2,1", "a,b", "0,inf", "nan,1"] {
            assert!(super::range(wrong).is_err(), "{wrong}");
        }
    }
}
