// y = x in another element type, element by element: TO_F16 from f32 to f16, rounded, else from f16 to f32. Memory order does not matter, so layouts need
// no case.
//
// One workgroup owns 64 x ITEMS_EACH neighbouring items, which its invocations share (lib/item_range.wgsl). An item is one element, or with VECTOR
// four, where elements are a multiple of four. Prelude: alias Elem, which is f16, ITEMS_EACH.

//@use lib/item_range.wgsl

//@if VECTOR
alias Narrow = vec4<Elem>;
alias Wide = vec4<f32>;
//@else
alias Narrow = Elem;
alias Wide = f32;
//@end

// Twin of CastParams in src/shader/uniforms.rs.
struct CastParams {
    items: u32,
    x_base: u32,
    y_base: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: CastParams;
//@if TO_F16
@group(0) @binding(1) var<storage, read> x: array<Wide>;
@group(0) @binding(2) var<storage, read_write> output: array<Narrow>;
//@else
@group(0) @binding(1) var<storage, read> x: array<Narrow>;
@group(0) @binding(2) var<storage, read_write> output: array<Wide>;
//@end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let first = (group_id.y * group_count.x + group_id.x) * (64u * ITEMS_EACH);
    let range = item_range(local_id.x, first, 64u * ITEMS_EACH, params.items);
    for (var j = 0u; j < ITEMS_EACH; j++) {
        let i = range.begin + TOGETHER * j;
        if i < range.end {
            //@if TO_F16
            output[params.y_base + i] = Narrow(x[params.x_base + i]);
            //@else
            output[params.y_base + i] = Wide(x[params.x_base + i]);
            //@end
        }
    }
}
