// A tensor of an image: bytes packed into words, one pixel per invocation, or with TEXTURE the texels of a texture, some rows of a column. y = value * scale + offset.
// A texture of 8 bits (UNORM) gives its bytes back exactly, so that both forms give the same bits. Prelude: alias Elem, UNORM, and image/params.wgsl's.

//@use image/params.wgsl

//@if TEXTURE
@group(0) @binding(1) var image: texture_2d<f32>;
//@else
@group(0) @binding(1) var<storage, read> words: array<u32>;
//@end
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

fn store_pixel(pixel: u32, value: vec4<f32>) {
    let first = first_of(pixel);
    for (var c = 0u; c < CHANNELS; c++) {
        output[first + c * params.channel_stride] = Elem(value[c] * params.scale[c] + params.offset[c]);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
//@if TEXTURE
    for (var row = group_id.y; row < params.rows; row += group_count.y) {
        for (var column = group_id.x * 64u + local_id.x; column < params.width; column += group_count.x * 64u) {
            var texel = textureLoad(image, vec2<u32>(column, params.first_row + row), 0);
//@if UNORM
            texel = round(texel * 255.0);
//@end
            store_pixel(row * params.width + column, texel);
        }
    }
//@else
    let pixel = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if pixel >= params.items {
        return;
    }
    var value = vec4<f32>();
    for (var c = 0u; c < CHANNELS; c++) {
        let byte = pixel * STORED + c;
        value[c] = f32((words[byte / 4u] >> (8u * (byte % 4u))) & 0xffu);
    }
    store_pixel(pixel, value);
//@end
}
