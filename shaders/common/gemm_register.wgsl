// Tile core without workgroup memory, for CPU-like drivers and tiny problems: each invocation owns THREAD_M rows x 4 neighbouring
// columns in registers, a workgroup owns THREAD_M rows x 256 columns.
//
// Hooks: gemm_segments, gemm_length, gemm_columns, gemm_sources, gemm_lhs, gemm_rhs, gemm_store (common/conv_gemm.wgsl,
// common/matmul_gemm.wgsl).
// Prelude: THREAD_M, a multiple of 4. Uniforms: params.items (tiles), tiles_m, tiles_n.

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

    let columns = gemm_columns(group, column0);

    var acc: array<vec4<f32>, THREAD_M>; // one row each, the four columns in a vec4
    for (var i = 0u; i < THREAD_M; i++) {
        acc[i] = vec4<f32>(0.0);
    }
    let segments = gemm_segments();
    let length = gemm_length();
    for (var segment = 0u; segment < segments; segment++) {
        let sources = gemm_sources(columns, segment);
        for (var i = 0u; i < length; i++) {
            let rhs = gemm_rhs(sources, i);
            for (var m = 0u; m < THREAD_M / 4u; m++) {
                let lhs = gemm_lhs(group, segment * length + i, row0 / 4u + m);
                acc[4u * m] = fma(vec4<f32>(lhs.x), rhs, acc[4u * m]);
                acc[4u * m + 1u] = fma(vec4<f32>(lhs.y), rhs, acc[4u * m + 1u]);
                acc[4u * m + 2u] = fma(vec4<f32>(lhs.z), rhs, acc[4u * m + 2u]);
                acc[4u * m + 3u] = fma(vec4<f32>(lhs.w), rhs, acc[4u * m + 3u]);
            }
        }
    }
    for (var i = 0u; i < THREAD_M; i++) {
        gemm_store(group, row0 + i, column0, acc[i]);
    }
}
