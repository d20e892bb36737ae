//! The sources of convolution and of matrix products, which share their tile cores.

use crate::shader::layout::StructLayout;
use crate::shader::source::BindingKind::{Read, Uniform, Write};
use crate::shader::source::{BindingKind, KernelSource, Part};
use crate::shader::uniforms::{Axis, ConvParams, MagnitudeJoinParams, MagnitudeParams, MatMulParams, PackOperandParams, PackParams};
use crate::types::lattice::LatticeAxis;

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
        pick!("POOL", "common/conv_block_store.wgsl", "common/conv_block_pool.wgsl"),
        part!("common/conv_block_line.wgsl"),
        part!("conv_depthwise_block.wgsl"),
    ],
    bindings: CONV,
    structs: CONV_STRUCTS,
};

pub(crate) static CONV_DEPTHWISE_BLOCK_PAIRS: KernelSource = KernelSource {
    name: "conv_depthwise_block_pairs",
    parts: &[
        part!("common/number.wgsl"),
        part!("common/activation.wgsl"),
        part!("common/axis.wgsl"),
        part!("common/conv.wgsl"),
        part!("common/conv_finish.wgsl"),
        part!("common/quad_wide.wgsl"),
        part!("common/conv_block_store_pairs.wgsl"),
        part!("common/conv_block_line_pairs.wgsl"),
        part!("conv_depthwise_block.wgsl"),
    ],
    bindings: CONV,
    structs: CONV_STRUCTS,
};

/// Of a core on matrix units, and of the plain one that takes its place: as [`CONV`], and the ranges of both operands.
const CONV_RANGED: &[BindingKind] = &[Uniform, Read, Read, Write, Read, Read, Read, Read];

/// A convolution on a tile core: its own parts are those that read the right-hand side.
macro_rules! conv_gemm {
    ($static_name:ident, $name:literal, [$($own:expr),+], [$($core:expr),+], $bindings:expr) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[
                part!("common/number.wgsl"),
                part!("common/activation.wgsl"),
                part!("common/axis.wgsl"),
                part!("common/conv.wgsl"),
                part!("common/conv_finish.wgsl"),
                QUAD,
                part!("common/conv_gemm.wgsl"),
                pick!("STORE_QUADS", "common/conv_store_scalar.wgsl", "common/conv_store_vector.wgsl", "common/conv_store_partial.wgsl", "common/conv_store_filters.wgsl"),
                part!("common/gemm_block.wgsl"),
                $($own,)+
                $($core,)+
            ],
            bindings: $bindings,
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

/// Four neighbouring elements: as they are, in two 64-bit halves, in two halves of two numbers each.
const QUAD: Part = pick!("WIDE", "common/quad.wgsl", "common/quad_wide.wgsl", "common/quad_halves.wgsl");

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

/// How the invocations of the register core read the left-hand side.
const LHS: Part = pick!("LHS_LANES", "common/gemm_lhs_alone.wgsl", "common/gemm_lhs_shared.wgsl");

/// How a convolution reads the right-hand side.
const COLUMNS: Part = pick!("ALONG_CHANNELS", "common/conv_columns.wgsl", "common/conv_channels.wgsl", "common/conv_channel_pairs.wgsl");

/// What both cores on matrix units share: the extent of a matrix, the ranges of the operands.
const MATRIX: Part = pick!("MATRIX_16", "common/matrix_8.wgsl", "common/matrix_16.wgsl");

const MATRIX_RANGE: Part = part!("common/matrix_range.wgsl");

/// What their operands become.
const MATRIX_OPERANDS: Part = pick!("OPERANDS", "common/matrix_whole.wgsl", "common/matrix_split.wgsl", "common/matrix_whole_scalar.wgsl");

/// A convolution on every tile core: workgroup memory, registers, matrix units, and workgroup memory in the place of matrix units.
macro_rules! conv_gemms {
    ($own:tt, $workgroup:ident $workgroup_name:literal, $register:ident $register_name:literal, $matrix:ident $matrix_name:literal, $fallback:ident $fallback_name:literal) => {
        conv_gemm!(
            $workgroup,
            $workgroup_name,
            $own,
            [STORE_BLOCK, SLAB, part!("common/gemm_always.wgsl"), part!("common/gemm_workgroup.wgsl")],
            CONV
        );
        conv_gemm!($register, $register_name, $own, [LHS, part!("common/gemm_register.wgsl")], CONV);
        conv_gemm!($matrix, $matrix_name, $own, [MATRIX, MATRIX_RANGE, MATRIX_OPERANDS, part!("common/gemm_matrix.wgsl")], CONV_RANGED);
        conv_gemm!(
            $fallback,
            $fallback_name,
            $own,
            [STORE_BLOCK, SLAB, MATRIX_RANGE, part!("common/gemm_fallback.wgsl"), part!("common/gemm_workgroup.wgsl")],
            CONV_RANGED
        );
    };
}

conv_gemms!(
    [part!("common/conv_sources.wgsl"), COLUMNS, part!("conv_implicit_gemm.wgsl")],
    CONV_IMPLICIT_GEMM_WORKGROUP "conv_implicit_gemm_workgroup",
    CONV_IMPLICIT_GEMM_REGISTER "conv_implicit_gemm_register",
    CONV_IMPLICIT_GEMM_MATRIX "conv_implicit_gemm_matrix",
    CONV_IMPLICIT_GEMM_FALLBACK "conv_implicit_gemm_fallback"
);

conv_gemms!(
    [part!("common/conv_sources.wgsl"), COLUMNS, part!("conv_pointwise.wgsl")],
    CONV_POINTWISE_WORKGROUP "conv_pointwise_workgroup",
    CONV_POINTWISE_REGISTER "conv_pointwise_register",
    CONV_POINTWISE_MATRIX "conv_pointwise_matrix",
    CONV_POINTWISE_FALLBACK "conv_pointwise_fallback"
);

conv_gemms!(
    [part!("conv_pointwise_quads.wgsl")],
    CONV_POINTWISE_QUADS_WORKGROUP "conv_pointwise_quads_workgroup",
    CONV_POINTWISE_QUADS_REGISTER "conv_pointwise_quads_register",
    CONV_POINTWISE_QUADS_MATRIX "conv_pointwise_quads_matrix",
    CONV_POINTWISE_QUADS_FALLBACK "conv_pointwise_quads_fallback"
);

conv_gemm!(CONV_SUM, "conv_sum", [part!("conv_sum.wgsl")], [STORE_BLOCK, part!("common/gemm_sum.wgsl")], CONV);

pub(crate) static CONV_PACK_FILTER: KernelSource = KernelSource {
    name: "conv_pack_filter",
    parts: &[part!("common/conv_pack.wgsl"), part!("conv_pack_filter.wgsl")],
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
    parts: &[
        part!("common/conv_pack.wgsl"),
        pick!("LARGE", "common/winograd_f2.wgsl", "common/winograd_f4.wgsl"),
        winograd!(),
        part!("conv_winograd_filter.wgsl"),
    ],
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
        part!("common/winograd_input.wgsl"),
        part!("conv_winograd_input.wgsl"),
    ],
    bindings: &[Uniform, Read, Write],
    structs: CONV_STRUCTS,
};

