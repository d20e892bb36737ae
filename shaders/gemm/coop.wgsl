// Tile core on cooperative matrices (cooperative matrices): a workgroup owns TILE_M rows x TILE_N columns, a subgroup SUB_M x SUB_N of them as
// matrices of MATRIX x MATRIX sums; TILE_K steps of both operands are staged in workgroup memory as f16 at a time, while the next ones
// are on their way from memory into registers.
//
// Hooks: gemm_product, gemm_outer_k, gemm_length, gemm_columns, gemm_sources, gemm_lhs_base, gemm_lhs, gemm_rhs, gemm_store (conv/gemm.wgsl,
// matmul/gemm.wgsl).
// Prelude: TILE_M, TILE_N, TILE_K, SUB_M, SUB_N (multiples of MATRIX) and WG_SIZE: as many whole subgroups as the tile has parts, a
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
const BLOCKS_M: u32 = SUB_M / MATRIX;
const BLOCKS_N: u32 = SUB_N / MATRIX;
const BLOCKS: u32 = BLOCKS_M * BLOCKS_N;
const SUBGROUPS_N: u32 = TILE_N / SUB_N;
const SUBGROUPS: u32 = SUBGROUPS_N * (TILE_M / SUB_M);
// Vec4s that one invocation stages.
const LHS_VEC4: u32 = (TILE_K * ROW_VEC4 + WG_SIZE - 1u) / WG_SIZE;
const RHS_STEP: u32 = WG_SIZE / COLUMN_VEC4;
const RHS_VEC4: u32 = (TILE_K + RHS_STEP - 1u) / RHS_STEP;

alias Sums = array<MatrixC, PARTS * BLOCKS>;

var<workgroup> sh_sums: array<f32, SUBGROUPS * MATRIX * MATRIX>; // one matrix a subgroup, on its way out

// What an invocation has read of a slab and not staged yet.
struct Slab {
    lhs: array<vec4<f32>, LHS_VEC4>,
    rhs: array<vec4<f32>, RHS_VEC4>,
}

// Reads the steps from k0 on; what lies past the depth is zero.
fn read_slab(slab: ptr<function, Slab>, k0: u32, depth: u32, lhs_base: u32, columns: Columns, local: u32) {
    for (var q = 0u; q < LHS_VEC4; q++) {
        let i = local + q * WG_SIZE;
        var v = vec4<f32>(0.0);
        if (i < TILE_K * ROW_VEC4) & (k0 + i / ROW_VEC4 < depth) {
            v = gemm_lhs(lhs_base + k0 * ROW_VEC4 + i);
        }
        (*slab).lhs[q] = v;
    }
    let length = gemm_length();
    for (var q = 0u; q < RHS_VEC4; q++) {
        let i = local / COLUMN_VEC4 + q * RHS_STEP;
        let k = k0 + i;
        var v = vec4<f32>(0.0);
        if (i < TILE_K) & (k < depth) {
            let outer_step = k / length;
            v = gemm_rhs(gemm_sources(columns, outer_step), k - outer_step * length);
        }
        (*slab).rhs[q] = v;
    }
}

fn stage_slab(slab: ptr<function, Slab>, local: u32, scale_lhs: f32, scale_rhs: f32) {
    for (var q = 0u; q < LHS_VEC4; q++) {
        let i = local + q * WG_SIZE;
        if i < TILE_K * ROW_VEC4 {
            let k = i / ROW_VEC4;
            stage_lhs(k * PITCH_M + 4u * (i - k * ROW_VEC4), scale_lhs * (*slab).lhs[q]);
        }
    }
    for (var q = 0u; q < RHS_VEC4; q++) {
        let k = local / COLUMN_VEC4 + q * RHS_STEP;
        if k < TILE_K {
            stage_rhs(k * PITCH_N + 4u * (local % COLUMN_VEC4), scale_rhs * (*slab).rhs[q]);
        }
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
    let columns = gemm_columns(product, column0 + 4u * (local % COLUMN_VEC4));
    let lhs_exponent = scale_exponent(lhs_range[0].x);
    let rhs_exponent = scale_exponent(rhs_range[0].x);
    let scale_lhs = power_of_two(lhs_exponent);
    let scale_rhs = power_of_two(rhs_exponent);
    let m0 = subgroup / SUBGROUPS_N * SUB_M;
    let n0 = subgroup % SUBGROUPS_N * SUB_N;

    var sums = Sums();
    var slab: Slab;
    let depth = select(0u, gemm_outer_k(product) * gemm_length(), wanted);
    // One iteration more than there are slabs: each reads one and multiplies the one before.
    for (var k0 = 0u; k0 < depth + TILE_K; k0 += TILE_K) {
        read_slab(&slab, k0, depth, lhs_base, columns, local);
        if k0 > 0u {
            for (var k = 0u; k < TILE_K; k += MATRIX) {
                multiply_matrices(&sums, k, m0, n0);
            }
        }
        workgroupBarrier();
        stage_slab(&slab, local, scale_lhs, scale_rhs);
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
        for (var b = 0u; b < BLOCKS; b++) {
            if b == block { // matrices are in registers, which no index reaches
                let matrix = finished(&sums, b);
                let stride = MATRIX;
                coopStoreT(matrix, &sh_sums[first], stride);
            }
        }
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
