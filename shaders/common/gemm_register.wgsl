// Tile core without workgroup memory, for CPU-like drivers and tiny problems: each invocation owns THREAD_M rows x THREAD_QUADS times
// four neighbouring columns in registers, a workgroup owns THREAD_M rows x LANES x THREAD_QUADS x 4 columns.
//
// STEPS of the depth make one turn of the loop: such drivers mask every sum of an invocation at every turn, which costs as much as the
// multiply-adds of one step. Rows are named, not an array: a driver that does not unroll loops would keep an array in memory.
//
// Hooks: gemm_segments, gemm_length, gemm_columns, gemm_sources, gemm_lhs_base, gemm_lhs, gemm_rhs, gemm_store (common/conv_gemm.wgsl,
// common/matmul_gemm.wgsl). Needs common/gemm_block.wgsl.
// Prelude: THREAD_M: a multiple of 4 up to 32; THREAD_QUADS: 1 or 2; STEPS: 1 to 4; REST: 0 where STEPS divides the length of a
// segment, else 1; LANES. Uniforms: params.items (tiles), tiles_m, tiles_n.

const ROW_QUADS: u32 = THREAD_M / 4u;

// Sums of all rows x four columns.
struct Strip {
    b0: Block,
    b1: Block,
    b2: Block,
    b3: Block,
    b4: Block,
    b5: Block,
    b6: Block,
    b7: Block,
}

// Adds one step of the depth to both strips: the rows' quads from `at` on times the columns of either.
fn add_step(near: ptr<function, Strip>, far: ptr<function, Strip>, at: u32, rhs_near: vec4<f32>, rhs_far: vec4<f32>) {
    let l0 = gemm_lhs(at);
    (*near).b0 = multiply((*near).b0, l0, rhs_near);
    if THREAD_QUADS > 1u { (*far).b0 = multiply((*far).b0, l0, rhs_far); }
    if THREAD_M > 4u {
        let l1 = gemm_lhs(at + 1u);
        (*near).b1 = multiply((*near).b1, l1, rhs_near);
        if THREAD_QUADS > 1u { (*far).b1 = multiply((*far).b1, l1, rhs_far); }
    }
    if THREAD_M > 8u {
        let l2 = gemm_lhs(at + 2u);
        (*near).b2 = multiply((*near).b2, l2, rhs_near);
        if THREAD_QUADS > 1u { (*far).b2 = multiply((*far).b2, l2, rhs_far); }
    }
    if THREAD_M > 12u {
        let l3 = gemm_lhs(at + 3u);
        (*near).b3 = multiply((*near).b3, l3, rhs_near);
        if THREAD_QUADS > 1u { (*far).b3 = multiply((*far).b3, l3, rhs_far); }
    }
    if THREAD_M > 16u {
        let l4 = gemm_lhs(at + 4u);
        (*near).b4 = multiply((*near).b4, l4, rhs_near);
        if THREAD_QUADS > 1u { (*far).b4 = multiply((*far).b4, l4, rhs_far); }
    }
    if THREAD_M > 20u {
        let l5 = gemm_lhs(at + 5u);
        (*near).b5 = multiply((*near).b5, l5, rhs_near);
        if THREAD_QUADS > 1u { (*far).b5 = multiply((*far).b5, l5, rhs_far); }
    }
    if THREAD_M > 24u {
        let l6 = gemm_lhs(at + 6u);
        (*near).b6 = multiply((*near).b6, l6, rhs_near);
        if THREAD_QUADS > 1u { (*far).b6 = multiply((*far).b6, l6, rhs_far); }
    }
    if THREAD_M > 28u {
        let l7 = gemm_lhs(at + 7u);
        (*near).b7 = multiply((*near).b7, l7, rhs_near);
        if THREAD_QUADS > 1u { (*far).b7 = multiply((*far).b7, l7, rhs_far); }
    }
}

// The sums as rows again, so that the epilogue stands in the kernel once: by now, memory costs nothing.
fn store_strip(columns: Columns, group: u32, row0: u32, strip: ptr<function, Strip>) {
    var blocks: array<Block, 8>;
    blocks[0] = (*strip).b0;
    if THREAD_M > 4u { blocks[1] = (*strip).b1; }
    if THREAD_M > 8u { blocks[2] = (*strip).b2; }
    if THREAD_M > 12u { blocks[3] = (*strip).b3; }
    if THREAD_M > 16u { blocks[4] = (*strip).b4; }
    if THREAD_M > 20u { blocks[5] = (*strip).b5; }
    if THREAD_M > 24u { blocks[6] = (*strip).b6; }
    if THREAD_M > 28u { blocks[7] = (*strip).b7; }
    for (var i = 0u; i < THREAD_M; i++) {
        let block = blocks[i / 4u];
        let sums = array<vec4<f32>, 4>(block.r0, block.r1, block.r2, block.r3);
        gemm_store(columns, group, row0 + i, sums[i % 4u]);
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let tile = group_id.y * group_count.x + group_id.x;
    if tile >= params.items {
        return;
    }
    // Neighbouring tiles share their columns: the larger operand stays in the cache while the rows pass by.
    let pair = tile / params.tiles_m;
    let tile_m = tile - pair * params.tiles_m;
    let group = pair / params.tiles_n;
    let tile_n = pair - group * params.tiles_n;
    // Eight invocations own a panel of columns: one quad each of its first half, one of its second.
    let lane = tile_n * LANES + local;
    let column0 = (lane / 8u * (8u * THREAD_QUADS) + lane % 8u) * 4u;
    let row0 = tile_m * THREAD_M;
    let lhs_base = gemm_lhs_base(group, tile_m);
    let columns = gemm_columns(group, column0);
    let far_columns = gemm_columns(group, column0 + 32u);

    var near = Strip();
    var far = Strip();
    let segments = gemm_segments();
    let length = gemm_length();
    for (var segment = 0u; segment < segments; segment++) {
        let sources = gemm_sources(columns, segment);
        let far_sources = gemm_sources(far_columns, segment);
        let first = lhs_base + segment * length * ROW_QUADS;
        var i = 0u;
        if STEPS > 1u {
            for (; i + STEPS <= length; i += STEPS) {
                add_step(&near, &far, first + i * ROW_QUADS, gemm_rhs(sources, i), far_rhs(far_sources, i));
                if STEPS > 1u { add_step(&near, &far, first + (i + 1u) * ROW_QUADS, gemm_rhs(sources, i + 1u), far_rhs(far_sources, i + 1u)); }
                if STEPS > 2u { add_step(&near, &far, first + (i + 2u) * ROW_QUADS, gemm_rhs(sources, i + 2u), far_rhs(far_sources, i + 2u)); }
                if STEPS > 3u { add_step(&near, &far, first + (i + 3u) * ROW_QUADS, gemm_rhs(sources, i + 3u), far_rhs(far_sources, i + 3u)); }
            }
        }
        if REST != 0u {
            for (; i < length; i++) {
                add_step(&near, &far, first + i * ROW_QUADS, gemm_rhs(sources, i), far_rhs(far_sources, i));
            }
        }
    }
    store_strip(columns, group, row0, &near);
    if THREAD_QUADS > 1u { store_strip(far_columns, group, row0, &far); }
}

fn far_rhs(sources: Sources, i: u32) -> vec4<f32> {
    if THREAD_QUADS > 1u { return gemm_rhs(sources, i); }
    return vec4<f32>();
}
