// An image of a tensor: value = x * scale + offset of each channel. As bytes packed into words, one word per invocation, or as the texels of a texture
// (TARGET: 1 rgba8unorm, 2 rgba16float, 3 r32float), some rows of a column per invocation. Bytes are rounded half to even and clamped; a NaN is 0.
// A channel that the tensor lacks is its first one in gray, and 1 as alpha. Prelude: alias Elem, and image/params.wgsl's.

//@use lib/number.wgsl
//@use image/params.wgsl

@group(0) @binding(1) var<storage, read> x: array<Elem>;
//@if TARGET == 0
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
//@end
//@if TARGET == 1
@group(0) @binding(2) var image: texture_storage_2d<rgba8unorm, write>;
//@end
//@if TARGET == 2
@group(0) @binding(2) var image: texture_storage_2d<rgba16float, write>;
//@end
//@if TARGET == 3
@group(0) @binding(2) var image: texture_storage_2d<r32float, write>;
//@end

fn value_of(first: u32, channel: u32) -> f32 {
    let c = select(channel, 0u, CHANNELS == 1u);
    return f32(x[first + c * params.channel_stride]) * params.scale[c] + params.offset[c];
}

fn is_alpha(channel: u32) -> bool {
    return channel == 3u && CHANNELS < 4u;
}

fn byte_of(first: u32, channel: u32) -> u32 {
    if is_alpha(channel) {
        return 255u;
    }
    let value = value_of(first, channel);
    return select(u32(round(clamp(value, 0.0, 255.0))), 0u, is_nan(value));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
//@if TARGET == 0
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    let count = params.items * STORED;
    if item >= (count + 3u) / 4u {
        return;
    }
    var word = 0u;
    for (var k = 0u; k < 4u; k++) {
        let byte = 4u * item + k;
        if byte < count {
            let pixel = byte / STORED;
            word |= byte_of(first_of(pixel), byte - pixel * STORED) << (8u * k);
        }
    }
    output[item] = word;
//@else
    for (var row = group_id.y; row < params.rows; row += group_count.y) {
        for (var column = group_id.x * 64u + local_id.x; column < params.width; column += group_count.x * 64u) {
            let first = first_of(row * params.width + column);
            var texel = vec4<f32>(0.0, 0.0, 0.0, 1.0);
            for (var c = 0u; c < STORED; c++) {
//@if TARGET == 1
                texel[c] = f32(byte_of(first, c)) / 255.0;
//@else
                if !is_alpha(c) {
                    texel[c] = value_of(first, c);
                }
//@end
            }
            textureStore(image, vec2<u32>(column, params.first_row + row), texel);
        }
    }
//@end
}
