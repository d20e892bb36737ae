//! The shader sources, embedded: which parts each kernel is joined from, and what it binds.

use super::StructLayout;
use crate::conv::{ConvParams, PackParams};
use crate::elementwise::{BinaryParams, UnaryParams};
use crate::matmul::{MatMulParams, PackOperandParams};
use crate::norm::{BatchFoldParams, BatchNormParams, LrnParams, NormParams};
use crate::op::{Axis, LatticeAxis};
use crate::pool::{PoolParams, UnpoolParams};
use crate::reduce::ReduceParams;
use crate::softmax::SoftmaxParams;
use crate::transform::{CopyAxis, CopyParams, GatherAxis, GatherParams, ResizeAxis, ResizeParams};

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

use BindingKind::{Read, Uniform, Write};

/// Uniform; the epilogue's bias, residual, output; x, weights.
const CONV: &[BindingKind] = &[Uniform, Read, Read, Write, Read, Read];
const CONV_STRUCTS: &[StructLayout] = &[ConvParams::LAYOUT, Axis::LAYOUT];

pub(crate) static CONV_DIRECT: KernelSource = KernelSource {
    name: "conv_direct",
    parts: &[
        part!("common/number.wgsl"),
        part!("common/activation.wgsl"),
        part!("common/axis.wgsl"),
        part!("common/conv.wgsl"),
        part!("common/conv_finish.wgsl"),
        part!("common/conv_store.wgsl"),
        part!("conv_direct.wgsl"),
    ],
    bindings: CONV,
    structs: CONV_STRUCTS,
};

pub(crate) static CONV_DEPTHWISE: KernelSource = KernelSource {
    name: "conv_depthwise",
    parts: &[
        part!("common/number.wgsl"),
        part!("common/activation.wgsl"),
        part!("common/axis.wgsl"),
        part!("common/conv.wgsl"),
        part!("common/conv_finish.wgsl"),
        part!("common/conv_store.wgsl"),
        part!("conv_depthwise.wgsl"),
    ],
    bindings: CONV,
    structs: CONV_STRUCTS,
};

pub(crate) static CONV_DEPTHWISE_BLOCK: KernelSource = KernelSource {
    name: "conv_depthwise_block",
    parts: &[
        part!("common/number.wgsl"),
        part!("common/activation.wgsl"),
        part!("common/axis.wgsl"),
        part!("common/conv.wgsl"),
        part!("common/conv_finish.wgsl"),
        part!("common/conv_store.wgsl"),
        part!("conv_depthwise_block.wgsl"),
    ],
    bindings: CONV,
    structs: CONV_STRUCTS,
};

/// A convolution on a tile core: its own parts are those that read the right-hand side.
macro_rules! conv_gemm {
    ($static_name:ident, $name:literal, [$($own:expr),+], [$($core:expr),+]) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[
                part!("common/number.wgsl"),
                part!("common/activation.wgsl"),
                part!("common/axis.wgsl"),
                part!("common/conv.wgsl"),
                part!("common/conv_finish.wgsl"),
                pick!("WIDE", "common/quad.wgsl", "common/quad_wide.wgsl"),
                part!("common/conv_gemm.wgsl"),
                pick!("STORE_QUADS", "common/conv_store_scalar.wgsl", "common/conv_store_vector.wgsl", "common/conv_store_partial.wgsl", "common/conv_store_filters.wgsl"),
                part!("common/gemm_block.wgsl"),
                $($own,)+
                $($core,)+
            ],
            bindings: CONV,
            structs: CONV_STRUCTS,
        };
    };
}

/// Values of the const `STORE_QUADS`, beside 0, one by one: four columns at once, partial sums, four filters at once.
pub(crate) const STORE_COLUMNS: u32 = 1;
pub(crate) const STORE_PARTIALS: u32 = 2;
pub(crate) const STORE_FILTERS: u32 = 3;
/// Values of the const `ALONG_CHANNELS`, beside 0, one by one: four channels of a column at once, or two.
pub(crate) const FOUR_CHANNELS: u32 = 1;
pub(crate) const TWO_CHANNELS: u32 = 2;

/// How an invocation of the workgroup core reads its part of a slab.
const SLAB: Part = pick!("ALONG_CHANNELS", "common/gemm_slab_steps.wgsl", "common/gemm_slab_channels.wgsl");
/// Which way it cuts its sums into stores.
const STORE_BLOCK: Part = pick!(
    "STORE_QUADS",
    "common/gemm_store_rows.wgsl",
    "common/gemm_store_rows.wgsl",
    "common/gemm_store_rows.wgsl",
    "common/gemm_store_columns.wgsl"
);
/// How a convolution reads the right-hand side.
const COLUMNS: Part = pick!("ALONG_CHANNELS", "common/conv_columns.wgsl", "common/conv_channels.wgsl", "common/conv_channel_pairs.wgsl");

