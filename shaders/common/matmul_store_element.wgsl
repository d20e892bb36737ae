// Stores one element of y.

@group(0) @binding(5) var<storage, read_write> output: array<Elem>;

fn store_element(number: u32, at_addend: u32, row: u32, column: u32, sum: f32) {
    output[y_index(number, row, column)] = Elem(finish(number, at_addend, row, column, sum));
}
