// As common/matrix_whole.wgsl, with workgroup memory by the number: for Metal, where matrices are loaded from nothing else.

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
