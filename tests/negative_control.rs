//! Negative controls: kernels are damaged on purpose, and the checks must say so. A checker that passes a broken kernel is worse
//! than none.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

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

/// Runs the cases whose id contains `only` with `from` replaced by `to` in kernels whose label starts with `kernel`.
fn failures_of(kernel: &'static str, only: &str, from: &'static str, to: &'static str) -> Vec<String> {
    let changed = Arc::new(AtomicBool::new(false));
    let seen = changed.clone();
    let patch = move |label: &str, text: String| {
        if !label.starts_with(kernel) {
            return text;
        }
        let damaged = text.replacen(from, to, 1);
        seen.fetch_or(damaged != text, Ordering::Relaxed);
        damaged
    };
    let gpu = Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(patch))), ..Default::default() }).unwrap();
    let report = run(&gpu, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).unwrap();
    assert!(changed.load(Ordering::Relaxed), "the damage \"{from}\" -> \"{to}\" did not change the text of {kernel}");
    let failure = |outcome: &Outcome| if let Outcome::Failed(why) = outcome { Some(why.clone()) } else { None };
    report.results.iter().filter_map(|r| failure(&r.outcome)).collect()
}

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
    let damages: &[(&str, &str, &str, &str, &str)] = &[
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
    let mut missed = Vec::new();
    for &(kernel, only, from, to, check) in damages {
        let failures = failures_of(kernel, only, from, to);
        if !failures.iter().any(|why| why.starts_with(check)) {
            missed.push(format!("{kernel}: \"{from}\" -> \"{to}\" should be reported by {check} of {only}, got {failures:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
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
    /// Fourier transforms: one channel a group, several, dilated, in parts.
    const ALONE: &str = "conv/fft/n3c3h19w23_k6r18s3";
    const SUMMED: &str = "conv/fft/n2c10h21w17_k14r7s5";
    const DILATED: &str = "conv/fft/n1c3h30w60_k3r9s9";
    const IN_PARTS: &str = "conv/fft/n3c2h29w27_k2r9s8";
    // Kernel, cases, damage, the check that must say so.
    let damages: &[(&str, &str, &str, &str, &str)] = &[
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
        ("pool[", "adaptive_average_pool/", "(o + 1) * axis.input + axis.output - 1", "(o + 1) * axis.input", "bounded"),
        ("pool_indices[", "max_pool/", "place.y + params.height.input * place.z", "place.y + params.width.input * place.z", "exact"),
        ("pool_max_unpool[", "max_unpool/", "from_position - 1u", "from_position", "exact"),
        // Fourier transforms: a tile twice, an element short, parts not exchanged, a wrong root of unity in either place, no conjugate, parts mixed up, an
        // output short, the tiles of the first part in all of them, taps between those of a dilated window.
        ("conv_fft_rows[", ALONE, "tile_of(line.column, 1u)", "tile_of(line.column, 0u)", "bounded"),
        ("conv_fft_rows[", DILATED, "axis.output + (axis.taps - 1)", "axis.output + (axis.taps - 2)", "bounded"),
        ("conv_fft_columns[", ALONE, "exchanged(complex_product(v[i], filters", "(complex_product(v[i], filters", "bounded"),
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
        // Winograd: a wrong sign in each transform, a tile one short, a constant off by a thousandth.
        ("conv_winograd_input", "conv/winograd_f2/n2c1h3w6", "d[2] - d[1]", "d[2] + d[1]", "exact"),
        ("conv_winograd_filter", "conv/winograd_f2/n2c1h3w6", "even - 0.5 * g[1]", "even", "exact"),
        ("conv_winograd_output", "conv/winograd_f2/n2c1h3w6", "m[1] - m[2] - m[3]", "m[1] - m[2] + m[3]", "exact"),
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
        ("conv_depthwise_block", "conv/depthwise/n1c3h13w14_k6r11s11", "s0 + s < taps_s", "s0 + s < taps_s + 1u", "exact"),
        ("conv_depthwise_block", "conv/depthwise/n1c3h13w14_k6r11s11", "r0 + r < taps_r", "r0 + r < taps_r + 1u", "exact"),
        ("conv_depthwise_block", "conv/depthwise/n1c2h10w20_k2r8s16", "i32(r0 + i)", "i32(i)", "exact"),
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
        ("softmax[", "softmax/rows/x_5x1000", "var y = d - log_sum;", "var y = d;", "bounded"),
        ("norm_rows", "layer_norm/", "join_sums(at, sums) / count;", "join_sums(at, sums) / (count - 1.0);", "bounded"),
        // What tame data never show: a first mean that is not corrected, squares that leave f32, a NaN that a power loses.
        ("norm_rows", "layer_norm/", " - moments.x) * inverse", ") * inverse", "bounded"),
        ("norm_lrn[", "lrn/", "if (params.factor > 0.0) &", "if (params.factor > 1e30) &", "bounded"),
        ("pool[", "lp_pool/", "scale = clamp(exponent_of(found.largest), -126, 126);", "scale = 0;", "bounded"),
        ("pool[", "lp_pool/", "select(edge, pow(v, p), ordinary), v, is_nan(v))", "select(edge, pow(v, p), ordinary), 0.0, is_nan(v))", "bounded"),
        ("norm_rows", "group_norm/", "inner * params.scale_row + place.y", "place.y", "bounded"),
        ("norm_batch[", "batch_norm/rows/", "line % params.channels", "line / params.channels", "bounded"),
        ("norm_lrn[", "lrn/", "c + params.after", "c + params.before", "bounded"),
    ];
    let mut missed = Vec::new();
    for &(kernel, only, from, to, check) in damages {
        let failures = failures_of(kernel, only, from, to);
        if !failures.iter().any(|why| why.starts_with(check)) {
            missed.push(format!("{kernel}: \"{from}\" -> \"{to}\" should be reported by {check} of {only}, got {failures:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn damaged_gradient_kernels_are_reported() {
    let damages: &[(&str, &str, &str, &str, &str)] = &[
        // Adjoints: the list of the next coordinate, a list's first entry left out, its last one read once more, a weight of an axis forgotten, the
        // coordinate of another axis, an index of another plane, one that is not compared, a kept axis, where parts begin.
        ("transform_adjoint[", "average_pool_backward/", "table[axis.first + c]", "table[axis.first + c + 1u]", "bounded"),
        ("transform_adjoint[", "resize_backward/", "var e2 = l2.begin; e2", "var e2 = l2.begin + 2u; e2", "exact"),
        ("transform_adjoint[", "pad_backward/", "e1 < l1.end", "e1 <= l1.end", "exact"),
        ("transform_adjoint[", "average_pool_backward/", "let w1 = w0 * bitcast<f32>(table[e1 + 1u]);", "let w1 = w0;", "bounded"),
        ("transform_adjoint[", "slice_backward/", "params.gathered[1].dy_stride", "params.gathered[0].dy_stride", "exact"),
        ("transform_adjoint_indices[", "max_pool_backward/", "== own", "== own + 1u", "exact"),
        ("transform_adjoint_indices[", "max_pool_backward/", "l0.place + l1.place + l2.place", "l1.place + l2.place", "exact"),
        ("transform_adjoint_indices[", "max_pool_backward/", "c * axis.plane_stride", "c", "exact"),
        ("transform_adjoint_indices[", "max_pool_backward/", ", indices[params.index_base + at] == own)", ", true)", "exact"),
        ("transform_adjoint_indices[", "max_pool_backward/", "indices[params.index_base + at]", "indices[at]", "exact"),
        ("transform_adjoint[", "pad_backward/", "a < KEPT", "a + 1u < KEPT", "exact"),
        ("transform_adjoint[", "average_pool_backward/", "dy[params.dy_base + at]", "dy[at]", "bounded"),
        // Slopes: a kink on the other side, a constant, a factor, an argument cut too early, the wrong operand.
        (
            "elementwise_gradient[",
            "activation_backward/",
            "select(dy, 0.0, v <= 0.0); }                                      // relu",
            "select(dy, 0.0, v < 0.0); }",
            "exact",
        ),
        ("elementwise_gradient[", "activation_backward/", "4.0 * sigmoid_slope(2.0 * v)", "4.0 * sigmoid_slope(v)", "bounded"),
        ("elementwise_gradient[", "activation_backward/", "0.398942280", "0.39895", "bounded"),
        ("elementwise_gradient[", "activation_backward/", "0.134145 * c", "0.1342 * c", "bounded"),
        ("elementwise_gradient[", "activation_backward/", "clip(abs(v), 0.0, 1.0e18)", "clip(abs(v), 0.0, 1.0)", "bounded"),
        ("elementwise_gradient[", "activation_backward/", "(v >= a) & (v <= b)", "(v > a) & (v <= b)", "exact"),
        ("elementwise_gradient_in_place[", "activation_backward/", "activation_gradient(x, dy,", "activation_gradient(dy, x,", "exact"),
        ("elementwise_binary[", "exceeds/", "select(0.0, 0.5, in_order(a) == in_order(b))", "0.0", "exact"),
        ("elementwise_binary[", "power/", "select(power(m, b), m, b == 1.0)", "power(b, m)", "bounded"),
        // Operations on one number: an exponent that is odd, digits beside 1, a subnormal number, a term of a series, a quarter of a turn, a word of 1 / (2 pi), a carry.
        ("elementwise_unary_vector[", "sqrt/vector/x_2x3x5x8", "let odd = p.e & 1;", "let odd = 0;", "bounded"),
        ("elementwise_unary_vector[", "log/vector/x_2x3x5x8", "0.693147182", "0.69315", "bounded"),
        ("elementwise_unary_vector[", "exp/vector/x_2x3x5x8", "1.0 + e.p, e.n)", "1.0 + e.p, e.n + 1)", "bounded"),
        ("elementwise_unary_vector[", "reciprocal/vector/x_2x3x5x8", "-p.e), edge", "-p.e + 1), edge", "bounded"),
        ("elementwise_unary_vector[", "erf/vector/x_2x3x5x8", "-0.376126389", "-0.376128", "bounded"),
        ("elementwise_unary_vector[", "erf/vector/x_2x3x5x8", "1.41421356 * min(a, 10.0)", "1.414 * min(a, 10.0)", "bounded"),
        ("elementwise_unary_vector[", "sin/vector/x_2x3x5x8", "(q & 1u) != 0u", "(q & 2u) != 0u", "bounded"),
        ("elementwise_unary_vector[", "cos/vector/x_2x3x5x8", "0x9391054au", "0x9391150au", "bounded"),
        ("elementwise_unary_vector[", "sin/vector/x_2x3x5x8", "(first & 0xffffu)", "first", "bounded"),
        ("elementwise_unary_vector[", "floor/vector/x_2x3x5x8", "select(0.0, -1.0, is_negative(v))", "0.0", "bounded"),
        ("elementwise_unary_vector[", "round/vector/x_2x3x5x8", "return round(v);", "return floor(v + 0.5);", "bounded"),
        ("elementwise_unary_vector[", "abs/vector/x_2x3x5x8", "bitcast<u32>(v) & MAGNITUDE); }", "bitcast<u32>(v)); }", "exact"),
        // Comparisons, a condition that is NaN, an operand of another place; the smallest and products.
        ("elementwise_binary[", "less_or_equal/", "is_less(a, b) | is_equal(a, b)", "is_less(a, b)", "exact"),
        ("elementwise_binary[", "equal/rows/a_2x3x5x7", "!is_nan(a) & !is_nan(b)", "true", "bounded"),
        ("elementwise_binary[", "power/", "is_negative & is_odd", "is_negative", "bounded"),
        ("elementwise_where[", "where/", "== 0u;", "!= 0x3f800000u;", "bounded"),
        ("elementwise_where[", "where/", "select(a[u32(at.y)], b[u32(at.z)], is_zero)", "select(b[u32(at.z)], a[u32(at.y)], is_zero)", "exact"),
        ("elementwise_where[", "where/", "var at = params.bases;", "var at = vec4<i32>(0);", "guarded"),
        ("reduce[", "reduce_min/", "KIND == 2u);", "KIND == 9u);", "exact"),
        ("reduce[", "reduce_prod/tree", "] *= joined[first + at.thread + half]", "] += joined[first + at.thread + half]", "exact"),
        // Unpooling: an element that did not win, one of another place; powers: an exponent one too large, a power forgotten.
        ("pool_max_unpool[", "max_unpool_backward/", "== at.y + 1u", ">= 1u", "exact"),
        ("pool_max_unpool[", "max_unpool_backward/", "v = x[own]", "v = x[own - at.y]", "exact"),
        ("elementwise_binary[", "power_by_base/", "power_of(a, b - 1.0)", "power_of(a, b)", "bounded"),
        ("elementwise_binary[", "power_by_exponent/", "power_of(a, b) * logarithm", "logarithm", "bounded"),
        // Dropout: a factor forgotten, a word of a neighbour, a threshold on the other side of a mask, carries of the long product, the key's parts, where
        // a part begins, a layout's index.
        ("dropout[", "dropout/", "* params.scale", "* 1.0", "exact"),
        ("dropout[", "dropout/", "store(at + 1u, block.y)", "store(at + 1u, block.x)", "exact"),
        ("dropout[", "dropout/", "word < params.threshold", "word > params.threshold", "exact"),
        ("dropout[", "dropout/", "0.0, word < params.threshold", "f32(x[at]) * 0.0, word < params.threshold", "bounded"),
        ("dropout[", "dropout/", "(upper & 0xffffu)", "0u", "exact"),
        ("dropout[", "dropout/", "+ (lower >> 16u)", "", "exact"),
        ("dropout[", "dropout/", "round < 10u", "round < 9u", "exact"),
        ("dropout[", "dropout/", "u32(key[1]) << 16u", "u32(key[1])", "exact"),
        ("dropout[", "dropout/", "u32(key[3]) << 16u", "u32(key[3])", "exact"),
        ("dropout[", "dropout/", "(seed, params.stream)", "(seed, 0u)", "exact"),
        ("dropout[", "binding4096", "(params.first + begin)", "begin", "exact"),
        ("dropout_last[", "dropout/", "n * params.channels + c) * params.positions + p", "n * params.positions + p) * params.channels + c", "exact"),
        ("dropout_last[", "dropout/", "index % 4u]", "item % 4u]", "exact"),
        // Optimizers: parts of a step forgotten, what was kept taken for what is kept, epsilon in the wrong place, a mean or a correction left out, the larger
        // for the smaller, neighbours of a vector mixed up.
        ("optimizer[", "optimizer/direct/sgd", "n.shrink * before.p", "before.p", "exact"),
        ("optimizer[", "optimizer/direct/sgd", "+ n.decay * before.p", "", "exact"),
        ("optimizer[", "optimizer/vector/sgd", "Item(a.p, b.p, c.p, d.p)", "Item(a.p, b.p, d.p, c.p)", "exact"),
        ("optimizer_1[", "optimizer/direct/momentum", "n.keep1 * before.first", "before.first", "exact"),
        ("optimizer_1[", "optimizer/direct/nesterov", "n.keep2 * after.first", "n.keep2 * before.first", "exact"),
        ("optimizer_1[", "optimizer/direct/rmsprop", "(sqrt(under) + n.epsilon)", "sqrt(under + n.epsilon)", "bounded"),
        ("optimizer_1[", "optimizer/direct/adagrad", "before.first + g * g", "before.first + g", "bounded"),
        ("optimizer_2[", "optimizer/direct/rmsprop_centered", "v - a * a", "v - a", "bounded"),
        ("optimizer_2[", "optimizer/direct/adam", "n.root * sqrt(under)", "sqrt(under)", "bounded"),
        ("optimizer_2[", "optimizer/vector/adam", "Kept(p.w, first.w, second.w, third.w)", "Kept(p.w, first.z, second.w, third.w)", "bounded"),
        ("optimizer_3[", "optimizer/direct/amsgrad", "(v > before.third)", "(v < before.third)", "bounded"),
        // Filter gradients: strides of dy and of x, where parts begin, a part left out, the group.
        (
            "conv_pack_filter[",
            "conv_backward_filter/",
            "min(k, params.filters - 1u) * params.w_stride_k",
            "min(k, params.filters - 1u) * params.w_stride_c",
            "exact",
        ),
        ("conv_pack_filter[", "conv_backward_filter/", "params.w_base + line", "line", "exact"),
        ("conv_direct[", "conv_backward_filter/", "params.w_base + group", "group", "exact"),
        ("conv_direct[", "conv_backward_filter/direct", "group * params.x_stride_g", "group", "exact"),
        ("conv_implicit_gemm", "conv_backward_filter/", "group * params.x_stride_g", "group", "exact"),
        ("conv_implicit_gemm", "conv_transpose_backward_filter/", "n * params.x_stride_n + product.group", "product.group", "exact"),
        ("elementwise_binary_in_place[", "conv_backward_filter/", "default: { return a + b; }", "default: { return b; }", "exact"),
    ];
    let mut missed = Vec::new();
    for &(kernel, only, from, to, check) in damages {
        let failures = failures_of(kernel, only, from, to);
        if !failures.iter().any(|why| why.starts_with(check)) {
            missed.push(format!(
                "{kernel}: \"{from}\" -> \"{to}\" should be reported by {check} of {only}, got {} failures, {:?}",
                failures.len(),
                failures.first()
            ));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn damaged_phases_of_a_stride_are_reported() {
    // Phases of one tap to four, and some without any.
    const EACH: &str = "t_n2c8h5w4_k36r3s3_st2x2";
    const NONE: &str = "t_n2c8h5w4_k36r4s5_st4x6";
    const DEPTHWISE: &str = "t_n2c3h4w7_k6r3s3_st2x2";
    // Phases of two taps along the depth.
    const DEEP: &str = "t_n1c3d3h2w4_k5t2r3s3_st2x2x2";
    const SPLIT: &str = "conv_transpose/implicit_gemm_workgroup 32x32x16/2/t_n2c32h6w7_k70r4s4_st2x2";
    let damages: &[(&str, &str, &str, &str, &str)] = &[
        // Where the outputs of a phase lie, what they read, how many there are, the first tap, how many taps, how far apart what they read is.
        ("conv_implicit_gemm", EACH, "product.first_output + o * strides", "o * strides", "guarded"),
        ("conv_implicit_gemm", EACH, "start = product.start + o;", "start = product.start + o + 1;", "exact"),
        ("conv_implicit_gemm", EACH, "(axis.output - first + axis.stride - 1) / axis.stride", "(axis.output - first) / axis.stride", "guarded"),
        ("conv_implicit_gemm", EACH, "let reach = o + axis.pad;", "let reach = o;", "exact"),
        ("conv_implicit_gemm", NONE, "let less = axis.dilation % axis.stride;", "let less = 1;", "exact"),
        ("conv_implicit_gemm", EACH, "(axis.taps - tap + axis.tap_step - 1)", "(axis.taps - tap)", "exact"),
        ("conv_implicit_gemm", NONE, "(axis.dilation / (axis.stride / axis.tap_step))", "axis.dilation", "exact"),
        ("conv_implicit_gemm", NONE, "var count = 0;", "var count = 1;", "exact"),
        // The part of the filter that is a phase's, and the order in which it was packed.
        ("conv_implicit_gemm", EACH, "+ min(first, axis.taps % axis.tap_step)", "", "exact"),
        ("conv_implicit_gemm", DEEP, "product.taps.x * inner", "inner", "exact"),
        ("conv_pack_filter", EACH, "tap = order[tap];", "", "exact"),
        // Partial sums of a depth that was split.
        ("conv_sum[", SPLIT, "product.first_output + o * strides", "o * strides", "guarded"),
        ("conv_sum[", SPLIT, "number / params.groups", "0u", "guarded"),
        // The kernels without tiles.
        ("conv_direct", EACH, "s * params.width.tap_step", "s", "exact"),
        ("conv_direct", EACH, "height.first + r", "r", "exact"),
        ("conv_depthwise", DEPTHWISE, "i32(phase) + q * params.width.stride", "q * params.width.stride", "guarded"),
        // The second of two loops; the first one adds zeros.
        ("conv_depthwise", DEPTHWISE, "let w = f32(weights[w_row + u32(s) * tap_step]);", "let w = f32(weights[w_row + u32(s)]);", "exact"),
        ("conv_depthwise", DEPTHWISE, "taps_of(params.width, i32(phase))", "taps_of(params.width, 0)", "exact"),
        ("conv_depthwise", DEPTHWISE, "+ q * advance", "+ q * params.width.stride", "exact"),
    ];
    let mut missed = Vec::new();
    for &(kernel, only, from, to, check) in damages {
        let failures = failures_of(kernel, only, from, to);
        if !failures.iter().any(|why| why.starts_with(check)) {
            missed.push(format!("{kernel}: \"{from}\" -> \"{to}\" should be reported by {check} of {only}, got {:?}", failures.first()));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let gpu = Gpu::new().unwrap();
    for (only, cases) in [(EACH, 3), (NONE, 3), (DEPTHWISE, 3), (DEEP, 3), (SPLIT, 1)] {
        let report = run(&gpu, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).unwrap();
        assert!(report.counts()[1] == 0 && report.counts()[0] >= cases, "{only}: {:?}", report.results);
    }
}

#[test]
fn undamaged_gradient_kernels_pass_their_cases() {
    let gpu = Gpu::new().unwrap();
    for only in ["_backward/", "_backward_filter/", "exceeds/", "power/", "power_by_base/", "power_by_exponent/", "dropout/", "optimizer/"] {
        let report = run(&gpu, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).unwrap();
        let failed: Vec<_> = report.results.iter().filter(|r| matches!(r.outcome, Outcome::Failed(_))).collect();
        assert!(failed.is_empty() && report.counts()[0] >= 10, "{only}: {failed:?}");
    }
}

#[test]
fn damaged_images_are_reported() {
    let damages: &[(&str, &str, &str, &str, &str)] = &[
        // Images: a byte of the wrong place, factors of another channel, no clamp, another rounding, a NaN as what a conversion makes of it.
        ("image_read[", "image_from_bytes/", "8u * (byte % 4u)", "8u * (c % 4u)", "exact"),
        ("image_read[", "image_from_bytes/", "params.offset[c]", "params.offset[0]", "exact"),
        ("image_read[", "image_from_bytes/", "first + c * params.channel_stride", "first + c", "guarded"),
        ("image_write[", "image_to_bytes/", "round(clamp(value, 0.0, 255.0))", "(clamp(value, 0.0, 255.0) + 0.5)", "exact"),
        ("image_write[", "image_to_bytes/", "clamp(value, 0.0, 255.0)", "clamp(value, 0.0, 254.0)", "exact"),
        ("image_write[", "image_to_bytes/", "0u, is_nan(value)", "255u, is_nan(value)", "bounded"),
        ("image_write[", "image_to_bytes/", "output[item] = word;", "output[item + 1u] = word;", "guarded"),
    ];
    let mut missed = Vec::new();
    for &(kernel, only, from, to, check) in damages {
        let failures = failures_of(kernel, only, from, to);
        if !failures.iter().any(|why| why.starts_with(check)) {
            missed.push(format!("{kernel}: \"{from}\" -> \"{to}\" should be reported by {check} of {only}, got {:?}", failures.first()));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let gpu = Gpu::new().unwrap();
    for (only, cases) in [("image_from_bytes/", 40), ("image_to_bytes/", 60)] {
        let report = run(&gpu, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).unwrap();
        assert!(report.counts()[1] == 0 && report.counts()[0] >= cases, "{only}: {:?}", report.counts());
    }
}
