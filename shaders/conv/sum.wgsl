// The partial sums of a convolution whose depth was split: the hooks of gemm/sum.wgsl.

//@use conv/gemm.wgsl
//@use conv/store_columns.wgsl

@group(0) @binding(4) var<storage, read> partials: array<vec4<f32>>; // [group][split][filter][column / 4]

// conv/gemm.wgsl wants it for the packed filter, which is not read here.
const ROW_ITEMS: u32 = 1u;

fn sum_rows() -> u32 {
    return params.filters;
}

fn sum_columns() -> u32 {
    return params.columns;
}
