// Stores four columns of y one by one, where rows of y are no multiple of four.

@group(0) @binding(5) var<storage, read_write> output: array<Elem>;

fn store_columns(number: u32, at_addend: u32, row: u32, column0: u32, sums: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        let column = column0 + j;
        if column < params.n {
            output[y_index(number, row, column)] = Elem(finish(number, at_addend, row, column, sums[j]));
        }
    }
}
