// Stores four neighbouring output channels of a column at once: for channels-last outputs whose filters per group are a multiple of four.

@group(0) @binding(2) var<storage, read> residual: array<vec4<Elem>>;     // as output
@group(0) @binding(3) var<storage, read_write> output: array<vec4<Elem>>; // N Z P Q K

// `k` is the first of the channels, a multiple of four.
fn store_filters(column: Column, k: u32, sums: vec4<f32>) {
    if column.exists {
        let index = (params.y_base + column.y_start + k) / 4u;
        var r = vec4<f32>();
        if HAS_RESIDUAL != 0u {
            r = vec4<f32>(residual[index]);
        }
        output[index] = vec4<Elem>(
            vec4<f32>(finish(k, sums.x, r.x), finish(k + 1u, sums.y, r.y), finish(k + 2u, sums.z, r.z), finish(k + 3u, sums.w, r.w)),
        );
    }
}
