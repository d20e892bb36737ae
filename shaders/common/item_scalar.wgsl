// Items of one element, for kernels that walk memory in order.

alias Item = Elem;

fn activate_item(v: Item, a: f32, b: f32) -> Item {
    return Elem(activate(f32(v), a, b));
}
