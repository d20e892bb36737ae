// A convolution as a matrix product: rows are the filters of a group, columns are output positions over the whole batch, and the
// depth is cut into segments of equal length (the taps), each as long as the channels of a group.
//
// Needs the hook `column_source(column, segment) -> Source`. Gives both tile cores: gemm_segments, gemm_length,
// gemm_columns, gemm_sources, gemm_lhs_base, gemm_lhs, gemm_rhs, gemm_store.

@group(0) @binding(1) var<storage, read> x: array<Elem>;             // N C D H W, any strides
@group(0) @binding(2) var<storage, read> weights: array<vec4<Elem>>; // packed: g, tap, channel, filters padded to whole tiles
@group(0) @binding(3) var<storage, read> bias: array<Elem>;          // K
@group(0) @binding(4) var<storage, read> residual: array<Elem>;  // as output
@group(0) @binding(5) var<storage, read_write> output: array<Elem>;  // N K Z P Q, any strides

// One output position of one image: what the loop over the depth needs of it, decoded once.
struct Column {
    x_start: u32,  // first element of the group's first channel plane
    position: u32, // number of the position inside its image
    o: vec3<i32>,  // Z, P, Q
    exists: bool,  // false past the last column
}

// Where a column reads its input in one segment: element i of the segment is x[index + i x_stride_c], or 0.
struct Source {
    index: u32,
    exists: bool,
}

fn gemm_segments() -> u32 {
    return params.taps;
}

fn gemm_length() -> u32 {
    return params.channels;
}

// Four neighbouring columns.
struct Columns {
    c0: Column,
    c1: Column,
    c2: Column,
    c3: Column,
}

struct Sources {
    s0: Source,
    s1: Source,
    s2: Source,
    s3: Source,
}

fn gemm_columns(group: u32, column0: u32) -> Columns {
    return Columns(
        decode_column(group, column0),
        decode_column(group, column0 + 1u),
        decode_column(group, column0 + 2u),
        decode_column(group, column0 + 3u),
    );
}

fn gemm_sources(columns: Columns, segment: u32) -> Sources {
    return Sources(
        column_source(columns.c0, segment),
        column_source(columns.c1, segment),
        column_source(columns.c2, segment),
        column_source(columns.c3, segment),
    );
}

fn decode_column(group: u32, column: u32) -> Column {
    let exists = column < params.columns;
    let clamped = select(0u, column, exists);
    let n = clamped / params.positions;
    let position = clamped - n * params.positions;
    let x_start = params.x_base + n * params.x_stride_n + group * params.channels * params.x_stride_c;
    return Column(x_start, position, output_coordinates(position), exists);
}

// Where the packed filters of a group begin, in vec4s.
fn gemm_lhs_base(group: u32) -> u32 {
    return group * params.taps * params.channels * params.packed_rows;
}

// Four neighbouring rows (filters 4 row4 ..) at depth k of the group.
fn gemm_lhs(base: u32, k: u32, row4: u32) -> vec4<f32> {
    return vec4<f32>(weights[base + k * params.packed_rows + row4]);
}

fn element(source: Source, i: u32) -> f32 {
    return select(0.0, f32(x[source.index + i * params.x_stride_c]), source.exists);
}

// Step i of a segment.
fn gemm_rhs(sources: Sources, i: u32) -> vec4<f32> {
    return vec4<f32>(element(sources.s0, i), element(sources.s1, i), element(sources.s2, i), element(sources.s3, i));
}

fn gemm_store(group: u32, row: u32, column0: u32, sums: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        let column = column0 + j;
        if (row < params.filters) & (column < params.columns) {
            let n = column / params.positions;
            let position = column - n * params.positions;
            let k = group * params.filters + row;
            store_output(n * params.y_stride_n + k * params.y_stride_k + position * params.y_stride_p, k, sums[j]);
        }
    }
}
