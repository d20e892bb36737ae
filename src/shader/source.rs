//! The shader sources, embedded: which parts each kernel is joined from, and what it binds.

use crate::shader::layout::StructLayout;
use crate::shader::source_gemm::{
    CONV_DEPTHWISE, CONV_DEPTHWISE_BLOCK, CONV_DEPTHWISE_BLOCK_PAIRS, CONV_DIRECT, CONV_IMPLICIT_GEMM_FALLBACK, CONV_IMPLICIT_GEMM_MATRIX,
    CONV_IMPLICIT_GEMM_REGISTER, CONV_IMPLICIT_GEMM_WORKGROUP, CONV_PACK_FILTER, CONV_POINTWISE_FALLBACK, CONV_POINTWISE_MATRIX,
    CONV_POINTWISE_QUADS_FALLBACK, CONV_POINTWISE_QUADS_MATRIX, CONV_POINTWISE_QUADS_REGISTER, CONV_POINTWISE_QUADS_WORKGROUP,
    CONV_POINTWISE_REGISTER, CONV_POINTWISE_WORKGROUP, CONV_SUM, CONV_WINOGRAD_FILTER, CONV_WINOGRAD_INPUT, CONV_WINOGRAD_INPUT_PAIRS,
    CONV_WINOGRAD_OUTPUT, CONV_WINOGRAD_OUTPUT_PAIRS, MAGNITUDES, MAGNITUDES_JOIN, MATMUL_DIRECT, MATMUL_FALLBACK, MATMUL_MATRIX, MATMUL_PACK,
    MATMUL_PACK_PAIRS, MATMUL_REGISTER, MATMUL_SUM, MATMUL_THIN, MATMUL_WORKGROUP,
};
use crate::shader::uniforms::{
    Axis, BatchFoldParams, BatchNormParams, BinaryParams, CopyAxis, CopyParams, GatherAxis, GatherParams, LrnParams, NormParams, PoolPairsParams,
    PoolParams, ReduceParams, ResizeAxis, ResizeParams, SoftmaxParams, UnaryParams, UnpoolParams,
};
use crate::types::lattice::LatticeAxis;
use BindingKind::{Read, Uniform, Write};

/// How a kernel uses one binding of group 0; its place in the list is the binding number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BindingKind {
    /// A uniform struct.
    Uniform,
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is written.
    Write,
}

/// File name under `shaders/` and text.
pub type File = (&'static str, &'static str);

/// A piece of a kernel's text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Always this file.
    One(File),
    /// One of several: the spec's const of this name says which, the first where the spec has none. WGSL has no other way to change a type
    /// or to leave a binding's declaration out.
    Pick(&'static str, &'static [File]),
}

/// A kernel's WGSL parts in order, and its bindings.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct KernelSource {
    /// Name in labels: the file stem, with the tile core where there is one.
    pub name: &'static str,
    /// What its text is joined from.
    pub parts: &'static [Part],
    /// What the kernel binds, by binding number.
    pub bindings: &'static [BindingKind],
    /// Its uniform structs, the outermost first; empty where binding 0 is none.
    pub structs: &'static [StructLayout],
}

macro_rules! text {
    ($file:literal) => {
        ($file, include_str!(concat!("../../shaders/", $file)))
    };
}

macro_rules! part {
    ($file:literal) => {
        Part::One(text!($file))
    };
}

macro_rules! pick {
    ($name:literal, $($file:literal),+) => {
        Part::Pick($name, &[$(text!($file)),+])
    };
}

