// Tile core without workgroup memory, for CPU-like drivers and tiny problems: each invocation owns THREAD_M rows x THREAD_VEC4 times
// four neighbouring columns, a workgroup owns THREAD_M rows x ROW_THREADS x THREAD_VEC4 x 4 columns.
//
// STEPS of the depth make one iteration of the loop: such drivers mask every sum of an invocation at every iteration, which costs as much as the
// multiply-adds of one step. An iteration loads all it needs of the columns, then goes through the rows and adds up all steps of one row before
// the next: the sums are more than a CPU has registers, so each leaves memory once an iteration that way, and once a step the other way round.
// Rows are named, not an array: a driver that does not unroll loops would keep an array in memory.
//
// Hooks: gemm_product, gemm_outer_k, gemm_length, gemm_columns, gemm_sources, gemm_lhs_base, gemm_lhs, gemm_rhs, gemm_store
// (conv/gemm.wgsl, matmul/gemm.wgsl).
// Prelude: THREAD_M: a multiple of 4 up to 32; THREAD_VEC4: 1 or 2; STEPS: 1 to 4; REST: 0 where STEPS divides the length of a
// outer K step, else 1; ROW_THREADS; LHS_THREADS, a power of two that divides ROW_THREADS, or 0. Uniforms: params.items (tiles), tiles_m, tiles_n.

//@use gemm/block.wgsl
//@use lib/vec4_io.wgsl

const ROW_ITEMS: u32 = THREAD_M / 4u;

//@if LHS_THREADS
// The left-hand side of an iteration, read by LHS_THREADS invocations together, a subgroup: each loads half vec4s, and shuffles hand them round. A driver that
// runs invocations as the lanes of a CPU's vectors loads for all of them at little more than the cost of one number that they share, tests the
// bounds of all at once, and needs no branch for it: an iteration without branches is what its compiler can put in order.

const HALVES: u32 = THREAD_M * STEPS / 2u;
const LOADS: u32 = (HALVES + LHS_THREADS - 1u) / LHS_THREADS;

struct Lhs {
    first: u32, // vec4 of the iteration's first step
    halves: array<vec2<f32>, LOADS>,
}

fn load_lhs(first: u32, steps: u32, local: u32) -> Lhs {
    var loaded: Lhs;
    loaded.first = first;
    if steps > 1u {
        for (var i = 0u; i < LOADS; i++) {
            let half = min(i * LHS_THREADS + local % LHS_THREADS, HALVES - 1u);
            loaded.halves[i] = half_vec4(lhs[first + half / 2u][half % 2u]);
        }
    }
    return loaded;
}

// Rows 4 * vec4_row to + 3 at one of the iteration's steps; an iteration of one step is not worth sharing.
fn lhs_rows(lhs_iteration: ptr<function, Lhs>, vec4_row: u32, step: u32, steps: u32) -> vec4<f32> {
    if steps == 1u {
        return gemm_lhs((*lhs_iteration).first + vec4_row);
    }
    let half = (step * ROW_ITEMS + vec4_row) * 2u;
    return vec4<f32>(shared_half(lhs_iteration, half), shared_half(lhs_iteration, half + 1u));
}

fn shared_half(lhs_iteration: ptr<function, Lhs>, half: u32) -> vec2<f32> {
    return subgroupShuffle((*lhs_iteration).halves[half / LHS_THREADS], half % LHS_THREADS);
}
//@else
// The left-hand side of an iteration, read by each invocation for itself: all of them want the same numbers, which a driver may notice.

struct Lhs {
    first: u32, // vec4 of the iteration's first step
}

fn load_lhs(first: u32, steps: u32, local: u32) -> Lhs {
    return Lhs(first);
}

// Rows 4 * vec4_row to + 3 at one of the iteration's steps.
fn lhs_rows(lhs_iteration: ptr<function, Lhs>, vec4_row: u32, step: u32, steps: u32) -> vec4<f32> {
    return gemm_lhs((*lhs_iteration).first + step * ROW_ITEMS + vec4_row);
}
//@end

// Sums of four rows: of the near four columns, and of the far ones where there are two vec4s.
struct Rows {
    near: Block,
    far: Block,
}

struct Sums {
    b0: Rows,
    b1: Rows,
    b2: Rows,
    b3: Rows,
    b4: Rows,
    b5: Rows,
    b6: Rows,
    b7: Rows,
}

