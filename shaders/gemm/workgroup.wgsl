// Tile core in workgroup memory, for GPUs: a workgroup owns TILE_M rows x TILE_N columns, an invocation THREAD_M x THREAD_N of them; the
// depth goes by in slabs of TILE_K steps of both matrices, staged in workgroup memory.
//
// The next slab is loaded into registers before the current one is multiplied, so that the loads are on their way meanwhile. With two
// stages in workgroup memory it is put beside the current one, and a slab costs one barrier; with one stage it costs two.
//
// No bank is asked twice at once: neighbouring invocations load and store neighbouring vec4s, and an invocation with eight rows or columns
// owns two fours of them half a tile apart, not eight in a row. Sums have names: a driver that does not unroll loops would keep an array
// in memory.
//
// SPLITS workgroups may share the depth of a tile, each a range of slabs; the store then writes partial sums (gemm/sum.wgsl).
//
// Hooks: gemm_product, gemm_outer_k, gemm_length, gemm_columns, gemm_sources, gemm_lhs_base, gemm_lhs, gemm_rhs, gemm_store
// (conv/gemm.wgsl, matmul/gemm.wgsl).
// Prelude: TILE_M, TILE_N, TILE_K (multiples of 4), THREAD_M and THREAD_N (4 or 8), BLOCKS = THREAD_M THREAD_N / 16,
// WG_SIZE = TILE_M TILE_N / (THREAD_M THREAD_N), a multiple of TILE_N / 4; LHS_VEC4 and RHS_VEC4, the vec4s that an invocation stages of
// a slab, 1, 2 or 4; STAGES, 1 or 2; SPLITS; WHOLE, 1 where every slab is full and every split has one: loads then
// go without a test. Uniforms: params.items (tiles x splits), tiles_m, tiles_n.

//@use gemm/block.wgsl
//@use gemm/store_block.wgsl
//@use gemm/slab.wgsl

//@if RANGED
//@use gemm/coop_range.wgsl
// Computes where cooperative matrices cannot.
fn gemm_wanted() -> bool {
    return !operands_in_range();
}
//@else
fn gemm_wanted() -> bool {
    return true;
}
//@end

const ROW_ITEMS: u32 = TILE_M / 4u;
const COLUMN_VEC4: u32 = TILE_N / 4u;
const THREADS_M: u32 = TILE_M / THREAD_M;
const THREADS_N: u32 = TILE_N / THREAD_N;
const LHS_SLAB: u32 = TILE_K * ROW_ITEMS;
const RHS_SLAB: u32 = TILE_K * COLUMN_VEC4;

var<workgroup> sh_lhs: array<vec4<f32>, STAGES * LHS_SLAB>; // [stage][k][row / 4]
var<workgroup> sh_rhs: array<vec4<f32>, STAGES * RHS_SLAB>; // [stage][k][column / 4]

// Sums of an invocation: near and far rows x near and far columns.
struct Sums {
    b00: Block,
    b01: Block,
    b10: Block,
    b11: Block,
}

// Where an invocation's part of the right-hand side has come to. It always stages the same four columns, decoded once, and their sources
// are worked out once an outer K step; counting along spares a division a step.
struct Walk {
    columns: Columns,
    sources: Sources,
    outer_step: u32,
    inner: u32, // step of the outer K step
    outer_steps: u32, // in all
}

fn start_walk(columns: Columns, outer_steps: u32, k: u32) -> Walk {
    let outer_step = k / gemm_length();
    return Walk(columns, gemm_sources(columns, outer_step), outer_step, k - outer_step * gemm_length(), outer_steps);
}

fn next_slab(walk: ptr<function, Walk>) {
    let inner = (*walk).inner + TILE_K;
    (*walk).inner = inner;
    if inner >= gemm_length() {
        let passed = inner / gemm_length();
        (*walk).outer_step += passed;
        (*walk).inner = inner - passed * gemm_length();
        (*walk).sources = gemm_sources((*walk).columns, (*walk).outer_step);
    }
}

// Past the depth there are zeros, in both operands: zero times anything else might be NaN.
fn lhs_or_zero(at: u32, end: u32) -> vec4<f32> {
    var v = vec4<f32>();
    if (WHOLE > 0u) | (at < end) {
        v = gemm_lhs(at);
    }
    return v;
}

fn load_lhs(at: u32, end: u32) -> Block {
    var block = Block();
    block.r0 = lhs_or_zero(at, end);
    block.r1 = lhs_or_zero(at + WG_SIZE, end); //@if LHS_VEC4 > 1
    block.r2 = lhs_or_zero(at + 2u * WG_SIZE, end); //@if LHS_VEC4 > 2
    block.r3 = lhs_or_zero(at + 3u * WG_SIZE, end); //@if LHS_VEC4 > 3
    return block;
}

// Puts what was loaded into a stage: `lhs_at` and `rhs_at` are the first vec4s of this invocation in a slab.
fn put(stage: u32, lhs_at: u32, rhs_at: u32, lhs: Block, rhs: Block) {
    let l = stage * LHS_SLAB + lhs_at;
    sh_lhs[l] = lhs.r0;
    sh_lhs[l + WG_SIZE] = lhs.r1; //@if LHS_VEC4 > 1
    sh_lhs[l + 2u * WG_SIZE] = lhs.r2; //@if LHS_VEC4 > 2
    sh_lhs[l + 3u * WG_SIZE] = lhs.r3; //@if LHS_VEC4 > 3
    let r = stage * RHS_SLAB + rhs_at;
    sh_rhs[r] = rhs.r0;
    sh_rhs[r + COLUMN_VEC4] = rhs.r1; //@if RHS_VEC4 > 1
    sh_rhs[r + 2u * COLUMN_VEC4] = rhs.r2; //@if RHS_VEC4 > 2
    sh_rhs[r + 3u * COLUMN_VEC4] = rhs.r3; //@if RHS_VEC4 > 3
}

