// The parameters of the reductions.

//@use lib/strided_axes.wgsl

// Twin of ReduceParams in src/shader/uniforms.rs; of an argmax, chunks is 1 and length the elements of a line in this part.
struct ReduceParams {
    axes: array<OperandAxis, 6>, // of y: the third stride says where a result goes
    items: u32,                  // the first result past this part's
    inner: u32,
    total: u32,
    length: u32,
    chunks: u32,
    divisor: f32, // of the last pass of a mean; 1 otherwise
    unit: f32,    // power of two that the first pass of a mean sums in, so that no sum leaves f32; 1 otherwise
    first_item: u32, // of this part
    x_first: u32,    // the element that the binding of x begins with
    first: u32,      // of an argmax: the element of each line that this part begins with
    unused1: u32,
    unused2: u32,
}

@group(0) @binding(0) var<uniform> params: ReduceParams;
