// The operands of a product on cooperative matrices in workgroup memory, and how they are multiplied: a part of gemm/coop.wgsl. PARTS says what they
// are there:
// 1: one f16 each: what f16 tensors hold, or f32 numbers scaled and rounded;
// 2: two f16 each, which together hold 22 or 23 of the 24 bits of an f32: x = high + low 2^-11 (gemm/halves.wgsl).
// Rows lie as [part][k][row], or with ALONG_K as [part][row][k]; columns as [part][k][column], or with RHS_ALONG_K as [part][column][k].
//
// The columns are the left operand of the units and the rows the right one, since the left one may lie either way on an NVIDIA H200: a right
// operand whose steps are neighbours is loaded there at two thirds of the speed. AMD's units want neighbouring steps in both: what lies so is loaded by
// 8 bytes, all else number by number (docs/real-gpus.md).

//@if LOADS_VECTORS
// Vulkan's drivers want a type whose numbers the matrices have: of 128-bit numbers lavapipe loads others, and NVIDIA's compiler fails.
const UNIT: u32 = 4u; // numbers of an element
var<workgroup> sh_lhs: array<vec4<f16>, PARTS * LHS_PART / UNIT>;
var<workgroup> sh_rhs: array<vec4<f16>, PARTS * RHS_PART / UNIT>;

fn stage_lhs(at: u32, v: vec4<f16>) {
    sh_lhs[at / UNIT] = v;
}

fn stage_rhs(at: u32, v: vec4<f16>) {
    sh_rhs[at / UNIT] = v;
}
//@else
// Metal loads matrices from numbers and from nothing else.
const UNIT: u32 = 1u;
var<workgroup> sh_lhs: array<f16, PARTS * LHS_PART>;
var<workgroup> sh_rhs: array<f16, PARTS * RHS_PART>;

fn stage_lhs(at: u32, v: vec4<f16>) {
    sh_lhs[at] = v.x;
    sh_lhs[at + 1u] = v.y;
    sh_lhs[at + 2u] = v.z;
    sh_lhs[at + 3u] = v.w;
}

fn stage_rhs(at: u32, v: vec4<f16>) {
    sh_rhs[at] = v.x;
    sh_rhs[at + 1u] = v.y;
    sh_rhs[at + 2u] = v.z;
    sh_rhs[at + 3u] = v.w;
}
//@end

// MATRIX columns from `column` on at MATRIX steps from k on.
fn load_columns(part: u32, k: u32, column: u32) -> MatrixA {
//@if RHS_ALONG_K
    return coopLoadT<MatrixA>(&sh_rhs[(part * RHS_PART + column * PITCH_K + k) / UNIT], PITCH_K / UNIT);
//@else
    return coopLoad<MatrixA>(&sh_rhs[(part * RHS_PART + k * PITCH_N + column) / UNIT], PITCH_N / UNIT);
//@end
}

fn load_rows(part: u32, k: u32, row: u32) -> MatrixB {
//@if ALONG_K
    return coopLoad<MatrixB>(&sh_lhs[(part * LHS_PART + row * PITCH_K + k) / UNIT], PITCH_K / UNIT);
//@else
    return coopLoadT<MatrixB>(&sh_lhs[(part * LHS_PART + k * PITCH_M + row) / UNIT], PITCH_M / UNIT);
//@end
}

// Adds MATRIX steps of the depth from k on; the subgroup's rows and columns begin at m0 and n0.
fn multiply_matrices(
    k: u32,
    m0: u32,
    n0: u32,
//@for J < BLOCKS_N
//@for I < BLOCKS_M
    sum_J_I: ptr<function, MatrixC>,
    low_J_I: ptr<function, MatrixC>, //@if PARTS == 2
//@end
//@end
) {
//@for J < BLOCKS_N
    let columns_J = load_columns(0u, k, n0 + J * MATRIX);
    let columns_low_J = load_columns(1u, k, n0 + J * MATRIX); //@if PARTS == 2
//@end
//@for I < BLOCKS_M
    let rows_I = load_rows(0u, k, m0 + I * MATRIX);
    let rows_low_I = load_rows(1u, k, m0 + I * MATRIX); //@if PARTS == 2
//@for J < BLOCKS_N
//@if PARTS == 1
    *sum_J_I = coopMultiplyAdd(columns_J, rows_I, *sum_J_I);
//@else
    // x y = high high + (high low + low high) 2^-11 + what is left out, at most 2^-22 |x y|. Units may cut off sums where f32 arithmetic rounds
    // them (Fasi and others, Numerical behavior of NVIDIA tensor cores, 2021), so that errors of one sign would add up over the depth: the
    // products of the high parts leave the unit every MATRIX steps, and are added by f32 arithmetic. The others weigh 2^-11 and may stay.
    *sum_J_I = *sum_J_I + coopMultiplyAdd(columns_J, rows_I, MatrixC());
    *low_J_I = coopMultiplyAdd(columns_J, rows_low_I, *low_J_I);
    *low_J_I = coopMultiplyAdd(columns_low_J, rows_I, *low_J_I);
//@end
//@end
//@end
}
