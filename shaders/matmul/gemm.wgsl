// Matmul for the tile cores: gemm_product, gemm_outer_k, gemm_length, gemm_columns, gemm_sources, gemm_lhs_base, gemm_lhs, gemm_rhs, gemm_store; with PARTS,
// for cooperative matrices, gemm_rhs_base in place of what reads.
// Both operands lie as vec4s along their outer index, so a core reads four rows or columns at once: a packed as [batch][tile of
// rows][k][row], b as [batch][k][n padded to 4], packed or as it came, or as [batch][panel][k][PANEL]. Prelude: PANEL, a multiple of 4, or 0 where b is not cut into panels.

//@use matmul/problem.wgsl
//@use matmul/store_columns.wgsl
//@use lib/vec4_io.wgsl

//@if PARTS
// Eights of rows and of columns, both packed as [batch][tile][k][row or column], or with ALONG_K eights of k as [batch][tile][k / 8][row or column][k % 8],
// the depth filled with zeros; the parts of an eight side by side.
@group(0) @binding(1) var<storage, read> lhs: array<mat2x4<f16>>;
@group(0) @binding(2) var<storage, read> rhs: array<mat2x4<f16>>;
//@else
@group(0) @binding(1) var<storage, read> lhs: array<Vec4>; // a
@group(0) @binding(2) var<storage, read> b: array<Vec4>;
//@end

struct Columns {
    index: u32,     // of the first step in b, in vec4s
    at_addend: u32, // where the product begins in the addend
    first: u32,     // of the four columns
}

struct Sources {
    index: u32,
}

// One of the batch.
struct Product {
    number: u32,
}

fn gemm_product(number: u32) -> Product {
    return Product(number);
}

fn gemm_outer_k(product: Product) -> u32 {
    return 1u;
}

fn gemm_length() -> u32 {
    return params.k;
}

// Steps of a packed operand.
fn packed_depth() -> u32 {
    return (params.k + 7u) / 8u * 8u; //@if ALONG_K
    return params.k; //@if !ALONG_K
}

fn gemm_lhs_base(product: Product, tile_m: u32) -> u32 {
    return batch_offsets(product.number).x + tile_m * packed_depth() * ROW_ITEMS;
}

//@if PARTS
fn gemm_columns(product: Product, column0: u32) -> Columns {
    return Columns(0u, batch_offsets(product.number).z, column0);
}

fn gemm_rhs_base(product: Product, tile_n: u32) -> u32 {
    return batch_offsets(product.number).y + tile_n * packed_depth() * COLUMN_ITEMS;
}
//@else
const PANEL_VEC4: u32 = max(PANEL / 4u, 1u);

// Columns past the last vec4 repeat it; they are never stored.
fn gemm_columns(product: Product, column0: u32) -> Columns {
    let at = batch_offsets(product.number);
    let vec4_column = min(column0 / 4u, (params.n - 1u) / 4u);
    var index = vec4_column;
    if PANEL != 0u {
        let panel = vec4_column / PANEL_VEC4;
        index = panel * (PANEL_VEC4 * params.k) + vec4_column - panel * PANEL_VEC4;
    }
    return Columns(at.y + index, at.z, column0);
}

fn gemm_sources(columns: Columns, outer_step: u32) -> Sources {
    return Sources(columns.index);
}

fn gemm_lhs(at: u32) -> vec4<f32> {
    return f32x4(lhs[at]);
}

fn gemm_rhs(sources: Sources, i: u32) -> vec4<f32> {
    return f32x4(b[sources.index + i * params.b_stride_k]);
}
//@end

fn gemm_store(columns: Columns, group: u32, row: u32, sums: vec4<f32>) {
    if (row < params.m) & (columns.first < params.n) {
        store_columns(group, columns.at_addend, row, columns.first, sums);
    }
}