// Four columns at the steps of an iteration.
struct Iteration {
    s0: vec4<f32>,
    s1: vec4<f32>,
    s2: vec4<f32>,
    s3: vec4<f32>,
}

fn load_iteration(sources: Sources, i: u32, steps: u32) -> Iteration {
    var iteration: Iteration;
    iteration.s0 = gemm_rhs(sources, i);
    if steps > 1u { iteration.s1 = gemm_rhs(sources, i + 1u); }
    if steps > 2u { iteration.s2 = gemm_rhs(sources, i + 2u); }
    if steps > 3u { iteration.s3 = gemm_rhs(sources, i + 3u); }
    return iteration;
}

// One row times four columns, step after step; `lhs_row` holds the row's number of each.
fn add_steps(sum: vec4<f32>, lhs_row: vec4<f32>, iteration: Iteration, steps: u32) -> vec4<f32> {
    var added = fma(vec4<f32>(lhs_row.x), iteration.s0, sum);
    if steps > 1u { added = fma(vec4<f32>(lhs_row.y), iteration.s1, added); }
    if steps > 2u { added = fma(vec4<f32>(lhs_row.z), iteration.s2, added); }
    if steps > 3u { added = fma(vec4<f32>(lhs_row.w), iteration.s3, added); }
    return added;
}

// Adds an iteration to four rows. Two rows of all columns come before the next two: with their operands they just fit a CPU's registers.
fn add_rows(sums: Rows, lhs_iteration: ptr<function, Lhs>, vec4_row: u32, steps: u32, near: Iteration, far: Iteration) -> Rows {
    let l0 = lhs_rows(lhs_iteration, vec4_row, 0u, steps);
    var l1: vec4<f32>;
    var l2: vec4<f32>;
    var l3: vec4<f32>;
    if steps > 1u { l1 = lhs_rows(lhs_iteration, vec4_row, 1u, steps); }
    if steps > 2u { l2 = lhs_rows(lhs_iteration, vec4_row, 2u, steps); }
    if steps > 3u { l3 = lhs_rows(lhs_iteration, vec4_row, 3u, steps); }
    let row0 = vec4<f32>(l0.x, l1.x, l2.x, l3.x);
    let row1 = vec4<f32>(l0.y, l1.y, l2.y, l3.y);
    let row2 = vec4<f32>(l0.z, l1.z, l2.z, l3.z);
    let row3 = vec4<f32>(l0.w, l1.w, l2.w, l3.w);
    var added = sums;
    added.near.r0 = add_steps(sums.near.r0, row0, near, steps);
    added.near.r1 = add_steps(sums.near.r1, row1, near, steps);
    added.far.r0 = add_steps(sums.far.r0, row0, far, steps); //@if THREAD_VEC4 > 1
    added.far.r1 = add_steps(sums.far.r1, row1, far, steps); //@if THREAD_VEC4 > 1
    added.near.r2 = add_steps(sums.near.r2, row2, near, steps);
    added.near.r3 = add_steps(sums.near.r3, row3, near, steps);
    added.far.r2 = add_steps(sums.far.r2, row2, far, steps); //@if THREAD_VEC4 > 1
    added.far.r3 = add_steps(sums.far.r3, row3, far, steps); //@if THREAD_VEC4 > 1
    return added;
}

// Adds `steps` steps from `i` of an outer K step on, whose left-hand side begins at vec4 `first`.
fn add_iteration(sums: ptr<function, Sums>, sources: Sources, far_sources: Sources, i: u32, steps: u32, first: u32, local: u32) {
    let near = load_iteration(sources, i, steps);
    var far: Iteration;
    far = load_iteration(far_sources, i, steps); //@if THREAD_VEC4 > 1
    var loaded = load_lhs(first + i * ROW_ITEMS, steps, local);
    let lhs_iteration = &loaded;
    (*sums).b0 = add_rows((*sums).b0, lhs_iteration, 0u, steps, near, far);
    (*sums).b1 = add_rows((*sums).b1, lhs_iteration, 1u, steps, near, far); //@if THREAD_M > 4
    (*sums).b2 = add_rows((*sums).b2, lhs_iteration, 2u, steps, near, far); //@if THREAD_M > 8
    (*sums).b3 = add_rows((*sums).b3, lhs_iteration, 3u, steps, near, far); //@if THREAD_M > 12
    (*sums).b4 = add_rows((*sums).b4, lhs_iteration, 4u, steps, near, far); //@if THREAD_M > 16
    (*sums).b5 = add_rows((*sums).b5, lhs_iteration, 5u, steps, near, far); //@if THREAD_M > 20
    (*sums).b6 = add_rows((*sums).b6, lhs_iteration, 6u, steps, near, far); //@if THREAD_M > 24
    (*sums).b7 = add_rows((*sums).b7, lhs_iteration, 7u, steps, near, far); //@if THREAD_M > 28
}

