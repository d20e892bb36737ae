//! The ops as methods of [`crate::Recorder`]; [`crate::Gpu::run`] runs any of them at once.
//!
//! Tensors come first, one descriptor (or an axis, a kind, an activation) last.

pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod gradient;
pub(crate) mod image;
pub(crate) mod indexed;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod reshape;
pub(crate) mod softmax;
pub(crate) mod transform;

use crate::gpu::tensor::Tensor;

/// What a convolution or a dense layer adds to its sums before the activation.
#[derive(Debug, Clone, Copy)]
pub struct Addends<'a> {
    /// One value per output channel.
    pub bias: Option<&'a Tensor>,
    /// Of the output's shape and layout.
    pub residual: &'a Tensor,
}

impl<'a> Addends<'a> {
    /// The bias, if there is one, then the residual.
    fn tensors(self) -> impl Iterator<Item = &'a Tensor> {
        self.bias.into_iter().chain([self.residual])
    }
}
