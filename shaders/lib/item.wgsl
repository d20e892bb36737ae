// Items for kernels that walk memory in order: one element, or with VECTOR four neighbours, where elements are a multiple of four.

//@use lib/activation.wgsl

//@if VECTOR
alias Item = vec4<Elem>;

fn activate_item(v: Item, a: f32, b: f32) -> Item {
    let w = vec4<f32>(v);
    return Item(vec4<f32>(activate(w.x, a, b), activate(w.y, a, b), activate(w.z, a, b), activate(w.w, a, b)));
}
//@else
alias Item = Elem;

fn activate_item(v: Item, a: f32, b: f32) -> Item {
    return Elem(activate(f32(v), a, b));
}
//@end
