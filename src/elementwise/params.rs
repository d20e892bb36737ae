//! The uniform structs of the elementwise kernels.

use crate::kernel::uniform;
use crate::op::{LatticeAxis, MAX_AXES};

uniform! {
    /// Twin of `UnaryParams` in `shaders/elementwise_unary.wgsl`.
    UnaryParams {
        items: u32,
        x_base: u32,
        y_base: u32,
        unused0: u32,
        alpha: f32,
        beta: f32,
        unused1: u32,
        unused2: u32,
    }
}

uniform! {
    /// Twin of `BinaryParams` in `shaders/elementwise_binary.wgsl`.
    BinaryParams {
        axes: [LatticeAxis; MAX_AXES],
        items: u32,
        row_blocks: u32,
        alpha: f32,
        beta: f32,
        a_base: i32,
        b_base: i32,
        y_base: i32,
        unused: i32,
    }
}
