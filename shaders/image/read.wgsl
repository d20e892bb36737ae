// A tensor of an image: bytes packed into words, or with TEXTURE the texels of a texture. y = value * scale + offset, one pixel per invocation.
// A texture of 8 bits (UNORM) gives its bytes back exactly, so that both forms give the same bits. Prelude: alias Elem, UNORM.

//@use image/params.wgsl

//@if TEXTURE
@group(0) @binding(1) var image: texture_2d<f32>;
//@else
@group(0) @binding(1) var<storage, read> words: array<u32>;
//@end
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let pixel = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if pixel >= params.items {
        return;
    }
    let first = first_of(pixel);
//@if TEXTURE
    let row = pixel / params.width;
    var texel = textureLoad(image, vec2<u32>(pixel - row * params.width, params.first_row + row), 0);
//@if UNORM
    texel = round(texel * 255.0);
//@end
//@end
    for (var c = 0u; c < params.channels; c++) {
//@if TEXTURE
        let value = texel[c];
//@else
        let byte = pixel * params.stored + c;
        let value = f32((words[byte / 4u] >> (8u * (byte % 4u))) & 0xffu);
//@end
        output[first + c * params.channel_stride] = Elem(value * params.scale[c] + params.offset[c]);
    }
}
