// Pooling of f32 values, channels-first, in rows of an even length: an invocation computes STRIP neighbouring outputs of a row from columns
// that it loads once, two by two.
//
// For drivers that run invocations as the lanes of a CPU's vectors. They pay by the load and not by the byte, and divide lane by lane: hence
// the 64-bit loads, divisors as their reciprocals, and the local id: such a driver divides for every component of it that is used, and for
// three to give its index.
//
// Prelude: STRIP, an even number; STRIDE, that of the width; LEAD, 1 where its pad is odd; the window's TAPS_T, TAPS_R, TAPS_S; STORE_PAIRS.

//@use pool/window.wgsl
//@use lib/vec4_io.wgsl

// Twin of PoolPairsParams in src/shader/uniforms.rs. Strides and bases count elements, and are even where x has them.
struct PoolPairsParams {
    depth: Axis,
    height: Axis,
    width: Axis,
    items: u32,             // strips
    x_base: u32,
    x_stride_c: u32,
    y_base: u32,
    strips_multiplier: u32, // reciprocal of the strips of a row
    strips_shift: u32,
    rows_multiplier: u32,   // of the rows of an output plane
    rows_shift: u32,
    depth_multiplier: u32,  // of the output's depth
    depth_shift: u32,
    power: f32,
    inverse: f32,
}

@group(0) @binding(0) var<uniform> params: PoolPairsParams;
@group(0) @binding(1) var<storage, read> x: array<u64>; // N C D H W/2

//@if STORE_PAIRS
// Rows of an even length: one 64-bit store for two neighbouring outputs.
@group(0) @binding(2) var<storage, read_write> output: array<u64>; // N C Z P Q

fn store_two(at: u32, values: vec2<f32>, both: bool) {
    output[at / 2u] = as_half(values);
}
//@else
// Rows of any length: a store for each output.
@group(0) @binding(2) var<storage, read_write> output: array<f32>; // N C Z P Q

fn store_two(at: u32, values: vec2<f32>, both: bool) {
    output[at] = values.x;
    if both {
        output[at + 1u] = values.y;
    }
}
//@end

// Pairs of columns that hold a strip's windows in one row.
const PAIRS: u32 = ((STRIP - 1u) * STRIDE + LEAD + TAPS_S + 1u) / 2u;

// n / d for n < 2^31; `reciprocal` in src/plan/pool/pairs.rs makes the two numbers of a d.
fn divide(n: u32, multiplier: u32, shift: u32) -> u32 {
    return u32((u64(n) * u64(multiplier)) >> shift);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local.x;
    if item >= params.items {
        return;
    }
    // 1. Which strip of a row: row p of place z of a channel plane, from column q0.
    let strips = (u32(params.width.output) + STRIP - 1u) / STRIP;
    let row = divide(item, params.strips_multiplier, params.strips_shift);
    let place = divide(row, params.rows_multiplier, params.rows_shift);
    let plane = divide(place, params.depth_multiplier, params.depth_shift);
    let q0 = i32((item - row * strips) * STRIP);
    let p = i32(row) - i32(place) * params.height.output;
    let z = i32(place) - i32(plane) * params.depth.output;

    // 2. Its windows, row by row of the input.
    let depth = window_taps(params.depth, TAPS_T, z);
    let height = window_taps(params.height, TAPS_R, p);
    let plane_start = params.x_base + plane * params.x_stride_c;
    let first = (q0 * i32(STRIDE) - params.width.pad - i32(LEAD)) >> 1u; // even before the shift
    let last = u32(params.width.input) / 2u - 1u;
    var sums: array<f32, STRIP>;
    for (var j = 0u; j < STRIP; j++) {
        sums[j] = neutral();
    }
    for (var t = 0; t < i32(TAPS_T); t++) {
        let iz = coordinate(depth, params.depth, t);
        for (var r = 0; r < i32(TAPS_R); r++) {
            let iy = coordinate(height, params.height, r);
            let line = (plane_start + u32((iz * params.height.input + iy) * params.width.input)) / 2u;
            let used = (t < depth.count) & (r < height.count);
            var columns: array<f32, 2u * PAIRS>;
            for (var i = 0u; i < PAIRS; i++) {
                // A pair before the row wraps round to behind it. Where all windows are whole, only outputs that are not stored read there.
                let pair = u32(first + i32(i));
                let inside = (WHOLE != 0u) | (used & (pair <= last));
                let v = select(vec2<f32>(neutral()), half_vec4(x[line + min(pair, last)]), inside);
                columns[2u * i] = v.x;
                columns[2u * i + 1u] = v.y;
            }
            for (var j = 0u; j < STRIP; j++) {
                for (var s = 0u; s < TAPS_S; s++) {
                    sums[j] = join(sums[j], columns[LEAD + j * STRIDE + s]);
                }
            }
        }
    }

    // 3. The outputs, which lie one after the other in memory.
    for (var j = 0u; j < STRIP; j++) {
        let width = window_taps(params.width, TAPS_S, q0 + i32(j));
        sums[j] = pooled(sums[j], depth.divisor * height.divisor * width.divisor);
    }
    let at = params.y_base + row * u32(params.width.output) + u32(q0);
    for (var j = 0u; j < STRIP; j += 2u) {
        let q = q0 + i32(j);
        if q < params.width.output {
            store_two(at + j, vec2<f32>(sums[j], sums[j + 1u]), q + 1 < params.width.output);
        }
    }
}
