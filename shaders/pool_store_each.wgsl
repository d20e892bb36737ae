// Rows of any length: a store for each output.

@group(0) @binding(2) var<storage, read_write> output: array<f32>; // N C Z P Q

fn store_two(at: u32, values: vec2<f32>, both: bool) {
    output[at] = values.x;
    if both {
        output[at + 1u] = values.y;
    }
}
