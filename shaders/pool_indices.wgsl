// Max pooling that also says where each maximum stands: flat inside its channel plane.

@group(0) @binding(2) var<storage, read_write> output: array<Elem>; // N C Z P Q, strides as x
@group(0) @binding(3) var<storage, read_write> indices: array<u32>; // as output

fn store_pooled(at: u32, value: f32, index: u32) {
    output[at] = Elem(value);
    indices[at] = index;
}
