// Tile core in workgroup memory, for GPUs: a workgroup owns TILE_M rows x TILE_N columns, an invocation THREAD_M x THREAD_N of
// them; TILE_K steps of both matrices are staged in workgroup memory at a time.
//
// Hooks: gemm_segments, gemm_length, gemm_columns, gemm_sources, gemm_lhs_base, gemm_lhs, gemm_rhs, gemm_store (common/conv_gemm.wgsl,
// common/matmul_gemm.wgsl); gemm_wanted (common/gemm_always.wgsl, common/gemm_fallback.wgsl).
// Prelude: TILE_M, TILE_N, TILE_K, THREAD_M, THREAD_N (the last two multiples of 4) and WG_SIZE = TILE_M TILE_N / (THREAD_M THREAD_N),
// a multiple of TILE_N / 4. Uniforms: params.items (tiles), tiles_m, tiles_n.

const COLUMN_QUADS: u32 = TILE_N / 4u;
const ROW_QUADS: u32 = TILE_M / 4u;
const THREADS_N: u32 = TILE_N / THREAD_N;
const THREAD_QUADS: u32 = THREAD_N / 4u;

var<workgroup> sh_lhs: array<vec4<f32>, TILE_K * ROW_QUADS>;    // [k][row / 4]
var<workgroup> sh_rhs: array<vec4<f32>, TILE_K * COLUMN_QUADS>; // [k][column / 4]

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let tile = group_id.y * group_count.x + group_id.x;
    if (tile >= params.items) | !gemm_wanted() { // uniform over the workgroup
        return;
    }
    // Neighbouring tiles share their columns: the larger operand stays in the cache while the rows pass by.
    let pair = tile / params.tiles_m;
    let tile_m = tile - pair * params.tiles_m;
    let group = pair / params.tiles_n;
    let tile_n = pair - group * params.tiles_n;
    let column0 = tile_n * TILE_N;

    // This invocation always stages the same four columns, so they are decoded once.
    let quad = local % COLUMN_QUADS;
    let lhs_base = gemm_lhs_base(group, tile_m);
    let columns = gemm_columns(group, column0 + 4u * quad);
    let thread_m = local / THREADS_N;
    let thread_n = local % THREADS_N;

    var acc: array<vec4<f32>, THREAD_M * THREAD_QUADS>;
    for (var i = 0u; i < THREAD_M * THREAD_QUADS; i++) {
        acc[i] = vec4<f32>(0.0);
    }
    let length = gemm_length();
    let depth = gemm_segments() * length;
    for (var k0 = 0u; k0 < depth; k0 += TILE_K) {
        // 1. Stage TILE_K steps; what lies past the depth is zero.
        for (var i = local; i < TILE_K * ROW_QUADS; i += WG_SIZE) {
            let k = k0 + i / ROW_QUADS;
            var lhs = vec4<f32>(0.0);
            if k < depth {
                lhs = gemm_lhs(lhs_base + k0 * ROW_QUADS + i);
            }
            sh_lhs[i] = lhs;
        }
        for (var i = local / COLUMN_QUADS; i < TILE_K; i += WG_SIZE / COLUMN_QUADS) {
            let k = k0 + i;
            var rhs = vec4<f32>(0.0);
            if k < depth {
                let segment = k / length;
                let inner = k - segment * length;
                rhs = gemm_rhs(gemm_sources(columns, segment), inner);
            }
            sh_rhs[i * COLUMN_QUADS + quad] = rhs;
        }
        workgroupBarrier();
        // 2. Multiply.
        for (var k = 0u; k < TILE_K; k++) {
            for (var m = 0u; m < THREAD_M / 4u; m++) {
                let lhs = sh_lhs[k * ROW_QUADS + thread_m * (THREAD_M / 4u) + m];
                for (var n = 0u; n < THREAD_QUADS; n++) {
                    let rhs = sh_rhs[k * COLUMN_QUADS + thread_n * THREAD_QUADS + n];
                    let a = 4u * m * THREAD_QUADS + n;
                    acc[a] = fma(vec4<f32>(lhs.x), rhs, acc[a]);
                    acc[a + THREAD_QUADS] = fma(vec4<f32>(lhs.y), rhs, acc[a + THREAD_QUADS]);
                    acc[a + 2u * THREAD_QUADS] = fma(vec4<f32>(lhs.z), rhs, acc[a + 2u * THREAD_QUADS]);
                    acc[a + 3u * THREAD_QUADS] = fma(vec4<f32>(lhs.w), rhs, acc[a + 3u * THREAD_QUADS]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var q = 0u; q < THREAD_QUADS; q++) {
        let stored = gemm_columns(group, column0 + thread_n * THREAD_N + 4u * q);
        for (var i = 0u; i < THREAD_M; i++) {
            gemm_store(stored, group, tile_m * TILE_M + thread_m * THREAD_M + i, acc[i * THREAD_QUADS + q]);
        }
    }
}
