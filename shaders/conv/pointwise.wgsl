// Pointwise convolution: with a 1 x 1 window at stride 1 without pads, output position p reads input position p, and the
// convolution is a plain matrix product. The hook of conv/gemm.wgsl; joined with any tile core.
// Columns past the last read what the first one reads, without a test: they are never stored.

//@use conv/gemm.wgsl
//@use conv/right_hand_side.wgsl
//@use conv/store_columns.wgsl

fn column_source(taps: vec3<i32>, step: vec3<i32>, column: Column, outer_step: u32) -> Source {
    return Source(column.x_start + column.position * params.x_stride_p, true);
}
