// An invocation's part of a slab of the right-hand side, where its steps of the depth may lie in several segments: short ones, or such as
// RHS_QUADS does not divide. Every step works out its own sources. See common/gemm_workgroup.wgsl.

fn load_rhs(walk: ptr<function, Walk>) -> Block {
    var block = Block();
    var at = vec2<u32>((*walk).segment, (*walk).inner);
    block.r0 = rhs_or_zero((*walk).sources, at.x, at.y);
    if RHS_QUADS > 1u { at = next_step(at); block.r1 = rhs_or_zero(gemm_sources((*walk).columns, at.x), at.x, at.y); }
    if RHS_QUADS > 2u { at = next_step(at); block.r2 = rhs_or_zero(gemm_sources((*walk).columns, at.x), at.x, at.y); }
    if RHS_QUADS > 3u { at = next_step(at); block.r3 = rhs_or_zero(gemm_sources((*walk).columns, at.x), at.x, at.y); }
    return block;
}

// Segment and step inside it, one step on.
fn next_step(at: vec2<u32>) -> vec2<u32> {
    return select(vec2<u32>(at.x, at.y + 1u), vec2<u32>(at.x + 1u, 0u), at.y + 1u == gemm_length());
}
