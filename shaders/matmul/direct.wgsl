// Matmul, one output per invocation: admits every problem, whatever the strides of its operands.

//@use matmul/store_element.wgsl

@group(0) @binding(1) var<storage, read> a: array<Elem>;
@group(0) @binding(2) var<storage, read> b: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let line = item / params.n;
    let column = item - line * params.n;
    let number = line / params.m;
    let row = line - number * params.m;
    let at = batch_offsets(number);
    var ai = at.x + row * params.a_stride_m;
    var bi = at.y + column * params.b_stride_n;
    var sum = 0.0;
    for (var k = 0u; k < params.k; k++) {
        sum = fma(f32(a[ai]), f32(b[bi]), sum);
        ai += params.a_stride_k;
        bi += params.b_stride_k;
    }
    store_element(number, at.z, row, column, sum);
}
