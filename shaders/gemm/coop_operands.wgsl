// What the operands of cooperative matrices are staged as, and how they are multiplied: a part of gemm/coop.wgsl. OPERANDS says as what:
// 0: one f16 each: what f16 tensors hold, or f32 numbers scaled and rounded;
// 1: two f16 each, which together hold 22 or 23 of the 24 bits of an f32: x = high + low 2^-11;
// 2: as 0, with workgroup memory by the number: for Metal, where matrices are loaded from nothing else.

//@if OPERANDS == 0
const PARTS: u32 = 1u;

const LHS_PITCH: u32 = PITCH_M / 4u;
const RHS_PITCH: u32 = PITCH_N / 4u;

var<workgroup> sh_lhs: array<vec4<f16>, TILE_K * LHS_PITCH>; // [k][row]
var<workgroup> sh_rhs: array<vec4<f16>, TILE_K * RHS_PITCH>; // [k][column]

fn stage_lhs(at: u32, v: vec4<f32>) {
    sh_lhs[at / 4u] = vec4<f16>(v);
}

fn stage_rhs(at: u32, v: vec4<f32>) {
    sh_rhs[at / 4u] = vec4<f16>(v);
}

// Adds MATRIX steps of the depth from k on; the subgroup's rows and columns begin at m0 and n0.
fn multiply_matrices(sums: ptr<function, Sums>, k: u32, m0: u32, n0: u32) {
    var lhs: array<MatrixA, BLOCKS_M>;
    for (var i = 0u; i < BLOCKS_M; i++) {
        let at = k * LHS_PITCH + (m0 + i * MATRIX) / 4u;
        lhs[i] = coopLoad<MatrixA>(&sh_lhs[at], LHS_PITCH);
    }
    for (var j = 0u; j < BLOCKS_N; j++) {
        let at = k * RHS_PITCH + (n0 + j * MATRIX) / 4u;
        let rhs = coopLoadT<MatrixB>(&sh_rhs[at], RHS_PITCH);
        for (var i = 0u; i < BLOCKS_M; i++) {
            (*sums)[j * BLOCKS_M + i] = coopMultiplyAdd(lhs[i], rhs, (*sums)[j * BLOCKS_M + i]);
        }
    }
}

fn finished(sums: ptr<function, Sums>, block: u32) -> MatrixC {
    return (*sums)[block];
}
//@elif OPERANDS == 1
// After Ootomo and Yokota, Recovering single precision accuracy from Tensor Cores while exceeding the FP32 theoretical peak
// performance, 2022. x y = high high + (high low + low high) 2^-11 + what is left out, at most 2^-22 |x y|. The error of the whole is
// derived in src/numeric/matrix.rs.

const PARTS: u32 = 2u;
const LOW: f32 = 2048.0; // 2^11: scales low parts into the range that high parts have

const LHS_PITCH: u32 = PITCH_M / 4u;
const RHS_PITCH: u32 = PITCH_N / 4u;
const LHS_PART: u32 = TILE_K * LHS_PITCH;
const RHS_PART: u32 = TILE_K * RHS_PITCH;

var<workgroup> sh_operands: array<vec4<f16>, 2u * (LHS_PART + RHS_PART)>; // lhs as [part][k][row], rhs as [part][k][column]

// x rounded to the 11 bits of an f16. By its bits: written as a conversion there and back, compilers have taken x - high for zero.
// What would be subnormal as an f16 is left to the low part.
fn high_part(x: vec4<f32>) -> vec4<f32> {
    let rounded = (bitcast<vec4<u32>>(x) + 0x1000u) & vec4<u32>(0xffffe000u);
    let normal = (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) >= vec4<u32>(0x38800000u); // 2^-14
    return bitcast<vec4<f32>>(select(vec4<u32>(0u), rounded, normal));
}

fn stage_parts(at: u32, low_at: u32, v: vec4<f32>) {
    let high = high_part(v);
    sh_operands[at] = vec4<f16>(high);
    sh_operands[low_at] = vec4<f16>((v - high) * LOW);
}

fn stage_lhs(at: u32, v: vec4<f32>) {
    stage_parts(at / 4u, LHS_PART + at / 4u, v);
}

fn stage_rhs(at: u32, v: vec4<f32>) {
    stage_parts(2u * LHS_PART + at / 4u, 2u * LHS_PART + RHS_PART + at / 4u, v);
}

// Adds MATRIX steps of the depth from k on; the subgroup's rows and columns begin at m0 and n0.
//
// Units may cut off sums where f32 arithmetic rounds them (Fasi and others, Numerical behavior of NVIDIA tensor cores, 2021), so that
// errors of one sign would add up over the depth: the products of the high parts leave the unit every MATRIX steps, and are added by
// f32 arithmetic. The others weigh 2^-11 and may stay.
fn multiply_matrices(sums: ptr<function, Sums>, k: u32, m0: u32, n0: u32) {
    var high: array<MatrixA, BLOCKS_M>;
    var low: array<MatrixA, BLOCKS_M>;
    for (var i = 0u; i < BLOCKS_M; i++) {
        let at = k * LHS_PITCH + (m0 + i * MATRIX) / 4u;
        let low_at = LHS_PART + at;
        high[i] = coopLoad<MatrixA>(&sh_operands[at], LHS_PITCH);
        low[i] = coopLoad<MatrixA>(&sh_operands[low_at], LHS_PITCH);
    }
    for (var j = 0u; j < BLOCKS_N; j++) {
        let at = 2u * LHS_PART + k * RHS_PITCH + (n0 + j * MATRIX) / 4u;
        let low_at = RHS_PART + at;
        let rhs_high = coopLoadT<MatrixB>(&sh_operands[at], RHS_PITCH);
        let rhs_low = coopLoadT<MatrixB>(&sh_operands[low_at], RHS_PITCH);
        for (var i = 0u; i < BLOCKS_M; i++) {
            let block = j * BLOCKS_M + i;
            (*sums)[block] = (*sums)[block] + coopMultiplyAdd(high[i], rhs_high, MatrixC());
            (*sums)[BLOCKS + block] = coopMultiplyAdd(high[i], rhs_low, (*sums)[BLOCKS + block]);
            (*sums)[BLOCKS + block] = coopMultiplyAdd(low[i], rhs_high, (*sums)[BLOCKS + block]);
        }
    }
}

fn finished(sums: ptr<function, Sums>, block: u32) -> MatrixC {
    return (*sums)[block] + (*sums)[BLOCKS + block] * (1.0 / LOW);
}
//@else
const PARTS: u32 = 1u;

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

// Adds MATRIX steps of the depth from k on; the subgroup's rows and columns begin at m0 and n0.
fn multiply_matrices(sums: ptr<function, Sums>, k: u32, m0: u32, n0: u32) {
    var lhs: array<MatrixA, BLOCKS_M>;
    for (var i = 0u; i < BLOCKS_M; i++) {
        let at = k * PITCH_M + m0 + i * MATRIX;
        lhs[i] = coopLoad<MatrixA>(&sh_lhs[at], PITCH_M);
    }
    for (var j = 0u; j < BLOCKS_N; j++) {
        let at = k * PITCH_N + n0 + j * MATRIX;
        let rhs = coopLoadT<MatrixB>(&sh_rhs[at], PITCH_N);
        for (var i = 0u; i < BLOCKS_M; i++) {
            (*sums)[j * BLOCKS_M + i] = coopMultiplyAdd(lhs[i], rhs, (*sums)[j * BLOCKS_M + i]);
        }
    }
}

fn finished(sums: ptr<function, Sums>, block: u32) -> MatrixC {
    return (*sums)[block];
}
//@end
