// An operand that matmul/pack.wgsl or matmul/pack_pairs.wgsl packs.

//@use lib/strided_axis.wgsl

// Twin of PackOperandParams in src/shader/uniforms.rs.
struct PackOperandParams {
    batch: array<OperandAxis, 3>, // strides of the operand, first of the three
    items: u32,                   // blocks of packed elements
    padded: u32,                  // outer indices of a panel
    outer: u32,
    depth: u32,
    stride_outer: u32,
    stride_depth: u32,
    panels: u32,
    base: u32,                    // where the operand begins in its binding
}

@group(0) @binding(0) var<uniform> params: PackOperandParams;

// Where product `product` of the operand's own batch begins.
fn product_start(product: u32) -> u32 {
    var rest = product;
    var at = 0;
    for (var axis = 0u; axis < 3u; axis++) {
        let extent = params.batch[2u - axis].extent;
        let next = rest / extent;
        at += i32(rest - next * extent) * params.batch[2u - axis].strides.x;
        rest = next;
    }
    return params.base + u32(at);
}
