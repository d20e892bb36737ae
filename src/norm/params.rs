//! The uniform structs of the normalisation kernels.

use crate::kernel::uniform;

uniform! {
    /// Twin of `NormParams` in `shaders/norm_rows.wgsl`.
    NormParams {
        items: u32,
        row_inner: u32,
        outer_stride: u32,
        inner_stride: u32,
        a_stride: u32,
        b_extent: u32,
        b_stride: u32,
        length: u32,
        scale_row: u32,
        scale_a: u32,
        scale_b: u32,
        epsilon: f32,
    }
}

uniform! {
    /// Twin of `BatchFoldParams` in `shaders/norm_batch_fold.wgsl`.
    BatchFoldParams {
        items: u32,
        epsilon: f32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `BatchNormParams` in `shaders/norm_batch.wgsl`.
    BatchNormParams {
        items: u32,
        channels: u32,
        inner: u32,
        row_blocks: u32,
        alpha: f32,
        beta: f32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `LrnParams` in `shaders/norm_lrn.wgsl`.
    LrnParams {
        items: u32,
        channels: u32,
        inner: u32,
        before: u32,
        after: u32,
        factor: f32,
        beta: f32,
        bias: f32,
    }
}
