// Items of four neighbouring elements, for kernels that walk memory in order over a multiple of four elements.

alias Item = vec4<Elem>;

fn activate_item(v: Item, a: f32, b: f32) -> Item {
    let w = vec4<f32>(v);
    return Item(vec4<f32>(activate(w.x, a, b), activate(w.y, a, b), activate(w.z, a, b), activate(w.w, a, b)));
}
