// Stores one element of y; or, PARTIAL, its partial sum as matmul/store_columns.wgsl does with four.

//@use matmul/problem.wgsl

//@if PARTIAL
@group(0) @binding(5) var<storage, read_write> output: array<f32>; // [split][m][n padded to 4]

fn store_element(part: u32, at_addend: u32, row: u32, column: u32, sum: f32) {
    output[((params.first_part + part) * params.m + row) * ((params.n + 3u) / 4u * 4u) + column] = sum;
}
//@else
@group(0) @binding(5) var<storage, read_write> output: array<Elem>;

fn store_element(number: u32, at_addend: u32, row: u32, column: u32, sum: f32) {
    output[y_index(number, row, column)] = Elem(finish(number, at_addend, row, column, sum));
}
//@end
