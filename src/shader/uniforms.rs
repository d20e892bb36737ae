//! The uniform structs of all kernels: twins of the structs of the same names in `shaders/`; tests/shaders.rs compares their layouts.

use crate::shader::{StructLayout, uniform};
use crate::types::strided_axes::{MAX_AXES, OperandAxis};

impl OperandAxis {
    pub const LAYOUT: StructLayout = StructLayout {
        name: "OperandAxis",
        fields: &[("strides", std::mem::offset_of!(OperandAxis, strides)), ("extent", std::mem::offset_of!(OperandAxis, extent))],
        size: size_of::<OperandAxis>(),
    };
}

uniform! {
    /// Twin of `ConvParams` in `shaders/conv/problem.wgsl`.
    ConvParams {
        depth: Axis,
        height: Axis,
        width: Axis,
        batch: u32,
        groups: u32,
        channels: u32,
        filters: u32,
        positions: u32,
        taps: u32,
        columns: u32,
        tiles_m: u32,
        tiles_n: u32,
        first_tile: u32,
        end_tile: u32,
        items: u32,
        x_base: u32,
        x_stride_n: u32,
        x_stride_c: u32,
        x_stride_p: u32,
        x_stride_g: u32,
        y_base: u32,
        y_stride_n: u32,
        y_stride_k: u32,
        y_stride_p: u32,
        w_base: u32,
        w_stride_g: u32,
        w_stride_k: u32,
        w_stride_c: u32,
        alpha: f32,
        beta: f32,
    }
}

uniform! {
    /// Twin of `PackParams` in `shaders/conv/pack.wgsl`.
    PackParams {
        items: u32,
        rows: u32,
        filters: u32,
        channels: u32,
        taps: u32,
        w_base: u32,
        w_stride_g: u32,
        w_stride_k: u32,
        w_stride_c: u32,
        padded: u32,
    }
}

uniform! {
    /// Twin of `PackInputParams` in `shaders/conv/pack_input.wgsl`.
    PackInputParams {
        items: u32,
        position_tiles: u32,
        channel_tiles: u32,
        positions: u32,
        channels: u32,
        padded: u32,
        all: u32,
        x_base: u32,
        x_stride_n: u32,
        x_stride_c: u32,
        x_stride_p: u32,
        unused: u32,
    }
}

uniform! {
    /// Twin of `UnaryParams` in `shaders/elementwise/unary.wgsl`.
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
    /// Twin of `CastParams` in `shaders/elementwise/cast.wgsl`.
    CastParams {
        items: u32,
        x_base: u32,
        y_base: u32,
        unused: u32,
    }
}

uniform! {
    /// Twin of `WhereOperandAxis` in `shaders/elementwise/where.wgsl`.
    WhereOperandAxis {
        strides: [i32; 4],
        extent: u32,
        unused0: u32,
        unused1: u32,
        unused2: u32,
    }
}

impl WhereOperandAxis {
    /// Axes as a uniform holds them, filled up with unit ones at the end.
    pub fn padded(axes: &[(u64, [i64; 4])]) -> [Self; MAX_AXES] {
        std::array::from_fn(|i| {
            let (extent, strides) = axes.get(i).copied().unwrap_or((1, [0; 4]));
            Self { strides: strides.map(|s| s as i32), extent: extent as u32, unused0: 0, unused1: 0, unused2: 0 }
        })
    }
}

uniform! {
    /// Twin of `WhereParams` in `shaders/elementwise/where.wgsl`.
    WhereParams {
        axes: [WhereOperandAxis; MAX_AXES],
        bases: [i32; 4],
        items: u32,
        unused0: u32,
        unused1: u32,
        unused2: u32,
    }
}

uniform! {
    /// Twin of `ImageParams` in `shaders/image/params.wgsl`.
    ImageParams {
        scale: [f32; 4],
        offset: [f32; 4],
        items: u32,
        positions: u32,
        width: u32,
        rows: u32,
        image_stride: u32,
        channel_stride: u32,
        position_stride: u32,
        first_row: u32,
    }
}

uniform! {
    /// Twin of `DropoutParams` in `shaders/elementwise/dropout.wgsl`.
    DropoutParams {
        items: u32,
        base: u32,
        first: u32,
        channels: u32,
        positions: u32,
        threshold: u32,
        scale: f32,
        stream: u32,
    }
}

