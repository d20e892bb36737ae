// One spatial axis of a window. Twin of Axis in src/shader/uniforms.rs; 32 bytes, so that it nests in a uniform struct without padding.

struct Axis {
    input: i32,
    output: i32,
    taps: i32,
    stride: i32,
    dilation: i32,
    pad: i32,     // before the first element; negative only in transposed convolution
    pad_end: i32, // after the last one
    tap_step: i32, // transposed convolution: taps of one output lie so far apart (conv/taps.wgsl); else 1
}
