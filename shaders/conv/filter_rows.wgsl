// The right-hand side of a filter gradient whose depth goes along rows: an outer K step is a row of dy in one image, its steps are the positions in it.
// Columns are the channels and taps of x, which is read in place. Of a step remains one addition, and along the width a test where windows reach over an
// edge; all else is decided once a row.
//
// It stands in the place of conv/implicit_gemm.wgsl, joined with a tile core. Of the dual convolution (src/plan/conv/filter_gradient.rs) taps along depth and
// height are the planes and rows of dy, those along the width its images; x_stride_c leads from a position to the next, x_stride_p from an image to the next.
// Prelude: PADDED, whether windows reach over an edge of the width.

//@use conv/gemm.wgsl
//@use conv/store_columns.wgsl
//@use gemm/block.wgsl

@group(0) @binding(4) var<storage, read> x: array<Elem>;

// What a column reads in one row.
struct Source {
    row: u32,   // where the row begins, or any row that exists
    first: i32, // coordinate of the first position along the width
    exists: bool,
}

struct Sources {
    s0: Source,
    s1: Source,
    s2: Source,
    s3: Source,
}

fn row_source(columns: Columns, column: Column, outer_step: u32) -> Source {
    let images = max(u32(columns.taps.z), 1u);
    let rows = max(u32(columns.taps.y), 1u);
    let line = outer_step / images;
    let plane = line / rows;
    let iz = padded_coordinate(column.start.x + i32(plane) * columns.step.x, params.depth.input);
    let iy = padded_coordinate(column.start.y + i32(line - plane * rows) * columns.step.y, params.height.input);
    let exists = column.exists & (min(iz, iy) >= 0);
    let row = select(0u, plane_offset(iz, iy, 0), exists);
    return Source(column.x_start + (outer_step - line * images) * params.x_stride_p + row, column.start.z, exists);
}

fn gemm_sources(columns: Columns, outer_step: u32) -> Sources {
    return Sources(
        row_source(columns, columns.c0, outer_step),
        row_source(columns, columns.c1, outer_step),
        row_source(columns, columns.c2, outer_step),
        row_source(columns, columns.c3, outer_step),
    );
}

fn element(source: Source, i: u32) -> f32 {
    let at = source.first + i32(i * params.x_stride_c);
//@if PADDED
    let exists = source.exists & (at >= 0) & (at < params.width.input);
    return select(0.0, f32(x[source.row + u32(select(0, at, exists))]), exists);
//@else
    return select(0.0, f32(x[source.row + u32(at)]), source.exists);
//@end
}

// Step i of an outer K step.
fn gemm_rhs(sources: Sources, i: u32) -> vec4<f32> {
    return vec4<f32>(element(sources.s0, i), element(sources.s1, i), element(sources.s2, i), element(sources.s3, i));
}
