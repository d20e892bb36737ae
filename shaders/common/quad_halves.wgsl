// Four neighbouring f32 elements in two halves, as common/quad_wide.wgsl has them, but loaded number by number: for processors that
// multiply at half their rate while vectors of 512 bits are about, as 64-bit numbers for eight lanes are.

alias Quad = mat2x2<f32>;

fn quad(v: Quad) -> vec4<f32> {
    return vec4<f32>(v[0], v[1]);
}

fn as_quad(v: vec4<f32>) -> Quad {
    return Quad(v.xy, v.zw);
}

fn half_quad(v: vec2<f32>) -> vec2<f32> {
    return v;
}
