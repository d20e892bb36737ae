//! Images: words of packed bytes are no f32 numbers, so the engine has none of them.

use crate::cpu::Computed;
use crate::ops::image::ImageProblem;

impl Computed for ImageProblem {
    fn compute(&self, _: &[&[f32]], _: &mut [f32]) -> Option<()> {
        None
    }
}
