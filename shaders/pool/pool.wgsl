// Pooling: one output per invocation, plain loops over the window. Max, average and Lp; windows that slide or adapt to the output size.
//
// A workgroup owns 64 consecutive outputs in memory order. Padding adds no term: the loops run over the taps inside the input.
// Prelude: alias Elem.

//@use pool/window.wgsl

// Twin of PoolParams in src/shader/uniforms.rs. Strides and bases count elements.
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
    index_first: u32, // index of the first element of x that is bound in its plane, whose extents follow
    index_depth: u32,
    index_height: u32,
    index_width: u32,
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: PoolParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>; // N C D H W

//@if INDICES
// Max pooling that also says where each maximum stands: flat inside its channel plane.
@group(0) @binding(2) var<storage, read_write> output: array<Elem>; // N C Z P Q, strides as x
@group(0) @binding(3) var<storage, read_write> indices: array<u32>; // as output

fn store_pooled(at: u32, value: f32, index: u32) {
    output[at] = Elem(value);
    indices[at] = index;
}
//@else
@group(0) @binding(2) var<storage, read_write> output: array<Elem>; // N C Z P Q, strides as x

fn store_pooled(at: u32, value: f32, index: u32) {
    output[at] = Elem(value);
}
//@end

// 1: indices are column-major.
override COLUMN_MAJOR: u32 = 0u;
// 1: neighbouring invocations take neighbouring channels, as a channels-last output has them.
override CHANNELS_LAST: u32 = 0u;
// Neighbouring outputs of a row that an invocation computes.
override STRIP: u32 = 1u;
// Taps of each axis where the host knows them when the pipeline is made, so that loops unroll; 0: as params has them.
override TAPS_T: u32 = 0u;
override TAPS_R: u32 = 0u;
override TAPS_S: u32 = 0u;

// Iterations of the loop over an axis: as many as it has taps inside the input, or a number that unrolls, some of it idle.
fn iterations(taps: Taps, known: u32) -> i32 {
    return select(taps.count, i32(known), known != 0u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local.x;
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

// What a walk over a window finds.
struct Found {
    sum: f32,
    best: f32,
    best_at: vec3<i32>,
    any: bool,
    largest: f32, // magnitude, of an Lp norm alone
}

// The window that these taps make, in row-major order: of equal maxima the first is kept, and a NaN wins over everything. Elements count
// `scale` times.
fn walk(depth: Taps, height: Taps, width: Taps, x_start: u32, scale: f32) -> Found {
    var found = Found(0.0, 0.0, vec3<i32>(0), false, 0.0);
    for (var t = 0; t < iterations(depth, TAPS_T); t++) {
        let iz = coordinate(depth, params.depth, t);
        for (var r = 0; r < iterations(height, TAPS_R); r++) {
            let iy = coordinate(height, params.height, r);
            let line = (iz * params.height.input + iy) * params.width.input;
            for (var s = 0; s < iterations(width, TAPS_S); s++) {
                let ix = coordinate(width, params.width, s);
                let used = (t < depth.count) & (r < height.count) & (s < width.count);
                let v = f32(x[x_start + u32(line + ix) * params.x_stride_p]);
                switch KIND {
                    case 0u: {
                        let wins = used & (!found.any | (v > found.best) | (is_nan(v) & !is_nan(found.best)));
                        found.best = select(found.best, v, wins);
                        found.best_at = select(found.best_at, vec3<i32>(iz, iy, ix), wins);
                        found.any = found.any | used;
                    }
                    case 1u, 2u: { found.sum = join(found.sum, select(0.0, v, used)); }
                    default: {
                        let counted = select(0.0, v, used);
                        found.sum = join(found.sum, counted * scale);
                        found.largest = max(found.largest, abs(counted));
                    }
                }
            }
        }
    }
    return found;
}

fn pool_window(depth: Taps, height: Taps, width: Taps, x_start: u32, at: u32) {
    // An Lp norm whose powers leave f32, or nearly vanish in it, is computed once more, of elements near 1.
    var found: Found;
    var scale = 0; // exponent
    for (var attempt = 0; attempt < select(1, 2, KIND >= 3u); attempt++) {
        found = walk(depth, height, width, x_start, power_of_two(-scale));
        let fits = (found.sum >= 1.0e-18) & (found.sum <= LARGEST);
        if (KIND < 3u) | fits | is_nan(found.sum) | (found.largest == 0.0) | !is_finite(found.largest) {
            break;
        }
        scale = clamp(exponent_of(found.largest), -126, 126);
    }

    var value = pooled(found.sum, depth.divisor * height.divisor * width.divisor);
    if KIND >= 3u {
        value *= power_of_two(scale);
    }
    if KIND == 0u {
        value = select(bitcast<f32>(LOWEST), found.best, found.any);
    }
    let place = vec3<u32>(found.best_at);
    var index = params.index_first + (place.x * params.index_height + place.y) * params.index_width + place.z;
    if COLUMN_MAJOR != 0u {
        index = params.index_first + place.x + params.index_depth * (place.y + params.index_height * place.z);
    }
    store_pooled(at, value, index);
}