uniform! {
    /// Twin of `OptimizerParams` in `shaders/elementwise/optimizer.wgsl`.
    OptimizerParams {
        items: u32,
        base: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `BinaryParams` in `shaders/elementwise/binary.wgsl`.
    BinaryParams {
        axes: [OperandAxis; MAX_AXES],
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

uniform! {
    /// Twin of `MatMulParams` in `shaders/matmul/problem.wgsl`.
    MatMulParams {
        batch: [OperandAxis; 3],
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
        first_part: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `PackOperandParams` in `shaders/matmul/pack_operand.wgsl`.
    PackOperandParams {
        batch: [OperandAxis; 3],
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

uniform! {
    /// Twin of `NormParams` in `shaders/rows/norm.wgsl`.
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
        base: u32,
        statistics_base: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `BatchFoldParams` in `shaders/rows/batch_norm_fold.wgsl`.
    BatchFoldParams {
        items: u32,
        epsilon: f32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `BatchNormParams` in `shaders/rows/batch_norm.wgsl`.
    BatchNormParams {
        items: u32,
        channels: u32,
        inner: u32,
        row_blocks: u32,
        alpha: f32,
        beta: f32,
        base: u32,
        first_line: u32,
    }
}

uniform! {
    /// Twin of `LrnParams` in `shaders/rows/lrn.wgsl`.
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

uniform! {
    /// Twin of `MagnitudeParams` in `shaders/gemm/magnitudes.wgsl`.
    MagnitudeParams {
        batch: [OperandAxis; 3],
        base: u32,
        lines: u32,
        line_stride: u32,
        items: u32,
        length: u32,
        stride: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `MagnitudeJoinParams` in `shaders/gemm/magnitudes_join.wgsl`.
    MagnitudeJoinParams {
        count: u32,
        unused0: u32,
        unused1: u32,
        unused2: u32,
    }
}

uniform! {
    /// Twin of `Axis` in `shaders/lib/axis.wgsl`.
    Axis {
        input: i32,
        output: i32,
        taps: i32,
        stride: i32,
        dilation: i32,
        pad: i32,
        pad_end: i32,
        tap_step: i32,
    }
}

uniform! {
    /// Twin of `PoolParams` in `shaders/pool/pool.wgsl`.
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
        index_first: u32,
        index_depth: u32,
        index_height: u32,
        index_width: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `PoolPairsParams` in `shaders/pool/pairs.wgsl`.
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
    /// Twin of `UnpoolParams` in `shaders/pool/max_unpool.wgsl`.
    UnpoolParams {
        planes: u32,
        channels: u32,
        positions_x: u32,
        positions_y: u32,
        first_y: u32,
        plane_y: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `ReduceParams` in `shaders/rows/reduce.wgsl` and `shaders/rows/argmax.wgsl`.
    ReduceParams {
        axes: [OperandAxis; MAX_AXES],
        items: u32,
        inner: u32,
        total: u32,
        length: u32,
        chunks: u32,
        divisor: f32,
        unit: f32,
        first_item: u32,
        x_first: u32,
        first: u32,
        unused1: u32,
        unused2: u32,
    }
}

uniform! {
    /// Twin of `SoftmaxParams` in `shaders/rows/softmax_params.wgsl`.
    SoftmaxParams {
        items: u32,
        inner: u32,
        length: u32,
        base: u32,
    }
}

uniform! {
    /// Twin of `CopyAxis` in `shaders/transform/axes.wgsl`.
    CopyAxis {
        extent: u32,
        x_stride: i32,
        y_stride: u32,
        unused: u32,
    }
}

uniform! {
    /// Twin of `CopyParams` in `shaders/transform/axes.wgsl`.
    CopyParams {
        items: u32,
        x_base: i32,
        y_base: u32,
        row_part: u32,
        row_parts: u32,
        tiles_p: u32,
        tiles_q: u32,
        unused: u32,
        axes: [CopyAxis; 6],
    }
}

uniform! {
    /// Twin of `GatherAxis` in `shaders/transform/gather.wgsl`.
    GatherAxis {
        extent: u32,
        first: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `GatherParams` in `shaders/transform/gather.wgsl`.
    GatherParams {
        items: u32,
        run: u32,
        row_part: u32,
        row_parts: u32,
        value: f32,
        unused0: u32,
        unused1: u32,
        unused2: u32,
        axes: [GatherAxis; 5],
    }
}

uniform! {
    /// Twin of `GridSampleParams` in `shaders/transform/grid_sample.wgsl`.
    GridSampleParams {
        depth: u32,
        height: u32,
        width: u32,
        channels: u32,
        outputs: u32,
        items: u32,
        x_base: u32,
        grid_base: u32,
        y_base: u32,
        unused0: u32,
        unused1: u32,
        unused2: u32,
    }
}

uniform! {
    /// Twin of `IndexParams` in `shaders/transform/index_rows.wgsl`.
    IndexParams {
        extents: [[u32; 4]; 2],
        rows: u32,
        places: u32,
        inner: u32,
        items: u32,
        step_outer: u32,
        step_row: u32,
        step_inner: u32,
        first_place: u32,
        x_base: u32,
        index_base: u32,
        y_base: u32,
        unused: u32,
    }
}

uniform! {
    /// Twin of `TopKParams` in `shaders/rows/top_k.wgsl`.
    TopKParams {
        length: u32,
        inner: u32,
        k: u32,
        items: u32,
        candidates: u32,
        chunks: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `ResizeAxis` in `shaders/transform/resize_linear.wgsl`.
    ResizeAxis {
        extent: u32,
        first: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `ResizeParams` in `shaders/transform/resize_linear.wgsl`.
    ResizeParams {
        depth: ResizeAxis,
        height: ResizeAxis,
        width: ResizeAxis,
        items: u32,
        run: u32,
        row_part: u32,
        row_parts: u32,
        channels: u32,
        x_stride_n: u32,
        x_stride_c: u32,
        unused: u32,
    }
}
