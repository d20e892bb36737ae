// The right-hand side of conv/gemm.wgsl where four columns may lie anywhere in the input. Where a column reads in an outer K step says the hook
// `column_source(taps, step, column, outer_step) -> Source` (conv/implicit_gemm.wgsl, conv/pointwise.wgsl). ALONG_CHANNELS:
// 0: element by element, from any strides;
// 1: from a channels-last input, four channels of a column in one load; channels of a group are a multiple of four;
// 2: the same with two.
// With PARTS it is f16 for cooperative matrices, channels last and of their number a multiple of GRAIN, and that core reads it itself.

//@use gemm/block.wgsl

// Where a column reads its input in one outer K step: element i of the outer K step is x[index + i x_stride_c], or 0.
struct Source {
    index: u32,
    exists: bool,
}

//@if PARTS
@group(0) @binding(4) var<storage, read> x: array<Grain>; // N D H W C by GRAIN channels, their parts side by side
//@else
struct Sources {
    s0: Source,
    s1: Source,
    s2: Source,
    s3: Source,
}

fn gemm_sources(columns: Columns, outer_step: u32) -> Sources {
    return Sources(
        column_source(columns.taps, columns.step, columns.c0, outer_step),
        column_source(columns.taps, columns.step, columns.c1, outer_step),
        column_source(columns.taps, columns.step, columns.c2, outer_step),
        column_source(columns.taps, columns.step, columns.c3, outer_step),
    );
}

//@if ALONG_CHANNELS == 0
@group(0) @binding(4) var<storage, read> x: array<Elem>; // N C D H W, any strides

fn element(source: Source, i: u32) -> f32 {
    return select(0.0, f32(x[source.index + i * params.x_stride_c]), source.exists);
}

// Step i of an outer K step.
fn gemm_rhs(sources: Sources, i: u32) -> vec4<f32> {
    return vec4<f32>(element(sources.s0, i), element(sources.s1, i), element(sources.s2, i), element(sources.s3, i));
}
//@elif ALONG_CHANNELS == 1
@group(0) @binding(4) var<storage, read> x: array<vec4<Elem>>; // N D H W C

fn channels(source: Source, i: u32) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(x[(source.index + i) / 4u]), source.exists);
}

// Steps i, i + 1, ... of an outer K step: a row for each step, a column for each column.
fn gemm_rhs_block(sources: Sources, i: u32) -> Block {
    let c0 = channels(sources.s0, i);
    let c1 = channels(sources.s1, i);
    let c2 = channels(sources.s2, i);
    let c3 = channels(sources.s3, i);
    return Block(
        vec4<f32>(c0.x, c1.x, c2.x, c3.x),
        vec4<f32>(c0.y, c1.y, c2.y, c3.y),
        vec4<f32>(c0.z, c1.z, c2.z, c3.z),
        vec4<f32>(c0.w, c1.w, c2.w, c3.w),
    );
}
//@else
@group(0) @binding(4) var<storage, read> x: array<vec2<Elem>>; // N D H W C

fn channels(source: Source, i: u32) -> vec2<f32> {
    return select(vec2<f32>(), vec2<f32>(x[(source.index + i) / 2u]), source.exists);
}

// Steps i, i + 1, ... of an outer K step: a row for each step, a column for each column.
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
//@end
//@end
