// Where four columns read the input in a segment: what common/conv_columns.wgsl and common/conv_channels*.wgsl load from.
// Needs the hook `column_source(column, segment) -> Source` (conv_implicit_gemm.wgsl, conv_pointwise.wgsl).

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