/// Uniform, x, output, and the indices where they are wanted.
pub(crate) static POOL: KernelSource = KernelSource {
    name: "pool",
    parts: &[part!("common/axis.wgsl"), part!("common/number.wgsl"), part!("common/pool.wgsl"), part!("pool_values.wgsl"), part!("pool.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[PoolParams::LAYOUT, Axis::LAYOUT],
};

pub(crate) static POOL_INDICES: KernelSource = KernelSource {
    name: "pool_indices",
    parts: &[part!("common/axis.wgsl"), part!("common/number.wgsl"), part!("common/pool.wgsl"), part!("pool_indices.wgsl"), part!("pool.wgsl")],
    bindings: &[Uniform, Read, Write, Write],
    structs: &[PoolParams::LAYOUT, Axis::LAYOUT],
};

pub(crate) static POOL_PAIRS: KernelSource = KernelSource {
    name: "pool_pairs",
    parts: &[
        part!("common/axis.wgsl"),
        part!("common/number.wgsl"),
        part!("common/quad_wide.wgsl"),
        part!("common/pool.wgsl"),
        pick!("STORE_PAIRS", "pool_store_each.wgsl", "pool_store_pairs.wgsl"),
        part!("pool_pairs.wgsl"),
    ],
    bindings: &[Uniform, Read, Write],
    structs: &[PoolPairsParams::LAYOUT, Axis::LAYOUT],
};

/// Uniform, x, indices, the winner of each output, output.
pub(crate) static POOL_MAX_UNPOOL: KernelSource = KernelSource {
    name: "pool_max_unpool",
    parts: &[part!("pool_max_unpool.wgsl")],
    bindings: &[Uniform, Read, Read, Write, Write],
    structs: &[UnpoolParams::LAYOUT],
};

macro_rules! reduce {
    ($static_name:ident, $name:literal, $types:literal) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[
                part!("common/lattice_axis.wgsl"),
                part!("common/lattice.wgsl"),
                part!("common/number.wgsl"),
                part!("common/lanes.wgsl"),
                part!("reduce_params.wgsl"),
                part!($types),
                part!("reduce.wgsl"),
            ],
            bindings: &[Uniform, Read, Write],
            structs: &[ReduceParams::LAYOUT, LatticeAxis::LAYOUT],
        };
    };
}

reduce!(REDUCE, "reduce", "reduce_whole.wgsl");

reduce!(REDUCE_FIRST, "reduce_first", "reduce_first.wgsl");

reduce!(REDUCE_LAST, "reduce_last", "reduce_last.wgsl");

pub(crate) static REDUCE_ARGMAX: KernelSource = KernelSource {
    name: "reduce_argmax",
    parts: &[
        part!("common/lattice_axis.wgsl"),
        part!("common/lattice.wgsl"),
        part!("common/number.wgsl"),
        part!("common/lanes.wgsl"),
        part!("reduce_params.wgsl"),
        part!("reduce_argmax.wgsl"),
    ],
    bindings: &[Uniform, Read, Write],
    structs: &[ReduceParams::LAYOUT, LatticeAxis::LAYOUT],
};

macro_rules! softmax {
    ($static_name:ident, $name:literal, $source:literal, $bindings:expr) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[part!("common/item_elem.wgsl"), part!($source), part!("common/number.wgsl"), part!("common/lanes.wgsl"), part!("softmax.wgsl")],
            bindings: $bindings,
            structs: &[SoftmaxParams::LAYOUT],
        };
    };
}

softmax!(SOFTMAX, "softmax", "common/source_x.wgsl", &[Uniform, Read, Write]);

softmax!(SOFTMAX_IN_PLACE, "softmax_in_place", "common/source_in_place.wgsl", &[Uniform, Write]);

macro_rules! norm_rows {
    ($static_name:ident, $name:literal, $statistics:literal, $bindings:expr) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[part!("common/number.wgsl"), part!("common/lanes.wgsl"), part!($statistics), part!("norm_rows.wgsl")],
            bindings: $bindings,
            structs: &[NormParams::LAYOUT],
        };
    };
}

norm_rows!(NORM_ROWS, "norm_rows", "norm_plain.wgsl", &[Uniform, Read, Read, Read, Write]);

norm_rows!(NORM_ROWS_STATISTICS, "norm_rows_statistics", "norm_statistics.wgsl", &[Uniform, Read, Read, Read, Write, Write, Write]);

