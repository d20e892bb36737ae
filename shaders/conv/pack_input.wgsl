// The input of a convolution as cooperative matrices read it: [image][position][group][channel], the channels of a group padded with zeros to a multiple of
// GRAIN, each number PARTS f16 (gemm/halves.wgsl).
//
// A workgroup moves TILE_P positions x TILE_C channels of all groups, 1024 numbers, through workgroup memory: threads run along what is contiguous in the input
// while they read, and along the channels while they write four at a time. Prelude: alias Elem; PARTS; GRAIN; ALONG_CHANNELS: 1 where channels are contiguous;
// TILE_P; TILE_C, a multiple of four.

//@use gemm/halves.wgsl

// Twin of PackInputParams in src/shader/uniforms.rs.
struct PackInputParams {
    items: u32,           // tiles
    position_tiles: u32,  // of an image
    channel_tiles: u32,
    positions: u32,       // of an image
    channels: u32,        // of a group
    padded: u32,          // the same with zeros
    all: u32,             // padded channels of all groups
    x_base: u32,
    x_stride_n: u32,
    x_stride_c: u32,
    x_stride_p: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: PackInputParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f16>>;
//@if BOUND_3
@group(0) @binding(3) var<storage, read> range: array<vec2<u32>>; // of the input (gemm/magnitudes.wgsl)
//@end

const WG_SIZE: u32 = 256u;
// One number of padding, so that neighbouring threads never meet in one bank of workgroup memory.
const PITCH: u32 = TILE_C + 1u;
const LINE_VEC4: u32 = TILE_C / 4u;

var<workgroup> tile: array<f32, TILE_P * PITCH>; // [position][channel]

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = group_id.y * group_count.x + group_id.x;
    // Uniform: all of a workgroup leaves or stays for the barrier.
    if item >= params.items {
        return;
    }
    let line = item / params.channel_tiles;
    let channel0 = (item - line * params.channel_tiles) * TILE_C;
    let n = line / params.position_tiles;
    let position0 = (line - n * params.position_tiles) * TILE_P;
    var scale = 1.0;
    scale = power_of_two(scale_exponent(range[0].x)); //@if BOUND_3
    for (var i = local; i < TILE_P * TILE_C; i += WG_SIZE) {
//@if ALONG_CHANNELS
        let position = i / TILE_C;
        let channel = i % TILE_C;
//@else
        let position = i % TILE_P;
        let channel = i / TILE_P;
//@end
        tile[position * PITCH + channel] = scale * element(n, position0 + position, channel0 + channel);
    }
    workgroupBarrier();
    let position = position0 + local / LINE_VEC4;
    let channel = channel0 + local % LINE_VEC4 * 4u;
    if (position < params.positions) & (channel < params.all) {
        let start = local / LINE_VEC4 * PITCH + local % LINE_VEC4 * 4u;
        let at = (n * params.positions + position) * params.all + channel;
        for (var part = 0u; part < PARTS; part++) {
            output[half_index(at, part) / 4u] =
                vec4<f16>(half_part(tile[start], part), half_part(tile[start + 1u], part), half_part(tile[start + 2u], part), half_part(tile[start + 3u], part));
        }
    }
}

// A number of the input by its padded channel, or zero.
fn element(n: u32, position: u32, padded_channel: u32) -> f32 {
    let group = padded_channel / params.padded;
    let channel = padded_channel - group * params.padded;
    var v = 0.0;
    if (position < params.positions) & (padded_channel < params.all) & (channel < params.channels) {
        v = f32(x[params.x_base + n * params.x_stride_n + (group * params.channels + channel) * params.x_stride_c + position * params.x_stride_p]);
    }
    return v;
}
