// Pooling that gives values alone.

@group(0) @binding(2) var<storage, read_write> output: array<Elem>; // N C Z P Q, strides as x

fn store_pooled(at: u32, value: f32, index: u32) {
    output[at] = Elem(value);
}