pub(crate) static NORM_BATCH_FOLD: KernelSource = KernelSource {
    name: "norm_batch_fold",
    parts: &[part!("norm_batch_fold.wgsl")],
    bindings: &[Uniform, Read, Read, Read, Read, Write],
    structs: &[BatchFoldParams::LAYOUT],
};

macro_rules! norm_batch {
    ($static_name:ident, $name:literal, $source:literal, $bindings:expr) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[
                part!("common/number.wgsl"),
                part!("common/activation.wgsl"),
                part!($source),
                part!("common/share.wgsl"),
                part!("norm_batch.wgsl"),
            ],
            bindings: $bindings,
            structs: &[BatchNormParams::LAYOUT],
        };
    };
}

norm_batch!(NORM_BATCH, "norm_batch", "norm_batch_x.wgsl", &[Uniform, Read, Read, Write]);

norm_batch!(NORM_BATCH_IN_PLACE, "norm_batch_in_place", "norm_batch_in_place.wgsl", &[Uniform, Read, Write]);

pub(crate) static NORM_LRN: KernelSource = KernelSource {
    name: "norm_lrn",
    parts: &[part!("common/number.wgsl"), part!("norm_lrn.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[LrnParams::LAYOUT],
};

macro_rules! elementwise_unary {
    ($static_name:ident, $name:literal, $item:literal, $source:literal, $bindings:expr) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[
                part!("common/number.wgsl"),
                part!("common/activation.wgsl"),
                part!($item),
                part!($source),
                part!("common/share.wgsl"),
                part!("elementwise_unary.wgsl"),
            ],
            bindings: $bindings,
            structs: &[UnaryParams::LAYOUT],
        };
    };
}

elementwise_unary!(ELEMENTWISE_UNARY, "elementwise_unary", "common/item_scalar.wgsl", "common/source_x.wgsl", &[Uniform, Read, Write]);

elementwise_unary!(ELEMENTWISE_UNARY_VECTOR, "elementwise_unary_vector", "common/item_vector.wgsl", "common/source_x.wgsl", &[Uniform, Read, Write]);

elementwise_unary!(
    ELEMENTWISE_UNARY_IN_PLACE,
    "elementwise_unary_in_place",
    "common/item_scalar.wgsl",
    "common/source_in_place.wgsl",
    &[Uniform, Write]
);

elementwise_unary!(
    ELEMENTWISE_UNARY_IN_PLACE_VECTOR,
    "elementwise_unary_in_place_vector",
    "common/item_vector.wgsl",
    "common/source_in_place.wgsl",
    &[Uniform, Write]
);

macro_rules! elementwise_binary {
    ($static_name:ident, $name:literal, $operands:literal, $bindings:expr) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[
                part!("common/number.wgsl"),
                part!("common/activation.wgsl"),
                part!("common/lattice_axis.wgsl"),
                part!("common/lattice.wgsl"),
                part!($operands),
                part!("common/share.wgsl"),
                part!("elementwise_binary.wgsl"),
            ],
            bindings: $bindings,
            structs: &[BinaryParams::LAYOUT, LatticeAxis::LAYOUT],
        };
    };
}

elementwise_binary!(ELEMENTWISE_BINARY, "elementwise_binary", "common/operand_a.wgsl", &[Uniform, Read, Read, Write]);

elementwise_binary!(ELEMENTWISE_BINARY_IN_PLACE, "elementwise_binary_in_place", "common/operand_in_place.wgsl", &[Uniform, Read, Write]);

