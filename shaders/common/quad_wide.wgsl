// Four neighbouring f32 elements in two 64-bit loads. A driver that runs invocations as the lanes of a CPU's vectors pays by the load,
// not by the byte: a gather of eight 64-bit lanes costs there hardly more than one of 32 bits.

alias Quad = vec2<u64>;

fn quad(v: Quad) -> vec4<f32> {
    return vec4<f32>(bitcast<f32>(u32(v.x)), bitcast<f32>(u32(v.x >> 32u)), bitcast<f32>(u32(v.y)), bitcast<f32>(u32(v.y >> 32u)));
}
