// Tile core on cooperative matrices: a workgroup owns TILE_M rows x TILE_N columns, a subgroup SUB_M x SUB_N of them as
// matrices of MATRIX x MATRIX sums; TILE_K steps of both operands are staged in workgroup memory as f16 at a time, while the next ones
// are on their way from memory into registers.
//
// Matrices and what is read ahead have names, not places in arrays: an array whose index a compiler does not fold lies in memory, and on an NVIDIA H200
// that made the kernel two to three times as slow.
//
// Hooks: gemm_product, gemm_outer_k, gemm_length, gemm_columns, gemm_sources, gemm_lhs_base, gemm_lhs, gemm_rhs, gemm_store (conv/gemm.wgsl,
// matmul/gemm.wgsl).
// Prelude: TILE_M, TILE_N, TILE_K, SUB_M, SUB_N (multiples of MATRIX), BLOCKS_M and BLOCKS_N, their quotients; LHS_VEC4 and RHS_VEC4, the vec4s of either operand
// that one invocation stages of a slab; WG_SIZE: as many whole subgroups as the tile has parts, a
// multiple of TILE_N / 4. Uniforms: params.items (tiles), tiles_m, tiles_n.

//@use gemm/coop_range.wgsl
//@use gemm/coop_operands.wgsl

// Matrices of the units: the left operand, the right one, sums.
//@if MATRIX_16
const MATRIX: u32 = 16u;
alias MatrixA = coop_mat16x16<f16, A>;
alias MatrixB = coop_mat16x16<f16, B>;
alias MatrixC = coop_mat16x16<f32, C>;
//@else
const MATRIX: u32 = 8u;
alias MatrixA = coop_mat8x8<f16, A>;
alias MatrixB = coop_mat8x8<f16, B>;
alias MatrixC = coop_mat8x8<f32, C>;
//@end

const COLUMN_VEC4: u32 = TILE_N / 4u;
const ROW_VEC4: u32 = TILE_M / 4u;
// Rows of workgroup memory do not begin in the same bank.
const PITCH_M: u32 = TILE_M + 8u;
const PITCH_N: u32 = TILE_N + 8u;
const BLOCKS: u32 = BLOCKS_M * BLOCKS_N;
const SUBGROUPS_N: u32 = TILE_N / SUB_N;
const SUBGROUPS: u32 = SUBGROUPS_N * (TILE_M / SUB_M);

var<workgroup> sh_sums: array<f32, SUBGROUPS * MATRIX * MATRIX>; // one matrix a subgroup, on its way out

// Vec4 i of the slab of rows from k0 on; what lies past the depth is zero.
fn read_lhs(i: u32, k0: u32, depth: u32, lhs_base: u32) -> vec4<f32> {
    var v = vec4<f32>(0.0);
    if (i < TILE_K * ROW_VEC4) & (k0 + i / ROW_VEC4 < depth) {
        v = gemm_lhs(lhs_base + k0 * ROW_VEC4 + i);
    }
    return v;
}

// Where an invocation's four columns have come to in the depth. It stages RHS_VEC4 neighbouring steps of a slab, so that sources are worked out once a slab,
// and once more where an outer K step ends among them.
struct Walk {
    columns: Columns,
    sources: Sources,
    outer_step: u32,
    inner: u32, // step of the outer K step
}

fn walk_from(columns: Columns, k: u32) -> Walk {
    let outer_step = k / gemm_length();
    return Walk(columns, gemm_sources(columns, outer_step), outer_step, k - outer_step * gemm_length());
}

// The present step, where there is one: of the slab, and of the depth. Goes on to the next.
fn read_rhs(walk: ptr<function, Walk>, i: u32, outer_steps: u32) -> vec4<f32> {
    if (*walk).inner == gemm_length() {
        (*walk).outer_step += 1u;
        (*walk).inner = 0u;
        (*walk).sources = gemm_sources((*walk).columns, (*walk).outer_step);
    }
    var v = vec4<f32>(0.0);
    if (i < TILE_K) & ((*walk).outer_step < outer_steps) {
        v = gemm_rhs((*walk).sources, (*walk).inner);
    }
    (*walk).inner += 1u;
    return v;
}

// Puts what was read where the matrices are loaded from.
fn stage_lhs_vec4(i: u32, v: vec4<f32>) {
    if i < TILE_K * ROW_VEC4 {
        let k = i / ROW_VEC4;
        stage_lhs(k * PITCH_M + 4u * (i - k * ROW_VEC4), v);
    }
}

fn stage_rhs_vec4(i: u32, column_vec4: u32, v: vec4<f32>) {
    if i < TILE_K {
        stage_rhs(i * PITCH_N + 4u * column_vec4, v);
    }
}

