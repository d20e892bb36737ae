// Stores one output of channel `k`, for kernels whose invocations own single outputs.

//@use conv/epilogue.wgsl

//@if BOUND_2
@group(0) @binding(2) var<storage, read> residual: array<Elem>;     // as output
//@else
var<private> residual: array<Elem, 1>; // nothing is bound
//@end
@group(0) @binding(3) var<storage, read_write> output: array<Elem>; // N K Z P Q, any strides

fn store_output(index: u32, k: u32, sum: f32) {
    let at = params.y_base + index;
    var r = 0.0;
    if HAS_RESIDUAL != 0u {
        r = f32(residual[at]);
    }
    output[at] = Elem(finish(k, sum, r));
}
