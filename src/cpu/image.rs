//! Images: rows of bytes to rows of a tensor and back, as the kernels compute them: one product, one sum, factors rounded to f32.
//!
//! Words of packed bytes are no f32 numbers, so an op's entry, which takes f32 numbers, has none of them; sessions call what is here.

use crate::cpu::Computed;
use crate::ops::image::ImageProblem;
use rayon::prelude::*;

impl Computed for ImageProblem {
    fn compute(&self, _: &[&[f32]], _: &mut [f32]) -> Option<()> {
        None
    }
}

/// Factors by channel.
fn factors(problem: &ImageProblem) -> [[f32; 4]; 2] {
    let affine = problem.affine();
    [affine.scale, affine.offset].map(|factors| factors.map(|v| v as f32))
}

/// The tensor of these words, in logical order.
pub(crate) fn read(problem: &ImageProblem, words: &[u32]) -> Vec<f32> {
    let [[n, channels], [height, width]] = extents(problem);
    let ([scale, offset], stored) = (factors(problem), problem.format.channels());
    let mut y = vec![0.0; n * channels * height * width];
    y.par_chunks_mut(width).enumerate().for_each(|(line, row)| {
        let (plane, at) = (line / height, line % height);
        let (image, c) = (plane / channels, plane % channels);
        let first = (image * height + at) * width * stored + c;
        for (x, value) in row.iter_mut().enumerate() {
            let byte = first + x * stored;
            *value = f32::from(words[byte / 4].to_le_bytes()[byte % 4]) * scale[c] + offset[c];
        }
    });
    y
}

/// The words of this tensor, which is in logical order.
pub(crate) fn write(problem: &ImageProblem, x: &[f32]) -> Vec<u32> {
    let [[_, channels], [height, width]] = extents(problem);
    let ([scale, offset], stored) = (factors(problem), problem.format.channels());
    let (plane, count) = (height * width, problem.image_bytes() as usize);
    let byte = |at: usize| -> u8 {
        let (pixel, k) = (at / stored, at % stored);
        if at >= count {
            return 0;
        }
        if k == 3 && channels < 4 {
            return 255;
        }
        let c = if channels == 1 { 0 } else { k };
        let value = x[(pixel / plane * channels + c) * plane + pixel % plane] * scale[c] + offset[c];
        // A conversion of a NaN gives 0.
        value.round_ties_even().clamp(0.0, 255.0) as u8
    };
    let mut words = vec![0; count.div_ceil(4)];
    words.par_iter_mut().enumerate().for_each(|(i, word)| *word = u32::from_le_bytes(std::array::from_fn(|k| byte(4 * i + k))));
    words
}

/// Images and channels, height and width.
fn extents(problem: &ImageProblem) -> [[usize; 2]; 2] {
    match problem.tensor.extents[..] {
        [n, channels, height, width] => [[n, channels], [height, width]],
        _ => [[0, 1], [1, 1]], // its constructor takes four axes alone
    }
}
