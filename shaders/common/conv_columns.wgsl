// The right-hand side of common/conv_gemm.wgsl read element by element: four columns may lie anywhere in the input.
// Needs common/conv_sources.wgsl.

@group(0) @binding(4) var<storage, read> x: array<Elem>; // N C D H W, any strides

fn element(source: Source, i: u32) -> f32 {
    return select(0.0, f32(x[source.index + i * params.x_stride_c]), source.exists);
}

// Step i of a segment.
fn gemm_rhs(sources: Sources, i: u32) -> vec4<f32> {
    return vec4<f32>(element(sources.s0, i), element(sources.s1, i), element(sources.s2, i), element(sources.s3, i));
}