@compute @workgroup_size(WG_SIZE)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) thread: u32,
) {
    // Matrix operations want whole subgroups, so nobody leaves early: a tile too many computes the last one again and stores nothing, and
    // where the operands do not fit there is no depth.
    let number = group_id.y * group_count.x + group_id.x;
    let wanted = operands_in_range();
    let stores = wanted & (number < params.items);
    let tile = min(number, params.items - 1u);
    // Neighbouring tiles share their columns: the larger operand stays in the cache while the rows pass by.
    let pair = tile / params.tiles_m;
    let tile_m = tile - pair * params.tiles_m;
    let group = pair / params.tiles_n;
    let column0 = (pair - group * params.tiles_n) * TILE_N;

    let product = gemm_product(group);
    let lhs_base = gemm_lhs_base(product, tile_m);
    let column_vec4 = local % COLUMN_VEC4;
    let columns = gemm_columns(product, column0 + 4u * column_vec4);
    let step = local / COLUMN_VEC4 * RHS_VEC4;
    let lhs_exponent = scale_exponent(lhs_range[0].x);
    let rhs_exponent = scale_exponent(rhs_range[0].x);
    let scale_lhs = power_of_two(lhs_exponent);
    let scale_rhs = power_of_two(rhs_exponent);
    let m0 = subgroup / SUBGROUPS_N * SUB_M;
    let n0 = subgroup % SUBGROUPS_N * SUB_N;

    // The matrices of sums of the subgroup's blocks: column J, row I.
//@for J < BLOCKS_N
//@for I < BLOCKS_M
    var sum_J_I = MatrixC();
    var low_J_I = MatrixC(); //@if OPERANDS == 1
//@end
//@end
    let outer_steps = select(0u, gemm_outer_k(product), wanted);
    let depth = outer_steps * gemm_length();
    var walk = walk_from(columns, step);
//@for Q < LHS_VEC4
    var lhs_Q = read_lhs(local + Q * WG_SIZE, 0u, depth, lhs_base);
//@end
//@for Q < RHS_VEC4
    var rhs_Q = read_rhs(&walk, step + Q, outer_steps);
//@end
    for (var k0 = 0u; k0 < depth; k0 += TILE_K) {
        // 1. What was read is staged ...
//@for Q < LHS_VEC4
        stage_lhs_vec4(local + Q * WG_SIZE, scale_lhs * lhs_Q);
//@end
//@for Q < RHS_VEC4
        stage_rhs_vec4(step + Q, column_vec4, scale_rhs * rhs_Q);
//@end
        workgroupBarrier();
        // 2. ... and multiplied while the next slab is on its way.
        let next = k0 + TILE_K;
        walk = walk_from(columns, next + step);
//@for Q < LHS_VEC4
        lhs_Q = read_lhs(local + Q * WG_SIZE, next, depth, lhs_base);
//@end
//@for Q < RHS_VEC4
        rhs_Q = read_rhs(&walk, step + Q, outer_steps);
//@end
        for (var k = 0u; k < TILE_K; k += MATRIX) {
            multiply_matrices(
                k, m0, n0,
//@for J < BLOCKS_N
//@for I < BLOCKS_M
                &sum_J_I,
                &low_J_I, //@if OPERANDS == 1
//@end
//@end
            );
        }
        workgroupBarrier();
    }

    // The scales taken back in two steps, since one alone may lie beyond f32: a sum between them lies between what it was and what it is to be.
    let back = -lhs_exponent - rhs_exponent;
    let back_first = power_of_two(back / 2);
    let back_second = power_of_two(back - back / 2);
    let first = subgroup * (MATRIX * MATRIX);
    let vec4_index = thread % (MATRIX / 4u);
    // Unrolled, the epilogue would stand here once for each block; this bound is known to no compiler.
    let blocks = select(0u, BLOCKS, stores);
    for (var block = 0u; block < blocks; block++) {
//@for J < BLOCKS_N
//@for I < BLOCKS_M
        if block == J * BLOCKS_M + I {
            let matrix = finished(sum_J_I); //@if OPERANDS != 1
            let matrix = finished(sum_J_I, low_J_I); //@if OPERANDS == 1
            coopStoreT(matrix, &sh_sums[first], MATRIX);
        }
//@end
//@end
        workgroupBarrier();
        let j = block / BLOCKS_M;
        let row0 = m0 + (block - j * BLOCKS_M) * MATRIX;
        let stored = gemm_columns(product, column0 + n0 + j * MATRIX + 4u * vec4_index);
        for (var row = thread / (MATRIX / 4u); row < MATRIX; row += ROW_THREADS / (MATRIX / 4u)) {
            let at = first + row * MATRIX + 4u * vec4_index;
            let sum = vec4<f32>(sh_sums[at], sh_sums[at + 1u], sh_sums[at + 2u], sh_sums[at + 3u]);
            gemm_store(stored, group, tile_m * TILE_M + row0 + row, sum * back_first * back_second);
        }
        workgroupBarrier();
    }
}
