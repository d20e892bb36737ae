// Folds batch normalisation's four vectors into three numbers per channel, once per prepared op: y = (x - mean) m + bias with
// m = scale / sqrt(variance + epsilon). The mean stays apart: in an offset bias - mean m it would cost the digits that |mean m| has more than y.
// Prelude: alias Elem.

// Twin of BatchFoldParams in src/shader/uniforms.rs.
struct BatchFoldParams {
    items: u32, // channels
    epsilon: f32,
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: BatchFoldParams;
//@if BOUND_1
@group(0) @binding(1) var<storage, read> scale: array<Elem>;
//@else
var<private> scale: array<Elem, 1>; // nothing is bound
//@end
//@if BOUND_2
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
//@else
var<private> bias: array<Elem, 1>; // nothing is bound
//@end
@group(0) @binding(3) var<storage, read> mean: array<Elem>;
@group(0) @binding(4) var<storage, read> variance: array<Elem>;
@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>; // mean, multiplier, bias

override HAS_SCALE: u32 = 0u;
override HAS_BIAS: u32 = 0u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let c = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if c >= params.items {
        return;
    }
    var m = inverseSqrt(f32(variance[c]) + params.epsilon);
    if HAS_SCALE != 0u {
        m *= f32(scale[c]);
    }
    var b = 0.0;
    if HAS_BIAS != 0u {
        b = f32(bias[c]);
    }
    output[c] = vec4<f32>(f32(mean[c]), m, b, 0.0);
}
