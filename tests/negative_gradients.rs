//! Negative controls of gradients and of phases of a stride: as `negative_control`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::damage::{Damage, assert_all_reported};
use wgconv::Gpu;
use wgconv::validate::{Options, Outcome, run};

#[test]
fn damaged_gradient_kernels_are_reported() {
    let damages: &[Damage] = &[
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
        // Pools by cells: a window that takes all of its cell, cells behind the last window, its weight, another axis's, a channel, an index that is not
        // compared, one of another image, where parts begin.
        ("transform_spread[", "average_pool_backward/spread", "STRIDE_W + x < WINDOW_W", "STRIDE_W + x < WINDOW_W + 1u", "bounded"),
        ("transform_spread[", "average_pool_backward/spread", "&& o.z < width.windows", "&& o.z <= width.windows", "bounded"),
        ("transform_spread[", "average_pool_backward/spread", "window + 1u == axis.windows", "false", "bounded"),
        ("transform_spread[", "average_pool_backward/spread", "weight(height, o.y) *", "weight(depth, o.x) *", "bounded"),
        ("transform_spread[", "average_pool_backward/spread", "at * params.inner + channel]", "at * params.inner]", "guarded"),
        ("transform_spread_indices[", "max_pool_backward/spread", "counts && own ==", "counts || own ==", "exact"),
        ("transform_spread_indices[", "max_pool_backward/spread", "dx_h) * width.extent", "dx_h) * height.extent", "guarded"),
        // Windows that overlap: one that is left out, another row of them, a pad that is not there, one of the elements of a cell.
        (
            "transform_spread[",
            "sum_pool_backward/spread/n2c5h9w13",
            "i < REACH_D * REACH_H * REACH_W",
            "i + 1u < REACH_D * REACH_H * REACH_W",
            "exact",
        ),
        ("transform_spread[", "sum_pool_backward/spread/n2c5h9w13", "h - before_h, w - before_w", "h, w - before_w", "exact"),
        ("transform_spread[", "sum_pool_backward/spread/n2c5h9w13", "e % STRIDE_W - width.pad", "e % STRIDE_W", "exact"),
        ("transform_spread_indices[", "max_pool_backward/spread/n2c5h9w13", "+ x - width.pad", "+ x", "exact"),
        (
            "transform_spread_indices[",
            "max_pool_backward/spread/n1c2d4h5w7",
            "+ z - depth.pad) * height.extent",
            "+ z - depth.pad) * width.extent",
            "exact",
        ),
        ("transform_spread_indices[", "max_pool_backward/spread", "indices[params.index_base + at]", "indices[at]", "exact"),
        ("transform_spread_indices[", "max_pool_backward/spread", "dy[params.dy_base + at]", "dy[at]", "exact"),
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
        // Casts: the last element left out, every other one left as it was, a neighbour's number.
        ("elementwise_cast[", "cast/direct/to_f16_1023", "i < range.end", "i + 1u < range.end", "guarded"),
        ("elementwise_cast_vector[", "cast/vector/to_f32_2x3x5x8_f16", "range.begin + TOGETHER * j", "range.begin + TOGETHER * (j / 2u)", "guarded"),
        ("elementwise_cast[", "cast/direct/to_f16_1023", "Narrow(x[params.x_base + i])", "Narrow(x[params.x_base + i / 2u])", "exact"),
        ("elementwise_cast_vector[", "cast/vector/to_f32_2x3x5x8_f16", "x[params.x_base + i]", "x[params.x_base + i / 2u]", "exact"),
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
        // Row by row: a stride along the width, its end, an image, the rows of a stride, where the rows of dy begin.
        ("conv_filter_rows_", "conv_backward_filter/", "source.first + i32(i * params.x_stride_c)", "source.first + i32(i)", "exact"),
        ("conv_filter_rows_", "conv_backward_filter/", "& (at < params.width.input)", "", "exact"),
        ("conv_filter_rows_", "conv_backward_filter/", "(outer_step - line * images) * params.x_stride_p", "0u", "exact"),
        ("conv_filter_rows_", "conv_backward_filter/", "i32(line - plane * rows) * columns.step.y", "i32(line - plane * rows)", "exact"),
        ("conv_pack_filter[", "conv_backward_filter/", "tap = order[tap];", "", "exact"),
        ("conv_filter_rows_", "conv_transpose_backward_filter/", "n * params.x_stride_n + product.group", "product.group", "exact"),
        ("conv_implicit_gemm", "conv_transpose_backward_filter/", "n * params.x_stride_n + product.group", "product.group", "exact"),
        // The adjoint of Winograd's formula: a tile's pad, a row behind the last, the channels of a group, a tile's place in its sum, an image, signs and
        // constants of each transform, a sum left out, what tiles before gave, a channel.
        ("conv_winograd_gradient_tiles[", "conv_backward_filter/winograd_f2", "- params.pad_h;", ";", "exact"),
        ("conv_winograd_gradient_tiles[", "conv_backward_filter/winograd_f2", "& (y < params.height)", "", "exact"),
        ("conv_winograd_gradient_tiles[", "conv_backward_filter/winograd_f2", "(group * params.channels + c)", "c", "exact"),
        (
            "conv_winograd_gradient_tiles[",
            "conv_backward_filter/winograd_f2/n5c3h17w19",
            "slot - sum * params.depth) * params.panel",
            "slot % 64u) * params.panel",
            "exact",
        ),
        ("conv_winograd_gradient_tiles[", "conv_backward_filter/winograd_f2", "params.base + n * params.stride_n", "params.base", "exact"),
        ("conv_winograd_gradient_tiles[", "conv_backward_filter/winograd_f2", "sum, y[0] - y[1], -y[1]);", "sum, y[0] - y[1], y[1]);", "exact"),
        ("conv_winograd_gradient_tiles[", "conv_backward_filter/winograd_f4", "2.0 * y[1] + 8.0 * y[3]", "2.0 * y[1] + 4.0 * y[3]", "bounded"),
        ("conv_winograd_gradient_tiles[", "conv_transpose_backward_filter/winograd_f2", "- params.pad_w;", ";", "exact"),
        ("conv_winograd_gradient[", "conv_backward_filter/winograd_f2/n6c3h14w13", "m[4] + m[5], m[5] + m[6]", "m[4] + m[5], m[5]", "exact"),
        ("conv_winograd_gradient[", "conv_backward_filter/winograd_f4", "2.0 * (two_odd - half_odd)", "2.0 * (two_odd + half_odd)", "bounded"),
        (
            "conv_winograd_gradient[",
            "conv_backward_filter/winograd_f4/n1c2h13w11",
            "one_even + 16.0 * two_even",
            "one_even + 8.0 * two_even",
            "bounded",
        ),
        ("conv_winograd_gradient[", "conv_backward_filter/winograd_f2/n5c3h17w19", "s < params.sums", "s + 1u < params.sums", "exact"),
        (
            "conv_winograd_gradient[f32,TILE_H=2,TILE_W=2,LINES_H=4,LINES_W=4,LARGE=0,AXES=0,ADDS=1",
            "conv_backward_filter/winograd_f2/n17c4h32w32",
            "dw[at] += taps[s];",
            "dw[at] = taps[s];",
            "exact",
        ),
        ("conv_winograd_gradient[", "conv_backward_filter/winograd_f2", "filter_row * params.columns + c", "filter_row * params.columns", "exact"),
        ("elementwise_binary_in_place[", "conv_backward_filter/", "default: { return a + b; }", "default: { return b; }", "exact"),
    ];
    assert_all_reported(damages);
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
    let damages: &[Damage] = &[
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
    assert_all_reported(damages);
    let gpu = Gpu::new().unwrap();
    for (only, cases) in [(EACH, 3), (NONE, 3), (DEPTHWISE, 3), (DEEP, 3), (SPLIT, 1)] {
        let report = run(&gpu, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).unwrap();
        assert!(report.counts()[1] == 0 && report.counts()[0] >= cases, "{only}: {:?}", report.results);
    }
}

#[test]
fn undamaged_gradient_kernels_pass_their_cases() {
    let gpu = Gpu::new().unwrap();
    for only in ["_backward/", "_backward_filter/", "exceeds/", "power/", "power_by_base/", "power_by_exponent/", "dropout/", "optimizer/", "cast/"] {
        let report = run(&gpu, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).unwrap();
        let failed: Vec<_> = report.results.iter().filter(|r| matches!(r.outcome, Outcome::Failed(_))).collect();
        assert!(failed.is_empty() && report.counts()[0] >= 10, "{only}: {failed:?}");
    }
}
