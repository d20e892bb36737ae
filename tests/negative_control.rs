//! Negative controls: kernels are damaged on purpose, and the checks must say so. A checker that passes a broken kernel is worse
//! than none.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::damage::{Damage, assert_all_reported, failures_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgconv::conv::Algorithm;
use wgconv::gpu::SourcePatch;
use wgconv::validate::{Options, Outcome, run};
use wgconv::{Gpu, GpuDescriptor};

/// Runs the cases of `algorithm` whose id contains `only` with `from` replaced by `to` in its kernel, and returns the failures.
fn failures_after(algorithm: Algorithm, only: &str, from: &'static str, to: &'static str) -> Vec<String> {
    let changed = Arc::new(AtomicBool::new(false));
    let seen = changed.clone();
    let patch = move |label: &str, text: String| {
        if label.starts_with("conv_pack_filter") || label.starts_with("conv_winograd_filter") {
            return text;
        }
        let damaged = text.replacen(from, to, 1);
        seen.fetch_or(damaged != text, Ordering::Relaxed);
        damaged
    };
    let gpu = Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(patch))), ..Default::default() }).unwrap();
    let options = Options { only: Some(format!("conv/{algorithm}/{only}")), ..Default::default() };
    let report = run(&gpu, &options, &mut |_| {}).unwrap();
    assert!(changed.load(Ordering::Relaxed), "the damage \"{from}\" -> \"{to}\" did not change the text of {algorithm}");
    assert!(!report.results.is_empty(), "no case of {algorithm} contains {only}");
    let failure = |outcome: &Outcome| if let Outcome::Failed(why) = outcome { Some(why.clone()) } else { None };
    report.results.iter().filter_map(|r| failure(&r.outcome)).collect()
}

/// At least one failure, and all of the kinds expected.
fn assert_reported(algorithm: Algorithm, only: &str, from: &'static str, to: &'static str, kind: &str) {
    let failures = failures_after(algorithm, only, from, to);
    assert!(!failures.is_empty(), "{algorithm}: the damage \"{from}\" -> \"{to}\" went unnoticed");
    for why in &failures {
        assert!(why.starts_with(kind), "{algorithm}: expected a failure of the kind \"{kind}\", got: {why}");
    }
}

/// Those that every device runs with kernels of their own; cooperative matrices have other tests (`tests/matrix.rs`), and `as_linear` has matmul's kernels.
fn everywhere() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.uses_coop_matrix() && *algorithm != Algorithm::AsLinear)
}

const BIASED: &str = "n2c3h12w13_k7r3s2_st1x2_p1,2,0,3_d1x2_g1_b";
const BIASED_DEPTHWISE: &str = "n2c5h6w9_k5r3s3_st1x1_p1,1,1,0_d1x1_g5_b";

/// Dilated, and so not of the kernel with blocks.
const STRIP_DEPTHWISE: &str = "n1c3h12w13_k6r3s2_st1x2_p1,2,0,3_d1x2_g3";

fn case_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Depthwise => BIASED_DEPTHWISE,
        Algorithm::PointwiseRegister | Algorithm::PointwiseWorkgroup => "n2c33h4w7_k9r1s1_st1x1_p0,0,0,0_d1x1_g1_b",
        Algorithm::WinogradF2 | Algorithm::WinogradF4 => "n2c1h3w6_k17r3s3_st1x1_p1,0,0,1_d1x1_g1_b",
        Algorithm::Fft => "n2c10h21w17_k14r7s5",
        _ => BIASED,
    }
}

#[test]
fn undamaged_kernels_pass_the_cases_used_here() {
    for algorithm in everywhere() {
        let gpu = Gpu::new().unwrap();
        let options = Options { only: Some(format!("conv/{algorithm}/{}", case_of(algorithm))), ..Default::default() };
        let report = run(&gpu, &options, &mut |_| {}).unwrap();
        assert_eq!(report.counts()[1], 0, "{algorithm}: {:?}", report.results);
        assert!(report.counts()[0] > 0, "{algorithm}: no case");
    }
}

#[test]
fn a_dropped_bias_is_reported() {
    for algorithm in everywhere() {
        let check = if matches!(algorithm, Algorithm::WinogradF4 | Algorithm::Fft) { "bounded" } else { "exact" };
        assert_reported(algorithm, case_of(algorithm), "v += f32(bias[k]);", "", check);
    }
}

#[test]
fn a_flipped_padding_bound_is_reported() {
    // A zero pad before the input is read as the element it wraps to.
    for algorithm in [Algorithm::Direct, Algorithm::Depthwise, Algorithm::ImplicitGemmRegister, Algorithm::ImplicitGemmWorkgroup] {
        assert_reported(algorithm, case_of(algorithm), "select(-1, i, (i >= 0) & (i < extent))", "select(i, i, (i >= 0) & (i < extent))", "exact");
        assert_reported(algorithm, case_of(algorithm), "(i >= 0) & (i < extent)", "(i > 0) & (i < extent)", "exact");
    }
}

