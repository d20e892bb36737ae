// A convolution as matrix products: one for each group, and of a transposed convolution one for each phase of the stride (conv/taps.wgsl) and group.
// Rows are the filters of a group, columns are output positions over the whole batch, those of a phase alone, and the depth is cut into
// outer K steps of equal length (the taps), each as long as the channels of a group.
//
// Gives all tile cores: gemm_product, gemm_outer_k, gemm_length, gemm_columns, gemm_lhs_base, gemm_lhs. A loader gives the rest:
// Sources, gemm_sources and gemm_rhs (conv/right_hand_side.wgsl or conv/pointwise_vec4.wgsl), and gemm_store
// (conv/store_columns.wgsl). With PARTS the operands are the f16 of cooperative matrices, and that core reads them itself.

//@use conv/taps.wgsl
//@use lib/vec4_io.wgsl

//@if PARTS
@group(0) @binding(5) var<storage, read> lhs: array<mat2x4<f16>>;   // eights of filters, packed as below, their parts side by side
//@elif BOUND_5
@group(0) @binding(5) var<storage, read> lhs: array<Vec4>;          // filters, packed: g, tile of filters, tap by phase, channel, filter
//@else
var<private> lhs: array<Vec4, 1>; // nothing is bound
//@end

// One of the products. Vectors are along depth, height, width.
struct Product {
    group: u32,
    first_output: vec3<i32>,
    outputs: vec3<i32>,
    first_tap: vec3<i32>,
    taps: vec3<i32>,
    start: vec3<i32>, // what the first output reads through the first tap
    step: vec3<i32>,  // from there to what it reads through the next tap
}

fn gemm_product(number: u32) -> Product {
    // 1. The phase, by its first output.
    let phase = select(0, i32(number / params.groups), TRANSPOSED != 0u);
    let w = phase_count(params.width);
    let h = phase_count(params.height);
    let line = phase / w;
    let plane = line / h;
    let first = vec3<i32>(plane, line - plane * h, phase - line * w);
    // 2. Its outputs and taps.
    let z = taps_of(params.depth, first.x);
    let y = taps_of(params.height, first.y);
    let x = taps_of(params.width, first.z);
    return Product(
        select(number, number % params.groups, TRANSPOSED != 0u),
        first,
        vec3<i32>(phase_outputs(params.depth, first.x), phase_outputs(params.height, first.y), phase_outputs(params.width, first.z)),
        vec3<i32>(z.first, y.first, x.first),
        vec3<i32>(z.count, y.count, x.count),
        vec3<i32>(z.start, y.start, x.start),
        vec3<i32>(z.step, y.step, x.step),
    );
}

// One output position of one image: what the loop over the depth needs of it, decoded once.
struct Column {
    x_start: u32,     // first element of the group's first channel plane
    position: u32,    // number of the position inside its image
    y_start: u32,     // its output of channel 0
    start: vec3<i32>, // Z, P, Q that it reads through the first tap, in the padded input
    exists: bool,     // false past the last column
}

// Four neighbouring columns.
struct Columns {
    first: u32,      // number of the first
    channel: u32,    // the first output channel of the group
    taps: vec3<i32>, // of the product
    step: vec3<i32>,
    c0: Column,
    c1: Column,
    c2: Column,
    c3: Column,
}

fn gemm_outer_k(product: Product) -> u32 {
    return u32(product.taps.x * product.taps.y * product.taps.z);
}

fn gemm_length() -> u32 {
    return params.channels;
}

fn gemm_columns(product: Product, column0: u32) -> Columns {
    return Columns(
        column0,
        product.group * params.filters,
        product.taps,
        product.step,
        decode_column(product, column0),
        decode_column(product, column0 + 1u),
        decode_column(product, column0 + 2u),
        decode_column(product, column0 + 3u),
    );
}

fn decode_column(product: Product, column: u32) -> Column {
    let rows = u32(product.outputs.y);
    let row = u32(product.outputs.z);
    let positions = u32(product.outputs.x) * rows * row;
    let exists = column < params.batch * positions;
    let clamped = select(0u, column, exists);
    let n = clamped / positions;
    let own = clamped - n * positions; // among those of the product
    let line = own / row;
    let plane = line / rows;
    let o = vec3<i32>(i32(plane), i32(line - plane * rows), i32(own - line * row));

    // Outputs of a phase lie a stride apart and read neighbours; those of a forward convolution the other way round.
    let strides = vec3<i32>(params.depth.stride, params.height.stride, params.width.stride);
    var position = own;
    var start = product.start + o * strides;
    if TRANSPOSED != 0u {
        let at = product.first_output + o * strides;
        position = u32((at.x * params.height.output + at.y) * params.width.output + at.z);
        start = product.start + o;
    }
    let x_start = params.x_base + n * params.x_stride_n + product.group * params.x_stride_g;
    let y_start = n * params.y_stride_n + position * params.y_stride_p;
    return Column(x_start, position, y_start, start, exists);
}

// Where the packed filters of a tile of rows begin, in vec4s, or with PARTS in eights: those of the product's taps, which lie together.
fn gemm_lhs_base(product: Product, tile_m: u32) -> u32 {
    var tap = (product.group * params.tiles_m + tile_m) * params.taps;
    if TRANSPOSED != 0u {
        let inner = taps_before(params.height, product.first_tap.y) * params.width.taps + product.taps.y * taps_before(params.width, product.first_tap.z);
        tap += u32(taps_before(params.depth, product.first_tap.x) * params.height.taps * params.width.taps + product.taps.x * inner);
    }
    return tap * params.channels * ROW_ITEMS;
}

// Taps of an axis that belong to those phases whose first tap comes before this one.
fn taps_before(axis: Axis, first: i32) -> i32 {
    return first * (axis.taps / axis.tap_step) + min(first, axis.taps % axis.tap_step);
}

//@if !PARTS
fn gemm_lhs(at: u32) -> vec4<f32> {
    return f32x4(lhs[at]);
}
//@end