conv_gemm!(
    CONV_IMPLICIT_GEMM_WORKGROUP,
    "conv_implicit_gemm_workgroup",
    [part!("common/conv_sources.wgsl"), COLUMNS, part!("conv_implicit_gemm.wgsl")],
    [STORE_BLOCK, SLAB, part!("common/gemm_workgroup.wgsl")]
);
conv_gemm!(
    CONV_IMPLICIT_GEMM_REGISTER,
    "conv_implicit_gemm_register",
    [part!("common/conv_sources.wgsl"), COLUMNS, part!("conv_implicit_gemm.wgsl")],
    [part!("common/gemm_register.wgsl")]
);
conv_gemm!(
    CONV_POINTWISE_WORKGROUP,
    "conv_pointwise_workgroup",
    [part!("common/conv_sources.wgsl"), COLUMNS, part!("conv_pointwise.wgsl")],
    [STORE_BLOCK, SLAB, part!("common/gemm_workgroup.wgsl")]
);
conv_gemm!(
    CONV_POINTWISE_REGISTER,
    "conv_pointwise_register",
    [part!("common/conv_sources.wgsl"), COLUMNS, part!("conv_pointwise.wgsl")],
    [part!("common/gemm_register.wgsl")]
);
conv_gemm!(
    CONV_POINTWISE_QUADS_WORKGROUP,
    "conv_pointwise_quads_workgroup",
    [part!("conv_pointwise_quads.wgsl")],
    [STORE_BLOCK, SLAB, part!("common/gemm_workgroup.wgsl")]
);
conv_gemm!(
    CONV_POINTWISE_QUADS_REGISTER,
    "conv_pointwise_quads_register",
    [part!("conv_pointwise_quads.wgsl")],
    [part!("common/gemm_register.wgsl")]
);
conv_gemm!(CONV_SUM, "conv_sum", [part!("conv_sum.wgsl")], [STORE_BLOCK, part!("common/gemm_sum.wgsl")]);

