// Items for kernels that walk memory in order: one element, or with VECTOR four neighbours, where elements are a multiple of four.
// The kernel has value_of(v, a, b), which is f32.

//@if VECTOR
alias Item = vec4<Elem>;

fn item_of(v: Item, a: f32, b: f32) -> Item {
    let w = vec4<f32>(v);
    return Item(vec4<f32>(value_of(w.x, a, b), value_of(w.y, a, b), value_of(w.z, a, b), value_of(w.w, a, b)));
}
//@else
alias Item = Elem;

fn item_of(v: Item, a: f32, b: f32) -> Item {
    return Elem(value_of(f32(v), a, b));
}
//@end
