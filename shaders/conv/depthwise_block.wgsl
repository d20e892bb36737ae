// Depthwise convolution over one or two axes: each invocation owns BLOCK_P x BLOCK_Q neighbouring outputs of one channel, and takes the window in
// parts of TAPS_R x TAPS_S taps, one after the other. For each it reads every row of the input that its outputs need once, and adds it to all of
// their sums that it belongs to.
//
// Prelude: BLOCK_P, BLOCK_Q, TAPS_R, TAPS_S, STRIDE_P, STRIDE_Q; ONE_PART: 1 where a part is the whole window; REST: 1 where the last parts
// reach past it; with PAIRS, two elements are read and written at a time; LINES: ROWS below, where rows and taps of a part are written out one by one, else 0.
//
// Not dilated; every loop but those over parts has a constant end, so that the arrays become registers. Compilers of GPUs end their unrolling at some
// number of instructions, and a tap whose place is no constant is picked by comparisons: nine of ten instructions of a 7x7 window on AMD's chips
// (docs/real-gpus.md). Written out, neither is a variable.

//@use conv/block_line.wgsl
//@use conv/store_block.wgsl

@group(0) @binding(5) var<storage, read> weights: array<Elem>; // K 1 R S

// 1: neighbouring invocations take neighbouring channels, as a channels-last output has them.
override CHANNELS_LAST: u32 = 0u;

const ROWS: u32 = (BLOCK_P - 1u) * STRIDE_P + TAPS_R;
const COLUMNS: u32 = (BLOCK_Q - 1u) * STRIDE_Q + TAPS_S;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    // 1. Which block: image n, channel k, first output (p0, q0).
    let blocks_q = (u32(params.width.output) + BLOCK_Q - 1u) / BLOCK_Q;
    let blocks = (u32(params.height.output) + BLOCK_P - 1u) / BLOCK_P * blocks_q;
    let out_channels = params.groups * params.filters;
    let plane = item / blocks;
    let n = plane / out_channels;
    var k = plane - n * out_channels;
    var block = item - plane * blocks;
    if CHANNELS_LAST != 0u {
        let place = item / out_channels;
        k = item - place * out_channels;
        block = place - n * blocks;
    }
    let block_p = block / blocks_q;
    let p0 = i32(block_p * BLOCK_P);
    let q0 = i32((block - block_p * blocks_q) * BLOCK_Q);

    // 2. Its channel in the input, its filter in the weights.
    let c = k / params.filters;
    let x_start = params.x_base + n * params.x_stride_n + c * params.x_stride_c;
    let w_start = c * params.w_stride_g + (k - c * params.filters) * params.w_stride_k;
    let taps_r = select(u32(params.height.taps), TAPS_R, ONE_PART != 0u);
    let taps_s = select(u32(params.width.taps), TAPS_S, ONE_PART != 0u);

    // 3. The window sums, part by part, row by row of the input. What a part has past the window reads some tap, and is not added.
    var sums: array<f32, BLOCK_P * BLOCK_Q>;
    for (var s0 = 0u; s0 < taps_s; s0 += TAPS_S) {
        var reach = reach_columns(q0 * i32(STRIDE_Q) + i32(s0));
        for (var r0 = 0u; r0 < taps_r; r0 += TAPS_R) {
            var taps: array<f32, TAPS_R * TAPS_S>;
            for (var r = 0u; r < TAPS_R; r++) {
                for (var s = 0u; s < TAPS_S; s++) {
                    taps[r * TAPS_S + s] = f32(weights[w_start + min((r0 + r) * taps_s + s0 + s, taps_r * taps_s - 1u)]);
                }
            }
            let rest = vec2<u32>(taps_r - r0, taps_s - s0);
            let y0 = p0 * i32(STRIDE_P) + i32(r0);
//@if LINES
//@for I < LINES
            add_row(I, x_start, y0, rest, &reach, &taps, &sums);
//@end
//@else
            for (var i = 0u; i < ROWS; i++) {
                add_row(i, x_start, y0, rest, &reach, &taps, &sums);
            }
//@end
        }
    }

    // 4. The outputs that exist, or the windows of a pool.
    store_block(n * params.y_stride_n + k * params.y_stride_k, k, p0, q0, &sums);
}

// Adds row i of a part, which begins at y0 of the padded input, to all sums that it belongs to; `rest`: rows and columns of the window from the part on.
fn add_row(
    i: u32,
    x_start: u32,
    y0: i32,
    rest: vec2<u32>,
    reach: ptr<function, Reach>,
    taps: ptr<function, array<f32, TAPS_R * TAPS_S>>,
    sums: ptr<function, array<f32, BLOCK_P * BLOCK_Q>>,
) {
    let iy = block_coordinate(params.height, y0 + i32(i));
    let row = x_start + plane_offset(0, max(iy, 0), 0) * params.x_stride_p;
    var line = read_line(reach, row, iy >= 0);
    // The row is tap i - p STRIDE_P of this part of output row p's window, if it is one.
//@if LINES
//@for U < BLOCK_P
    if (i >= U * STRIDE_P) & (i < U * STRIDE_P + TAPS_R) {
//@for V < TAPS_S
        add_tap(U, i - U * STRIDE_P, V, rest, &line, taps, sums);
//@end
    }
//@end
//@else
    for (var p = 0u; p < BLOCK_P; p++) {
        if (i >= p * STRIDE_P) & (i < p * STRIDE_P + TAPS_R) {
            for (var s = 0u; s < TAPS_S; s++) {
                add_tap(p, i - p * STRIDE_P, s, rest, &line, taps, sums);
            }
        }
    }
//@end
}

// Adds tap (r, s) of a part to the sums of row p.
fn add_tap(
    p: u32,
    r: u32,
    s: u32,
    rest: vec2<u32>,
    line: ptr<function, array<f32, COLUMNS>>,
    taps: ptr<function, array<f32, TAPS_R * TAPS_S>>,
    sums: ptr<function, array<f32, BLOCK_P * BLOCK_Q>>,
) {
    let is_tap = (REST == 0u) | ((r < rest.x) & (s < rest.y));
    for (var q = 0u; q < BLOCK_Q; q++) {
        let sum = (*sums)[p * BLOCK_Q + q];
        (*sums)[p * BLOCK_Q + q] = select(sum, fma((*line)[q * STRIDE_Q + s], (*taps)[r * TAPS_S + s], sum), is_tap);
    }
}

// The coordinate that element `i` of the padded axis reads, or -1 for zero. Outputs that do not exist may ask for what lies beyond every
// pad; any element will do for them.
fn block_coordinate(axis: Axis, i: i32) -> i32 {
    return min(padded_coordinate(i - axis.pad, axis.input), axis.input - 1);
}
