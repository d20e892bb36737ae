// The parameters of softmax.

// Twin of SoftmaxParams in src/shader/uniforms.rs.
struct SoftmaxParams {
    items: u32, // lines; of the results in parts, elements
    inner: u32,
    length: u32,
    base: u32,  // first element
}

@group(0) @binding(0) var<uniform> params: SoftmaxParams;
