// The source of batch normalisation is a tensor of its own.

@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> folded: array<vec4<f32>>; // mean, multiplier, bias
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

fn source(i: u32) -> f32 {
    return f32(x[i]);
}
