// Rows of an even length: one 64-bit store for two neighbouring outputs.

@group(0) @binding(2) var<storage, read_write> output: array<u64>; // N C Z P Q

fn store_two(at: u32, values: vec2<f32>, both: bool) {
    output[at / 2u] = as_half(values);
}
