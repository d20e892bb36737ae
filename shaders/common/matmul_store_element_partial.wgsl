// Stores a partial sum of one element of y, as common/matmul_store_partial.wgsl does with four.

@group(0) @binding(5) var<storage, read_write> output: array<f32>; // [split][m][n padded to 4]

fn store_element(share: u32, at_addend: u32, row: u32, column: u32, sum: f32) {
    output[((params.first_share + share) * params.m + row) * ((params.n + 3u) / 4u * 4u) + column] = sum;
}
