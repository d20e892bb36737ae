// Four neighbouring f32 elements in two 64-bit loads or stores. A driver that runs invocations as the lanes of a CPU's vectors pays by the load,
// not by the byte: a gather of eight 64-bit lanes costs there hardly more than one of 32 bits.

alias Quad = vec2<u64>;

fn quad(v: Quad) -> vec4<f32> {
    return vec4<f32>(half_quad(v.x), half_quad(v.y));
}

fn as_quad(v: vec4<f32>) -> Quad {
    return Quad(as_half(v.xy), as_half(v.zw));
}

// Half a quad, as one load gives it.
fn half_quad(v: u64) -> vec2<f32> {
    return vec2<f32>(bitcast<f32>(u32(v)), bitcast<f32>(u32(v >> 32u)));
}

fn as_half(v: vec2<f32>) -> u64 {
    return u64(bitcast<u32>(v.x)) | (u64(bitcast<u32>(v.y)) << 32u);
}
