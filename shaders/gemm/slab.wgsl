// An invocation's part of a slab of the right-hand side: load_rhs of gemm/workgroup.wgsl.
//
// Where its steps are neighbouring channels in memory (ALONG_CHANNELS), they are loaded at once, by the hook `gemm_rhs_block(sources, i) -> Block`
// (conv/right_hand_side.wgsl): they are all of one outer K step, and inside the depth all or none. Else they are loaded step by step.
// Prelude: STRADDLES, 1 where its steps of the depth may lie in two outer K steps or more; each then works out its own sources; WHOLE.

//@if ALONG_CHANNELS
fn load_rhs(walk: ptr<function, Walk>) -> Block {
    var block = Block();
    if (WHOLE > 0u) | ((*walk).outer_step < (*walk).outer_steps) {
        block = gemm_rhs_block((*walk).sources, (*walk).inner);
    }
    return block;
}
//@else
fn load_rhs(walk: ptr<function, Walk>) -> Block {
    var block = Block();
    var at = vec2<u32>((*walk).outer_step, (*walk).inner);
    block.r0 = rhs_or_zero(walk, (*walk).sources, at);
    block.r1 = next_rhs(walk, &at); //@if RHS_VEC4 > 1
    block.r2 = next_rhs(walk, &at); //@if RHS_VEC4 > 2
    block.r3 = next_rhs(walk, &at); //@if RHS_VEC4 > 3
    return block;
}

// Goes on to the next step, outer K step and step inside it, and loads it.
fn next_rhs(walk: ptr<function, Walk>, at: ptr<function, vec2<u32>>) -> vec4<f32> {
    let inner = (*at).y + 1u;
    *at = vec2<u32>((*at).x, inner);
    *at = select(*at, vec2<u32>((*at).x + 1u, 0u), inner == gemm_length()); //@if STRADDLES
    return rhs_or_zero(walk, gemm_sources((*walk).columns, (*at).x), *at); //@if STRADDLES
    return rhs_or_zero(walk, (*walk).sources, *at);
}

// What lies past the depth is zero, in both operands: zero times anything else might be NaN.
fn rhs_or_zero(walk: ptr<function, Walk>, sources: Sources, at: vec2<u32>) -> vec4<f32> {
    var v = vec4<f32>();
    if (WHOLE > 0u) | ((at.x < (*walk).outer_steps) & (at.y < gemm_length())) {
        v = gemm_rhs(sources, at.y);
    }
    return v;
}
//@end
