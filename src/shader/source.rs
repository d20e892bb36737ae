//! Kernels of pools, rows, elementwise and shape ops: the files that each begins with, and what it binds. Those on tile cores are in
//! `source_gemm`.

use crate::shader::layout::StructLayout;
use crate::shader::source_gemm::GEMM_SOURCES;
use crate::shader::uniforms::{
    Axis, BatchFoldParams, BatchNormParams, BinaryParams, CastParams, CopyAxis, CopyParams, DropoutParams, GatherAxis, GatherParams,
    GridSampleParams, ImageParams, IndexParams, LrnParams, NormParams, OptimizerParams, PoolPairsParams, PoolParams, ReduceParams, ResizeAxis,
    ResizeParams, SoftmaxParams, TopKParams, UnaryParams, UnpoolParams, WhereOperandAxis, WhereParams,
};
use crate::shader::uniforms_adjoint::{AdjointParams, GatheredAxis, KeptAxis, SpreadAxis, SpreadParams};
use crate::types::strided_axes::OperandAxis;
use BindingKind::{Read, TargetR32, TargetRgba8, TargetRgba16, Texture, Uniform, Write};

/// How a kernel uses one binding of group 0; its place in the list is the binding number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BindingKind {
    /// A uniform struct.
    Uniform,
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is written.
    Write,
    /// A 2-D texture whose texels are loaded as floats.
    Texture,
    /// A 2-D storage texture of `rgba8unorm` that is written.
    TargetRgba8,
    /// The same of `rgba16float`.
    TargetRgba16,
    /// The same of `r32float`.
    TargetR32,
}

/// A kernel's files and its bindings.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct KernelSource {
    /// Name in labels: family and file, with the tile core where there is one.
    pub name: &'static str,
    /// Files under `shaders/` that it begins with, each with what it uses: the kernel, or a loader and a tile core.
    pub files: &'static [&'static str],
    /// Consts of the conditions in its files (`//@if`) that a spec does not give: what tells it from its sisters in one file, and 0 for what
    /// plans turn on.
    pub switches: &'static [(&'static str, u32)],
    /// What the kernel binds, by binding number.
    pub bindings: &'static [BindingKind],
    /// Its uniform structs, the outermost first; empty where binding 0 is none.
    pub structs: &'static [StructLayout],
}

/// Sources, each a static of its own, and the list of them.
macro_rules! sources {
    ($list:ident: $($name:ident $label:literal [$($file:literal),+] [$($switch:literal = $value:literal),*] $bindings:expr, $structs:expr;)+) => {
        $(
            pub(crate) static $name: KernelSource = KernelSource {
                name: $label,
                files: &[$(concat!($file, ".wgsl")),+],
                switches: &[$(($switch, $value)),*],
                bindings: $bindings,
                structs: $structs,
            };
        )+
        pub(crate) static $list: &[&KernelSource] = &[$(&$name),+];
    };
}

pub(crate) use sources;

const POOL_STRUCTS: &[StructLayout] = &[PoolParams::LAYOUT, Axis::LAYOUT];
const REDUCE_STRUCTS: &[StructLayout] = &[ReduceParams::LAYOUT, OperandAxis::LAYOUT];
const BINARY_STRUCTS: &[StructLayout] = &[BinaryParams::LAYOUT, OperandAxis::LAYOUT];
const OPTIMIZER_STRUCTS: &[StructLayout] = &[OptimizerParams::LAYOUT];
const ADJOINT_STRUCTS: &[StructLayout] = &[AdjointParams::LAYOUT, KeptAxis::LAYOUT, GatheredAxis::LAYOUT];
const SPREAD_STRUCTS: &[StructLayout] = &[SpreadParams::LAYOUT, SpreadAxis::LAYOUT];
const COPY_STRUCTS: &[StructLayout] = &[CopyParams::LAYOUT, CopyAxis::LAYOUT];

