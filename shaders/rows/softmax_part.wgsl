// Softmax where no binding holds the lines with those beside them, the last walk of three: one result per invocation, from the maximum and the sum
// that rows/softmax_join.wgsl left for its line. Prelude: alias Elem.

//@use lib/source.wgsl
//@use lib/number.wgsl
//@use rows/softmax_params.wgsl

alias Item = Elem; // of lib/source.wgsl

//@if IN_PLACE
@group(0) @binding(2) var<storage, read> state: array<f32>;
//@else
@group(0) @binding(3) var<storage, read> state: array<f32>;
//@end

override LOGARITHM: u32 = 0u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let line = item % params.inner;
    let sum = state[params.inner + line];
    let d = f32(source_item(params.base + item)) - state[line];
    var y = d - select(log(sum), sum, is_nan(sum));
    if LOGARITHM == 0u {
        y = exp_or_nan(d) / sum;
    }
    output[params.base + item] = Elem(y);
}