#[test]
fn a_loop_shortened_by_one_is_reported() {
    assert_reported(Algorithm::Direct, BIASED, "c < params.channels; c++", "c < params.channels - 1u; c++", "exact");
    // The loop over elements: the one over taps that read none, before it, adds zeros alone.
    let elements = ["s < width.count; s++) {\n                let w", "s < width.count - 1; s++) {\n                let w"];
    assert_reported(Algorithm::Depthwise, STRIP_DEPTHWISE, elements[0], elements[1], "exact");
    assert_reported(Algorithm::Depthwise, BIASED_DEPTHWISE, "s < TAPS_S; s++", "s < TAPS_S - 1u; s++", "exact");
    assert_reported(Algorithm::Depthwise, BIASED_DEPTHWISE, "i < ROWS; i++", "i < ROWS - 1u; i++", "exact");
    assert_reported(Algorithm::ImplicitGemmRegister, BIASED, "i + STEPS <= length; i", "i + STEPS < length; i", "exact");
    let with_rest = case_of(Algorithm::PointwiseRegister); // 33 channels: no number of steps divides them but one and three
    assert_reported(Algorithm::PointwiseRegister, with_rest, "i < length; i++", "i < length - 1u; i++", "exact");
    assert_reported(Algorithm::ImplicitGemmWorkgroup, BIASED, "k < TILE_K; k += 4u", "k < TILE_K - 4u; k += 4u", "exact");
}

#[test]
fn an_output_left_unwritten_is_reported() {
    for algorithm in everywhere() {
        let (from, to) = match algorithm {
            Algorithm::Direct | Algorithm::Depthwise | Algorithm::WinogradF2 | Algorithm::WinogradF4 | Algorithm::Fft => {
                ("output[at] =", "if at == params.y_base { return; }\n    output[at] =")
            }
            _ => ("output[index] =", "if index == params.y_base { return; }\n        output[index] ="),
        };
        assert_reported(algorithm, case_of(algorithm), from, to, "guarded");
    }
}

#[test]
fn a_write_past_the_end_is_reported() {
    // Every element is written once more, a little further on: the last ones land in the guard words.
    for algorithm in [Algorithm::Direct, Algorithm::Depthwise, Algorithm::ImplicitGemmRegister, Algorithm::ImplicitGemmWorkgroup] {
        let (from, to) = match algorithm {
            Algorithm::Direct | Algorithm::Depthwise => ("output[at] =", "output[at + 8u] = Elem(1.0);\n    output[at] ="),
            // Its planes are whole vec4s, so that four are written at once.
            _ => ("output[index] =", "output[index + 2u] = Vec4();\n        output[index] ="),
        };
        assert_reported(algorithm, case_of(algorithm), from, to, "guarded: a guard word");
    }
}

#[test]
fn a_wrong_constant_and_a_rounded_operand_are_reported() {
    // An activation with a slightly wrong constant stays inside no bound.
    let failures = failures_after(Algorithm::Direct, "n1c2h5w6_k5r1s1_st1x1_p0,0,0,0_d1x1_g1_b_gelu", "0.25388533", "0.2540");
    assert!(failures.iter().any(|why| why.starts_with("bounded")), "{failures:?}");
    // A product rounded to f16 on the way passes the exact check on small integers, but not the bounded one.
    let failures = failures_after(
        Algorithm::Direct,
        BIASED,
        "sum = fma(select(0.0, f32(x[xi]), exists), f32(weights[wi]), sum);",
        "sum = fma(select(0.0, bitcast<f32>(bitcast<u32>(f32(x[xi])) & 0xffffe000u), exists), f32(weights[wi]), sum);",
    );
    assert!(failures.iter().all(|why| why.starts_with("bounded")) && !failures.is_empty(), "{failures:?}");
}

/// A product whose operands are packed as on a GPU.
const AS_ON_A_GPU: &str = "matmul/gemm_workgroup/37x68x45_b1x1x2_sa0x0x1665_sb0x0x3060_rank33_other_kind";

/// Only a device that runs invocations as lanes of a CPU's vectors, with 64-bit integers and subgroups of one size, shares its loads.
#[test]
fn a_wrong_share_of_the_left_hand_side_is_reported() {
    const TILE: &str = "gemm_register 20x8x2/53x33x7"; // its iteration is no multiple of a subgroup of 8
    let gpu = Gpu::new().unwrap();
    let profile = gpu.profile();
    let damages = [
        ("half % LHS_THREADS)", "(half + 1u) % LHS_THREADS)"),
        ("i * LHS_THREADS + local % LHS_THREADS", "local % LHS_THREADS"),
        ("(step * ROW_ITEMS + vec4_row) * 2u", "(vec4_row + ROW_ITEMS) * 2u"),
    ];
    if profile.is_cpu && profile.has_int64 && profile.subgroup.is_some() {
        for (from, to) in damages {
            let failures = failures_of("matmul_register", TILE, from, to);
            assert!(failures.iter().any(|why| why.starts_with("exact")), "\"{from}\" -> \"{to}\": {failures:?}");
        }
    } else {
        let problem = wgconv::matmul::MatMulProblem::matmul(&[53, 70], &[70, 330], wgconv::ElementType::F32).unwrap();
        let plan = wgconv::op::Planned::plan(&problem, profile, Some("gemm_register 20x8x2")).unwrap();
        assert!(plan.steps.iter().all(|step| step.kernel.constant("LHS_THREADS") == 0), "a device of this kind cannot share");
    }
}

