// What kernels of images share: where a pixel lies in the tensor. Prelude: CHANNELS of the tensor, STORED of the image, and SEVERAL where there are more images than one.

// Twin of ImageParams in src/shader/uniforms.rs.
struct ImageParams {
    scale: vec4<f32>, // by channel of the tensor
    offset: vec4<f32>,
    items: u32,       // pixels, or bytes / 4
    positions: u32,   // pixels of one image
    width: u32,
    rows: u32,        // of one image
    image_stride: u32,
    channel_stride: u32,
    position_stride: u32,
    first_row: u32,   // of a texture that the tensor is rows of
}

@group(0) @binding(0) var<uniform> params: ImageParams;

// First channel of a pixel. Processors divide by what is not constant one lane at a time.
fn first_of(pixel: u32) -> u32 {
//@if SEVERAL
    let image = pixel / params.positions;
    return image * params.image_stride + (pixel - image * params.positions) * params.position_stride;
//@else
    return pixel * params.position_stride;
//@end
}