pub(crate) static CONV_PACK_FILTER: KernelSource = KernelSource {
    name: "conv_pack_filter",
    parts: &[part!("conv_pack_filter.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[PackParams::LAYOUT],
};

/// The transforms along either axis.
macro_rules! winograd {
    () => {
        pick!("AXES", "common/winograd_both.wgsl", "common/winograd_width.wgsl", "common/winograd_height.wgsl")
    };
}

pub(crate) static CONV_WINOGRAD_FILTER: KernelSource = KernelSource {
    name: "conv_winograd_filter",
    parts: &[pick!("LARGE", "common/winograd_f2.wgsl", "common/winograd_f4.wgsl"), winograd!(), part!("conv_winograd_filter.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[PackParams::LAYOUT],
};

pub(crate) static CONV_WINOGRAD_INPUT: KernelSource = KernelSource {
    name: "conv_winograd_input",
    parts: &[
        part!("common/axis.wgsl"),
        part!("common/conv.wgsl"),
        part!("common/winograd.wgsl"),
        pick!("LARGE", "common/winograd_f2.wgsl", "common/winograd_f4.wgsl"),
        winograd!(),
        part!("conv_winograd_input.wgsl"),
    ],
    bindings: &[Uniform, Read, Write],
    structs: CONV_STRUCTS,
};

pub(crate) static CONV_WINOGRAD_OUTPUT: KernelSource = KernelSource {
    name: "conv_winograd_output",
    parts: &[
        part!("common/number.wgsl"),
        part!("common/activation.wgsl"),
        part!("common/axis.wgsl"),
        part!("common/conv.wgsl"),
        part!("common/conv_finish.wgsl"),
        part!("common/conv_store.wgsl"),
        part!("common/winograd.wgsl"),
        pick!("LARGE", "common/winograd_f2.wgsl", "common/winograd_f4.wgsl"),
        winograd!(),
        part!("conv_winograd_output.wgsl"),
    ],
    bindings: &[Uniform, Read, Read, Write, Read],
    structs: CONV_STRUCTS,
};

/// Uniform, x, output, and the indices where they are wanted.
pub(crate) static POOL: KernelSource = KernelSource {
    name: "pool",
    parts: &[part!("common/axis.wgsl"), part!("common/number.wgsl"), part!("pool_values.wgsl"), part!("pool.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[PoolParams::LAYOUT, Axis::LAYOUT],
};

pub(crate) static POOL_INDICES: KernelSource = KernelSource {
    name: "pool_indices",
    parts: &[part!("common/axis.wgsl"), part!("common/number.wgsl"), part!("pool_indices.wgsl"), part!("pool.wgsl")],
    bindings: &[Uniform, Read, Write, Write],
    structs: &[PoolParams::LAYOUT, Axis::LAYOUT],
};

/// Uniform, x, indices, the winner of each output, output.
pub(crate) static POOL_MAX_UNPOOL: KernelSource = KernelSource {
    name: "pool_max_unpool",
    parts: &[part!("pool_max_unpool.wgsl")],
    bindings: &[Uniform, Read, Read, Write, Write],
    structs: &[UnpoolParams::LAYOUT],
};

/// Uniform, a, b, addend, residual, output.
const MATMUL: &[BindingKind] = &[Uniform, Read, Read, Read, Read, Write];
const MATMUL_STRUCTS: &[StructLayout] = &[MatMulParams::LAYOUT, LatticeAxis::LAYOUT];

pub(crate) static MATMUL_DIRECT: KernelSource = KernelSource {
    name: "matmul_direct",
    parts: &[
        part!("common/number.wgsl"),
        part!("common/activation.wgsl"),
        part!("common/lattice_axis.wgsl"),
        part!("common/matmul.wgsl"),
        part!("matmul_direct.wgsl"),
    ],
    bindings: MATMUL,
    structs: MATMUL_STRUCTS,
};

pub(crate) static MATMUL_THIN: KernelSource = KernelSource {
    name: "matmul_thin",
    parts: &[
        part!("common/number.wgsl"),
        part!("common/activation.wgsl"),
        part!("common/lattice_axis.wgsl"),
        part!("common/matmul.wgsl"),
        part!("matmul_thin.wgsl"),
    ],
    bindings: MATMUL,
    structs: MATMUL_STRUCTS,
};

macro_rules! matmul_gemm {
    ($static_name:ident, $name:literal, $operands:literal, [$($core:expr),+]) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[
                part!("common/number.wgsl"),
                part!("common/activation.wgsl"),
                part!("common/lattice_axis.wgsl"),
                part!("common/matmul.wgsl"),
                pick!("WIDE", "common/quad.wgsl", "common/quad_wide.wgsl"),
                pick!("STORE_QUADS", "common/matmul_store_scalar.wgsl", "common/matmul_store_vector.wgsl", "common/matmul_store_partial.wgsl"),
                part!("common/gemm_block.wgsl"),
                part!($operands),
                $($core,)+
            ],
            bindings: MATMUL,
            structs: MATMUL_STRUCTS,
        };
    };
}

matmul_gemm!(MATMUL_WORKGROUP, "matmul_workgroup", "common/matmul_gemm.wgsl", [STORE_BLOCK, SLAB, part!("common/gemm_workgroup.wgsl")]);
matmul_gemm!(MATMUL_REGISTER, "matmul_register", "common/matmul_gemm.wgsl", [part!("common/gemm_register.wgsl")]);
matmul_gemm!(MATMUL_SUM, "matmul_sum", "matmul_sum.wgsl", [STORE_BLOCK, part!("common/gemm_sum.wgsl")]);

pub(crate) static MATMUL_PACK: KernelSource = KernelSource {
    name: "matmul_pack",
    parts: &[part!("common/lattice_axis.wgsl"), part!("matmul_pack.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[PackOperandParams::LAYOUT, LatticeAxis::LAYOUT],
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
            parts: &[part!("common/number.wgsl"), part!("common/activation.wgsl"), part!($source), part!("norm_batch.wgsl")],
            bindings: $bindings,
            structs: &[BatchNormParams::LAYOUT],
        };
    };
}

norm_batch!(NORM_BATCH, "norm_batch", "norm_batch_x.wgsl", &[Uniform, Read, Read, Write]);
norm_batch!(NORM_BATCH_IN_PLACE, "norm_batch_in_place", "norm_batch_in_place.wgsl", &[Uniform, Read, Write]);

pub(crate) static NORM_LRN: KernelSource =
    KernelSource { name: "norm_lrn", parts: &[part!("norm_lrn.wgsl")], bindings: &[Uniform, Read, Write], structs: &[LrnParams::LAYOUT] };

macro_rules! elementwise_unary {
    ($static_name:ident, $name:literal, $item:literal, $source:literal, $bindings:expr) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[part!("common/number.wgsl"), part!("common/activation.wgsl"), part!($item), part!($source), part!("elementwise_unary.wgsl")],
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
    parts: &[part!("common/copy.wgsl"), part!("transform_copy.wgsl")],
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
    parts: &[part!("transform_gather.wgsl")],
    bindings: &[Uniform, Read, Read, Write],
    structs: &[GatherParams::LAYOUT, GatherAxis::LAYOUT],
};

pub(crate) static TRANSFORM_RESIZE_LINEAR: KernelSource = KernelSource {
    name: "transform_resize_linear",
    parts: &[part!("transform_resize_linear.wgsl")],
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
        &CONV_IMPLICIT_GEMM_WORKGROUP,
        &CONV_IMPLICIT_GEMM_REGISTER,
        &CONV_POINTWISE_WORKGROUP,
        &CONV_POINTWISE_REGISTER,
        &CONV_POINTWISE_QUADS_WORKGROUP,
        &CONV_POINTWISE_QUADS_REGISTER,
        &CONV_SUM,
        &CONV_PACK_FILTER,
        &CONV_WINOGRAD_FILTER,
        &CONV_WINOGRAD_INPUT,
        &CONV_WINOGRAD_OUTPUT,
        &MATMUL_DIRECT,
        &MATMUL_THIN,
        &MATMUL_WORKGROUP,
        &MATMUL_REGISTER,
        &MATMUL_SUM,
        &MATMUL_PACK,
        &POOL,
        &POOL_INDICES,
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
