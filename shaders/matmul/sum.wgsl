// The partial sums of a product whose depth was split: the hooks of gemm/sum.wgsl and of its store.

//@use matmul/problem.wgsl
//@use matmul/store_columns.wgsl

@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>; // [product][split][m][n / 4]

struct Columns {
    at_addend: u32, // where the product begins in the addend
    first: u32,     // of the four columns
}

fn sum_rows() -> u32 {
    return params.m;
}

fn sum_columns() -> u32 {
    return params.n;
}

fn gemm_product(number: u32) -> u32 {
    return number;
}

fn gemm_columns(product: u32, column0: u32) -> Columns {
    return Columns(batch_offsets(product).z, column0);
}

fn gemm_store(columns: Columns, group: u32, row: u32, sums: vec4<f32>) {
    if row < params.m {
        store_columns(group, columns.at_addend, row, columns.first, sums);
    }
}
