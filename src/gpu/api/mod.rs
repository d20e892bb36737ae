//! The ops as methods of [`crate::Recorder`]; [`crate::Gpu::run`] runs any of them at once.

pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod reshape;
pub(crate) mod softmax;
pub(crate) mod transform;
