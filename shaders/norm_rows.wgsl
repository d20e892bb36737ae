// Layer, group and instance normalisation: y = (x - mean) / sqrt(variance + epsilon) scale + bias over each row. A row is a lattice of A x B
// elements; a line of LANES invocations walks it three times: the mean, the centred variance, the results. Needs `store_statistics`
// (norm_plain.wgsl or norm_statistics.wgsl). Prelude: alias Elem, WG_SIZE, LANES.

// Twin of NormParams in src/norm/params.rs. Strides count elements.
struct NormParams {
    items: u32,         // rows
    row_inner: u32,     // rows that lie interleaved: row r is row_inner rows of outer stride, then r % row_inner of inner stride
    outer_stride: u32,
    inner_stride: u32,
    a_stride: u32,
    b_extent: u32,
    b_stride: u32,
    length: u32,        // A x B
    scale_row: u32,     // where a row begins in scale and bias: (r % row_inner) scale_row
    scale_a: u32,
    scale_b: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: NormParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> scale: array<Elem>;
@group(0) @binding(3) var<storage, read> bias: array<Elem>;
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;

override HAS_SCALE: u32 = 0u;
override HAS_BIAS: u32 = 0u;
// 1: element i of a row lies i b_stride after its first, so that the walk needs no division.
override STRAIGHT: u32 = 0u;

// Offset of element i of a row from its first, and of its scale from the row's first.
fn element(i: u32) -> vec2<u32> {
    let a = i / params.b_extent;
    let b = i - a * params.b_extent;
    return vec2<u32>(a * params.a_stride + b * params.b_stride, a * params.scale_a + b * params.scale_b);
}

fn element_offset(i: u32) -> u32 {
    var at = i * params.b_stride;
    if STRAIGHT == 0u {
        at = element(i).x;
    }
    return at;
}

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let at = lane_of(local_id.x);
    let item = (group_id.y * group_count.x + group_id.x) * LINES + at.line;
    // Past the last row, the last one again without storing: every invocation must reach the barriers.
    let exists = item < params.items;
    let row = min(item, params.items - 1u);
    let outer = row / params.row_inner;
    let inner = row - outer * params.row_inner;
    let start = outer * params.outer_stride + inner * params.inner_stride;

    var sum = 0.0;
    for (var i = at.lane; i < params.length; i += LANES) {
        sum += f32(x[start + element_offset(i)]);
    }
    let mean = join_sum(at, sum) / f32(params.length);
    var squares = 0.0;
    for (var i = at.lane; i < params.length; i += LANES) {
        let d = f32(x[start + element_offset(i)]) - mean;
        squares = fma(d, d, squares);
    }
    let variance = join_sum(at, squares) / f32(params.length);
    let inverse = inverseSqrt(variance + params.epsilon);
    if exists {
        for (var i = at.lane; i < params.length; i += LANES) {
            let place = element(i);
            let from_scale = inner * params.scale_row + place.y;
            var y = (f32(x[start + place.x]) - mean) * inverse;
            if HAS_SCALE != 0u {
                y *= f32(scale[from_scale]);
            }
            if HAS_BIAS != 0u {
                y += f32(bias[from_scale]);
            }
            output[start + place.x] = Elem(y);
        }
        if at.lane == 0u {
            store_statistics(row, mean, inverse);
        }
    }
}
