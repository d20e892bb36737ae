// What every convolution kernel shares: the parameters, and the window geometry.
//
// Letters: input N C D H W, filter K C/g T R S, output N K Z P Q. A 1-D or 2-D problem has extent 1 on the axes it lacks.
// Prelude: alias Elem (f32 or f16: what is stored). Sums are f32.

//@use lib/axis.wgsl

// Twin of ConvParams in src/shader/uniforms.rs; tests/shaders.rs compares the layouts. Strides and bases count elements.
struct ConvParams {
    depth: Axis,
    height: Axis,
    width: Axis,
    batch: u32,
    groups: u32,
    channels: u32,    // input channels per group
    filters: u32,     // output channels per group
    positions: u32,   // output positions of one image
    taps: u32,        // taps of one filter plane
    columns: u32,     // GEMM columns: batch x positions
    tiles_m: u32,
    tiles_n: u32,
    first_tile: u32,  // Winograd: the tiles of this part
    end_tile: u32,
    items: u32,       // invocations that have work, or tiles
    x_base: u32,
    x_stride_n: u32,
    x_stride_c: u32,
    x_stride_p: u32,
    x_stride_g: u32,  // channels of one group to those of the next
    y_base: u32,
    y_stride_n: u32,
    y_stride_k: u32,
    y_stride_p: u32,
    w_base: u32,
    w_stride_g: u32,
    w_stride_k: u32,
    w_stride_c: u32,
    alpha: f32,       // parameters of the activation
    beta: f32,
}

@group(0) @binding(0) var<uniform> params: ConvParams;

// 0 zeros, 1 reflect, 2 replicate, 3 circular.
override PADDING_MODE: u32 = 0u;
// 1: transposed convolution, as every output gathers it.
override TRANSPOSED: u32 = 0u;
override HAS_BIAS: u32 = 0u;
override HAS_RESIDUAL: u32 = 0u;

// The input coordinate that coordinate `i` of the padded input reads, or -1 where it reads a zero.
// No branches: this is inlined many times, and `&&` (a branch in SPIR-V) made SwiftShader's compiler run for minutes; hence `&`.
fn padded_coordinate(i: i32, extent: i32) -> i32 {
    var source = select(-1, i, (i >= 0) & (i < extent));
    switch PADDING_MODE {
        case 1u: { let last = extent - 1; source = last - abs(last - abs(i)); }
        case 2u: { source = clamp(i, 0, extent - 1); }
        case 3u: { source = select(select(i, i - extent, i >= extent), i + extent, i < 0); }
        default: {}
    }
    return source;
}

// Offset of an input position inside its channel plane.
fn plane_offset(z: i32, y: i32, x: i32) -> u32 {
    return u32((z * params.height.input + y) * params.width.input + x);
}

// Z, P, Q of the output position with number `position`.
fn output_coordinates(position: u32) -> vec3<i32> {
    let q = u32(params.width.output);
    let p = u32(params.height.output);
    let row = position / q;
    let z = row / p;
    return vec3<i32>(i32(z), i32(row - z * p), i32(position - row * q));
}
