// Adds up the partial sums of a product whose depth was split, in the order of the splits at every run, and finishes them: bias,
// residual, activation, store.
//
// One invocation owns four rows x four columns. Hooks: partials, sum_rows, sum_columns (conv/sum.wgsl, matmul/sum.wgsl), gemm_product, gemm_columns,
// gemm_store_block. Prelude: SPLITS. Uniform: params.items.

//@use gemm/block.wgsl
//@use gemm/store_block.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item >= params.items {
        return;
    }
    let column_vec4s = (sum_columns() + 3u) / 4u;
    let row_vec4s = (sum_rows() + 3u) / 4u;
    let line = item / column_vec4s;
    let vec4_index = item - line * column_vec4s;
    let group = line / row_vec4s;
    let row0 = 4u * (line - group * row_vec4s);
    let below = sum_rows() - 1u - row0; // rows past the last repeat it; they are never stored
    var block = Block();
    for (var split = 0u; split < SPLITS; split++) {
        let at = ((group * SPLITS + split) * sum_rows() + row0) * column_vec4s + vec4_index;
        block.r0 += partials[at];
        block.r1 += partials[at + min(1u, below) * column_vec4s];
        block.r2 += partials[at + min(2u, below) * column_vec4s];
        block.r3 += partials[at + min(3u, below) * column_vec4s];
    }
    gemm_store_block(gemm_columns(gemm_product(group), 4u * vec4_index), group, row0, block);
}
