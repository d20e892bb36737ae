// Stores four columns of an output channel at once: for channels-first outputs whose planes are a multiple of four positions.

@group(0) @binding(2) var<storage, read> residual: array<Quad>;     // as output
@group(0) @binding(3) var<storage, read_write> output: array<Quad>; // N K Z P Q

fn gemm_store(columns: Columns, group: u32, row: u32, sums: vec4<f32>) {
    if (row < params.filters) & columns.c0.exists {
        let k = group * params.filters + row;
        let index = (params.y_base + k * params.y_stride_k + columns.c0.y_start) / 4u;
        var r = vec4<f32>();
        if HAS_RESIDUAL != 0u {
            r = quad(residual[index]);
        }
        output[index] = as_quad(vec4<f32>(finish(k, sums.x, r.x), finish(k, sums.y, r.y), finish(k, sums.z, r.z), finish(k, sums.w, r.w)));
    }
}
