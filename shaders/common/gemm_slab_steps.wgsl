// An invocation's part of a slab of the right-hand side, where its steps of the depth never lie in two segments: common/gemm_workgroup.wgsl.

fn load_rhs(walk: ptr<function, Walk>) -> Block {
    var block = Block();
    block.r0 = rhs_or_zero((*walk).sources, (*walk).segment, (*walk).inner);
    if RHS_QUADS > 1u { block.r1 = rhs_or_zero((*walk).sources, (*walk).segment, (*walk).inner + 1u); }
    if RHS_QUADS > 2u { block.r2 = rhs_or_zero((*walk).sources, (*walk).segment, (*walk).inner + 2u); }
    if RHS_QUADS > 3u { block.r3 = rhs_or_zero((*walk).sources, (*walk).segment, (*walk).inner + 3u); }
    return block;
}
