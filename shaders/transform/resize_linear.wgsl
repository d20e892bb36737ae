// Linear interpolation along the last AXES of depth, height and width. Per axis and coordinate of y the table holds the offsets of two
// neighbours in x and the bits of the second one's weight; an axis that is not there has extent 1, offset 0, weight 0. y is dense.
//
// ROWS 0: one output per invocation. ROWS 1: a workgroup computes a part of one row of y, which runs along the axis that is
// contiguous in memory: the width, or the channels of a channels-last tensor.

//@use lib/item_range.wgsl

struct ResizeAxis {
    extent: u32,
    first: u32,     // of its entries in the table
    unused0: u32,
    unused1: u32,
}

struct ResizeParams {
    depth: ResizeAxis,
    height: ResizeAxis,
    width: ResizeAxis,
    items: u32,     // outputs, or rows
    run: u32,       // extent of the axis that is contiguous in memory
    row_part: u32,   // outputs of a row that one workgroup computes
    row_parts: u32,  // workgroups per row
    channels: u32,
    x_stride_n: u32,
    x_stride_c: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: ResizeParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> table: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

override AXES: u32 = 0u;
override CHANNELS_LAST: u32 = 0u;
override ROWS: u32 = 0u;

// Coordinates of an output.
struct Coordinates {
    start: u32,     // where its image and channel begin in x
    z: u32,
    y: u32,
    x: u32,
}

struct Tap {
    first: u32,
    second: u32,
    weight: f32,
}

fn tap(axis: ResizeAxis, o: u32) -> Tap {
    let entry = axis.first + 3u * o;
    return Tap(table[entry], table[entry + 1u], bitcast<f32>(table[entry + 2u]));
}

// A weight of 0 leaves b out, so that an infinity there does not make a NaN.
fn blend(a: f32, b: f32, weight: f32) -> f32 {
    return select(fma(weight, b, (1.0 - weight) * a), a, weight == 0.0);
}

fn along_width(start: u32, w: Tap) -> f32 {
    return blend(f32(x[start + w.first]), f32(x[start + w.second]), w.weight);
}

fn along_height(start: u32, h: Tap, w: Tap) -> f32 {
    return blend(along_width(start + h.first, w), along_width(start + h.second, w), h.weight);
}

fn interpolate(at: Coordinates) -> f32 {
    let w = tap(params.width, at.x);
    if AXES == 1u {
        return along_width(at.start, w);
    }
    let h = tap(params.height, at.y);
    if AXES == 2u {
        return along_height(at.start, h, w);
    }
    let d = tap(params.depth, at.z);
    return blend(along_height(at.start + d.first, h, w), along_height(at.start + d.second, h, w), d.weight);
}

// The coordinates of a row's first output, in the memory order of y.
fn row_coordinates(row: u32) -> Coordinates {
    var at = Coordinates(0u, 0u, 0u, 0u);
    var rest = row;
    if CHANNELS_LAST != 0u {
        at.x = rest % params.width.extent;
        rest = rest / params.width.extent;
    }
    at.y = rest % params.height.extent;
    rest = rest / params.height.extent;
    at.z = rest % params.depth.extent;
    rest = rest / params.depth.extent;
    if CHANNELS_LAST != 0u {
        at.start = rest * params.x_stride_n;
    } else {
        at.start = rest / params.channels * params.x_stride_n + rest % params.channels * params.x_stride_c;
    }
    return at;
}

fn put(row: u32, place: u32, at: Coordinates) {
    var o = at;
    if CHANNELS_LAST != 0u {
        o.start += place * params.x_stride_c;
    } else {
        o.x = place;
    }
    output[row * params.run + place] = Elem(interpolate(o));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let group = group_id.y * group_count.x + group_id.x;
    if ROWS == 0u {
        let item = group * 64u + local;
        if item < params.items {
            let row = item / params.run;
            put(row, item - row * params.run, row_coordinates(row));
        }
        return;
    }
    let row = group / params.row_parts;
    if row >= params.items {
        return;
    }
    let at = row_coordinates(row);
    let first = (group - row * params.row_parts) * params.row_part;
    let range = item_range(local, first, params.row_part, params.run);
    for (var c = range.begin; c < range.end; c += TOGETHER) {
        put(row, c, at);
    }
}
