// Stores four columns of an output channel one by one; they may lie anywhere.

@group(0) @binding(2) var<storage, read> residual: array<Elem>;     // as output
@group(0) @binding(3) var<storage, read_write> output: array<Elem>; // N K Z P Q, any strides

fn gemm_store(columns: Columns, group: u32, row: u32, sums: vec4<f32>) {
    if row >= params.filters {
        return;
    }
    let k = group * params.filters + row;
    let at = params.y_base + k * params.y_stride_k;
    store_column(columns.c0, at, k, sums.x);
    store_column(columns.c1, at, k, sums.y);
    store_column(columns.c2, at, k, sums.z);
    store_column(columns.c3, at, k, sums.w);
}

fn store_column(column: Column, at: u32, k: u32, sum: f32) {
    if column.exists {
        let index = at + column.y_start;
        var r = 0.0;
        if HAS_RESIDUAL != 0u {
            r = f32(residual[index]);
        }
        output[index] = Elem(finish(k, sum, r));
    }
}
