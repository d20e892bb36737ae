//! The shapes and their inputs, as `peer.py` has them.

use crate::Failure;
use serde::Deserialize;

/// One line of shapes.json, which `wgconv bench --shapes` reads too: arrays are channels first, attributes ONNX's.
#[derive(Deserialize)]
pub struct Shape {
    pub name: String,
    pub op: String,
    pub inputs: Inputs,
    pub attrs: Attributes,
}

/// `x` and `w` of a convolution, `x` of a pooling, `a` and `b` of a matrix product.
#[derive(Deserialize)]
pub struct Inputs {
    #[serde(alias = "a")]
    pub x: Vec<usize>,
    #[serde(alias = "b")]
    pub w: Option<Vec<usize>>,
}

#[derive(Deserialize)]
pub struct Attributes {
    #[serde(default)]
    pub kernel_shape: [usize; 2],
    #[serde(default)]
    pub strides: [usize; 2],
    /// Top, left, bottom, right.
    #[serde(default)]
    pub pads: [usize; 4],
    #[serde(default)]
    pub dilations: [usize; 2],
    #[serde(default)]
    pub group: usize,
}

/// The shapes of a file.
pub fn read(file: &str) -> Result<Vec<Shape>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
    Ok(serde_json::from_str(&text).map_err(|e| format!("{file}: {e}"))?)
}

impl Shape {
    /// The values of `x` (or `a`).
    pub fn x(&self) -> Vec<f32> {
        values(&self.inputs.x, 1)
    }

    /// The extents and values of `w` (or `b`).
    pub fn w(&self) -> Result<(&[usize], Vec<f32>), Failure> {
        let extents = self.inputs.w.as_ref().ok_or_else(|| format!("{}: {} takes two inputs", self.name, self.op))?;
        Ok((extents, values(extents, 2)))
    }
}

/// Pseudo-random multiples of 1/1024 in [-0.5, 0.5): f16 and TF32 hold them too, so every precision starts from the same inputs. The
/// second input is another stretch of the same sequence.
pub fn values(extents: &[usize], input: u32) -> Vec<f32> {
    let count = extents.iter().product::<usize>() as u32;
    (0..count)
        .map(|i| {
            let mut v = i.wrapping_add(input << 28);
            v = (v ^ (v >> 16)).wrapping_mul(0x7feb_352d);
            v = (v ^ (v >> 15)).wrapping_mul(0x846c_a68b);
            ((v ^ (v >> 16)) >> 22) as f32 / 1024.0 - 0.5
        })
        .collect()
}
