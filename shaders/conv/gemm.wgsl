// A convolution as a matrix product: rows are the filters of a group, columns are output positions over the whole batch, and the
// depth is cut into outer K steps of equal length (the taps), each as long as the channels of a group.
//
// Gives both tile cores: gemm_outer_k, gemm_length, gemm_columns, gemm_lhs_base, gemm_lhs. A loader gives the rest:
// Sources, gemm_sources and gemm_rhs (conv/right_hand_side.wgsl or conv/pointwise_vec4.wgsl), and gemm_store
// (conv/store_columns.wgsl).

//@use conv/problem.wgsl
//@use lib/vec4_io.wgsl

//@if BOUND_5
@group(0) @binding(5) var<storage, read> lhs: array<Vec4>;          // filters, packed: g, tile of filters, tap, channel, filter
//@else
var<private> lhs: array<Vec4, 1>; // nothing is bound
//@end

// One output position of one image: what the loop over the depth needs of it, decoded once.
struct Column {
    x_start: u32,  // first element of the group's first channel plane
    position: u32, // number of the position inside its image
    y_start: u32,  // its output of channel 0
    o: vec3<i32>,  // Z, P, Q
    exists: bool,  // false past the last column
}

// Four neighbouring columns.
struct Columns {
    first: u32, // number of the first
    c0: Column,
    c1: Column,
    c2: Column,
    c3: Column,
}

fn gemm_outer_k() -> u32 {
    return params.taps;
}

fn gemm_length() -> u32 {
    return params.channels;
}

fn gemm_columns(group: u32, column0: u32) -> Columns {
    return Columns(
        column0,
        decode_column(group, column0),
        decode_column(group, column0 + 1u),
        decode_column(group, column0 + 2u),
        decode_column(group, column0 + 3u),
    );
}

fn decode_column(group: u32, column: u32) -> Column {
    let exists = column < params.columns;
    let clamped = select(0u, column, exists);
    let n = clamped / params.positions;
    let position = clamped - n * params.positions;
    let x_start = params.x_base + n * params.x_stride_n + group * params.x_stride_g;
    let y_start = n * params.y_stride_n + position * params.y_stride_p;
    return Column(x_start, position, y_start, output_coordinates(position), exists);
}

// Where the packed filters of a tile of rows begin, in vec4s.
fn gemm_lhs_base(group: u32, tile_m: u32) -> u32 {
    return (group * params.tiles_m + tile_m) * params.taps * params.channels * ROW_VEC4;
}

fn gemm_lhs(at: u32) -> vec4<f32> {
    return f32x4(lhs[at]);
}
