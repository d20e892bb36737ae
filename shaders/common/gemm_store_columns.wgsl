// A block of sums stored column by column: common/conv_store_filters.wgsl. Rows are a multiple of four.

fn gemm_store_block(columns: Columns, group: u32, row0: u32, block: Block) {
    if row0 >= params.filters {
        return;
    }
    let k = group * params.filters + row0;
    store_filters(columns.c0, k, vec4<f32>(block.r0.x, block.r1.x, block.r2.x, block.r3.x));
    store_filters(columns.c1, k, vec4<f32>(block.r0.y, block.r1.y, block.r2.y, block.r3.y));
    store_filters(columns.c2, k, vec4<f32>(block.r0.z, block.r1.z, block.r2.z, block.r3.z));
    store_filters(columns.c3, k, vec4<f32>(block.r0.w, block.r1.w, block.r2.w, block.r3.w));
}
