//! The uniform struct of the reduction kernels.

use crate::kernel::uniform;
use crate::op::{LatticeAxis, MAX_AXES};

uniform! {
    /// Twin of `ReduceParams` in `shaders/reduce.wgsl` and `shaders/reduce_argmax.wgsl`.
    ReduceParams {
        axes: [LatticeAxis; MAX_AXES],
        items: u32,
        inner: u32,
        total: u32,
        length: u32,
        chunks: u32,
        divisor: f32,
        unit: f32,
        unused1: u32,
    }
}
