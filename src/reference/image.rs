//! Images straight from their definition, byte after byte.

use crate::numeric::bound::{UNDERFLOW, gamma};
use crate::ops::image::{Affine, ImageProblem};
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// Element of the tensor, in logical order, of channel `c` of a pixel.
fn element_of(problem: &ImageProblem, pixel: usize, c: usize) -> usize {
    let [_, channels, height, width] = problem.tensor.extents[..] else { return 0 };
    let plane = height * width;
    (pixel / plane * channels + c) * plane + pixel % plane
}

/// What a kernel may err in value scale + offset: both factors are rounded to f32, then the product and the sum.
fn error_of(value: f64, scale: f64, offset: f64) -> f64 {
    let u = ElementType::F32.unit_roundoff();
    gamma(3, u) * (value * scale).abs() + gamma(2, u) * offset.abs() + UNDERFLOW * (1.0 + scale.abs())
}

/// y = byte scale / 255 - mean scale of every channel.
fn read(problem: &ImageProblem, words: &[f64]) -> Bounded {
    let Affine { scale, offset } = problem.affine();
    let (stored, channels) = (problem.format.channels(), problem.tensor.extents[1]);
    let pixels = problem.pixels() as usize;
    let (mut value, mut error) = (vec![0.0; pixels * channels], vec![0.0; pixels * channels]);
    for pixel in 0..pixels {
        for c in 0..channels {
            let at = pixel * stored + c;
            let byte = f64::from((words[at / 4] as u32).to_le_bytes()[at % 4]);
            let i = element_of(problem, pixel, c);
            value[i] = byte * scale[c] + offset[c];
            error[i] = error_of(byte, scale[c], offset[c]);
        }
    }
    Bounded { value, error }
}

/// The byte of a value: rounded half to even, clamped; 0 of a NaN.
fn byte(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 255.0).round_ties_even() }
}

/// Bytes of x / scale + mean, packed. A value within the error of the middle between two bytes may be either, so a word may be off by one in each of its bytes.
fn write(problem: &ImageProblem, x: &[f64]) -> Bounded {
    let Affine { scale, offset } = problem.affine();
    let (stored, channels) = (problem.format.channels(), problem.tensor.extents[1]);
    let bytes = problem.image_bytes() as usize;
    let (mut value, mut error) = (vec![0.0; bytes.div_ceil(4)], vec![0.0; bytes.div_ceil(4)]);
    for at in 0..bytes {
        let (pixel, k) = (at / stored, at % stored);
        let (own, err) = if k == 3 && channels < 4 {
            (255.0, 0.0)
        } else {
            let c = if channels == 1 { 0 } else { k };
            let x = x[element_of(problem, pixel, c)];
            let exact = x * scale[c] + offset[c];
            let own = byte(exact);
            let near = if exact.is_finite() { error_of(x, scale[c], offset[c]) } else { 0.0 };
            (own, (byte(exact + near) - own).max(own - byte(exact - near)))
        };
        let place = f64::from(1u32 << (8 * (at % 4)));
        value[at / 4] += own * place;
        error[at / 4] += err * place;
    }
    Bounded { value, error }
}

impl Referenced for ImageProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![if self.writes { write(self, inputs[0]) } else { read(self, inputs[0]) }]
    }
}
