// One spatial axis of a window. Twin of Axis in src/shader/uniforms.rs; 32 bytes, so that it nests in a uniform struct without padding.

struct Axis {
    input: i32,
    output: i32,
    taps: i32,
    stride: i32,
    dilation: i32,
    pad: i32,     // before the first element; negative only in transposed convolution
    pad_end: i32, // after the last one
    unused: i32,
}