#[test]
fn damaged_slabs_stages_and_splits_of_the_workgroup_core_are_reported() {
    const IMPLICIT: &str = "conv_implicit_gemm_workgroup[";
    // Several slabs deep; with outer K steps that vec4s of steps straddle, channels-last, and with the depth split in three.
    let plain = "conv/implicit_gemm_workgroup 64x64x16/n2c7h9w21";
    let last = "conv/implicit_gemm_workgroup 32x32x16/n2c60";
    let fours = "conv/implicit_gemm_workgroup 64x128x16/n2c60";
    let split = "conv/implicit_gemm_workgroup 64x64x16/3/n1c3h23w12";
    let damages: &[Damage] = &[
        // The stage that is read, the stage that is written, the next slab of either side, the zeros past the depth.
        (IMPLICIT, plain, "let l = stage * LHS_SLAB + thread_m;", "let l = thread_m;", "exact"),
        (IMPLICIT, plain, "let r = stage * RHS_SLAB + rhs_at;", "let r = rhs_at;", "exact"),
        (IMPLICIT, plain, "lhs_from += LHS_SLAB;", "", "exact"),
        (IMPLICIT, plain, "next_slab(&walk);", "", "exact"),
        (IMPLICIT, plain, "let passed = inner / gemm_length();", "let passed = 1u;", "exact"),
        (IMPLICIT, plain, "vec2<u32>((*at).x + 1u, 0u)", "vec2<u32>((*at).x, 0u)", "exact"),
        (IMPLICIT, plain, "| (at < end)", "| (at + 8u < end)", "exact"),
        ("matmul_workgroup[", "linear/gemm_workgroup 64x64x16/3/", "(at.y < gemm_length())", "(at.y + 1u < gemm_length())", "exact"),
        // The far rows and columns of an invocation.
        (IMPLICIT, plain, "far_lhs = sh_lhs[l + THREADS_M];", "far_lhs = sh_lhs[l];", "exact"),
        (IMPLICIT, plain, "thread_n + n * THREADS_N", "thread_n + n", "guarded"),
        // Channels-last: two channels swapped, a column of filters left out.
        (IMPLICIT, last, "c0.y", "c0.x", "exact"),
        (IMPLICIT, fours, "c0.z", "c0.x", "exact"),
        (IMPLICIT, last, "store_filters(columns.c3", "store_filters(columns.c2", "guarded"),
        // Splits: a range that is too long, a partial sum in the wrong place, one not added, a row's epilogue left out.
        (IMPLICIT, split, "min(first + slabs_each, slabs)", "slabs", "exact"),
        (IMPLICIT, split, "columns.first / 4u] = sums", "columns.first / 8u] = sums", "exact"),
        ("conv_sum[", split, "split < SPLITS", "split < SPLITS - 1u", "exact"),
        ("conv_sum[", split, "min(1u, below)", "0u", "exact"),
        ("conv_sum[", "conv/implicit_gemm_workgroup 32x32x16/2/n2c60", "v += f32(bias[k]);", "", "exact"),
        ("matmul_sum[", "linear/gemm_workgroup 32x32x16/2/", "split < SPLITS", "split < SPLITS - 1u", "exact"),
    ];
    assert_all_reported(damages);
}

