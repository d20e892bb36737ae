// y = activation(a op b) with broadcasting, or with GRADIENT b times the activation's derivative at a: an operand that does not step along an axis has stride 0 there. Operands of the
// strided axes: a, b, y. IN_PLACE, a is y, which WebGPU cannot bind for reading too.
//
// Prelude: alias Elem, AXES (of the strided axes).

//@if GRADIENT
//@use lib/activation_gradient.wgsl
//@else
//@use lib/activation.wgsl
//@end
//@use lib/strided_axes.wgsl
//@use lib/item_range.wgsl

// Twin of BinaryParams in src/shader/uniforms.rs.
struct BinaryParams {
    axes: array<OperandAxis, 6>,
    items: u32,      // coordinates, all axes together
    row_blocks: u32, // with ROWS: blocks of 256 points that one line along the fastest axis takes
    alpha: f32,      // parameters of the activation
    beta: f32,
    a_base: i32,     // first elements of a slice
    b_base: i32,
    y_base: i32,
    unused: i32,
}

@group(0) @binding(0) var<uniform> params: BinaryParams;

//@if IN_PLACE
@group(0) @binding(1) var<storage, read> b: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

fn operand_a(at: u32, at_output: u32) -> f32 {
    return f32(output[at_output]);
}
//@else
@group(0) @binding(1) var<storage, read> a: array<Elem>;
@group(0) @binding(2) var<storage, read> b: array<Elem>;
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

fn operand_a(at: u32, at_output: u32) -> f32 {
    return f32(a[at]);
}
//@end

// 1: a workgroup owns 256 points of one line, so that the other coordinates are decoded once for all of them.
override ROWS: u32 = 0u;

//@if GRADIENT
fn result(x: f32, dy: f32) -> f32 {
    return activation_gradient(x, dy, params.alpha, params.beta);
}
//@else
// 0 add, 1 sub, 2 mul, 3 div, 4 min, 5 max, 6 prelu, 8 exceeds, 9 power, 10 and 11 its derivatives by a and by b, 12 to 17 equal, not equal, less, less or equal,
// greater, greater or equal; 7, an activation's gradient, is the other side of GRADIENT.
override OPERATION: u32 = 0u;

// a^b as IEEE 754's pow: m^b with m = |a|, negative where a is and b is odd. Numbers from 2^24 on are even.
fn power_of(a: f32, b: f32) -> f32 {
    let m = bitcast<f32>(bitcast<u32>(a) & 0x7fffffffu);
    let is_negative = (bitcast<u32>(a) >> 31u) != 0u;
    let is_whole = (abs(b) >= 16777216.0) | (floor(b) == b);
    let is_odd = (abs(b) < 16777216.0) & is_whole & (floor(0.5 * b) != 0.5 * b);
    let far = select(select(bitcast<f32>(INFINITE), 0.0, (m > 1.0) != (b > 0.0)), 1.0, m == 1.0);
    let near = select(select(power(m, b), m, b == 1.0), m * m, b == 2.0); // as exact as they are
    let p = select(near, far, (bitcast<u32>(b) & 0x7fffffffu) == 0x7f800000u);
    let has_none = is_negative & !is_whole & is_finite(a) & (m != 0.0);
    let number = select(select(p, -p, is_negative & is_odd), bitcast<f32>(INFINITE | 0x400000u), has_none | is_nan(a) | is_nan(b));
    return select(number, 1.0, (b == 0.0) | (a == 1.0));
}

// b a^(b - 1); 0 where b is 0.
fn power_by_base(a: f32, b: f32) -> f32 {
    return select(b * power_of(a, b - 1.0), 0.0, b == 0.0);
}

// a^b ln a, NaN of a negative a; 0 where a is 0 and b is not negative. At its edges a logarithm may be anything.
fn power_by_exponent(a: f32, b: f32) -> f32 {
    let edge = select(select(a, bitcast<f32>(INFINITE | 0x400000u), a < 0.0), bitcast<f32>(INFINITE | 0x80000000u), a == 0.0);
    let logarithm = select(edge, log(a), is_finite(a) & (a > 0.0));
    return select(power_of(a, b) * logarithm, 0.0, (a == 0.0) & (b >= 0.0));
}

// By bits, since comparisons may take subnormal numbers for zero.
fn is_equal(a: f32, b: f32) -> bool {
    return (in_order(a) == in_order(b)) & !is_nan(a) & !is_nan(b);
}

fn is_less(a: f32, b: f32) -> bool {
    return (in_order(a) < in_order(b)) & !is_nan(a) & !is_nan(b);
}

// 1 where a > b, 1/2 where they are equal, else 0.
fn exceeds(a: f32, b: f32) -> f32 {
    let order = select(select(0.0, 0.5, in_order(a) == in_order(b)), 1.0, in_order(a) > in_order(b));
    return select(order, 0.0, is_nan(a) | is_nan(b));
}

// NaN wins in min and max: WGSL's own may drop it.
fn combine(a: f32, b: f32) -> f32 {
    switch OPERATION {
        case 1u: { return a - b; }
        case 2u: { return a * b; }
        case 3u: { return a / b; }
        case 4u: { return select(b, a, (a < b) | is_nan(a)); }
        case 5u: { return select(b, a, (a > b) | is_nan(a)); }
        case 6u: { return select(a, a * b, a < 0.0); }
        case 9u: { return power_of(a, b); }
        case 10u: { return power_by_base(a, b); }
        case 11u: { return power_by_exponent(a, b); }
        case 8u: { return exceeds(a, b); }
        case 12u: { return select(0.0, 1.0, is_equal(a, b)); }
        case 13u: { return select(1.0, 0.0, is_equal(a, b)); }
        case 14u: { return select(0.0, 1.0, is_less(a, b)); }
        case 15u: { return select(0.0, 1.0, is_less(a, b) | is_equal(a, b)); }
        case 16u: { return select(0.0, 1.0, is_less(b, a)); }
        case 17u: { return select(0.0, 1.0, is_less(b, a) | is_equal(a, b)); }
        default: { return a + b; }
    }
}

fn result(a: f32, b: f32) -> f32 {
    return activate(combine(a, b), params.alpha, params.beta);
}
//@end

fn compute(point: vec3<i32>) {
    let at = point + vec3<i32>(params.a_base, params.b_base, params.y_base);
    output[u32(at.z)] = Elem(result(operand_a(u32(at.x), u32(at.z)), f32(b[u32(at.y)])));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let group = group_id.y * group_count.x + group_id.x;
    if ROWS == 0u {
        let item = group * 64u + local;
        if item < params.items {
            compute(strided_offsets(item, AXES));
        }
    } else {
        let inner = params.axes[AXES - 1u];
        let row = group / params.row_blocks;
        let range = item_range(local, (group - row * params.row_blocks) * 256u, 256u, inner.extent);
        if row * inner.extent < params.items { // the last workgroups of a folded dispatch have no row
            let start = strided_offsets(row, AXES - 1u);
            for (var j = 0u; j < 4u; j++) {
                let i = range.begin + TOGETHER * j;
                if i < range.end {
                    compute(start + i32(i) * inner.strides);
                }
            }
        }
    }
}