pub(crate) static CONV_WINOGRAD_INPUT_PAIRS: KernelSource = KernelSource {
    name: "conv_winograd_input_pairs",
    parts: &[
        part!("common/axis.wgsl"),
        part!("common/conv.wgsl"),
        part!("common/quad_wide.wgsl"),
        part!("common/winograd.wgsl"),
        pick!("LARGE", "common/winograd_f2.wgsl", "common/winograd_f4.wgsl"),
        winograd!(),
        part!("common/winograd_input.wgsl"),
        part!("conv_winograd_input_pairs.wgsl"),
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
        pick!("POOL", "common/conv_block_store.wgsl", "common/conv_block_pool.wgsl"),
        part!("conv_winograd_output.wgsl"),
    ],
    bindings: &[Uniform, Read, Read, Write, Read],
    structs: CONV_STRUCTS,
};

pub(crate) static CONV_WINOGRAD_OUTPUT_PAIRS: KernelSource = KernelSource {
    name: "conv_winograd_output_pairs",
    parts: &[
        part!("common/number.wgsl"),
        part!("common/activation.wgsl"),
        part!("common/axis.wgsl"),
        part!("common/conv.wgsl"),
        part!("common/conv_finish.wgsl"),
        part!("common/quad_wide.wgsl"),
        part!("common/winograd.wgsl"),
        pick!("LARGE", "common/winograd_f2.wgsl", "common/winograd_f4.wgsl"),
        winograd!(),
        part!("common/conv_block_store_pairs.wgsl"),
        part!("conv_winograd_output_pairs.wgsl"),
    ],
    bindings: &[Uniform, Read, Read, Write, Read],
    structs: CONV_STRUCTS,
};

/// Uniform, a, b, addend, residual, output.
const MATMUL: &[BindingKind] = &[Uniform, Read, Read, Read, Read, Write];

