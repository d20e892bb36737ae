// Stores four columns of y at once, where rows of y are a multiple of four. So are then y_base and the first column of a part.

@group(0) @binding(5) var<storage, read_write> output: array<Quad>;

fn store_columns(number: u32, at_addend: u32, row: u32, column0: u32, sums: vec4<f32>) {
    output[y_index(number, row, column0) / 4u] = as_quad(vec4<f32>(
        finish(number, at_addend, row, column0, sums.x),
        finish(number, at_addend, row, column0 + 1u, sums.y),
        finish(number, at_addend, row, column0 + 2u, sums.z),
        finish(number, at_addend, row, column0 + 3u, sums.w),
    ));
}
