// The parameters of the kernels that prepare a filter for the tile cores: conv/pack_filter.wgsl, conv/winograd_filter.wgsl.

// Twin of PackParams in src/shader/uniforms.rs.
struct PackParams {
    items: u32,
    rows: u32,     // filters of a tile
    filters: u32,  // filters per group
    channels: u32, // input channels per group
    taps: u32,
    w_base: u32,
    w_stride_g: u32,
    w_stride_k: u32,
    w_stride_c: u32,
    padded: u32,   // channels that a packed filter has per group: `channels`, and zeros
}

@group(0) @binding(0) var<uniform> params: PackParams;
