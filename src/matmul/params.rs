//! The uniform structs of the matmul kernels.

use crate::kernel::uniform;
use crate::op::LatticeAxis;

uniform! {
    /// Twin of `MatMulParams` in `shaders/common/matmul.wgsl`.
    MatMulParams {
        batch: [LatticeAxis; 3],
        base: [u32; 3],
        y_base: u32,
        m: u32,
        n: u32,
        k: u32,
        items: u32,
        tiles_m: u32,
        tiles_n: u32,
        a_stride_m: u32,
        a_stride_k: u32,
        b_stride_k: u32,
        b_stride_n: u32,
        addend_stride_m: u32,
        addend_stride_n: u32,
        alpha: f32,
        beta: f32,
        activation_alpha: f32,
        activation_beta: f32,
        y_pitch: u32,
        first_share: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `PackOperandParams` in `shaders/common/pack_operand.wgsl`.
    PackOperandParams {
        batch: [LatticeAxis; 3],
        items: u32,
        padded: u32,
        outer: u32,
        depth: u32,
        stride_outer: u32,
        stride_depth: u32,
        panels: u32,
        base: u32,
    }
}
