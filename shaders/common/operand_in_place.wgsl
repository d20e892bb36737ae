// The operands of an elementwise kernel in place: a is the output.

@group(0) @binding(1) var<storage, read> b: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

fn operand_a(at: u32, at_output: u32) -> f32 {
    return f32(output[at_output]);
}
