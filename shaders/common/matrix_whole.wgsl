// Operands of matrix units as one f16 each: what f16 tensors hold, or f32 numbers scaled and rounded.
// A part of common/gemm_matrix.wgsl.

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
