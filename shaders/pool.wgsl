// Pooling: one output per invocation, plain loops over the window. Max, average and Lp; windows that slide or adapt to the output size.
//
// A workgroup owns 64 consecutive outputs in memory order. Padding adds no term: the loops run over the taps inside the input. Needs `store_pooled` (pool_values.wgsl or pool_indices.wgsl). Prelude: alias Elem.

// Twin of PoolParams in src/pool/params.rs. Strides and bases count elements.
struct PoolParams {
    depth: Axis,
    height: Axis,
    width: Axis,
    channels: u32,
    positions: u32, // output positions of one plane
    items: u32,     // outputs
    x_base: u32,
    x_stride_n: u32,
    x_stride_c: u32,
    x_stride_p: u32,
    y_base: u32,
    power: f32,     // p of Lp pooling
    inverse: f32,   // 1 / p
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: PoolParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>; // N C D H W

// 0 max, 1 average, 2 Lp with p = 1, 3 Lp with p = 2, 4 Lp with any p.
override KIND: u32 = 0u;
// 1: window o of n outputs is floor(o input / n) .. ceil((o + 1) input / n).
override ADAPTIVE: u32 = 0u;
// 1: an average divides by the elements inside the padded plane.
override COUNT_INCLUDE_PAD: u32 = 0u;
// 1: indices are column-major.
override COLUMN_MAJOR: u32 = 0u;
// 1: neighbouring invocations take neighbouring channels, as a channels-last output has them.
override CHANNELS_LAST: u32 = 0u;
// 0: windows without dilation, whose arithmetic needs no division.
override DILATED: u32 = 0u;
// Taps of each axis where the host knows them when the pipeline is made, so that loops unroll; 0: as params has them.
// Neighbouring outputs of a row that an invocation computes.
override STRIP: u32 = 1u;
override TAPS_T: u32 = 0u;
override TAPS_R: u32 = 0u;
override TAPS_S: u32 = 0u;

// Bits of -infinity: what a window that sees padding alone gives. A variable, since WGSL refuses to evaluate it as a constant.
var<private> LOWEST: u32 = 0xff800000u;

// The taps of one axis that lie inside the input.
struct Taps {
    first: i32,   // coordinate of the first one
    count: i32,
    divisor: i32, // how many an average counts
}

// ceil(v / dilation) for v >= 0.
fn steps(axis: Axis, v: i32) -> i32 {
    var n = v;
    if DILATED != 0u {
        n = (v + axis.dilation - 1) / axis.dilation;
    }
    return n;
}

fn window_taps(axis: Axis, known: u32, o: i32) -> Taps {
    var taps: Taps;
    if ADAPTIVE != 0u {
        let first = o * axis.input / axis.output;
        let end = ((o + 1) * axis.input + axis.output - 1) / axis.output;
        taps = Taps(first, end - first, end - first);
    } else {
        let total = select(axis.taps, i32(known), known != 0u);
        let start = o * axis.stride - axis.pad;
        let skipped = steps(axis, max(0, -start));
        let inside = min(total, steps(axis, max(0, axis.input - start)));
        let padded = min(total, steps(axis, axis.input + axis.pad_end - start));
        taps.first = start + skipped * axis.dilation;
        taps.count = max(0, inside - skipped);
        taps.divisor = select(taps.count, padded, COUNT_INCLUDE_PAD != 0u);
    }
    return taps;
}

// How often the loop over an axis turns: as often as it has taps inside the input, or a number that unrolls, some of it idle.
fn turns(taps: Taps, known: u32) -> i32 {
    return select(taps.count, i32(known), known != 0u);
}

// The input coordinate of a turn; an idle one repeats the last tap, or a coordinate that exists where there is none.
fn coordinate(taps: Taps, axis: Axis, turn: i32) -> i32 {
    return clamp(taps.first + min(turn, taps.count - 1) * axis.dilation, 0, axis.input - 1);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local;
    if item >= params.items {
        return;
    }
    // 1. Which strip of a row: image n, channel c, place z, p, first column q0.
    let strips = (u32(params.width.output) + STRIP - 1u) / STRIP;
    let places = u32(params.depth.output * params.height.output) * strips;
    let plane = item / places;
    var place = item - plane * places;
    var n = plane / params.channels;
    var c = plane - n * params.channels;
    if CHANNELS_LAST != 0u {
        let pixel = item / params.channels;
        c = item - pixel * params.channels;
        n = pixel / places;
        place = pixel - n * places;
    }
    let row = place / strips;
    let q0 = i32((place - row * strips) * STRIP);
    let z = i32(row / u32(params.height.output));
    let p = i32(row) - z * params.height.output;

    // 2. The part of the windows inside the input.
    let depth = window_taps(params.depth, TAPS_T, z);
    let height = window_taps(params.height, TAPS_R, p);
    let x_start = params.x_base + n * params.x_stride_n + c * params.x_stride_c;
    for (var j = 0; j < i32(STRIP); j++) {
        let q = q0 + j;
        if q < params.width.output {
            let width = window_taps(params.width, TAPS_S, q);
            let position = row * u32(params.width.output) + u32(q);
            var at = (n * params.channels + c) * params.positions + position;
            if CHANNELS_LAST != 0u {
                at = (n * params.positions + position) * params.channels + c;
            }
            pool_window(depth, height, width, x_start, params.y_base + at);
        }
    }
}

// The window that these taps make, in row-major order: of equal maxima the first is kept, and a NaN wins over everything.
fn pool_window(depth: Taps, height: Taps, width: Taps, x_start: u32, at: u32) {
    var sum = 0.0;
    var best = 0.0;
    var best_at = vec3<i32>(0);
    var found = false;
    for (var t = 0; t < turns(depth, TAPS_T); t++) {
        let iz = coordinate(depth, params.depth, t);
        for (var r = 0; r < turns(height, TAPS_R); r++) {
            let iy = coordinate(height, params.height, r);
            let line = (iz * params.height.input + iy) * params.width.input;
            for (var s = 0; s < turns(width, TAPS_S); s++) {
                let ix = coordinate(width, params.width, s);
                let used = (t < depth.count) & (r < height.count) & (s < width.count);
                let v = f32(x[x_start + u32(line + ix) * params.x_stride_p]);
                switch KIND {
                    case 0u: {
                        let wins = used & (!found | (v > best) | (is_nan(v) & !is_nan(best)));
                        best = select(best, v, wins);
                        best_at = select(best_at, vec3<i32>(iz, iy, ix), wins);
                        found = found | used;
                    }
                    case 1u: { sum += select(0.0, v, used); }
                    case 2u: { sum += select(0.0, abs(v), used); }
                    case 3u: { sum = select(sum, fma(v, v, sum), used); }
                    default: { sum += select(pow(abs(v), params.power), 0.0, (v == 0.0) | !used); }
                }
            }
        }
    }

    var value = best;
    switch KIND {
        case 0u: { value = select(bitcast<f32>(LOWEST), best, found); }
        case 1u: { value = sum / f32(depth.divisor * height.divisor * width.divisor); }
        case 2u: { value = sum; }
        case 3u: { value = sqrt(sum); }
        default: { value = select(pow(sum, params.inverse), 0.0, sum == 0.0); }
    }
    var index = (best_at.x * params.height.input + best_at.y) * params.width.input + best_at.z;
    if COLUMN_MAJOR != 0u {
        index = best_at.x + params.depth.input * (best_at.y + params.height.input * best_at.z);
    }
    store_pooled(at, value, u32(index));
}
