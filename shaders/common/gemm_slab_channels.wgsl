// An invocation's part of a slab of the right-hand side where its steps are neighbouring channels in memory, loaded at once: load_rhs of
// common/gemm_workgroup.wgsl. They are all of one segment, and inside the depth all or none.
// Needs the hook `gemm_rhs_block(sources, i) -> Block` (common/conv_channels.wgsl, common/conv_channel_pairs.wgsl).
// Prelude: WHOLE as in common/gemm_workgroup.wgsl.

fn load_rhs(walk: ptr<function, Walk>) -> Block {
    var block = Block();
    if (WHOLE > 0u) | ((*walk).segment < gemm_segments()) {
        block = gemm_rhs_block((*walk).sources, (*walk).inner);
    }
    return block;
}