pub(crate) static TRANSFORM_COPY: KernelSource = KernelSource {
    name: "transform_copy",
    parts: &[part!("common/copy.wgsl"), part!("common/share.wgsl"), part!("transform_copy.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[CopyParams::LAYOUT, CopyAxis::LAYOUT],
};

pub(crate) static TRANSFORM_TILE: KernelSource = KernelSource {
    name: "transform_tile",
    parts: &[part!("common/copy.wgsl"), part!("transform_tile.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[CopyParams::LAYOUT, CopyAxis::LAYOUT],
};

pub(crate) static TRANSFORM_GATHER: KernelSource = KernelSource {
    name: "transform_gather",
    parts: &[part!("common/share.wgsl"), part!("transform_gather.wgsl")],
    bindings: &[Uniform, Read, Read, Write],
    structs: &[GatherParams::LAYOUT, GatherAxis::LAYOUT],
};

pub(crate) static TRANSFORM_RESIZE_LINEAR: KernelSource = KernelSource {
    name: "transform_resize_linear",
    parts: &[part!("common/share.wgsl"), part!("transform_resize_linear.wgsl")],
    bindings: &[Uniform, Read, Read, Write],
    structs: &[ResizeParams::LAYOUT, ResizeAxis::LAYOUT],
};

pub(crate) static PEAK_FMA: KernelSource = KernelSource { name: "peak_fma", parts: &[part!("peak_fma.wgsl")], bindings: &[Write], structs: &[] };

pub(crate) static PEAK_COPY: KernelSource =
    KernelSource { name: "peak_copy", parts: &[part!("peak_copy.wgsl")], bindings: &[Read, Write], structs: &[] };

/// Every kernel source of the crate.
pub fn all_sources() -> Vec<&'static KernelSource> {
    vec![
        &CONV_DIRECT,
        &CONV_DEPTHWISE,
        &CONV_DEPTHWISE_BLOCK,
        &CONV_DEPTHWISE_BLOCK_PAIRS,
        &CONV_IMPLICIT_GEMM_WORKGROUP,
        &CONV_IMPLICIT_GEMM_REGISTER,
        &CONV_POINTWISE_WORKGROUP,
        &CONV_POINTWISE_REGISTER,
        &CONV_POINTWISE_QUADS_WORKGROUP,
        &CONV_POINTWISE_QUADS_REGISTER,
        &CONV_SUM,
        &CONV_IMPLICIT_GEMM_MATRIX,
        &CONV_IMPLICIT_GEMM_FALLBACK,
        &CONV_POINTWISE_MATRIX,
        &CONV_POINTWISE_FALLBACK,
        &CONV_POINTWISE_QUADS_MATRIX,
        &CONV_POINTWISE_QUADS_FALLBACK,
        &CONV_PACK_FILTER,
        &CONV_WINOGRAD_FILTER,
        &CONV_WINOGRAD_INPUT,
        &CONV_WINOGRAD_INPUT_PAIRS,
        &CONV_WINOGRAD_OUTPUT,
        &CONV_WINOGRAD_OUTPUT_PAIRS,
        &MATMUL_DIRECT,
        &MATMUL_THIN,
        &MATMUL_WORKGROUP,
        &MATMUL_REGISTER,
        &MATMUL_SUM,
        &MATMUL_MATRIX,
        &MATMUL_FALLBACK,
        &MAGNITUDES,
        &MAGNITUDES_JOIN,
        &MATMUL_PACK,
        &MATMUL_PACK_PAIRS,
        &POOL,
        &POOL_INDICES,
        &POOL_PAIRS,
        &POOL_MAX_UNPOOL,
        &REDUCE,
        &REDUCE_FIRST,
        &REDUCE_LAST,
        &REDUCE_ARGMAX,
        &NORM_ROWS,
        &NORM_ROWS_STATISTICS,
        &NORM_BATCH_FOLD,
        &NORM_BATCH,
        &NORM_BATCH_IN_PLACE,
        &NORM_LRN,
        &SOFTMAX,
        &SOFTMAX_IN_PLACE,
        &ELEMENTWISE_UNARY,
        &ELEMENTWISE_UNARY_VECTOR,
        &ELEMENTWISE_UNARY_IN_PLACE,
        &ELEMENTWISE_UNARY_IN_PLACE_VECTOR,
        &ELEMENTWISE_BINARY,
        &ELEMENTWISE_BINARY_IN_PLACE,
        &TRANSFORM_COPY,
        &TRANSFORM_TILE,
        &TRANSFORM_GATHER,
        &TRANSFORM_RESIZE_LINEAR,
        &PEAK_FMA,
        &PEAK_COPY,
    ]
}
