// What every matmul kernel shares: the parameters, where a product of the batch begins, where y lies, and the epilogue
// y = activation(alpha a b + beta addend + residual).
//
// a is M x K, b is K x N, y is batch x M x N. A call may be for a part of a larger product (src/plan/gemm/parts.rs): then m, n and k are the
// part's, rows of y lie y_pitch apart, and several products of a batch are only there if they are whole.
// Prelude: alias Elem.

//@use lib/activation.wgsl
//@use lib/strided_axis.wgsl

// Twin of MatMulParams in src/shader/uniforms.rs. Strides count elements, or vec4s where a tile core reads an operand.
struct MatMulParams {
    batch: array<OperandAxis, 3>, // strides of a, b and the addend
    base: vec3<u32>,              // where they begin in their bindings
    y_base: u32,                  // where y and the residual begin in theirs, in elements
    m: u32,
    n: u32,
    k: u32,
    items: u32, // outputs or tiles
    tiles_m: u32,
    tiles_n: u32,
    a_stride_m: u32,
    a_stride_k: u32,
    b_stride_k: u32,
    b_stride_n: u32,
    addend_stride_m: u32,
    addend_stride_n: u32,
    alpha: f32,
    beta: f32,
    activation_alpha: f32,
    activation_beta: f32,
    y_pitch: u32,
    first_part: u32, // partial sums: parts of K before this call's
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: MatMulParams;
//@if BOUND_3
@group(0) @binding(3) var<storage, read> addend: array<Elem>;
//@else
var<private> addend: array<Elem, 1>; // nothing is bound
//@end
//@if BOUND_4
@group(0) @binding(4) var<storage, read> residual: array<Elem>; // as output
//@else
var<private> residual: array<Elem, 1>; // nothing is bound
//@end

override HAS_ADDEND: u32 = 0u;
override HAS_RESIDUAL: u32 = 0u;

// Where product `number` of the batch begins in a, b and the addend.
fn batch_offsets(number: u32) -> vec3<u32> {
    var rest = number;
    var at = vec3<i32>(0);
    for (var i = 0u; i < 3u; i++) {
        let axis = params.batch[2u - i];
        let outer = rest / axis.extent;
        at += i32(rest - outer * axis.extent) * axis.strides;
        rest = outer;
    }
    return params.base + vec3<u32>(at);
}

// Where (row, column) of product `number` lies in y and the residual.
fn y_index(number: u32, row: u32, column: u32) -> u32 {
    return params.y_base + (number * params.m + row) * params.y_pitch + column;
}

// What becomes of the finished sum at (row, column) of a product; `at_addend` is where the product begins in the addend.
fn finish(number: u32, at_addend: u32, row: u32, column: u32, sum: f32) -> f32 {
    var v = params.alpha * sum;
    if HAS_ADDEND != 0u {
        v += params.beta * f32(addend[at_addend + row * params.addend_stride_m + column * params.addend_stride_n]);
    }
    if HAS_RESIDUAL != 0u {
        v += f32(residual[y_index(number, row, column)]);
    }
    return activate(v, params.activation_alpha, params.activation_beta);
}
