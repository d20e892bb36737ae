// How a tile core stores four columns of y, by STORE_VEC4:
// 0: one by one, where rows of y are no multiple of four;
// 1: at once, where they are: so are then y_base and the first column of a part;
// 2: partial sums: one of several splits of the depth, which gemm/sum.wgsl adds up.

//@use matmul/problem.wgsl
//@use lib/vec4_io.wgsl

//@if STORE_VEC4 == 0
@group(0) @binding(5) var<storage, read_write> output: array<Elem>;

fn store_columns(number: u32, at_addend: u32, row: u32, column0: u32, sums: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        let column = column0 + j;
        if column < params.n {
            output[y_index(number, row, column)] = Elem(finish(number, at_addend, row, column, sums[j]));
        }
    }
}
//@elif STORE_VEC4 == 1
@group(0) @binding(5) var<storage, read_write> output: array<Vec4>;

fn store_columns(number: u32, at_addend: u32, row: u32, column0: u32, sums: vec4<f32>) {
    output[y_index(number, row, column0) / 4u] = as_vec4(vec4<f32>(
        finish(number, at_addend, row, column0, sums.x),
        finish(number, at_addend, row, column0 + 1u, sums.y),
        finish(number, at_addend, row, column0 + 2u, sums.z),
        finish(number, at_addend, row, column0 + 3u, sums.w),
    ));
}
//@else
@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>; // [product][split][m][n / 4]

// `part` is the index of the split over all products of this call.
fn store_columns(part: u32, at_addend: u32, row: u32, column0: u32, sums: vec4<f32>) {
    output[((params.first_part + part) * params.m + row) * ((params.n + 3u) / 4u) + column0 / 4u] = sums;
}
//@end
