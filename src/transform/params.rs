//! The uniform structs of the shape kernels, twins of those in `shaders/`. tests/shaders.rs compares size and offsets.

use crate::kernel::uniform;

uniform! {
    /// Twin of `CopyAxis` in `shaders/common/copy.wgsl`.
    CopyAxis {
        extent: u32,
        x_stride: i32,
        y_stride: u32,
        unused: u32,
    }
}

uniform! {
    /// Twin of `CopyParams` in `shaders/common/copy.wgsl`.
    CopyParams {
        items: u32,
        x_base: i32,
        y_base: u32,
        segment: u32,
        segments: u32,
        tiles_p: u32,
        tiles_q: u32,
        unused: u32,
        axes: [CopyAxis; 6],
    }
}

uniform! {
    /// Twin of `GatherAxis` in `shaders/transform_gather.wgsl`.
    GatherAxis {
        extent: u32,
        first: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `GatherParams` in `shaders/transform_gather.wgsl`.
    GatherParams {
        items: u32,
        run: u32,
        segment: u32,
        segments: u32,
        value: f32,
        unused0: u32,
        unused1: u32,
        unused2: u32,
        axes: [GatherAxis; 5],
    }
}

uniform! {
    /// Twin of `ResizeAxis` in `shaders/transform_resize_linear.wgsl`.
    ResizeAxis {
        extent: u32,
        first: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `ResizeParams` in `shaders/transform_resize_linear.wgsl`.
    ResizeParams {
        depth: ResizeAxis,
        height: ResizeAxis,
        width: ResizeAxis,
        items: u32,
        run: u32,
        segment: u32,
        segments: u32,
        channels: u32,
        x_stride_n: u32,
        x_stride_c: u32,
        unused: u32,
    }
}
