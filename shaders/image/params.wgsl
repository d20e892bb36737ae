// What kernels of images share: where a pixel lies in the tensor.

// Twin of ImageParams in src/shader/uniforms.rs.
struct ImageParams {
    scale: vec4<f32>, // by channel of the tensor
    offset: vec4<f32>,
    items: u32,
    stored: u32,      // channels of the image
    channels: u32,    // of the tensor, at most as many
    positions: u32,   // pixels of one image
    width: u32,
    image_stride: u32,
    channel_stride: u32,
    position_stride: u32,
    first_row: u32,       // of a texture that the tensor is rows of
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

@group(0) @binding(0) var<uniform> params: ImageParams;

// First channel of a pixel.
fn first_of(pixel: u32) -> u32 {
    let image = pixel / params.positions;
    return image * params.image_stride + (pixel - image * params.positions) * params.position_stride;
}
