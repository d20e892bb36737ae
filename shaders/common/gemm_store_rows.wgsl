// A block of sums stored row by row.

fn gemm_store_block(columns: Columns, group: u32, row0: u32, block: Block) {
    let rows = array<vec4<f32>, 4>(block.r0, block.r1, block.r2, block.r3);
    for (var i = 0u; i < 4u; i++) {
        gemm_store(columns, group, row0 + i, rows[i]);
    }
}
