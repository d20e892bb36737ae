// Joins the ranges that gemm/magnitudes.wgsl found, CHUNK of them a workgroup; called again over its own results until one is left.
// Prelude: WG_SIZE.

//@use gemm/line_range.wgsl

// Twin of MagnitudeJoinParams in src/shader/uniforms.rs.
struct MagnitudeJoinParams {
    count: u32,
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

const CHUNK: u32 = 16384u;

@group(0) @binding(0) var<uniform> params: MagnitudeJoinParams;
@group(0) @binding(1) var<storage, read> x: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec2<u32>>;

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let group = group_id.y * group_count.x + group_id.x;
    let end = min(group * CHUNK + CHUNK, params.count);
    var range = vec2<u32>(0u, NO_LINE);
    for (var i = group * CHUNK + local; i < end; i += WG_SIZE) {
        range = vec2<u32>(max(range.x, x[i].x), min(range.y, x[i].y));
    }
    range = join_ranges(local, range);
    if (local == 0u) & (group * CHUNK < params.count) {
        output[group] = range;
    }
}
