// Stores partial sums of four columns of an output channel: one of several splits of the depth. common/gemm_sum.wgsl adds them up.

@group(0) @binding(2) var<storage, read> residual: array<Elem>;          // not read: the epilogue comes after the sum
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>; // [group][split][filter][column / 4]

// `share` is the number of the split over all groups.
fn gemm_store(columns: Columns, share: u32, row: u32, sums: vec4<f32>) {
    if (row < params.filters) & (columns.first < params.columns) {
        output[(share * params.filters + row) * ((params.columns + 3u) / 4u) + columns.first / 4u] = sums;
    }
}
