//! The uniform structs of the pooling kernels.

use crate::kernel::uniform;
use crate::op::Axis;

uniform! {
    /// Twin of `PoolParams` in `shaders/pool.wgsl`.
    PoolParams {
        depth: Axis,
        height: Axis,
        width: Axis,
        channels: u32,
        positions: u32,
        items: u32,
        x_base: u32,
        x_stride_n: u32,
        x_stride_c: u32,
        x_stride_p: u32,
        y_base: u32,
        power: f32,
        inverse: f32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `PoolPairsParams` in `shaders/pool_pairs.wgsl`.
    PoolPairsParams {
        depth: Axis,
        height: Axis,
        width: Axis,
        items: u32,
        x_base: u32,
        x_stride_c: u32,
        y_base: u32,
        strips_multiplier: u32,
        strips_shift: u32,
        rows_multiplier: u32,
        rows_shift: u32,
        depth_multiplier: u32,
        depth_shift: u32,
        power: f32,
        inverse: f32,
    }
}

uniform! {
    /// Twin of `UnpoolParams` in `shaders/pool_max_unpool.wgsl`.
    UnpoolParams {
        planes: u32,
        channels: u32,
        positions_x: u32,
        positions_y: u32,
    }
}
