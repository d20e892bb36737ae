// Sampling at the positions of a grid: y[n, c, o] is x[n, c] at the coordinates grid[n, o], one output per invocation. x and y are N C [D] [H] W in either
// layout, the grid is N [D'] [H'] W' k in row-major order, with the coordinate along W first.
//
// Coordinates are computed as src/cpu/grid_sample.rs does; what a kernel may be off by is derived in src/reference/grid_sample.rs.
// Prelude: alias Elem, AXES, MODE (0 nearest, 1 linear, 2 cubic).

//@use lib/number.wgsl

// Twin of GridSampleParams in src/shader/uniforms.rs.
struct GridSampleParams {
    depth: u32,       // extents of x; 1 for an axis that is not there
    height: u32,
    width: u32,
    channels: u32,
    outputs: u32,     // positions of y, of one image
    items: u32,       // outputs of this call, all channels and images
    x_base: u32,
    grid_base: u32,
    y_base: u32,
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

@group(0) @binding(0) var<uniform> params: GridSampleParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> grid: array<Elem>;
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

// 0 zeros, 1 border, 2 reflection.
override PADDING: u32 = 0u;
override ALIGN_CORNERS: u32 = 0u;
override CHANNELS_LAST: u32 = 0u;

// Where the image and channel of this invocation begin in x, and how far its neighbouring positions lie apart.
var<private> start: u32;
var<private> stride: u32;

// Bits of a NaN. A variable, since WGSL refuses to evaluate it as a constant.
var<private> NOT_A_NUMBER: u32 = 0x7fc00000u;

fn clamped(c: f32, low: f32, high: f32) -> f32 {
    return min(max(c, low), high);
}

// Reflects a finite coordinate at both ends of n elements until it is inside, and keeps at the edge what rounding leaves outside.
fn reflected(c: f32, n: f32) -> f32 {
    let low = select(-0.5, 0.0, ALIGN_CORNERS != 0u);
    let span = select(n, n - 1.0, ALIGN_CORNERS != 0u);
    let away = abs(c - low);
    // Of one element with aligned corners there is nothing to reflect at.
    let flips = floor(away / max(span, 1.0));
    let rest = away - flips * span;
    let is_odd = (flips - 2.0 * floor(flips * 0.5)) != 0.0;
    return clamped(low + select(rest, span - rest, is_odd), 0.0, n - 1.0);
}

// The coordinate in elements that g stands for.
fn coordinate(g: f32, n: f32) -> f32 {
    let half = (g + 1.0) * 0.5;
    return select(half * n - 0.5, half * (n - 1.0), ALIGN_CORNERS != 0u);
}

//@if MODE == 2
// Where the element that a tap of a cubic names is found.
fn tap_place(c: f32, n: f32) -> i32 {
    if PADDING == 0u {
        return i32(clamped(c, -8.0, n + 8.0));
    }
    if PADDING == 1u {
        return i32(clamped(c, 0.0, n - 1.0));
    }
    return i32(reflected(c, n));
}
//@else
// The same brought inside, for nearest and linear.
fn padded(c: f32, n: f32) -> f32 {
    let finite = is_finite(c);
    if PADDING == 0u {
        return clamped(select(-8.0, c, finite), -8.0, n + 8.0);
    }
    if PADDING == 1u {
        return clamped(select(c, 0.0, is_nan(c)), 0.0, n - 1.0);
    }
    return select(0.0, reflected(select(0.0, c, finite), n), finite);
}
//@end

// The element at a place, 0 outside.
fn element(z: i32, y: i32, c: i32) -> f32 {
    let inside = (u32(z) < params.depth) & (u32(y) < params.height) & (u32(c) < params.width);
    let at = (u32(z) * params.height + u32(y)) * params.width + u32(c);
    return select(0.0, f32(x[start + select(0u, at, inside) * stride]), inside);
}

//@if MODE == 1
fn blend(a: f32, b: f32, t: f32) -> f32 {
    return fma(t, b, (1.0 - t) * a);
}

fn linear_line(z: i32, y: i32, c: f32) -> f32 {
    let first = floor(c);
    return blend(element(z, y, i32(first)), element(z, y, i32(first) + 1), c - first);
}

//@if AXES > 1
fn linear_plane(z: i32, h: f32, w: f32) -> f32 {
    let first = floor(h);
    return blend(linear_line(z, i32(first), w), linear_line(z, i32(first) + 1, w), h - first);
}
//@end

//@if AXES > 2
fn linear_volume(d: f32, h: f32, w: f32) -> f32 {
    let first = floor(d);
    return blend(linear_plane(i32(first), h, w), linear_plane(i32(first) + 1, h, w), d - first);
}
//@end
//@end

//@if MODE == 2
// Weights of the elements before, at, after and two after a coordinate that lies t behind the second, with a = -3/4.
fn cubic_weights(t: f32) -> vec4<f32> {
    let s = 1.0 - t;
    return vec4<f32>(-0.75 * t * s * s, (1.25 * t - 2.25) * t * t + 1.0, (1.25 * s - 2.25) * s * s + 1.0, -0.75 * s * t * t);
}

fn cubic_line(y: i32, c: f32) -> f32 {
    let first = floor(c);
    let n = f32(params.width);
    let w = cubic_weights(c - first);
    var sum = w.x * element(0, y, tap_place(first - 1.0, n));
    sum += w.y * element(0, y, tap_place(first, n));
    sum += w.z * element(0, y, tap_place(first + 1.0, n));
    return sum + w.w * element(0, y, tap_place(first + 2.0, n));
}

//@if AXES > 1
fn cubic_plane(h: f32, c: f32) -> f32 {
    let first = floor(h);
    let n = f32(params.height);
    let w = cubic_weights(h - first);
    var sum = w.x * cubic_line(tap_place(first - 1.0, n), c);
    sum += w.y * cubic_line(tap_place(first, n), c);
    sum += w.z * cubic_line(tap_place(first + 1.0, n), c);
    return sum + w.w * cubic_line(tap_place(first + 2.0, n), c);
}
//@end
//@end

// The value at a position, whose numbers begin at `first`.
fn sampled(first: u32) -> f32 {
    let w = coordinate(f32(grid[first]), f32(params.width));
//@if AXES > 1
    let h = coordinate(f32(grid[first + 1u]), f32(params.height));
//@else
    let h = 0.0;
//@end
//@if AXES > 2
    let d = coordinate(f32(grid[first + 2u]), f32(params.depth));
//@else
    let d = 0.0;
//@end
//@if MODE == 2
    let finite = is_finite(w) & is_finite(h);
    let column = select(0.0, w, finite);
//@if AXES > 1
    let cubic = cubic_plane(select(0.0, h, finite), column);
//@else
    let cubic = cubic_line(0, column);
//@end
    return select(bitcast<f32>(NOT_A_NUMBER), cubic, finite);
//@else
    let column = padded(w, f32(params.width));
    let row = padded(h, f32(params.height));
    let plane = padded(d, f32(params.depth));
//@if MODE == 0
    return element(i32(round(plane)), i32(round(row)), i32(round(column)));
//@elif AXES == 1
    return linear_line(0, 0, column);
//@elif AXES == 2
    return linear_plane(0, row, column);
//@else
    return linear_volume(plane, row, column);
//@end
//@end
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let positions = params.depth * params.height * params.width;
    let image = item / (params.channels * params.outputs);
    let rest = item - image * params.channels * params.outputs;
    var position = 0u;
    if CHANNELS_LAST != 0u {
        position = rest / params.channels;
        start = image * positions * params.channels + (rest - position * params.channels);
        stride = params.channels;
    } else {
        let channel = rest / params.outputs;
        position = rest - channel * params.outputs;
        start = (image * params.channels + channel) * positions;
        stride = 1u;
    }
    start += params.x_base;
    output[params.y_base + item] = Elem(sampled(params.grid_base + (image * params.outputs + position) * AXES));
}