sources! { OTHER_SOURCES:
    // Uniform, x, output, and the indices where they are wanted.
    POOL "pool" ["pool/pool"] ["INDICES" = 0] &[Uniform, Read, Write], POOL_STRUCTS;
    POOL_INDICES "pool_indices" ["pool/pool"] ["INDICES" = 1] &[Uniform, Read, Write, Write], POOL_STRUCTS;
    POOL_PAIRS "pool_pairs" ["pool/pairs"] ["WIDE" = 1] &[Uniform, Read, Write], &[PoolPairsParams::LAYOUT, Axis::LAYOUT];
    // Uniform, x, indices, the winner of each output, output.
    POOL_MAX_UNPOOL "pool_max_unpool" ["pool/max_unpool"] [] &[Uniform, Read, Read, Write, Write], &[UnpoolParams::LAYOUT];

    REDUCE "reduce" ["rows/reduce"] ["PASS" = 0] &[Uniform, Read, Write], REDUCE_STRUCTS;
    REDUCE_FIRST "reduce_first" ["rows/reduce"] ["PASS" = 1] &[Uniform, Read, Write], REDUCE_STRUCTS;
    REDUCE_LAST "reduce_last" ["rows/reduce"] ["PASS" = 2] &[Uniform, Read, Write], REDUCE_STRUCTS;
    REDUCE_ARGMAX "reduce_argmax" ["rows/argmax"] ["PARTS" = 0] &[Uniform, Read, Write], REDUCE_STRUCTS;
    // Uniform, x, indices, the best of each line so far.
    REDUCE_ARGMAX_PART "reduce_argmax_part" ["rows/argmax"] ["PARTS" = 1] &[Uniform, Read, Write, Write], REDUCE_STRUCTS;
    // Uniform, x, the candidates that were kept, those that are kept, output, indices.
    TOP_K "top_k" ["rows/top_k"] ["SORT" = 0] &[Uniform, Read, Read, Write, Write, Write], &[TopKParams::LAYOUT];
    TOP_K_SORT "top_k_sort" ["rows/top_k"] ["SORT" = 1] &[Uniform, Read, Read, Write, Write, Write], &[TopKParams::LAYOUT];
    SOFTMAX "softmax" ["rows/softmax"] ["IN_PLACE" = 0] &[Uniform, Read, Write], &[SoftmaxParams::LAYOUT];
    SOFTMAX_IN_PLACE "softmax_in_place" ["rows/softmax"] ["IN_PLACE" = 1] &[Uniform, Write], &[SoftmaxParams::LAYOUT];
    // Uniform, x, the maxima and sums of lines.
    SOFTMAX_JOIN "softmax_join" ["rows/softmax_join"] [] &[Uniform, Read, Write], &[SoftmaxParams::LAYOUT];
    // Uniform, x, output, the maxima and sums of lines.
    SOFTMAX_PART "softmax_part" ["rows/softmax_part"] ["IN_PLACE" = 0] &[Uniform, Read, Write, Read], &[SoftmaxParams::LAYOUT];
    SOFTMAX_PART_IN_PLACE "softmax_part_in_place" ["rows/softmax_part"] ["IN_PLACE" = 1] &[Uniform, Write, Read], &[SoftmaxParams::LAYOUT];
    // Uniform, x, scale, bias, output, and mean and inverse deviation where they are wanted.
    NORM_ROWS "norm_rows" ["rows/norm"] ["STATISTICS" = 0] &[Uniform, Read, Read, Read, Write], &[NormParams::LAYOUT];
    NORM_ROWS_STATISTICS "norm_rows_statistics" ["rows/norm"] ["STATISTICS" = 1]
        &[Uniform, Read, Read, Read, Write, Write, Write], &[NormParams::LAYOUT];
    NORM_BATCH_FOLD "norm_batch_fold" ["rows/batch_norm_fold"] [] &[Uniform, Read, Read, Read, Read, Write], &[BatchFoldParams::LAYOUT];
    NORM_BATCH "norm_batch" ["rows/batch_norm"] ["IN_PLACE" = 0] &[Uniform, Read, Read, Write], &[BatchNormParams::LAYOUT];
    NORM_BATCH_IN_PLACE "norm_batch_in_place" ["rows/batch_norm"] ["IN_PLACE" = 1] &[Uniform, Read, Write], &[BatchNormParams::LAYOUT];
    NORM_LRN "norm_lrn" ["rows/lrn"] [] &[Uniform, Read, Write], &[LrnParams::LAYOUT];

    ELEMENTWISE_UNARY "elementwise_unary" ["elementwise/unary"] ["VECTOR" = 0, "IN_PLACE" = 0, "MATH" = 0] &[Uniform, Read, Write], &[UnaryParams::LAYOUT];
    ELEMENTWISE_UNARY_VECTOR "elementwise_unary_vector" ["elementwise/unary"] ["VECTOR" = 1, "IN_PLACE" = 0, "MATH" = 0]
        &[Uniform, Read, Write], &[UnaryParams::LAYOUT];
    ELEMENTWISE_UNARY_IN_PLACE "elementwise_unary_in_place" ["elementwise/unary"] ["VECTOR" = 0, "IN_PLACE" = 1, "MATH" = 0]
        &[Uniform, Write], &[UnaryParams::LAYOUT];
    ELEMENTWISE_UNARY_IN_PLACE_VECTOR "elementwise_unary_in_place_vector" ["elementwise/unary"] ["VECTOR" = 1, "IN_PLACE" = 1, "MATH" = 0]
        &[Uniform, Write], &[UnaryParams::LAYOUT];
    CAST "elementwise_cast" ["elementwise/cast"] ["VECTOR" = 0] &[Uniform, Read, Write], &[CastParams::LAYOUT];
    CAST_VECTOR "elementwise_cast_vector" ["elementwise/cast"] ["VECTOR" = 1] &[Uniform, Read, Write], &[CastParams::LAYOUT];
    ELEMENTWISE_BINARY "elementwise_binary" ["elementwise/binary"] ["IN_PLACE" = 0, "GRADIENT" = 0] &[Uniform, Read, Read, Write], BINARY_STRUCTS;
    ELEMENTWISE_BINARY_IN_PLACE "elementwise_binary_in_place" ["elementwise/binary"] ["IN_PLACE" = 1, "GRADIENT" = 0]
        &[Uniform, Read, Write], BINARY_STRUCTS;
    ELEMENTWISE_GRADIENT "elementwise_gradient" ["elementwise/binary"] ["IN_PLACE" = 0, "GRADIENT" = 1]
        &[Uniform, Read, Read, Write], BINARY_STRUCTS;
    ELEMENTWISE_GRADIENT_IN_PLACE "elementwise_gradient_in_place" ["elementwise/binary"] ["IN_PLACE" = 1, "GRADIENT" = 1]
        &[Uniform, Read, Write], BINARY_STRUCTS;

    // Uniform, condition, a, b, output.
    ELEMENTWISE_WHERE "elementwise_where" ["elementwise/where"] [] &[Uniform, Read, Read, Read, Write], &[WhereParams::LAYOUT, WhereOperandAxis::LAYOUT];

    IMAGE_READ "image_read" ["image/read"] ["TEXTURE" = 0, "UNORM" = 0] &[Uniform, Read, Write], &[ImageParams::LAYOUT];
    IMAGE_READ_TEXTURE "image_read_texture" ["image/read"] ["TEXTURE" = 1, "UNORM" = 0, "SEVERAL" = 0] &[Uniform, Texture, Write], &[ImageParams::LAYOUT];
    IMAGE_WRITE "image_write" ["image/write"] ["TARGET" = 0] &[Uniform, Read, Write], &[ImageParams::LAYOUT];
    IMAGE_WRITE_RGBA8 "image_write_rgba8" ["image/write"] ["TARGET" = 1, "SEVERAL" = 0] &[Uniform, Read, TargetRgba8], &[ImageParams::LAYOUT];
    IMAGE_WRITE_RGBA16 "image_write_rgba16" ["image/write"] ["TARGET" = 2, "SEVERAL" = 0] &[Uniform, Read, TargetRgba16], &[ImageParams::LAYOUT];
    IMAGE_WRITE_R32 "image_write_r32" ["image/write"] ["TARGET" = 3, "SEVERAL" = 0] &[Uniform, Read, TargetR32], &[ImageParams::LAYOUT];

    // Uniform, x, key, output.
    DROPOUT "dropout" ["elementwise/dropout"] ["LAST" = 0] &[Uniform, Read, Read, Write], &[DropoutParams::LAYOUT];
    DROPOUT_LAST "dropout_last" ["elementwise/dropout"] ["LAST" = 1] &[Uniform, Read, Read, Write], &[DropoutParams::LAYOUT];

    // Uniform, gradient, scalars, parameters, and the tensors that the rule keeps.
    OPTIMIZER "optimizer" ["elementwise/optimizer"] [] &[Uniform, Read, Read, Write], OPTIMIZER_STRUCTS;
    OPTIMIZER_1 "optimizer_1" ["elementwise/optimizer"] [] &[Uniform, Read, Read, Write, Write], OPTIMIZER_STRUCTS;
    OPTIMIZER_2 "optimizer_2" ["elementwise/optimizer"] [] &[Uniform, Read, Read, Write, Write, Write], OPTIMIZER_STRUCTS;
    OPTIMIZER_3 "optimizer_3" ["elementwise/optimizer"] [] &[Uniform, Read, Read, Write, Write, Write, Write], OPTIMIZER_STRUCTS;

    TRANSFORM_COPY "transform_copy" ["transform/copy"] [] &[Uniform, Read, Write], COPY_STRUCTS;
    TRANSFORM_TILE "transform_tile" ["transform/tile"] [] &[Uniform, Read, Write], COPY_STRUCTS;
    TRANSFORM_GATHER "transform_gather" ["transform/gather"] [] &[Uniform, Read, Read, Write], &[GatherParams::LAYOUT, GatherAxis::LAYOUT];
    TRANSFORM_RESIZE_LINEAR "transform_resize_linear" ["transform/resize_linear"] []
        &[Uniform, Read, Read, Write], &[ResizeParams::LAYOUT, ResizeAxis::LAYOUT];

    // Uniform, x, grid, output.
    TRANSFORM_GRID_SAMPLE "transform_grid_sample" ["transform/grid_sample"] [] &[Uniform, Read, Read, Write], &[GridSampleParams::LAYOUT];

    // Uniform, x, indices, output.
    TRANSFORM_GATHER_INDEXED "transform_gather_indexed" ["transform/gather_indexed"] [] &[Uniform, Read, Read, Write], &[IndexParams::LAYOUT];
    // Uniform, x, indices, updates, the first and last rows of each place, output, the next row of each row.
    TRANSFORM_SCATTER_INDEXED "transform_scatter_indexed" ["transform/scatter_indexed"] []
        &[Uniform, Read, Read, Read, Write, Write, Write], &[IndexParams::LAYOUT];

    // Uniform, dy, table, the indices of a max pool, output.
    TRANSFORM_ADJOINT "transform_adjoint" ["transform/adjoint"] ["INDICES" = 0] &[Uniform, Read, Read, Write], ADJOINT_STRUCTS;
    TRANSFORM_ADJOINT_INDICES "transform_adjoint_indices" ["transform/adjoint"] ["INDICES" = 1]
        &[Uniform, Read, Read, Read, Write], ADJOINT_STRUCTS;
    // Uniform, dy, the indices of a max pool, output.
    TRANSFORM_SPREAD "transform_spread" ["transform/adjoint_spread"] ["INDICES" = 0] &[Uniform, Read, Write], SPREAD_STRUCTS;
    TRANSFORM_SPREAD_INDICES "transform_spread_indices" ["transform/adjoint_spread"] ["INDICES" = 1]
        &[Uniform, Read, Read, Write], SPREAD_STRUCTS;

    PEAK_FMA "peak_fma" ["peak/fma"] [] &[Write], &[];
    PEAK_COPY "peak_copy" ["peak/copy"] [] &[Read, Write], &[];
}

/// Every kernel source of the crate.
pub fn all_sources() -> Vec<&'static KernelSource> {
    GEMM_SOURCES.iter().chain(OTHER_SOURCES).copied().collect()
}