const MATMUL_STRUCTS: &[StructLayout] = &[MatMulParams::LAYOUT, LatticeAxis::LAYOUT];

const STORE_ELEMENT: Part = pick!("PARTIAL", "common/matmul_store_element.wgsl", "common/matmul_store_element_partial.wgsl");

pub(crate) static MATMUL_DIRECT: KernelSource = KernelSource {
    name: "matmul_direct",
    parts: &[
        part!("common/number.wgsl"),
        part!("common/activation.wgsl"),
        part!("common/lattice_axis.wgsl"),
        part!("common/matmul.wgsl"),
        STORE_ELEMENT,
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
        STORE_ELEMENT,
        part!("matmul_thin.wgsl"),
    ],
    bindings: MATMUL,
    structs: MATMUL_STRUCTS,
};

/// As [`MATMUL`], and the ranges of both operands.
const MATMUL_RANGED: &[BindingKind] = &[Uniform, Read, Read, Read, Read, Write, Read, Read];

macro_rules! matmul_gemm {
    ($static_name:ident, $name:literal, $operands:literal, [$($core:expr),+], $bindings:expr) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[
                part!("common/number.wgsl"),
                part!("common/activation.wgsl"),
                part!("common/lattice_axis.wgsl"),
                part!("common/matmul.wgsl"),
                QUAD,
                pick!("STORE_QUADS", "common/matmul_store_scalar.wgsl", "common/matmul_store_vector.wgsl", "common/matmul_store_partial.wgsl"),
                part!("common/gemm_block.wgsl"),
                part!($operands),
                $($core,)+
            ],
            bindings: $bindings,
            structs: MATMUL_STRUCTS,
        };
    };
}

matmul_gemm!(
    MATMUL_WORKGROUP,
    "matmul_workgroup",
    "common/matmul_gemm.wgsl",
    [STORE_BLOCK, SLAB, part!("common/gemm_always.wgsl"), part!("common/gemm_workgroup.wgsl")],
    MATMUL
);

matmul_gemm!(MATMUL_REGISTER, "matmul_register", "common/matmul_gemm.wgsl", [LHS, part!("common/gemm_register.wgsl")], MATMUL);

matmul_gemm!(
    MATMUL_MATRIX,
    "matmul_matrix",
    "common/matmul_gemm.wgsl",
    [MATRIX, MATRIX_RANGE, MATRIX_OPERANDS, part!("common/gemm_matrix.wgsl")],
    MATMUL_RANGED
);

matmul_gemm!(
    MATMUL_FALLBACK,
    "matmul_fallback",
    "common/matmul_gemm.wgsl",
    [STORE_BLOCK, SLAB, MATRIX_RANGE, part!("common/gemm_fallback.wgsl"), part!("common/gemm_workgroup.wgsl")],
    MATMUL_RANGED
);

matmul_gemm!(MATMUL_SUM, "matmul_sum", "matmul_sum.wgsl", [STORE_BLOCK, part!("common/gemm_sum.wgsl")], MATMUL);

/// Uniform, numbers, the range of each workgroup's lines.
pub(crate) static MAGNITUDES: KernelSource = KernelSource {
    name: "magnitudes",
    parts: &[
        part!("common/number.wgsl"),
        part!("common/lanes.wgsl"),
        part!("common/lattice_axis.wgsl"),
        part!("common/magnitudes.wgsl"),
        part!("magnitudes.wgsl"),
    ],
    bindings: &[Uniform, Read, Write],
    structs: &[MagnitudeParams::LAYOUT, LatticeAxis::LAYOUT],
};

/// Uniform, ranges, the range of each run of them.
pub(crate) static MAGNITUDES_JOIN: KernelSource = KernelSource {
    name: "magnitudes_join",
    parts: &[part!("common/magnitudes.wgsl"), part!("magnitudes_join.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[MagnitudeJoinParams::LAYOUT],
};

pub(crate) static MATMUL_PACK: KernelSource = KernelSource {
    name: "matmul_pack",
    parts: &[part!("common/lattice_axis.wgsl"), part!("common/pack_operand.wgsl"), part!("matmul_pack.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[PackOperandParams::LAYOUT, LatticeAxis::LAYOUT],
};

pub(crate) static MATMUL_PACK_PAIRS: KernelSource = KernelSource {
    name: "matmul_pack_pairs",
    parts: &[part!("common/lattice_axis.wgsl"), part!("common/quad_wide.wgsl"), part!("common/pack_operand.wgsl"), part!("matmul_pack_pairs.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[PackOperandParams::LAYOUT, LatticeAxis::LAYOUT],
};
