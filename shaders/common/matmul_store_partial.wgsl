// Stores partial sums of four columns of y: one of several splits of the depth. common/gemm_sum.wgsl adds them up.

@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>; // [product][split][m][n / 4]

// `share` is the number of the split over all products of this call.
fn store_columns(share: u32, at_addend: u32, row: u32, column0: u32, sums: vec4<f32>) {
    output[((params.first_share + share) * params.m + row) * ((params.n + 3u) / 4u) + column0 / 4u] = sums;
}
