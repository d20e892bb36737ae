// y = activation(x), or with MATH activation(op(x)), element by element. Memory order does not matter, so layouts need no case.
//
// One workgroup owns 64 x ITEMS_EACH neighbouring items, which its invocations share (lib/item_range.wgsl). An item is one element or four;
// the source is x, or the output itself in place. Prelude: alias Elem, ITEMS_EACH.

//@use lib/activation.wgsl
//@if MATH
//@use elementwise/math.wgsl
//@end
//@use lib/item.wgsl
//@use lib/source.wgsl
//@use lib/item_range.wgsl

// Twin of UnaryParams in src/shader/uniforms.rs.
struct UnaryParams {
    items: u32,
    x_base: u32,
    y_base: u32,
    unused0: u32,
    alpha: f32, // parameters of the activation
    beta: f32,
    unused1: u32,
    unused2: u32,
}

@group(0) @binding(0) var<uniform> params: UnaryParams;

//@if MATH
fn value_of(v: f32, a: f32, b: f32) -> f32 {
    return activate(operate(v), a, b);
}
//@else
fn value_of(v: f32, a: f32, b: f32) -> f32 {
    return activate(v, a, b);
}
//@end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let first = (group_id.y * group_count.x + group_id.x) * (64u * ITEMS_EACH);
    let range = item_range(local_id.x, first, 64u * ITEMS_EACH, params.items);
    for (var j = 0u; j < ITEMS_EACH; j++) {
        let i = range.begin + TOGETHER * j;
        if i < range.end {
            output[params.y_base + i] = item_of(source_item(params.x_base + i), params.alpha, params.beta);
        }
    }
}
