// A tile core that computes where matrix units cannot: the hook gemm_wanted. Needs common/matrix_range.wgsl.

fn gemm_wanted() -> bool {
    return !operands_in_range();
}