alias Stored = array<vec4<f32>, THREAD_M>;

fn put_rows(near: ptr<function, Stored>, far: ptr<function, Stored>, row: u32, sums: Rows) {
    (*near)[row] = sums.near.r0;
    (*near)[row + 1u] = sums.near.r1;
    (*near)[row + 2u] = sums.near.r2;
    (*near)[row + 3u] = sums.near.r3;
    (*far)[row] = sums.far.r0;
    (*far)[row + 1u] = sums.far.r1;
    (*far)[row + 2u] = sums.far.r2;
    (*far)[row + 3u] = sums.far.r3;
}

// As rows of an array, so that the epilogue stands in the kernel once: by now, memory costs nothing.
fn store_sums(columns: Columns, far_columns: Columns, group: u32, row0: u32, sums: Sums) {
    var near: Stored;
    var far: Stored;
    put_rows(&near, &far, 0u, sums.b0);
    put_rows(&near, &far, 4u, sums.b1); //@if THREAD_M > 4
    put_rows(&near, &far, 8u, sums.b2); //@if THREAD_M > 8
    put_rows(&near, &far, 12u, sums.b3); //@if THREAD_M > 12
    put_rows(&near, &far, 16u, sums.b4); //@if THREAD_M > 16
    put_rows(&near, &far, 20u, sums.b5); //@if THREAD_M > 20
    put_rows(&near, &far, 24u, sums.b6); //@if THREAD_M > 24
    put_rows(&near, &far, 28u, sums.b7); //@if THREAD_M > 28
    for (var i = 0u; i < THREAD_M; i++) {
        gemm_store(columns, group, row0 + i, near[i]);
    }
    if THREAD_VEC4 > 1u {
        for (var i = 0u; i < THREAD_M; i++) {
            gemm_store(far_columns, group, row0 + i, far[i]);
        }
    }
}

@compute @workgroup_size(ROW_THREADS)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let tile = group_id.y * group_count.x + group_id.x;
    if tile >= params.items {
        return;
    }
    // Neighbouring tiles share their columns: the larger operand stays in the cache while the rows pass by.
    let pair = tile / params.tiles_m;
    let tile_m = tile - pair * params.tiles_m;
    let group = pair / params.tiles_n;
    let tile_n = pair - group * params.tiles_n;
    // Eight invocations own a panel of columns: one vec4 each of its first half, one of its second.
    let thread = tile_n * ROW_THREADS + local;
    let column0 = (thread / 8u * (8u * THREAD_VEC4) + thread % 8u) * 4u;
    let row0 = tile_m * THREAD_M;
    let product = gemm_product(group);
    let lhs_base = gemm_lhs_base(product, tile_m);
    let columns = gemm_columns(product, column0);
    let far_columns = gemm_columns(product, column0 + 32u);

    var sums = Sums();
    let outer_steps = gemm_outer_k(product);
    let length = gemm_length();
    for (var outer_step = 0u; outer_step < outer_steps; outer_step++) {
        let sources = gemm_sources(columns, outer_step);
        let far_sources = gemm_sources(far_columns, outer_step);
        let first = lhs_base + outer_step * length * ROW_ITEMS;
        var i = 0u;
        if STEPS > 1u {
            for (; i + STEPS <= length; i += STEPS) {
                add_iteration(&sums, sources, far_sources, i, STEPS, first, local);
            }
        }
        if REST != 0u {
            for (; i < length; i++) {
                add_iteration(&sums, sources, far_sources, i, 1u, first, local);
            }
        }
    }
    store_sums(columns, far_columns, group, row0, sums);
}
