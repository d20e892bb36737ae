// What the operands of cooperative matrices are staged as, and how they are multiplied: a part of gemm/coop.wgsl. OPERANDS says as what:
// 0: one f16 each: what f16 tensors hold, or f32 numbers scaled and rounded;
// 1: two f16 each, which together hold 22 or 23 of the 24 bits of an f32: x = high + low 2^-11;
// 2: as 0, with workgroup memory by the number: for Metal, where matrices are loaded from nothing else.
// Vulkan's drivers want the type that the matrices have: of 128-bit numbers lavapipe loads others, and NVIDIA's compiler fails.

//@if OPERANDS != 2
// Numbers of an element of workgroup memory.
const UNIT: u32 = 4u;
//@else
const UNIT: u32 = 1u;
//@end
const LHS_PITCH: u32 = PITCH_M / UNIT;
const RHS_PITCH: u32 = PITCH_N / UNIT;

//@if OPERANDS == 1
// After Ootomo and Yokota, Recovering single precision accuracy from Tensor Cores while exceeding the FP32 theoretical peak
// performance, 2022. x y = high high + (high low + low high) 2^-11 + what is left out, at most 2^-22 |x y|. The error of the whole is
// derived in src/numeric/matrix.rs.

const LOW: f32 = 2048.0; // 2^11: scales low parts into the range that high parts have
const LHS_PART: u32 = TILE_K * LHS_PITCH;
const RHS_PART: u32 = TILE_K * RHS_PITCH;

var<workgroup> sh_lhs: array<vec4<f16>, 2u * LHS_PART>; // [part][k][row]
var<workgroup> sh_rhs: array<vec4<f16>, 2u * RHS_PART>; // [part][k][column]

// x rounded to the 11 bits of an f16. By its bits: written as a conversion there and back, compilers have taken x - high for zero.
// What would be subnormal as an f16 is left to the low part.
fn high_part(x: vec4<f32>) -> vec4<f32> {
    let rounded = (bitcast<vec4<u32>>(x) + 0x1000u) & vec4<u32>(0xffffe000u);
    let normal = (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) >= vec4<u32>(0x38800000u); // 2^-14
    return bitcast<vec4<f32>>(select(vec4<u32>(0u), rounded, normal));
}

fn stage_lhs(at: u32, v: vec4<f32>) {
    let high = high_part(v);
    sh_lhs[at / 4u] = vec4<f16>(high);
    sh_lhs[LHS_PART + at / 4u] = vec4<f16>((v - high) * LOW);
}

fn stage_rhs(at: u32, v: vec4<f32>) {
    let high = high_part(v);
    sh_rhs[at / 4u] = vec4<f16>(high);
    sh_rhs[RHS_PART + at / 4u] = vec4<f16>((v - high) * LOW);
}

// Adds MATRIX steps of the depth from k on; the subgroup's rows and columns begin at m0 and n0.
//
// Units may cut off sums where f32 arithmetic rounds them (Fasi and others, Numerical behavior of NVIDIA tensor cores, 2021), so that
// errors of one sign would add up over the depth: the products of the high parts leave the unit every MATRIX steps, and are added by
// f32 arithmetic. The others weigh 2^-11 and may stay.
fn multiply_matrices(
    k: u32,
    m0: u32,
    n0: u32,
//@for J < BLOCKS_N
//@for I < BLOCKS_M
    sum_J_I: ptr<function, MatrixC>,
    low_J_I: ptr<function, MatrixC>,
//@end
//@end
) {
//@for I < BLOCKS_M
    let lhs_I = coopLoad<MatrixA>(&sh_lhs[k * LHS_PITCH + (m0 + I * MATRIX) / UNIT], LHS_PITCH);
    let lhs_low_I = coopLoad<MatrixA>(&sh_lhs[LHS_PART + k * LHS_PITCH + (m0 + I * MATRIX) / UNIT], LHS_PITCH);
//@end
//@for J < BLOCKS_N
    let rhs_J = coopLoadT<MatrixB>(&sh_rhs[k * RHS_PITCH + (n0 + J * MATRIX) / UNIT], RHS_PITCH);
    let rhs_low_J = coopLoadT<MatrixB>(&sh_rhs[RHS_PART + k * RHS_PITCH + (n0 + J * MATRIX) / UNIT], RHS_PITCH);
//@for I < BLOCKS_M
    *sum_J_I = *sum_J_I + coopMultiplyAdd(lhs_I, rhs_J, MatrixC());
    *low_J_I = coopMultiplyAdd(lhs_I, rhs_low_J, *low_J_I);
    *low_J_I = coopMultiplyAdd(lhs_low_I, rhs_J, *low_J_I);
//@end
//@end
}

fn finished(sum: MatrixC, low: MatrixC) -> MatrixC {
    return sum + low * (1.0 / LOW);
}
//@else
//@if OPERANDS == 0
var<workgroup> sh_lhs: array<vec4<f16>, TILE_K * LHS_PITCH>; // [k][row]
var<workgroup> sh_rhs: array<vec4<f16>, TILE_K * RHS_PITCH>; // [k][column]

fn stage_lhs(at: u32, v: vec4<f32>) {
    sh_lhs[at / 4u] = vec4<f16>(v);
}

fn stage_rhs(at: u32, v: vec4<f32>) {
    sh_rhs[at / 4u] = vec4<f16>(v);
}
//@else
var<workgroup> sh_lhs: array<f16, TILE_K * PITCH_M>; // [k][row]
var<workgroup> sh_rhs: array<f16, TILE_K * PITCH_N>; // [k][column]

fn stage_lhs(at: u32, v: vec4<f32>) {
    let h = vec4<f16>(v);
    sh_lhs[at] = h.x;
    sh_lhs[at + 1u] = h.y;
    sh_lhs[at + 2u] = h.z;
    sh_lhs[at + 3u] = h.w;
}

fn stage_rhs(at: u32, v: vec4<f32>) {
    let h = vec4<f16>(v);
    sh_rhs[at] = h.x;
    sh_rhs[at + 1u] = h.y;
    sh_rhs[at + 2u] = h.z;
    sh_rhs[at + 3u] = h.w;
}
//@end

// Adds MATRIX steps of the depth from k on; the subgroup's rows and columns begin at m0 and n0.
fn multiply_matrices(
    k: u32,
    m0: u32,
    n0: u32,
//@for J < BLOCKS_N
//@for I < BLOCKS_M
    sum_J_I: ptr<function, MatrixC>,
//@end
//@end
) {
//@for I < BLOCKS_M
    let lhs_I = coopLoad<MatrixA>(&sh_lhs[k * LHS_PITCH + (m0 + I * MATRIX) / UNIT], LHS_PITCH);
//@end
//@for J < BLOCKS_N
    let rhs_J = coopLoadT<MatrixB>(&sh_rhs[k * RHS_PITCH + (n0 + J * MATRIX) / UNIT], RHS_PITCH);
//@for I < BLOCKS_M
    *sum_J_I = coopMultiplyAdd(lhs_I, rhs_J, *sum_J_I);
//@end
//@end
}

fn finished(sum: MatrixC) -> MatrixC {
    return sum;
}
//@end
