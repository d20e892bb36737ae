// How a tile core stores sums of a convolution, by STORE_VEC4:
// 0: four columns of an output channel one by one; they may lie anywhere;
// 1: four columns of an output channel at once: for channels-first outputs whose planes are a multiple of four positions;
// 2: partial sums of four columns: one of several splits of the depth, which gemm/sum.wgsl adds up; the epilogue comes after the sum;
// 3: four neighbouring output channels of a column at once: for channels-last outputs whose filters per group are a multiple of four.

//@use conv/epilogue.wgsl
//@use lib/vec4_io.wgsl

//@if STORE_VEC4 == 0
alias OutputItem = Elem;
//@elif STORE_VEC4 == 1
alias OutputItem = Vec4;
//@elif STORE_VEC4 == 3
alias OutputItem = vec4<Elem>;
//@end

//@if STORE_VEC4 == 2
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>; // [group][split][filter][column / 4]
//@else
//@if BOUND_2
@group(0) @binding(2) var<storage, read> residual: array<OutputItem>; // as output
//@else
var<private> residual: array<OutputItem, 1>; // nothing is bound
//@end
@group(0) @binding(3) var<storage, read_write> output: array<OutputItem>; // N K Z P Q, any strides
//@end

//@if STORE_VEC4 == 0
fn gemm_store(columns: Columns, part: u32, row: u32, sums: vec4<f32>) {
    if row >= params.filters {
        return;
    }
    let k = columns.channel + row;
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
//@elif STORE_VEC4 == 1
fn gemm_store(columns: Columns, part: u32, row: u32, sums: vec4<f32>) {
    if (row < params.filters) & columns.c0.exists {
        let k = columns.channel + row;
        let index = (params.y_base + k * params.y_stride_k + columns.c0.y_start) / 4u;
        var r = vec4<f32>();
        if HAS_RESIDUAL != 0u {
            r = f32x4(residual[index]);
        }
        output[index] = as_vec4(vec4<f32>(finish(k, sums.x, r.x), finish(k, sums.y, r.y), finish(k, sums.z, r.z), finish(k, sums.w, r.w)));
    }
}
//@elif STORE_VEC4 == 2
// `part` is the index of the split over all products.
fn gemm_store(columns: Columns, part: u32, row: u32, sums: vec4<f32>) {
    if (row < params.filters) & (columns.first < params.columns) {
        output[(part * params.filters + row) * ((params.columns + 3u) / 4u) + columns.first / 4u] = sums;
    }
}
//@else
// `k` is the first of the channels, a multiple of four.
fn store_filters(column: Column, k: u32, sums: vec4<f32>) {
    if column.exists {
        let index = (params.y_base + column.y_start + k) / 4u;
        var r = vec4<f32>();
        if HAS_RESIDUAL != 0u {
            r = vec4<f32>(residual[index]);
        }
        output[index] = vec4<Elem>(
            vec4<f32>(finish(k, sums.x, r.x), finish(k + 1u, sums.y, r.y), finish(k + 2u, sums.z, r.z), finish(k + 3u, sums.w, r.w)),
        );
    }
}
//@end
