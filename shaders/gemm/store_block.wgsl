// A block of sums stored row by row, by the hook gemm_store; or, by STORE_VEC4 3, column by column, by store_filters of conv/store_columns.wgsl:
// rows are a multiple of four then.

//@use gemm/block.wgsl

//@if STORE_VEC4 == 3
fn gemm_store_block(columns: Columns, group: u32, row0: u32, block: Block) {
    if row0 >= params.filters {
        return;
    }
    let k = columns.channel + row0;
    store_filters(columns.c0, k, vec4<f32>(block.r0.x, block.r1.x, block.r2.x, block.r3.x));
    store_filters(columns.c1, k, vec4<f32>(block.r0.y, block.r1.y, block.r2.y, block.r3.y));
    store_filters(columns.c2, k, vec4<f32>(block.r0.z, block.r1.z, block.r2.z, block.r3.z));
    store_filters(columns.c3, k, vec4<f32>(block.r0.w, block.r1.w, block.r2.w, block.r3.w));
}
//@else
fn gemm_store_block(columns: Columns, group: u32, row0: u32, block: Block) {
    let rows = array<vec4<f32>, 4>(block.r0, block.r1, block.r2, block.r3);
    for (var i = 0u; i < 4u; i++) {
        gemm_store(columns, group, row0 + i, rows[i]);
    }
}
//@end
