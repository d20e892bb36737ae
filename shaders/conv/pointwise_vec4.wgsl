// Pointwise convolution of channels-first tensors whose planes are a multiple of four positions: four neighbouring columns are four
// neighbouring elements of the input, read at once. The right-hand side of conv/gemm.wgsl; joined with either tile core.

//@use conv/gemm.wgsl
//@use conv/store_columns.wgsl

@group(0) @binding(4) var<storage, read> x: array<Vec4>; // N C D H W

struct Sources {
    index: u32, // of channel 0, in vec4s
}

// Columns past the last read what the first one reads; they are never stored.
fn gemm_sources(columns: Columns, outer_step: u32) -> Sources {
    return Sources((columns.c0.x_start + columns.c0.position) / 4u);
}

fn gemm_rhs(sources: Sources, i: u32) -> vec4<f32> {
    return f32x4(x[sources.index + i * (params.x_stride_c / 4u)]);
}
