// The right-hand side of common/conv_gemm.wgsl from a channels-last input, two channels of a column in one load. Channels of a group are a
// multiple of two. Needs common/conv_sources.wgsl and common/gemm_block.wgsl.

@group(0) @binding(4) var<storage, read> x: array<vec2<Elem>>; // N D H W C

fn channels(source: Source, i: u32) -> vec2<f32> {
    return select(vec2<f32>(), vec2<f32>(x[(source.index + i) / 2u]), source.exists);
}

// Steps i, i + 1, ... of a segment: a row for each step, a column for each column.
fn gemm_rhs_block(sources: Sources, i: u32) -> Block {
    let c0 = channels(sources.s0, i);
    let c1 = channels(sources.s1, i);
    let c2 = channels(sources.s2, i);
    let c3 = channels(sources.s3, i);
    return Block(
        vec4<f32>(c0.x, c1.x, c2.x, c3.x),
        vec4<f32>(c0.y, c1.y, c2.y, c3.y),
        vec4<f32>(),
        vec4<f32>(),
    );
}
