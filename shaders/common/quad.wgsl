// Four neighbouring stored elements, as a kernel loads and stores them.

alias Quad = vec4<Elem>;

fn quad(v: Quad) -> vec4<f32> {
    return vec4<f32>(v);
}

fn as_quad(v: vec4<f32>) -> Quad {
    return Quad(v);
}
