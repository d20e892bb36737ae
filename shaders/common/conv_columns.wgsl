// The right-hand side of common/conv_gemm.wgsl read element by element: four columns may lie anywhere in the input.
// Needs the hook `column_source(column, segment) -> Source` (conv_implicit_gemm.wgsl, conv_pointwise.wgsl).

@group(0) @binding(4) var<storage, read> x: array<Elem>; // N C D H W, any strides

// Where a column reads its input in one segment: element i of the segment is x[index + i x_stride_c], or 0.
struct Source {
    index: u32,
    exists: bool,
}

struct Sources {
    s0: Source,
    s1: Source,
    s2: Source,
    s3: Source,
}

fn gemm_sources(columns: Columns, segment: u32) -> Sources {
    return Sources(
        column_source(columns.c0, segment),
        column_source(columns.c1, segment),
        column_source(columns.c2, segment),
        column_source(columns.c3, segment),
    );
}

fn element(source: Source, i: u32) -> f32 {
    return select(0.0, f32(x[source.index + i * params.x_stride_c]), source.exists);
}

// Step i of a segment.
fn gemm_rhs(sources: Sources, i: u32) -> vec4<f32> {
    return vec4<f32>(element(sources.s0, i), element(sources.s1, i), element(sources.s2, i), element(sources.s3, i));
}