// Adds one step of the depth: rows' vec4s from `l` on times columns' vec4s from `r` on.
fn add_step(sums: ptr<function, Sums>, l: u32, r: u32) {
    let near_lhs = sh_lhs[l];
    let near_rhs = sh_rhs[r];
    var far_lhs = vec4<f32>();
    var far_rhs = vec4<f32>();
    far_lhs = sh_lhs[l + THREADS_M]; //@if THREAD_M > 4
    far_rhs = sh_rhs[r + THREADS_N]; //@if THREAD_N > 4
    (*sums).b00 = multiply((*sums).b00, near_lhs, near_rhs);
    (*sums).b01 = multiply((*sums).b01, near_lhs, far_rhs); //@if THREAD_N > 4
    (*sums).b10 = multiply((*sums).b10, far_lhs, near_rhs); //@if THREAD_M > 4
    (*sums).b11 = multiply((*sums).b11, far_lhs, far_rhs); //@if BLOCKS > 2
}

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let tile = group_id.y * group_count.x + group_id.x;
    if (tile >= params.items) | !gemm_wanted() { // uniform over the workgroup
        return;
    }
    // Neighbouring tiles share their columns: the larger operand stays in the cache while the rows pass by.
    let pair = tile / params.tiles_m;
    let tile_m = tile - pair * params.tiles_m;
    let part = pair / params.tiles_n; // group and split
    let tile_n = pair - part * params.tiles_n;
    let group = part / SPLITS;
    let split = part - group * SPLITS;
    let column0 = tile_n * TILE_N;

    // The slabs of this split; the last splits may have none.
    let product = gemm_product(group);
    let outer_steps = gemm_outer_k(product);
    let depth = outer_steps * gemm_length();
    let slabs = (depth + TILE_K - 1u) / TILE_K;
    let slabs_each = (slabs + SPLITS - 1u) / SPLITS;
    let first = split * slabs_each;
    let end = min(first + slabs_each, slabs);

    // This invocation stages every WG_SIZE-th vec4 of rows, and RHS_VEC4 neighbouring steps of four columns.
    let column_vec4 = local % COLUMN_VEC4;
    let step = local / COLUMN_VEC4 * RHS_VEC4;
    let rhs_at = step * COLUMN_VEC4 + column_vec4;
    let lhs_base = gemm_lhs_base(product, tile_m);
    let lhs_end = lhs_base + depth * ROW_ITEMS;
    var lhs_from = lhs_base + first * LHS_SLAB + local;
    var walk = start_walk(gemm_columns(product, column0 + 4u * column_vec4), outer_steps, first * TILE_K + step);
    var lhs = load_lhs(lhs_from, lhs_end);
    var rhs = load_rhs(&walk);
    put(0u, local, rhs_at, lhs, rhs);
    workgroupBarrier();

    let thread_m = local / THREADS_N;
    let thread_n = local % THREADS_N;
    var sums = Sums();
    var stage = 0u;
    for (var slab = first; slab < end; slab++) {
        // 1. The next slab is on its way ...
        let more = slab + 1u < end; // uniform over the workgroup
        if more {
            lhs_from += LHS_SLAB;
            next_slab(&walk);
            lhs = load_lhs(lhs_from, lhs_end);
            rhs = load_rhs(&walk);
        }
        // 2. ... while this one is multiplied.
        let l = stage * LHS_SLAB + thread_m;
        let r = stage * RHS_SLAB + thread_n;
        for (var k = 0u; k < TILE_K; k += 4u) {
            add_step(&sums, l + k * ROW_ITEMS, r + k * COLUMN_VEC4);
            add_step(&sums, l + (k + 1u) * ROW_ITEMS, r + (k + 1u) * COLUMN_VEC4);
            add_step(&sums, l + (k + 2u) * ROW_ITEMS, r + (k + 2u) * COLUMN_VEC4);
            add_step(&sums, l + (k + 3u) * ROW_ITEMS, r + (k + 3u) * COLUMN_VEC4);
        }
        // 3. It goes where nobody reads: into the other stage, or into the only one once all are done with it.
        stage = 1u - stage; //@if STAGES > 1
        if STAGES < 2u {
            workgroupBarrier();
        }
        if more {
            put(stage, local, rhs_at, lhs, rhs);
        }
        workgroupBarrier();
    }

    // The epilogue stands in the kernel once: by now, memory costs nothing. [rows][columns]
    var blocks: array<Block, 4>;
    blocks[0] = sums.b00;
    blocks[1] = sums.b01; //@if THREAD_N > 4
    blocks[2] = sums.b10; //@if THREAD_M > 4
    blocks[3] = sums.b11; //@if BLOCKS > 2
    for (var n = 0u; n < THREAD_N / 4u; n++) {
        let columns = gemm_columns(product, column0 + 4u * (thread_n + n * THREADS_N));
        for (var m = 0u; m < THREAD_M / 4u; m++) {
            gemm_store_block(columns, part, tile_m * TILE_M + 4u * (thread_m + m * THREADS_M), blocks[2u * m + n]);
        }
    }
}
