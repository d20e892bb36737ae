// Matmul for the tile cores: gemm_segments, gemm_length, gemm_columns, gemm_sources, gemm_lhs_base, gemm_lhs, gemm_rhs, gemm_store. Both operands lie
// as quads along their outer index, so a core reads four rows or columns at once: a packed as [batch][k][m padded to whole tiles], b
// as [batch][k][n padded to 4], packed or as it came. Needs `store_columns` (matmul_store_scalar.wgsl, matmul_store_vector.wgsl).

@group(0) @binding(1) var<storage, read> a: array<Quad>;
@group(0) @binding(2) var<storage, read> b: array<Quad>;
@group(0) @binding(3) var<storage, read> addend: array<Elem>;
@group(0) @binding(4) var<storage, read> residual: array<Elem>; // as output

struct Columns {
    index: u32,     // of the first step in b, in quads
    at_addend: u32, // where the product begins in the addend
    first: u32,     // of the four columns
}

struct Sources {
    index: u32,
}

fn gemm_segments() -> u32 {
    return 1u;
}

fn gemm_length() -> u32 {
    return params.k;
}

// Columns past the last quad repeat it; they are never stored.
fn gemm_columns(group: u32, column0: u32) -> Columns {
    let at = batch_offsets(group);
    return Columns(at.y + min(column0 / 4u, (params.n - 1u) / 4u), at.z, column0);
}

fn gemm_sources(columns: Columns, segment: u32) -> Sources {
    return Sources(columns.index);
}

fn gemm_lhs_base(group: u32) -> u32 {
    return batch_offsets(group).x;
}

fn gemm_lhs(base: u32, k: u32, row4: u32) -> vec4<f32> {
    return quad(a[base + k * params.a_stride_k + row4]);
}

fn gemm_rhs(sources: Sources, i: u32) -> vec4<f32> {
    return quad(b[sources.index + i * params.b_stride_k]);
}

fn gemm_store(columns: Columns, group: u32, row: u32, sums: vec4<f32>) {
    if (row < params.m) & (columns.first < params.n) {
        store_columns(group, columns.at_addend, row, columns.first, sums);
    }
}
