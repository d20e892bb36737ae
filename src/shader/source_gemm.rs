//! Kernels of convolution and of matrix products: a loader and a tile core each, what packs and transforms their operands, and kernels without a
//! tile core.

use crate::shader::layout::StructLayout;
use crate::shader::source::BindingKind::{Read, Uniform, Write};
use crate::shader::source::{BindingKind, KernelSource, sources};
use crate::shader::uniforms::{Axis, ConvParams, MagnitudeJoinParams, MagnitudeParams, MatMulParams, PackInputParams, PackOperandParams, PackParams};
use crate::shader::uniforms_winograd::{GradientSumsParams, GradientTilesParams};
use crate::types::strided_axes::OperandAxis;

/// Uniform; the epilogue's bias, residual, output; x, weights.
const CONV: &[BindingKind] = &[Uniform, Read, Read, Write, Read, Read];

/// Of a core on cooperative matrices, and of the plain one that takes its place: as [`CONV`], and the ranges of both operands.
const CONV_RANGED: &[BindingKind] = &[Uniform, Read, Read, Write, Read, Read, Read, Read];

const CONV_STRUCTS: &[StructLayout] = &[ConvParams::LAYOUT, Axis::LAYOUT];

/// Uniform, a, b, addend, residual, output.
const MATMUL: &[BindingKind] = &[Uniform, Read, Read, Read, Read, Write];

/// As [`MATMUL`], and the ranges of both operands.
const MATMUL_RANGED: &[BindingKind] = &[Uniform, Read, Read, Read, Read, Write, Read, Read];

const MATMUL_STRUCTS: &[StructLayout] = &[MatMulParams::LAYOUT, OperandAxis::LAYOUT];

const PACK_STRUCTS: &[StructLayout] = &[PackOperandParams::LAYOUT, OperandAxis::LAYOUT];

/// Values of the const `STORE_VEC4` (`shaders/conv/store_columns.wgsl`), beside 0, one by one: four columns at once, partial sums, four filters at
/// once.
pub(crate) const STORE_COLUMNS: u32 = 1;

pub(crate) const STORE_PARTIALS: u32 = 2;

pub(crate) const STORE_FILTERS: u32 = 3;

/// Values of the const `ALONG_CHANNELS` (`shaders/conv/right_hand_side.wgsl`), beside 0, one by one: four channels of a column at once, or two.
pub(crate) const FOUR_CHANNELS: u32 = 1;

pub(crate) const TWO_CHANNELS: u32 = 2;

