// Tile core without workgroup memory, for CPU-like drivers and tiny problems: each invocation owns THREAD_M rows x 4 neighbouring
// columns in registers, a workgroup owns THREAD_M rows x 256 columns.
//
// Hooks: gemm_segments, gemm_length, gemm_columns, gemm_sources, gemm_lhs_base, gemm_lhs, gemm_rhs, gemm_store (common/conv_gemm.wgsl,
// common/matmul_gemm.wgsl).
// Prelude: THREAD_M: 4, 8, 12 or 16. Uniforms: params.items (tiles), tiles_m, tiles_n.

// Sums of four rows x four columns. Rows are named, not an array: a driver that does not unroll loops would keep an array in memory.
struct Block {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
}

const EMPTY: Block = Block(vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());

fn multiply(block: Block, lhs: vec4<f32>, rhs: vec4<f32>) -> Block {
    return Block(
        fma(vec4<f32>(lhs.x), rhs, block.r0),
        fma(vec4<f32>(lhs.y), rhs, block.r1),
        fma(vec4<f32>(lhs.z), rhs, block.r2),
        fma(vec4<f32>(lhs.w), rhs, block.r3),
    );
}

fn store_block(group: u32, row: u32, column0: u32, block: Block) {
    gemm_store(group, row, column0, block.r0);
    gemm_store(group, row + 1u, column0, block.r1);
    gemm_store(group, row + 2u, column0, block.r2);
    gemm_store(group, row + 3u, column0, block.r3);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let tile = group_id.y * group_count.x + group_id.x;
    if tile >= params.items {
        return;
    }
    let tile_m = tile / params.tiles_n % params.tiles_m;
    let group = tile / params.tiles_n / params.tiles_m;
    let column0 = (tile % params.tiles_n * 64u + local) * 4u;
    let row0 = tile_m * THREAD_M;
    let quad = row0 / 4u;
    let lhs_base = gemm_lhs_base(group);
    let columns = gemm_columns(group, column0);

    var b0 = EMPTY;
    var b1 = EMPTY;
    var b2 = EMPTY;
    var b3 = EMPTY;
    let segments = gemm_segments();
    let length = gemm_length();
    for (var segment = 0u; segment < segments; segment++) {
        let sources = gemm_sources(columns, segment);
        for (var i = 0u; i < length; i++) {
            let rhs = gemm_rhs(sources, i);
            let k = segment * length + i;
            b0 = multiply(b0, gemm_lhs(lhs_base, k, quad), rhs);
            if THREAD_M > 4u {
                b1 = multiply(b1, gemm_lhs(lhs_base, k, quad + 1u), rhs);
            }
            if THREAD_M > 8u {
                b2 = multiply(b2, gemm_lhs(lhs_base, k, quad + 2u), rhs);
            }
            if THREAD_M > 12u {
                b3 = multiply(b3, gemm_lhs(lhs_base, k, quad + 3u), rhs);
            }
        }
    }
    store_block(group, row0, column0, b0);
    if THREAD_M > 4u {
        store_block(group, row0 + 4u, column0, b1);
    }
    if THREAD_M > 8u {
        store_block(group, row0 + 8u, column0, b2);
    }
    if THREAD_M > 12u {
        store_block(group, row0 + 12u, column0, b3);
    }
}
