// The operands of an elementwise kernel, each a tensor of its own.

@group(0) @binding(1) var<storage, read> a: array<Elem>;
@group(0) @binding(2) var<storage, read> b: array<Elem>;
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

fn operand_a(at: u32, at_output: u32) -> f32 {
    return f32(a[at]);
}