/// Where pools read pairs of columns, which the devices do that have 64-bit integers and are processors.
#[test]
fn damaged_pools_of_pairs_are_reported() {
    let gpu = Gpu::new().unwrap();
    if !(gpu.profile().is_cpu && gpu.profile().has_int64) {
        return;
    }
    const PADDED: &str = "max_pool/unrolled/n2c3h9w20";
    let damages: &[(&str, &str, &str, &str)] = &[
        // Padding: the last pair taken for it, a value that wins over it, an idle row that counts, the pair before a row.
        (PADDED, "(pair <= last)", "(pair < last)", "exact"),
        (PADDED, "select(vec2<f32>(neutral())", "select(vec2<f32>(0.0)", "exact"),
        ("average_pool/unrolled/n2c3h9w20", "used & (pair <= last)", "pair <= last", "bounded"),
        ("average_pool/unrolled/n2c3h9w20", "used & (pair <= last)", "used", "bounded"),
        // Columns: those of the neighbour, those of another output, a window's last one, the wrong parity, a pair twice.
        (PADDED, "min(pair, last)", "min(pair + 1u, last)", "exact"),
        (PADDED, "columns[LEAD + j * STRIDE + s]", "columns[LEAD + j + s]", "exact"),
        (PADDED, "s < TAPS_S; s++", "s < TAPS_S - 1u; s++", "exact"),
        (PADDED, "columns[LEAD + j", "columns[j", "exact"),
        (PADDED, "columns[2u * i + 1u] = v.y", "columns[2u * i + 1u] = v.x", "exact"),
        // Places: a division one bit off on each axis, x and y that begin elsewhere.
        (PADDED, "params.strips_shift", "params.strips_shift + 1u", "guarded"),
        (PADDED, "params.rows_shift", "params.rows_shift + 1u", "exact"),
        ("max_pool/unrolled/n1c3d4h5w10", "params.depth_shift", "params.depth_shift + 1u", "exact"),
        ("max_pool/unrolled/n5c3h9w14", "params.x_base + plane", "plane", "exact"),
        ("max_pool/unrolled/n5c3h9w14", "params.y_base + row", "row", "guarded"),
        // Stores: an output of a pair left out or in the wrong half, a strip's rest left out, what follows a row written.
        ("lp_pool/unrolled/n2c3h9w14", "if both {", "if !both {", "guarded"),
        ("max_pool/unrolled/n2c3h8w16", "as_half(values)", "as_half(values.yx)", "exact"),
        (PADDED, "if q < params.width.output {", "if q + 2 < params.width.output {", "guarded"),
        (PADDED, "if q < params.width.output {", "if true {", "guarded"),
        ("average_pool/unrolled/n2c3h9w20", "height.divisor * width.divisor", "height.divisor", "bounded"),
    ];
    let mut missed = Vec::new();
    for &(only, from, to, check) in damages {
        let failures = failures_of("pool_pairs[", only, from, to);
        if !failures.iter().any(|why| why.starts_with(check)) {
            missed.push(format!("\"{from}\" -> \"{to}\" should be reported by {check} of {only}, got {failures:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn damaged_kernels_of_the_other_families_are_reported() {
    /// Planned as for a GPU, where this is none.
    const EIGHTS: &str = "conv/winograd_f2/n2c19h9w14";
    const WRITTEN_OUT: &str = "conv/depthwise/n2c3h9w11_k6r4s3";
    // Windows of 5.
    const OF_5: &str = "conv/winograd_f2/n3c5h11w7_k2r5s5";
    const DEEP_5: &str = "conv/winograd_f4/n1c67h6w10_k20r5s5";
    const BACKWARDS: &str = "conv_transpose/winograd_f2/t_n2c3h9w10_k5";
    let damages: &[Damage] = &[
        // Elementwise: a tail left unwritten, the last line's operand, a dropped operand, a wrong function.
        ("elementwise_unary[", "activation/direct/clip_-3_3_257", "i < range.end", "i < range.end - 1u", "guarded"),
        ("elementwise_unary_in_place[", "activation/direct/clip_-3_3_257_in_place", "i < range.end", "i < range.end - 1u", "exact"),
        ("elementwise_unary_vector[", "activation/vector/clip_-3_3_1024", "value_of(w.w, a, b)", "w.w", "exact"),
        ("elementwise_binary[", "add/rows/", "i < range.end", "i < range.end - 1u", "guarded"),
        (
            "elementwise_binary[",
            "add/direct/a_2x3x9x11_b_3x1x1",
            "at += i32(rest - outer * axis.extent) * axis.strides;",
            "at += i32(rest - outer * axis.extent) * axis.strides.xxz;",
            "exact",
        ),
        ("elementwise_binary[", "sub/", "return a - b;", "return b - a;", "exact"),
        // Shared items: parts that leave some out, parts that are one vector's alone.
        ("transform_copy[", "concat/rows/", "(count + 63u) / 64u", "count / 64u", "guarded"),
        ("elementwise_unary[", "activation/", "first + vector * part", "first", "guarded"),
        ("elementwise_binary[", "add/rows/", "first + vector * part", "first", "guarded"),
        // Pooling: a pad that wins, a window one short, the wrong divisor, the wrong index.
        ("pool[", "average_pool/unrolled/", "join(found.sum, select(0.0, v, used))", "join(found.sum, v)", "bounded"),
        ("pool[", "max_pool/direct/", "Found(0.0, 0.0, vec3<i32>(0), false, 0.0)", "Found(0.0, 0.0, vec3<i32>(0), true, 0.0)", "exact"),
        ("pool[", "average_pool/", "axis.input + axis.pad_end - start", "axis.input - start", "bounded"),
        ("pool[", "adaptive_average_pool/", "(own + 1) * axis.stride + axis.taps - 1", "(own + 1) * axis.stride", "bounded"),
        ("pool_indices[", "max_pool/", "place.y + params.index_height * place.z", "place.y + params.index_width * place.z", "exact"),
        ("transform_grid_sample[", "grid_sample/direct/2x3x9x13", "round(column)", "floor(column + 0.5)", "exact"),
        ("transform_grid_sample[", "grid_sample/direct/2x3x9x13", "(1.0 - t) * a", "(0.999999 - t) * a", "exact"),
        ("transform_grid_sample[", "grid_sample/direct/2x3x9x13", "half * n - 0.5", "half * n", "exact"),
        ("transform_grid_sample[", "grid_sample/direct/2x3x9x13", "select(rest, span - rest, is_odd)", "rest", "exact"),
        ("transform_grid_sample[", "grid_sample/direct/2x3x9x13", "-0.75 * t * s * s", "-0.7499 * t * s * s", "exact"),
        ("transform_gather_indexed[", "gather", "v + f32(extent)", "v + f32(extent - 1u)", "exact"),
        ("transform_gather_indexed[", "gather_nd/", "place * extent + number", "place + number", "exact"),
        ("transform_gather_indexed[", "gather/", "bound < params.places", "bound + 1u < params.places", "guarded"),
        ("transform_scatter_indexed[", "scatter", "atomicMax(&ends[at + 1u], row + 1u)", "atomicMax(&ends[at + 1u], row)", "exact"),
        ("transform_scatter_indexed[", "scatter_elements/", "atomicMin(&ends[at], row)", "atomicMin(&ends[at], row + 1u)", "exact"),
        ("transform_scatter_indexed[", "scatter", "next[item] = other", "next[item] = end", "exact"),
        ("top_k[", "top_k/direct/", "(a.x == b.x) & (a.y < b.y)", "(a.x == b.x) & (a.y > b.y)", "exact"),
        ("top_k_sort[", "top_k/bitonic/", "(low & run) == 0u", "(low & apart) == 0u", "exact"),
        ("top_k_sort[", "top_k/bitonic/3x129", "vec2<bool>(candidate < params.candidates)", "vec2<bool>(true)", "exact"),
        ("pool_max_unpool[", "max_unpool/", "from_position - 1u", "from_position", "exact"),
        // Winograd: a wrong sign in each transform, a tile one short, a constant off by a thousandth.
        ("conv_winograd_input", "conv/winograd_f2/n2c1h3w6", "d[2] - d[1]", "d[2] + d[1]", "exact"),
        ("conv_winograd_filter", "conv/winograd_f2/n2c1h3w6", "even - 0.5 * g[1]", "even", "exact"),
        ("conv_winograd_output", "conv/winograd_f2/n2c1h3w6", "m[1] - m[2] - m[3]", "m[1] - m[2] + m[3]", "exact"),
        ("conv_winograd_input", OF_5, "d[5] - d[4]", "d[5] + d[4]", "exact"),
        ("conv_winograd_filter", OF_5, "g[3] + g[4]", "g[3] - g[4]", "exact"),
        ("conv_winograd_filter", BACKWARDS, "TAPS_H * TAPS_W - 1u - r * TAPS_W - s", "r * TAPS_W + s", "exact"),
        ("conv_winograd_filter", BACKWARDS, "TAPS_H * TAPS_W - 1u - r * TAPS_W - s", "(TAPS_H - 1u - r) * TAPS_W + s", "exact"),
        ("conv_winograd_output", OF_5, "(m[5] + m[6])", "(m[5] - m[6])", "exact"),
        ("conv_winograd_input", OF_5, "i < REACH_H; i++) {\n        let iy", "i < REACH_H - 1u; i++) {\n        let iy", "exact"),
        (
            "conv_winograd_input",
            "conv/winograd_f2/n2c1h3w6",
            "o + i < axis.output + (axis.taps - 1)",
            "o + i < axis.output + (axis.taps - 2)",
            "exact",
        ),
        ("conv_winograd_output", "conv/winograd_f2/n2c1h3w6", "(q < params.width.output)", "(q + 1 < params.width.output)", "guarded"),
        // Two tiles at once: each reads the other's columns, a half too far, an edge that is not zero, a store one half off.
        // Channels last as GPUs take them: eight channels x eight tiles.
        ("conv_winograd_input", EIGHTS, "line * SIDE + local % SIDE", "line * SIDE", "exact"),
        ("conv_winograd_output", EIGHTS, "(workgroup - line * blocks) * SIDE + local / SIDE", "(workgroup - line * blocks) * SIDE", "guarded"),
        ("conv_winograd_output", EIGHTS, "if item >= params.items {", "if false {", "guarded"),
        ("conv_winograd_input_pairs", "conv/winograd_f2/n2c3h5w8", "tile_row(&row, ODD + TILE_W)", "tile_row(&row, TILE_W)", "exact"),
        ("conv_winograd_input_pairs", "conv/winograd_f2/n2c3h5w8", "ix + 2 * i32(j)", "ix + 2 * i32(j) + 2", "exact"),
        ("conv_winograd_input_pairs", "conv/winograd_f2/n2c3h5w8", "(ix >= 0) & (ix < params.width.input)", "(ix >= 0)", "exact"),
        ("conv_winograd_output_pairs", "conv/winograd_f2/n2c3h5w8", "far[i][j] = far_outputs[i]", "far[i][j] = near_outputs[i]", "exact"),
        ("conv_winograd_output_pairs", "conv/winograd_f2/n2c3h5w8", "output[first + j] =", "output[first + j + 1u] =", "guarded"),
        ("conv_depthwise_block_pairs", "conv/depthwise/n2c3h7w8_k6r3s3", "halves[ODD + j]", "halves[j]", "exact"),
        ("conv_depthwise_block_pairs", "conv/depthwise/n2c3h7w8_k6r3s3", "(*reach).inside[j] & exists", "exists", "exact"),
        // Windows in parts: columns and rows past the last tap, every part the first one's rows.
        ("conv_depthwise_block", "conv/depthwise/n1c3h13w14_k6r11s11", "s < rest.y", "s < rest.y + 1u", "exact"),
        ("conv_depthwise_block", "conv/depthwise/n1c3h13w14_k6r11s11", "r < rest.x", "r < rest.x + 1u", "exact"),
        ("conv_depthwise_block", "conv/depthwise/n1c2h10w20_k2r8s16", "* i32(STRIDE_P) + i32(r0)", "* i32(STRIDE_P)", "exact"),
        // Rows and taps written out, as GPUs have them: a row read twice, the last one left out, a tap of the next output's row, a tap added to another row.
        ("conv_depthwise_block", WRITTEN_OUT, "add_row(2u,", "add_row(1u,", "exact"),
        ("conv_depthwise_block", WRITTEN_OUT, "add_row(6u, x_start, y0, rest, &reach, &taps, &sums);", "", "exact"),
        ("conv_depthwise_block", WRITTEN_OUT, "i - 2u * STRIDE_P, 1u", "i - 2u * STRIDE_P, 2u", "exact"),
        ("conv_depthwise_block", WRITTEN_OUT, "add_tap(3u,", "add_tap(2u,", "exact"),
        // Parts of the tiles: every part makes the first one's, the last goes past the last tile.
        ("conv_winograd_input", "conv/winograd_f2/n2c2h37w34", "params.first_tile + index", "index", "exact"),
        ("conv_winograd_output", "conv/winograd_f2/n2c2h37w34", "params.first_tile + index", "index", "guarded"),
        ("conv_winograd_output", "conv/winograd_f2/n2c1h3w6", "number < params.end_tile", "true", "guarded"),
        // Fused pools: a column of the window read twice, a row of the window left out, a window past the edge, a mean not divided.
        ("conv_winograd_output", "conv/winograd_f2/n1c18h5w4", "j * POOL_W + s]", "j * POOL_W]", "exact"),
        ("conv_winograd_output", "conv/winograd_f4/n1c67h6w11", "(i * POOL_H + r) * BLOCK_Q", "i * POOL_H * BLOCK_Q", "bounded"),
        ("conv_winograd_output", "conv/winograd_f2/n1c18h5w4", "(p < rows)", "(p + 1 < rows)", "guarded"),
        ("conv_depthwise_block", "conv/depthwise/n2c5h7w8", "r < POOL_H", "r < POOL_H - 1u", "exact"),
        (
            "conv_depthwise_block",
            "conv/depthwise/n2c5h7w8",
            "let columns = params.width.output / i32(POOL_W);",
            "let columns = params.width.output;",
            "guarded",
        ),
        ("conv_depthwise_block", "conv/depthwise/n2c5h7w8", "v / f32(POOL_H * POOL_W)", "v / f32(POOL_H)", "bounded"),
        ("conv_winograd_filter", "conv/winograd_f4/n1c67", "1.0 / 30.0", "1.001 / 30.0", "bounded"),
        ("conv_winograd_input", "conv/winograd_f4/n1c67", "4.25 * d[2]", "4.254 * d[2]", "bounded"),
        ("conv_winograd_filter", DEEP_5, "1.0 / 90.0", "1.001 / 90.0", "bounded"),
        ("conv_winograd_input", DEEP_5, "5.25 * (d[3] - d[5])", "5.255 * (d[3] - d[5])", "bounded"),
        ("conv_winograd_output", DEEP_5, "0.125 * half_difference", "0.1252 * half_difference", "bounded"),
        // The register core: a step of a turn read twice, rows of the far columns mixed up, the last rows not stored.
        ("conv_implicit_gemm_register", "conv/implicit_gemm_register 32x8x4/n2c8", "gemm_rhs(sources, i + 3u)", "gemm_rhs(sources, i + 2u)", "exact"),
        ("matmul_register", "matmul/gemm_register 32x8x4/32x264x8", "add_steps(sums.far.r1, row1,", "add_steps(sums.far.r1, row0,", "exact"),
        (
            "matmul_register",
            "matmul/gemm_register 20x8x2/53x33x7",
            "i < THREAD_M; i++) {\n        gemm_store(columns",
            "i < THREAD_M - 1u; i++) {\n        gemm_store(columns",
            "guarded",
        ),
        // Products: a step too few, a forgotten addend, the wrong side of a pack, a thread left out of the tree.
        ("matmul_direct[", "gemm/direct/", "k < params.k", "k < params.k - 1u", "exact"),
        ("matmul_gemv[", "matmul/gemv/", "half = ROW_THREADS / 2u", "half = ROW_THREADS / 4u", "exact"),
        ("matmul_register", "gemm/gemm_register/", "params.beta * f32(addend", "f32(addend", "exact"),
        ("matmul_pack[", "matmul/gemm_workgroup/", "k * params.stride_depth", "k", "exact"),
        ("matmul_pack_tile[", AS_ON_A_GPU, "(k0 + step) * params.stride_depth", "step * params.stride_depth", "exact"),
        ("matmul_pack_tile[", AS_ON_A_GPU, "(block - product * params.panels) * params.padded + inner0", "inner0", "exact"),
        ("matmul_pack_tile[", AS_ON_A_GPU, "(i0 + inner < params.outer)", "(i0 + inner < params.outer - 1u)", "exact"),
        // Packs of two at once: a row's neighbour forgotten, a square not turned, its second row beside the first, too few steps.
        ("matmul_pack_pairs[", "matmul/gemm_register/65x66x19", "from_pair + k * params.stride_depth", "from_pair + k", "exact"),
        ("matmul_pack_pairs[", "matmul/gemm_register/33x36x64", "vec2<f32>(near.x, far.x)", "near", "exact"),
        ("matmul_pack_pairs[", "matmul/gemm_register/33x36x64", "(to + params.padded)", "(to + 2u)", "exact"),
        ("matmul_pack_pairs[", "matmul/gemm_register/33x36x64", "(line - block * blocks) * BLOCK", "(line - block * blocks) * 2u", "exact"),
        // Parts of products: where operands and y begin, how far rows of y lie apart, which share of the depth is whose.
        ("matmul_direct[", "gemm/direct/37x45x70", "return params.base + vec3<u32>(at);", "return vec3<u32>(at);", "exact"),
        ("matmul_direct[", "gemm/direct/37x45x70", "params.y_base + (number", "(number", "guarded"),
        ("matmul_direct[", "gemm/direct/37x45x70", "params.first_part + part", "part", "exact"),
        ("matmul_direct[", "gemm/direct/37x45x70", "* params.y_pitch", "* params.n", "guarded"),
        ("matmul_register", "linear/gemm_register/35x68x100", "params.first_part + part", "part", "exact"),
        ("matmul_pack[", "gemm/gemm_register/37x45x70", "params.base + u32(at)", "u32(at)", "exact"),
        // Lines: a thread left out, a chunk's tail, the first of equals, the maximum not taken off, the variance not centred.
        ("reduce", "reduce_sum/tree/", "half = ROW_THREADS / 2u", "half = ROW_THREADS / 4u", "exact"),
        ("reduce_first[", "reduce_sum/tree/x_33001", "i < count", "i < count - 9u", "exact"),
        ("reduce_argmax[", "argmax/", "(a.index < b.index)", "(a.index > b.index)", "exact"),
        ("reduce_argmax_part[", "argmax/", "best = better(best, Best(bit", "best = better(Best(0.0, 0u), Best(bit", "exact"),
        ("softmax_join[", "softmax/rows/x_2x5003", "sum += state[params.inner + line];", "", "bounded"),
        ("softmax_part[", "softmax/rows/x_3x12x91", "let line = item % params.inner;", "let line = item / params.inner;", "bounded"),
        ("softmax[", "softmax/rows/x_5x1000", "var y = d - log_sum;", "var y = d;", "bounded"),
        ("norm_rows", "layer_norm/", "join_sums(at, sums) / count;", "join_sums(at, sums) / (count - 1.0);", "bounded"),
        // What tame data never show: a first mean that is not corrected, squares that leave f32, a NaN that a power loses.
        ("norm_rows", "layer_norm/", " - moments.x) * inverse", ") * inverse", "bounded"),
        ("norm_lrn[", "lrn/", "if (params.factor > 0.0) &", "if (params.factor > 1e30) &", "bounded"),
        ("pool[", "lp_pool/", "scale = clamp(exponent_of(found.largest), -126, 126);", "scale = 0;", "bounded"),
        ("pool[", "lp_pool/", "select(edge, pow(v, p), ordinary), v, is_nan(v))", "select(edge, pow(v, p), ordinary), 0.0, is_nan(v))", "bounded"),
        ("norm_rows", "group_norm/", "inner * params.scale_row + place.y", "place.y", "bounded"),
        (
            "norm_batch[",
            "batch_norm/rows/",
            "(line + params.first_line) % params.channels",
            "(line + params.first_line) / params.channels",
            "bounded",
        ),
        ("norm_batch[", "batch_norm/rows/x_3x5x19x17", "(line + params.first_line) % params.channels", "line % params.channels", "bounded"),
        ("norm_batch[", "batch_norm/rows/x_3x5x19x17", "params.base + line * params.inner", "line * params.inner", "guarded"),
        ("norm_lrn[", "lrn/", "c + params.after", "c + params.before", "bounded"),
    ];
    assert_all_reported(damages);
}

#[test]
fn damaged_images_are_reported() {
    let damages: &[Damage] = &[
        // Images: a byte of the wrong place, factors of another channel, no clamp, another rounding, a NaN as what a conversion makes of it; of several images
        // the place of the first, and the bytes of another number of channels.
        ("image_read[", "image_from_bytes/", "8u * (byte % 4u)", "8u * (c % 4u)", "exact"),
        ("image_read[", "image_from_bytes/", "params.offset[c]", "params.offset[0]", "exact"),
        ("image_read[", "image_from_bytes/", "first + c * params.channel_stride", "first + c", "guarded"),
        ("image_write[", "image_to_bytes/", "round(clamp(value, 0.0, 255.0))", "(clamp(value, 0.0, 255.0) + 0.5)", "exact"),
        ("image_write[", "image_to_bytes/", "clamp(value, 0.0, 255.0)", "clamp(value, 0.0, 254.0)", "exact"),
        ("image_write[", "image_to_bytes/", "0u, is_nan(value)", "255u, is_nan(value)", "bounded"),
        ("image_write[", "image_to_bytes/", "output[item] = word;", "output[item + 1u] = word;", "guarded"),
        ("image_read[f32,SEVERAL=1", "image_from_bytes/", "image * params.image_stride + ", "", "guarded"),
        ("image_write[f32,SEVERAL=1", "image_to_bytes/", "image * params.image_stride + ", "", "exact"),
        ("image_read[", "image_from_bytes/", "pixel * STORED + c", "pixel * CHANNELS + c", "exact"),
    ];
    assert_all_reported(damages);
    let gpu = Gpu::new().unwrap();
    for (only, cases) in [("image_from_bytes/", 40), ("image_to_bytes/", 60)] {
        let report = run(&gpu, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).unwrap();
        assert!(report.counts()[1] == 0 && report.counts()[0] >= cases, "{only}: {:?}", report.counts());
    }
}

#[test]
fn damaged_transforms_are_reported() {
    // One channel a group, several, dilated, in parts.
    const ALONE: &str = "conv/fft/n3c3h19w23_k6r18s3";
    const SUMMED: &str = "conv/fft/n2c10h21w17_k14r7s5";
    const DILATED: &str = "conv/fft/n1c3h30w60_k3r9s9";
    const IN_PARTS: &str = "conv/fft/n3c2h29w27_k2r9s8";
    let damages: &[Damage] = &[
        // A tile twice, an element short, parts not exchanged, a wrong root of unity in either place, no conjugate, parts mixed up, an
        // output short, the tiles of the first part in all of them, taps between those of a dilated window.
        ("conv_fft_rows[", ALONE, "tile_of(line.column, 1u)", "tile_of(line.column, 0u)", "bounded"),
        ("conv_fft_rows[", IN_PARTS, "axis.output + (axis.taps - 1)", "axis.output + (axis.taps - 2)", "bounded"),
        ("conv_fft_columns[", ALONE, "exchanged(complex_product((*v)[i], filters", "(complex_product((*v)[i], filters", "bounded"),
        ("conv_fft_columns[", ALONE, "roots[k_1 * t]", "roots[k_1]", "bounded"),
        ("conv_fft_columns[", ALONE, "0.70710678118654757, -0.70710678118654746", "0.8, -0.6", "bounded"),
        ("conv_fft_filter_columns[", ALONE, "-v[i].y)", "v[i].y)", "bounded"),
        ("conv_fft_filter_parts[", SUMMED, "= -number.y", "= number.y", "bounded"),
        ("conv_fft_parts[", SUMMED, "parts[start + imaginary] = v[i].y", "parts[start + imaginary] = v[i].x", "bounded"),
        ("conv_fft_sums[", SUMMED, "parts[start + params.filters * params.columns]", "parts[start]", "bounded"),
        ("conv_fft_outputs[", ALONE, "(j < TILE_W)", "(j + 1u < TILE_W)", "guarded"),
        ("conv_fft_outputs[", SUMMED, "(q < params.width.output)", "(q + 1 < params.width.output)", "guarded"),
        ("conv_fft_outputs[", IN_PARTS, "params.first_tile + 2u * column", "2u * column", "guarded"),
        ("conv_fft_rows[", IN_PARTS, "params.first_tile + 2u * column", "2u * column", "bounded"),
        ("conv_fft_filter_rows[", DILATED, "(s * dilation == w)", "(s < w)", "bounded"),
    ];
    assert_all_reported(damages);
    let gpu = Gpu::new().unwrap();
    for only in [ALONE, SUMMED, DILATED, IN_PARTS] {
        let report = run(&gpu, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).unwrap();
        assert!(report.counts()[1] == 0 && report.counts()[0] > 0, "{only}: {:?}", report.results);
    }
}
