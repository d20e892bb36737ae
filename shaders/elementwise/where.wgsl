// y = a where the condition is not 0, else b, with broadcasting: an operand that does not step along an axis has stride 0 there.
// One workgroup owns 256 neighbours in the order of y's memory. Prelude: alias Elem, AXES, TOGETHER.

//@use lib/item_range.wgsl

// Twin of WhereOperandAxis in src/shader/uniforms.rs: strides of the condition, of a, b and y.
struct WhereOperandAxis {
    strides: vec4<i32>,
    extent: u32,
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

// Twin of WhereParams in src/shader/uniforms.rs.
struct WhereParams {
    axes: array<WhereOperandAxis, 6>,
    bases: vec4<i32>, // first elements of a slice
    items: u32,       // coordinates, all axes together
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

@group(0) @binding(0) var<uniform> params: WhereParams;
@group(0) @binding(1) var<storage, read> condition: array<Elem>;
@group(0) @binding(2) var<storage, read> a: array<Elem>;
@group(0) @binding(3) var<storage, read> b: array<Elem>;
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;

// Where the operands and y stand at point `item`.
fn offsets_of(item: u32) -> vec4<i32> {
    var rest = item;
    var at = params.bases;
    for (var i = 0u; i < AXES; i++) {
        let axis = params.axes[AXES - 1u - i];
        let outer = rest / axis.extent;
        at += i32(rest - outer * axis.extent) * axis.strides;
        rest = outer;
    }
    return at;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let first = (group_id.y * group_count.x + group_id.x) * 256u;
    let range = item_range(local_id.x, first, 256u, params.items);
    for (var j = 0u; j < 4u; j++) {
        let i = range.begin + TOGETHER * j;
        if i < range.end {
            let at = offsets_of(i);
            // By bits, since a comparison may take subnormal numbers for zero.
            let is_zero = (bitcast<u32>(f32(condition[u32(at.x)])) & 0x7fffffffu) == 0u;
            output[u32(at.w)] = select(a[u32(at.y)], b[u32(at.z)], is_zero);
        }
    }
}