sources! { GEMM_SOURCES:
    CONV_DIRECT "conv_direct" ["conv/direct"] [] CONV, CONV_STRUCTS;
    CONV_DEPTHWISE "conv_depthwise" ["conv/depthwise"] [] CONV, CONV_STRUCTS;
    CONV_DEPTHWISE_BLOCK "conv_depthwise_block" ["conv/depthwise_block"] ["PAIRS" = 0, "POOL" = 0] CONV, CONV_STRUCTS;
    CONV_DEPTHWISE_BLOCK_PAIRS "conv_depthwise_block_pairs" ["conv/depthwise_block"] ["PAIRS" = 1, "POOL" = 0, "WIDE" = 1] CONV, CONV_STRUCTS;

    CONV_IMPLICIT_GEMM_WORKGROUP "conv_implicit_gemm_workgroup" ["conv/implicit_gemm", "gemm/workgroup"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "RANGED" = 0, "PARTS" = 0] CONV, CONV_STRUCTS;
    CONV_IMPLICIT_GEMM_REGISTER "conv_implicit_gemm_register" ["conv/implicit_gemm", "gemm/register"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "LHS_THREADS" = 0, "PARTS" = 0] CONV, CONV_STRUCTS;
    CONV_IMPLICIT_GEMM_COOP "conv_implicit_gemm_coop" ["conv/implicit_gemm", "gemm/coop"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0] CONV_RANGED, CONV_STRUCTS;
    CONV_IMPLICIT_GEMM_FALLBACK "conv_implicit_gemm_fallback" ["conv/implicit_gemm", "gemm/workgroup"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "RANGED" = 1, "PARTS" = 0] CONV_RANGED, CONV_STRUCTS;
    CONV_FILTER_ROWS_WORKGROUP "conv_filter_rows_workgroup" ["conv/filter_rows", "gemm/workgroup"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "RANGED" = 0, "PARTS" = 0] CONV, CONV_STRUCTS;
    CONV_FILTER_ROWS_REGISTER "conv_filter_rows_register" ["conv/filter_rows", "gemm/register"] ["STORE_VEC4" = 0, "WIDE" = 0, "LHS_THREADS" = 0, "PARTS" = 0] CONV, CONV_STRUCTS;
    CONV_POINTWISE_WORKGROUP "conv_pointwise_workgroup" ["conv/pointwise", "gemm/workgroup"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "RANGED" = 0, "PARTS" = 0] CONV, CONV_STRUCTS;
    CONV_POINTWISE_REGISTER "conv_pointwise_register" ["conv/pointwise", "gemm/register"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "LHS_THREADS" = 0, "PARTS" = 0] CONV, CONV_STRUCTS;
    CONV_POINTWISE_COOP "conv_pointwise_coop" ["conv/pointwise", "gemm/coop"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0] CONV_RANGED, CONV_STRUCTS;
    CONV_POINTWISE_FALLBACK "conv_pointwise_fallback" ["conv/pointwise", "gemm/workgroup"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "RANGED" = 1, "PARTS" = 0] CONV_RANGED, CONV_STRUCTS;
    CONV_POINTWISE_VEC4_WORKGROUP "conv_pointwise_vec4_workgroup" ["conv/pointwise_vec4", "gemm/workgroup"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "RANGED" = 0, "PARTS" = 0] CONV, CONV_STRUCTS;
    CONV_POINTWISE_VEC4_REGISTER "conv_pointwise_vec4_register" ["conv/pointwise_vec4", "gemm/register"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "LHS_THREADS" = 0, "PARTS" = 0] CONV, CONV_STRUCTS;
    CONV_POINTWISE_VEC4_FALLBACK "conv_pointwise_vec4_fallback" ["conv/pointwise_vec4", "gemm/workgroup"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "RANGED" = 1, "PARTS" = 0] CONV_RANGED, CONV_STRUCTS;
    CONV_SUM "conv_sum" ["conv/sum", "gemm/sum"] ["STORE_VEC4" = 0, "WIDE" = 0, "PARTS" = 0] CONV, CONV_STRUCTS;

    // Uniform, filter, the order of its taps, the packed filter.
    CONV_PACK_FILTER "conv_pack_filter" ["conv/pack_filter"] ["PARTS" = 0, "ALONG_K" = 0] &[Uniform, Read, Read, Write], &[PackParams::LAYOUT];
    // The same as f16 for cooperative matrices: and the range of the filter.
    CONV_PACK_FILTER_HALVES "conv_pack_filter_halves" ["conv/pack_filter"] [] &[Uniform, Read, Read, Write, Read], &[PackParams::LAYOUT];
    // Uniform, x, x as f16, the range of x.
    CONV_PACK_INPUT "conv_pack_input" ["conv/pack_input"] ["ALONG_CHANNELS" = 0] &[Uniform, Read, Write, Read], &[PackInputParams::LAYOUT];
    CONV_WINOGRAD_FILTER "conv_winograd_filter" ["conv/winograd_filter"] ["TAPS_5" = 0, "BACKWARDS" = 0] &[Uniform, Read, Write], &[PackParams::LAYOUT];
    CONV_WINOGRAD_INPUT "conv_winograd_input" ["conv/winograd_input"] ["TAPS_5" = 0, "ALONG_CHANNELS" = 0] &[Uniform, Read, Write], CONV_STRUCTS;
    CONV_WINOGRAD_INPUT_PAIRS "conv_winograd_input_pairs" ["conv/winograd_input_pairs"] ["TAPS_5" = 0, "WIDE" = 1] &[Uniform, Read, Write], CONV_STRUCTS;
    // Uniform; the epilogue's bias, residual, output; sums.
    CONV_WINOGRAD_OUTPUT "conv_winograd_output" ["conv/winograd_output"] ["TAPS_5" = 0, "PAIRS" = 0, "POOL" = 0, "ALONG_CHANNELS" = 0]
        &[Uniform, Read, Read, Write, Read], CONV_STRUCTS;
    CONV_WINOGRAD_OUTPUT_PAIRS "conv_winograd_output_pairs" ["conv/winograd_output_pairs"] ["TAPS_5" = 0, "PAIRS" = 1, "POOL" = 0, "WIDE" = 1]
        &[Uniform, Read, Read, Write, Read], CONV_STRUCTS;

    // Uniform, an operand of a filter gradient, its transformed tiles.
    CONV_WINOGRAD_GRADIENT_TILES "conv_winograd_gradient_tiles" ["conv/winograd_gradient_tiles"] ["TAPS_5" = 0, "NARROW" = 0]
        &[Uniform, Read, Write], &[GradientTilesParams::LAYOUT];
    // Uniform, sums, dw.
    CONV_WINOGRAD_GRADIENT "conv_winograd_gradient" ["conv/winograd_gradient"] ["TAPS_5" = 0, "ADDS" = 0] &[Uniform, Read, Write], &[GradientSumsParams::LAYOUT];

    // Uniform, what is transformed, roots of unity, what becomes of it.
    CONV_FFT_FILTER_ROWS "conv_fft_filter_rows" ["conv/fft_filter_rows"] [] &[Uniform, Read, Read, Write], CONV_STRUCTS;
    CONV_FFT_FILTER_COLUMNS "conv_fft_filter_columns" ["conv/fft_filter_columns"] [] &[Uniform, Read, Read, Write], CONV_STRUCTS;
    CONV_FFT_FILTER_PARTS "conv_fft_filter_parts" ["conv/fft_filter_columns"] [] &[Uniform, Read, Read, Write], CONV_STRUCTS;
    CONV_FFT_ROWS "conv_fft_rows" ["conv/fft_rows"] [] &[Uniform, Read, Read, Write], CONV_STRUCTS;
    CONV_FFT_PARTS "conv_fft_parts" ["conv/fft_columns"] [] &[Uniform, Read, Read, Write], CONV_STRUCTS;
    CONV_FFT_SUMS "conv_fft_sums" ["conv/fft_sums"] [] &[Uniform, Read, Read, Write], CONV_STRUCTS;
    // The same, and the transformed filters.
    CONV_FFT_COLUMNS "conv_fft_columns" ["conv/fft_columns"] [] &[Uniform, Read, Read, Read, Write], CONV_STRUCTS;
    // Uniform; the epilogue's bias, residual, output; sums, roots of unity.
    CONV_FFT_OUTPUTS "conv_fft_outputs" ["conv/fft_outputs"] [] CONV, CONV_STRUCTS;

    MATMUL_DIRECT "matmul_direct" ["matmul/direct"] ["PARTIAL" = 0] MATMUL, MATMUL_STRUCTS;
    MATMUL_GEMV "matmul_gemv" ["matmul/gemv"] ["PARTIAL" = 0] MATMUL, MATMUL_STRUCTS;
    MATMUL_WORKGROUP "matmul_workgroup" ["matmul/gemm", "gemm/workgroup"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "RANGED" = 0, "PARTS" = 0, "ALONG_K" = 0] MATMUL, MATMUL_STRUCTS;
    MATMUL_REGISTER "matmul_register" ["matmul/gemm", "gemm/register"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "LHS_THREADS" = 0, "PARTS" = 0, "ALONG_K" = 0] MATMUL, MATMUL_STRUCTS;
    MATMUL_COOP "matmul_coop" ["matmul/gemm", "gemm/coop"] ["STORE_VEC4" = 0, "WIDE" = 0] MATMUL_RANGED, MATMUL_STRUCTS;
    MATMUL_FALLBACK "matmul_fallback" ["matmul/gemm", "gemm/workgroup"] ["STORE_VEC4" = 0, "WIDE" = 0, "ALONG_CHANNELS" = 0, "RANGED" = 1, "PARTS" = 0, "ALONG_K" = 0] MATMUL_RANGED, MATMUL_STRUCTS;
    MATMUL_SUM "matmul_sum" ["matmul/sum", "gemm/sum"] ["STORE_VEC4" = 0, "WIDE" = 0] MATMUL, MATMUL_STRUCTS;

    // Uniform, numbers, the range of each workgroup's lines.
    MAGNITUDES "magnitudes" ["gemm/magnitudes"] [] &[Uniform, Read, Write], &[MagnitudeParams::LAYOUT, OperandAxis::LAYOUT];
    // Uniform, ranges, the range of each run of them.
    MAGNITUDES_JOIN "magnitudes_join" ["gemm/magnitudes_join"] [] &[Uniform, Read, Write], &[MagnitudeJoinParams::LAYOUT];
    MATMUL_PACK "matmul_pack" ["matmul/pack"] [] &[Uniform, Read, Write], PACK_STRUCTS;
    MATMUL_PACK_TILE "matmul_pack_tile" ["matmul/pack_tile"] ["PARTS" = 0, "ALONG_K" = 0, "RANGED" = 0, "ALONG_DEPTH" = 0] &[Uniform, Read, Write], PACK_STRUCTS;
    // And the ranges of both operands.
    MATMUL_PACK_FALLBACK "matmul_pack_fallback" ["matmul/pack_tile"] ["PARTS" = 0, "ALONG_K" = 0, "RANGED" = 1, "ALONG_DEPTH" = 0]
        &[Uniform, Read, Write, Read, Read], PACK_STRUCTS;
    // As f16 for cooperative matrices: and the range of the operand.
    MATMUL_PACK_HALVES "matmul_pack_halves" ["matmul/pack_tile"] ["RANGED" = 0, "ALONG_DEPTH" = 0] &[Uniform, Read, Write, Read], PACK_STRUCTS;
    MATMUL_PACK_PAIRS "matmul_pack_pairs" ["matmul/pack_pairs"] ["WIDE" = 1] &[Uniform, Read, Write], PACK_STRUCTS;
}
