// A tile core that always computes: the hook gemm_wanted.

fn gemm_wanted() -> bool {
    return true;
}
